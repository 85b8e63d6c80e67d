//! [`TextFiles`]: takes what the runtime tells and leaves it for the thread that writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use super::line;
use super::pace::Stale;
use super::status_file::Row;
use super::writer::{self, Inbox, Shared};
use crate::model::{Event, Sample, Start, Status, Transition, Wall};
use crate::sink::StatusSink;

/// The text files in the data directory: `server_status.txt`, `mail_log.txt`, `error_log.txt`.
///
/// * `server_status.txt` has one line a target, in configuration order:
///   `name<TAB>address<TAB>STATUS<TAB>rtt_ms<TAB>since`. STATUS is OK, WARNING, NO RESPONDE, UNREACHABLE, UNKNOWN or
///   PENDING; rtt_ms is the median of the last check with three decimals, or `-` while the target does not answer. The
///   file is replaced atomically, at most once a second and for at most 1 % of a core (a fifth of that while no status
///   changes), and a last time at the stop.
/// * `mail_log.txt`: `time<TAB>SENT|DEFERRED|FAILED<TAB>message-id<TAB>recipients<TAB>subject`, recipients separated by
///   commas, or `-` for a notifier that has none.
/// * `error_log.txt`: `time<TAB>component<TAB>message`.
///
/// Times are RFC 3339 with milliseconds, in the system's zone (`TZ`, `/etc/localtime`). In every field `\t`, `\n`, `\r`,
/// `\\` and `\u{..}` stand for the characters that would break the format. Both logs move to `.1` .. `.5` at 10 MiB.
/// The files have mode 0640.
///
/// A disk that cannot be written is reported once through `tracing` and tried again; up to 10,000 lines of each log
/// wait for it.
#[derive(Debug)]
pub struct TextFiles {
    dir: PathBuf,
    zone: TimeZone,
    shared: Arc<Shared>,
}

impl TextFiles {
    /// The text files in `dir`, which should exist. Nothing is written before the first call as a sink.
    pub fn new(dir: impl Into<PathBuf>) -> TextFiles {
        TextFiles { dir: dir.into(), zone: TimeZone::system(), shared: Arc::default() }
    }

    /// Leaves something for the thread, sees to it that there is one, and wakes it if that changes what it waits for.
    fn leave(&self, put: impl FnOnce(&mut Inbox)) {
        let mut inbox = self.shared.inbox();
        let before = inbox.stale;
        put(&mut inbox);
        let wakes = inbox.stale > before || inbox.stopping || !inbox.lines.is_empty();
        if !inbox.running {
            match writer::spawn(Arc::clone(&self.shared), &self.dir, self.zone.clone()) {
                Ok(()) => inbox.running = true,
                Err(error) => tracing::warn!(%error, "no thread to write the text files; trying again"),
            }
        }
        drop(inbox);
        if wakes {
            self.shared.ring();
        }
    }
}

#[async_trait]
impl StatusSink for TextFiles {
    async fn start(&self, start: &Start) {
        let pending = Row::new(Status::Pending, start.now.wall);
        let mut rows = vec![pending; start.plan.targets.len()];
        for view in &start.targets {
            if let Some(row) = rows.get_mut(view.target.index()) {
                row.become_so(view.status, view.since);
            }
        }
        self.leave(|inbox| {
            inbox.plan = Some(Arc::clone(&start.plan));
            inbox.rows = rows;
            inbox.stale = Stale::Statuses;
            inbox.stopping = false;
        });
    }

    async fn transitions(&self, changed: &[Transition]) {
        self.leave(|inbox| {
            for transition in changed {
                if let Some(row) = inbox.rows.get_mut(transition.target.index()) {
                    row.become_so(transition.to, transition.since);
                    inbox.stale = Stale::Statuses;
                }
            }
        });
    }

    async fn samples(&self, samples: &[Sample]) {
        self.leave(|inbox| {
            for sample in samples {
                if let Some(row) = inbox.rows.get_mut(sample.target.index()) {
                    row.measured(sample.median_rtt());
                    inbox.stale = inbox.stale.max(Stale::Rtts);
                }
            }
        });
    }

    async fn events(&self, events: &[Event]) {
        let now = Wall::from(SystemTime::now());
        let lines: Vec<_> = events.iter().flat_map(|event| line::of_event(&self.zone, now, event)).collect();
        if !lines.is_empty() {
            self.leave(|inbox| inbox.lines.extend(lines));
        }
    }

    async fn stop(&self) {
        let (sender, stopped) = oneshot::channel();
        {
            let mut inbox = self.shared.inbox();
            if !inbox.running {
                return;
            }
            inbox.stopping = true;
            inbox.stale = if inbox.plan.is_some() { Stale::Statuses } else { Stale::No };
            inbox.stopped.push(sender);
        }
        self.shared.ring();
        // An error says that the thread died; there is nothing left to wait for.
        drop(stopped.await);
    }
}

impl Drop for TextFiles {
    fn drop(&mut self) {
        self.shared.inbox().stopping = true;
        self.shared.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::model::{Delivery, DeliveryOutcome, Echo, MailId, Mono, Now, Plan, Rtt, Target, TargetId, TargetView};

    const T0: Wall = Wall::from_unix_nanos(1_795_317_120_000_000_000);

    fn start() -> Start {
        let target = |name: &str| Target::at(name, "192.0.2.1".parse().unwrap());
        let plan = Arc::new(Plan::new(vec![target("olt-1"), target("olt-2")]));
        let mut down = TargetView::pending(TargetId::from_index(1), T0);
        down.status = Status::Down;
        let views = vec![TargetView::pending(TargetId::from_index(0), T0), down];
        Start::new(Now::new(Mono::ZERO, T0), plan, views)
    }

    fn to_ok(index: usize) -> Transition {
        Transition {
            target: TargetId::from_index(index),
            name: "olt-1".into(),
            from: Status::Pending,
            to: Status::Ok,
            at: T0,
            since: T0,
            last_good: Some(T0),
            cause: None,
        }
    }

    fn sample(index: usize, micros: u64) -> Sample {
        let echo = Echo::Reply(Rtt::from_duration(Duration::from_micros(micros)));
        Sample::new(TargetId::from_index(index), Mono::ZERO, Mono::ZERO, [echo].into_iter().collect())
    }

    fn trouble(message: &str) -> Event {
        Event::Trouble { at: T0, component: "test", message: message.to_owned() }
    }

    async fn becomes(path: &Path, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let text = fs::read_to_string(path).unwrap_or_default();
            if wanted(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "{} is still: {text}", path.display());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn statuses(text: &str) -> Vec<(&str, &str, &str)> {
        let fields = |line: &'_ str| line.split('\t').count() == 5;
        assert!(text.lines().all(fields), "{text}");
        text.lines().map(|line| line.split('\t').collect::<Vec<_>>()).map(|f| (f[0], f[2], f[3])).collect()
    }

    #[tokio::test]
    async fn the_status_file_follows_from_start_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server_status.txt");
        let files = TextFiles::new(dir.path());
        files.start(&start()).await;
        let text = becomes(&path, |text| !text.is_empty()).await;
        assert_eq!(statuses(&text), [("olt-1", "PENDING", "-"), ("olt-2", "NO RESPONDE", "-")]);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);

        files.transitions(&[to_ok(0)]).await;
        files.samples(&[sample(0, 1_234), sample(1, 5_000), sample(7, 1)]).await;
        let text = becomes(&path, |text| text.contains("1.234")).await;
        assert_eq!(statuses(&text), [("olt-1", "OK", "1.234"), ("olt-2", "NO RESPONDE", "-")]);

        files.samples(&[sample(0, 2_000)]).await;
        files.stop().await;
        assert!(fs::read_to_string(&path).unwrap().contains("\tOK\t2.000\t"), "written at the stop");
    }

    #[tokio::test]
    async fn the_status_file_is_written_at_the_stop_although_nothing_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server_status.txt");
        let files = TextFiles::new(dir.path());
        files.start(&start()).await;
        becomes(&path, |text| !text.is_empty()).await;
        fs::remove_file(&path).unwrap();
        files.stop().await;
        assert!(path.exists());
    }

    #[tokio::test]
    async fn the_status_file_is_replaced_at_most_once_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server_status.txt");
        let files = TextFiles::new(dir.path());
        files.start(&start()).await;
        let (began, mut seen) = (Instant::now(), BTreeSet::new());
        while seen.is_empty() || began.elapsed() < Duration::from_millis(1_700) {
            files.samples(&[sample(0, 1)]).await;
            if let Ok(metadata) = path.metadata() {
                seen.insert((metadata.mtime(), metadata.mtime_nsec(), metadata.ino()));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
        assert!((1..=seconds + 1).contains(&seen.len()), "{} in {:?}", seen.len(), began.elapsed());
    }

    #[tokio::test]
    async fn events_reach_their_logs_before_the_stop_returns() {
        let dir = tempfile::tempdir().unwrap();
        let files = TextFiles::new(dir.path());
        let sent = Event::Delivery(Delivery {
            at: T0,
            notifier: "file".into(),
            mail: MailId::new(1),
            message_id: "<1@netwatch>".into(),
            recipients: Vec::new(),
            subject: "OK: olt-1".to_owned(),
            outcome: DeliveryOutcome::Sent,
            reason: None,
            targets: Vec::new(),
        });
        files.events(&[sent, trouble("first")]).await;
        files.events(&[trouble("second")]).await;
        files.stop().await;
        let mail = fs::read_to_string(dir.path().join("mail_log.txt")).unwrap();
        assert_eq!(mail.split_once('\t').unwrap().1, "SENT\t<1@netwatch>\t-\tOK: olt-1\n");
        let error = fs::read_to_string(dir.path().join("error_log.txt")).unwrap();
        let lines: Vec<_> = error.lines().map(|line| line.split_once('\t').unwrap().1).collect();
        assert_eq!(lines, ["test\tfirst", "test\tsecond"]);
        assert!(!dir.path().join("server_status.txt").exists(), "there was no start");
    }

    #[tokio::test]
    async fn a_disk_that_cannot_be_written_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let later = dir.path().join("later");
        let files = TextFiles::new(&later);
        let logs_alone = TextFiles::new(&later);
        files.start(&start()).await;
        logs_alone.events(&[trouble("while away")]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        fs::create_dir(&later).unwrap();
        becomes(&later.join("server_status.txt"), |text| text.contains("olt-1")).await;
        becomes(&later.join("error_log.txt"), |text| text.contains("while away")).await;
    }

    #[tokio::test]
    async fn what_is_left_is_written_when_the_sink_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let files = TextFiles::new(dir.path());
        files.start(&start()).await;
        files.transitions(&[to_ok(0), to_ok(1)]).await;
        drop(files);
        let path = dir.path().join("server_status.txt");
        becomes(&path, |text| text.matches("\tOK\t").count() == 2).await;
    }
}
