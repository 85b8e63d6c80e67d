//! Fakes, recorders and a virtual world, for tests of your own.
//!
//! [`World`](world::World) drives the real [`Monitor`](crate::Monitor) and [`Schedule`](crate::Schedule) through a
//! simulated day with devices that fail, mail servers that misbehave, a journal that crashes and a clock that steps. One
//! seed gives one history, and [`promises`] holds it against what was true.

pub mod promises;
mod recorders;
mod wall_clock;
pub mod world;

pub use recorders::{MemoryJournal, RecordingNotifier, RecordingSink};
pub use wall_clock::{set_wall_clock_back, set_wall_clock_forward};
