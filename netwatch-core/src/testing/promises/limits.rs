//! Promise 2, what else bounds a mail: who is critical, what an acknowledgement stops, to whom an outage escalates, and
//! that nobody is reminded who did not ask for it.

use std::time::Duration;

use super::evidence::Evidence;
use super::{Promise, Violation};
use crate::model::{Event, Plan, StandingKind, TargetId, Topic};
use crate::testing::world::{Happening, Span};

const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn check(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    critical(evidence, found);
    scope(evidence, found);
    acknowledgements(evidence, found);
    escalation(evidence, found);
    standing(evidence, found);
}

/// The target and everything behind it.
fn behind(plan: &Plan, id: TargetId) -> Vec<TargetId> {
    let mut behind = vec![id];
    let mut next = 0;
    while let Some(parent) = behind.get(next).copied() {
        next += 1;
        for (place, child) in plan.targets.iter().enumerate() {
            let child_id = TargetId::from_index(place);
            if child.parents().contains(&parent) && !behind.contains(&child_id) {
                behind.push(child_id);
            }
        }
    }
    behind
}

/// Whether the target is critical, or something behind it is.
fn is_critical(plan: &Plan, id: TargetId) -> bool {
    behind(plan, id).into_iter().any(|id| plan.target(id).is_some_and(|target| target.critical))
}

fn critical(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let versions = &evidence.history.operators.versions;
    let of = |device: usize| {
        let said = versions.iter().filter_map(move |version| {
            Some(is_critical(&version.plan, version.targets.get(device).copied().flatten()?))
        });
        said.collect::<Vec<bool>>()
    };
    let by_device: Vec<Vec<bool>> = (0..evidence.history.devices.len()).map(of).collect();
    for mail in &evidence.mails {
        for line in
            mail.notification.lines.iter().filter(|line| line.topic == Topic::Outage && line.kind.brings_outage())
        {
            let Some(said) = evidence.device(&line.outage.target).and_then(|device| by_device.get(device)) else {
                continue;
            };
            let right = if line.critical { said.contains(&true) } else { said.contains(&false) };
            if !right {
                let message = format!("the line about {:?} says critical: {}", line.subject.name, line.critical);
                let violation = Violation::new(Promise::NothingRepeated, "critical", mail.at, message);
                found.push(violation.to(&mail.notification.notifier));
            }
        }
    }
}

/// Nobody is told of a device that he is not for, unless one that he is for lies behind it, or somebody else's people
/// did not see to it.
fn scope(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let versions = &evidence.history.operators.versions;
    let may_be_for = |notifier: &str, device: usize| {
        versions.iter().any(|version| {
            let policy = version.plan.notifiers.iter().find(|policy| *policy.name == *notifier);
            let (Some(policy), Some(id)) = (policy, version.targets[device]) else { return false };
            let mut concerned = behind(&version.plan, id).into_iter().filter_map(|id| version.plan.target(id));
            concerned.any(|target| policy.scope.holds(&version.plan, target))
        })
    };
    for mail in &evidence.mails {
        let notifier = &mail.notification.notifier;
        let lines = mail.notification.lines.iter();
        for line in lines.filter(|line| line.topic == Topic::Outage && line.kind.brings_outage() && !line.escalated) {
            let Some(device) = evidence.device(&line.outage.target) else { continue };
            if evidence.notifiers.contains(notifier) && !may_be_for(notifier, device) {
                let message = format!("told of {:?}, which it is not for", line.subject.name);
                let violation = Violation::new(Promise::NothingRepeated, "out of scope", mail.at, message);
                found.push(violation.about(device).to(notifier));
            }
        }
    }
}

fn acknowledgements(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    for entry in &evidence.history.entries {
        let at = entry.now.mono;
        if let Happening::Event(Event::OutageOpened(_, outage)) = &entry.what
            && outage.ack.is_some()
        {
            let message = format!("outage {} opened and was acknowledged already", outage.id.number());
            let violation = Violation::new(Promise::NothingRepeated, "acknowledgement kept", at, message);
            found.push(match evidence.device(&outage.target) {
                Some(device) => violation.about(device),
                None => violation,
            });
        }
    }
    let has_steps = !evidence.history.fate.steps.is_empty();
    for mail in evidence.mails.iter().filter(|_| !has_steps) {
        for line in mail.notification.lines.iter().filter(|line| line.escalated && line.topic == Topic::Outage) {
            let acknowledged = line.outage.ack.as_ref().map(|ack| ack.at);
            if acknowledged.is_some_and(|at| at.plus(MINUTE) < line.owed_at) {
                let message = format!("outage {} escalated after it was acknowledged", line.outage.id.number());
                let violation = Violation::new(Promise::NothingRepeated, "acknowledged", mail.at, message);
                found.push(violation.to(&mail.notification.notifier));
            }
        }
    }
}

fn escalation(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    for (&(id, device), case) in &evidence.cases {
        let (Some(due), None) = (case.due, case.acknowledged) else { continue };
        let Some(plan) = evidence.plan_at(due) else { continue };
        for policy in plan.notifiers.iter().filter(|policy| evidence.is_always_for(&policy.name, device)) {
            let Some(other) = policy.escalate_to.as_ref().filter(|other| evidence.notifiers.contains(other)) else {
                continue;
            };
            let span = Span::new(due.minus(MINUTE), due.plus(policy.escalate_after + MINUTE * 15));
            let is_open = case.closed.is_none_or(|closed| closed > span.to);
            let is_excused = evidence.scene.excused(device).touches(span) || evidence.is_reloaded_in(span);
            let is_known = evidence.notifiers.contains(&policy.name);
            if is_known
                && is_open
                && !is_excused
                && !evidence.may_be_folded(case, device)
                && evidence.scene.silent[device].covers(span)
                && evidence.openings(other, (id, device)).is_empty()
            {
                let message = format!("nobody acknowledged outage {} and {other} was not told", id.number());
                let violation = Violation::new(Promise::NothingLost, "not escalated", span.to, message);
                found.push(violation.about(device).to(&policy.name));
            }
        }
    }
}

fn standing(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    for draft in &evidence.drafts {
        let Some(standing) = draft.standing else { continue };
        let policies = evidence.plan_at(draft.at).map(|plan| plan.notifiers.as_slice()).unwrap_or_default();
        let Some(policy) = policies.iter().find(|policy| policy.name == *draft.notifier) else { continue };
        let wanted = match standing.kind {
            StandingKind::Reminder => policy.reminder.is_some(),
            StandingKind::Summary => !policy.summaries.is_empty(),
        };
        let mut reminded = standing.open.iter().filter(|_| standing.kind == StandingKind::Reminder);
        let acknowledged = reminded.find(|line| line.outage.ack.is_some());
        if !wanted {
            let message = format!("a {:?} that nobody asked for", standing.kind);
            found.push(Violation::new(Promise::NothingRepeated, "unasked", draft.at, message).to(draft.notifier));
        }
        if let Some(line) = acknowledged {
            let message = format!("a reminder of {:?}, which is acknowledged", line.subject.name);
            found.push(Violation::new(Promise::NothingRepeated, "reminded", draft.at, message).to(draft.notifier));
        }
    }
}
