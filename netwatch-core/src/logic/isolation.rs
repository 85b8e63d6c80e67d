//! Is it us? Before any device is called Down, the witnesses are asked; when all of them are silent, or the link or the
//! route is gone, netwatch is blind and every silence is Unknown.
//!
//! A silent check waits until a witness that was asked after it has answered, and is taken for what it is only if netwatch
//! was not blind at any time while it lasted. A witness that is missing (it cannot be asked, or nothing is known of it) is
//! ignored; without any, only local evidence counts. Blindness that lasts 60 s is owed to every notifier, and its end too.

use std::collections::VecDeque;
use std::time::Duration;

use super::monitor::{Monitor, Output};
use super::verdict::Verdict;
use crate::model::{
    Cause, Decision, Event, Incident, Mono, Now, OutageId, Plan, Sample, TargetId, Testimony, Topic, WitnessId,
};

/// Blindness that lasts so long is told.
const TOLD_AFTER: Duration = Duration::from_secs(60);
/// A silent check waits so long for the word of a witness; then there is none.
const WAITS: Duration = Duration::from_secs(5);
/// Witnesses are asked out of turn so often at most.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// A proof that is older than this says nothing of when blindness began.
const LOOKED_LATELY: Duration = Duration::from_secs(5);
/// How many stretches of blindness are remembered: enough for those within the longest check.
const REMEMBERED: usize = 16;

/// What is known of netwatch's own view.
#[derive(Debug)]
pub(super) struct Isolation {
    /// What each said last, and when it was asked; nothing before that.
    witnesses: Vec<Option<(Testimony, Mono)>>,
    disconnected: bool,
    /// When netwatch certainly saw: an answered witness was asked then.
    proven: Mono,
    blind: Option<Blindness>,
    /// Earlier blindness.
    past: VecDeque<(Mono, Mono)>,
    held: VecDeque<(Mono, Sample)>,
    asked: Option<Mono>,
}

#[derive(Debug, Clone, Copy)]
struct Blindness {
    since: Mono,
    incident: Option<OutageId>,
}

/// What becomes of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// It is what it says.
    Stands,
    /// netwatch was blind.
    Void,
    /// A witness is to say.
    Waits,
}

impl Isolation {
    pub(super) fn new(plan: &Plan) -> Isolation {
        Isolation {
            witnesses: vec![None; plan.witnesses.len()],
            disconnected: false,
            proven: Mono::OLDEST,
            blind: None,
            past: VecDeque::new(),
            held: VecDeque::new(),
            asked: None,
        }
    }

    /// Whether every check can be taken for what it says at once.
    pub(super) fn is_idle(&self) -> bool {
        self.witnesses.is_empty() && self.blind.is_none() && self.past.is_empty() && self.held.is_empty()
    }

    /// Since when netwatch is blind.
    pub(super) fn blind_since(&self) -> Option<Mono> {
        self.blind.map(|blind| blind.since)
    }

    /// When something is to be decided.
    pub(super) fn timeout(&self) -> Option<Mono> {
        let told = self.blind.filter(|blind| blind.incident.is_none()).map(|blind| blind.since.plus(TOLD_AFTER));
        let held = self.held.front().map(|(at, _)| at.plus(WAITS));
        told.into_iter().chain(held).min()
    }

    fn word(&self, now: Mono, sample: &Sample, held_since: Mono) -> Word {
        let was_blind = self.past.iter().any(|(from, to)| sample.at < *to && *from < sample.ended);
        if self.blind.is_some() || was_blind {
            Word::Void
        } else if self.proven >= sample.ended || self.witnesses.iter().all(is_missing) || now.since(held_since) >= WAITS
        {
            Word::Stands
        } else {
            Word::Waits
        }
    }

    /// Whether everything says that netwatch is cut off.
    fn is_cut_off(&self) -> bool {
        let mut heard = self.witnesses.iter().filter(|witness| !is_missing(witness)).peekable();
        // A silence from before the last proof of the contrary says nothing of now.
        let is_silent = |witness: &Option<(Testimony, Mono)>| {
            witness.is_some_and(|(testimony, at)| testimony == Testimony::Silent && at > self.proven)
        };
        self.disconnected || heard.peek().is_some() && heard.all(is_silent)
    }

    /// Takes up what follows from the evidence; returns whether netwatch went blind or sees again.
    fn conclude(&mut self, now: Mono, since: Mono) -> Option<bool> {
        match (self.is_cut_off(), self.blind) {
            (true, None) => {
                // It may have begun right after the last proof of the contrary, unless nobody looked for long.
                let since = if since.since(self.proven) < LOOKED_LATELY { self.proven } else { since };
                self.blind = Some(Blindness { since, incident: None });
                Some(true)
            }
            (false, Some(blind)) => {
                self.blind = None;
                if self.past.len() == REMEMBERED {
                    self.past.pop_front();
                }
                self.past.push_back((blind.since, now));
                Some(false)
            }
            _ => None,
        }
    }

    /// The targets have other places from now on, and there are other witnesses.
    pub(super) fn replan(&mut self, old: &Plan, plan: &Plan, place: impl Fn(TargetId) -> Option<TargetId>) {
        if plan.witnesses != old.witnesses {
            self.witnesses = vec![None; plan.witnesses.len()];
        }
        let held = std::mem::take(&mut self.held);
        self.held = held
            .into_iter()
            .filter_map(|(at, sample)| {
                let target = place(sample.target)?;
                Some((at, sample.of(target)))
            })
            .collect();
    }

    /// Who has a check that waits.
    pub(super) fn held(&self) -> impl Iterator<Item = TargetId> {
        self.held.iter().map(|(_, sample)| sample.target)
    }
}

impl Monitor {
    /// A witness was asked, in a check that began at `at`. Every witness is asked every 2 s or so, and once more when
    /// [`Output::AskWitnesses`] says so.
    pub fn handle_witness(&mut self, now: Now, witness: WitnessId, at: Mono, testimony: Testimony) {
        if let Some(known) = self.isolation.witnesses.get_mut(witness.index()) {
            *known = Some((testimony, at));
            if testimony == Testimony::Answered {
                self.isolation.proven = self.isolation.proven.max(at);
            }
            self.conclude_isolation(now, at);
        }
        self.settle_outputs(now);
    }

    /// Whether this machine has a link and a route, when that changes.
    pub fn handle_connected(&mut self, now: Now, connected: bool) {
        self.isolation.disconnected = !connected;
        self.conclude_isolation(now, now.mono);
        self.settle_outputs(now);
    }

    /// Whether netwatch itself is cut off.
    pub fn is_blind(&self) -> bool {
        self.isolation.blind_since().is_some()
    }

    pub(super) fn conclude_isolation(&mut self, now: Now, since: Mono) {
        let incident = self.isolation.blind.and_then(|blind| blind.incident);
        let concluded = self.isolation.conclude(now.mono, since);
        if let Some(blind) = concluded {
            let since = self.isolation.blind_since().filter(|_| blind).map(|since| now.wall_at(since));
            self.tell(Event::Blind { since });
        }
        if let (Some(false), Some(incident)) = (concluded, incident) {
            self.close_incident(now, incident);
        }
        if concluded == Some(false) {
            self.tellers.iter_mut().for_each(|teller| teller.outbox.hasten(now));
        }
        self.release_held(now);
    }

    /// A check is taken at once, made void, or waits for a witness.
    pub(super) fn take_with_witnesses(&mut self, now: Now, sample: &Sample) {
        let is_held = self.targets.get(sample.target.index()).is_some_and(|state| state.is_held());
        let is_silent = Verdict::of(sample) == Verdict::Silent;
        if !is_silent && !is_held {
            return self.take(now, sample);
        }
        let word = if is_silent { self.isolation.word(now.mono, sample, now.mono) } else { Word::Stands };
        match word {
            Word::Stands if !is_held => self.take(now, sample),
            Word::Void if !is_held => self.take(now, &void(sample)),
            _ => {
                self.isolation.held.push_back((now.mono, sample.clone()));
                if let Some(state) = self.targets.get_mut(sample.target.index()) {
                    state.set_held(true);
                }
                self.ask_witnesses(now);
            }
        }
    }

    fn ask_witnesses(&mut self, now: Now) {
        if self.isolation.asked.is_none_or(|at| now.mono.since(at) >= ASK_EVERY) {
            self.isolation.asked = Some(now.mono);
            self.outputs.push_back(Output::AskWitnesses);
        }
    }

    /// Takes the checks that need not wait any more, those of one target in their order.
    pub(super) fn release_held(&mut self, now: Now) {
        if self.isolation.held.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.isolation.held);
        for (_, sample) in &held {
            if let Some(state) = self.targets.get_mut(sample.target.index()) {
                state.set_held(false);
            }
        }
        for (since, sample) in held {
            let waits = self.targets.get(sample.target.index()).is_some_and(|state| state.is_held());
            let is_silent = Verdict::of(&sample) == Verdict::Silent;
            let word = if is_silent { self.isolation.word(now.mono, &sample, since) } else { Word::Stands };
            match word {
                Word::Stands if !waits => self.take(now, &sample),
                Word::Void if !waits => self.take(now, &void(&sample)),
                _ => {
                    if let Some(state) = self.targets.get_mut(sample.target.index()) {
                        state.set_held(true);
                    }
                    self.isolation.held.push_back((since, sample));
                }
            }
        }
        if !self.isolation.held.is_empty() {
            self.ask_witnesses(now);
        }
    }

    /// What time alone decides: blindness is told, a witness is not waited for any longer, old blindness is forgotten.
    pub(super) fn look_at_isolation(&mut self, now: Now) {
        if self.isolation.is_idle() {
            return;
        }
        if self.isolation.held.front().is_some_and(|(at, _)| now.mono.since(*at) >= WAITS) {
            self.release_held(now);
        }
        while self.isolation.past.front().is_some_and(|(_, to)| now.mono.since(*to) > self.longest_check) {
            self.isolation.past.pop_front();
        }
        let due = self.isolation.blind.filter(|blind| now.mono.since(blind.since) >= TOLD_AFTER);
        if let Some(blind) = due.filter(|blind| blind.incident.is_none()) {
            let mut incident = Incident::new(Topic::Blind, self.new_incident(now, "".into()));
            incident.outage.first_bad = now.wall_at(blind.since);
            if let Some(blind) = &mut self.isolation.blind {
                blind.incident = Some(incident.id());
            }
            self.note_all(now, Decision::Unknown { cause: Cause::Blind });
            self.open_incident(now, incident, None);
        }
    }

    /// The last run was blind and said so: this one is, until somebody says otherwise.
    pub(super) fn restore_blindness(&mut self, now: Now, incident: &Incident) {
        let since = now.mono_at(incident.outage.first_bad.min(now.wall));
        if self.isolation.witnesses.is_empty() {
            self.close_incident(now, incident.id());
        } else {
            self.isolation.witnesses.fill(Some((Testimony::Silent, now.mono)));
            self.isolation.blind = Some(Blindness { since, incident: Some(incident.id()) });
        }
    }
}

fn is_missing(witness: &Option<(Testimony, Mono)>) -> bool {
    witness.is_some_and(|(testimony, _)| testimony == Testimony::Missing)
}

/// The same check, of which nothing is known.
fn void(sample: &Sample) -> Sample {
    let asked = u16::try_from(sample.echoes.iter().count()).unwrap_or(u16::MAX);
    Sample::unknown(sample.target, sample.at, sample.ended, asked, Cause::Blind)
}
