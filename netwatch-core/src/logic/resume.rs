//! Going on where the last run ended, under a plan that may be another one.
//!
//! What is still open and due is owed to everybody whom it concerns and who does not know of it. What was owed to a notifier
//! that is gone is owed to those that are new: it was renamed or replaced. A target that is gone is closed in the record.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::monitor::{Monitor, Output};
use super::owing::put;
use super::telling::Forgotten;
use crate::model::{
    Change, Decision, Event, Incident, Line, LineId, LineKind, Now, Outage, OutageId, Saved, SavedMail, SavedNotifier,
    TargetId, Topic,
};

impl Monitor {
    /// Takes back what is owed and under way, and owes what the new plan makes owed.
    pub(super) fn resume(&mut self, now: Now, saved: &Saved) {
        self.end_maintenance_since(now, saved.alive_at.unwrap_or(now.wall));
        self.restore_tellers(now, saved);
        self.restore_incidents(now, saved);
        self.drop_absent_targets(now, saved);
        let known: BTreeSet<Arc<str>> = saved.notifiers.keys().cloned().collect();
        let orphans = self.orphans_of(saved);
        self.adopt(now, &known, orphans);
        self.owe_open_outages(now);
        self.plan_escalations(now);
        self.reconsider_all(now);
    }

    fn restore_tellers(&mut self, now: Now, saved: &Saved) {
        let forgotten = self.forget_told(saved);
        for teller in &mut self.tellers {
            let name = teller.desk.policy.name.clone();
            teller.desk.restore(now, saved, &forgotten);
            let mine = saved.lines.values().filter(|(notifier, _)| *notifier == name);
            let mut lines: Vec<Line> = mine.map(|(_, line)| line.clone()).collect();
            for mail in saved.mails.values().filter(|mail| mail.notifier == name) {
                match recipients_left(mail, &teller.desk.policy.recipients) {
                    Some(recipients) => teller.outbox.restore(now, mail, recipients),
                    None => {
                        self.journaling.put(Change::DropMail(mail.id));
                        lines.extend(mail.lines.iter().filter(|_| !mail.told).cloned());
                    }
                }
            }
            // Ends before beginnings, so that an outage that closed meanwhile finds its end and becomes one line.
            lines.sort_by_key(|line| (line.kind == LineKind::Opened, line.id));
            for entry in teller.desk.put_back(now, lines) {
                put(&mut self.journaling, &name, entry);
            }
        }
    }

    /// What was told of devices that are watched no more, and of incidents that are over, matters only while a line about it
    /// waits.
    fn forget_told(&mut self, saved: &Saved) -> Forgotten {
        let lines = saved.lines.values().map(|(_, line)| line);
        let lines = lines.chain(saved.mails.values().flat_map(|mail| &mail.lines));
        let waiting: BTreeSet<Arc<str>> =
            lines.flat_map(|line| [line.outage.target.clone(), line.topic.memory(&line.outage)]).collect();
        let mut forgotten = Forgotten::new();
        for told in saved.told.values() {
            let goes_on = match Topic::is_device(&told.target) {
                true => self.place_of(&told.target).is_some(),
                false => saved.incidents.contains_key(&told.outage),
            };
            if !goes_on && !waiting.contains(&told.target) && !saved.targets.contains_key(&told.target) {
                self.journaling.put(Change::DropTold(told.notifier.clone(), told.target.clone()));
                forgotten.insert((told.notifier.clone(), told.target.clone()));
            }
        }
        forgotten
    }

    fn restore_incidents(&mut self, now: Now, saved: &Saved) {
        self.incidents = saved.incidents.clone();
        let places: HashMap<Arc<str>, TargetId> = self
            .incidents
            .values()
            .flat_map(|incident| incident.members.iter())
            .filter_map(|name| Some((name.clone(), self.place_of(name)?)))
            .collect();
        let mut flapping = Vec::new();
        let incidents: Vec<Incident> = saved.incidents.values().cloned().collect();
        for incident in incidents {
            // Nothing more is heard of a paused device.
            let asked = self.place_of(&incident.outage.target).filter(|id| !self.is_paused(*id));
            match (incident.topic, asked) {
                (Topic::Blind, _) => self.restore_blindness(now, &incident),
                (Topic::Unseen(_), _) => self.restore_unseen(now, &incident, &places),
                (Topic::Trouble(trouble), _) => self.restore_trouble(now, trouble, &incident),
                (Topic::Drill, _) => self.close_incident(now, incident.id()),
                (_, Some(id)) => {
                    for teller in &mut self.tellers {
                        teller.desk.hold(now, &incident.outage.target, true);
                    }
                    flapping.push((id, incident.id()));
                }
                (_, None) => self.close_incident(now, incident.id()),
            }
        }
        self.restore_flappers(now, flapping);
    }

    fn drop_absent_targets(&mut self, now: Now, saved: &Saved) {
        let absent = saved.targets.iter().filter(|(name, _)| self.place_of(name).is_none());
        let absent: Vec<(Arc<str>, Option<Outage>)> =
            absent.map(|(name, target)| (name.clone(), target.outage.clone())).collect();
        for (name, outage) in absent {
            self.journaling.put(Change::DropTarget(name));
            if let Some(mut outage) = outage {
                (outage.closed, outage.removed) = (Some(now.wall), true);
                self.remove_outage(now, None, &outage);
            }
        }
    }

    /// The outage of a target that is watched no more has closed.
    pub(super) fn remove_outage(&mut self, now: Now, id: Option<TargetId>, outage: &Outage) {
        self.journaling.put(Change::PutOutage(outage.clone()));
        if let Some(id) = id {
            self.tell(Event::OutageClosed(id, outage.clone()));
        }
        self.note_outage(now, outage, Decision::Removed);
        if outage.due.is_some() {
            for teller in 0..self.tellers.len() {
                let subject = match id {
                    Some(id) => self.subject(id),
                    None => crate::model::Subject::new(outage.target.clone(), ""),
                };
                let line = self.new_line(now, LineKind::Closed, subject, outage.clone());
                self.end_line(now, teller, (Topic::Outage, outage), line);
            }
        }
    }

    /// What was owed to notifiers that are not in the plan.
    fn orphans_of(&mut self, saved: &Saved) -> Vec<(Arc<str>, Line)> {
        let plan = self.plan.clone();
        let is_present = |name: &Arc<str>| plan.notifiers.iter().any(|policy| policy.name == *name);
        let mut orphans: Vec<(Arc<str>, Line)> = Vec::new();
        for (notifier, line) in saved.lines.values().filter(|(notifier, _)| !is_present(notifier)) {
            self.journaling.put(Change::DropLine(line.id));
            orphans.push((notifier.clone(), line.clone()));
        }
        for mail in saved.mails.values().filter(|mail| !is_present(&mail.notifier)) {
            self.journaling.put(Change::DropMail(mail.id));
            let lines = mail.lines.iter().filter(|_| !mail.told).cloned();
            orphans.extend(lines.map(|line| (mail.notifier.clone(), line)));
        }
        orphans
    }

    /// Gives what was owed to notifiers that are gone to those that are not among the `known` ones.
    pub(super) fn adopt(&mut self, now: Now, known: &BTreeSet<Arc<str>>, orphans: Vec<(Arc<str>, Line)>) {
        let orphans = one_for_each_outage(orphans);
        let mut is_adopted = false;
        for place in 0..self.tellers.len() {
            let Some(name) = self.tellers.get(place).map(|teller| teller.desk.policy.name.clone()) else { continue };
            if known.contains(&name) {
                continue;
            }
            is_adopted = true;
            self.journaling.put(Change::PutNotifier(SavedNotifier::new(name.clone(), None)));
            for (_, orphan) in &orphans {
                let mut line = orphan.clone();
                line.id = LineId::new(self.next_number());
                self.owe_line(now, place, line);
            }
        }
        if let Some((notifier, _)) = orphans.first().filter(|_| !is_adopted) {
            let names: BTreeSet<&str> = orphans.iter().map(|(_, line)| &*line.subject.name).collect();
            let names = names.into_iter().take(20).collect::<Vec<_>>().join(", ");
            let message = format!(
                "{} lines were owed to notifiers that are no longer configured (such as {notifier:?}) and no new one takes \
                 them over; they are dropped: {names}",
                orphans.len()
            );
            self.outputs.push_back(Output::Event(Event::Trouble { at: now.wall, component: "telling", message }));
        }
    }

    /// Owes what is open and due to everybody whom it concerns and who does not know of it.
    pub(super) fn owe_open_outages(&mut self, now: Now) {
        let open = self.targets.iter().enumerate().filter_map(|(index, state)| {
            let outage = state.outage().filter(|outage| outage.due.is_some())?;
            Some((TargetId::from_index(index), outage.clone()))
        });
        let open: Vec<(TargetId, Outage)> = open.collect();
        for (id, outage) in open {
            for place in 0..self.tellers.len() {
                let Some(teller) = self.tellers.get(place) else { continue };
                let knows = teller.desk.knows(Topic::Outage, &outage) || teller.outbox.tells(outage.id);
                if !knows && self.is_for(place, id) {
                    self.owe_outage(now, place, id, &outage);
                }
            }
        }
    }

    /// Looks anew at everything that is below anything.
    pub(super) fn reconsider_all(&mut self, now: Now) {
        if !self.topology.is_flat() {
            self.reworded = (0..self.targets.len()).map(TargetId::from_index).collect();
            self.reconsider(now);
        }
    }
}

/// One line for each outage. Several notifiers may have owed it, and one of them its beginning in a mail under way and its
/// end beside it: whoever takes over from them is told of it once, as it is now.
fn one_for_each_outage(orphans: Vec<(Arc<str>, Line)>) -> Vec<(Arc<str>, Line)> {
    let mut kept: Vec<(Arc<str>, Line)> = Vec::new();
    let mut places: BTreeMap<OutageId, usize> = BTreeMap::new();
    for (notifier, line) in orphans {
        let place = *places.entry(line.outage.id).or_insert(kept.len());
        let Some((_, first)) = kept.get_mut(place) else {
            kept.push((notifier, line));
            continue;
        };
        let (mut line, other) = if first.kind.brings_outage() { (first.clone(), line) } else { (line, first.clone()) };
        if line.outage.closed.is_none() {
            line.outage = other.outage;
        }
        *first = line;
    }
    for (_, line) in &mut kept {
        if line.kind == LineKind::Opened && line.outage.closed.is_some() {
            line.kind = LineKind::Missed;
        }
    }
    kept
}

/// Who of a mail's recipients is still configured; `None` if that is nobody, so that the mail has nowhere to go.
fn recipients_left(mail: &SavedMail, configured: &[Arc<str>]) -> Option<Vec<Arc<str>>> {
    let left: Vec<Arc<str>> = mail.recipients.iter().filter(|to| configured.contains(to)).cloned().collect();
    (!left.is_empty() || mail.recipients.is_empty()).then_some(left)
}
