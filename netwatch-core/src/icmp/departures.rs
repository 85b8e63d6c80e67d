//! When each packet of a call left, and whether that is known. Pure.
//!
//! The time of a `sendmmsg` call is shared out evenly among its packets; how long after the beginning of its share a packet reaches
//! the driver is learnt from sampled kernel stamps ([`transmit`](super::transmit)). In a call that took longer than such calls
//! do, the thread was interrupted somewhere: its packets left between its beginning and its end, nobody knows when. Their
//! replies count; their RTTs do not, because an invented one of 4 ms (one time slice) looks like the customer's line.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Mono;

/// A call may always take this much longer than usual.
const TOLERANCE: u64 = 20_000;
/// A departure may have been kept as so much earlier.
const PRECISION: Duration = Duration::from_nanos(64);
/// An interrupted call is remembered this long: no timeout is longer, and if one is, its reply is merely measured from the call's
/// beginning.
const MEMORY: Duration = Duration::from_secs(120);
/// The most interrupted calls that are remembered.
const MOST: usize = 4096;

/// When what one socket sent left.
#[derive(Debug)]
pub(super) struct Departures {
    /// What a packet usually takes in a call, in nanoseconds; 0 before the first.
    usual: u64,
    /// How long after the beginning of its share a packet usually leaves.
    correction: Duration,
    /// The calls that were interrupted, from when to when, the latest last.
    interrupted: VecDeque<(Mono, Mono)>,
}

/// One call that sent packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    before: Mono,
    after: Mono,
    pub(super) count: usize,
    /// Nobody knows when in the call its packets left.
    pub(super) was_interrupted: bool,
    correction: Duration,
}

impl Departures {
    pub(super) fn new() -> Departures {
        Departures { usual: 0, correction: Duration::ZERO, interrupted: VecDeque::new() }
    }

    /// A call sent `count` packets and lasted from `before` to `after`.
    pub(super) fn call(&mut self, before: Mono, after: Mono, count: usize) -> Call {
        let took = nanos(after.since(before));
        let packets = count.max(1) as u64;
        let share = took / packets;
        let expected = self.usual.saturating_mul(packets);
        let was_interrupted = self.usual > 0 && took > expected.saturating_add(expected / 2).saturating_add(TOLERANCE);
        self.usual = match self.usual {
            0 => share.max(1),
            // An interruption is no measure of a packet, but a machine that has become slow is soon known to be.
            usual => (usual.saturating_mul(31).saturating_add(share.min(usual.saturating_mul(4))) / 32).max(1),
        };
        if was_interrupted {
            self.remember(before, after);
        }
        Call { before, after, count, was_interrupted, correction: self.correction }
    }

    /// Packets turned out to leave this long after the beginning of their share.
    pub(super) fn correct(&mut self, correction: Duration) {
        self.correction = correction;
    }

    /// How much earlier than it is taken to have left a packet may have.
    pub(super) fn slack(&self) -> Duration {
        self.correction
    }

    /// Whether the packet that is taken to have left at `sent` did so.
    pub(super) fn is_known(&self, sent: Mono) -> bool {
        if self.interrupted.back().is_none_or(|(_, end)| sent > *end) {
            return true;
        }
        let next = self.interrupted.partition_point(|(begin, _)| *begin <= sent);
        let before = next.checked_sub(1).and_then(|place| self.interrupted.get(place));
        before.is_none_or(|(_, end)| sent > *end)
    }

    fn remember(&mut self, before: Mono, after: Mono) {
        while self.interrupted.len() >= MOST
            || self.interrupted.front().is_some_and(|(_, end)| after.since(*end) > MEMORY)
        {
            self.interrupted.pop_front();
        }
        self.interrupted.push_back((before.minus(PRECISION), after));
    }
}

impl Call {
    /// When its `place`th packet left, within its share. In a call that was interrupted all are taken to have left at its
    /// beginning.
    pub(super) fn departure(&self, place: usize) -> Mono {
        if self.was_interrupted {
            return self.before;
        }
        self.share(place).plus(self.correction).min(self.share(place.saturating_add(1)))
    }

    /// When the time of its `place`th packet began.
    pub(super) fn share(&self, place: usize) -> Mono {
        let took = self.after.nanos_since(self.before);
        self.before.plus_nanos(took.saturating_mul(place as u64) / self.count.max(1) as u64)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(us: u64) -> Mono {
        Mono::from_nanos(us * 1_000)
    }

    /// Has seen calls of 4 us a packet.
    fn used_to_it() -> Departures {
        let mut departures = Departures::new();
        for n in 0..100 {
            assert!(!departures.call(us(n * 100), us(n * 100 + 16), 4).was_interrupted);
        }
        departures
    }

    #[test]
    fn a_usual_call_is_shared_out() {
        let mut departures = used_to_it();
        departures.correct(Duration::from_micros(3));
        let call = departures.call(us(20_000), us(20_016), 4);
        assert_eq!((call.departure(0), call.departure(3)), (us(20_003), us(20_015)));
        assert!(departures.is_known(us(20_003)));
    }

    #[test]
    fn no_packet_leaves_after_its_share_of_the_call() {
        let mut departures = used_to_it();
        departures.correct(Duration::from_micros(9));
        let call = departures.call(us(20_000), us(20_016), 4);
        assert_eq!((call.departure(0), call.departure(3)), (us(20_004), us(20_016)));
    }

    #[test]
    fn an_interrupted_call_says_nothing_of_its_packets() {
        let mut departures = used_to_it();
        let call = departures.call(us(20_000), us(24_000), 4);
        assert!(call.was_interrupted);
        assert_eq!((call.departure(0), call.departure(3)), (us(20_000), us(20_000)));
        assert!(!departures.is_known(us(20_000)));
        let next = departures.call(us(24_100), us(24_116), 4);
        assert!(!next.was_interrupted && departures.is_known(us(24_100)), "the next one does again");
        assert!(!departures.is_known(us(20_000).minus(PRECISION)), "which may have been kept a little earlier");
        assert!(departures.is_known(us(19_999)), "and so did the one before");
        departures.call(us(30_000), us(34_000), 4);
        assert!(departures.is_known(us(24_100)) && !departures.is_known(us(20_000)), "between two of them too");
    }

    #[test]
    fn a_little_longer_than_usual_is_no_interruption() {
        let mut departures = used_to_it();
        assert!(!departures.call(us(20_000), us(20_044), 4).was_interrupted);
        assert!(departures.call(us(21_000), us(21_060), 4).was_interrupted);
    }

    #[test]
    fn a_machine_that_became_slow_is_soon_known_to_be() {
        let mut departures = used_to_it();
        let calls = (0..200).map(|n| departures.call(us(20_000 + n * 1000), us(20_000 + n * 1000 + 400), 4));
        let interrupted: Vec<bool> = calls.map(|call| call.was_interrupted).collect();
        assert!(interrupted[0] && !interrupted[150], "{interrupted:?}");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut departures = used_to_it();
        for n in 0..20_000 {
            departures.remember(us(n * 10_000), us(n * 10_000 + 4_000));
            departures.usual = 4_000;
        }
        assert!(departures.interrupted.len() <= MOST);
        assert!(!departures.is_known(us(19_999 * 10_000)));
        departures.remember(us(900_000_000), us(900_004_000));
        assert_eq!(departures.interrupted.len(), 1, "the old ones are of no use to any timeout");
    }
}
