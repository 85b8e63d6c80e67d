//! Fakes, recorders and a virtual world, for tests of your own.
//!
//! [`World`] drives the real [`Monitor`](crate::Monitor) and [`Schedule`](crate::Schedule) through a simulated time with
//! devices that fail, a mail server that misbehaves, a journal that crashes and a clock that steps. One seed gives one
//! history.

mod nature;
mod recorders;
mod wall_clock;
mod world;

pub use nature::{Faults, Span};
pub use recorders::{MemoryJournal, RecordingNotifier, RecordingSink};
pub use wall_clock::{set_wall_clock_back, set_wall_clock_forward};
pub use world::{Accepted, Told, World, WorldOptions, WorldReport};
