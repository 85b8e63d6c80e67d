//! Two clocks: the kernel stamps replies with `CLOCK_REALTIME`, everything else here is `CLOCK_MONOTONIC`.
//!
//! Their difference is measured again with every batch that is received. It changes only when somebody sets the wall
//! clock (slewing moves both clocks alike) or the machine was suspended. A reply to an echo sent before such a step still
//! counts, its RTT does not: it would be off by the step, or by the time until this program saw the reply. Should the reply seem
//! late by that, nobody knows whether it was.

use std::time::Duration;

use crate::model::Mono;

/// The difference may seem to change by this much only because the clocks cannot be read at one instant.
const NOISE_NS: i64 = 50_000;

/// When a reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) at: Mono,
    /// Both that time and the time since the echo left are known; else the reply came at that time or before.
    pub(super) is_known: bool,
}

impl Arrival {
    /// It came at exactly this time.
    pub(super) fn known(at: Mono) -> Arrival {
        Arrival { at, is_known: true }
    }

    /// The same, unless nobody knows when the echo left.
    pub(super) fn of_departure(self, is_known: bool) -> Arrival {
        Arrival { is_known: self.is_known && is_known, ..self }
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
    /// The narrowest of the late readings: the wider ones are no news of the offset.
    narrow: i64,
    /// The wall clock was last seen to have been set.
    stepped: Mono,
}

impl Clocks {
    pub(super) fn new(reading: Reading) -> Clocks {
        Clocks { offset: reading.offset(), narrow: reading.width(), stepped: Mono::ZERO }
    }

    /// Takes a new reading. Call it after packets were received and before their stamps are converted.
    pub(super) fn observe(&mut self, reading: Reading) {
        let offset = reading.offset();
        self.narrow = self.narrow.saturating_add(self.narrow / 64).saturating_add(1).min(reading.width());
        let moved = offset.saturating_sub(self.offset).saturating_abs();
        if moved > reading.width().saturating_add(NOISE_NS) {
            self.stepped = reading.after;
            self.offset = offset;
        } else if reading.width() <= self.narrow.saturating_mul(2) && reading.width() < NOISE_NS {
            self.offset = offset;
        }
    }

    /// The same instant on `CLOCK_MONOTONIC`, if the wall clock was not set since; `stamp` is the kernel's.
    pub(super) fn monotonic(&self, stamp: i64) -> Option<Mono> {
        u64::try_from(stamp.saturating_sub(self.offset)).ok().map(Mono::from_nanos)
    }

    /// When the reply to an echo that left at `sent` arrived. `stamp` is the kernel's (nanoseconds since the UNIX epoch), `seen`
    /// the time at which this program read it, which holds where the stamp cannot be trusted. The echo may have left up to `slack`
    /// before `sent`.
    pub(super) fn arrival(&self, stamp: Option<i64>, sent: Mono, slack: Duration, seen: Mono) -> Arrival {
        let unknown = Arrival { at: seen, is_known: false };
        let Some(stamp) = stamp.filter(|_| sent > self.stepped) else { return unknown };
        let Some(stamped) = self.monotonic(stamp) else { return unknown };
        if stamped > seen.plus(NOISE) || stamped.plus(NOISE) < sent {
            return unknown;
        }
        if stamped < sent && stamped.plus(slack) >= sent {
            // It left at the beginning of the slack, or a little later: its RTT is at most this.
            return Arrival::known(stamped.plus(slack));
        }
        // What came back before it can have left shows only that our idea of the departure is wrong, not by how much.
        Arrival { at: stamped.clamp(sent, seen.max(sent)), is_known: stamped >= sent }
    }
}

const NOISE: Duration = Duration::from_nanos(NOISE_NS as u64);

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: i64 = 1_700_000_000_000_000_000;

    const NO_SLACK: Duration = Duration::ZERO;

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
        assert_eq!(clocks.arrival(Some(stamp), mono(1_000), NO_SLACK, mono(9_000)), Arrival::known(mono(1_250)));
    }

    #[test]
    fn across_a_clock_step_the_time_of_seeing_it_counts() {
        let mut clocks = Clocks::new(reading(1_000, WALL));
        clocks.observe(reading(2_000, WALL - 3_600_000_000_000));
        let stamp = WALL + 1_500_000;
        assert_eq!(clocks.arrival(Some(stamp), mono(1_000), NO_SLACK, mono(2_100)), seen_at(2_100));
        let stamp = WALL - 3_600_000_000_000 + 2_500_000;
        assert_eq!(
            clocks.arrival(Some(stamp), mono(2_200), NO_SLACK, mono(2_600)),
            Arrival::known(mono(2_500)),
            "exact again after it"
        );
    }

    #[test]
    fn a_small_step_makes_no_plausible_rtt() {
        let mut clocks = Clocks::new(reading(1_000, WALL));
        clocks.observe(reading(2_000, WALL - 400_000));
        assert_eq!(clocks.arrival(Some(WALL + 1_500_000), mono(1_000), NO_SLACK, mono(2_100)), seen_at(2_100));
    }

    #[test]
    fn an_impossible_stamp_is_not_believed() {
        let clocks = Clocks::new(reading(1_000, WALL));
        for stamp in [Some(WALL - 1), Some(WALL + 99_000_000_000), Some(i64::MIN), Some(i64::MAX), None] {
            assert_eq!(clocks.arrival(stamp, mono(1_000), NO_SLACK, mono(1_400)), seen_at(1_400), "{stamp:?}");
        }
    }

    #[test]
    fn a_preempted_reading_is_no_step() {
        let mut clocks = Clocks::new(reading(1_000, WALL));
        let preempted = Reading { before: mono(2_000), real: WALL + 2_000_000, after: mono(9_000) };
        clocks.observe(preempted);
        assert_eq!(
            clocks.arrival(Some(WALL + 2_250_000), mono(2_000), NO_SLACK, mono(9_100)),
            Arrival::known(mono(2_250))
        );
    }

    #[test]
    fn a_reply_stamped_before_its_echo_left_has_no_rtt() {
        let clocks = Clocks::new(reading(10_000, WALL));
        let arrival = |stamped: i64| clocks.arrival(Some(WALL + stamped * 1_000), mono(10_000), NO_SLACK, mono(10_200));
        assert_eq!(arrival(10_000), Arrival::known(mono(10_000)));
        assert_eq!(arrival(9_999), Arrival { at: mono(10_000), is_known: false }, "it counts, its RTT does not");
        assert_eq!(arrival(9_951), Arrival { at: mono(10_000), is_known: false });
        assert_eq!(arrival(9_949), seen_at(10_200));
    }

    #[test]
    fn a_reply_may_come_while_its_echo_leaves() {
        let clocks = Clocks::new(reading(10_000, WALL));
        let slack = Duration::from_micros(4);
        let arrival = |stamped: i64| clocks.arrival(Some(WALL + stamped * 1_000), mono(10_000), slack, mono(10_200));
        assert_eq!(arrival(9_999), Arrival::known(mono(10_003)), "3 us at most");
        assert_eq!(arrival(9_996), Arrival::known(mono(10_000)));
        assert_eq!(arrival(9_995), Arrival { at: mono(10_000), is_known: false });
        assert_eq!(arrival(10_003), Arrival::known(mono(10_003)));
    }

    #[test]
    fn without_the_departure_there_is_no_rtt() {
        assert_eq!(Arrival::known(mono(7)).of_departure(true), Arrival::known(mono(7)));
        assert_eq!(Arrival::known(mono(7)).of_departure(false), seen_at(7));
        assert_eq!(seen_at(7).of_departure(true), seen_at(7));
    }

    #[test]
    fn a_wide_reading_moves_the_offset_by_nothing() {
        let mut clocks = Clocks::new(reading(1_000, WALL));
        clocks.observe(Reading { before: mono(2_000), real: WALL + 2_030_000, after: mono(2_030) });
        assert_eq!(
            clocks.arrival(Some(WALL + 2_250_000), mono(2_000), NO_SLACK, mono(9_100)),
            Arrival::known(mono(2_250))
        );
        clocks.observe(reading(3_000, WALL + 400));
        assert_eq!(clocks.monotonic(WALL + 400 + 5_000_000), Some(mono(5_000)), "a narrow one does");
    }
}
