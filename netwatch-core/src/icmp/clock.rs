//! The clocks of this machine, read.

use rustix::time::{ClockId, Timespec, clock_gettime};

use super::stamps::Reading;
use crate::model::Mono;

/// `CLOCK_MONOTONIC`.
pub(super) fn mono() -> Mono {
    Mono::from_nanos(u64::try_from(nanos(clock_gettime(ClockId::Monotonic))).unwrap_or(0))
}

/// `CLOCK_BOOTTIME`: the same, and it goes on while the machine is suspended.
pub(super) fn boot() -> Mono {
    Mono::from_nanos(u64::try_from(nanos(clock_gettime(ClockId::Boottime))).unwrap_or(0))
}

/// Monotonic and wall clock, as close together as can be.
pub(super) fn both() -> Reading {
    let before = mono();
    let real = nanos(clock_gettime(ClockId::Realtime));
    Reading { before, real, after: mono() }
}

fn nanos(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}
