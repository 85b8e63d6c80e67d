//! A target that is Unknown for 10 min is told of once, one line a cause, and its end.
//!
//! Those that become Unknown together are told together, as one incident for each cause; it ends when the last of them is
//! seen again. While netwatch is cut off that is what is told, and a paused target is nobody's trouble.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::monitor::Monitor;
use crate::model::{Cause, Incident, Mono, Now, OutageId, Status, TargetId, Topic};

/// How long before it is told.
const TOLD_AFTER: Duration = Duration::from_secs(600);

/// Those that follow within this time are told with the first.
const GATHER: Duration = Duration::from_secs(30);

/// Which targets cannot be seen, and which of them were told of.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    /// Who is to be looked at, and when; in the order of time.
    queue: VecDeque<(Mono, TargetId)>,
    members: HashMap<TargetId, OutageId>,
    left: HashMap<OutageId, usize>,
}

impl Unseen {
    /// These belong to this incident from now on. Returns the incidents of which that leaves nobody: what was seen in
    /// between is not in the record.
    fn add(&mut self, incident: OutageId, members: &[TargetId]) -> Vec<OutageId> {
        let over = members.iter().filter_map(|id| self.seen(*id)).collect();
        self.members.extend(members.iter().map(|id| (*id, incident)));
        self.left.insert(incident, members.len());
        over
    }

    /// It is seen again. Returns the incident if that was the last of it.
    fn seen(&mut self, id: TargetId) -> Option<OutageId> {
        let incident = self.members.remove(&id)?;
        let left = self.left.get_mut(&incident)?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return None;
        }
        self.left.remove(&incident);
        Some(incident)
    }

    /// When somebody is to be looked at.
    pub(super) fn timeout(&self) -> Option<Mono> {
        self.queue.front().map(|(at, _)| at.plus(GATHER))
    }

    /// The targets have other places from now on. Returns the incidents that have nobody left.
    pub(super) fn rearrange(&mut self, place: impl Fn(TargetId) -> Option<TargetId>) -> Vec<OutageId> {
        let gone: Vec<TargetId> = self.members.keys().copied().filter(|id| place(*id).is_none()).collect();
        let over = gone.into_iter().filter_map(|id| self.seen(id)).collect();
        let members = std::mem::take(&mut self.members);
        self.members = members.into_iter().filter_map(|(id, incident)| Some((place(id)?, incident))).collect();
        let queue = std::mem::take(&mut self.queue);
        self.queue = queue.into_iter().filter_map(|(at, id)| Some((at, place(id)?))).collect();
        over
    }
}

impl Monitor {
    /// The status of a target has changed.
    pub(super) fn watch_unknown(&mut self, now: Now, id: TargetId, from: Status, to: Status) {
        if to == Status::Unknown && from != Status::Unknown {
            self.unseen.queue.push_back((now.mono.plus(TOLD_AFTER), id));
        } else if to != Status::Unknown
            && let Some(incident) = self.unseen.seen(id)
        {
            self.close_incident(now, incident);
        }
    }

    /// Tells of those that have been Unknown for long enough.
    pub(super) fn tell_unseen(&mut self, now: Now) {
        if self.unseen.timeout().is_none_or(|at| at > now.mono) {
            return;
        }
        let mut found: BTreeMap<Cause, Vec<TargetId>> = BTreeMap::new();
        while let Some((_, id)) = self.unseen.queue.front().copied().filter(|(at, _)| *at <= now.mono) {
            self.unseen.queue.pop_front();
            let Some(state) = self.targets.get(id.index()) else { continue };
            let is_told = self.unseen.members.contains_key(&id);
            let Some(cause) = state.cause.filter(|_| state.status == Status::Unknown && !is_told) else { continue };
            let waits = TOLD_AFTER.saturating_sub(now.mono.since(state.since()));
            if cause == Cause::Blind {
                self.unseen.queue.push_back((now.mono.plus(TOLD_AFTER), id));
            } else if waits > Duration::from_secs(1) {
                // It was seen in between; a later entry may not be in the queue.
                self.unseen.queue.push_back((now.mono.plus(TOLD_AFTER), id));
            } else if cause != Cause::Paused {
                found.entry(cause).or_default().push(id);
            }
        }
        for (cause, mut ids) in found {
            ids.sort_unstable();
            ids.dedup();
            let mut incident = Incident::new(Topic::Unseen(cause), self.new_incident(now, "".into()));
            incident.members = ids.iter().map(|id| self.name_of(*id)).collect();
            let since = ids.iter().filter_map(|id| self.targets.get(id.index())).map(|state| state.since()).min();
            incident.outage.first_bad = now.wall_at(since.unwrap_or(now.mono));
            for over in self.unseen.add(incident.id(), &ids) {
                self.close_incident(now, over);
            }
            self.open_incident(now, incident, None);
        }
    }

    /// Goes on with an incident of the last run.
    pub(super) fn restore_unseen(&mut self, now: Now, incident: &Incident, places: &HashMap<Arc<str>, TargetId>) {
        let members: Vec<TargetId> = incident.members.iter().filter_map(|name| places.get(name).copied()).collect();
        let members: Vec<TargetId> = members.into_iter().filter(|id| !self.is_paused(*id)).collect();
        for over in self.unseen.add(incident.id(), &members) {
            self.close_incident(now, over);
        }
        if members.is_empty() {
            self.unseen.left.remove(&incident.id());
            self.close_incident(now, incident.id());
        }
    }
}
