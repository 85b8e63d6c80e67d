//! When a line may leave: group wait, group interval, budget and hours must all allow it.
//!
//! What is critical passes all but the group wait. What came by escalation is outside the budget, and so are blindness,
//! self-alerts, drills and flapping; of blindness and of each self-alert there is at most one mail in 10 min. A reminder and a
//! summary wait for group interval and hours.

use std::time::Duration;

use super::telling::{Desk, Owed};
use crate::model::{Budget, Hold, LineId, Mono, Now, StandingKind, Topic};

/// A device that was told of as back and is down again is told of within this time, whatever its budget.
const TOLD_AGAIN_WITHIN: Duration = Duration::from_secs(600);
/// No more than one blindness, and one self-alert of a kind, is told in this time; its end follows it as any line.
const RATION: Duration = Duration::from_secs(600);
/// A clock that is set back by more than this had been wrong.
const SET_BACK: Duration = Duration::from_secs(2 * 3600);

/// The earliest time at which a line may leave.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Release {
    /// Of those that are critical.
    critical: Option<Mono>,
    /// Of the others, hours left out.
    usual: Option<Mono>,
    /// Of all, as of the last look.
    next: Option<Mono>,
}

impl Desk {
    /// When a mail may leave; `None` if there is nothing to tell.
    pub(super) fn release(&self) -> Option<Mono> {
        self.release.next
    }

    /// Looks at everything anew.
    pub(super) fn reckon(&mut self, now: Now) {
        let mut release = Release::default();
        for owed in self.owed.values() {
            release.add(owed.line.critical, self.ready(owed).map(|(at, _)| at));
        }
        self.release = release;
        self.look_at_hours(now);
    }

    /// One line more is owed.
    pub(super) fn admit(&mut self, now: Now, id: LineId) {
        let Some(owed) = self.owed.get(&id) else { return };
        let (critical, ready) = (owed.line.critical, self.ready(owed).map(|(at, _)| at));
        self.release.add(critical, ready);
        self.look_at_hours(now);
    }

    /// The notifier speaks at these hours only; the wall clock says when that is.
    pub(super) fn look_at_hours(&mut self, now: Now) {
        let standing = self.standing.map(|_| self.interval_over(Mono::ZERO, Hold::GroupInterval).0);
        let usual = earlier(self.release.usual, standing).map(|at| self.speaks(now, at.max(now.mono)));
        self.release.next = earlier(self.release.critical, usual);
    }

    /// The first moment from this one on at which the notifier speaks.
    fn speaks(&self, now: Now, at: Mono) -> Mono {
        let Some(hours) = &self.policy.hours else { return at };
        // Beyond the end of the calendar nothing is known, and a late mail is worse than one at night.
        hours.next_inside(now.wall_at(at)).map_or(at, |wall| now.mono_at(wall))
    }

    /// When this line leaves if nothing carries it along before, and what it waits for last; `None` while its device is
    /// flapping.
    pub(super) fn leaves(&self, now: Now, owed: &Owed) -> Option<(Mono, Hold)> {
        let (at, hold) = self.ready(owed)?;
        let speaks = if owed.line.critical { at } else { self.speaks(now, at) };
        Some(if speaks > at { (speaks, Hold::Hours) } else { (at, hold) })
    }

    /// When this line may leave, hours left out, and what it waits for last; `None` while its device is flapping.
    fn ready(&self, owed: &Owed) -> Option<(Mono, Hold)> {
        if self.is_held(&owed.line) {
            return None;
        }
        let mut ready = (owed.since.plus(self.policy.group_wait), Hold::GroupWait);
        if owed.line.critical {
            return Some(ready);
        }
        ready = self.interval_over(ready.0, ready.1);
        let line = &owed.line;
        let later = match line.topic {
            topic if topic.is_rationed() && line.kind.brings_outage() => {
                self.rationed.get(topic.code()).map(|at| (at.plus(RATION), Hold::Rationed))
            }
            topic if topic.is_outside_budget() => None,
            _ if line.escalated => None,
            topic => match self.policy.budget {
                Budget::All => self.last_counted.map(|at| (at.plus(self.policy.min_interval), Hold::Budget)),
                Budget::Target if topic == Topic::Outage && line.kind.brings_outage() => {
                    self.budget_of(owed).map(|at| (at, Hold::Budget))
                }
                _ => None,
            },
        };
        Some(later.filter(|later| later.0 > ready.0).unwrap_or(ready))
    }

    fn interval_over(&self, at: Mono, hold: Hold) -> (Mono, Hold) {
        let over = self.last_sent.map(|(sent, _)| sent.plus(self.policy.group_interval));
        over.filter(|over| *over > at).map_or((at, hold), |over| (over, Hold::GroupInterval))
    }

    /// When the budget of the device of this line has recovered.
    fn budget_of(&self, owed: &Owed) -> Option<Mono> {
        let memory = self.told.get(&owed.line.outage.target)?;
        if memory.told.outage == owed.line.outage.id {
            return None;
        }
        let budget = memory.at.plus(self.policy.min_interval);
        Some(if memory.told.ended { budget.min(owed.since.plus(TOLD_AGAIN_WITHIN)) } else { budget })
    }

    /// Whether it is time for a reminder or the day's summary.
    pub(super) fn look_at_standing(&mut self, now: Now) {
        let place = self.policy.summaries.partition_point(|at| *at <= self.looked);
        let has_passed = self.policy.summaries.get(place).is_some_and(|at| *at <= now.wall);
        // A clock that is set back must not repeat a summary; one that was far ahead must not silence them.
        self.looked = if self.looked > now.wall.plus(SET_BACK) { now.wall } else { self.looked.max(now.wall) };
        if has_passed {
            self.standing = Some(StandingKind::Summary);
        } else if self.standing.is_none() && self.reminder_at().is_some_and(|at| at <= now.mono) {
            self.standing = Some(StandingKind::Reminder);
        }
    }

    fn reminder_at(&self) -> Option<Mono> {
        let (first, _) = self.open_told.first()?;
        let since = self.last_standing.map_or(*first, |(at, _)| at.max(*first));
        Some(since.plus(self.policy.reminder?))
    }

    /// When [`look_at_standing`](Desk::look_at_standing) may find something.
    pub(super) fn standing_timeout(&self, now: Now) -> Option<Mono> {
        let place = self.policy.summaries.partition_point(|at| *at <= self.looked);
        let summary = self.policy.summaries.get(place).map(|at| now.mono_at(*at));
        let reminder = self.reminder_at().filter(|_| self.standing.is_none());
        summary.into_iter().chain(reminder).min()
    }
}

impl Release {
    fn add(&mut self, critical: bool, ready: Option<Mono>) {
        let place = if critical { &mut self.critical } else { &mut self.usual };
        *place = earlier(*place, ready);
    }
}

fn earlier(one: Option<Mono>, other: Option<Mono>) -> Option<Mono> {
    one.into_iter().chain(other).min()
}
