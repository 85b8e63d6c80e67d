//! Promise 2, its other half: never more new mails than the budget allows. A mail leaves because a line in it may; what
//! else is owed rides with it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::evidence::{CaseId, Drafted, Evidence};
use super::{Promise, Violation};
use crate::model::{Budget, Line, LineKind, Mono, NotifierPolicy, Topic};
use crate::testing::world::{Happening, Span};

/// What two readings of a clock, and the answer to an attempt, may differ by.
const SLACK: Duration = Duration::from_secs(1);

/// What one notifier has been told.
#[derive(Default)]
struct Memory {
    last: Option<Mono>,
    /// The last mail with something in it that the budget counts.
    counted: Option<Mono>,
    /// Which outage of each device was brought last, and when.
    brought: HashMap<usize, (CaseId, Mono)>,
    ended: HashSet<CaseId>,
}

pub(super) fn check(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    // What a start brings back uses wall time: a step of it in the meantime moves all of this.
    if !evidence.history.fate.steps.is_empty() && !evidence.scene.halted.is_empty() {
        return;
    }
    let mut memories: HashMap<Arc<str>, Memory> = HashMap::new();
    let mut drafts = evidence.drafts.iter().peekable();
    let mut mails: HashMap<&str, &[Line]> = HashMap::new();
    let mut counted: HashSet<&str> = HashSet::new();
    for entry in &evidence.history.entries {
        let at = entry.now.mono;
        match &entry.what {
            Happening::Drafted(_) => {
                if let Some(draft) = drafts.next() {
                    let memory = memories.entry(draft.notifier.clone()).or_default();
                    judge(evidence, memory, draft, entry.now.wall, found);
                }
            }
            Happening::Attempted(mail) => drop(mails.insert(&mail.message_id, &mail.lines)),
            Happening::Answered { message_id, notifier, is_accepted: true, .. } => {
                // A copy for those who did not get the first is no new mail.
                let (Some(lines), true) = (mails.remove(&**message_id), counted.insert(message_id)) else { continue };
                let memory = memories.entry(notifier.clone()).or_default();
                memory.last = Some(at);
                if lines.is_empty() || lines.iter().any(|line| !line.topic.is_outside_budget()) {
                    memory.counted = Some(at);
                }
                for line in lines.iter().filter(|line| line.topic == Topic::Outage) {
                    let Some(device) = evidence.device(&line.outage.target) else { continue };
                    let id = (line.outage.id, device);
                    if line.kind.brings_outage() {
                        memory.brought.insert(device, (id, at));
                    }
                    if line.kind != LineKind::Opened {
                        memory.ended.insert(id);
                    }
                }
            }
            _ => {}
        }
    }
}

fn judge(
    evidence: &Evidence<'_>,
    memory: &Memory,
    draft: &Drafted<'_>,
    wall: crate::model::Wall,
    found: &mut Vec<Violation>,
) {
    let at = draft.at;
    let policies = evidence.plan_at(at).map(|plan| plan.notifiers.as_slice()).unwrap_or_default();
    let Some(policy) = policies.iter().find(|policy| policy.name == *draft.notifier) else { return };
    // What was told from memory is forgotten with the program, and what a reload brings is judged by the new policy.
    let recently = Span::new(at.minus(policy.min_interval + SLACK), at.plus(SLACK));
    if evidence.scene.forgotten.touches(recently) || draft.standing.is_some() {
        return;
    }
    let passes = |line: &Line| line.critical || line.topic.is_outside_budget();
    if draft.lines.iter().any(passes) {
        return;
    }
    let mut broken = |rule: &'static str, message: String| {
        found.push(Violation::new(Promise::NothingRepeated, rule, at, message).to(draft.notifier));
    };
    if let Some(hours) = policy.hours.as_ref().filter(|hours| !hours.contains(wall)) {
        broken("hours", format!("a mail leaves outside its hours, which come again at {:?}", hours.next_inside(wall)));
    }
    let since = memory.last.map(|last| at.since(last).saturating_add(SLACK));
    if since.is_some_and(|since| since < policy.group_interval) {
        broken("group interval", format!("a mail leaves {since:?} after the one before"));
    }
    // What nobody saw to, or what another could not deliver, does not wait for the budget.
    let is_escalated = draft.lines.iter().any(|line| line.escalated);
    let counted = memory.counted.map(|last| at.since(last).saturating_add(SLACK));
    if policy.budget == Budget::All && !is_escalated && counted.is_some_and(|since| since < policy.min_interval) {
        broken("budget of all", format!("a mail leaves {counted:?} after the one before"));
    }
    if policy.budget == Budget::Target
        && !draft.lines.is_empty()
        && !draft.lines.iter().any(|line| may_leave(evidence, memory, policy, at, line))
    {
        let devices: Vec<&str> = draft.lines.iter().map(|line| &*line.subject.name).take(5).collect();
        broken("budget", format!("a mail leaves that brings nothing but devices it brought before: {devices:?}"));
    }
}

fn may_leave(evidence: &Evidence<'_>, memory: &Memory, policy: &NotifierPolicy, at: Mono, line: &Line) -> bool {
    if line.topic != Topic::Outage || !line.kind.brings_outage() || line.escalated {
        return true;
    }
    let Some(device) = evidence.device(&line.outage.target) else { return true };
    let Some((id, told)) = memory.brought.get(&device).copied() else { return true };
    // A device that is watched anew is another device.
    let is_anew = evidence.scene.absent[device].touches(Span::new(told, at));
    let is_over = at.since(told).saturating_add(SLACK) >= policy.min_interval;
    // A device that was told of as back may be told of again before the interval is over.
    let is_again = id == (line.outage.id, device) || memory.ended.contains(&id);
    is_anew || is_over || is_again
}
