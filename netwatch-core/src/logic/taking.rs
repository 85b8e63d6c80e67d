//! From a finished check to everything that follows from it: the status, the outage, and what the journal must learn.

use super::monitor::{Monitor, Output};
use super::state::Change as StateChange;
use super::verdict::Verdict;
use crate::model::{Change, Decision, Event, Now, Outage, OutageId, Sample, Status, TargetId};
use std::time::Duration;

impl Monitor {
    /// Takes a check for what it says.
    pub(super) fn take(&mut self, now: Now, sample: &Sample) {
        let id = sample.target;
        let verdict = Verdict::of(sample);
        // Most checks are answered, and what others know counts only for those that are not.
        let around = if verdict == Verdict::Silent { self.circumstances(id) } else { Default::default() };
        let Some(state) = self.targets.get_mut(id.index()) else { return };
        // A paused target has none.
        let Some(settings) = self.classes.get(state.class as usize) else { return };
        let first = !state.is_checked();
        if first {
            self.unchecked = self.unchecked.saturating_sub(1);
        }
        if let Some(finding) = self.limiters.take(now.mono, &self.plan, sample) {
            let events = finding.events(now.wall, &self.plan);
            self.outputs.extend(events.into_iter().map(Output::Event));
        }
        let (last_number, plan) = (&mut self.last_number, &self.plan);
        let change = state.take(now, (sample, verdict), settings, around, || {
            *last_number = last_number.saturating_add(1);
            (OutageId::new(*last_number), plan.target(id).map(|target| target.name.clone()).unwrap_or_default())
        });
        let is_awaited = state.is_awaited();
        if change.from.is_some() || change.save || change.ripe || first {
            self.carry_on(now, id, change, first);
        }
        if let Verdict::Unknown(cause) = verdict {
            self.look_at_drops(now, cause);
        }
        if is_awaited {
            self.hear(now, id);
        }
    }

    /// What follows from a check that changed something.
    fn carry_on(&mut self, now: Now, id: TargetId, change: StateChange, first: bool) {
        match change.answers {
            Some(true) => self.core_loss.rises(),
            Some(false) => self.core_loss.falls(now.mono),
            None => {}
        }
        if let Some(from) = change.from {
            // What was unknown since the start has been so without a word.
            let was = if first && from == Status::Unknown { Status::Pending } else { from };
            self.tell_transition_from(now, id, from, was);
            if !change.opened {
                self.note_explanation(now, id, from);
            }
        }
        if change.turned {
            self.turned(now, id, change.from);
        }
        if change.opened {
            self.opened(now, id);
        }
        if change.save {
            self.save_target(now, id);
        }
        if let Some(outage) = change.closed {
            self.closed(now, id, &outage, change.excused);
        }
        if change.ripe {
            self.ripen(now, id);
        }
        self.look_at_record(id);
    }

    /// A target went silent, or answers again.
    fn turned(&mut self, now: Now, id: TargetId, from: Option<Status>) {
        if !self.topology.children(id).is_empty() {
            self.reworded.push(id);
        }
        let Some(state) = self.targets.get(id.index()) else { return };
        let (down, explained) = (state.is_down(), state.is_explained() || from == Some(Status::Unreachable));
        if !explained && self.windows.of(id).is_none() {
            self.count_change(now, id, down);
        }
        if !down {
            self.note(now, id, Decision::Answers);
        }
    }

    /// A check that found the device silent again found it explained, or no more.
    fn note_explanation(&mut self, now: Now, id: TargetId, from: Status) {
        let Some(state) = self.targets.get(id.index()) else { return };
        let (to, is_due) = (state.status, state.outage().is_some_and(|outage| outage.due.is_some()));
        if to == Status::Unreachable
            && let Some(parent) = self.explanation(id)
        {
            let parent = self.name_of(parent);
            self.note(now, id, Decision::Explained { parent });
        } else if from == Status::Unreachable && to == Status::Down && !is_due {
            let tolerance = self.needed_silence(id).unwrap_or_default();
            self.note(now, id, Decision::ParentReturned { tolerance });
        }
    }

    fn opened(&mut self, now: Now, id: TargetId) {
        let Some(outage) = self.targets.get(id.index()).and_then(|state| state.outage()).cloned() else { return };
        self.journaling.put(Change::PutOutage(outage.clone()));
        self.tell(Event::OutageOpened(id, outage));
        let tolerance = self.needed_silence(id).unwrap_or_default();
        self.note(now, id, Decision::Opened { tolerance });
        if let Some(parent) = self.explanation(id) {
            let parent = self.name_of(parent);
            self.note(now, id, Decision::Explained { parent });
        }
        if let Some(maintenance) = self.windows.of(id).cloned() {
            let until = maintenance.calendar.period_at(now.wall).map_or(now.wall, |period| period.to);
            self.note(now, id, Decision::InMaintenance { reason: maintenance.reason.clone(), until });
        }
    }

    fn closed(&mut self, now: Now, id: TargetId, outage: &Outage, excused: bool) {
        self.journaling.put(Change::PutOutage(outage.clone()));
        self.tell(Event::OutageClosed(id, outage.clone()));
        if outage.due.is_some() {
            self.note_outage(now, outage, Decision::Closed);
            self.close_outage(now, id, outage);
        } else if excused {
            self.note_outage(now, outage, Decision::Closed);
        } else {
            let silent_for = outage.closed.map_or(Duration::ZERO, |closed| closed.since(outage.started()));
            let tolerance = self.plan.target(id).map_or(Duration::ZERO, |target| target.settings.tolerance);
            self.note_outage(now, outage, Decision::TooShort { silent_for, tolerance });
        }
    }

    /// How long its outage must be seen to be silent.
    pub(super) fn needed_silence(&self, id: TargetId) -> Option<Duration> {
        let state = self.targets.get(id.index())?;
        state.needed_silence(self.settings_at(state.class)?)
    }

    /// The journal learns how a target is.
    pub(super) fn save_target(&mut self, now: Now, id: TargetId) {
        let name = self.name_of(id);
        if let Some(state) = self.targets.get_mut(id.index()) {
            self.journaling.put(Change::PutTarget(state.save(now, &name)));
        }
    }

    /// Puts a target among those whose record is to be renewed, if it is to be.
    pub(super) fn look_at_record(&mut self, id: TargetId) {
        if let Some(state) = self.targets.get_mut(id.index())
            && state.is_misrecorded()
        {
            self.misrecorded.insert(id);
        }
    }

    /// Gives the journal what it is to hold of the next of these targets, `most` at most. A target that has become
    /// again what its record says costs nothing.
    pub(super) fn renew_records(&mut self, now: Now, most: usize) {
        for _ in 0..most {
            let next = self.misrecorded.range(self.last_served..).next().or_else(|| self.misrecorded.first());
            let Some(id) = next.copied() else { break };
            self.misrecorded.remove(&id);
            self.last_served = id;
            if self.targets.get(id.index()).is_some_and(|state| state.is_misrecorded()) {
                self.save_target(now, id);
            }
        }
    }

    /// Whether a sign of life speaks for all targets: each has been checked in this run, and no record is wrong.
    pub(super) fn is_all_known(&self) -> bool {
        self.unchecked == 0 && self.misrecorded.is_empty()
    }
}
