//! Escalation: an outage that nobody acknowledged, or that a notifier could not deliver, some time after it was due goes to
//! another notifier too; at once if every recipient was refused for good.

use std::collections::BTreeSet;

use super::monitor::Monitor;
use crate::model::{Decision, Line, LineKind, Mono, Now, Outage, OutageId, TargetId, Topic};

/// What is to be looked at, and when.
#[derive(Debug, Default)]
pub(super) struct Escalations {
    due: BTreeSet<(Mono, Escalation)>,
}

/// The outage of a target, if it is still watched, and the notifier that was told of it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Escalation {
    outage: OutageId,
    teller: usize,
    target: Option<TargetId>,
}

impl Escalations {
    pub(super) fn timeout(&self) -> Option<Mono> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn clear(&mut self) {
        self.due.clear();
    }
}

impl Monitor {
    /// An outage is owed to a notifier; it is looked at when that one has had its time.
    pub(super) fn plan_escalation(&mut self, now: Now, teller: usize, target: Option<TargetId>, outage: &Outage) {
        let Some(policy) = self.tellers.get(teller).map(|teller| &teller.desk.policy) else { return };
        if let (Some(_), Some(due)) = (&policy.escalate_to, outage.due) {
            let at = now.mono_at(due.min(now.wall)).plus(policy.escalate_after);
            self.escalations.due.insert((at, Escalation { outage: outage.id, teller, target }));
        }
    }

    /// Looks at those whose time has come.
    pub(super) fn escalate_due(&mut self, now: Now) {
        while let Some((_, next)) = self.escalations.due.first().filter(|(at, _)| *at <= now.mono).copied() {
            self.escalations.due.pop_first();
            self.escalate(now, next);
        }
    }

    /// Every recipient of a notifier was refused for good.
    pub(super) fn escalate_refused(&mut self, now: Now, teller: usize, lines: &[Line]) {
        for line in lines.iter().filter(|line| line.topic == Topic::Outage && line.kind.brings_outage()) {
            let target = self.place_of(&line.outage.target);
            self.escalate(now, Escalation { outage: line.outage.id, teller, target });
        }
    }

    fn escalate(&mut self, now: Now, it: Escalation) {
        let Some(first) = self.tellers.get(it.teller) else { return };
        let Some(to) = self
            .tellers
            .iter()
            .position(|teller| Some(&teller.desk.policy.name) == first.desk.policy.escalate_to.as_ref())
        else {
            return;
        };
        let state = it.target.and_then(|id| self.targets.get(id.index()));
        let open = state.and_then(|state| state.outage()).filter(|outage| outage.id == it.outage).cloned();
        // What only waits for its budget or its hours was not refused by anybody.
        let is_failing = first.outbox.failing_since.is_some();
        let undelivered = first.desk.opening(it.outage).or_else(|| first.outbox.untold_line(it.outage)).cloned();
        let (kind, subject, outage, critical) = match (open, undelivered) {
            (Some(outage), _) if outage.ack.is_some() => return,
            (Some(outage), _) => {
                let Some(id) = it.target else { return };
                (LineKind::Opened, self.subject(id), outage, self.topology.is_critical(id))
            }
            (None, Some(line)) if is_failing && line.outage.ack.is_none() => {
                let kind = if line.outage.closed.is_some() { LineKind::Missed } else { LineKind::Opened };
                (kind, line.subject, line.outage, line.critical)
            }
            _ => return,
        };
        let Some(second) = self.tellers.get(to) else { return };
        if second.desk.has_heard(Topic::Outage, &outage) || second.outbox.tells(outage.id) {
            return;
        }
        let name = second.desk.policy.name.clone();
        self.note_line(now, &outage.target, outage.id, &name, Decision::Escalated);
        let mut line = self.new_line(now, kind, subject, outage);
        (line.critical, line.escalated) = (critical, true);
        self.owe_line(now, to, line);
    }

    /// Everything that may have to be escalated, after a start or under a new plan.
    pub(super) fn plan_escalations(&mut self, now: Now) {
        self.escalations.clear();
        for teller in 0..self.tellers.len() {
            let Some(escalating) = self.tellers.get(teller).filter(|it| it.desk.policy.escalate_to.is_some()) else {
                continue;
            };
            let mut outages: Vec<(Option<TargetId>, Outage)> = Vec::new();
            for (index, state) in self.targets.iter().enumerate() {
                let due = state.outage().filter(|outage| outage.due.is_some());
                outages.extend(due.map(|outage| (Some(TargetId::from_index(index)), outage.clone())));
            }
            let waiting = escalating.desk.owed.values().map(|owed| &owed.line).chain(escalating.outbox.untold_lines());
            let closed = waiting.filter(|line| {
                line.topic == Topic::Outage && line.kind.brings_outage() && line.outage.closed.is_some()
            });
            outages.extend(closed.map(|line| (None, line.outage.clone())));
            outages.retain(|(_, outage)| {
                escalating.desk.knows(Topic::Outage, outage) || escalating.outbox.tells(outage.id)
            });
            for (target, outage) in outages {
                self.plan_escalation(now, teller, target, &outage);
            }
        }
    }
}
