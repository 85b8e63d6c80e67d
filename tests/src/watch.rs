//! The judge of the faults: reads the daemon's event stream from beginning to end, so that no status is missed that
//! stood for a moment only, and holds it against what the devices really did.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::daemon::Daemon;
use crate::http::Events;
use crate::process::wait_for;

/// A status that a target took, or another cause of its being unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When the lab heard of it.
    pub at: Instant,
    /// The target.
    pub name: String,
    /// As in the API.
    pub status: String,
    /// As in the API.
    pub cause: Option<String>,
}

/// A reader of the event stream, on a thread of its own until it is dropped.
#[derive(Debug)]
pub struct Watch {
    heard: Arc<Mutex<Heard>>,
    stream: UnixStream,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Heard {
    now: BTreeMap<String, (String, Option<String>)>,
    changes: Vec<Change>,
    /// The greatest loss that was ever shown of a target, where there was any.
    loss: BTreeMap<String, f64>,
    ended: Option<String>,
}

impl Watch {
    /// Begins to read, and returns when it knows of every target; panics if there is no stream.
    pub fn start(daemon: &Daemon) -> Watch {
        let stream = UnixStream::connect(daemon.socket_path()).expect("the daemon listens");
        let hook = stream.try_clone().expect("a socket can be held twice");
        let mut events = Events::open(hook, "/api/v1/events").expect("the daemon has an event stream");
        let heard = Arc::new(Mutex::new(Heard::default()));
        let shared = Arc::clone(&heard);
        let thread = std::thread::spawn(move || {
            loop {
                match events.next_event() {
                    Ok((name, data)) => lock(&shared).take(&name, &data),
                    Err(error) => return lock(&shared).ended = Some(error.to_string()),
                }
            }
        });
        let watch = Watch { heard, stream, thread: Some(thread) };
        wait_for("the first event", Duration::from_secs(5), || (!watch.heard().now.is_empty()).then_some(()));
        watch
    }

    /// Every change so far, oldest first; panics if the stream has ended.
    pub fn changes(&self) -> Vec<Change> {
        let heard = self.heard();
        assert_eq!(heard.ended, None, "the event stream ended");
        heard.changes.clone()
    }

    /// How many targets have this status now.
    pub fn count(&self, status: &str) -> usize {
        self.heard().now.values().filter(|(now, _)| now == status).count()
    }

    /// No target but these was ever called down; panics with the first that was.
    pub fn assert_down_only(&self, dead: &[&str]) {
        let changes = self.changes();
        let falsely = |change: &&Change| change.status == "down" && !dead.contains(&change.name.as_str());
        if let Some(first) = changes.iter().find(falsely) {
            let history: Vec<_> = changes.iter().filter(|change| change.name == first.name).collect();
            let all: BTreeSet<_> = changes.iter().filter(falsely).map(|change| &change.name).collect();
            panic!("{} living devices were called down, as {}: {history:#?}", all.len(), first.name);
        }
    }

    /// No target but these ever showed any loss; panics with those that did.
    pub fn assert_loss_only(&self, dead: &[&str]) {
        let heard = self.heard();
        let invented: Vec<_> = heard.loss.iter().filter(|(name, _)| !dead.contains(&name.as_str())).collect();
        assert!(
            invented.is_empty(),
            "{} living devices showed loss: {:?}",
            invented.len(),
            &invented[..invented.len().min(8)]
        );
    }

    /// The causes of every time that a target was unknown, and how often each, since `begin`.
    pub fn causes(&self, begin: Instant) -> BTreeMap<String, usize> {
        let changes = self.changes();
        let unknown = changes.iter().filter(|change| change.at >= begin && change.status == "unknown");
        unknown.filter_map(|change| change.cause.clone()).fold(BTreeMap::new(), |mut causes, cause| {
            *causes.entry(cause).or_default() += 1;
            causes
        })
    }

    /// Waits until every target but these answers (OK, or WARNING: the losses of a fault may count), and these are down.
    pub fn wait_normal(&self, dead: &[&str], limit: Duration) {
        let begin = Instant::now();
        while !self.is_normal(dead) {
            assert!(begin.elapsed() < limit, "not normal after {limit:?}: {:?}", self.abnormal(dead));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_normal(&self, dead: &[&str]) -> bool {
        self.abnormal(dead).is_empty()
    }

    fn abnormal(&self, dead: &[&str]) -> Vec<(String, String, Option<String>)> {
        let heard = self.heard();
        assert_eq!(heard.ended, None, "the event stream ended");
        let is_right = |name: &String, status: &String| match dead.contains(&name.as_str()) {
            true => status == "down",
            false => status == "ok" || status == "warning",
        };
        let wrong = heard.now.iter().filter(|(name, (status, _))| !is_right(name, status));
        wrong.map(|(name, (status, cause))| (name.clone(), status.clone(), cause.clone())).take(8).collect()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have been closed from the other side already.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // What it had to say is in `ended`.
            let _ = thread.join();
        }
    }
}

impl Heard {
    fn take(&mut self, event: &str, data: &str) {
        let data: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("no JSON ({error}): {data}"));
        if event == "tick" {
            for sample in data["samples"].as_array().unwrap_or_else(|| panic!("no samples in {data}")) {
                self.lost(sample[0].as_str(), sample[2].as_f64());
            }
            return;
        }
        for row in data["targets"].as_array().unwrap_or_else(|| panic!("no targets in {data}")) {
            self.lost(row["name"].as_str(), row["loss"].as_f64());
            let text = |key: &str| row[key].as_str().map(str::to_owned);
            let name = text("name").expect("a target has a name");
            let state = (text("status").expect("a target has a status"), text("cause"));
            if self.now.get(&name) != Some(&state) {
                let (status, cause) = state.clone();
                self.changes.push(Change { at: Instant::now(), name: name.clone(), status, cause });
                self.now.insert(name, state);
            }
        }
    }

    fn lost(&mut self, name: Option<&str>, loss: Option<f64>) {
        if let (Some(name), Some(loss)) = (name, loss.filter(|loss| *loss > 0.0)) {
            let most = self.loss.entry(name.to_owned()).or_default();
            *most = most.max(loss);
        }
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_stood_for_a_moment_is_kept_and_the_same_twice_is_one() {
        let mut heard = Heard::default();
        for (status, cause) in [("ok", "null"), ("down", "null"), ("ok", "null"), ("ok", "null")] {
            heard.take("change", &format!(r#"{{"targets":[{{"name":"a","status":"{status}","cause":{cause}}}]}}"#));
        }
        let statuses: Vec<&str> = heard.changes.iter().map(|change| change.status.as_str()).collect();
        assert_eq!(statuses, ["ok", "down", "ok"]);
    }

    #[test]
    fn the_greatest_loss_is_kept() {
        let mut heard = Heard::default();
        for loss in ["null", "0", "0.2", "0.1"] {
            heard.take("tick", &format!(r#"{{"samples":[["a",1.5,{loss},null,null],["b",1.5,0,null,null]]}}"#));
        }
        assert_eq!(heard.loss, BTreeMap::from([("a".to_owned(), 0.2)]));
    }
}
