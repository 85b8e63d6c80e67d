//! Which host is asked when: one packet at a time, a packet interval apart, whoever it goes to. Pure.
//!
//! What falls due while this machine was late is not caught up: everything moves to later, as it does in fping(8). And if the
//! hosts are so many that a round takes longer than the interval, the next begins where the last ends.

use std::collections::VecDeque;
use std::time::Duration;

use netwatch_core::Mono;

/// How often an echo that this machine did not send is planned anew.
pub(crate) const MOST_TRIES: u8 = 16;
/// What a machine that cannot keep the packet interval is slowed down to; every machine can keep that.
const SLOWEST: Duration = Duration::from_millis(1);

/// One echo to one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The host's place in the list.
    pub(crate) host: u32,
    /// Which echo to it; the first is 0.
    pub(crate) round: u32,
    /// How often it was planned before.
    pub(crate) tries: u8,
}

impl Ask {
    /// All of it in one number, another for each.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.tries) << 56 | u64::from(self.host & 0x00ff_ffff) << 32 | u64::from(self.round)
    }

    /// Back from its number.
    pub(crate) fn from_number(number: u64) -> Ask {
        let [tries, h0, h1, h2, r0, r1, r2, r3] = number.to_be_bytes();
        Ask { host: u32::from_be_bytes([0, h0, h1, h2]), round: u32::from_be_bytes([r0, r1, r2, r3]), tries }
    }
}

/// What is still to be asked.
#[derive(Debug)]
pub(crate) struct Queue {
    /// What no time was set for yet; it comes first.
    fresh: VecDeque<Ask>,
    /// Not before their times, which rise.
    later: VecDeque<(Mono, Ask)>,
    /// When the next packet may leave.
    free: Mono,
    /// From one packet to the next, as wanted and as this machine can.
    wanted: Duration,
    gap: Duration,
    interval: Duration,
    rounds: Option<u32>,
}

impl Queue {
    /// Nothing yet. Packets leave `gap` apart, those to the same host at least `interval`; `rounds` each, or without end.
    pub(crate) fn new(gap: Duration, interval: Duration, rounds: Option<u32>) -> Queue {
        let (fresh, later) = (VecDeque::new(), VecDeque::new());
        Queue { fresh, later, free: Mono::ZERO, wanted: gap, gap, interval, rounds }
    }

    /// Asks as soon as there is room.
    pub(crate) fn add(&mut self, ask: Ask) {
        self.fresh.push_back(ask);
    }

    /// Asks not before this time.
    pub(crate) fn add_later(&mut self, at: Mono, ask: Ask) {
        let place = self.later.partition_point(|(earlier, _)| *earlier <= at);
        self.later.insert(place, (at, ask));
    }

    /// Whether everything was handed out.
    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.later.is_empty()
    }

    /// When the next packet leaves; `None` if there is none.
    pub(crate) fn next(&self) -> Option<Mono> {
        if !self.fresh.is_empty() {
            return Some(self.free);
        }
        self.later.front().map(|(at, _)| self.free.max(*at))
    }

    /// Nothing leaves before this time any more.
    pub(crate) fn not_before(&mut self, earliest: Mono) {
        self.free = self.free.max(earliest);
    }

    /// This machine did not send in time: packets leave half as often, at a millisecond or the wanted gap at most.
    pub(crate) fn slow_down(&mut self) {
        self.gap = self.gap.saturating_mul(2).min(SLOWEST).max(self.wanted);
    }

    /// A slice was handed over since: back towards the wanted gap, an eighth at a time.
    pub(crate) fn speed_up(&mut self) {
        self.gap = self.gap.saturating_sub(self.gap / 8).max(self.wanted);
    }

    /// Hands out what leaves before `until`, with its time.
    pub(crate) fn take(&mut self, until: Mono) -> Vec<(Mono, Ask)> {
        let mut due = Vec::new();
        while let Some(at) = self.next().filter(|at| *at < until) {
            let ask = match self.fresh.pop_front() {
                Some(ask) => ask,
                None => match self.later.pop_front() {
                    Some((_, ask)) => ask,
                    None => break,
                },
            };
            self.free = at.plus(self.gap);
            due.push((at, ask));
            let round = ask.round.saturating_add(1);
            if ask.tries == 0 && self.rounds.is_none_or(|rounds| round < rounds) {
                self.add_later(at.plus(self.interval), Ask { round, ..ask });
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn ms(at: Mono) -> u64 {
        at.as_nanos() / 1_000_000
    }

    fn queue(hosts: u32, gap: u32, interval: u32, rounds: u32) -> Queue {
        let mut queue = Queue::new(MS * gap, MS * interval, Some(rounds));
        (0..hosts).for_each(|host| queue.add(Ask { host, round: 0, tries: 0 }));
        queue
    }

    fn plan(queue: &mut Queue, until: u32) -> Vec<(u64, u32, u32)> {
        let due = queue.take(Mono::ZERO.plus(MS * until));
        due.into_iter().map(|(at, ask)| (ms(at), ask.host, ask.round)).collect()
    }

    #[test]
    fn packets_keep_their_distance_and_rounds_theirs() {
        let mut queue = queue(2, 3, 10, 2);
        assert_eq!(plan(&mut queue, 100), [(0, 0, 0), (3, 1, 0), (10, 0, 1), (13, 1, 1)]);
        assert!(queue.is_empty() && queue.next().is_none());
    }

    #[test]
    fn a_round_that_takes_longer_than_the_interval_is_not_hurried() {
        let asked = plan(&mut queue(3, 5, 10, 2), 100);
        assert_eq!(asked, [(0, 0, 0), (5, 1, 0), (10, 2, 0), (15, 0, 1), (20, 1, 1), (25, 2, 1)]);
    }

    #[test]
    fn only_what_is_near_is_handed_out_and_nothing_is_caught_up() {
        let mut queue = queue(4, 10, 1000, 1);
        assert_eq!(plan(&mut queue, 15), [(0, 0, 0), (10, 1, 0)]);
        assert_eq!(queue.next().map(ms), Some(20));
        queue.not_before(Mono::ZERO.plus(MS * 500));
        assert_eq!(plan(&mut queue, 1000), [(500, 2, 0), (510, 3, 0)]);
    }

    #[test]
    fn what_did_not_leave_is_asked_again_alone() {
        let mut queue = queue(1, 10, 100, 2);
        assert_eq!(plan(&mut queue, 50), [(0, 0, 0)]);
        queue.add(Ask { host: 0, round: 0, tries: 1 });
        assert_eq!(plan(&mut queue, 1000), [(10, 0, 0), (100, 0, 1)]);
    }

    #[test]
    fn what_is_asked_later_keeps_the_order_of_time() {
        let mut queue = queue(2, 1, 10, 2);
        plan(&mut queue, 5);
        queue.add_later(Mono::ZERO.plus(MS * 5), Ask { host: 9, round: 7, tries: 1 });
        assert_eq!(plan(&mut queue, 100), [(5, 9, 7), (10, 0, 1), (11, 1, 1)]);
    }

    #[test]
    fn a_machine_that_is_too_slow_gets_time_and_recovers() {
        let wanted = Duration::from_micros(100);
        let mut queue = Queue::new(wanted, MS, Some(1));
        queue.slow_down();
        assert_eq!(queue.gap, wanted * 2);
        (0..10).for_each(|_| queue.slow_down());
        assert_eq!(queue.gap, SLOWEST);
        (0..30).for_each(|_| queue.speed_up());
        assert_eq!(queue.gap, wanted);
        let mut slow = Queue::new(MS * 20, MS, Some(1));
        slow.slow_down();
        assert_eq!(slow.gap, MS * 20, "so slow a rate is not what it could not keep");
    }

    #[test]
    fn a_number_is_one_echo() {
        let ask = Ask { host: 999_999, round: u32::MAX, tries: 3 };
        assert_eq!(Ask::from_number(ask.number()), ask);
        assert_ne!(Ask { tries: 2, ..ask }.number(), ask.number());
    }
}
