//! What is told of besides outages of devices (blindness, what cannot be seen, flapping, self-alerts, drills): each is opened,
//! owed, closed and told of at its end, as an outage is.

use super::monitor::Monitor;
use super::telling::Ending;
use crate::model::{Change, Incident, LineKind, Now, Outage, OutageId, Subject, TargetId, Topic};
use std::sync::Arc;

impl Monitor {
    /// The beginning of an incident about this device, or about none if the name is empty.
    pub(super) fn new_incident(&mut self, now: Now, target: Arc<str>) -> Outage {
        let mut outage = Outage::open(OutageId::new(self.next_number()), target, None, now.wall);
        outage.due = Some(now.wall);
        outage
    }

    /// Everybody whom it concerns is owed it.
    pub(super) fn open_incident(&mut self, now: Now, incident: Incident, target: Option<TargetId>) {
        self.journaling.put(Change::PutIncident(incident.clone()));
        self.incidents.insert(incident.id(), incident.clone());
        for teller in 0..self.tellers.len() {
            if self.concerns(teller, &incident, target) {
                let line = self.line(now, LineKind::Opened, &incident, target);
                self.owe_line(now, teller, line);
            }
        }
    }

    /// It is over.
    pub(super) fn close_incident(&mut self, now: Now, id: OutageId) {
        let Some(mut incident) = self.incidents.remove(&id) else { return };
        self.journaling.put(Change::DropIncident(id));
        incident.outage.closed = Some(now.wall);
        let target = self.place_of(&incident.outage.target);
        for teller in 0..self.tellers.len() {
            let line = self.line(now, LineKind::Closed, &incident, target);
            let ending = self.end_line(now, teller, (incident.topic, &incident.outage), line);
            if let Some(Ending::Merged(entry)) = ending {
                // The beginning carries what is known at the end.
                self.update_line(teller, entry, &incident);
            }
        }
    }

    /// Changes how often a flapping device is said to have changed.
    pub(super) fn recount(&mut self, id: OutageId, count: impl FnOnce(u32) -> u32) {
        if let Some(incident) = self.incidents.get_mut(&id) {
            incident.changes = count(incident.changes);
            self.journaling.put(Change::PutIncident(incident.clone()));
        }
    }

    fn concerns(&self, place: usize, incident: &Incident, target: Option<TargetId>) -> bool {
        let Some(teller) = self.tellers.get(place) else { return false };
        let scope = &teller.desk.policy.scope;
        match (incident.topic, target) {
            (Topic::Blind, _) => true,
            // Whoever delivers nothing would be told last.
            (Topic::Trouble(_), _) => !incident.members.contains(&teller.desk.policy.name),
            (Topic::Drill, Some(id)) => self.is_for(place, id),
            _ if scope.is_everything() => true,
            (Topic::Unseen(_), _) => {
                let mut members = incident.members.iter().filter_map(|name| self.place_of(name));
                members.any(|id| self.plan.target(id).is_some_and(|target| scope.holds(&self.plan, target)))
            }
            (_, Some(id)) => self.plan.target(id).is_some_and(|target| scope.holds(&self.plan, target)),
            (_, None) => false,
        }
    }

    fn line(&mut self, now: Now, kind: LineKind, incident: &Incident, target: Option<TargetId>) -> crate::model::Line {
        let subject = target.map_or_else(|| Subject::new(incident.outage.target.clone(), ""), |id| self.subject(id));
        let mut line = self.new_line(now, kind, subject, incident.outage.clone());
        (line.topic, line.members, line.changes) = (incident.topic, incident.members.clone(), incident.changes);
        line.critical = target.is_some_and(|id| self.topology.is_critical(id));
        line
    }
}
