//! The two clocks of this machine, read.

use rustix::time::{ClockId, Timespec, clock_gettime};

use super::stamps::Reading;
use crate::model::Mono;

/// `CLOCK_MONOTONIC`.
pub(super) fn mono() -> Mono {
    Mono::from_nanos(u64::try_from(nanos(clock_gettime(ClockId::Monotonic))).unwrap_or(0))
}

/// Both clocks, as close together as can be.
pub(super) fn both() -> Reading {
    let before = mono();
    let real = nanos(clock_gettime(ClockId::Realtime));
    Reading { before, real, after: mono() }
}

fn nanos(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}
