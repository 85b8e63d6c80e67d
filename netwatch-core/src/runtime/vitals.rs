//! Counts what the watchdog judges, without ever making a part wait: each part leaves marks, and whoever asks reads them
//! from any thread.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use super::clock::Clock;
use super::watchdog::{Counted, Progress};
use crate::model::Mono;
use crate::probe::Probe;

/// Stands for no time at all.
const NEVER: u64 = u64::MAX;

/// A time that one part writes and others read; at first there is none.
struct Mark(AtomicU64);

impl Mark {
    fn set(&self, at: Option<Mono>) {
        self.0.store(at.map_or(NEVER, Mono::as_nanos), Ordering::Release);
    }

    fn get(&self) -> Option<Mono> {
        let nanos = self.0.load(Ordering::Acquire);
        (nanos != NEVER).then(|| Mono::from_nanos(nanos))
    }
}

impl Default for Mark {
    fn default() -> Mark {
        Mark(AtomicU64::new(NEVER))
    }
}

/// The marks of one netwatch.
#[derive(Default)]
pub(super) struct Vitals {
    started: OnceLock<Started>,
    driver_back: Mark,
    missing_since: Mark,
    committed: AtomicU64,
    answered: AtomicU64,
    begun_at: Mark,
    answered_at: Mark,
    deliveries: Mutex<UnderWay>,
}

/// What is known from the start on. The probes may end before whoever asks does.
struct Started {
    clock: Clock,
    probes: Vec<Weak<dyn Probe>>,
}

/// When each attempt and rendering under way is to have ended, by a number of its own.
#[derive(Default)]
struct UnderWay {
    number: u64,
    due: Vec<(u64, Mono)>,
}

impl Vitals {
    /// netwatch begins to run.
    pub(super) fn start<'a>(&self, clock: Clock, probes: impl Iterator<Item = &'a Arc<dyn Probe>>) {
        let probes = probes.map(Arc::downgrade).collect();
        // A netwatch runs once.
        let _ = self.started.set(Started { clock, probes });
        self.driver_back.set(Some(clock.now().mono));
    }

    /// How things stand.
    pub(super) fn progress(&self) -> Progress {
        match self.started.get() {
            Some(started) => self.counted(started).judge(started.clock.now().mono),
            None => Progress::default(),
        }
    }

    fn counted(&self, started: &Started) -> Counted {
        // Each count is read before the time that belongs to it, and written after it: a time may be too new, never
        // too old.
        let (committed, answered) = (self.committed.load(Ordering::Acquire), self.answered.load(Ordering::Acquire));
        let probes = started.probes.iter().filter_map(Weak::upgrade);
        Counted {
            engine_back: probes.filter_map(|probe| probe.due_back()).min(),
            missing_since: self.missing_since.get(),
            driver_back: self.driver_back.get(),
            committed,
            answered,
            begun_at: self.begun_at.get().unwrap_or(Mono::ZERO),
            answered_at: self.answered_at.get().unwrap_or(Mono::ZERO),
            delivery_due: self.lock().due.iter().map(|(_, due)| *due).min(),
        }
    }

    fn now(&self) -> Option<Mono> {
        self.started.get().map(|started| started.clock.now().mono)
    }

    /// The driver is to come round by then.
    pub(super) fn driver_back(&self, at: Mono) {
        self.driver_back.set(Some(at));
    }

    /// Since when results are missing.
    pub(super) fn results_missing(&self, since: Option<Mono>) {
        self.missing_since.set(since);
    }

    /// The driver hands a commit to the journal. Only the driver calls this.
    pub(super) fn committing(&self) {
        let committed = self.committed.load(Ordering::Relaxed);
        if committed == self.answered.load(Ordering::Acquire) {
            self.begun_at.set(self.now());
        }
        self.committed.store(committed.wrapping_add(1), Ordering::Release);
    }

    /// The journal has answered a commit. Only its thread calls this.
    pub(super) fn answered(&self) {
        self.answered_at.set(self.now());
        self.answered.fetch_add(1, Ordering::Release);
    }

    /// Something begins that is to have ended within `limit`. It has when what this returns is dropped.
    pub(super) fn begin(self: &Arc<Vitals>, limit: Duration) -> Delivering {
        let due = self.now().map_or(Mono::from_nanos(NEVER), |now| now.plus(limit));
        let mut open = self.lock();
        open.number = open.number.wrapping_add(1);
        let number = open.number;
        open.due.push((number, due));
        drop(open);
        Delivering { vitals: Arc::clone(self), number }
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.progress().fmt(f)
    }
}

/// An attempt or a rendering under way.
pub(super) struct Delivering {
    vitals: Arc<Vitals>,
    number: u64,
}

impl Drop for Delivering {
    fn drop(&mut self) {
        self.vitals.lock().due.retain(|(number, _)| *number != self.number);
    }
}

/// Held by the driver: once it is gone, however it ended, the monitor stands still.
pub(super) struct Running(pub(super) Arc<Vitals>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(now) = self.0.now() {
            self.0.driver_back.set(Some(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::watchdog::Part;
    use super::*;
    use crate::model::{Now, Wall};
    use tokio::time::advance;

    const S: Duration = Duration::from_secs(1);

    fn started() -> Arc<Vitals> {
        let vitals = Arc::new(Vitals::default());
        let clock = Clock::following_tokio(Now::new(Mono::from_nanos(5), Wall::from_unix_nanos(7)));
        vitals.start(clock, std::iter::empty());
        vitals.driver_back(Mono::from_nanos(5).plus(1000 * S));
        vitals
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_start_nothing_stands_still_and_after_the_end_the_monitor_does() {
        let vitals = Arc::new(Vitals::default());
        assert_eq!(vitals.progress(), Progress::default());
        let vitals = started();
        advance(10 * S).await;
        assert_eq!(vitals.progress().stuck(Duration::ZERO), []);
        drop(Running(vitals.clone()));
        advance(10 * S).await;
        assert_eq!(vitals.progress().standing(Part::Monitor), 10 * S);
    }

    #[tokio::test(start_paused = true)]
    async fn the_store_stands_still_from_the_last_answer_while_one_is_owed() {
        let vitals = started();
        vitals.committing();
        advance(3 * S).await;
        vitals.committing();
        assert_eq!(vitals.progress().standing(Part::Store), 3 * S);
        vitals.answered();
        advance(S).await;
        assert_eq!(vitals.progress().standing(Part::Store), S, "it has answered one since");
        vitals.answered();
        advance(100 * S).await;
        assert_eq!(vitals.progress().standing(Part::Store), Duration::ZERO);
        vitals.committing();
        advance(2 * S).await;
        assert_eq!(vitals.progress().standing(Part::Store), 2 * S, "its rest before that does not count");
    }

    #[tokio::test(start_paused = true)]
    async fn delivery_stands_still_from_when_the_first_attempt_was_to_end() {
        let vitals = started();
        let long = vitals.begin(60 * S);
        let short = vitals.begin(10 * S);
        advance(12 * S).await;
        assert_eq!(vitals.progress().standing(Part::Delivery), 2 * S);
        drop(short);
        assert_eq!(vitals.progress().standing(Part::Delivery), Duration::ZERO);
        advance(58 * S).await;
        assert_eq!(vitals.progress().standing(Part::Delivery), 10 * S);
        drop(long);
        assert_eq!(vitals.progress().standing(Part::Delivery), Duration::ZERO);
    }
}
