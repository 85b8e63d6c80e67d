//! Promise 6: for every mail that was sent, and for every one that was not, there is a written line saying why.

use std::sync::Arc;

use super::evidence::{Case, CaseId, Evidence};
use super::{Promise, Violation};
use crate::model::{Decision, Mono};

pub(super) fn check(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    for (&id, case) in &evidence.cases {
        if let Some(opened) = case.opened.filter(|_| case.ledger.is_empty()) {
            let message = format!("outage {} opened, and nothing is written of it", id.0.number());
            found.push(violation("no reason", opened, message).about(id.1));
        }
        for notifier in &evidence.notifiers {
            told_is_written(evidence, notifier, id, case, found);
            untold_is_written(evidence, notifier, id, case, found);
        }
        written_is_sent(evidence, id, case, found);
    }
}

fn violation(rule: &'static str, at: Mono, message: String) -> Violation {
    Violation::new(Promise::EverySilence, rule, at, message)
}

fn told_is_written(evidence: &Evidence<'_>, notifier: &Arc<str>, id: CaseId, case: &Case, found: &mut Vec<Violation>) {
    for mail in evidence.openings(notifier, id).iter().filter_map(|place| evidence.mails.get(*place)) {
        let sent = &mail.notification.message_id;
        // A server may have a mail without saying so, and the program may die before it is told.
        let Some(answered) = mail.answered else { continue };
        let says = |decision: &Decision| matches!(decision, Decision::Sent { message_id } if message_id == sent);
        if !Evidence::is_written(case, notifier, says) && !evidence.scene.forgotten.contains(answered) {
            let message = format!("{sent} tells of outage {}, and that is not written", id.0.number());
            found.push(violation("sent, not written", answered, message).about(id.1).to(notifier));
        }
    }
}

/// What is written to be sent was taken by a server.
fn written_is_sent(evidence: &Evidence<'_>, id: CaseId, case: &Case, found: &mut Vec<Violation>) {
    for (at, entry) in &case.ledger {
        let Decision::Sent { message_id } = &entry.decision else { continue };
        let is_taken = evidence.mails.iter().any(|mail| mail.notification.message_id == *message_id && mail.at <= *at);
        if !is_taken {
            let message = format!("{message_id} is written to be sent, and no server has it");
            found.push(violation("written, not sent", *at, message).about(id.1));
        }
    }
}

fn untold_is_written(
    evidence: &Evidence<'_>,
    notifier: &Arc<str>,
    id: CaseId,
    case: &Case,
    found: &mut Vec<Violation>,
) {
    let Some(closed) = case.closed.filter(|_| evidence.openings(notifier, id).is_empty()) else { return };
    let forgotten = &evidence.scene.forgotten;
    let mine = case.ledger.iter().filter(|(_, entry)| entry.notifier.as_ref().is_none_or(|other| other == notifier));
    let last = mine.map(|(at, entry)| (*at, &entry.decision)).rfind(|(_, decision)| !is_neutral(decision));
    if forgotten.contains(closed) || case.ledger.is_empty() || last.is_some_and(|(at, _)| forgotten.contains(at)) {
        return;
    }
    let last = last.map(|(_, decision)| decision);
    if !last.is_some_and(explains) {
        let message =
            format!("outage {} closed and was not told; the last that is written of it is {last:?}", id.0.number());
        found.push(violation("silence without reason", closed, message).about(id.1).to(notifier));
    }
}

/// Whether it says what happened, and not why nobody was told.
fn is_neutral(decision: &Decision) -> bool {
    matches!(
        decision,
        Decision::Opened { .. }
            | Decision::Answers
            | Decision::Closed
            | Decision::Acknowledged { .. }
            | Decision::Renamed { .. }
            | Decision::AwaitsParent { .. }
            | Decision::Flapping { .. }
            | Decision::Settled { .. }
            | Decision::NoRecovery
            | Decision::Escalated
    )
}

/// Whether it is a reason for not telling.
fn explains(decision: &Decision) -> bool {
    matches!(
        decision,
        Decision::TooShort { .. }
            | Decision::Explained { .. }
            | Decision::ParentReturned { .. }
            | Decision::InMaintenance { .. }
            | Decision::Unknown { .. }
            | Decision::OutOfScope
            | Decision::Folded
            | Decision::Removed
    )
}
