//! Who carries out what a technician asks for on the page or by the API: the trait [`Operator`].

use async_trait::async_trait;
use netwatch_core::{Maintenance, MaintenanceId, Outage};

/// What was asked for was not done. The text is for the technician: what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// It speaks of something that does not exist; answered with 404.
    #[error("{0}")]
    NotFound(String),
    /// It makes no sense as things stand; answered with 409.
    #[error("{0}")]
    Conflict(String),
    /// netwatch does not run; answered with 503.
    #[error("{0}")]
    Unavailable(String),
}

/// Carries out what a technician asks for.
///
/// The caller has checked that the request may be made, and the shape of what it says: names and notes are of sensible
/// length and without control characters, a maintenance has an end and a reason. The implementer answers for the rest,
/// and comes back within seconds.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Says that `by` sees to the open outage of a target, with a note that may be empty. Gives that outage.
    ///
    /// # Errors
    /// When there is no such target, or it has no open outage.
    async fn acknowledge(&self, target: &str, by: &str, note: &str) -> Result<Outage, OperatorError>;

    /// Rehearses an outage of a target on behalf of `by`. Gives what is told.
    ///
    /// # Errors
    /// When there is no such target, nobody would be told, or the last drill was a short time ago.
    async fn drill(&self, target: &str, by: &str) -> Result<Outage, OperatorError>;

    /// Enters a maintenance, and gives its id.
    ///
    /// # Errors
    /// When it names something that does not exist, or is over.
    async fn maintain(&self, maintenance: Maintenance) -> Result<MaintenanceId, OperatorError>;

    /// Ends a maintenance that was entered.
    ///
    /// # Errors
    /// When there is none of this id.
    async fn end_maintenance(&self, id: MaintenanceId) -> Result<(), OperatorError>;

    /// The maintenances that were entered and are not over.
    ///
    /// # Errors
    /// When nobody can tell.
    async fn maintenance(&self) -> Result<Vec<Maintenance>, OperatorError>;
}
