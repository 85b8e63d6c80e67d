//! Carries out what technicians ask for on the page, by the API and on the command line: with the running netwatch.

use netwatch_core::{
    AcknowledgeError, DrillError, DrillRefusal, EndMaintenanceError, Handle, MaintainError, Maintenance, MaintenanceId,
    Outage, async_trait,
};
use netwatch_http::{Operator, OperatorError};

/// The running netwatch as an operator.
pub(crate) struct Desk(pub(crate) Handle);

#[async_trait]
impl Operator for Desk {
    async fn acknowledge(&self, target: &str, by: &str, note: &str) -> Result<Outage, OperatorError> {
        self.0.acknowledge(target, by, note).await.map_err(|error| match error {
            AcknowledgeError::NoTarget { .. } => OperatorError::NotFound(error.to_string()),
            AcknowledgeError::NoOutage { .. } => OperatorError::Conflict(error.to_string()),
            _ => OperatorError::Unavailable(error.to_string()),
        })
    }

    async fn drill(&self, target: &str, by: &str) -> Result<Outage, OperatorError> {
        self.0.drill(target, by).await.map_err(|error| match error {
            DrillError::Refused(DrillRefusal::NoTarget { .. }) => OperatorError::NotFound(error.to_string()),
            DrillError::Refused(_) => OperatorError::Conflict(error.to_string()),
            _ => OperatorError::Unavailable(error.to_string()),
        })
    }

    async fn maintain(&self, maintenance: Maintenance) -> Result<MaintenanceId, OperatorError> {
        self.0.maintain(maintenance).await.map_err(|error| match error {
            MaintainError::Unknown { .. } => OperatorError::NotFound(error.to_string()),
            MaintainError::Over => OperatorError::Conflict(error.to_string()),
            _ => OperatorError::Unavailable(error.to_string()),
        })
    }

    async fn end_maintenance(&self, id: MaintenanceId) -> Result<(), OperatorError> {
        self.0.end_maintenance(id).await.map_err(|error| match error {
            EndMaintenanceError::NotFound { .. } => OperatorError::NotFound(error.to_string()),
            _ => OperatorError::Unavailable(error.to_string()),
        })
    }

    async fn maintenance(&self) -> Result<Vec<Maintenance>, OperatorError> {
        self.0.maintenance().await.map_err(|error| OperatorError::Unavailable(error.to_string()))
    }
}
