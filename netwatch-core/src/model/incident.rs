//! What is told of besides the outages of devices: each has a beginning and an end like an outage, and is told like one.

use std::sync::Arc;

use super::outage::{Outage, OutageId};
use super::sample::Cause;
use super::trouble::Trouble;

/// What a line speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Topic {
    /// A device does not answer.
    Outage,
    /// A device goes up and down too often to tell of each time.
    Flapping,
    /// netwatch cannot see some devices, for this cause.
    Unseen(Cause),
    /// netwatch is cut off.
    Blind,
    /// Something is wrong with netwatch itself.
    Trouble(Trouble),
    /// A rehearsal: an outage that is none, to see whether those whom it would concern hear of it.
    Drill,
}

/// Begins what is remembered of anything but the outages of a device. No name has a control character.
const MARK: char = '\u{1f}';

impl Topic {
    /// A stable name.
    pub fn code(self) -> &'static str {
        match self {
            Topic::Outage => "outage",
            Topic::Flapping => "flapping",
            Topic::Unseen(_) => "unseen",
            Topic::Blind => "blind",
            Topic::Trouble(trouble) => trouble.code(),
            Topic::Drill => "drill",
        }
    }

    /// The topic that a [`code`](Topic::code) names, with the cause of one that has a cause.
    pub fn from_code(code: &str, cause: Option<Cause>) -> Option<Topic> {
        match (code, cause) {
            ("outage", _) => Some(Topic::Outage),
            ("flapping", _) => Some(Topic::Flapping),
            ("unseen", Some(cause)) => Some(Topic::Unseen(cause)),
            ("blind", _) => Some(Topic::Blind),
            ("drill", _) => Some(Topic::Drill),
            (code, _) => Trouble::from_code(code).map(Topic::Trouble),
        }
    }

    /// Whether a mail with nothing else in it is outside the budget: it waits for none and uses none up.
    pub const fn is_outside_budget(self) -> bool {
        matches!(self, Topic::Blind | Topic::Trouble(_) | Topic::Drill)
    }

    /// Whether it is told no more than once in 10 min.
    pub const fn is_rationed(self) -> bool {
        matches!(self, Topic::Blind | Topic::Trouble(_))
    }

    /// Whether something is remembered under this name about the outages of a device.
    pub fn is_device(memory: &str) -> bool {
        !memory.starts_with(MARK)
    }

    /// Under what name a notifier remembers that it was told of this.
    pub fn memory(self, outage: &Outage) -> Arc<str> {
        match self {
            Topic::Outage => outage.target.clone(),
            topic => format!("{MARK}{}{MARK}{}", topic.code(), outage.id.number()).into(),
        }
    }
}

/// Something that goes on and was, or is to be, told of, other than the outage of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incident {
    /// What it is.
    pub topic: Topic,
    /// When it began and ended, under a number of its own. Its target is the device for flapping and a drill, else empty.
    pub outage: Outage,
    /// The devices that netwatch cannot see, or the notifier that delivers nothing, by name.
    pub members: Arc<[Arc<str>]>,
    /// How often the flapping device went up or down so far.
    pub changes: u32,
}

impl Incident {
    /// One with no device and no change yet.
    pub fn new(topic: Topic, outage: Outage) -> Incident {
        Incident { topic, outage, members: Arc::default(), changes: 0 }
    }

    /// Its name.
    pub fn id(&self) -> OutageId {
        self.outage.id
    }
}
