//! What is written down of a history: everything that netwatch decided and everything that was done to it, in order.

use std::sync::Arc;

use super::fate::{Fate, Halt};
use super::network::Device;
use super::operator::{Operators, Version};
use super::options::WorldOptions;
use super::span::Spans;
use crate::model::{
    Draft, Event, MailId, MaintenanceId, Mono, Notification, Now, Outage, Saved, TargetView, Transition,
};

/// One thing that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Happening {
    /// The program began to run under the version of this number.
    Started(usize),
    /// The program ceased to run.
    Halted(Halt),
    /// The version of this number was taken over while it ran.
    Reloaded(usize),
    /// A status changed.
    Transition(Transition),
    /// Something worth showing happened.
    Event(Event),
    /// A mail was drafted.
    Drafted(Draft),
    /// An attempt to deliver began.
    Attempted(Notification),
    /// A server took a mail for these recipients.
    Taken(Arc<Notification>, Vec<Arc<str>>),
    /// An attempt ended: who was refused for good, and what else went wrong.
    Answered {
        /// The mail.
        mail: MailId,
        /// Its Message-ID.
        message_id: Arc<str>,
        /// Its notifier.
        notifier: Arc<str>,
        /// Whether a server said that it took it.
        is_accepted: bool,
        /// Who was refused for good.
        refused: Vec<Arc<str>>,
        /// What went wrong.
        error: Option<String>,
    },
    /// Somebody acknowledged what is down; what the monitor said to that.
    Acknowledged {
        /// Which device.
        device: usize,
        /// What the monitor said.
        outage: Option<Outage>,
    },
    /// Somebody entered the maintenance of this number among the works.
    Maintained(usize, MaintenanceId),
    /// Somebody ended it; whether the monitor knew it.
    Finished(usize, bool),
    /// A commit did not take effect.
    CommitFailed(u64),
}

/// One thing that happened, and when.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry {
    /// When.
    pub now: Now,
    /// How many steps the world had taken.
    pub step: u64,
    /// What.
    pub what: Happening,
}

/// Something that cannot be seen in the record afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Oddity {
    /// When.
    pub at: Mono,
    /// At which step.
    pub step: u64,
    /// What is odd.
    pub message: String,
}

/// A whole history, with all that was true in it.
#[derive(Debug)]
#[non_exhaustive]
pub struct History {
    /// What it was made of.
    pub options: WorldOptions,
    /// The devices.
    pub devices: Vec<Device>,
    /// Checks of each device that chance alone made silent.
    pub unlucky: Vec<Spans>,
    /// What befell netwatch.
    pub fate: Fate,
    /// What the operators wanted.
    pub operators: Operators,
    /// What happened.
    pub entries: Vec<Entry>,
    /// What broke a rule at once.
    pub oddities: Vec<Oddity>,
    /// What the journal holds at the end.
    pub saved: Saved,
    /// How every target stands at the end.
    pub views: Vec<TargetView>,
    /// The end.
    pub end: Now,
    /// How many checks were made.
    pub checks: u64,
    /// How many steps the world took.
    pub steps: u64,
}

impl History {
    /// The last version of the configuration.
    pub fn last_version(&self) -> Option<&Version> {
        self.operators.versions.last()
    }
}
