//! Keeps `at`: hands out each echo at its planned time, in the order of those times, and never to catch up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::wheel::Wheel;
use crate::model::Mono;

/// Echoes are put in order this long before their time at most, so that a sleep ends at the time of one exactly.
const AHEAD: Duration = Duration::from_millis(100);
/// Room for this many echoes is kept when a burst is over.
const KEPT: usize = 1 << 14;

#[derive(Debug)]
pub(super) struct Pacer {
    wheel: Wheel,
    /// What was taken from the wheel, in order.
    ready: VecDeque<(Mono, u32)>,
    /// What was planned for a time that had been taken from the wheel already.
    early: BinaryHeap<Reverse<(Mono, u32)>>,
    taken: Vec<u32>,
    sorted: Vec<(Mono, u32)>,
}

impl Pacer {
    pub(super) fn new(now: Mono) -> Pacer {
        Pacer {
            wheel: Wheel::new(now),
            ready: VecDeque::new(),
            early: BinaryHeap::new(),
            taken: Vec::new(),
            sorted: Vec::new(),
        }
    }

    /// Makes room for so many slots.
    pub(super) fn make_room(&mut self, slots: usize) {
        self.wheel.make_room(slots);
    }

    /// The slot has an echo to send at `at`. A slot has one plan at a time.
    pub(super) fn plan(&mut self, slot: u32, at: Mono) {
        if self.wheel.has_passed(at) {
            self.early.push(Reverse((at, slot)));
        } else {
            self.wheel.arm(slot, at);
        }
    }

    /// The slot sends nothing more. A plan that was already put in order still comes out; its time tells that it is void.
    pub(super) fn forget(&mut self, slot: u32) {
        self.wheel.disarm(slot);
    }

    /// The next slot whose time has come, with that time. `at` tells what a slot is planned for.
    pub(super) fn pop(&mut self, now: Mono, at: impl Fn(u32) -> Option<Mono>) -> Option<(Mono, u32)> {
        if !self.wheel.has_passed(now) {
            self.take(now, at);
        }
        let (first, is_early) = self.first()?;
        if first > now {
            return None;
        }
        if is_early { self.early.pop().map(|Reverse(plan)| plan) } else { self.ready.pop_front() }
    }

    /// When [`pop`](Pacer::pop) is worth calling next, seen from `now`.
    pub(super) fn next(&mut self, now: Mono, at: impl Fn(u32) -> Option<Mono>) -> Option<Mono> {
        if let Some((first, _)) = self.first() {
            return Some(first);
        }
        let next = self.wheel.next()?;
        if next <= now.plus(AHEAD) {
            self.take(next, at);
        }
        Some(self.first().map_or(next, |(first, _)| first))
    }

    /// The time of the first plan that was put in order, and whether it is one of the early.
    fn first(&self) -> Option<(Mono, bool)> {
        match (self.ready.front(), self.early.peek()) {
            (Some(ready), Some(Reverse(early))) => Some((ready.0.min(early.0), early < ready)),
            (Some((ready, _)), None) => Some((*ready, false)),
            (None, early) => early.map(|Reverse((at, _))| (*at, true)),
        }
    }

    /// Puts in order what is planned up to the tick of `until`.
    fn take(&mut self, until: Mono, at: impl Fn(u32) -> Option<Mono>) {
        while let Some(tick) = self.wheel.next().filter(|tick| *tick <= until) {
            self.take_tick(tick, &at);
        }
        self.take_tick(until, &at);
    }

    fn take_tick(&mut self, tick: Mono, at: impl Fn(u32) -> Option<Mono>) {
        self.wheel.take(tick, &mut self.taken);
        // Each bucket comes out backwards; the other way round it is two runs that are in order: what was planned anew when the
        // last echo of its slot left, and the new checks.
        self.sorted.extend(self.taken.drain(..).rev().filter_map(|slot| Some((at(slot)?, slot))));
        let mut middle = self.sorted.len().min(1 + self.sorted.windows(2).take_while(|pair| pair.is_sorted()).count());
        let is_two_runs = self.sorted.get(middle..).is_some_and(<[_]>::is_sorted);
        let earliest = [self.sorted.first(), self.sorted.get(middle)].into_iter().flatten().min();
        if !is_two_runs || earliest.is_some_and(|earliest| self.ready.back() > Some(earliest)) {
            self.sorted.extend(self.ready.drain(..));
            self.sorted.sort_unstable();
            middle = self.sorted.len();
        }
        if self.ready.is_empty() {
            self.ready.shrink_to(KEPT);
        }
        let (mut one, mut other) = self.sorted.split_at_checked(middle).unwrap_or_default();
        while let (Some((a, after_a)), Some((b, after_b))) = (one.split_first(), other.split_first()) {
            if a <= b {
                self.ready.push_back(*a);
                one = after_a;
            } else {
                self.ready.push_back(*b);
                other = after_b;
            }
        }
        self.ready.extend(one.iter().chain(other));
        self.sorted.clear();
        self.taken.shrink_to(KEPT);
        self.sorted.shrink_to(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoes_come_out_in_order_and_exactly_at_their_time() {
        let mut pacer = Pacer::new(Mono::ZERO);
        let at = |slot: u32| Mono::from_nanos(5_000_000 + u64::from(slot * 37 % 50) * 100_000);
        for slot in 0..40 {
            pacer.plan(slot, at(slot));
        }
        let mut now = Mono::ZERO;
        let (mut last, mut count, mut planned_late) = (Mono::ZERO, 0, 40);
        while let Some(next) = pacer.next(now, |slot| Some(at(slot))) {
            assert!(next >= now, "nothing was left behind");
            now = next;
            while let Some((planned, slot)) = pacer.pop(now, |slot| Some(at(slot))) {
                assert_eq!((planned, now), (at(slot), next));
                assert!(last <= planned);
                last = planned;
                count += 1;
            }
            if planned_late < 50 && at(planned_late) > now {
                pacer.plan(planned_late, at(planned_late));
                planned_late += 1;
            } else {
                planned_late = 50;
            }
        }
        assert!(count > 40, "{count}");
    }

    #[test]
    fn plans_come_out_in_order_however_they_were_made() {
        for step in [1, 7, 37, 499] {
            let mut pacer = Pacer::new(Mono::ZERO);
            let at = |slot: u32| Mono::from_nanos(3_000_000 + u64::from(slot * step % 500) * 10_000);
            for slot in (0..500).chain(0..250) {
                pacer.plan(slot, at(slot));
            }
            let end = Mono::from_nanos(1 << 30);
            let popped: Vec<_> = std::iter::from_fn(|| pacer.pop(end, |slot| Some(at(slot)))).collect();
            assert!(popped.len() == 500 && popped.is_sorted(), "{step}");
        }
    }

    #[test]
    fn a_burst_of_plans_for_the_past_is_cheap_and_leaves_no_room_behind() {
        let mut pacer = Pacer::new(Mono::from_nanos(1 << 40));
        for slot in 0..200_000_u32 {
            pacer.plan(slot, Mono::from_nanos(u64::from(slot.wrapping_mul(0x9e37_79b9))));
        }
        let mut last = Mono::ZERO;
        for _ in 0..200_000 {
            let (at, _) = pacer.pop(Mono::from_nanos(1 << 40), |_| None).unwrap();
            assert!(last <= at);
            last = at;
        }
        let later = |slot: u32| Some(Mono::from_nanos((1 << 40) + (1 << 30) + u64::from(slot)));
        for slot in 0..200_000 {
            pacer.plan(slot, later(slot).unwrap());
        }
        let end = Mono::from_nanos(1 << 41);
        let mut popped = 0;
        while pacer.pop(end, later).is_some() {
            popped += 1;
        }
        assert_eq!(popped, 200_000);
        pacer.plan(0, Mono::from_nanos(1 << 42));
        assert!(pacer.next(Mono::from_nanos(1 << 42), |_| Some(Mono::from_nanos(1 << 42))).is_some());
        assert!(pacer.ready.capacity() <= 2 * KEPT && pacer.taken.capacity() <= 2 * KEPT);
    }
}
