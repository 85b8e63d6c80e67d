//! Who is owed what: a line for every notifier that an outage concerns, and the end for whoever was told of its beginning.
//!
//! A notifier is for everything unless its scope says otherwise; it is told of a parent outside its scope when targets inside
//! lie behind it.

use super::monitor::{Monitor, Output};
use super::telling::{Ending, Entry};
use crate::model::{
    Change, Decision, Event, Hold, Incident, Line, LineId, LineKind, Now, Outage, Subject, TargetId, Topic,
};
use std::sync::Arc;

impl Monitor {
    /// An outage is due: from here it is owed to everybody whom it concerns.
    pub(super) fn become_due(&mut self, now: Now, id: TargetId) {
        let Some(outage) = self.targets.get_mut(id.index()).and_then(|state| state.make_due(now.wall)) else { return };
        self.save_target(now, id);
        self.journaling.put(Change::PutOutage(outage.clone()));
        self.tell(Event::OutageDue(id, outage.clone()));
        self.note(now, id, Decision::Due);
        for teller in 0..self.tellers.len() {
            self.owe_outage(now, teller, id, &outage);
        }
    }

    /// A notifier is owed an outage, if it concerns it.
    pub(super) fn owe_outage(&mut self, now: Now, teller: usize, id: TargetId, outage: &Outage) {
        if !self.is_for(teller, id) {
            self.note_for(now, teller, id, outage, Decision::OutOfScope);
            return;
        }
        let subject = self.subject(id);
        let mut line = self.new_line(now, LineKind::Opened, subject, outage.clone());
        line.critical = self.topology.is_critical(id);
        self.owe_line(now, teller, line);
        self.plan_escalation(now, teller, Some(id), outage);
    }

    /// An outage that was due has closed.
    pub(super) fn close_outage(&mut self, now: Now, id: TargetId, outage: &Outage) {
        for teller in 0..self.tellers.len() {
            let subject = self.subject(id);
            let mut line = self.new_line(now, LineKind::Closed, subject, outage.clone());
            line.critical = self.topology.is_critical(id);
            self.end_line(now, teller, (Topic::Outage, outage), line);
        }
    }

    /// Whether a notifier is told of a device.
    pub(super) fn is_for(&self, teller: usize, id: TargetId) -> bool {
        let Some(teller) = self.tellers.get(teller) else { return false };
        let scope = &teller.desk.policy.scope;
        let holds = |id: TargetId| self.plan.target(id).is_some_and(|target| scope.holds(&self.plan, target));
        holds(id) || self.behind(id).into_iter().any(holds)
    }

    /// A line of the next number.
    pub(super) fn new_line(&mut self, now: Now, kind: LineKind, subject: Subject, outage: Outage) -> Line {
        Line::new(LineId::new(self.next_number()), kind, subject, outage, now.wall)
    }

    /// A notifier is owed this line.
    pub(super) fn owe_line(&mut self, now: Now, teller: usize, line: Line) {
        let Some(owing) = self.tellers.get_mut(teller) else { return };
        let (target, outage, id) = (line.outage.target.clone(), line.outage.id, line.id);
        let name = owing.desk.policy.name.clone();
        let entry = owing.desk.owe(now, line);
        put(&mut self.journaling, &name, entry);
        let Some(owed) = owing.desk.owed.get(&id) else { return };
        let (hold, until) = owing.desk.leaves(now, owed).map_or((Hold::Flapping, None), |(at, hold)| (hold, Some(at)));
        let until = until.map(|until| now.wall_at(until));
        self.note_line(now, &target, outage, &name, Decision::Owed);
        self.note_line(now, &target, outage, &name, Decision::Held { hold, until });
    }

    /// What the end of something means for a notifier. `None` if there is no such notifier.
    pub(super) fn end_line(
        &mut self,
        now: Now,
        teller: usize,
        (topic, outage): (Topic, &Outage),
        line: Line,
    ) -> Option<Ending> {
        let owing = self.tellers.get_mut(teller)?;
        let name = owing.desk.policy.name.clone();
        let mut under_way = false;
        for mail in owing.outbox.mails_mut() {
            under_way |= mail.close(outage);
        }
        let ending = owing.desk.close(now, (topic, outage), under_way, || line);
        let decision = match &ending {
            Ending::Merged(entry) => {
                put(&mut self.journaling, &name, entry.clone());
                Decision::ToldAtOnce
            }
            Ending::Folded(entry) => {
                put(&mut self.journaling, &name, entry.clone());
                Decision::Folded
            }
            Ending::Moot(entry) => {
                put(&mut self.journaling, &name, entry.clone());
                Decision::Moot
            }
            Ending::Owed(entry) => {
                put(&mut self.journaling, &name, entry.clone());
                Decision::Owed
            }
            Ending::Unwanted => Decision::NoRecovery,
            Ending::Untold => return Some(ending),
        };
        self.note_line(now, &outage.target, outage.id, &name, decision);
        Some(ending)
    }

    /// A line that waits takes over what is known of its incident now.
    pub(super) fn update_line(&mut self, teller: usize, entry: Entry, incident: &Incident) {
        let Entry::Put(mut line) = entry else { return };
        let Some(owing) = self.tellers.get_mut(teller) else { return };
        (line.members, line.changes) = (incident.members.clone(), incident.changes);
        if let Some(owed) = owing.desk.owed.get_mut(&line.id) {
            owed.line = (*line).clone();
        }
        let name = owing.desk.policy.name.clone();
        put(&mut self.journaling, &name, Entry::Put(line));
    }

    /// Tells the sinks.
    pub(super) fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// Gives the journal what a desk asks of it.
pub(super) fn put(journaling: &mut super::journaling::Journaling, notifier: &Arc<str>, entry: Entry) {
    journaling.put(match entry {
        Entry::Put(line) => Change::PutLine(notifier.clone(), *line),
        Entry::Drop(id) => Change::DropLine(id),
    });
}
