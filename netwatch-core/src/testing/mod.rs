//! Fakes, recorders and a virtual world, for tests of your own.

mod recorders;

pub use recorders::{MemoryJournal, RecordingNotifier, RecordingSink};
