//! Two clocks: the kernel stamps replies with `CLOCK_REALTIME`, everything else here is `CLOCK_MONOTONIC`.
//!
//! Their difference is measured again with every batch that is received. It changes only when somebody sets the wall
//! clock (slewing moves both clocks alike) or the machine was suspended; a reply to an echo sent before such a step still
//! counts, but its arrival is then the time at which this program saw it: its RTT is too long rather than absent, and should
//! the reply seem late by that, nobody knows whether it was.

use std::time::Duration;

use crate::model::Mono;

/// The difference may seem to change by this much only because the clocks cannot be read at one instant.
const NOISE_NS: i64 = 50_000;

/// The time of a longer call is not shared out: the thread was interrupted in it, nobody knows where.
const LONGEST_CALL: Duration = Duration::from_millis(1);

/// When a reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) at: Mono,
    /// It came at that time, rather than at some time before.
    pub(super) is_known: bool,
}

impl Arrival {
    /// It came at exactly this time.
    pub(super) fn known(at: Mono) -> Arrival {
        Arrival { at, is_known: true }
    }
}

/// Both clocks, read as `CLOCK_MONOTONIC`, `CLOCK_REALTIME`, `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) before: Mono,
    /// Nanoseconds since the UNIX epoch.
    pub(super) real: i64,
    pub(super) after: Mono,
}

impl Reading {
    fn offset(&self) -> i64 {
        let middle = self.before.as_nanos() / 2 + self.after.as_nanos() / 2;
        self.real.saturating_sub_unsigned(middle)
    }

    fn width(&self) -> i64 {
        i64::try_from(self.after.since(self.before).as_nanos()).unwrap_or(i64::MAX)
    }
}

/// The tracked difference of the two clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    /// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC`.
    offset: i64,
    /// The wall clock was last seen to have been set.
    stepped: Mono,
}

impl Clocks {
    pub(super) fn new(reading: Reading) -> Clocks {
        Clocks { offset: reading.offset(), stepped: Mono::ZERO }
    }

    /// Takes a new reading. Call it after packets were received and before their stamps are converted.
    pub(super) fn observe(&mut self, reading: Reading) {
        let offset = reading.offset();
        let moved = offset.saturating_sub(self.offset).saturating_abs();
        if moved > reading.width().saturating_add(NOISE_NS) {
            self.stepped = reading.after;
            self.offset = offset;
        } else if reading.width() < NOISE_NS {
            self.offset = offset;
        }
    }

    /// When the reply to an echo that left at `sent` arrived. `stamp` is the kernel's (nanoseconds since the UNIX epoch), `seen`
    /// the time at which this program read it, which holds where the stamp cannot be trusted.
    pub(super) fn arrival(&self, stamp: Option<i64>, sent: Mono, seen: Mono) -> Arrival {
        let unknown = Arrival { at: seen, is_known: false };
        let Some(stamp) = stamp.filter(|_| sent > self.stepped) else { return unknown };
        let Ok(stamped) = u64::try_from(stamp.saturating_sub(self.offset)).map(Mono::from_nanos) else {
            return unknown;
        };
        if stamped > seen.plus(NOISE) || stamped.plus(LONGEST_CALL) < sent {
            return unknown;
        }
        if stamped.plus(NOISE) < sent {
            // It left earlier in its call than its share of it says; the RTT is less than that call.
            return Arrival::known(seen.min(sent.plus(LONGEST_CALL)));
        }
        Arrival::known(stamped.clamp(sent, seen.max(sent)))
    }
}

const NOISE: Duration = Duration::from_nanos(NOISE_NS as u64);

/// When the packet at `place` of a batch of `count` left: the time of the system call is shared out evenly. Each is taken
/// at the beginning of its share, so that no RTT comes out too short. In a call that was interrupted, all left at its beginning.
pub(super) fn departure(place: usize, count: usize, before: Mono, after: Mono) -> Mono {
    let call = after.since(before);
    if call > LONGEST_CALL {
        return before;
    }
    let share = call.as_nanos() * place as u128 / count.max(1) as u128;
    before.plus(Duration::from_nanos(u64::try_from(share).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: i64 = 1_700_000_000_000_000_000;

    fn mono(us: u64) -> Mono {
        Mono::from_nanos(us * 1_000)
    }

    fn reading(at_us: u64, offset: i64) -> Reading {
        Reading { before: mono(at_us), real: offset + (at_us * 1_000) as i64, after: mono(at_us) }
    }

    fn seen_at(us: u64) -> Arrival {
        Arrival { at: mono(us), is_known: false }
    }

    #[test]
    fn a_stamp_becomes_monotonic() {
        let clocks = Clocks::new(reading(1_000, WALL));
        let stamp = WALL + 1_250_000;
        assert_eq!(clocks.arrival(Some(stamp), mono(1_000), mono(9_000)), Arrival::known(mono(1_250)));
    }

    #[test]
    fn across_a_clock_step_the_time_of_seeing_it_counts() {
        let mut clocks = Clocks::new(reading(1_000, WALL));
        clocks.observe(reading(2_000, WALL - 3_600_000_000_000));
        let stamp = WALL + 1_500_000;
        assert_eq!(clocks.arrival(Some(stamp), mono(1_000), mono(2_100)), seen_at(2_100));
        let stamp = WALL - 3_600_000_000_000 + 2_500_000;
        assert_eq!(
            clocks.arrival(Some(stamp), mono(2_200), mono(2_600)),
            Arrival::known(mono(2_500)),
            "exact again after it"
        );
    }

    #[test]
    fn a_small_step_makes_no_plausible_rtt() {
        let mut clocks = Clocks::new(reading(1_000, WALL));
        clocks.observe(reading(2_000, WALL - 400_000));
        assert_eq!(clocks.arrival(Some(WALL + 1_500_000), mono(1_000), mono(2_100)), seen_at(2_100));
    }

    #[test]
    fn an_impossible_stamp_is_not_believed() {
        let clocks = Clocks::new(reading(1_000, WALL));
        for stamp in [Some(WALL - 1), Some(WALL + 99_000_000_000), Some(i64::MIN), Some(i64::MAX), None] {
            assert_eq!(clocks.arrival(stamp, mono(1_000), mono(1_400)), seen_at(1_400), "{stamp:?}");
        }
    }

    #[test]
    fn a_preempted_reading_is_no_step() {
        let mut clocks = Clocks::new(reading(1_000, WALL));
        let preempted = Reading { before: mono(2_000), real: WALL + 2_000_000, after: mono(9_000) };
        clocks.observe(preempted);
        assert_eq!(clocks.arrival(Some(WALL + 2_250_000), mono(2_000), mono(9_100)), Arrival::known(mono(2_250)));
    }

    #[test]
    fn a_reply_stamped_before_its_share_of_the_call_has_a_bounded_rtt() {
        let clocks = Clocks::new(reading(10_000, WALL));
        let arrival = |seen| clocks.arrival(Some(WALL + 9_500_000), mono(10_000), mono(seen));
        assert_eq!(arrival(10_200), Arrival::known(mono(10_200)));
        assert_eq!(arrival(900_000), Arrival::known(mono(11_000)));
        let too_early = clocks.arrival(Some(WALL + 8_999_000), mono(10_000), mono(10_200));
        assert_eq!(too_early, seen_at(10_200), "no call is that long");
    }

    #[test]
    fn an_interrupted_call_is_not_shared_out() {
        assert_eq!(departure(3, 4, mono(100), mono(1_100)), mono(850));
        assert_eq!(departure(3, 4, mono(100), mono(1_101)), mono(100));
    }

    #[test]
    fn departures_share_the_call() {
        assert_eq!(departure(0, 4, mono(100), mono(180)), mono(100));
        assert_eq!(departure(3, 4, mono(100), mono(180)), mono(160));
    }
}
