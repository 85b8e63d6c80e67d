//! Tells systemd how netwatch is (sd_notify(3)), from a thread of its own: one that shares nothing with what it watches,
//! so that it notices when that stands still, and is silent then.
//!
//! Without `$NOTIFY_SOCKET` there is no thread and nothing is told.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use netwatch_core::{Handle, Locale, Part};
use sd_notify::NotifyState;

use crate::heartbeat::listed;
use crate::words;

/// How often the parts are looked at if systemd does not watch: then only the status says that one stands still.
const UNWATCHED: Duration = Duration::from_secs(30);

/// What systemd is told.
#[derive(Debug)]
enum Word {
    Ready(String),
    Reloading,
    Stopping,
}

/// Where to say it.
#[derive(Debug, Clone)]
pub(crate) struct Supervisor {
    words: Option<Sender<Word>>,
    locale: Locale,
}

impl Supervisor {
    /// Starts the thread if systemd listens.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn begin(handle: Handle, locale: Locale) -> io::Result<Supervisor> {
        if std::env::var_os("NOTIFY_SOCKET").is_none_or(|path| path.is_empty()) {
            return Ok(Supervisor { words: None, locale });
        }
        let (words, heard) = channel();
        let watchdog = sd_notify::watchdog_enabled();
        let rounds = Rounds {
            heard,
            locale,
            is_watched: watchdog.is_some(),
            within: watchdog.unwrap_or(UNWATCHED),
            stuck: move |patience| handle.progress().stuck(patience),
            tell,
            status: String::new(),
            stands: false,
        };
        std::thread::Builder::new().name("netwatch-systemd".to_owned()).spawn(move || rounds.run())?;
        Ok(Supervisor { words: Some(words), locale })
    }

    /// It runs, and watches so many targets; also after a reload.
    pub(crate) fn ready(&self, targets: usize) {
        self.say(Word::Ready(format!("{targets} {}", words::watched(self.locale))));
    }

    /// The configuration is about to be read again. [`ready`](Supervisor::ready) or [`kept`](Supervisor::kept) ends that.
    pub(crate) fn reloading(&self) {
        self.say(Word::Reloading);
    }

    /// The old configuration stays.
    pub(crate) fn kept(&self) {
        self.say(Word::Ready(words::old_stays(self.locale).to_owned()));
    }

    /// It ends.
    pub(crate) fn stopping(&self) {
        self.say(Word::Stopping);
    }

    fn say(&self, word: Word) {
        if let Some(words) = &self.words {
            // The thread ends only when nobody is left to say anything.
            let _ = words.send(word);
        }
    }
}

/// The thread: what it was told, and what it looks at.
struct Rounds<Stuck, Tell> {
    heard: Receiver<Word>,
    locale: Locale,
    is_watched: bool,
    /// Within this time systemd wants to hear of progress.
    within: Duration,
    /// The parts that have stood still for so long.
    stuck: Stuck,
    tell: Tell,
    status: String,
    /// Whether a part stands still, and that was said.
    stands: bool,
}

impl<Stuck: Fn(Duration) -> Vec<Part>, Tell: FnMut(&[NotifyState<'_>])> Rounds<Stuck, Tell> {
    /// Runs until nobody is left to say anything. What stands still for half of systemd's time is not vouched for any
    /// more; every quarter of it that is looked at.
    fn run(mut self) {
        let every = self.within / 4;
        let mut next: Option<Instant> = None;
        loop {
            let word = match next {
                Some(at) => self.heard.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => self.heard.recv().map_err(|_gone| RecvTimeoutError::Disconnected),
            };
            match word {
                Ok(word) => {
                    let is_ready = matches!(word, Word::Ready(_));
                    self.pass_on(word);
                    if is_ready && next.is_none() {
                        next = Some(Instant::now());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    let late = next.map_or(Duration::ZERO, |at| now.duration_since(at));
                    // A process that stood still itself, parts and all, needs a moment before they can be judged.
                    let wait = if late > every / 2 {
                        every / 4
                    } else {
                        self.look();
                        every
                    };
                    next = Some(now.checked_add(wait).unwrap_or(now));
                }
            }
        }
    }

    fn pass_on(&mut self, word: Word) {
        match word {
            Word::Ready(status) => {
                (self.tell)(&[NotifyState::Ready, NotifyState::Status(&status)]);
                self.status = status;
            }
            Word::Reloading => {
                let mut states = vec![NotifyState::Reloading, NotifyState::Status(words::reading(self.locale))];
                states.extend(NotifyState::monotonic_usec_now().ok());
                (self.tell)(&states);
            }
            Word::Stopping => (self.tell)(&[NotifyState::Stopping, NotifyState::Status(words::stopping(self.locale))]),
        }
    }

    fn look(&mut self) {
        let stuck = (self.stuck)(self.within / 2);
        if stuck.is_empty() {
            if std::mem::take(&mut self.stands) {
                tracing::info!("every part of netwatch goes on again");
                (self.tell)(&[NotifyState::Status(&self.status)]);
            }
            if self.is_watched {
                (self.tell)(&[NotifyState::Watchdog]);
            }
        } else if !std::mem::replace(&mut self.stands, true) {
            let names = listed(&stuck);
            tracing::error!("netwatch does not go on: {names}");
            (self.tell)(&[NotifyState::Status(&format!("{} {names}", words::stuck(self.locale)))]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("systemd cannot be told how netwatch is: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::thread;

    use super::*;

    const WITHIN: Duration = Duration::from_millis(400);

    /// What was told while these words were said, each followed by a part that stands still, or not, for so long.
    fn told(is_watched: bool, said: Vec<(Option<Word>, bool, Duration)>) -> Vec<String> {
        let (say, heard) = channel();
        let (stands, notes) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (flag, out) = (Arc::clone(&stands), Arc::clone(&notes));
        let rounds = Rounds {
            heard,
            locale: Locale::En,
            is_watched,
            within: WITHIN,
            stuck: move |patience| {
                assert_eq!(patience, WITHIN / 2);
                if flag.load(Ordering::Relaxed) { vec![Part::Store] } else { Vec::new() }
            },
            tell: move |states: &[NotifyState<'_>]| {
                let words: Vec<String> = states.iter().map(ToString::to_string).collect();
                out.lock().unwrap().push(words.join(" "));
            },
            status: String::new(),
            stands: false,
        };
        let rounds = thread::spawn(move || rounds.run());
        for (word, stuck, time) in said {
            stands.store(stuck, Ordering::Relaxed);
            word.into_iter().for_each(|word| say.send(word).unwrap());
            thread::sleep(time);
        }
        drop(say);
        rounds.join().unwrap();
        Arc::into_inner(notes).unwrap().into_inner().unwrap()
    }

    fn fed(told: &[String]) -> usize {
        told.iter().filter(|word| *word == "WATCHDOG=1").count()
    }

    #[test]
    fn only_a_netwatch_that_is_ready_and_goes_on_is_fed() {
        let ready = || Some(Word::Ready("watching".to_owned()));
        let before = told(true, vec![(None, false, 2 * WITHIN)]);
        assert!(before.is_empty(), "{before:?}");
        let fine = told(true, vec![(ready(), false, 4 * WITHIN)]);
        assert_eq!(fine.first().unwrap(), "READY=1 STATUS=watching");
        assert!(fed(&fine) >= 8, "twice within its time at least: {fine:?}");
        let stuck = told(true, vec![(ready(), true, 4 * WITHIN)]);
        assert_eq!(stuck, ["READY=1 STATUS=watching", "STATUS=no progress: store"]);
        let again = told(true, vec![(ready(), true, 2 * WITHIN), (None, false, 2 * WITHIN)]);
        assert!(fed(&again) > 0 && again.contains(&"STATUS=watching".to_owned()), "{again:?}");
    }

    #[test]
    fn a_systemd_that_does_not_watch_is_told_the_rest() {
        let ready = Word::Ready("watching".to_owned());
        let said = vec![(Some(ready), true, 2 * WITHIN), (Some(Word::Stopping), true, Duration::ZERO)];
        assert_eq!(
            told(false, said),
            ["READY=1 STATUS=watching", "STATUS=no progress: store", "STOPPING=1 STATUS=stopping"]
        );
        let ready = Word::Ready("watching".to_owned());
        assert_eq!(fed(&told(false, vec![(Some(ready), false, 2 * WITHIN)])), 0);
    }
}
