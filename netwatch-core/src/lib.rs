//! Watch devices and tell people: the library behind netwatch.

#[cfg(feature = "runtime")]
mod host;
#[cfg(feature = "icmp")]
mod icmp;
mod journal;
mod logic;
mod model;
#[cfg(feature = "smtp")]
mod notifiers;
mod notify;
mod probe;
#[cfg(feature = "runtime")]
mod render;
#[cfg(feature = "runtime")]
mod runtime;
mod sink;
#[cfg(feature = "runtime")]
mod sinks;
#[cfg(feature = "store")]
mod store;
#[cfg(feature = "test-util")]
pub mod testing;

pub use async_trait::async_trait;
#[cfg(feature = "runtime")]
pub use host::{Gateway, HostError, gateways, hostname, resolvers};
pub use journal::{CommitError, ForgetfulJournal, Journal, LoadError};
pub use logic::{Due, Monitor, MonitorOptions, Output, Schedule, Verdict, Window};
pub use model::*;
#[cfg(feature = "smtp")]
pub use notifiers::{FileNotifier, InvalidAddress, Secret, Security, SmtpConfig, SmtpConfigError, SmtpNotifier};
pub use notify::Notifier;
pub use probe::{Check, CheckId, Probe, Report};
#[cfg(feature = "runtime")]
pub use render::{Render, TimeZoneError, Words};
#[cfg(feature = "runtime")]
pub use runtime::{BuildError, Builder, Netwatch, RunError};
pub use sink::StatusSink;
#[cfg(feature = "runtime")]
pub use sinks::TextFiles;
#[cfg(feature = "store")]
pub use store::{DirLock, LockError, SqliteJournal};
