//! Stretches of calendar time as the pure half sees them: already in UTC, so that no rule about zones, summer time or
//! weekdays is needed where decisions are made.

use std::sync::Arc;

use super::time::Wall;

/// From `from` (inclusive) to `to` (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Period {
    /// When it begins.
    pub from: Wall,
    /// When it is over.
    pub to: Wall,
}

impl Period {
    /// From `from` to `to`; empty if that is not later.
    pub fn new(from: Wall, to: Wall) -> Period {
        Period { from, to }
    }
}

/// Periods in the order of time that do not touch each other.
///
/// Whoever makes one from a rule ("daily 02:00-04:00") makes it long enough for the time until the next plan; beyond its
/// last period there is nothing.
///
/// ```
/// use netwatch_core::{Calendar, Period, Wall};
/// let at = Wall::from_unix_nanos;
/// let calendar = Calendar::new([Period::new(at(50), at(60)), Period::new(at(10), at(20)), Period::new(at(20), at(30))]);
/// assert_eq!(calendar.periods().len(), 2);
/// assert!(calendar.contains(at(29)) && !calendar.contains(at(30)));
/// assert_eq!(calendar.next_inside(at(30)), Some(at(50)));
/// assert_eq!(calendar.next_change(at(30)), Some(at(50)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar(Arc<[Period]>);

impl Calendar {
    /// These periods, put in order and joined where they touch.
    pub fn new(periods: impl IntoIterator<Item = Period>) -> Calendar {
        let mut sorted: Vec<Period> = periods.into_iter().filter(|period| period.from < period.to).collect();
        sorted.sort_unstable_by_key(|period| (period.from, period.to));
        let mut joined: Vec<Period> = Vec::with_capacity(sorted.len());
        for period in sorted {
            match joined.last_mut() {
                Some(last) if period.from <= last.to => last.to = last.to.max(period.to),
                _ => joined.push(period),
            }
        }
        Calendar(joined.into())
    }

    /// Its periods.
    pub fn periods(&self) -> &[Period] {
        &self.0
    }

    /// The period that `at` lies in.
    pub fn period_at(&self, at: Wall) -> Option<Period> {
        self.0.get(self.place(at)).copied().filter(|period| period.from <= at)
    }

    /// Whether `at` lies in one of its periods.
    pub fn contains(&self, at: Wall) -> bool {
        self.period_at(at).is_some()
    }

    /// The first instant from `at` on that lies in a period.
    pub fn next_inside(&self, at: Wall) -> Option<Wall> {
        self.0.get(self.place(at)).map(|period| period.from.max(at))
    }

    /// The first instant after `at` at which a period begins or ends.
    pub fn next_change(&self, at: Wall) -> Option<Wall> {
        let period = self.0.get(self.place(at))?;
        Some(if period.from > at { period.from } else { period.to })
    }

    /// The place of the first period that is not over at `at`.
    fn place(&self, at: Wall) -> usize {
        self.0.partition_point(|period| period.to <= at)
    }
}
