//! What sinks are told: where things stand at the start, every change of status, and what became of outages and mails.

use std::sync::Arc;

use super::ledger::LedgerEntry;
use super::mail::MailId;
use super::maintenance::Maintenance;
use super::outage::Outage;
use super::plan::{GroupId, Plan};
use super::sample::Cause;
use super::status::Status;
use super::target::TargetId;
use super::time::{Now, Wall};

/// A target changed its status, or the cause of its being UNKNOWN (then `from` and `to` are the same).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// Which.
    pub target: TargetId,
    /// Its name.
    pub name: Arc<str>,
    /// What it was.
    pub from: Status,
    /// What it is.
    pub to: Status,
    /// When that was decided.
    pub at: Wall,
    /// Since when it is so: for DOWN the last answer, else the end of the check that showed it.
    pub since: Wall,
    /// The last answer.
    pub last_good: Option<Wall>,
    /// Why it is UNKNOWN.
    pub cause: Option<Cause>,
}

impl Transition {
    /// A change of status that was decided at `at`, with no last answer and no cause to tell.
    pub fn new(target: TargetId, name: impl Into<Arc<str>>, from: Status, to: Status, at: Wall) -> Transition {
        Transition { target, name: name.into(), from, to, at, since: at, last_good: None, cause: None }
    }
}

/// How a target stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TargetView {
    /// Which.
    pub target: TargetId,
    /// Its status.
    pub status: Status,
    /// Since when; see [`Transition::since`].
    pub since: Wall,
    /// The last answer.
    pub last_good: Option<Wall>,
    /// Why it is UNKNOWN.
    pub cause: Option<Cause>,
    /// The outage that is open. A target that answers and still has one is recovering.
    pub outage: Option<Outage>,
    /// Whether it goes up and down too often to be told of each time.
    pub flapping: bool,
    /// Whether it is in maintenance.
    pub maintenance: bool,
}

impl TargetView {
    /// A target of which nothing is known.
    pub fn pending(target: TargetId, since: Wall) -> TargetView {
        TargetView {
            target,
            status: Status::Pending,
            since,
            last_good: None,
            cause: None,
            outage: None,
            flapping: false,
            maintenance: false,
        }
    }
}

/// Where things stand when a sink begins to listen.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Start {
    /// Both clocks at that moment.
    pub now: Now,
    /// What netwatch is to do.
    pub plan: Arc<Plan>,
    /// One for each target, in the plan's order.
    pub targets: Vec<TargetView>,
}

impl Start {
    /// This plan, with its targets as given.
    pub fn new(now: Now, plan: Arc<Plan>, targets: Vec<TargetView>) -> Start {
        Start { now, plan, targets }
    }
}

/// What became of an attempt to deliver a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryOutcome {
    /// The server accepted it (250) for these recipients.
    Sent,
    /// Not now; it is tried again then.
    Deferred {
        /// When.
        retry_at: Wall,
    },
    /// These recipients were refused for good.
    Failed,
}

/// An attempt to deliver a mail ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// When.
    pub at: Wall,
    /// The notifier, by name.
    pub notifier: Arc<str>,
    /// The mail.
    pub mail: MailId,
    /// Its Message-ID.
    pub message_id: Arc<str>,
    /// The recipients that this record is about.
    pub recipients: Vec<Arc<str>>,
    /// Its subject.
    pub subject: String,
    /// What became of it for them.
    pub outcome: DeliveryOutcome,
    /// What the server or the system said, for DEFERRED and FAILED.
    pub reason: Option<String>,
    /// The devices that the mail names, by name.
    pub targets: Vec<Arc<str>>,
}

impl Delivery {
    /// An attempt that ended so at `at`, about no recipient and no device yet.
    pub fn new(
        at: Wall,
        notifier: impl Into<Arc<str>>,
        mail: MailId,
        message_id: impl Into<Arc<str>>,
        outcome: DeliveryOutcome,
    ) -> Delivery {
        Delivery {
            at,
            notifier: notifier.into(),
            mail,
            message_id: message_id.into(),
            recipients: Vec::new(),
            subject: String::new(),
            outcome,
            reason: None,
            targets: Vec::new(),
        }
    }
}

/// Something worth showing or writing down, other than a status change or a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An outage opened.
    OutageOpened(TargetId, Outage),
    /// An outage became due: from here it is owed to the notifiers.
    OutageDue(TargetId, Outage),
    /// An outage closed.
    OutageClosed(TargetId, Outage),
    /// Somebody sees to an outage.
    Acknowledged(TargetId, Outage),
    /// Whether a target goes up and down too often to be told of each time.
    Flapping {
        /// Which.
        target: TargetId,
        /// Since when; `None` once it has settled.
        since: Option<Wall>,
    },
    /// Whether a target is in maintenance.
    Maintenance {
        /// Which.
        target: TargetId,
        /// Which maintenance; `None` once it is over.
        maintenance: Option<Maintenance>,
    },
    /// Whether netwatch itself is cut off.
    Blind {
        /// Since when; `None` once it sees again.
        since: Option<Wall>,
    },
    /// A decision about a mail, with its reason.
    Ledger(LedgerEntry),
    /// An attempt to deliver ended.
    Delivery(Delivery),
    /// How the mail path of a notifier stands. Told whenever it changes.
    MailPath {
        /// The notifier, by name.
        notifier: Arc<str>,
        /// Lines that wait for a mail.
        waiting: usize,
        /// Since when attempts have been failing without one that succeeded.
        failing_since: Option<Wall>,
        /// When something was last accepted.
        last_sent: Option<Wall>,
        /// What the last failure said.
        error: Option<String>,
    },
    /// Whether what is decided can be committed.
    Journal {
        /// Since when it cannot; `None` once it can again.
        failing_since: Option<Wall>,
        /// What the last failure said. Without one: what is wrong with the place although commits take effect.
        error: Option<String>,
    },
    /// Whether the router before a group is suspected of limiting the rate of our echoes.
    Limiter {
        /// When that was decided.
        at: Wall,
        /// The group.
        group: GroupId,
        /// Whether it is.
        suspected: bool,
    },
    /// A sink did not keep up, and samples were kept from it. Told once a minute at most while it goes on.
    SamplesDropped {
        /// The sink, by name.
        sink: &'static str,
        /// How many since the start.
        total: u64,
    },
    /// Something that a person should read in the error log.
    Trouble {
        /// When.
        at: Wall,
        /// Which part of netwatch says so.
        component: &'static str,
        /// What, and what to do.
        message: String,
    },
}
