//! What is told: lines owed to a notifier, the mail that carries them, and what became of it.
//!
//! "Mail" stands for whatever a notifier sends. A line waits in the outbox, is drafted together with everything else
//! that is owed, is rendered to [`Content`], and travels as a [`Notification`].

use std::sync::Arc;
use std::time::Duration;

use super::incident::Topic;
use super::ledger::Hold;
use super::outage::Outage;
use super::time::Wall;

/// Names an owed line: unique in a journal, in the order in which lines were owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId(u64);

impl LineId {
    /// The line of this number.
    pub const fn new(number: u64) -> LineId {
        LineId(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Names a mail: unique in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailId(u64);

impl MailId {
    /// The mail of this number.
    pub const fn new(number: u64) -> MailId {
        MailId(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LineKind {
    /// An outage became due and is still open.
    Opened,
    /// An outage that was told of has ended.
    Closed,
    /// An outage became due and ended before anybody could be told: both facts in one line.
    Missed,
}

impl LineKind {
    /// A stable name.
    pub const fn code(self) -> &'static str {
        match self {
            LineKind::Opened => "opened",
            LineKind::Closed => "closed",
            LineKind::Missed => "missed",
        }
    }

    /// The kind that [`code`](LineKind::code) names.
    pub fn from_code(code: &str) -> Option<LineKind> {
        [LineKind::Opened, LineKind::Closed, LineKind::Missed].into_iter().find(|kind| kind.code() == code)
    }

    /// Whether the line brings an outage that was not told before.
    pub const fn brings_outage(self) -> bool {
        matches!(self, LineKind::Opened | LineKind::Missed)
    }
}

/// The device a line speaks of, as it was configured when the line was owed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subject {
    /// Its name.
    pub name: Arc<str>,
    /// Its address as configured.
    pub address: Arc<str>,
    /// Its group.
    pub group: Option<Arc<str>>,
    /// Its note.
    pub note: Option<Arc<str>>,
    /// How many customers it serves.
    pub customers: Option<u32>,
}

impl Subject {
    /// A device of this name and address, with nothing more to say of it.
    pub fn new(name: impl Into<Arc<str>>, address: impl Into<Arc<str>>) -> Subject {
        Subject { name: name.into(), address: address.into(), group: None, note: None, customers: None }
    }
}

/// What lies behind a device and is cut off with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Behind {
    /// How many devices.
    pub devices: u32,
    /// How many customers they serve, its own not counted.
    pub customers: u64,
}

impl Behind {
    /// So many devices, which serve so many customers.
    pub fn new(devices: u32, customers: u64) -> Behind {
        Behind { devices, customers }
    }
}

/// One thing that a notifier is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// Its name.
    pub id: LineId,
    /// What it tells.
    pub kind: LineKind,
    /// What it is about.
    pub topic: Topic,
    /// Of which device; nameless if of none in particular.
    pub subject: Subject,
    /// Of which outage, or when the other topic began and ended.
    pub outage: Outage,
    /// Whether it passes group interval, budget and hours.
    pub critical: bool,
    /// Whether it came from another notifier, that could not deliver it or whose people did not acknowledge it.
    pub escalated: bool,
    /// The devices that netwatch cannot see, or the notifier that delivers nothing, by name.
    pub members: Arc<[Arc<str>]>,
    /// How often the flapping device went up or down.
    pub changes: u32,
    /// What is cut off with the device, as of the last draft.
    pub behind: Behind,
    /// When it became owed.
    pub owed_at: Wall,
}

impl Line {
    /// A line about the outage of a device, owed since `owed_at`.
    pub fn new(id: LineId, kind: LineKind, subject: Subject, outage: Outage, owed_at: Wall) -> Line {
        Line {
            id,
            kind,
            topic: Topic::Outage,
            subject,
            outage,
            critical: false,
            escalated: false,
            members: Arc::default(),
            changes: 0,
            behind: Behind::default(),
            owed_at,
        }
    }
}

/// How many devices of a group are down.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupCount {
    /// The group, by name.
    pub name: Arc<str>,
    /// How many of its devices are down or cut off.
    pub down: u32,
    /// How many it has.
    pub total: u32,
}

impl GroupCount {
    /// So many of so many.
    pub fn new(name: impl Into<Arc<str>>, down: u32, total: u32) -> GroupCount {
        GroupCount { name: name.into(), down, total }
    }
}

/// Why a mail says how everything stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StandingKind {
    /// It is time to say what is still down.
    Reminder,
    /// It is the time of day for it.
    Summary,
}

/// A line that waits, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// The device, by name.
    pub target: Arc<str>,
    /// For what it waited.
    pub hold: Hold,
    /// Since when.
    pub since: Wall,
}

impl Held {
    /// A line about this device has waited for this since then.
    pub fn new(target: impl Into<Arc<str>>, hold: Hold, since: Wall) -> Held {
        Held { target: target.into(), hold, since }
    }
}

/// How everything stands, as a reminder or a summary says it. Its lists hold the 100 that matter most.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// Why it is said.
    pub kind: StandingKind,
    /// Outages that were told and are open, those with the most customers first.
    pub open: Vec<Line>,
    /// How many there are.
    pub open_total: usize,
    /// Devices that are slow or lossy.
    pub warnings: Vec<Subject>,
    /// How many there are.
    pub warnings_total: usize,
}

impl Standing {
    /// Nothing is open and nothing is slow.
    pub fn new(kind: StandingKind) -> Standing {
        Standing { kind, open: Vec::new(), open_total: 0, warnings: Vec::new(), warnings_total: 0 }
    }
}

/// A mail that is about to leave: facts, not yet words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Draft {
    /// The mail.
    pub id: MailId,
    /// To be carried by the notifier of this name.
    pub notifier: Arc<str>,
    /// Everything owed to that notifier, oldest first.
    pub lines: Vec<Line>,
    /// When it was drafted.
    pub at: Wall,
    /// When the oldest line could first have been delivered, if an earlier attempt failed: mails are late since then.
    pub late_since: Option<Wall>,
    /// How everything stands, if that is to be said too.
    pub standing: Option<Standing>,
    /// How many devices are down in the groups of the devices that the mail names.
    pub groups: Vec<GroupCount>,
    /// What was kept back from earlier mails and is in this one.
    pub held: Vec<Held>,
    /// Whether half of all answering targets fell silent at once: the core, or netwatch's own uplink.
    pub core: bool,
}

impl Draft {
    /// A draft of these lines.
    pub fn new(id: MailId, notifier: impl Into<Arc<str>>, lines: Vec<Line>, at: Wall) -> Draft {
        Draft {
            id,
            notifier: notifier.into(),
            lines,
            at,
            late_since: None,
            standing: None,
            groups: Vec::new(),
            held: Vec::new(),
            core: false,
        }
    }
}

/// The words of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Content {
    /// One line, without line ends.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

impl Content {
    /// These words.
    pub fn new(subject: impl Into<String>, text: impl Into<String>, html: impl Into<String>) -> Content {
        Content { subject: subject.into(), text: text.into(), html: html.into() }
    }
}

/// A mail on its way. From here on its content and Message-ID are frozen until the server has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notification {
    /// The mail.
    pub id: MailId,
    /// The notifier that carries it, by name.
    pub notifier: Arc<str>,
    /// The same for every copy of this mail, angle brackets included (RFC 5322, 3.6.4).
    pub message_id: Arc<str>,
    /// The Message-ID of the mail that this one answers.
    pub in_reply_to: Option<Arc<str>>,
    /// When it was written.
    pub date: Wall,
    /// Who is still to get it; empty where the notifier has no such notion.
    pub recipients: Vec<Arc<str>>,
    /// Its words.
    pub content: Arc<Content>,
    /// Its facts.
    pub lines: Arc<[Line]>,
}

impl Notification {
    /// A notification to try a notifier with.
    pub fn new(id: MailId, message_id: impl Into<Arc<str>>, date: Wall, content: Content) -> Notification {
        Notification {
            id,
            notifier: "".into(),
            message_id: message_id.into(),
            in_reply_to: None,
            date,
            recipients: Vec::new(),
            content: Arc::new(content),
            lines: Vec::new().into(),
        }
    }
}

/// What the far side said to a notification that it accepted, for at least one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Receipt {
    /// Who gets it.
    pub accepted: Vec<Arc<str>>,
    /// Who could not be served now (4xx) and is tried again, with the reason.
    pub deferred: Vec<(Arc<str>, String)>,
    /// Who was refused for good (5xx), with the reason.
    pub refused: Vec<(Arc<str>, String)>,
    /// What somebody should put right although it was accepted, without secrets; it is told of as
    /// [`Event::Trouble`](crate::Event::Trouble).
    pub remark: Option<Arc<str>>,
}

impl Receipt {
    /// Accepted for all of these.
    pub fn accepted(recipients: &[Arc<str>]) -> Receipt {
        Receipt { accepted: recipients.to_vec(), ..Receipt::default() }
    }

    /// The same, with something that should be put right.
    #[must_use]
    pub fn with_remark(mut self, remark: impl Into<Arc<str>>) -> Receipt {
        self.remark = Some(remark.into());
        self
    }
}

/// How far an attempt had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Certainly nothing was handed over: the mail may be written anew.
    BeforeContent,
    /// The content was under way: the far side may have it. Every further copy must be the same.
    Uncertain,
}

/// A delivery that did not succeed. Whether it is tried again is not the notifier's business: it is, always.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{message}")]
pub struct DeliveryError {
    /// What happened and with whom, without secrets.
    pub message: String,
    /// How far it came.
    pub stage: Stage,
    /// Whether the far side refused for good (5xx), rather than for now.
    pub permanent: bool,
    /// Recipients refused for good on the way, with the reason.
    pub refused: Vec<(Arc<str>, String)>,
    /// How long the far side asked to be left alone. The next attempt waits at least this long, but no longer than an
    /// hour for its sake.
    pub retry_after: Option<Duration>,
}

impl DeliveryError {
    /// Nothing was handed over; it may well work the next time.
    pub fn before_content(message: impl Into<String>) -> DeliveryError {
        DeliveryError {
            message: message.into(),
            stage: Stage::BeforeContent,
            permanent: false,
            refused: Vec::new(),
            retry_after: None,
        }
    }

    /// The far side may have the content.
    pub fn uncertain(message: impl Into<String>) -> DeliveryError {
        DeliveryError { stage: Stage::Uncertain, ..DeliveryError::before_content(message) }
    }

    /// The far side refused for good, before or after it had the content; it does not keep a copy.
    pub fn permanent(message: impl Into<String>) -> DeliveryError {
        DeliveryError { permanent: true, ..DeliveryError::before_content(message) }
    }

    /// The same, with what the far side said about when to come again.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> DeliveryError {
        self.retry_after = wait;
        self
    }
}
