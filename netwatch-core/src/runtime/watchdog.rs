//! Whether netwatch itself goes on: which of its four parts stands still, told from what was counted. Pure; `vitals`
//! counts.
//!
//! A part goes on if the work that it had was done. A timer that ticks proves nothing, and a part without work is well.

use std::fmt;
use std::time::Duration;

use crate::model::Mono;

/// The four parts without any of which netwatch would watch over nothing, or tell nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// What asks the devices: checks that were handed out come back, and an engine with work comes round.
    Prober,
    /// What decides: the loop that takes in samples and carries out decisions.
    Monitor,
    /// What remembers: the journal answers, be it with an error.
    Store,
    /// What tells: attempts and renderings end when their time is over.
    Delivery,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 4] = [Part::Prober, Part::Monitor, Part::Store, Part::Delivery];

    /// Its name, as a log writes it: `prober`, `monitor`, `store`, `delivery`.
    pub fn code(self) -> &'static str {
        match self {
            Part::Prober => "prober",
            Part::Monitor => "monitor",
            Part::Store => "store",
            Part::Delivery => "delivery",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// For how long each part has stood still, with work to do.
///
/// A healthy part may show some milliseconds of it; how long is too long, whoever asks decides. netwatch's own watchdog
/// takes 15 s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    standing: [Duration; 4],
}

impl Progress {
    /// For how long this part has not done what it had to; zero if it goes on, or has nothing to do.
    pub fn standing(&self, part: Part) -> Duration {
        let place = Part::ALL.iter().position(|known| *known == part);
        place.and_then(|place| self.standing.get(place)).copied().unwrap_or_default()
    }

    /// The parts that have stood still for `patience` or longer.
    pub fn stuck(&self, patience: Duration) -> Vec<Part> {
        Part::ALL.into_iter().filter(|part| self.standing(*part) >= patience.max(Duration::from_nanos(1))).collect()
    }
}

/// What was counted, at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted {
    /// When the loop of a probe that has work was to come round at the latest: the earliest of all probes.
    pub(super) engine_back: Option<Mono>,
    /// Since when a probe has given no result of its own, although there should have been several.
    pub(super) missing_since: Option<Mono>,
    /// When the driver was to come round at the latest; `None` before its start.
    pub(super) driver_back: Option<Mono>,
    /// How many commits were handed to the journal.
    pub(super) committed: u64,
    /// How many of these it has answered.
    pub(super) answered: u64,
    /// When it got one while it had nothing else to do, the last time.
    pub(super) begun_at: Mono,
    /// When it gave its last answer.
    pub(super) answered_at: Mono,
    /// When the first of the attempts and renderings under way was to have ended.
    pub(super) delivery_due: Option<Mono>,
}

impl Counted {
    /// What it means now.
    pub(super) fn judge(&self, now: Mono) -> Progress {
        let since = |at: Option<Mono>| at.map_or(Duration::ZERO, |at| now.since(at));
        let owes_an_answer = self.committed != self.answered;
        Progress {
            standing: [
                since(self.engine_back).max(since(self.missing_since)),
                since(self.driver_back),
                since(owes_an_answer.then(|| self.begun_at.max(self.answered_at))),
                since(self.delivery_due),
            ],
        }
    }
}

/// How long a probe has to be without results before that is said of it: a single check that does not come back tells of
/// a busy machine.
const CONFIRM: Duration = Duration::from_secs(2);

/// What comes back from one probe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Returns {
    /// When the first check ended without a result of its own since the last that had one.
    first: Option<Mono>,
    /// Whether another did so later: then the first was no accident.
    confirmed: bool,
}

impl Returns {
    /// Takes in whether checks gave results of their own, or none in their time, until now.
    pub(super) fn learn(&mut self, now: Mono, heard: bool, missed: bool) {
        if heard {
            *self = Returns::default();
        } else if missed {
            let first = *self.first.get_or_insert(now);
            self.confirmed |= now.since(first) >= CONFIRM;
        }
    }

    /// Since when results are missing.
    pub(super) fn missing_since(&self) -> Option<Mono> {
        self.first.filter(|_| self.confirmed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(15);

    fn s(seconds: u64) -> Mono {
        Mono::ZERO.plus(Duration::from_secs(seconds))
    }

    fn stuck(counted: &Counted, now: u64) -> Vec<Part> {
        counted.judge(s(now)).stuck(PATIENCE)
    }

    #[test]
    fn a_netwatch_without_work_goes_on() {
        assert_eq!(stuck(&Counted::default(), 1_000_000), []);
        let idle = Counted {
            driver_back: Some(s(1_005)),
            committed: 7,
            answered: 7,
            begun_at: s(3),
            answered_at: s(4),
            ..Counted::default()
        };
        assert_eq!(stuck(&idle, 1_000), [], "an idle journal is fine");
    }

    #[test]
    fn each_part_is_stuck_once_its_work_is_late_by_the_patience() {
        let at = Some(s(100));
        let none = Counted::default();
        let waiting = Counted { committed: 8, answered: 7, begun_at: s(100), answered_at: s(60), ..none.clone() };
        for (counted, part) in [
            (Counted { engine_back: at, ..none.clone() }, Part::Prober),
            (Counted { missing_since: at, ..none.clone() }, Part::Prober),
            (Counted { driver_back: at, ..none.clone() }, Part::Monitor),
            (waiting, Part::Store),
            (Counted { delivery_due: at, ..none }, Part::Delivery),
        ] {
            assert_eq!(stuck(&counted, 50), [], "{part}: not due yet");
            assert_eq!(stuck(&counted, 114), [], "{part}: late, but not by much");
            assert_eq!(stuck(&counted, 115), [part]);
            assert_eq!(counted.judge(s(130)).standing(part), Duration::from_secs(30));
        }
    }

    #[test]
    fn a_journal_that_answers_one_after_the_other_goes_on_however_many_wait() {
        let busy = Counted { committed: 90, answered: 7, begun_at: s(10), answered_at: s(99), ..Counted::default() };
        assert_eq!(stuck(&busy, 113), []);
        assert_eq!(stuck(&busy, 114), [Part::Store], "99 + 15");
    }

    #[test]
    fn no_patience_at_all_still_finds_nothing_where_all_is_well() {
        assert_eq!(Progress::default().stuck(Duration::ZERO), []);
    }

    #[test]
    fn one_check_that_does_not_come_back_is_no_standstill() {
        let mut returns = Returns::default();
        returns.learn(s(10), false, true);
        returns.learn(s(11), false, true);
        assert_eq!(returns.missing_since(), None, "within a moment");
        returns.learn(s(300), false, false);
        assert_eq!(returns.missing_since(), None, "nothing was due since");
        returns.learn(s(310), false, true);
        assert_eq!(returns.missing_since(), Some(s(10)));
    }

    #[test]
    fn one_result_of_its_own_shows_that_a_probe_goes_on() {
        let mut returns = Returns::default();
        for second in [10, 12, 14] {
            returns.learn(s(second), false, true);
        }
        assert_eq!(returns.missing_since(), Some(s(10)));
        returns.learn(s(15), true, true);
        assert_eq!(returns.missing_since(), None);
        returns.learn(s(16), false, true);
        assert_eq!(returns.missing_since(), None, "it counts anew");
    }
}
