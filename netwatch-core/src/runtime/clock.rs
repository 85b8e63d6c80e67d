//! The two clocks of this machine, read together; the pure half never reads one itself.

#[cfg(feature = "test-util")]
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};

use crate::model::{Mono, Now, Wall};

/// Where the driver takes the time from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Clock {
    /// `CLOCK_MONOTONIC` and `CLOCK_REALTIME` (clock_gettime(2)): the time that the ICMP engine keeps, too.
    System,
    /// tokio's clock, which a test can pause: it showed `start` at `origin`.
    #[cfg(any(test, feature = "test-util"))]
    Tokio {
        /// An instant of tokio's clock.
        origin: tokio::time::Instant,
        /// What both clocks showed then.
        start: Now,
    },
}

impl Clock {
    /// tokio's clock, beginning now with `start`.
    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn following_tokio(start: Now) -> Clock {
        Clock::Tokio { origin: tokio::time::Instant::now(), start }
    }

    /// The present.
    pub(super) fn now(&self) -> Now {
        match self {
            Clock::System => Now::new(monotonic(), wall()),
            #[cfg(any(test, feature = "test-util"))]
            Clock::Tokio { origin, start } => {
                let passed = origin.elapsed();
                Now::new(start.mono.plus(passed), start.wall.plus(passed))
            }
        }
    }

    /// Returns once the monotonic clock shows `at` or later.
    pub(super) async fn sleep_until(&self, at: Mono) {
        tokio::time::sleep(at.since(self.now().mono)).await;
    }
}

fn wall() -> Wall {
    let wall = Wall::from(SystemTime::now());
    #[cfg(feature = "test-util")]
    let wall = Wall::from_unix_nanos(wall.unix_nanos().saturating_add(SHIFT.load(Ordering::Relaxed)));
    wall
}

/// How far a test has set the wall clock, in nanoseconds.
#[cfg(feature = "test-util")]
pub(crate) static SHIFT: AtomicI64 = AtomicI64::new(0);

fn monotonic() -> Mono {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Mono::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_system_clock_is_the_one_that_the_kernel_calls_monotonic() {
        let before = monotonic();
        let now = Clock::System.now();
        assert!(before <= now.mono && now.mono <= monotonic());
        assert!(now.wall > Wall::from_unix_nanos(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_test_can_hold_the_clock_and_let_it_go_on() {
        let clock = Clock::following_tokio(Now::new(Mono::from_nanos(5), Wall::from_unix_nanos(7)));
        assert_eq!(clock.now(), Now::new(Mono::from_nanos(5), Wall::from_unix_nanos(7)));
        clock.sleep_until(Mono::from_nanos(5).plus(Duration::from_secs(3600))).await;
        assert!(clock.now().mono >= Mono::from_nanos(5).plus(Duration::from_secs(3600)));
    }
}
