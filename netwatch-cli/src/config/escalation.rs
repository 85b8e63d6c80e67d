//! Who is told what another notifier's people do not acknowledge: each must exist, and the way must end.

use std::collections::HashMap;

use super::notifier::RawNotifier;
use super::problem::{Problems, nearest};

/// Finds notifiers that escalate to nobody, or in a circle.
pub(super) fn judge(notifiers: &[RawNotifier], problems: &mut Problems) {
    let name = |notifier: &RawNotifier| notifier.name.as_ref().map(|name| name.value.clone());
    let names: Vec<Option<String>> = notifiers.iter().map(name).collect();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (index, name) in names.iter().enumerate() {
        if let Some(name) = name {
            known.entry(name).or_insert(index);
        }
    }
    let next: Vec<Option<usize>> = notifiers.iter().map(|from| to(from, &known, problems)).collect();
    // Every notifier has one way on at most, so that each belongs to one circle at most.
    let mut walked: Vec<Option<usize>> = vec![None; notifiers.len()];
    for start in 0..notifiers.len() {
        let mut at = Some(start);
        while let Some(place) = at.filter(|at| walked.get(*at) == Some(&None)) {
            if let Some(mark) = walked.get_mut(place) {
                *mark = Some(start);
            }
            at = next.get(place).copied().flatten();
        }
        if let Some(first) = at.filter(|at| walked.get(*at) == Some(&Some(start))) {
            circle(first, notifiers, &next, problems);
        }
    }
}

/// The place of the notifier that this one escalates to.
fn to(from: &RawNotifier, known: &HashMap<&str, usize>, problems: &mut Problems) -> Option<usize> {
    let Some(to) = &from.escalate_to else {
        if let Some(after) = &from.escalate_after {
            let help = "add `escalate_to = \"...\"`, the name of another notifier, or remove `escalate_after`";
            problems.warning(after.place, "`escalate_after` without `escalate_to`", "nobody is told then", help);
        }
        return None;
    };
    if let Some(found) = known.get(to.value.as_str()) {
        return Some(*found);
    }
    let own = from.name.as_ref().map(|name| name.value.as_str());
    let others: Vec<&str> = known.keys().copied().filter(|name| Some(*name) != own).collect();
    let help = match nearest(&to.value, &others) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("add it: `[[notifier]]` with `name = \"{}\"`", to.value),
    };
    problems.error(to.place, format!("there is no notifier \"{}\"", to.value), "not defined", help);
    None
}

/// Tells of the circle that this notifier is in.
fn circle(first: usize, notifiers: &[RawNotifier], next: &[Option<usize>], problems: &mut Problems) {
    let named = |at: usize| notifiers.get(at).and_then(|it| it.name.as_ref()).map_or("", |name| name.value.as_str());
    let mut shown = named(first).to_owned();
    let mut at = first;
    for _ in notifiers {
        let Some(on) = next.get(at).copied().flatten() else { return };
        at = on;
        shown.push_str(" -> ");
        shown.push_str(named(at));
        if at == first {
            break;
        }
    }
    let place = notifiers.get(first).and_then(|it| it.escalate_to.as_ref()).map(|to| to.place);
    let Some(place) = place else { return };
    let help = "remove `escalate_to` from the last that is to be told, or name another notifier";
    problems.error(place, format!("escalation goes in a circle: {shown}"), "leads back here", help);
}
