//! The ledger: for every decision about a mail, why it was sent or not.

use std::sync::Arc;
use std::time::Duration;

use super::outage::OutageId;
use super::sample::Cause;
use super::time::Wall;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// When it was taken.
    pub at: Wall,
    /// About which device, by name; empty if about netwatch itself.
    pub target: Arc<str>,
    /// About which outage.
    pub outage: Option<OutageId>,
    /// For which notifier, by name; `None` if for all of them.
    pub notifier: Option<Arc<str>>,
    /// What, and why.
    pub decision: Decision,
}

impl LedgerEntry {
    /// A decision about a device, for all notifiers.
    pub fn new(at: Wall, target: Arc<str>, outage: Option<OutageId>, decision: Decision) -> LedgerEntry {
        LedgerEntry { at, target, outage, notifier: None, decision }
    }

    /// The same for this notifier only.
    #[must_use]
    pub fn for_notifier(mut self, notifier: Arc<str>) -> LedgerEntry {
        self.notifier = Some(notifier);
        self
    }
}

/// What keeps a line from leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hold {
    /// Others that fail with it are waited for.
    GroupWait,
    /// The last mail was too short a time ago.
    GroupInterval,
    /// The device was told of too short a time ago, or any device under the budget "all".
    Budget,
    /// The notifier speaks at other hours.
    Hours,
    /// The mail path fails: the next attempt has its time.
    Retry,
    /// The device is flapping: this waits until it settles.
    Flapping,
    /// A mail of the same kind left less than 10 min ago.
    Rationed,
}

impl Hold {
    /// A stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Hold::GroupWait => "group_wait",
            Hold::GroupInterval => "group_interval",
            Hold::Budget => "budget",
            Hold::Hours => "hours",
            Hold::Retry => "retry",
            Hold::Flapping => "flapping",
            Hold::Rationed => "rationed",
        }
    }
}

/// A decision with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// The first silent check: shown, and not told before the tolerance is over.
    Opened {
        /// The tolerance.
        tolerance: Duration,
    },
    /// It ended before its tolerance was over: nobody is told.
    TooShort {
        /// From the last answer before it to the first one after it.
        silent_for: Duration,
        /// The tolerance.
        tolerance: Duration,
    },
    /// The tolerance is over: it is told.
    Due,
    /// A parent that is down explains it: it is counted there and not told.
    Explained {
        /// The parent, by name.
        parent: Arc<str>,
    },
    /// Its tolerance is over, and a check of this parent that began after it fell silent is waited for.
    AwaitsParent {
        /// The parent, by name.
        parent: Arc<str>,
    },
    /// What explained it is gone: it has its whole tolerance again.
    ParentReturned {
        /// How much silence makes it due.
        tolerance: Duration,
    },
    /// It is in maintenance: it is not told before that ends and its tolerance has passed again.
    InMaintenance {
        /// Why, in somebody's words.
        reason: Arc<str>,
        /// Until when.
        until: Wall,
    },
    /// It was silent, or could not be asked, and that is not its fault: nothing is concluded.
    Unknown {
        /// Why.
        cause: Cause,
    },
    /// It answers again and is watched until it has settled.
    Answers,
    /// It closed.
    Closed,
    /// A line was owed.
    Owed,
    /// The device is not among those that this notifier is for.
    OutOfScope,
    /// This notifier wants no recoveries.
    NoRecovery,
    /// The line waits.
    Held {
        /// For what.
        hold: Hold,
        /// Until then at the latest, as far as is known; `None` if it waits for something that has no time.
        until: Option<Wall>,
    },
    /// It began and ended before a mail left: both are told in one line.
    ToldAtOnce,
    /// It belongs to a flapping device and is told as one of its changes.
    Folded,
    /// A mail that names it was accepted.
    Sent {
        /// The mail.
        message_id: Arc<str>,
    },
    /// A mail that names it was not accepted; it stays owed.
    NotAccepted {
        /// What the other side said.
        reason: String,
    },
    /// It went to this notifier too, because it was not acknowledged or could not be delivered.
    Escalated,
    /// Somebody acknowledged it: no reminders and no escalation.
    Acknowledged {
        /// Who.
        by: Arc<str>,
    },
    /// It began to change too often.
    Flapping {
        /// How often within the last hour.
        changes: u32,
    },
    /// It changes no more.
    Settled {
        /// How often it had changed.
        changes: u32,
    },
    /// Somebody rehearses an outage of it.
    Drill {
        /// Who.
        by: Arc<str>,
    },
    /// It was over before it could be told, and nobody need know of it any more.
    Moot,
    /// It is watched no more.
    Removed,
    /// It goes on under a new name.
    Renamed {
        /// The old name.
        from: Arc<str>,
    },
}

impl Decision {
    /// A stable name.
    pub const fn code(&self) -> &'static str {
        match self {
            Decision::Opened { .. } => "opened",
            Decision::TooShort { .. } => "too_short",
            Decision::Due => "due",
            Decision::Explained { .. } => "explained",
            Decision::AwaitsParent { .. } => "awaits_parent",
            Decision::ParentReturned { .. } => "parent_returned",
            Decision::InMaintenance { .. } => "in_maintenance",
            Decision::Unknown { .. } => "unknown",
            Decision::Answers => "answers",
            Decision::Closed => "closed",
            Decision::Owed => "owed",
            Decision::OutOfScope => "out_of_scope",
            Decision::NoRecovery => "no_recovery",
            Decision::Held { .. } => "held",
            Decision::ToldAtOnce => "told_at_once",
            Decision::Folded => "folded",
            Decision::Sent { .. } => "sent",
            Decision::NotAccepted { .. } => "not_accepted",
            Decision::Escalated => "escalated",
            Decision::Acknowledged { .. } => "acknowledged",
            Decision::Flapping { .. } => "flapping",
            Decision::Settled { .. } => "settled",
            Decision::Drill { .. } => "drill",
            Decision::Moot => "moot",
            Decision::Removed => "removed",
            Decision::Renamed { .. } => "renamed",
        }
    }
}
