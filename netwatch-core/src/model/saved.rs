//! What must survive a crash: the records of the journal, and the commits that change them.
//!
//! A [`Commit`] is all or nothing: a transition and what is owed for it are never apart. Every change carries the
//! whole record, so that applying a commit twice, or a later one alone, leaves the truth.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::incident::Incident;
use super::mail::{Content, Line, LineId, MailId};
use super::maintenance::{Maintenance, MaintenanceId};
use super::outage::{Outage, OutageId};
use super::status::Status;
use super::time::Wall;

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedTarget {
    /// Its name.
    pub name: Arc<str>,
    /// Its status.
    pub status: Status,
    /// Since when it has that status.
    pub since: Wall,
    /// Its last answer, as of this record.
    pub last_good: Option<Wall>,
    /// The outage that is open.
    pub outage: Option<Outage>,
    /// How much of that outage's silence netwatch has seen.
    pub silent_for: Duration,
    /// How long it has been seen to answer again.
    pub answered_for: Duration,
    /// Whether that outage lost what explained it, so that it has to last at least as long as the settle time.
    pub guarded: bool,
}

impl SavedTarget {
    /// A target with this status and no outage.
    pub fn new(name: impl Into<Arc<str>>, status: Status, since: Wall) -> SavedTarget {
        SavedTarget {
            name: name.into(),
            status,
            since,
            last_good: None,
            outage: None,
            silent_for: Duration::ZERO,
            answered_for: Duration::ZERO,
            guarded: false,
        }
    }
}

/// A mail that has been written and not yet been answered for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedMail {
    /// Its name.
    pub id: MailId,
    /// The notifier that carries it.
    pub notifier: Arc<str>,
    /// See [`Notification::message_id`](super::Notification::message_id).
    pub message_id: Arc<str>,
    /// See [`Notification::in_reply_to`](super::Notification::in_reply_to).
    pub in_reply_to: Option<Arc<str>>,
    /// When it was written.
    pub date: Wall,
    /// Who is still to get it.
    pub recipients: Vec<Arc<str>>,
    /// Whether others have it already: its lines are told.
    pub told: bool,
    /// Its words.
    pub content: Arc<Content>,
    /// Its facts.
    pub lines: Vec<Line>,
}

impl SavedMail {
    /// A mail of these words and facts, dated `date`.
    pub fn new(
        id: MailId,
        notifier: impl Into<Arc<str>>,
        message_id: impl Into<Arc<str>>,
        date: Wall,
        content: Arc<Content>,
        lines: Vec<Line>,
    ) -> SavedMail {
        let (notifier, message_id) = (notifier.into(), message_id.into());
        SavedMail {
            id,
            notifier,
            message_id,
            in_reply_to: None,
            date,
            recipients: Vec::new(),
            told: false,
            content,
            lines,
        }
    }
}

/// The last outage of a target that a notifier was told of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told {
    /// The notifier, by name.
    pub notifier: Arc<str>,
    /// The target, by name.
    pub target: Arc<str>,
    /// Which outage.
    pub outage: OutageId,
    /// The mail that told it.
    pub message_id: Arc<str>,
    /// When the server accepted that mail.
    pub at: Wall,
    /// Whether its end was told too.
    pub ended: bool,
}

impl Told {
    /// This outage was told in the mail accepted at `at`.
    pub fn new(
        notifier: impl Into<Arc<str>>,
        target: impl Into<Arc<str>>,
        outage: OutageId,
        message_id: impl Into<Arc<str>>,
        at: Wall,
        ended: bool,
    ) -> Told {
        Told { notifier: notifier.into(), target: target.into(), outage, message_id: message_id.into(), at, ended }
    }
}

/// What is known of a notifier.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedNotifier {
    /// Its name.
    pub name: Arc<str>,
    /// When a mail of its was last accepted.
    pub last_sent: Option<Wall>,
    /// When it was last told how everything stands.
    pub last_standing: Option<Wall>,
}

impl SavedNotifier {
    /// This notifier.
    pub fn new(name: impl Into<Arc<str>>, last_sent: Option<Wall>) -> SavedNotifier {
        SavedNotifier { name: name.into(), last_sent, last_standing: None }
    }
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Key {
    /// A target, by name.
    Target(Arc<str>),
    /// An outage in the record of outages.
    Outage(OutageId),
    /// An owed line.
    Line(LineId),
    /// A written mail.
    Mail(MailId),
    /// What a notifier (first) was told of a target (second).
    Told(Arc<str>, Arc<str>),
    /// A notifier, by name.
    Notifier(Arc<str>),
    /// An incident.
    Incident(OutageId),
    /// A maintenance that was entered.
    Maintenance(MaintenanceId),
    /// The sign of life.
    Alive,
}

/// One record put in place or taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The target is as given.
    PutTarget(SavedTarget),
    /// The target of this name is watched no more.
    DropTarget(Arc<str>),
    /// The outage is as given. Outages are kept for ever: they are the record.
    PutOutage(Outage),
    /// The notifier of this name is owed this line.
    PutLine(Arc<str>, Line),
    /// The line is owed no more.
    DropLine(LineId),
    /// The mail is written as given.
    PutMail(SavedMail),
    /// The mail is answered for, or to be written anew.
    DropMail(MailId),
    /// What a notifier was told.
    PutTold(Told),
    /// What a notifier (first) was told of this (second) matters no more.
    DropTold(Arc<str>, Arc<str>),
    /// The incident is as given.
    PutIncident(Incident),
    /// The incident is over, and everybody is owed its end.
    DropIncident(OutageId),
    /// The maintenance is as given; it has an id.
    PutMaintenance(Maintenance),
    /// The maintenance is over.
    DropMaintenance(MaintenanceId),
    /// The notifier is as given.
    PutNotifier(SavedNotifier),
    /// netwatch was at work at this time: what answered before still did.
    PutAlive(Wall),
}

impl Change {
    /// What it is about. Of two changes with one key only the later counts.
    pub fn key(&self) -> Key {
        match self {
            Change::PutTarget(target) => Key::Target(target.name.clone()),
            Change::DropTarget(name) => Key::Target(name.clone()),
            Change::PutOutage(outage) => Key::Outage(outage.id),
            Change::PutLine(_, line) => Key::Line(line.id),
            Change::DropLine(id) => Key::Line(*id),
            Change::PutMail(mail) => Key::Mail(mail.id),
            Change::DropMail(id) => Key::Mail(*id),
            Change::PutTold(told) => Key::Told(told.notifier.clone(), told.target.clone()),
            Change::DropTold(notifier, target) => Key::Told(notifier.clone(), target.clone()),
            Change::PutIncident(incident) => Key::Incident(incident.id()),
            Change::DropIncident(id) => Key::Incident(*id),
            Change::PutMaintenance(maintenance) => Key::Maintenance(maintenance.id.unwrap_or(MaintenanceId::new(0))),
            Change::DropMaintenance(id) => Key::Maintenance(*id),
            Change::PutNotifier(notifier) => Key::Notifier(notifier.name.clone()),
            Change::PutAlive(_) => Key::Alive,
        }
    }
}

/// Changes that take effect together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Commit {
    /// Counts up from 1 in each run of the program.
    pub seq: u64,
    /// At most one for each [`Key`].
    pub changes: Vec<Change>,
}

impl Commit {
    /// These changes.
    pub fn new(seq: u64, changes: Vec<Change>) -> Commit {
        Commit { seq, changes }
    }
}

/// All that a journal holds; what [`Journal::load`](crate::Journal::load) gives back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Saved {
    /// By name.
    pub targets: BTreeMap<Arc<str>, SavedTarget>,
    /// Owed lines with the notifier they are owed to.
    pub lines: BTreeMap<LineId, (Arc<str>, Line)>,
    /// Mails written and not answered for.
    pub mails: BTreeMap<MailId, SavedMail>,
    /// By notifier and target.
    pub told: BTreeMap<(Arc<str>, Arc<str>), Told>,
    /// By name.
    pub notifiers: BTreeMap<Arc<str>, SavedNotifier>,
    /// What goes on besides the outages of devices.
    pub incidents: BTreeMap<OutageId, Incident>,
    /// Maintenance that was entered.
    pub maintenance: BTreeMap<MaintenanceId, Maintenance>,
    /// When the last run was last known to be at work.
    pub alive_at: Option<Wall>,
    /// The highest number any outage, line or mail ever had; the next one is higher.
    pub last_number: u64,
}

impl Saved {
    /// What the journal holds after `commit`. This is the meaning of a commit; a store must agree with it.
    ///
    /// The record of outages is not part of what a start needs, so only their numbers are kept here.
    pub fn apply(&mut self, commit: &Commit) {
        for change in &commit.changes {
            match change {
                Change::PutTarget(target) => {
                    self.targets.insert(target.name.clone(), target.clone());
                }
                Change::DropTarget(name) => {
                    self.targets.remove(name);
                }
                Change::PutOutage(outage) => self.saw(outage.id.number()),
                Change::PutLine(notifier, line) => {
                    self.saw(line.id.number());
                    self.saw(line.outage.id.number());
                    self.lines.insert(line.id, (notifier.clone(), line.clone()));
                }
                Change::DropLine(id) => {
                    self.saw(id.number());
                    self.lines.remove(id);
                }
                Change::PutMail(mail) => {
                    self.saw(mail.id.number());
                    self.mails.insert(mail.id, mail.clone());
                }
                Change::DropMail(id) => {
                    self.saw(id.number());
                    self.mails.remove(id);
                }
                Change::PutTold(told) => {
                    self.saw(told.outage.number());
                    self.told.insert((told.notifier.clone(), told.target.clone()), told.clone());
                }
                Change::DropTold(notifier, target) => {
                    self.told.remove(&(notifier.clone(), target.clone()));
                }
                Change::PutIncident(incident) => {
                    self.saw(incident.id().number());
                    self.incidents.insert(incident.id(), incident.clone());
                }
                Change::DropIncident(id) => {
                    self.saw(id.number());
                    self.incidents.remove(id);
                }
                Change::PutMaintenance(maintenance) => {
                    let id = maintenance.id.unwrap_or(MaintenanceId::new(0));
                    self.saw(id.number());
                    self.maintenance.insert(id, maintenance.clone());
                }
                Change::DropMaintenance(id) => {
                    self.saw(id.number());
                    self.maintenance.remove(id);
                }
                Change::PutNotifier(notifier) => {
                    self.notifiers.insert(notifier.name.clone(), notifier.clone());
                }
                Change::PutAlive(at) => self.alive_at = Some(*at),
            }
        }
    }

    fn saw(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
    }
}
