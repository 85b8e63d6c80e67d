//! Time as the pure half sees it: an argument, never a clock.
//!
//! Durations are measured on the monotonic clock, so that a step of the wall clock moves no status; what survives a
//! restart or follows a calendar uses wall time. Both travel together as [`Now`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant of the monotonic clock, in nanoseconds since an origin that only this machine knows.
///
/// On Linux the runtime fills it from `CLOCK_MONOTONIC` (clock_gettime(2)); a simulation starts wherever it likes. What
/// a restart brings back may lie before the origin, since that is usually the machine's boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(i64);

impl Mono {
    /// The origin of the clock.
    pub const ZERO: Mono = Mono(0);

    /// Earlier than any other instant.
    pub(crate) const OLDEST: Mono = Mono(i64::MIN);

    /// An instant this many nanoseconds after the origin; `i64::MAX` of them at most.
    pub const fn from_nanos(nanos: u64) -> Mono {
        Mono(if nanos > i64::MAX as u64 { i64::MAX } else { nanos as i64 })
    }

    /// Nanoseconds since the origin; 0 for an instant before it.
    pub const fn as_nanos(self) -> u64 {
        if self.0 > 0 { self.0 as u64 } else { 0 }
    }

    /// This instant, `by` later; saturates.
    #[must_use]
    pub fn plus(self, by: Duration) -> Mono {
        self.plus_nanos(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX))
    }

    /// This instant, `by` earlier, before the origin if need be; saturates.
    #[must_use]
    pub fn minus(self, by: Duration) -> Mono {
        Mono(self.0.saturating_sub(nanos_i64(by)))
    }

    /// This instant, so many nanoseconds later; saturates.
    pub(crate) fn plus_nanos(self, nanos: u64) -> Mono {
        Mono(self.0.saturating_add_unsigned(nanos))
    }

    /// How many nanoseconds after `earlier` this instant is; 0 if it is not after it.
    pub(crate) fn nanos_since(self, earlier: Mono) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }
}

/// An instant of the wall clock, in nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(i64);

impl Wall {
    /// An instant this many nanoseconds after the UNIX epoch.
    pub const fn from_unix_nanos(nanos: i64) -> Wall {
        Wall(nanos)
    }

    /// Nanoseconds since the UNIX epoch.
    pub const fn unix_nanos(self) -> i64 {
        self.0
    }

    /// Milliseconds since the UNIX epoch, rounded down.
    pub const fn unix_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This instant, `by` later; saturates.
    #[must_use]
    pub fn plus(self, by: Duration) -> Wall {
        Wall(self.0.saturating_add(nanos_i64(by)))
    }

    /// This instant, `by` earlier; saturates.
    #[must_use]
    pub fn minus(self, by: Duration) -> Wall {
        Wall(self.0.saturating_sub(nanos_i64(by)))
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    pub fn since(self, earlier: Wall) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for Wall {
    fn from(time: SystemTime) -> Wall {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Wall(nanos_i64(after)),
            Err(before) => Wall(-nanos_i64(before.duration())),
        }
    }
}

impl From<Wall> for SystemTime {
    fn from(wall: Wall) -> SystemTime {
        let distance = Duration::from_nanos(wall.0.unsigned_abs());
        if wall.0 >= 0 { UNIX_EPOCH + distance } else { UNIX_EPOCH - distance }
    }
}

/// The present, as both clocks show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Now {
    /// For durations.
    pub mono: Mono,
    /// For calendars and for what survives a restart.
    pub wall: Wall,
}

impl Now {
    /// Both clocks, read together.
    pub const fn new(mono: Mono, wall: Wall) -> Now {
        Now { mono, wall }
    }

    /// What the wall clock, as it is set now, would have shown at `mono`.
    pub fn wall_at(&self, mono: Mono) -> Wall {
        Wall(self.wall.0.saturating_add(mono.0.saturating_sub(self.mono.0)))
    }

    /// When, on the monotonic clock, the wall clock showed (or will show) `wall`, if it is not set meanwhile.
    pub fn mono_at(&self, wall: Wall) -> Mono {
        Mono(self.mono.0.saturating_add(wall.0.saturating_sub(self.wall.0)))
    }
}

fn nanos_i64(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_translate_both_ways() {
        let now = Now::new(Mono::from_nanos(10_000), Wall::from_unix_nanos(1_000_000));
        assert_eq!(now.wall_at(Mono::from_nanos(4_000)), Wall::from_unix_nanos(994_000));
        assert_eq!(now.mono_at(Wall::from_unix_nanos(994_000)), Mono::from_nanos(4_000));
        let before_boot = now.mono_at(Wall::from_unix_nanos(0));
        assert_eq!(now.mono.since(before_boot), Duration::from_millis(1));
    }

    #[test]
    fn a_time_before_1970_survives_the_system_time() {
        let wall = Wall::from_unix_nanos(-1_500);
        assert_eq!(Wall::from(SystemTime::from(wall)), wall);
    }
}
