//! The pure half: it decides everything, and takes the time as an argument. No clock, no I/O, no async.
//!
//! [`Schedule`] plans when each target is asked. [`Monitor`] takes the samples and decides: what is an outage, when it
//! is due, who is owed a line, when a mail may leave, what must be committed first, and when to try again. The other
//! half carries it out and reports back. So one seed replays a whole year.

mod journaling;
mod limiter;
mod monitor;
mod outbox;
mod rate;
mod resume;
mod schedule;
mod spread;
mod state;
mod teller;
mod telling;
mod verdict;

pub use monitor::{Monitor, MonitorOptions, Output};
pub use rate::{RouterNeed, router_needs};
pub use schedule::{Due, Schedule};
pub use verdict::{Verdict, Window};
