//! The calendar: when each target is asked.
//!
//! Targets with the same interval share a calendar of as many slots as there are targets, spread evenly over the
//! interval. Who gets which slot spreads the targets of each group evenly as well, so that neighbours in the list (often
//! behind one router) are not asked back to back, and the slots stay the same while the list does. A group whose router
//! has a rate of its own has a calendar of its own, which is as even as can be. Nothing is kept per target but its place:
//! no timer, no heap.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::rate::Alike;
use super::spread::{Place, spread};
use crate::model::{Mono, Plan, TargetId};

/// A check that is to begin at `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Due {
    /// Whom to ask.
    pub target: TargetId,
    /// When the first echo is to leave.
    pub at: Mono,
}

/// When each target of a plan is asked.
///
/// ```
/// use std::time::Duration;
/// use netwatch_core::{Mono, Plan, Schedule, Target};
///
/// let plan = Plan::new(vec![Target::at("a", "192.0.2.1".parse().unwrap())]);
/// let mut schedule = Schedule::new(&plan, [0; 16], Mono::ZERO);
/// let mut due = Vec::new();
/// schedule.poll_due(Mono::ZERO.plus(Duration::from_secs(20)), &mut due);
/// assert_eq!(due.len(), 2, "every 10 s by default");
/// ```
#[derive(Debug)]
pub struct Schedule {
    calendars: Vec<Calendar>,
    begins: Mono,
}

#[derive(Debug)]
struct Calendar {
    interval: Duration,
    slots: Vec<TargetId>,
    /// From one slot to the next, rounded down; what is left over of the interval is given out a nanosecond at a time.
    step: Duration,
    rest: u64,
    carry: u64,
    /// When the present lap began, the slot that comes next, and when.
    lap: Mono,
    next: usize,
    at: Mono,
}

/// Whose slots are spread evenly: everybody with one interval, or some behind a router with a rate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Share {
    Interval(Duration),
    Router(Alike),
}

impl Schedule {
    /// The calendar of a plan from `now` on; paused targets have no place in it.
    ///
    /// Each target is asked for the first time within one of its intervals. The key decides the order of the slots.
    pub fn new(plan: &Plan, key: [u8; 16], now: Mono) -> Schedule {
        let mut shares: BTreeMap<Share, Vec<Place>> = BTreeMap::new();
        for (index, target) in plan.targets.iter().enumerate() {
            if target.paused || target.settings.interval.is_zero() {
                continue;
            }
            let share = Alike::of(plan, target).map_or(Share::Interval(target.settings.interval), Share::Router);
            let router = target
                .group
                .map_or(0, |group| u32::try_from(group.index()).map_or(u32::MAX, |at| at.saturating_add(1)));
            let shuffled = keyed(key, target.name.as_bytes());
            shares.entry(share).or_default().push(Place { router, shuffled, target: TargetId::from_index(index) });
        }
        let calendar = |(share, places): (Share, Vec<Place>)| {
            let slots = spread(places);
            match share {
                Share::Interval(interval) => Calendar::new(interval, slots, now),
                Share::Router(alike) => {
                    // Not all routers at the same moments.
                    let first = slots.first().map_or(0, |first| first.index());
                    let step = nanos(alike.interval) / (slots.len() as u64).max(1);
                    let phase = keyed(key, &first.to_le_bytes()) % step.max(1);
                    Calendar::new(alike.interval, slots, now.plus(Duration::from_nanos(phase)))
                }
            }
        };
        Schedule { calendars: shares.into_iter().map(calendar).collect(), begins: now }
    }

    /// Begins at `now` instead. Call it before any check is taken: between making a calendar of a million and using it time
    /// passes, and what was to be asked in that time would be missed.
    pub fn begin_at(&mut self, now: Mono) {
        let later = now.since(self.begins);
        self.begins = now;
        for calendar in &mut self.calendars {
            calendar.lap = calendar.lap.plus(later);
            calendar.at = calendar.at.plus(later);
        }
    }

    /// Takes the checks that begin before `until` out of the calendar and appends them to `out`, in order of time for
    /// each interval.
    pub fn poll_due(&mut self, until: Mono, out: &mut Vec<Due>) {
        for calendar in &mut self.calendars {
            while let Some(due) = calendar.peek().filter(|due| due.at < until) {
                out.push(due);
                calendar.advance();
            }
        }
    }

    /// Gives up the checks that should have begun before `now`: what was missed is not caught up.
    ///
    /// Appends to `missed` the last check that each affected target missed.
    pub fn skip_to(&mut self, now: Mono, missed: &mut Vec<Due>) {
        for calendar in &mut self.calendars {
            let first = missed.len();
            calendar.skip_laps(now);
            while let Some(due) = calendar.peek().filter(|due| due.at < now) {
                missed.push(due);
                calendar.advance();
            }
            let surplus = missed.len().saturating_sub(first).saturating_sub(calendar.slots.len());
            missed.drain(first..first.saturating_add(surplus));
        }
    }

    /// When the next check begins.
    pub fn next(&self) -> Option<Mono> {
        self.calendars.iter().filter_map(|calendar| Some(calendar.peek()?.at)).min()
    }
}

impl Calendar {
    fn new(interval: Duration, slots: Vec<TargetId>, begins: Mono) -> Calendar {
        let (interval_nanos, count) = (nanos(interval), (slots.len() as u64).max(1));
        Calendar {
            interval,
            slots,
            step: Duration::from_nanos(interval_nanos / count),
            rest: interval_nanos % count,
            carry: 0,
            lap: begins,
            next: 0,
            at: begins,
        }
    }

    fn peek(&self) -> Option<Due> {
        Some(Due { target: *self.slots.get(self.next)?, at: self.at })
    }

    fn advance(&mut self) {
        self.next = self.next.saturating_add(1);
        if self.next >= self.slots.len() {
            self.next = 0;
            self.carry = 0;
            self.lap = self.lap.plus(self.interval);
            self.at = self.lap;
            return;
        }
        self.at = self.at.plus(self.step);
        self.carry = self.carry.saturating_add(self.rest);
        let count = self.slots.len() as u64;
        if self.carry >= count {
            self.carry = self.carry.saturating_sub(count);
            self.at = self.at.plus(Duration::from_nanos(1));
        }
    }

    /// Skips the laps of which nothing will be told: all that are behind but the last.
    fn skip_laps(&mut self, now: Mono) {
        let interval = nanos(self.interval);
        let behind = nanos(now.since(self.at)) / interval.max(1);
        let skipped = Duration::from_nanos(behind.saturating_sub(1).saturating_mul(interval));
        self.lap = self.lap.plus(skipped);
        self.at = self.at.plus(skipped);
    }
}

fn keyed(key: [u8; 16], bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(&key);
    hasher.write(bytes);
    hasher.finish()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Settings, Target};
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn plan(intervals: &[u64]) -> Plan {
        let targets = intervals.iter().enumerate().map(|(n, &seconds)| {
            let settings = Settings { interval: Duration::from_secs(seconds), ..Settings::default() };
            Target::at(format!("t{n}"), [192, 0, 2, 1].into()).with_settings(settings)
        });
        Plan::new(targets.collect())
    }

    fn due_until(schedule: &mut Schedule, seconds: u64) -> Vec<Due> {
        let mut due = Vec::new();
        schedule.poll_due(Mono::ZERO.plus(SECOND * seconds as u32), &mut due);
        due
    }

    proptest! {
        #[test]
        fn every_target_is_asked_once_an_interval(intervals in prop::collection::vec(1_u64..20, 1..40), key: [u8; 16]) {
            let plan = plan(&intervals);
            let mut schedule = Schedule::new(&plan, key, Mono::ZERO);
            let due = due_until(&mut schedule, 100);
            for (n, &seconds) in intervals.iter().enumerate() {
                let mine: Vec<Mono> = due.iter().filter(|due| due.target.index() == n).map(|due| due.at).collect();
                let expected = 100 / seconds as usize;
                prop_assert!((expected..=expected + 1).contains(&mine.len()));
                prop_assert!(mine.windows(2).all(|pair| pair[1].since(pair[0]) == SECOND * seconds as u32));
                prop_assert!(mine[0] < Mono::ZERO.plus(SECOND * seconds as u32));
            }
        }

        #[test]
        fn a_stall_is_not_caught_up(intervals in prop::collection::vec(1_u64..20, 1..40), stall in 1_u64..500) {
            let plan = plan(&intervals);
            let mut schedule = Schedule::new(&plan, [7; 16], Mono::ZERO);
            due_until(&mut schedule, 3);
            let resume = Mono::ZERO.plus(SECOND * (3 + stall) as u32);
            let mut missed = Vec::new();
            schedule.skip_to(resume, &mut missed);
            let mut once: Vec<usize> = missed.iter().map(|due| due.target.index()).collect();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), missed.len(), "each target is missed once");
            prop_assert!(missed.iter().all(|due| due.at < resume));
            let late: Vec<usize> =
                (0..intervals.len()).filter(|&n| intervals[n] <= stall).collect();
            prop_assert!(late.iter().all(|n| once.contains(n)), "who was due in the stall is named");
            let mut due = Vec::new();
            schedule.poll_due(resume.plus(SECOND * 20), &mut due);
            prop_assert!(due.iter().all(|due| due.at >= resume), "nothing is asked in the past");
            prop_assert!((0..intervals.len()).all(|n| due.iter().any(|due| due.target.index() == n)));
        }
    }

    #[test]
    fn a_machine_that_slept_for_a_day_needs_no_memory_for_the_checks_of_a_day() {
        let mut schedule = Schedule::new(&plan(&[1; 10]), [7; 16], Mono::ZERO);
        let mut missed = Vec::new();
        schedule.skip_to(Mono::ZERO.plus(SECOND * 86_400), &mut missed);
        assert_eq!(missed.len(), 10);
        assert!(missed.capacity() < 100, "{} places for ten missed checks", missed.capacity());
    }

    #[test]
    fn neighbours_in_the_list_are_not_asked_back_to_back() {
        let plan = plan(&[10; 1000]);
        let mut schedule = Schedule::new(&plan, [1; 16], Mono::ZERO);
        let due = due_until(&mut schedule, 10);
        let close = due.windows(2).filter(|pair| pair[0].target.index().abs_diff(pair[1].target.index()) == 1).count();
        assert!(close < 20, "{close} of 1000 neighbours follow each other");
        let gaps: Vec<Duration> = due.windows(2).map(|pair| pair[1].at.since(pair[0].at)).collect();
        assert!(gaps.iter().all(|gap| *gap == Duration::from_millis(10)), "slots are spread evenly");
    }

    #[test]
    fn a_paused_target_is_never_asked() {
        let mut plan = plan(&[1, 1]);
        plan.targets[0].paused = true;
        let mut schedule = Schedule::new(&plan, [1; 16], Mono::ZERO);
        assert!(due_until(&mut schedule, 10).iter().all(|due| due.target.index() == 1));
    }

    #[test]
    fn a_calendar_that_begins_later_misses_nobody() {
        let mut schedule = Schedule::new(&plan(&[10, 10, 30]), [7; 16], Mono::ZERO);
        let begin = Mono::ZERO.plus(SECOND * 4);
        schedule.begin_at(begin);
        assert_eq!(schedule.next(), Some(begin));
        let (mut missed, mut due) = (Vec::new(), Vec::new());
        schedule.skip_to(begin, &mut missed);
        schedule.poll_due(begin.plus(SECOND * 30), &mut due);
        assert!(missed.is_empty() && due.len() == 7, "{missed:?} {due:?}");
    }
}
