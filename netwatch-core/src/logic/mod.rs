//! The pure half: it decides everything, and takes the time as an argument. No clock, no I/O, no async.
