//! When a ripe outage becomes due: no dead parent explains it, and every parent has been checked since it fell silent.
//!
//! A child whose silence outlasted its tolerance waits until a check of each parent that began after the child fell silent
//! has finished: so a parent that dies with its children is found dead first, in whatever order their checks come. When a
//! parent's word changes, all below it are looked at anew, once for each batch of checks however many parents changed.

use std::collections::{BTreeMap, BTreeSet};

use super::monitor::{Monitor, Output};
use super::state::{Circumstances, NEVER};
use super::topology::Node;
use crate::model::{Decision, Mono, Now, Status, TargetId};

/// Outages that wait for the check of a parent, by parent.
#[derive(Debug, Default)]
pub(super) struct Awaiting(BTreeMap<TargetId, BTreeSet<TargetId>>);

impl Awaiting {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Monitor {
    /// What a target says of those behind it.
    fn node(&self, id: TargetId) -> Node {
        let Some(state) = self.targets.get(id.index()) else { return Node::Mute };
        self.settings_at(state.class).map_or(Node::Mute, |settings| state.node(settings))
    }

    fn answered_at(&self, id: TargetId) -> Mono {
        self.targets.get(id.index()).map_or(NEVER, |state| state.answered_at())
    }

    /// The dead parent that explains a silence.
    pub(super) fn explanation(&self, id: TargetId) -> Option<TargetId> {
        if self.topology.parents(id).is_empty() {
            return None;
        }
        self.topology.explanation(id, self.answered_at(id), |id| self.node(id))
    }

    /// What is cut off with a device that is down.
    pub(super) fn behind(&self, id: TargetId) -> Vec<TargetId> {
        self.topology.behind(id, |id| self.node(id), |id| self.answered_at(id))
    }

    /// What others know of a target that has just been silent.
    pub(super) fn circumstances(&self, id: TargetId) -> Circumstances {
        Circumstances { explained: self.explanation(id).is_some(), maintained: self.windows.of(id).is_some() }
    }

    /// An outage has outlasted its tolerance: it is due, unless a parent is still to be heard.
    pub(super) fn ripen(&mut self, now: Now, id: TargetId) {
        if self.windows.of(id).is_some() || self.is_blind() || self.explanation(id).is_some() {
            return;
        }
        if let Some(parent) = self.unheard_parent(id) {
            if self.awaiting.0.entry(parent).or_default().insert(id) {
                if let Some(state) = self.targets.get_mut(parent.index()) {
                    state.set_awaited(true);
                }
                let parent = self.name_of(parent);
                self.note(now, id, Decision::AwaitsParent { parent });
            }
            return;
        }
        self.become_due(now, id);
    }

    /// A parent of which no check has finished that began after this target fell silent. Where a parent cannot say, those
    /// above it are asked too.
    fn unheard_parent(&self, id: TargetId) -> Option<TargetId> {
        let since = self.targets.get(id.index())?.silent_since()?;
        let mut seen = Vec::new();
        let mut open = self.topology.parents(id).to_vec();
        while let Some(next) = open.pop() {
            let Some(state) = self.targets.get(next.index()).filter(|_| !seen.contains(&next)) else { continue };
            seen.push(next);
            if !self.is_paused(next) && !state.is_heard(since) {
                return Some(next);
            }
            if self.node(next) != Node::Answers {
                open.extend_from_slice(self.topology.parents(next));
            }
        }
        None
    }

    /// A check of a parent that was waited for has finished.
    pub(super) fn hear(&mut self, now: Now, parent: TargetId) {
        if let Some(state) = self.targets.get_mut(parent.index()) {
            state.set_awaited(false);
        }
        for id in self.awaiting.0.remove(&parent).unwrap_or_default() {
            let Some(state) = self.targets.get(id.index()) else { continue };
            if self.settings_at(state.class).is_some_and(|settings| state.is_ripe(settings)) {
                self.ripen(now, id);
            }
        }
    }

    /// Looks anew at everything behind the targets whose word has changed.
    pub(super) fn reconsider(&mut self, now: Now) {
        if self.reworded.is_empty() {
            return;
        }
        let roots = std::mem::take(&mut self.reworded);
        let mut below = Vec::new();
        self.topology.descend(roots, |id| below.push(id));
        below.retain(|id| self.targets.get(id.index()).is_some_and(|state| state.is_down()));
        below.sort_unstable();
        for id in below {
            let explanation = self.explanation(id);
            self.explain(now, id, explanation);
        }
    }

    /// A dead parent explains an outage from now on, or does not any more.
    fn explain(&mut self, now: Now, id: TargetId, parent: Option<TargetId>) {
        let Some(state) = self.targets.get_mut(id.index()).filter(|state| state.is_explained() != parent.is_some())
        else {
            return;
        };
        if let Some(from) = state.explain(parent.is_some()) {
            self.tell_transition(now, id, from);
        }
        let is_due = self.targets.get(id.index()).and_then(|state| state.outage()).is_some_and(|it| it.due.is_some());
        match parent {
            Some(parent) => {
                self.take_back_change(id);
                let parent = self.name_of(parent);
                self.note(now, id, Decision::Explained { parent });
            }
            None if !is_due => {
                let tolerance = self.needed_silence(id).unwrap_or_default();
                self.note(now, id, Decision::ParentReturned { tolerance });
            }
            None => {}
        }
        self.save_target(now, id);
    }

    pub(super) fn tell_transition(&mut self, now: Now, id: TargetId, from: Status) {
        self.tell_transition_from(now, id, from, from);
    }

    /// The status of a target has changed, and was `was` as far as anybody was watched for being unknown.
    pub(super) fn tell_transition_from(&mut self, now: Now, id: TargetId, from: Status, was: Status) {
        if let Some(transition) = self.transition(now, id, from) {
            let to = transition.to;
            self.outputs.push_back(Output::Transition(transition));
            self.watch_unknown(now, id, was, to);
        }
    }
}
