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
#[cfg(all(feature = "icmp", feature = "test-util"))]
#[doc(hidden)]
pub use icmp::exposed as icmp_internals;
#[cfg(feature = "icmp")]
pub use icmp::{Counters, IcmpOptions, IcmpProbe, OpenError, SocketKind};
pub use journal::{CommitError, ForgetfulJournal, Journal, LoadError};
pub use model::*;
pub use notify::Notifier;
pub use probe::{Check, CheckId, Probe, Report};
pub use sink::StatusSink;
