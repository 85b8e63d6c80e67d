//! Promise 3: what lies behind a dead parent is counted and not told, and gets its whole tolerance again when the parent
//! returns.

use std::time::Duration;

use super::evidence::{Case, Evidence};
use super::{Promise, Violation};
use crate::model::{Mono, Status, Target};
use crate::testing::world::{Span, Version};

/// What fell silent within this time fell silent together.
const TOGETHER: Duration = Duration::from_secs(1);

pub(super) fn check(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    for (&(id, device), case) in &evidence.cases {
        let Some(due) = case.due else { continue };
        let (Some(cut), Some(version)) = (cut(evidence, device, due), evidence.version_at(due)) else { continue };
        let Some(target) = version.target(device) else { continue };
        if cut.parents_return > due {
            let message = format!("outage {} became due, and each of its parents was dead all the time", id.number());
            found.push(Violation::new(Promise::OneCause, "behind a dead parent", due, message).about(device));
        }
        let guard = target.settings.tolerance.max(target.settings.settle);
        let was_explained = cut.parents_return.since(cut.from) >= evidence.scene.patience[device].sight * 4;
        if was_explained && cut.parents_return <= due && due.since(cut.parents_return) < guard && is_early(case, &cut) {
            let after = due.since(cut.parents_return);
            let message = format!("outage {} became due {after:?} after the return of a parent", id.number());
            found.push(Violation::new(Promise::OneCause, "no tolerance again", due, message).about(device));
        }
    }
}

/// Whether the outage opened while what explained it was dead.
fn is_early(case: &Case, cut: &Cut) -> bool {
    case.opened.is_some_and(|opened| opened < cut.parents_return)
}

/// A device fell silent together with everything it is reached through.
struct Cut {
    from: Mono,
    /// When the first of its parents answered again.
    parents_return: Mono,
}

/// The cut that the device's silence at `due` is part of; `None` if it is none, or if netwatch may have missed a part.
fn cut(evidence: &Evidence<'_>, device: usize, due: Mono) -> Option<Cut> {
    let (scene, history) = (&evidence.scene, evidence.history);
    let silence = history.devices[device].silent.at(due)?;
    let version = evidence.version_at(due)?;
    let parents = parents(version, version.target(device)?);
    let sight = scene.patience[device].sight;
    let watched = Span::new(silence.from.minus(sight * 5), due);
    if parents.is_empty() || evidence.is_reloaded_in(watched) || scene.forgotten.touches(watched) {
        return None;
    }
    let mut parents_return = Mono::from_nanos(u64::MAX);
    for parent in parents {
        let dead = history.devices[parent].silent.at(silence.from.plus(TOGETHER))?;
        let is_together = dead.from.since(silence.from).max(silence.from.since(dead.from)) <= TOGETHER;
        if !is_together || !has_lived(evidence, parent, watched.from) {
            return None;
        }
        parents_return = parents_return.min(dead.to);
        // A parent that could not be seen meanwhile explains nothing, and is not waited for in vain.
        if scene.hidden[parent].touches(Span::new(silence.from, due)) {
            return None;
        }
        // Whoever was not seen just before may have been seen to fall silent at another time.
        let before = Span::new(watched.from, silence.from);
        let unclear = [&scene.hidden[parent], &scene.absent[parent], &scene.silent[parent]];
        if unclear.into_iter().any(|spans| spans.touches(before)) || scene.absent[parent].touches(watched) {
            return None;
        }
    }
    let before = Span::new(watched.from, silence.from);
    if scene.hidden[device].touches(before) || scene.silent[device].touches(before) {
        return None;
    }
    let after = Span::new(silence.from, due);
    if parents_return <= due && scene.excused(device).touches(after) {
        return None;
    }
    Some(Cut { from: silence.from, parents_return })
}

/// The devices that are a target's parents; none if one of them is not asked, since nobody knows whether it is dead.
fn parents(version: &Version, target: &Target) -> Vec<usize> {
    if target.parents().iter().any(|id| version.plan.target(*id).is_none_or(|parent| parent.paused)) {
        return Vec::new();
    }
    target.parents().iter().filter_map(|id| version.devices.get(id.index()).copied()).collect()
}

/// Whether the device was seen to answer before `at`, and has been watched since.
fn has_lived(evidence: &Evidence<'_>, device: usize, at: Mono) -> bool {
    let answered = evidence.transitions.iter().find(|(when, other, transition)| {
        *other == device && *when < at && matches!(transition.to, Status::Ok | Status::Warning)
    });
    answered.is_some_and(|(when, ..)| {
        let life = Span::new(*when, at);
        !evidence.scene.absent[device].touches(life) && !evidence.scene.forgotten.touches(life)
    })
}
