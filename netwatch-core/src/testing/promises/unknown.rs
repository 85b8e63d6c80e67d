//! Promise 4: no device is called down that answered, or that netwatch could not see; no time counts that it could not see.

use std::time::Duration;

use super::evidence::{Evidence, is_silent};
use super::{Promise, Violation};
use crate::model::{Event, LineKind, Mono, Topic};
use crate::testing::world::{Happening, Span, Spans};

const MINUTE: Duration = Duration::from_secs(60);

/// How long it may take to notice that netwatch is cut off, or in maintenance, and that it is not any more.
const NOTICE: Duration = Duration::from_secs(15);

pub(super) fn check(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    down_is_silent(evidence, found);
    due_was_seen(evidence, found);
    closed_is_settled(evidence, found);
    blind_is_cut_off(evidence, found);
    unseen_is_told(evidence, found);
}

fn violation(rule: &'static str, at: Mono, message: String) -> Violation {
    Violation::new(Promise::UnknownIsNotDown, rule, at, message)
}

fn down_is_silent(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let scene = &evidence.scene;
    for &(at, device, transition) in &evidence.transitions {
        if !is_silent(transition.to) || is_silent(transition.from) {
            continue;
        }
        let looked = looked(evidence, device, at);
        if !scene.silent[device].touches(looked) {
            let message = format!("{:?} to {:?}, and it answered all the time", transition.from, transition.to);
            found.push(violation("it answered", at, message).about(device));
        }
        if is_deep_in(&scene.blind, evidence, device, at) {
            let message = format!("{:?} to {:?} while netwatch is cut off", transition.from, transition.to);
            found.push(violation("down while blind", at, message).about(device));
        }
    }
}

/// The time from which the check is that a decision at `at` rests on.
fn looked(evidence: &Evidence<'_>, device: usize, at: Mono) -> Span {
    let looked = Span::new(at.minus(evidence.scene.patience[device].sight + NOTICE), at);
    let halts = evidence.scene.halted.iter().filter(|halt| halt.to > looked.from && halt.from <= at);
    let from = halts.map(|halt| halt.from).min().unwrap_or(looked.from).min(looked.from);
    Span::new(from, at)
}

/// Whether one of these has lasted for long enough at `at` that the program, running, knows.
fn is_deep_in(spans: &Spans, evidence: &Evidence<'_>, device: usize, at: Mono) -> bool {
    let before = Span::new(at.minus(NOTICE), at);
    let troubles = evidence.history.fate.local_to(device);
    spans.covers(before) && !evidence.scene.halted.touches(before) && !troubles.touches(before)
}

fn due_was_seen(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let scene = &evidence.scene;
    for (&(id, device), case) in &evidence.cases {
        let Some(due) = case.due else { continue };
        let patience = scene.patience[device];
        let id = id.number();
        if is_deep_in(&scene.blind, evidence, device, due) {
            let message = format!("outage {id} became due while netwatch was cut off");
            found.push(violation("due while blind", due, message).about(device));
        }
        if is_deep_in(&scene.worked_on[device], evidence, device, due) {
            let message = format!("outage {id} became due while the device was in maintenance");
            found.push(violation("due in maintenance", due, message).about(device));
        }
        let Some(opened) = case.opened else { continue };
        let claimed = Span::new(opened.minus(patience.sight * 2), due);
        let seen = seen_silence(evidence, device, claimed);
        let least = patience.least_tolerance.saturating_sub(patience.sight * 2);
        if seen.is_zero() || seen < least {
            let message = format!(
                "outage {id} became due after {seen:?} of silence that could be seen, and the tolerance is {:?}",
                patience.least_tolerance
            );
            found.push(violation("tolerance", due, message).about(device));
        }
    }
}

/// How much of a time a device was seen to be silent; what two checks in a row missed counts as what they saw.
fn seen_silence(evidence: &Evidence<'_>, device: usize, span: Span) -> Duration {
    let scene = &evidence.scene;
    let interval = scene.patience[device].interval;
    let within: Spans = [span].into_iter().collect();
    let silent = scene.silent[device].widened(interval, interval).intersection(&within);
    let unseen = scene.unseeable[device].union(&scene.worked_on[device]);
    silent.iter().flat_map(|silent| unseen.gaps(silent)).map(|gap| gap.length()).sum()
}

/// An outage closes only when the device has answered for the settle time.
fn closed_is_settled(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let scene = &evidence.scene;
    for (&(id, device), case) in &evidence.cases {
        let Some(closed) = case.closed.filter(|_| !case.is_removed) else { continue };
        let patience = scene.patience[device];
        let Some(last) =
            evidence.history.devices[device].silent.iter().take_while(|silence| silence.to <= closed).last()
        else {
            continue;
        };
        let is_seen =
            last.length() >= patience.sight * 2 && !scene.hidden[device].touches(Span::new(last.from, closed));
        let answered = closed.since(last.to);
        // The check that saw it answer may have begun a little before it did.
        if is_seen && answered.saturating_add(patience.sight.saturating_sub(patience.interval)) < patience.least_settle
        {
            let message = format!("outage {} closed {answered:?} after the device began to answer", id.number());
            found.push(violation("settle", closed, message).about(device));
        }
    }
}

/// netwatch calls itself cut off only where it is.
fn blind_is_cut_off(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    for entry in &evidence.history.entries {
        let at = entry.now.mono;
        let Happening::Event(Event::Blind { since: Some(_) }) = &entry.what else { continue };
        let near = Span::new(at.minus(NOTICE * 2), at.plus(Duration::from_nanos(1)));
        // In the middle of a pause it was as it was before.
        let is_after_halt = evidence.scene.halted.touches(near);
        if !evidence.scene.blind.touches(near) && !is_after_halt {
            found.push(violation("not blind", at, "netwatch calls itself cut off, and is not".to_owned()));
        }
    }
}

/// A device that cannot be seen for ten minutes is told of.
fn unseen_is_told(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let excused = evidence.scene.halted.union(&evidence.scene.blind).union(&evidence.scene.forgotten);
    let excused = excused.widened(MINUTE * 3, MINUTE * 3);
    let Some(notifier) = evidence.notifiers.first() else { return };
    for trouble in evidence.history.fate.local.iter().filter(|trouble| trouble.is_total) {
        let span = trouble.span;
        if span.length() < MINUTE * 15 || excused.touches(span) || evidence.is_reloaded_in(span) {
            continue;
        }
        let after =
            evidence.mails.iter().filter(|mail| mail.at >= span.from && mail.notification.notifier == *notifier);
        let mut lines = after.flat_map(|mail| mail.notification.lines.iter());
        let told = lines.any(|line| line.topic == Topic::Unseen(trouble.cause) && line.kind != LineKind::Closed);
        if !told {
            let message = format!("{:?} for {:?} and not told of it", trouble.cause, span.length());
            found.push(Violation::new(Promise::NothingLost, "unseen, not told", span.to, message).to(notifier));
        }
    }
}
