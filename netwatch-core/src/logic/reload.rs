//! Another plan while netwatch runs: what did not change keeps its state.
//!
//! A device is its name. One that vanishes in the same reload in which another appears with its address was renamed, and
//! keeps its state; one that is removed has its outage closed as "removed", and what is owed of it is still told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::limiter::Limiters;
use super::monitor::{Monitor, classes, longest_check};
use super::state::TargetState;
use super::teller::Teller;
use super::topology::Topology;
use crate::model::{Change, Decision, Host, Line, Now, Outage, Plan, Status, TargetId, Topic};

impl Monitor {
    /// The plan is another one from now on. What did not change keeps its state. Returns where each target of the old
    /// plan is in the new one. Afterwards sinks are to be started anew, with [`start`](Monitor::start).
    pub fn handle_reload(&mut self, now: Now, plan: Arc<Plan>) -> Vec<Option<TargetId>> {
        self.settle_outputs(now);
        let places = new_places(&self.plan, &plan);
        self.remove_targets(now, &places);
        let old = std::mem::replace(&mut self.plan, plan);
        self.by_name.take();
        let asked_again = self.move_targets(now, &places);
        self.topology = Topology::new(&self.plan);
        self.limiters = Limiters::new(&self.plan);
        self.longest_check = longest_check(&self.plan);
        self.awaiting.clear();
        self.reworded.clear();
        let place = |id: TargetId| places.get(id.index()).copied().flatten();
        self.windows.replan(&self.plan, &place);
        self.isolation.replan(&old, &self.plan, place);
        let held: Vec<TargetId> = self.isolation.held().collect();
        for id in held {
            if let Some(state) = self.targets.get_mut(id.index()) {
                state.set_held(true);
            }
        }
        // Nothing more will be heard of a paused one.
        let plan = self.plan.clone();
        let awake = |id: TargetId| place(id).filter(|id| !plan.target(*id).is_some_and(|target| target.paused));
        let settled = self.flappers.rearrange(awake);
        for name in settled.iter().filter_map(|id| self.incidents.get(id)).map(|it| it.outage.target.clone()) {
            for teller in &mut self.tellers {
                teller.desk.hold(now, &name, false);
            }
        }
        for incident in settled.into_iter().chain(self.unseen.rearrange(awake)) {
            self.close_incident(now, incident);
        }
        // While it was paused nobody waited for it to be seen.
        for id in asked_again {
            self.watch_unknown(now, id, Status::Pending, Status::Unknown);
        }
        let answering = self.targets.iter().filter(|state| state.is_answering()).count();
        self.core_loss.replan(&self.plan, answering);
        self.rename_targets(now, &old, &places);
        self.change_tellers(now);
        if self.plan.witnesses.is_empty() {
            // Nobody is left who could say that netwatch sees again.
            self.conclude_isolation(now, now.mono);
        }
        self.owe_open_outages(now);
        self.plan_escalations(now);
        self.reconsider_all(now);
        self.settle_outputs(now);
        places
    }

    /// Closes what the new plan does not have, while its names are still known.
    fn remove_targets(&mut self, now: Now, places: &[Option<TargetId>]) {
        for (index, _) in places.iter().enumerate().filter(|(_, place)| place.is_none()) {
            let id = TargetId::from_index(index);
            let name = self.name_of(id);
            for teller in &mut self.tellers {
                teller.desk.hold(now, &name, false);
            }
            let outage = self.targets.get_mut(index).and_then(|state| state.remove(now.wall));
            self.journaling.put(Change::DropTarget(name));
            if let Some(outage) = outage {
                self.remove_outage(now, Some(id), &outage);
            }
        }
    }

    /// Returns those that were paused and are asked again.
    fn move_targets(&mut self, now: Now, places: &[Option<TargetId>]) -> Vec<TargetId> {
        let (classes, class_of) = classes(&self.plan);
        let mut moved: Vec<Option<TargetState>> = (0..self.plan.targets.len()).map(|_| None).collect();
        for (state, place) in std::mem::take(&mut self.targets).into_iter().zip(places) {
            if let Some(slot) = place.and_then(|place| moved.get_mut(place.index())) {
                *slot = Some(state);
            }
        }
        let mut asked_again = Vec::new();
        let planned = self.plan.targets.iter().zip(class_of).zip(moved).enumerate();
        self.targets = planned
            .map(|(index, ((target, class), state))| match state {
                Some(mut state) => {
                    if state.replan(now, class, target.paused) {
                        asked_again.push(TargetId::from_index(index));
                    }
                    state
                }
                None => TargetState::new(now, class, target.paused),
            })
            .collect();
        self.classes = classes;
        self.unchecked =
            self.targets.iter().zip(&self.plan.targets).filter(|(state, it)| !state.is_checked() && !it.paused).count();
        self.misrecorded = BTreeSet::new();
        self.last_served = TargetId::from_index(0);
        for index in 0..self.targets.len() {
            self.look_at_record(TargetId::from_index(index));
        }
        asked_again
    }

    /// Gives what goes on under another name that name.
    fn rename_targets(&mut self, now: Now, old: &Plan, places: &[Option<TargetId>]) {
        for (target, place) in old.targets.iter().zip(places) {
            let Some(id) = *place else { continue };
            let (from, to) = (target.name.clone(), self.name_of(id));
            if from == to {
                continue;
            }
            self.journaling.put(Change::DropTarget(from.clone()));
            if let Some(outage) = self.targets.get_mut(id.index()).and_then(TargetState::outage_mut) {
                outage.target = to.clone();
                let outage: Outage = outage.clone();
                self.journaling.put(Change::PutOutage(outage));
            }
            self.save_target(now, id);
            for teller in &mut self.tellers {
                for change in teller.desk.rename(now, &from, &to) {
                    self.journaling.put(change);
                }
                for mail in teller.outbox.mails_mut() {
                    mail.rename(&from, &to);
                }
            }
            for incident in self.incidents.values_mut().filter(|incident| incident.outage.target == from) {
                incident.outage.target = to.clone();
                self.journaling.put(Change::PutIncident(incident.clone()));
            }
            self.note(now, id, Decision::Renamed { from });
        }
    }

    /// Takes over the policies of the new plan. What was owed to a notifier that is gone is owed to those that are new.
    fn change_tellers(&mut self, now: Now) {
        let known: BTreeSet<Arc<str>> = self.tellers.iter().map(|teller| teller.desk.policy.name.clone()).collect();
        let old = std::mem::take(&mut self.tellers).into_iter();
        let mut old: BTreeMap<Arc<str>, Teller> = old.map(|teller| (teller.desk.policy.name.clone(), teller)).collect();
        let plan = self.plan.clone();
        for policy in &plan.notifiers {
            self.tellers.push(match old.remove(&policy.name) {
                Some(mut teller) => {
                    teller.desk.policy = policy.clone();
                    teller.desk.reckon(now);
                    teller
                }
                None => Teller::new(policy.clone(), now),
            });
        }
        let mut orphans: Vec<(Arc<str>, Line)> = Vec::new();
        for (name, teller) in old {
            for line in teller.desk.owed.into_values().map(|owed| owed.line) {
                self.journaling.put(Change::DropLine(line.id));
                orphans.push((name.clone(), line));
            }
            for mail in teller.outbox.into_mails() {
                self.journaling.put(Change::DropMail(mail.id));
                for line in mail.lines() {
                    self.journaling.put(Change::DropLine(line.id));
                }
                let lines = if mail.told { Vec::new() } else { mail.into_lines() };
                orphans.extend(lines.into_iter().map(|line| (name.clone(), line)));
            }
        }
        self.adopt(now, &known, orphans);
        for teller in &mut self.tellers {
            for id in self.incidents.values().filter(|it| it.topic == Topic::Flapping) {
                teller.desk.hold(now, &id.outage.target, true);
            }
        }
    }
}

/// Where each target of the old plan is in the new one: under its name, or, if it has vanished, under a new name with its
/// address that no other has.
fn new_places(old: &Plan, new: &Plan) -> Vec<Option<TargetId>> {
    let by_name: HashMap<&str, usize> =
        new.targets.iter().enumerate().map(|(index, target)| (target.name.as_ref(), index)).collect();
    let mut places: Vec<Option<TargetId>> =
        old.targets.iter().map(|target| by_name.get(target.name.as_ref()).copied().map(TargetId::from_index)).collect();
    let old_names: BTreeSet<&str> = if places.iter().all(Option::is_some) {
        return places;
    } else {
        old.targets.iter().map(|target| target.name.as_ref()).collect()
    };
    let mut appeared: HashMap<&Host, Vec<usize>> = HashMap::new();
    for (index, target) in
        new.targets.iter().enumerate().filter(|(_, target)| !old_names.contains(target.name.as_ref()))
    {
        appeared.entry(&target.host).or_default().push(index);
    }
    for (target, place) in old.targets.iter().zip(&mut places).filter(|(_, place)| place.is_none()) {
        let found = appeared.get_mut(&target.host).filter(|found| !found.is_empty());
        *place = found.map(|found| TargetId::from_index(found.remove(0)));
    }
    places
}
