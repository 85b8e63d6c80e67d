//! How often the status file may be replaced: at most once a second, and for at most 1 % of a core; for a fifth of
//! that while only round-trip times are new.
//!
//! A hundred thousand lines take tens of milliseconds to write; once a second that would be several percent, so the
//! pause grows with what the last write cost. 1 % of a core is also half of what the probing of those devices may cost
//! beside the kernel's share, and a status that changed is worth that, an RTT is not.

use std::time::Duration;

const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// How much the file differs from what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Stale {
    /// Not at all.
    #[default]
    No,
    /// Only in round-trip times.
    Rtts,
    /// A status is wrong.
    Statuses,
}

/// How long after the beginning of a write that cost `spent` the next one may begin.
pub(super) fn pause_after(spent: Duration, stale: Stale) -> Duration {
    let share = if stale == Stale::Statuses { 100 } else { 500 };
    LEAST_PAUSE.max(spent.saturating_mul(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cheap_write_may_be_repeated_every_second() {
        assert_eq!(pause_after(Duration::ZERO, Stale::Rtts), Duration::from_secs(1));
        assert_eq!(pause_after(Duration::from_millis(10), Stale::Statuses), Duration::from_secs(1));
    }

    #[test]
    fn writing_takes_at_most_a_hundredth_of_the_time_and_less_for_round_trip_times_alone() {
        for spent in [11, 50, 400, 5_000].map(Duration::from_millis) {
            assert_eq!(pause_after(spent, Stale::Statuses), spent * 100);
            assert_eq!(pause_after(spent, Stale::Rtts), spent * 500);
        }
    }
}
