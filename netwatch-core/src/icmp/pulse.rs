//! Notices that time went on without the engine: stopped in its sleep or in the middle of its work, or suspended with the
//! whole machine.
//!
//! `CLOCK_MONOTONIC` stands still while the machine is suspended and `CLOCK_BOOTTIME` does not (clock_gettime(2)), so their
//! difference grows by the length of the suspension.

use std::time::Duration;

use crate::model::Mono;

/// A longer silence is no matter of scheduling: the process or the machine stood still, and the network with it, for all we
/// know. What was due meanwhile and did not come is unknown.
pub(super) const STALL: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Pulse {
    last: Mono,
    /// How long the machine has been suspended since it started.
    suspended: Duration,
}

impl Pulse {
    /// `boot` is `CLOCK_BOOTTIME`, read after `now`.
    pub(super) fn new(now: Mono, boot: Mono) -> Pulse {
        Pulse { last: now, suspended: boot.since(now) }
    }

    /// Call it after every short piece of work, and after a sleep with the time at which it was to end. When the engine
    /// stood still since the last time, from when to when.
    pub(super) fn beat(&mut self, now: Mono, boot: Mono, planned: Mono) -> Option<(Mono, Mono)> {
        let (last, slept) = (self.last, self.suspended);
        (self.last, self.suspended) = (now, boot.since(now));
        let is_late = now.since(planned.max(last)) > STALL;
        let was_suspended = self.suspended.saturating_sub(slept) > STALL;
        (is_late || was_suspended).then_some((last, now))
    }

    /// The engine had nothing under way until now, so nothing can have been missed.
    pub(super) fn rest(&mut self, now: Mono, boot: Mono) {
        *self = Pulse::new(now, boot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLEPT: u64 = 77_000;

    fn ms(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    fn pulse() -> Pulse {
        Pulse::new(ms(1_000), ms(1_000 + SLEPT))
    }

    #[test]
    fn work_and_sleep_that_end_in_time_are_no_stall() {
        let mut pulse = pulse();
        assert_eq!(pulse.beat(ms(1_250), ms(1_250 + SLEPT), Mono::ZERO), None);
        assert_eq!(pulse.beat(ms(9_250), ms(9_250 + SLEPT), ms(9_000)), None);
    }

    #[test]
    fn work_that_takes_too_long_is_a_stall() {
        let mut pulse = pulse();
        let stall = Some((ms(1_000), ms(1_251)));
        assert_eq!(pulse.beat(ms(1_251), ms(1_251 + SLEPT), Mono::ZERO), stall);
        assert_eq!(pulse.beat(ms(1_252), ms(1_252 + SLEPT), Mono::ZERO), None, "told once");
    }

    #[test]
    fn a_sleep_that_ends_too_late_is_a_stall() {
        let stall = Some((ms(1_000), ms(1_351)));
        assert_eq!(pulse().beat(ms(1_351), ms(1_351 + SLEPT), ms(1_100)), stall);
    }

    #[test]
    fn a_suspended_machine_is_a_stall_though_its_clock_stood_still() {
        let mut pulse = pulse();
        assert_eq!(pulse.beat(ms(1_010), ms(1_010 + SLEPT + 60_000), ms(1_100)), Some((ms(1_000), ms(1_010))));
        assert_eq!(pulse.beat(ms(1_020), ms(1_020 + SLEPT + 60_000), ms(1_100)), None, "told once");
        assert_eq!(pulse.beat(ms(1_030), ms(1_030 + SLEPT), ms(1_100)), None, "a reading that was late before");
        assert_eq!(pulse.beat(ms(1_040), ms(1_040 + SLEPT + 251), ms(1_100)), Some((ms(1_030), ms(1_040))));
    }

    #[test]
    fn idle_time_is_no_stall() {
        let mut pulse = pulse();
        pulse.rest(ms(90_000), ms(190_000));
        assert_eq!(pulse.beat(ms(90_100), ms(190_100), Mono::ZERO), None);
    }
}
