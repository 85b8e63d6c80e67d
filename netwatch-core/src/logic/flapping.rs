//! Flapping: six changes into or out of Down in 60 min are told once; what follows is held until the device settles, 10 min
//! down or 30 min answering, and then the mail gives the count.
//!
//! A change that a dead parent explains is the parent's, and one in maintenance is expected: neither counts.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::monitor::Monitor;
use crate::model::{Decision, Event, Incident, Mono, Now, OutageId, TargetId, Topic};

/// So many changes
const CHANGES: usize = 6;
/// within this time are too many.
const WITHIN: Duration = Duration::from_secs(3600);
/// It has settled when it was down for so long,
const SETTLED_DOWN: Duration = Duration::from_secs(600);
/// or has answered for so long.
const SETTLED_UP: Duration = Duration::from_secs(1800);
/// A device of which nothing is known has not settled; it is looked at again so much later.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Which devices change often. Those that have not changed lately are not in it.
#[derive(Debug, Default)]
pub(super) struct Flappers {
    known: HashMap<TargetId, Flapper>,
    settling: BTreeSet<(Mono, TargetId)>,
    swept: Mono,
}

#[derive(Debug, Default)]
struct Flapper {
    recent: VecDeque<Mono>,
    active: Option<Active>,
}

#[derive(Debug)]
struct Active {
    incident: OutageId,
    settles: Mono,
}

/// What a change means.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// It is one of few.
    Calm,
    /// It is the one too many.
    Begins(u32),
    /// One more of many, of this incident.
    Again(OutageId),
}

impl Flappers {
    fn turn(&mut self, now: Mono, id: TargetId, down: bool) -> Turn {
        let flapper = self.known.entry(id).or_default();
        while flapper.recent.front().is_some_and(|at| now.since(*at) > WITHIN) {
            flapper.recent.pop_front();
        }
        if flapper.recent.len() >= CHANGES {
            flapper.recent.pop_front();
        }
        flapper.recent.push_back(now);
        if let Some(active) = &mut flapper.active {
            self.settling.remove(&(active.settles, id));
            active.settles = settles(now, down);
            self.settling.insert((active.settles, id));
            return Turn::Again(active.incident);
        }
        if flapper.recent.len() >= CHANGES { Turn::Begins(CHANGES as u32) } else { Turn::Calm }
    }

    /// The last change was not its own.
    fn take_back(&mut self, id: TargetId) -> Option<OutageId> {
        let flapper = self.known.get_mut(&id)?;
        flapper.recent.pop_back();
        flapper.active.as_ref().map(|active| active.incident)
    }

    fn begin(&mut self, now: Mono, id: TargetId, incident: OutageId, down: bool) {
        let settles = settles(now, down);
        self.known.entry(id).or_default().active = Some(Active { incident, settles });
        self.settling.insert((settles, id));
    }

    /// The incident of a device that is flapping.
    pub(super) fn incident(&self, id: TargetId) -> Option<OutageId> {
        self.known.get(&id)?.active.as_ref().map(|active| active.incident)
    }

    /// When somebody may have settled.
    pub(super) fn timeout(&self) -> Option<Mono> {
        self.settling.first().map(|(at, _)| *at)
    }

    fn settled(&mut self, now: Mono) -> Option<TargetId> {
        let (_, id) = self.settling.first().filter(|(at, _)| *at <= now).copied()?;
        self.settling.pop_first();
        Some(id)
    }

    fn look_again(&mut self, now: Mono, id: TargetId) {
        if let Some(active) = self.known.get_mut(&id).and_then(|flapper| flapper.active.as_mut()) {
            active.settles = now.plus(LOOK_AGAIN);
            self.settling.insert((active.settles, id));
        }
    }

    fn end(&mut self, id: TargetId) -> Option<OutageId> {
        let active = self.known.remove(&id)?.active?;
        self.settling.remove(&(active.settles, id));
        Some(active.incident)
    }

    /// Forgets those whose last change is long ago.
    fn sweep(&mut self, now: Mono) {
        if now.since(self.swept) > WITHIN {
            self.swept = now;
            self.known.retain(|_, flapper| {
                flapper.active.is_some() || flapper.recent.back().is_some_and(|at| now.since(*at) <= WITHIN)
            });
        }
    }

    /// The targets have other places from now on. Returns the incidents of those that have none.
    pub(super) fn rearrange(&mut self, place: impl Fn(TargetId) -> Option<TargetId>) -> Vec<OutageId> {
        let mut gone = Vec::new();
        self.settling.clear();
        for (id, flapper) in std::mem::take(&mut self.known) {
            match (place(id), &flapper.active) {
                (Some(id), active) => {
                    self.settling.extend(active.as_ref().map(|active| (active.settles, id)));
                    self.known.insert(id, flapper);
                }
                (None, Some(active)) => gone.push(active.incident),
                (None, None) => {}
            }
        }
        gone
    }
}

fn settles(now: Mono, down: bool) -> Mono {
    now.plus(if down { SETTLED_DOWN } else { SETTLED_UP })
}

impl Monitor {
    /// A device went silent or answers again, and nothing else explains it.
    pub(super) fn count_change(&mut self, now: Now, id: TargetId, down: bool) {
        match self.flappers.turn(now.mono, id, down) {
            Turn::Calm => {}
            Turn::Again(incident) => self.recount(incident, |changes| changes.saturating_add(1)),
            Turn::Begins(changes) => {
                let name = self.name_of(id);
                let mut incident = Incident::new(Topic::Flapping, self.new_incident(now, name));
                incident.changes = changes;
                self.flappers.begin(now.mono, id, incident.id(), down);
                for teller in &mut self.tellers {
                    teller.desk.hold(now, &incident.outage.target, true);
                }
                self.note(now, id, Decision::Flapping { changes });
                let since = Some(incident.outage.first_bad);
                self.tell(Event::Flapping { target: id, since });
                self.open_incident(now, incident, Some(id));
            }
        }
    }

    /// The last change of a device has turned out to be its parent's.
    pub(super) fn take_back_change(&mut self, id: TargetId) {
        if let Some(incident) = self.flappers.take_back(id) {
            self.recount(incident, |changes| changes.saturating_sub(1));
        }
    }

    /// Those that have changed no more for long enough are told of as they are.
    pub(super) fn settle_flappers(&mut self, now: Now) {
        self.flappers.sweep(now.mono);
        while let Some(id) = self.flappers.settled(now.mono) {
            if self.is_unknown(id) {
                self.flappers.look_again(now.mono, id);
                continue;
            }
            let Some(incident) = self.flappers.end(id) else { continue };
            let name = self.name_of(id);
            for teller in &mut self.tellers {
                teller.desk.hold(now, &name, false);
            }
            let changes = self.incidents.get(&incident).map_or(0, |incident| incident.changes);
            self.note(now, id, Decision::Settled { changes });
            self.tell(Event::Flapping { target: id, since: None });
            self.close_incident(now, incident);
        }
    }

    /// Goes on with the incidents of the last run.
    pub(super) fn restore_flappers(&mut self, now: Now, flapping: Vec<(TargetId, OutageId)>) {
        for (id, incident) in flapping {
            let down = self.targets.get(id.index()).is_some_and(|state| state.is_down());
            self.flappers.begin(now.mono, id, incident, down);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Mono {
        Mono::ZERO.plus(Duration::from_secs(60 * minutes))
    }

    const ID: OutageId = OutageId::new(7);

    fn target() -> TargetId {
        TargetId::from_index(0)
    }

    #[test]
    fn the_sixth_change_within_an_hour_begins_it() {
        let mut flappers = Flappers::default();
        for minute in 0..5 {
            assert_eq!(flappers.turn(at(minute * 12), target(), true), Turn::Calm);
        }
        assert_eq!(flappers.turn(at(61), target(), true), Turn::Calm, "the first was more than an hour ago");
        assert_eq!(flappers.turn(at(62), target(), true), Turn::Begins(6));
    }

    #[test]
    fn six_changes_in_an_hour_to_the_nanosecond_are_within_it() {
        let mut flappers = Flappers::default();
        for minute in 0..5 {
            flappers.turn(at(minute * 12), target(), true);
        }
        assert_eq!(flappers.turn(at(60), target(), true), Turn::Begins(6));
    }

    #[test]
    fn it_settles_ten_minutes_after_the_last_change_down_and_thirty_after_the_last_one_up() {
        let mut flappers = Flappers::default();
        flappers.begin(at(0), target(), ID, true);
        assert_eq!(flappers.turn(at(9), target(), false), Turn::Again(ID));
        assert_eq!((flappers.settled(at(38)), flappers.timeout()), (None, Some(at(39))));
        assert_eq!(flappers.turn(at(38), target(), true), Turn::Again(ID));
        assert_eq!((flappers.settled(at(47)), flappers.settled(at(48))), (None, Some(target())));
        assert_eq!(flappers.end(target()), Some(ID));
        assert_eq!(flappers.incident(target()), None);
    }

    #[test]
    fn a_change_that_was_taken_back_does_not_count_and_old_ones_are_forgotten() {
        let mut flappers = Flappers::default();
        for minute in 0..5 {
            flappers.turn(at(minute), target(), true);
        }
        flappers.take_back(target());
        assert_eq!(flappers.turn(at(6), target(), true), Turn::Calm);
        flappers.sweep(at(70));
        assert!(flappers.known.is_empty());
    }
}
