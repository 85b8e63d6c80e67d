//! When half of all answering targets fall silent within one interval, the core has failed, or netwatch's own uplink: the
//! mail is headed so.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::{Mono, Plan};

/// Two of four devices are no core.
const FEWEST: usize = 3;
/// The interval that counts, if the plan's longest is not between these.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// How finely falls are counted in time.
const GRAIN: Duration = Duration::from_millis(250);

/// Counts who answers, and who fell silent lately.
#[derive(Debug, Default)]
pub(super) struct CoreLoss {
    answering: usize,
    falls: VecDeque<(Mono, usize)>,
    lately: usize,
    within: Duration,
    /// When half of all had fallen, and since when.
    last: Option<(Mono, Mono)>,
}

impl CoreLoss {
    pub(super) fn new(plan: &Plan) -> CoreLoss {
        let longest = plan.targets.iter().map(|target| target.settings.interval).max().unwrap_or(LONGEST);
        CoreLoss { within: longest.clamp(SHORTEST, LONGEST), ..CoreLoss::default() }
    }

    /// The plan is another one, under which so many targets answer.
    pub(super) fn replan(&mut self, plan: &Plan, answering: usize) {
        let new = CoreLoss::new(plan);
        *self = CoreLoss { answering, last: self.last, ..new };
    }

    /// A target answers from now on.
    pub(super) fn rises(&mut self) {
        self.answering = self.answering.saturating_add(1);
    }

    /// A target that answered does not any more.
    pub(super) fn falls(&mut self, now: Mono) {
        self.answering = self.answering.saturating_sub(1);
        while let Some((_, count)) = self.falls.front().copied().filter(|(at, _)| now.since(*at) > self.within) {
            self.lately = self.lately.saturating_sub(count);
            self.falls.pop_front();
        }
        match self.falls.back_mut() {
            Some((at, count)) if now.since(*at) < GRAIN => *count += 1,
            _ => self.falls.push_back((now, 1)),
        }
        self.lately = self.lately.saturating_add(1);
        if self.lately >= FEWEST && self.lately >= self.answering {
            let from = self.falls.front().map_or(now, |(at, _)| *at);
            self.last = Some((from.minus(self.within), now));
        }
    }

    /// Whether a silence that began at `since` was part of such a fall.
    pub(super) fn holds(&self, since: Mono) -> bool {
        self.last.is_some_and(|(from, to)| from <= since && since <= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::ZERO.plus(Duration::from_secs(seconds))
    }

    fn fallen(answering: usize, seconds: impl Iterator<Item = u64>) -> bool {
        let mut loss = CoreLoss::new(&Plan::default());
        loss.within = Duration::from_secs(10);
        (0..answering).for_each(|_| loss.rises());
        seconds.for_each(|second| loss.falls(at(100 + second)));
        loss.holds(at(100))
    }

    #[test]
    fn half_of_all_within_one_interval_is_the_core() {
        assert!(fallen(20, 0..10));
        assert!(!fallen(20, 0..9), "nine of twenty are not half");
        assert!(!fallen(20, (0..10).map(|n| n * 2)), "not within one interval");
        assert!(!fallen(4, 0..2), "two of four are no core");
    }

    #[test]
    fn those_that_fall_in_one_moment_count_each_and_are_forgotten_together() {
        assert!(fallen(20, std::iter::repeat_n(0, 10)));
        assert!(!fallen(19, std::iter::repeat_n(0, 9).chain([11])), "nine are forgotten, and one of ten is not half");
        let mut loss = CoreLoss::new(&Plan::default());
        loss.within = Duration::from_secs(10);
        (0..19).for_each(|_| loss.rises());
        (0..9).for_each(|_| loss.falls(at(100)));
        loss.falls(at(111));
        assert!(!loss.holds(at(111)), "nor is it of the one that fell last");
    }

    #[test]
    fn a_million_that_fall_within_a_second_take_the_memory_of_a_second() {
        let mut loss = CoreLoss::new(&Plan::default());
        (0..1_000_000).for_each(|_| loss.rises());
        for n in 0..500_000 {
            loss.falls(at(100).plus(Duration::from_micros(2 * n)));
        }
        assert!(loss.holds(at(100)), "half of all");
        assert!(loss.falls.len() <= 5, "{} places", loss.falls.len());
    }

    #[test]
    fn what_counts_is_the_interval_that_ends_with_the_last_of_them() {
        assert!(fallen(5, [0, 5, 10].into_iter()), "exactly one interval");
        assert!(fallen(7, [0, 5, 9, 12].into_iter()), "the first is too long ago, the three others are half");
        assert!(!fallen(8, [0, 5, 9, 12].into_iter()));
    }

    #[test]
    fn a_reload_keeps_what_fell_and_counts_anew_who_answers() {
        let mut loss = CoreLoss::new(&Plan::default());
        (0..6).for_each(|_| loss.rises());
        (0..3).for_each(|_| loss.falls(at(100)));
        loss.replan(&Plan::default(), 20);
        assert!(loss.holds(at(100)), "what was told as the core's stays the core's");
        (0..9).for_each(|_| loss.falls(at(300)));
        assert!(!loss.holds(at(300)), "nine of twenty");
        loss.falls(at(300));
        assert!(loss.holds(at(300)), "ten of twenty");
    }
}
