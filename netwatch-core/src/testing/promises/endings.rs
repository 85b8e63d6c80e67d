//! The other half of promise 1: the end of what was told is told, and blindness, flapping and outages lose none of it.

use std::collections::{HashMap, HashSet};

use super::evidence::Evidence;
use super::{Promise, Violation};
use crate::model::{LineKind, Mono, OutageId, Topic};

pub(super) fn check(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    outages(evidence, found);
    incidents(evidence, found);
}

fn wants_ends(evidence: &Evidence<'_>, notifier: &str) -> bool {
    let policies = evidence.history.last_version().map(|version| version.plan.notifiers.as_slice()).unwrap_or_default();
    evidence.notifiers.iter().any(|name| **name == *notifier)
        && policies.iter().any(|policy| *policy.name == *notifier && policy.recovery)
}

fn outages(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    for (notifier, id, mails) in evidence.all_openings().filter(|(notifier, ..)| wants_ends(evidence, notifier)) {
        let Some(case) = evidence.cases.get(&id) else { continue };
        let Some(closed) = case.closed.filter(|_| !case.is_removed) else { continue };
        let forgotten = &evidence.scene.forgotten;
        let told = mails.iter().filter_map(|place| evidence.mails.get(*place)).map(|mail| mail.at).min();
        let is_excused = forgotten.contains(closed) || told.is_none_or(|at| forgotten.contains(at));
        if is_excused || !evidence.endings(notifier, id).is_empty() || evidence.may_be_folded(case, id.1) {
            continue;
        }
        let message = format!("outage {} was told and closed, and its end was not told", id.0.number());
        found.push(Violation::new(Promise::NothingLost, "end not told", closed, message).about(id.1).to(notifier));
    }
}

/// What else was told to have begun is told to have ended, by the end of the calm.
fn incidents(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let mut begun: HashMap<(&str, Topic, OutageId), (Mono, Option<usize>)> = HashMap::new();
    let mut ended: HashSet<(&str, Topic, OutageId)> = HashSet::new();
    for mail in &evidence.mails {
        for line in mail.notification.lines.iter().filter(|line| line.topic != Topic::Outage) {
            let key = (&*mail.notification.notifier, line.topic, line.outage.id);
            if line.kind == LineKind::Opened {
                begun.entry(key).or_insert((mail.at, evidence.device(&line.outage.target)));
            } else {
                ended.insert(key);
            }
        }
    }
    for (key @ (notifier, topic, id), (at, device)) in begun {
        let removed = device.is_some_and(|device| !evidence.scene.absent[device].is_empty());
        let is_excused = removed || evidence.scene.forgotten.iter().any(|span| span.to >= at);
        if ended.contains(&key) || is_excused || !wants_ends(evidence, notifier) {
            continue;
        }
        let message = format!("{topic:?} {} was told to have begun and not to have ended", id.number());
        let violation = Violation::new(Promise::NothingLost, "incident without end", at, message).to(&notifier.into());
        found.push(match device {
            Some(device) => violation.about(device),
            None => violation,
        });
    }
}
