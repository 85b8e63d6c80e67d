//! What is asked of the driver while it runs: it answers requests, and puts a prepared reload in force.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

use super::builder::backlog;
use super::driver::{AHEAD, Driver, TICK};
use super::handle::{AcknowledgeError, Command, EndMaintenanceError, MaintainError};
use super::moves::Moves;
use super::reload::{Prepared, Present, Ready, Reloads};
use super::watchdog::Returns;
use super::witnesses::{Answer, Asking, prober};
use crate::model::{Event, Maintenance, Mono, Now, Plan};

impl Driver {
    /// Answers a request. Whoever asked may be gone.
    pub(super) fn obey(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Reload(reload, answer) => {
                self.reloads.add(reload, answer);
                self.prepare();
            }
            Command::Acknowledge { target, by, note, answer } => {
                let result = match self.monitor.handle_acknowledge(now, &target, &by, &note) {
                    Some(outage) => Ok(outage),
                    None if self.plan.targets.iter().any(|known| known.name == target) => {
                        Err(AcknowledgeError::NoOutage { target })
                    }
                    None => Err(AcknowledgeError::NoTarget { target }),
                };
                let _ = answer.send(result);
            }
            Command::Drill { target, by, answer } => {
                let _ = answer.send(self.monitor.handle_drill(now, &target, &by).map_err(Into::into));
            }
            Command::Maintain(maintenance, answer) => {
                let result = sound(&maintenance, &self.plan, now);
                let _ = answer.send(result.map(|()| self.monitor.handle_maintain(now, *maintenance)));
            }
            Command::EndMaintenance(id, answer) => {
                let ended = self.monitor.handle_end_maintenance(now, id);
                let _ = answer.send(if ended { Ok(()) } else { Err(EndMaintenanceError::NotFound { id }) });
            }
            Command::Maintenance(answer) => {
                let _ = answer.send(Ok(self.monitor.maintenance().cloned().collect()));
            }
            Command::Trouble { component, message, answer } => {
                self.sinks.event(Event::Trouble { at: now.wall, component, message });
                let _ = answer.send(Ok(()));
            }
        }
        self.carry_out(now);
    }

    /// Puts a reload in force, or says why not, and turns to the next one. `planned` is when the next tick would be.
    pub(super) fn reloaded(&mut self, (prepared, answer): Ready, planned: Mono) {
        let result = prepared.map(|prepared| self.put_in_force(prepared, planned));
        if let Some(answer) = answer {
            let _ = answer.send(result);
        }
        self.prepare();
    }

    /// Takes in what a witness said.
    pub(super) fn witnessed(&mut self, answer: Answer) {
        let now = self.clock.now();
        self.monitor.handle_witness(now, answer.witness, answer.at, answer.testimony);
        self.carry_out(now);
    }

    /// Takes in whether this machine has a link and a route.
    pub(super) fn linked(&mut self, connected: bool) {
        let now = self.clock.now();
        self.monitor.handle_connected(now, connected);
        self.carry_out(now);
    }

    fn prepare(&mut self) {
        if self.reloads.is_due() {
            let present = Present {
                probes: self.probers.iter().map(|prober| prober.name.clone()).collect(),
                key: self.key,
                names: self.addresses.names(),
                witnesses: self.plan.witnesses.clone(),
                asking: self.asking(),
                built_in_words: self.built_in_words,
            };
            self.reloads.prepare(present);
        }
    }

    fn asking(&self) -> Asking {
        Asking { clock: self.clock, lookup: self.lookup, inbox: self.inbox.clone(), probe: prober(&self.probers) }
    }

    fn put_in_force(&mut self, prepared: Prepared, planned: Mono) {
        // What was reported until now, and what begins soon, belongs to the old plan.
        let begun = self.clock.now();
        self.tick(begun, planned);
        let Prepared { plan, prober_of, mut schedule, mut addresses, resolver, witnesses, notifiers, render, .. } =
            prepared;
        let old = mem::replace(&mut self.plan, plan.clone());
        let moves = Moves::new(&old, &plan, self.monitor.handle_reload(begun, plan.clone()));
        self.checks.follow(&moves);
        addresses.inherit(&self.addresses);
        self.addresses = addresses;
        if let Some(resolver) = resolver {
            self.resolver = resolver;
        }
        self.prober_of = prober_of;
        self.probers.iter_mut().for_each(|prober| prober.returns = Returns::default());
        self.built_in_words = prepared.built_in_words;
        self.deliveries.replace(notifiers, render);
        if let Some(witnesses) = witnesses {
            self.witnesses = witnesses;
        }
        // The slots of a plan that is much the same are much the same, since they are counted from the same origin. What
        // the old calendar gave out already is not given out again.
        schedule.begin_at(self.origin);
        schedule.skip_to(begun.mono.plus(AHEAD), &mut Vec::new());
        let now = self.clock.now();
        let took = now.mono.since(begun.mono);
        if took > TICK {
            // Nobody misses a check because of the time that this took.
            self.origin = self.origin.plus(took);
            schedule.begin_at(self.origin);
        }
        self.schedule = schedule;
        self.sinks.resize(backlog(plan.targets.len()));
        self.sinks.start(self.monitor.start(now));
        self.carry_out(now);
    }

    /// Answers nothing more: whoever waits learns that netwatch has ended.
    pub(super) fn turn_away(&mut self) {
        self.commands.close();
        while self.commands.try_recv().is_ok() {}
        self.reloads = Reloads::default();
    }
}

/// Whether a maintenance means something under this plan, now.
fn sound(maintenance: &Maintenance, plan: &Plan, now: Now) -> Result<(), MaintainError> {
    let scope = &maintenance.scope;
    let unknown = |kind, name: &Arc<str>| Err(MaintainError::Unknown { kind, name: name.clone() });
    let known: HashSet<&str> = plan.targets.iter().map(|target| &*target.name).collect();
    if let Some(name) = scope.targets.iter().find(|name| !known.contains(&***name)) {
        return unknown("target", name);
    }
    if let Some(name) = scope.groups.iter().find(|name| plan.groups.iter().all(|group| group.name != **name)) {
        return unknown("group", name);
    }
    if let Some(tag) = scope.tags.iter().find(|tag| !plan.targets.iter().any(|target| target.tags().contains(tag))) {
        return unknown("tag", tag);
    }
    if maintenance.calendar.periods().last().is_none_or(|last| last.to <= now.wall) {
        return Err(MaintainError::Over);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Calendar, Group, Period, Scope, Target, Wall};

    fn judge(scope: Scope, from: i64, to: i64) -> String {
        let target = Target::at("olt-1", [192, 0, 2, 1].into()).with_tags(["centro"]);
        let mut plan = Plan::new(vec![target]);
        plan.groups = vec![Group::new("OLT")];
        let at = Wall::from_unix_nanos;
        let maintenance = Maintenance::new(scope, Calendar::new([Period::new(at(from), at(to))]));
        let now = Now::new(Mono::ZERO, at(100));
        sound(&maintenance, &plan, now).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_maintenance_that_would_silence_nothing_is_refused() {
        for (scope, says) in [
            (Scope::targets(["olt-2"]), "no target has the name \"olt-2\""),
            (Scope::groups(["olt-1"]), "no group has the name \"olt-1\""),
            (Scope::tags(["norte"]), "no tag has the name \"norte\""),
        ] {
            assert!(judge(scope.clone(), 50, 150).contains(says), "{scope:?}");
        }
        for (from, to) in [(10, 20), (10, 100), (150, 150), (200, 150)] {
            assert!(judge(Scope::everything(), from, to).contains("over already"), "{from}..{to}");
        }
        for scope in [Scope::everything(), Scope::targets(["olt-1"]), Scope::groups(["OLT"]), Scope::tags(["centro"])] {
            assert_eq!(judge(scope.clone(), 150, 200), "", "{scope:?}");
        }
    }
}
