//! Keeps `at`: hands out each echo at its planned time, in the order of those times, and never to catch up.

use std::collections::VecDeque;
use std::time::Duration;

use super::wheel::Wheel;
use crate::model::Mono;

/// Echoes are put in order this long before their time; a little more than a tick of the wheel.
const LOOKAHEAD: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(super) struct Pacer {
    wheel: Wheel,
    ready: VecDeque<(Mono, u32)>,
    scratch: Vec<(Mono, u32)>,
}

impl Pacer {
    pub(super) fn new(now: Mono) -> Pacer {
        Pacer { wheel: Wheel::new(now), ready: VecDeque::new(), scratch: Vec::new() }
    }

    /// The slot has an echo to send at `at`. A slot has one plan at a time.
    pub(super) fn plan(&mut self, slot: u32, at: Mono) {
        if self.wheel.has_passed(at) {
            let place = self.ready.partition_point(|earlier| *earlier <= (at, slot));
            self.ready.insert(place, (at, slot));
        } else {
            self.wheel.arm(slot, at);
        }
    }

    /// The slot sends nothing more. A plan that was already put in order still comes out; its time tells that it is void.
    pub(super) fn forget(&mut self, slot: u32) {
        self.wheel.disarm(slot);
    }

    /// The next slot whose time has come, with that time.
    pub(super) fn pop(&mut self, now: Mono) -> Option<(Mono, u32)> {
        self.refill(now);
        self.ready.front().filter(|(at, _)| *at <= now)?;
        self.ready.pop_front()
    }

    /// When [`pop`](Pacer::pop) is worth calling next.
    pub(super) fn next(&self) -> Option<Mono> {
        let ready = self.ready.front().map(|(at, _)| *at);
        let later = self.wheel.next().map(|at| at.minus(LOOKAHEAD / 2));
        match (ready, later) {
            (Some(ready), Some(later)) => Some(ready.min(later.max(ready.minus(LOOKAHEAD)))),
            (ready, later) => ready.or(later),
        }
    }

    fn refill(&mut self, now: Mono) {
        self.wheel.take(now.plus(LOOKAHEAD), &mut self.scratch);
        if self.scratch.is_empty() {
            return;
        }
        self.ready.extend(self.scratch.drain(..));
        self.ready.make_contiguous().sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoes_come_out_in_order_and_not_before_their_time() {
        let mut pacer = Pacer::new(Mono::ZERO);
        let at = |slot: u32| Mono::from_nanos(5_000_000 + u64::from(slot * 37 % 50) * 100_000);
        for slot in 0..50 {
            pacer.plan(slot, at(slot));
        }
        let mut now = Mono::ZERO;
        let mut last = Mono::ZERO;
        let mut count = 0;
        while let Some(next) = pacer.next() {
            now = now.max(next);
            while let Some((planned, slot)) = pacer.pop(now) {
                assert_eq!(planned, at(slot));
                assert!(planned <= now && last <= planned);
                last = planned;
                count += 1;
            }
            now = now.plus(Duration::from_micros(50));
        }
        assert_eq!(count, 50);
    }
}
