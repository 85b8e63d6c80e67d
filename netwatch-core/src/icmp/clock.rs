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
    let real = shown(nanos(clock_gettime(ClockId::Realtime)));
    Reading { before, real, after: mono() }
}

/// What the wall clock showed when the kernel says that it showed `real` nanoseconds since the UNIX epoch: the same, unless a test
/// has set it. All of the kernel's stamps go through this.
pub(super) fn shown(real: i64) -> i64 {
    #[cfg(feature = "test-util")]
    return seam::shown(real);
    #[cfg(not(feature = "test-util"))]
    real
}

/// Lets a test set the wall clock for this process only, as faithfully as `settimeofday` does: what was stamped before keeps
/// its stamp.
#[cfg(feature = "test-util")]
pub(crate) mod seam {
    use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

    static BEFORE: AtomicI64 = AtomicI64::new(0);
    static SINCE: AtomicI64 = AtomicI64::new(i64::MIN);
    static AFTER: AtomicI64 = AtomicI64::new(0);

    /// Moves the wall clock by so many nanoseconds.
    pub(crate) fn shift(by: i64) {
        let now = super::nanos(rustix::time::clock_gettime(rustix::time::ClockId::Realtime));
        let before = AFTER.load(Relaxed);
        BEFORE.store(before, Relaxed);
        SINCE.store(now, Relaxed);
        AFTER.store(before.saturating_add(by), Relaxed);
    }

    pub(super) fn shown(real: i64) -> i64 {
        let shift = if real < SINCE.load(Relaxed) { &BEFORE } else { &AFTER };
        real.saturating_add(shift.load(Relaxed))
    }
}

fn nanos(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}
