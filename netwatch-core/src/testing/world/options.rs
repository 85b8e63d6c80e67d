//! How a world is made: everything that a command line can say of one.

use std::time::Duration;

use super::class::Classes;

/// How a world is made. The same options give the same history, to the byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorldOptions {
    /// Everything follows from it.
    pub seed: u64,
    /// How many devices there are; default 50.
    pub devices: usize,
    /// How long there is trouble; default 21 hours.
    pub turmoil: Duration,
    /// How long all is well afterwards, so that what is owed can be told; default 3 hours.
    pub calm: Duration,
    /// What goes wrong; default everything.
    pub classes: Classes,
}

impl WorldOptions {
    /// A day of 50 devices in which everything goes wrong that can.
    pub fn new(seed: u64) -> WorldOptions {
        let hour = Duration::from_secs(3600);
        WorldOptions { seed, devices: 50, turmoil: 21 * hour, calm: 3 * hour, classes: Classes::all() }
    }
}
