//! How often the status file may be replaced: at most once a second, and for at most 1 % of a core.
//!
//! A hundred thousand lines take tens of milliseconds to write; once a second that would be several percent, so the
//! pause grows with what the last write cost.

use std::time::Duration;

const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// One hundredth of the time may be spent writing.
const SHARE: u32 = 100;

/// How long after the beginning of a write that cost `spent` the next one may begin.
pub(super) fn pause_after(spent: Duration) -> Duration {
    LEAST_PAUSE.max(spent.saturating_mul(SHARE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cheap_write_may_be_repeated_every_second() {
        assert_eq!(pause_after(Duration::ZERO), Duration::from_secs(1));
        assert_eq!(pause_after(Duration::from_millis(10)), Duration::from_secs(1));
    }

    #[test]
    fn writing_takes_at_most_a_hundredth_of_the_time() {
        for spent in [11, 50, 400, 5_000].map(Duration::from_millis) {
            assert_eq!(pause_after(spent), spent * 100);
        }
    }
}
