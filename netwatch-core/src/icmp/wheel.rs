//! A timing wheel over slots: arming, disarming and finding what is due cost the same for ten slots and for a million.
//!
//! A hashed wheel (Varghese and Lauck 1987, scheme 6): buckets of about 1 ms, each a doubly linked list through an array
//! indexed by slot, 12 bytes a slot, so nothing is allocated when a timer is set. An entry beyond one turn waits in its
//! bucket. Only the tick is kept: whoever arms a timer knows its exact time.

use crate::model::Mono;

const TICK_BITS: u32 = 20;
const BUCKETS: usize = 8192;
const NONE: u32 = u32::MAX;
/// In place of the entry before: the timer is not armed.
const DISARMED: u32 = u32::MAX - 1;
/// Ticks are kept in 32 bits. What is further away than this (13 days) comes out too early.
const FURTHEST: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct Wheel {
    heads: Box<[u32]>,
    /// One bit a bucket: not empty.
    occupied: Box<[u64]>,
    entries: Vec<Entry>,
    /// All ticks before this one were taken.
    cursor: u64,
    armed: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The low bits of the tick.
    tick: u32,
    prev: u32,
    next: u32,
}

const _: () = assert!(size_of::<Entry>() == 12);

impl Wheel {
    /// Nothing armed; time begins at `now`.
    pub(super) fn new(now: Mono) -> Wheel {
        Wheel {
            heads: vec![NONE; BUCKETS].into(),
            occupied: vec![0; BUCKETS / 64].into(),
            entries: Vec::new(),
            cursor: tick(now),
            armed: 0,
        }
    }

    /// Makes room for so many slots.
    pub(super) fn make_room(&mut self, slots: usize) {
        self.entries.reserve_exact(slots);
    }

    /// Arms the timer of this slot, instead of what it was armed for.
    pub(super) fn arm(&mut self, slot: u32, at: Mono) {
        self.disarm(slot);
        let place = slot as usize;
        if self.entries.len() <= place {
            self.entries.resize(place + 1, Entry { tick: 0, prev: DISARMED, next: NONE });
        }
        self.link(slot, tick(at).clamp(self.cursor, self.cursor + FURTHEST) as u32);
        self.armed += 1;
    }

    /// The first time to arm a timer for that comes out of [`take`](Wheel::take) only when `at` has come: the beginning of the
    /// next tick. A timer armed for `at` itself comes out up to a tick early.
    pub(super) fn not_before(at: Mono) -> Mono {
        Mono::from_nanos(at.as_nanos().div_ceil(1 << TICK_BITS).saturating_mul(1 << TICK_BITS))
    }

    /// Whether [`take`](Wheel::take) was called for this time already.
    pub(super) fn has_passed(&self, at: Mono) -> bool {
        tick(at) <= self.cursor
    }

    /// Whether the timer of this slot comes out by this time.
    pub(super) fn is_armed_by(&self, slot: u32, at: Mono) -> bool {
        let by = tick(at).clamp(self.cursor, self.cursor + FURTHEST);
        let entry = self.entries.get(slot as usize);
        entry.is_some_and(|entry| entry.prev != DISARMED && is_by(entry.tick, by))
    }

    /// Disarms the timer of this slot.
    pub(super) fn disarm(&mut self, slot: u32) {
        let Some(entry) = self.entries.get_mut(slot as usize).filter(|entry| entry.prev != DISARMED) else { return };
        let Entry { tick, prev, next } = *entry;
        entry.prev = DISARMED;
        self.armed -= 1;
        if let Some(entry) = self.entries.get_mut(next as usize) {
            entry.prev = prev;
        }
        if let Some(entry) = self.entries.get_mut(prev as usize) {
            entry.next = next;
            return;
        }
        let bucket = bucket(u64::from(tick));
        if let Some(head) = self.heads.get_mut(bucket) {
            *head = next;
        }
        if next == NONE {
            self.mark(bucket, false);
        }
    }

    /// Disarms every timer of the ticks up to the one `now` is in, and adds their slots to `due`, in no order.
    pub(super) fn take(&mut self, now: Mono, due: &mut Vec<u32>) {
        let last = tick(now).max(self.cursor);
        let begin = self.cursor.max(last.saturating_sub(BUCKETS as u64 - 1));
        self.cursor = last;
        if self.armed == 0 {
            return;
        }
        for t in begin..=last {
            let bucket = bucket(t);
            if !self.is_occupied(bucket) {
                continue;
            }
            self.mark(bucket, false);
            let head = self.heads.get_mut(bucket);
            let mut slot = head.map_or(NONE, |head| std::mem::replace(head, NONE));
            while let Some(entry) = self.entries.get_mut(slot as usize) {
                let Entry { tick, next, .. } = *entry;
                if is_by(tick, last) {
                    entry.prev = DISARMED;
                    self.armed -= 1;
                    due.push(slot);
                } else {
                    self.link(slot, tick);
                }
                slot = next;
            }
        }
    }

    /// When [`take`](Wheel::take) is worth calling next: not after the first timer, and at most one turn away.
    pub(super) fn next(&self) -> Option<Mono> {
        if self.armed == 0 {
            return None;
        }
        let turn = self.cursor..self.cursor + BUCKETS as u64;
        let mut t = turn.start;
        while t < turn.end {
            let bucket = bucket(t);
            let rest = self.occupied.get(bucket / 64).map_or(0, |word| word >> (bucket % 64));
            if rest == 0 {
                t += 64 - (bucket % 64) as u64;
            } else if rest & 1 == 0 {
                t += u64::from(rest.trailing_zeros());
            } else if self.is_due(bucket, t) {
                break;
            } else {
                t += 1;
            }
        }
        Some(Mono::from_nanos(t.min(turn.end) << TICK_BITS))
    }

    /// Whether the bucket holds a timer of this tick or before, rather than of later turns only.
    fn is_due(&self, bucket: usize, by: u64) -> bool {
        let mut slot = self.heads.get(bucket).copied().unwrap_or(NONE);
        while let Some(entry) = self.entries.get(slot as usize) {
            if is_by(entry.tick, by) {
                return true;
            }
            slot = entry.next;
        }
        false
    }

    fn link(&mut self, slot: u32, tick: u32) {
        let bucket = bucket(u64::from(tick));
        let Some(head) = self.heads.get_mut(bucket) else { return };
        let next = std::mem::replace(head, slot);
        if let Some(entry) = self.entries.get_mut(next as usize) {
            entry.prev = slot;
        }
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            *entry = Entry { tick, prev: NONE, next };
        }
        self.mark(bucket, true);
    }

    fn is_occupied(&self, bucket: usize) -> bool {
        self.occupied.get(bucket / 64).is_some_and(|word| word >> (bucket % 64) & 1 == 1)
    }

    fn mark(&mut self, bucket: usize, occupied: bool) {
        if let Some(word) = self.occupied.get_mut(bucket / 64) {
            let bit = 1 << (bucket % 64);
            *word = if occupied { *word | bit } else { *word & !bit };
        }
    }
}

fn tick(at: Mono) -> u64 {
    at.as_nanos() >> TICK_BITS
}

/// Whether the tick with these low bits is not after `by`.
fn is_by(tick: u32, by: u64) -> bool {
    (by as u32).wrapping_sub(tick) as i32 >= 0
}

fn bucket(tick: u64) -> usize {
    (tick % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    fn taken(wheel: &mut Wheel, now: Mono) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.take(now, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn every_timer_fires_once_and_not_early_by_more_than_a_tick() {
        let mut wheel = Wheel::new(ms(0));
        let ats: Vec<u64> = (0..500).map(|n| n * n * 7 % 40_000).collect();
        for (slot, at) in ats.iter().enumerate() {
            wheel.arm(slot as u32, ms(*at));
        }
        let mut fired = vec![false; ats.len()];
        let mut now = ms(0);
        while let Some(next) = wheel.next() {
            assert!(next <= now.plus(std::time::Duration::from_secs(9)));
            now = next.max(now);
            for slot in taken(&mut wheel, now) {
                assert!(!std::mem::replace(&mut fired[slot as usize], true));
                assert!(now.plus(std::time::Duration::from_millis(2)) >= ms(ats[slot as usize]), "too early");
                assert!(now <= ms(ats[slot as usize]).plus(std::time::Duration::from_millis(2)), "too late");
            }
        }
        assert!(fired.iter().all(|fired| *fired));
    }

    #[test]
    fn a_disarmed_timer_is_silent_and_a_rearmed_one_moves() {
        let mut wheel = Wheel::new(ms(0));
        for slot in 0..3 {
            wheel.arm(slot, ms(10));
        }
        wheel.disarm(1);
        wheel.arm(2, ms(30));
        assert_eq!(taken(&mut wheel, ms(12)), [0]);
        assert_eq!(taken(&mut wheel, ms(40)), [2]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn a_time_that_has_passed_is_due_at_once() {
        let mut wheel = Wheel::new(ms(5_000));
        wheel.arm(0, ms(1));
        wheel.arm(1, ms(2));
        wheel.disarm(1);
        assert!(wheel.next().is_some_and(|next| next <= ms(5_000)));
        assert_eq!(taken(&mut wheel, ms(5_000)), [0]);
    }

    #[test]
    fn a_timer_can_be_kept_from_coming_early() {
        for nanos in [1, (1 << TICK_BITS) - 1, 1 << TICK_BITS, (1 << TICK_BITS) + 1, 5_000_000] {
            let at = Mono::from_nanos(nanos);
            let mut wheel = Wheel::new(ms(0));
            wheel.arm(0, Wheel::not_before(at));
            assert!(wheel.next().is_some_and(|next| next >= at), "{nanos}: nobody wakes up for nothing");
            assert_eq!(taken(&mut wheel, Mono::from_nanos(nanos - 1)), Vec::<u32>::new(), "{nanos}");
            assert_eq!(taken(&mut wheel, at.plus(std::time::Duration::from_nanos(1 << TICK_BITS))), [0], "{nanos}");
        }
    }

    #[test]
    fn ticks_wrap_after_52_days_and_what_is_further_comes_early() {
        let days = |days: u64| ms(days * 86_400_000);
        let mut wheel = Wheel::new(days(52));
        wheel.arm(0, days(53));
        wheel.arm(1, days(54));
        wheel.arm(2, days(40));
        wheel.arm(3, days(400));
        assert!(
            wheel.is_armed_by(0, days(53)) && !wheel.is_armed_by(0, days(52).plus(std::time::Duration::from_millis(2)))
        );
        assert_eq!(taken(&mut wheel, days(52)), [2]);
        assert_eq!(taken(&mut wheel, days(53)), [0]);
        assert_eq!(taken(&mut wheel, days(66)), [1, 3]);
    }

    #[test]
    fn a_long_sleep_loses_no_timer() {
        let mut wheel = Wheel::new(ms(0));
        for slot in 0..100 {
            wheel.arm(slot, ms(u64::from(slot) * 200));
        }
        assert_eq!(taken(&mut wheel, ms(3_600_000)).len(), 100);
    }
}
