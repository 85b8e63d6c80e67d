//! What is yet to happen in a world: what netwatch waits for, and what its operators and its machine will do.

use std::sync::Arc;

use super::fate::Fate;
use super::operator::Operators;
use crate::model::{Commit, Content, DeliveryError, MailId, Mono, Notification, Receipt, Testimony};

/// Something that netwatch waits for.
#[derive(Debug)]
pub(super) enum What {
    /// The check of this device that is under way ends.
    Check(usize),
    /// A witness was asked; `again` says whether it is the one of every 2 s.
    Testimony { witness: usize, at: Mono, testimony: Testimony, again: bool },
    /// It is time to ask a witness again.
    AskWitness(usize),
    /// A commit is answered; whether it took effect.
    Committed(Box<Commit>, bool),
    /// The words of a mail are found.
    Composed(MailId, Content),
    /// A server has a mail for these recipients.
    Taken(Arc<Notification>, Vec<Arc<str>>),
    /// An attempt ends.
    Answered(Box<Answer>),
}

/// How an attempt ends.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) mail: Arc<Notification>,
    pub(super) result: Result<Receipt, DeliveryError>,
}

/// Something with its time; of two at the same time the one that was put first comes first.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) at: Mono,
    pub(super) order: u64,
    pub(super) what: What,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Queued) -> bool {
        self.order == other.order
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Queued) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Queued) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Something that is done to netwatch whether it runs or not; it learns of it once it does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// This machine has a link from now on, or has none.
    Connected(bool),
    /// The configuration is the one of this number.
    Reload(usize),
    /// Somebody acknowledges something that is down.
    Acknowledge,
    /// Somebody rehearses an outage of something.
    Drill,
    /// Somebody enters the maintenance of this number.
    Enter(usize),
    /// Somebody ends it before its time.
    End(usize),
}

/// Everything that will be done, in the order of time.
pub(super) fn agenda(fate: &Fate, operators: &Operators) -> Vec<(Mono, Act)> {
    let mut agenda: Vec<(Mono, Act)> = Vec::new();
    for span in fate.unplugged.iter() {
        agenda.extend([(span.from, Act::Connected(false)), (span.to, Act::Connected(true))]);
    }
    let versions = operators.versions.iter().enumerate().skip(1);
    agenda.extend(versions.map(|(number, version)| (version.written, Act::Reload(number))));
    agenda.extend(operators.acknowledge.iter().map(|at| (*at, Act::Acknowledge)));
    agenda.extend(operators.drills.iter().map(|at| (*at, Act::Drill)));
    for (number, work) in operators.works.iter().enumerate() {
        agenda.push((work.at, Act::Enter(number)));
        agenda.extend(work.ends_after.map(|after| (work.at.plus(after), Act::End(number))));
    }
    agenda.sort_by_key(|(at, _)| *at);
    agenda
}
