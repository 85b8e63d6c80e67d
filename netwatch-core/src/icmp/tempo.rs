//! How the engine shares its time: how many echoes leave in one call, how often it wakes up to send, and when it may sleep
//! through replies. All of it follows from the rate.
//!
//! The kernel stamps each reply when it comes, so reading late costs no accuracy; reading rarely saves most of what an echo
//! costs here. What bounds it is the receive buffer: 256 replies where nobody has enlarged it (212,992 bytes, 832 each).

use std::time::Duration;

use crate::model::Mono;

/// The shortest time from one wake for sending to the next.
pub(super) const QUANTUM: Duration = Duration::from_millis(1);
/// So many packets are sent before the socket is drained again.
pub(super) const DRAIN_AFTER: usize = 64;

/// A call takes as many packets as are due in this time: so that a call is short, and its time can be shared out.
const CHUNK_TIME: Duration = Duration::from_micros(64);
const LARGEST_CHUNK: u64 = 32;
/// Below so many echoes a second replies are worth a wake each.
const CALM: u64 = 500;
/// The rate is counted over this time.
const WINDOW: Duration = Duration::from_millis(100);

/// How many echoes leave in one call at this rate (echoes a second).
pub(super) fn chunk(pps: u64) -> usize {
    let due = pps.saturating_mul(CHUNK_TIME.as_micros() as u64) / 1_000_000;
    due.clamp(1, LARGEST_CHUNK) as usize
}

/// When to wake up for what is to be sent at `next`, if the last time was `last`.
pub(super) fn wake(next: Mono, last: Mono) -> Mono {
    next.max(last.plus(QUANTUM))
}

/// Whether a reply may wake the engine at this rate, of which `received` came in since it last slept.
pub(super) fn listens(pps: u64, received: usize) -> bool {
    pps < CALM && !is_flood(received)
}

/// How long replies may be left in the receive buffer at this rate: a quarter of the smallest one fills up in that time.
pub(super) fn patience(pps: u64, received: usize) -> Duration {
    if is_flood(received) {
        return QUANTUM;
    }
    let micros = DRAIN_AFTER as u64 * 1_000_000 / pps.max(CALM);
    Duration::from_micros(micros).max(QUANTUM)
}

fn is_flood(received: usize) -> bool {
    received > DRAIN_AFTER / 8
}

/// Counts what is sent.
#[derive(Debug)]
pub(super) struct Rate {
    begun: Mono,
    count: u64,
    before: u64,
}

impl Rate {
    pub(super) fn new(now: Mono) -> Rate {
        Rate { begun: now, count: 0, before: 0 }
    }

    /// So many echoes were sent just now.
    pub(super) fn add(&mut self, now: Mono, count: usize) {
        let elapsed = now.since(self.begun);
        if elapsed >= WINDOW {
            self.before = if elapsed < 2 * WINDOW { per_second(self.count, elapsed) } else { 0 };
            (self.begun, self.count) = (now, 0);
        }
        self.count += count as u64;
    }

    /// Echoes a second: those of the last full window, or more if this one has more already.
    pub(super) fn pps(&self) -> u64 {
        self.before.max(per_second(self.count, WINDOW))
    }
}

fn per_second(count: u64, time: Duration) -> u64 {
    count.saturating_mul(1_000_000) / u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_chunk_is_what_is_due_in_64_microseconds() {
        let expected = [(0, 1), (5_000, 1), (31_250, 2), (50_000, 3), (499_999, 31), (500_000, 32), (u64::MAX, 32)];
        for (pps, packets) in expected {
            assert_eq!(chunk(pps), packets, "{pps}");
        }
    }

    #[test]
    fn what_is_far_apart_leaves_on_time_and_what_is_close_leaves_together() {
        assert_eq!(wake(ms(9), ms(3)), ms(9));
        assert_eq!(wake(Mono::from_nanos(3_200_000), ms(3)), ms(4));
        assert_eq!(wake(ms(1), ms(3)), ms(4), "a millisecond late at most");
    }

    #[test]
    fn replies_wake_the_engine_only_where_there_are_few() {
        assert!(listens(0, 8) && listens(499, 1));
        assert!(!listens(500, 1) && !listens(0, 9), "nor does a flood of what nobody asked for");
    }

    #[test]
    fn the_smallest_buffer_never_fills_up() {
        for pps in [0, 500, 5_000, 50_000, 100_000] {
            let packets = patience(pps, 0).as_micros() as u64 * pps / 1_000_000;
            assert!(packets <= 100 && patience(pps, 0) >= QUANTUM, "{pps}");
        }
        assert_eq!(patience(0, 1_000), QUANTUM, "what comes in counts, not only what was asked for");
    }

    #[test]
    fn the_rate_rises_at_once_and_falls_after_a_window() {
        let mut rate = Rate::new(ms(0));
        for n in 0..250 {
            rate.add(ms(n), 50);
        }
        assert!((49_000..=52_000).contains(&rate.pps()), "{}", rate.pps());
        rate.add(ms(250), 20_000);
        assert!(rate.pps() >= 200_000);
        rate.add(ms(5_000), 0);
        assert_eq!(rate.pps(), 0);
    }
}
