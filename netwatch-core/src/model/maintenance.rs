//! Maintenance: times at which outages are expected, so that nobody is told of those that open in them.

use std::sync::Arc;

use super::calendar::Calendar;
use super::scope::Scope;

/// Names an ad hoc maintenance: unique in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaintenanceId(u64);

impl MaintenanceId {
    /// The maintenance of this number.
    pub const fn new(number: u64) -> MaintenanceId {
        MaintenanceId(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// When which targets are worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintenance {
    /// Its name if it was entered ad hoc; `None` for one of the configuration.
    pub id: Option<MaintenanceId>,
    /// Which targets.
    pub scope: Scope,
    /// When.
    pub calendar: Calendar,
    /// Why, in somebody's words; may be empty.
    pub reason: Arc<str>,
    /// Who entered it; empty for one of the configuration.
    pub by: Arc<str>,
}

impl Maintenance {
    /// Maintenance of these targets at these times.
    pub fn new(scope: Scope, calendar: Calendar) -> Maintenance {
        Maintenance { id: None, scope, calendar, reason: "".into(), by: "".into() }
    }
}
