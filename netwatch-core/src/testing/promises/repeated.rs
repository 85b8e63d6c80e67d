//! Promise 2: one mail for an outage, one for its end, no other for the device until it has answered again; a copy is
//! the same to the byte.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::evidence::{Evidence, Mail, mail_id};
use super::{Promise, Violation};
use crate::model::{LineKind, Mono, Topic};
use crate::testing::world::{Happening, Span};

pub(super) fn check(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    told_once(evidence, found);
    no_other_until_it_answers(evidence, found);
    no_end_without_beginning(evidence, found);
    copies_are_equal(evidence, found);
}

fn violation(rule: &'static str, at: Mono, message: String) -> Violation {
    Violation::new(Promise::NothingRepeated, rule, at, message)
}

/// The mails at these places, those left out that a crash made netwatch forget.
fn remembered<'a>(evidence: &'a Evidence<'_>, places: &[usize]) -> Vec<&'a Mail> {
    let mails = places.iter().filter_map(|place| evidence.mails.get(*place));
    mails.filter(|mail| !evidence.scene.forgotten.contains(mail.at)).collect()
}

fn told_once(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let openings = evidence.all_openings().map(|told| ("told twice", told));
    let endings = evidence.all_endings().map(|told| ("end told twice", told));
    for (rule, (notifier, id, places)) in openings.chain(endings) {
        // Who is configured anew knows nothing.
        if !evidence.notifiers.contains(notifier) {
            continue;
        }
        let mails = remembered(evidence, places);
        let different: BTreeSet<&str> = mails.iter().map(|mail| &*mail.notification.message_id).collect();
        if let Some(last) = mails.last().filter(|_| different.len() > 1) {
            let message = format!("outage {} is in {different:?}", id.0.number());
            found.push(violation(rule, last.at, message).about(id.1).to(notifier));
        }
    }
}

/// When outages were first heard of, and their numbers.
type Outages = Vec<(Mono, u64)>;

/// Between two outages that are told of one device, it answered, or was not watched.
fn no_other_until_it_answers(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let mut told: BTreeMap<(Arc<str>, usize), Outages> = BTreeMap::new();
    for (notifier, id, places) in evidence.all_openings() {
        let case = evidence.cases.get(&id).filter(|_| evidence.notifiers.contains(notifier));
        if let Some(case) = case.filter(|_| !remembered(evidence, places).is_empty()) {
            told.entry((notifier.clone(), id.1)).or_default().push((case.first(), id.0.number()));
        }
    }
    for ((notifier, device), mut outages) in told {
        outages.sort_unstable();
        for pair in outages.windows(2) {
            let ([(first, one), (second, other)], scene) = ([pair[0], pair[1]], &evidence.scene);
            let between = Span::new(first.minus(scene.patience[device].sight), second);
            let name =
                |at| evidence.version_at(at).and_then(|version| version.target(device)).map(|it| it.name.clone());
            // One that is renamed while netwatch does not run is another one.
            let is_other = scene.halted.touches(between) && name(first) != name(second);
            let is_excused = scene.absent[device].touches(between) || scene.forgotten.touches(between) || is_other;
            if !is_excused && scene.silent[device].covers(between) {
                let message = format!("outages {one} and {other} were both told, and it never answered between them");
                found.push(violation("told again", second, message).about(device).to(&notifier));
            }
        }
    }
}

/// An end is told to whom the beginning was told, and to nobody who wants no ends.
fn no_end_without_beginning(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    for mail in &evidence.mails {
        let sent = &mail.notification;
        for line in sent.lines.iter().filter(|line| line.topic == Topic::Outage && line.kind == LineKind::Closed) {
            let Some(device) = evidence.device(&line.outage.target) else { continue };
            let beginnings = evidence.openings(&sent.notifier, (line.outage.id, device));
            let begun = beginnings.iter().filter_map(|place| evidence.mails.get(*place));
            let is_told = begun.clone().any(|begun| begun.at <= mail.at);
            let policies = evidence.plan_at(mail.at).map(|plan| plan.notifiers.as_slice()).unwrap_or_default();
            let wants =
                policies.iter().find(|policy| policy.name == sent.notifier).is_none_or(|policy| policy.recovery);
            let is_forgotten = !evidence.scene.forgotten.is_empty();
            if !is_told && !is_forgotten && !evidence.flapping[device].touches(Span::new(Mono::ZERO, mail.at)) {
                let message = format!("the end of outage {} was told and its beginning never", line.outage.id.number());
                found.push(violation("end without beginning", mail.at, message).about(device).to(&sent.notifier));
            }
            if !wants {
                let message = format!("the end of outage {} was told to who wants none", line.outage.id.number());
                found.push(violation("unwanted end", mail.at, message).about(device).to(&sent.notifier));
            }
        }
    }
}

/// Every copy that leaves after a server may have had the mail is the same mail.
fn copies_are_equal(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let mut first: HashMap<Arc<str>, &crate::model::Notification> = HashMap::new();
    for mail in &evidence.mails {
        first.insert(mail.notification.message_id.clone(), &mail.notification);
    }
    for entry in &evidence.history.entries {
        let Happening::Attempted(copy) = &entry.what else { continue };
        let Some(taken) = first.get(&copy.message_id) else { continue };
        let same = (&taken.content, taken.date, &taken.in_reply_to) == (&copy.content, copy.date, &copy.in_reply_to);
        if !same {
            let message = format!("two copies of {} differ", copy.message_id);
            found.push(violation("copies differ", entry.now.mono, message).to(&copy.notifier));
        }
    }
    let mut numbers: BTreeMap<(&str, u64), BTreeSet<&str>> = BTreeMap::new();
    for mail in evidence.mails.iter().filter(|mail| !evidence.scene.forgotten.contains(mail.at)) {
        let key = (&*mail.notification.notifier, mail_id(mail).number());
        numbers.entry(key).or_default().insert(&mail.notification.message_id);
    }
    for ((notifier, number), names) in numbers.into_iter().filter(|(_, names)| names.len() > 1) {
        let message = format!("mail {number} has several names: {names:?}");
        found.push(violation("names of a mail", evidence.history.end.mono, message).to(&notifier.into()));
    }
}
