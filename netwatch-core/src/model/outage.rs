//! An outage: it opens with the first silent check, becomes due, and closes.

use std::sync::Arc;

use super::time::Wall;

/// Names an outage for ever: unique in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutageId(u64);

impl OutageId {
    /// The outage of this number.
    pub const fn new(number: u64) -> OutageId {
        OutageId(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Somebody knows of an outage and sees to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ack {
    /// When that was said.
    pub at: Wall,
    /// Who.
    pub by: Arc<str>,
    /// In their words; may be empty.
    pub note: Arc<str>,
}

impl Ack {
    /// Said by `by` at `at`.
    pub fn new(at: Wall, by: impl Into<Arc<str>>, note: impl Into<Arc<str>>) -> Ack {
        Ack { at, by: by.into(), note: note.into() }
    }
}

/// What is recorded of an outage.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outage {
    /// Its name.
    pub id: OutageId,
    /// The device, by name.
    pub target: Arc<str>,
    /// The last answer before it; `None` if the device never answered. The stopwatch counts from here.
    pub last_good: Option<Wall>,
    /// When the first silent check began.
    pub first_bad: Wall,
    /// When it had lasted for the tolerance, and was owed to the notifiers.
    pub due: Option<Wall>,
    /// The first answer after it, once the device had answered for the settle time.
    pub closed: Option<Wall>,
    /// Whether it closed because the device is watched no more.
    pub removed: bool,
    /// Who sees to it.
    pub ack: Option<Arc<Ack>>,
}

impl Outage {
    /// An outage that has just opened.
    pub fn open(id: OutageId, target: Arc<str>, last_good: Option<Wall>, first_bad: Wall) -> Outage {
        Outage { id, target, last_good, first_bad, due: None, closed: None, removed: false, ack: None }
    }

    /// When it began: the last answer, or the first silent check if there was none.
    pub fn started(&self) -> Wall {
        self.last_good.unwrap_or(self.first_bad)
    }
}
