//! A virtual provider around the pure half: seeded devices, links, mail servers, clock, disk and operators, all of which
//! fail. One seed gives one history, to the byte. What is true in it is settled before the first check, so that the
//! [promises](super::promises) can be held against it.

mod asking;
mod chance;
mod class;
mod fate;
mod network;
mod operator;
mod options;
mod queue;
mod record;
mod run;
mod server;
mod span;

pub use class::{Class, Classes};
pub use fate::{Fate, Halt, LocalTrouble, Misconduct};
pub use network::Device;
pub use operator::{Operators, Version, Work};
pub use options::WorldOptions;
pub use record::{Entry, Happening, History, Oddity};
pub use run::World;
pub use span::{Span, Spans};
