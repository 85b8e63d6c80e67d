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
}
