//! Maintenance: outages that open in it are not told. An outage that is still there at its end has its whole tolerance again,
//! and is due after that. It never suppresses the probing, the record, or the recovery of what was told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::monitor::Monitor;
use crate::model::{Change, Decision, Event, Maintenance, MaintenanceId, Mono, Now, Plan, TargetId, Wall};

/// The maintenances of the plan and those that were entered, and who is in one.
#[derive(Debug, Default)]
pub(super) struct Windows {
    planned: Vec<Arc<Maintenance>>,
    entered: BTreeMap<MaintenanceId, Arc<Maintenance>>,
    /// Who is in one now, and in which.
    active: HashMap<TargetId, Arc<Maintenance>>,
    /// From when to when `active` holds.
    holds: Option<(Wall, Option<Wall>)>,
}

/// What has changed since the last look.
#[derive(Debug, Default)]
struct Changed {
    begun: Vec<(TargetId, Arc<Maintenance>)>,
    ended: Vec<TargetId>,
    /// Entered ones that have no more periods.
    over: Vec<MaintenanceId>,
}

impl Windows {
    pub(super) fn new(plan: &Plan, entered: impl IntoIterator<Item = (MaintenanceId, Maintenance)>) -> Windows {
        let mut windows = Windows::default();
        windows.entered.extend(entered.into_iter().map(|(id, maintenance)| (id, Arc::new(maintenance))));
        windows.replan(plan, &|id| Some(id));
        windows
    }

    /// The plan is another one, and its targets have other places.
    pub(super) fn replan(&mut self, plan: &Plan, place: &impl Fn(TargetId) -> Option<TargetId>) {
        self.planned = plan.maintenance.iter().cloned().map(Arc::new).collect();
        let active = std::mem::take(&mut self.active);
        self.active.extend(active.into_iter().filter_map(|(id, maintenance)| Some((place(id)?, maintenance))));
        self.holds = None;
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Maintenance>> {
        self.planned.iter().chain(self.entered.values())
    }

    /// The maintenance that a target is in.
    pub(super) fn of(&self, id: TargetId) -> Option<&Arc<Maintenance>> {
        if self.active.is_empty() { None } else { self.active.get(&id) }
    }

    /// When one begins or ends.
    pub(super) fn timeout(&self, now: Now) -> Option<Mono> {
        self.holds.and_then(|(_, until)| until).map(|until| now.mono_at(until))
    }

    fn look(&mut self, now: Wall, plan: &Plan) -> Option<Changed> {
        let holds = self.holds.is_some_and(|(from, until)| from <= now && until.is_none_or(|until| now < until));
        if holds {
            return None;
        }
        let mut changed = Changed::default();
        let over = |maintenance: &Maintenance| maintenance.calendar.next_change(now).is_none();
        changed.over = self.entered.iter().filter(|(_, entered)| over(entered)).map(|(id, _)| *id).collect();
        for id in &changed.over {
            self.entered.remove(id);
        }
        let until = self.all().filter_map(|maintenance| maintenance.calendar.next_change(now)).min();
        self.holds = Some((now, until));
        let running: Vec<&Arc<Maintenance>> =
            self.all().filter(|maintenance| maintenance.calendar.contains(now)).collect();
        let mut active = HashMap::new();
        if !running.is_empty() {
            for (index, target) in plan.targets.iter().enumerate() {
                if let Some(found) = running.iter().find(|maintenance| maintenance.scope.holds(plan, target)) {
                    active.insert(TargetId::from_index(index), Arc::clone(found));
                }
            }
        }
        changed.ended.extend(self.active.keys().filter(|id| !active.contains_key(id)));
        let begun = active.iter().filter(|(id, maintenance)| self.active.get(id) != Some(maintenance));
        changed.begun.extend(begun.map(|(id, maintenance)| (*id, Arc::clone(maintenance))));
        changed.begun.sort_unstable_by_key(|(id, _)| *id);
        changed.ended.sort_unstable();
        self.active = active;
        Some(changed)
    }
}

impl Monitor {
    /// Somebody enters a maintenance; its id is given here.
    pub fn handle_maintain(&mut self, now: Now, mut maintenance: Maintenance) -> MaintenanceId {
        let id = MaintenanceId::new(self.next_number());
        maintenance.id = Some(id);
        self.journaling.put(Change::PutMaintenance(maintenance.clone()));
        self.windows.entered.insert(id, Arc::new(maintenance));
        self.windows.holds = None;
        self.settle_outputs(now);
        id
    }

    /// Somebody ends a maintenance that was entered. `false` if there is none of that name.
    pub fn handle_end_maintenance(&mut self, now: Now, id: MaintenanceId) -> bool {
        let found = self.windows.entered.remove(&id).is_some();
        if found {
            self.journaling.put(Change::DropMaintenance(id));
            self.windows.holds = None;
        }
        self.settle_outputs(now);
        found
    }

    /// The maintenances that were entered and are not over.
    pub fn maintenance(&self) -> impl Iterator<Item = &Maintenance> {
        self.windows.entered.values().map(|maintenance| &**maintenance)
    }

    /// Lets maintenances begin and end.
    pub(super) fn look_at_maintenance(&mut self, now: Now) {
        let Some(changed) = self.windows.look(now.wall, &self.plan) else { return };
        for id in changed.over {
            self.journaling.put(Change::DropMaintenance(id));
        }
        for (id, maintenance) in changed.begun {
            if self.has_undue_outage(id) {
                let until = maintenance.calendar.period_at(now.wall).map_or(now.wall, |period| period.to);
                self.note(now, id, Decision::InMaintenance { reason: maintenance.reason.clone(), until });
            }
            self.tell(Event::Maintenance { target: id, maintenance: Some((*maintenance).clone()) });
        }
        for id in changed.ended {
            self.give_tolerance_again(now, id);
            self.tell(Event::Maintenance { target: id, maintenance: None });
        }
    }

    /// netwatch was last at work at `since`: what was in a maintenance that ended before it was again has its tolerance again.
    pub(super) fn end_maintenance_since(&mut self, now: Now, since: Wall) {
        let ended = |maintenance: &Maintenance| {
            maintenance.calendar.periods().iter().any(|period| period.to > since && period.to <= now.wall)
        };
        let ended: Vec<Arc<Maintenance>> = self.windows.all().filter(|it| ended(it)).cloned().collect();
        if ended.is_empty() {
            return;
        }
        for (index, target) in self.plan.clone().targets.iter().enumerate() {
            let id = TargetId::from_index(index);
            if ended.iter().any(|it| it.scope.holds(&self.plan, target)) {
                self.give_tolerance_again(now, id);
            }
        }
    }

    fn give_tolerance_again(&mut self, now: Now, id: TargetId) {
        if let Some(state) = self.targets.get_mut(id.index()) {
            state.restart_tolerance();
        }
        if self.has_undue_outage(id) {
            self.save_target(now, id);
        }
    }

    fn has_undue_outage(&self, id: TargetId) -> bool {
        let outage = self.targets.get(id.index()).and_then(|state| state.outage());
        outage.is_some_and(|outage| outage.due.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Calendar, Period, Scope, Target};

    fn wall(seconds: i64) -> Wall {
        Wall::from_unix_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn who_is_in_one_changes_with_the_time_and_back_with_the_clock() {
        let mut plan = Plan::new(["a", "b"].map(|name| Target::at(name, [192, 0, 2, 1].into())).to_vec());
        let calendar = Calendar::new([Period::new(wall(10), wall(20))]);
        plan.maintenance.push(Maintenance::new(Scope::targets(["b"]), calendar));
        let mut windows = Windows::new(&plan, []);
        let b = TargetId::from_index(1);
        windows.look(wall(9), &plan).expect("the first look");
        assert_eq!(windows.of(b), None);
        assert!(windows.look(wall(9), &plan).is_none(), "nothing can have changed");
        let begun = windows.look(wall(10), &plan).expect("it begins").begun;
        assert_eq!(begun.len(), 1);
        assert!(windows.of(b).is_some() && windows.of(TargetId::from_index(0)).is_none());
        assert_eq!(windows.look(wall(20), &plan).expect("it ends").ended, [b]);
        assert_eq!(windows.look(wall(15), &plan).expect("the clock was set back").begun.len(), 1);
    }
}
