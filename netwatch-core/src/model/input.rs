//! Everything that happens, as the pure half is told of it: a record of these replays exactly.

use std::sync::Arc;

use super::mail::{Content, DeliveryError, MailId, Receipt};
use super::maintenance::{Maintenance, MaintenanceId};
use super::plan::Plan;
use super::sample::Sample;
use super::time::Mono;

/// The place of a witness in the plan's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WitnessId(u16);

impl WitnessId {
    /// The witness at this place; places beyond `u16::MAX` become the last one.
    pub fn from_index(index: usize) -> WitnessId {
        WitnessId(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// The place in the plan's list of witnesses.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What asking a witness gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Testimony {
    /// It answered.
    Answered,
    /// It is known not to have answered.
    Silent,
    /// It could not be asked, or nothing is known of it: it does not count.
    Missing,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// Checks have finished.
    Samples(Arc<Vec<Sample>>),
    /// A witness was asked.
    Witness {
        /// Which.
        witness: WitnessId,
        /// When it was first asked in this check.
        at: Mono,
        /// What that gave.
        testimony: Testimony,
    },
    /// Whether this machine has a link and a route.
    Connected(bool),
    /// The commit of this number has taken effect.
    Committed(u64),
    /// The commit of this number has not.
    CommitFailed(u64, String),
    /// The words of a draft.
    Composed(MailId, Content),
    /// An attempt to deliver has ended.
    Delivered(MailId, Result<Receipt, DeliveryError>),
    /// A time has come.
    Timeout,
    /// Somebody acknowledges the open outage of a device.
    Acknowledge {
        /// The device, by name.
        target: Arc<str>,
        /// Who.
        by: Arc<str>,
        /// In their words; may be empty.
        note: Arc<str>,
    },
    /// Somebody rehearses an outage of a device.
    Drill {
        /// The device, by name.
        target: Arc<str>,
        /// Who.
        by: Arc<str>,
    },
    /// Somebody enters a maintenance; its id is given by the monitor.
    Maintain(Maintenance),
    /// Somebody ends a maintenance that was entered.
    EndMaintenance(MaintenanceId),
    /// The plan is another one from now on.
    Reload(Arc<Plan>),
    /// The program is about to end.
    Stop,
}
