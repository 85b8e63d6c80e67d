//! A journal in memory that fails and crashes on demand, and a notifier and a sink that write down what they are told.
//!
//! Each is a handle: clone it, hand one to netwatch, keep the other and look.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::journal::{CommitError, Journal, LoadError};
use crate::model::{
    Change, Commit, DeliveryError, Event, Notification, Outage, OutageId, Receipt, Sample, Saved, Start, Transition,
};
use crate::notify::Notifier;
use crate::sink::StatusSink;

/// A journal in memory: what was acknowledged is kept as long as a handle lives.
///
/// It can be told to [fail](MemoryJournal::fail_next), to [hang](MemoryJournal::hang), and to
/// [crash](MemoryJournal::crash), after which only handles from [`restart`](MemoryJournal::restart) work, on exactly
/// what had been committed.
///
/// ```
/// use netwatch_core::testing::MemoryJournal;
/// use netwatch_core::{Change, Commit, Journal, SavedNotifier};
///
/// let kept = MemoryJournal::new();
/// let mut given_away = kept.clone();
/// let commit = Commit::new(1, vec![Change::PutNotifier(SavedNotifier::new("noc", None))]);
///
/// kept.fail_next(1);
/// assert!(given_away.commit(&commit).is_err());
/// given_away.commit(&commit).unwrap();
/// assert!(kept.saved().notifiers.contains_key("noc"));
///
/// let mut next_run = kept.restart();
/// assert!(given_away.commit(&commit).is_err(), "that program is dead");
/// assert_eq!(next_run.load().unwrap(), kept.saved());
/// ```
#[derive(Debug, Clone)]
pub struct MemoryJournal {
    disk: Arc<Disk>,
    life: u64,
}

#[derive(Debug, Default)]
struct Disk {
    content: Mutex<DiskContent>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct DiskContent {
    saved: Saved,
    outages: BTreeMap<OutageId, Outage>,
    commits: Vec<Commit>,
    life: u64,
    failures: usize,
    hanging: bool,
    hung: usize,
    crash: Option<bool>,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> MemoryJournal {
        MemoryJournal::holding(Saved::default())
    }

    /// A journal that holds this from an earlier run.
    pub fn holding(saved: Saved) -> MemoryJournal {
        let disk = Disk { content: Mutex::new(DiskContent { saved, ..DiskContent::default() }), ..Disk::default() };
        MemoryJournal { disk: Arc::new(disk), life: 0 }
    }

    /// What a start would find now.
    pub fn saved(&self) -> Saved {
        self.disk.content().saved.clone()
    }

    /// The record of outages, which [`Saved`] does not hold.
    pub fn outages(&self) -> BTreeMap<OutageId, Outage> {
        self.disk.content().outages.clone()
    }

    /// All commits that took effect, over all runs.
    pub fn commits(&self) -> Vec<Commit> {
        self.disk.content().commits.clone()
    }

    /// Lets the next `count` commits fail without effect.
    pub fn fail_next(&self, count: usize) {
        self.disk.content().failures = count;
    }

    /// Lets commits block, as on a disk that does not answer, until [`go_on`](MemoryJournal::go_on) or a crash.
    pub fn hang(&self) {
        self.disk.content().hanging = true;
    }

    /// Lets commits that block, and later ones, take effect.
    pub fn go_on(&self) {
        self.disk.content().hanging = false;
        self.disk.changed.notify_all();
    }

    /// How many commits block at this moment.
    pub fn hung(&self) -> usize {
        self.disk.content().hung
    }

    /// The program dies: every handle there is fails from now on, and a commit that blocks is lost.
    pub fn crash(&self) {
        self.disk.content().die();
        self.disk.changed.notify_all();
    }

    /// The program dies during the next commit, before that takes effect.
    pub fn crash_before_next(&self) {
        self.disk.content().crash = Some(false);
    }

    /// The program dies during the next commit, after that has taken effect and before it hears of it.
    pub fn crash_after_next(&self) {
        self.disk.content().crash = Some(true);
    }

    /// Ends the present run as [`crash`](MemoryJournal::crash) does and opens the journal for the next one: the disk
    /// is well again and holds exactly what was committed.
    #[must_use]
    pub fn restart(&self) -> MemoryJournal {
        self.crash();
        let mut content = self.disk.content();
        (content.failures, content.hanging, content.crash) = (0, false, None);
        MemoryJournal { disk: Arc::clone(&self.disk), life: content.life }
    }

    fn dead() -> String {
        "the program that held this handle crashed; restart() gives a new one".to_owned()
    }
}

impl Default for MemoryJournal {
    fn default() -> MemoryJournal {
        MemoryJournal::new()
    }
}

impl Disk {
    fn content(&self) -> MutexGuard<'_, DiskContent> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskContent {
    fn die(&mut self) {
        self.life += 1;
    }

    fn apply(&mut self, commit: &Commit) {
        self.saved.apply(commit);
        for change in &commit.changes {
            if let Change::PutOutage(outage) = change {
                self.outages.insert(outage.id, outage.clone());
            }
        }
        self.commits.push(commit.clone());
    }
}

impl Journal for MemoryJournal {
    fn load(&mut self) -> Result<Saved, LoadError> {
        let content = self.disk.content();
        if self.life != content.life {
            return Err(LoadError::new("memory", MemoryJournal::dead()));
        }
        Ok(content.saved.clone())
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), CommitError> {
        let failed = |reason: String| Err(CommitError::new("memory", reason));
        let mut content = self.disk.content();
        content.hung += 1;
        while content.hanging && self.life == content.life {
            content = self.disk.changed.wait(content).unwrap_or_else(PoisonError::into_inner);
        }
        content.hung -= 1;
        if self.life != content.life {
            return failed(MemoryJournal::dead());
        }
        if let Some(takes_effect) = content.crash.take() {
            if takes_effect {
                content.apply(commit);
            }
            content.die();
            return failed(MemoryJournal::dead());
        }
        if let Some(left) = content.failures.checked_sub(1) {
            content.failures = left;
            return failed("it was told to fail".to_owned());
        }
        content.apply(commit);
        Ok(())
    }
}

/// A notifier that accepts everything, unless told otherwise, and writes down every attempt.
///
/// ```
/// use netwatch_core::testing::RecordingNotifier;
/// use netwatch_core::DeliveryError;
///
/// let kept = RecordingNotifier::new();
/// kept.answer_next(Err(DeliveryError::before_content("421 come back later")));
/// // hand a clone to netwatch; its first attempt fails, the second is accepted
/// let given_away = kept.clone();
/// # drop(given_away);
/// assert!(kept.attempts().is_empty());
/// ```
#[derive(Debug, Clone, Default)]
pub struct RecordingNotifier {
    told: Arc<Mutex<NotifierLog>>,
}

#[derive(Debug, Default)]
struct NotifierLog {
    attempts: Vec<Notification>,
    accepted: Vec<Notification>,
    script: VecDeque<Answer>,
}

#[derive(Debug)]
enum Answer {
    Is(Result<Receipt, DeliveryError>),
    Never,
}

impl RecordingNotifier {
    /// A notifier that accepts everything.
    pub fn new() -> RecordingNotifier {
        RecordingNotifier::default()
    }

    /// The next attempt for which nothing is scripted yet ends like this.
    pub fn answer_next(&self, result: Result<Receipt, DeliveryError>) {
        held(&self.told).script.push_back(Answer::Is(result));
    }

    /// The next attempt for which nothing is scripted yet never ends by itself.
    pub fn hang_next(&self) {
        held(&self.told).script.push_back(Answer::Never);
    }

    /// Every attempt so far, whatever became of it.
    pub fn attempts(&self) -> Vec<Notification> {
        held(&self.told).attempts.clone()
    }

    /// The attempts that ended in a receipt.
    pub fn accepted(&self) -> Vec<Notification> {
        held(&self.told).accepted.clone()
    }
}

#[async_trait]
impl Notifier for RecordingNotifier {
    async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
        let answer = {
            let mut told = held(&self.told);
            told.attempts.push(notification.clone());
            let answer = told.script.pop_front();
            if matches!(answer, None | Some(Answer::Is(Ok(_)))) {
                told.accepted.push(notification.clone());
            }
            answer
        };
        match answer {
            None => Ok(Receipt::accepted(&notification.recipients)),
            Some(Answer::Is(result)) => result,
            Some(Answer::Never) => std::future::pending().await,
        }
    }
}

/// A sink that writes down all it is told.
///
/// ```
/// use netwatch_core::testing::RecordingSink;
/// let kept = RecordingSink::new();
/// let given_away = kept.clone(); // hand this one to netwatch
/// # drop(given_away);
/// assert!(kept.transitions().is_empty() && !kept.is_stopped());
/// ```
#[derive(Debug, Clone, Default)]
pub struct RecordingSink {
    told: Arc<Mutex<SinkLog>>,
}

#[derive(Debug, Default)]
struct SinkLog {
    starts: Vec<Start>,
    transitions: Vec<Transition>,
    samples: Vec<Sample>,
    events: Vec<Event>,
    stopped: bool,
}

impl RecordingSink {
    /// A sink that was told nothing yet.
    pub fn new() -> RecordingSink {
        RecordingSink::default()
    }

    /// Every start, reloads included.
    pub fn starts(&self) -> Vec<Start> {
        held(&self.told).starts.clone()
    }

    /// All changes of status, in order.
    pub fn transitions(&self) -> Vec<Transition> {
        held(&self.told).transitions.clone()
    }

    /// All samples that arrived.
    pub fn samples(&self) -> Vec<Sample> {
        held(&self.told).samples.clone()
    }

    /// All other events, in order.
    pub fn events(&self) -> Vec<Event> {
        held(&self.told).events.clone()
    }

    /// Whether the last call has come.
    pub fn is_stopped(&self) -> bool {
        held(&self.told).stopped
    }
}

#[async_trait]
impl StatusSink for RecordingSink {
    async fn start(&self, start: &Start) {
        held(&self.told).starts.push(start.clone());
    }

    async fn transitions(&self, changed: &[Transition]) {
        held(&self.told).transitions.extend_from_slice(changed);
    }

    async fn samples(&self, samples: &[Sample]) {
        held(&self.told).samples.extend_from_slice(samples);
    }

    async fn events(&self, events: &[Event]) {
        held(&self.told).events.extend_from_slice(events);
    }

    async fn stop(&self) {
        held(&self.told).stopped = true;
    }
}

/// A test that panicked elsewhere is no reason to hide what was recorded.
fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
