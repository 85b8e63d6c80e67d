//! The runtime on tokio: it composes probes, the pure half, journal, notifiers and sinks, and carries out what was
//! decided. It decides nothing itself.

mod builder;
mod checks;
pub(crate) mod clock;
mod delivery;
mod driver;
mod handle;
mod journal;
mod links;
mod moves;
mod parts;
mod reload;
mod requests;
mod resolve;
mod sinks;
mod slab;
mod slices;
#[cfg(test)]
mod tests;
mod vitals;
mod watchdog;
mod witnesses;

pub use builder::{BuildError, Builder, Netwatch, RunError};
pub use handle::{
    AcknowledgeError, DrillError, EndMaintenanceError, Ended, Handle, MaintainError, Reload, ReloadError,
};
pub use watchdog::{Part, Progress};
