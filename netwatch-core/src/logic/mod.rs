//! The pure half: it decides everything, and takes the time as an argument. No clock, no I/O, no async.
//!
//! [`Schedule`] plans when each target is asked. [`Monitor`] takes the samples and decides: what is an outage, when it
//! is due, who is owed a line, when a mail may leave, what must be committed first, and when to try again. The other
//! half carries it out and reports back. So one seed replays a whole year.

mod acknowledgement;
mod core_loss;
mod drafting;
mod drill;
mod escalation;
mod flapping;
mod incidents;
mod isolation;
mod journaling;
mod ledger;
mod limiter;
mod lint;
mod maintenance;
mod monitor;
mod outbox;
mod owing;
mod rate;
mod release;
mod reload;
mod replay;
mod resume;
mod ripening;
mod schedule;
mod spread;
mod state;
mod taking;
mod teller;
mod telling;
mod topology;
mod troubles;
mod unseen;
mod verdict;

pub use lint::{Finding, Service, SettingsFinding, lint, lint_settings};
pub use monitor::{Monitor, MonitorOptions, Output};
pub use rate::{RouterNeed, router_needs};
pub use replay::{Record, rehearse, replay};
pub use schedule::{Due, Schedule};
pub use topology::parent_cycle;
pub use verdict::{Verdict, Window};
