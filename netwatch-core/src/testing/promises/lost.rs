//! Promise 1: every outage that became due is named in a mail that the server took, and so is every one that should
//! have become due. At the end nothing is owed any more.

use std::time::Duration;

use super::evidence::{CaseId, Evidence};
use super::{Promise, Violation};
use crate::model::{Decision, LineKind, Status, Topic};
use crate::testing::world::{Span, Spans};

const MINUTE: Duration = Duration::from_secs(60);

/// A commit takes so long at most while the journal works.
const COMMITS_WITHIN: Duration = Duration::from_millis(50);

pub(super) fn check(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    nothing_is_owed(evidence, found);
    all_is_well(evidence, found);
    due_is_told(evidence, found);
    true_is_told(evidence, found);
    every_recipient_is_served(evidence, found);
    blindness_is_told(evidence, found);
}

fn nothing_is_owed(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let (saved, end) = (&evidence.history.saved, evidence.history.end.mono);
    for (notifier, line) in saved.lines.values() {
        let message = format!("{:?} {:?} of {:?} is still owed", line.topic, line.kind, line.subject.name);
        let violation = Violation::new(Promise::NothingLost, "still owed", end, message).to(notifier);
        found.push(match evidence.device(&line.outage.target) {
            Some(device) => violation.about(device),
            None => violation,
        });
    }
    for mail in saved.mails.values() {
        let message = format!("mail {} is still on its way to {:?}", mail.message_id, mail.recipients);
        found.push(Violation::new(Promise::NothingLost, "still under way", end, message).to(&mail.notifier));
    }
}

/// After the calm every device that is asked answers, and is seen to.
fn all_is_well(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let end = evidence.history.end.mono;
    let Some(version) = evidence.version_at(end) else { return };
    for view in &evidence.history.views {
        let (Some(device), Some(target)) = (version.devices.get(view.target.index()), version.plan.target(view.target))
        else {
            continue;
        };
        let answers = matches!(view.status, Status::Ok | Status::Warning) && !view.flapping && !view.maintenance;
        if !target.paused && (!answers || view.outage.is_some()) {
            let message = format!("{} has answered for hours and is {view:?}", target.name);
            found.push(Violation::new(Promise::NothingLost, "not well", end, message).about(*device));
        }
    }
}

fn due_is_told(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    for (&(id, device), case) in &evidence.cases {
        let Some(due) = case.due else { continue };
        // What a crash cut off before it was committed was not decided.
        let committed = Span::new(due, due.plus(COMMITS_WITHIN));
        if evidence.scene.forgotten.contains(due) || evidence.scene.halted.touches(committed) {
            continue;
        }
        for notifier in evidence.notifiers.iter().filter(|notifier| evidence.is_always_for(notifier, device)) {
            if is_told(evidence, notifier, (id, device)) {
                continue;
            }
            let message = format!("outage {} became due and was never told", id.number());
            found.push(Violation::new(Promise::NothingLost, "due, not told", due, message).about(device).to(notifier));
        }
    }
}

/// Whether the outage was brought to the notifier, or folded into what was told of the device's flapping.
fn is_told(evidence: &Evidence<'_>, notifier: &std::sync::Arc<str>, id: CaseId) -> bool {
    let is_folded = || {
        let case = evidence.cases.get(&id);
        let folded = |decision: &Decision| matches!(decision, Decision::Folded);
        case.is_some_and(|case| evidence.may_be_folded(case, id.1) || Evidence::is_written(case, notifier, folded))
            && !evidence.flapping_mails(notifier, id.1).is_empty()
    };
    !evidence.openings(notifier, id).is_empty() || is_folded()
}

/// Nothing that was true for long enough, and that netwatch could see, stays untold.
fn true_is_told(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    for (device, real) in evidence.history.devices.iter().enumerate() {
        let (excused, certain) = (evidence.scene.excused(device), evidence.scene.certain(device));
        for silence in real.silent.iter().filter(|silence| silence.length() >= certain) {
            let doubtful = excused.union(&explained(evidence, device, silence));
            let seen = doubtful.gaps(silence).into_iter().find(|gap| gap.length() >= certain);
            let Some(seen) = seen else { continue };
            for notifier in evidence.notifiers.iter().filter(|notifier| evidence.is_always_for(notifier, device)) {
                if is_silence_told(evidence, notifier, device, silence) {
                    continue;
                }
                let (from, length) = (seconds(seen.from.since(Default::default())), seconds(seen.length()));
                let message = format!("silent, and to be seen so from second {from} for {length} s; nobody was told");
                let violation = Violation::new(Promise::NothingLost, "true, not told", seen.to, message);
                found.push(violation.about(device).to(notifier));
            }
        }
    }
}

/// When what a device is reached through was silent or not seen, so that it may explain the device's silence. What was
/// silent long before, while the device answered, explains nothing: its management address died.
fn explained(evidence: &Evidence<'_>, device: usize, silence: Span) -> Spans {
    let scene = &evidence.scene;
    let mut explained = Spans::default();
    for parent in above(evidence, device) {
        let sight = scene.patience[parent].sight + scene.patience[device].sight;
        let dead = scene.silent[parent].iter().filter(|dead| {
            let before = Span::new(dead.from, silence.from);
            !hides_nothing(evidence, device, before, sight)
        });
        explained = explained.union(&dead.chain(scene.hidden[parent].iter()).collect::<Spans>().widened(sight, sight));
    }
    explained
}

/// Everything on the way to a device.
fn above(evidence: &Evidence<'_>, device: usize) -> Vec<usize> {
    let mut above = evidence.history.devices[device].uplinks.clone();
    let mut next = 0;
    while let Some(parent) = above.get(next).copied() {
        next += 1;
        let more = evidence.history.devices[parent].uplinks.iter().filter(|uplink| !above.contains(uplink));
        let more: Vec<usize> = more.copied().collect();
        above.extend(more);
    }
    above
}

/// Whether the device was seen to answer well after its parent had fallen silent.
fn hides_nothing(evidence: &Evidence<'_>, device: usize, before: Span, sight: Duration) -> bool {
    let shown = Span::new(before.from.plus(sight * 2), before.to);
    if shown.to <= shown.from || evidence.scene.halted.touches(before) {
        return false;
    }
    let doubtful = evidence.scene.excused(device).union(&evidence.scene.silent[device]);
    doubtful.gaps(shown).iter().any(|gap| gap.length() >= sight * 2)
}

fn is_silence_told(evidence: &Evidence<'_>, notifier: &std::sync::Arc<str>, device: usize, silence: Span) -> bool {
    let sight = evidence.scene.patience[device].sight;
    let mut told = evidence.cases.iter().filter(|((_, other), _)| *other == device).filter(|(_, case)| {
        let claimed = Span::new(case.first().minus(sight * 2), case.closed.unwrap_or(evidence.history.end.mono));
        claimed.from < silence.to && silence.from < claimed.to.plus(sight)
    });
    told.any(|(id, _)| is_told(evidence, notifier, *id))
}

/// Who was to get a mail that others have gets it, or was refused for good.
fn every_recipient_is_served(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    for mail in &evidence.mails {
        let sent = &mail.notification;
        if !evidence.notifiers.contains(&sent.notifier) || evidence.scene.forgotten.contains(mail.at) {
            continue;
        }
        let policies = evidence.plan_at(mail.at).map(|plan| plan.notifiers.as_slice()).unwrap_or_default();
        let Some(policy) = policies.iter().find(|policy| policy.name == sent.notifier) else { continue };
        for to in policy.recipients.iter().filter(|to| !mail.served.contains(*to)) {
            let message = format!("{} was taken for others and never for {to}", sent.message_id);
            found.push(Violation::new(Promise::NothingLost, "recipient", mail.at, message).to(&sent.notifier));
        }
    }
}

/// Blindness of a minute is owed to everybody.
fn blindness_is_told(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    // A machine that cannot send at all cannot tell that nothing comes back.
    let jams = evidence.history.fate.local.iter().filter(|trouble| trouble.is_total && !trouble.is_half);
    let jams: Spans = jams.map(|trouble| trouble.span).collect();
    let excused = evidence.scene.halted.union(&evidence.scene.forgotten).union(&jams).widened(MINUTE, MINUTE);
    for blind in evidence.scene.blind.iter().filter(|blind| blind.length() >= MINUTE * 2) {
        if excused.touches(blind) {
            continue;
        }
        for notifier in &evidence.notifiers {
            let mails = evidence.mails.iter().filter(|mail| mail.notification.notifier == *notifier);
            let mut lines = mails.filter(|mail| mail.at >= blind.from).flat_map(|mail| mail.notification.lines.iter());
            let told = lines.any(|line| {
                let began = evidence.history.end.mono_at(line.outage.first_bad);
                let is_near = Span::new(blind.from.minus(MINUTE), blind.to.plus(MINUTE)).contains(began);
                line.topic == Topic::Blind
                    && line.kind != LineKind::Closed
                    && (is_near || !evidence.history.fate.steps.is_empty())
            });
            if !told {
                let message = format!("blind for {} s and not told of it", seconds(blind.length()));
                found.push(Violation::new(Promise::NothingLost, "blind, not told", blind.to, message).to(notifier));
            }
        }
    }
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs()
}
