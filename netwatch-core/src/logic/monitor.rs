//! The façade of the pure half: everything that happens goes in through `handle_*`, everything to be done comes out of
//! [`Monitor::poll_output`], and [`Monitor::poll_timeout`] says when to come back.
//!
//! The invariant: after every `handle_*`, call `poll_output` until it returns `None`, and carry out what it gave in
//! that order. A commit is asked for before anything that depends on it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::journaling::{Journaling, News};
use super::limiter::Limiters;
use super::state::{Change as StateChange, TargetState};
use super::teller::{Outcome, Teller, put};
use crate::model::{
    Change, Commit, Content, DeliveryError, Draft, Event, Line, LineId, LineKind, MailId, Mono, Notification, Now,
    Outage, OutageId, Plan, Receipt, Sample, Saved, Settings, Start, Status, Subject, TargetId, Transition,
};

/// How many records the last commit of a run may renew: the program has a second to end. Whoever is left over is known
/// as of the last sign of life.
const LAST_RECORDS: usize = 20_000;

/// What a [`Monitor`] needs besides its plan.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MonitorOptions {
    /// Makes Message-IDs unguessable and spreads retries; random for each run of the program.
    pub seed: [u8; 16],
    /// The right side of Message-IDs: this host's name.
    pub domain: Arc<str>,
}

impl MonitorOptions {
    /// These options.
    pub fn new(seed: [u8; 16], domain: impl Into<Arc<str>>) -> MonitorOptions {
        MonitorOptions { seed, domain: domain.into() }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// Hand this to the journal; answer with [`Monitor::handle_committed`] or [`Monitor::handle_commit_failed`].
    Commit(Commit),
    /// Tell the sinks.
    Transition(Transition),
    /// Tell the sinks.
    Event(Event),
    /// Find words for this; answer with [`Monitor::handle_composed`].
    Compose(Draft),
    /// Make one attempt; answer with [`Monitor::handle_delivered`].
    Deliver(Notification),
}

/// Decides.
///
/// It holds the state of every target, what each notifier is owed, the mails under way and what waits for the journal.
/// It reads no clock and does no I/O: the same calls give the same outputs.
#[derive(Debug)]
pub struct Monitor {
    pub(super) plan: Arc<Plan>,
    options: MonitorOptions,
    pub(super) targets: Vec<TargetState>,
    pub(super) tellers: Vec<Teller>,
    pub(super) journaling: Journaling,
    pub(super) last_number: u64,
    /// The settings of the targets, each once.
    classes: Vec<Arc<Settings>>,
    limiters: Limiters,
    /// Targets that have not been checked in this run.
    unchecked: usize,
    /// Targets of which the journal holds something that is not so any more, apart from outages. They are served in
    /// the order of the plan, from the last one served on: neighbours by name share pages of the journal.
    misrecorded: BTreeSet<TargetId>,
    last_served: TargetId,
    pub(super) outputs: VecDeque<Output>,
}

impl Monitor {
    /// Goes on where `saved` ends.
    pub fn new(plan: Arc<Plan>, saved: &Saved, now: Now, options: MonitorOptions) -> Monitor {
        let (classes, class_of) = classes(&plan);
        let targets = plan.targets.iter().zip(class_of).map(|(target, class)| match saved.targets.get(&target.name) {
            Some(known) => TargetState::restore(now, known, class, target.paused, saved.alive_at, &target.settings),
            None => TargetState::new(now, class, target.paused),
        });
        let mut monitor = Monitor {
            targets: targets.collect(),
            classes,
            limiters: Limiters::new(&plan),
            misrecorded: BTreeSet::new(),
            last_served: TargetId::from_index(0),
            tellers: plan.notifiers.iter().map(|policy| Teller::new(policy.clone())).collect(),
            journaling: Journaling::new(now),
            last_number: saved.last_number,
            unchecked: plan.targets.iter().filter(|target| !target.paused).count(),
            outputs: VecDeque::new(),
            plan,
            options,
        };
        for index in 0..monitor.targets.len() {
            monitor.look_at_record(TargetId::from_index(index));
        }
        monitor.resume(now, saved);
        monitor.settle_outputs(now);
        monitor
    }

    /// Where things stand.
    pub fn start(&self, now: Now) -> Start {
        let views = self.targets.iter().enumerate().map(|(index, state)| state.view(TargetId::from_index(index)));
        Start::new(now, self.plan.clone(), views.collect())
    }

    /// How a target is to be asked now: as the plan says, or with fewer pings while the router before its group is tried
    /// or suspected of limiting the rate of our echoes. Only a target that answers and has no open outage is asked with
    /// fewer, and a check made with fewer that lost them all makes no outage: the next one is a full one again. `None` for
    /// a target that is not in the plan.
    pub fn settings_of(&mut self, target: TargetId) -> Option<Arc<Settings>> {
        let answers = self.targets.get(target.index()).is_some_and(TargetState::answers);
        self.limiters.settings(&self.plan, target, answers)
    }

    /// Checks have finished, in any order of targets; those of one target in the order of time.
    pub fn handle_samples(&mut self, now: Now, samples: &[Sample]) {
        for sample in samples {
            self.take(now, sample);
        }
        self.settle_outputs(now);
    }

    /// The commit of this number has taken effect.
    pub fn handle_committed(&mut self, now: Now, seq: u64) {
        if let Some(news) = self.journaling.committed(seq) {
            self.tell_journal(now, news, None);
        }
        self.settle_outputs(now);
    }

    /// The commit of this number did not take effect. Its changes will be offered again.
    pub fn handle_commit_failed(&mut self, now: Now, seq: u64, error: &str) {
        if let Some(news) = self.journaling.failed(now, seq) {
            self.tell_journal(now, news, Some(error));
        }
        self.settle_outputs(now);
    }

    /// The words of a draft.
    pub fn handle_composed(&mut self, now: Now, mail: MailId, content: Content) {
        let seq = self.journaling.seq_of_pending();
        let found = self.tellers.iter_mut().find(|teller| teller.outbox.find(mail).is_some());
        if let Some(teller) = found {
            let name = teller.desk.policy().name.clone();
            if let Some(saved) = teller.outbox.composed(mail, content, &name, seq) {
                for line in &saved.lines {
                    self.journaling.put(Change::DropLine(line.id));
                }
                self.journaling.put(Change::PutMail(saved));
            }
        }
        self.settle_outputs(now);
    }

    /// An attempt has ended.
    pub fn handle_delivered(&mut self, now: Now, mail: MailId, result: Result<Receipt, DeliveryError>) {
        let found = self.tellers.iter_mut().find(|teller| teller.outbox.find(mail).is_some());
        if let Some(teller) = found {
            let mut outcome =
                Outcome { now, seed: self.options.seed, journaling: &mut self.journaling, events: Vec::new() };
            match result {
                Ok(receipt) => outcome.accepted(teller, mail, receipt),
                Err(error) => outcome.refused(teller, mail, error),
            }
            self.outputs.extend(outcome.events.into_iter().map(|delivery| Output::Event(Event::Delivery(delivery))));
        }
        self.settle_outputs(now);
    }

    /// The time that [`poll_timeout`](Monitor::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Now) {
        if let Some(news) = self.journaling.look(now) {
            self.tell_journal(now, news, Some("a commit has been under way for more than 10 s"));
        }
        self.settle_outputs(now);
    }

    /// The program is about to end: the last commit carries everything that is not yet committed.
    pub fn handle_stop(&mut self, now: Now) {
        for (target, state) in self.plan.targets.iter().zip(&mut self.targets) {
            if state.outage().is_some() {
                self.journaling.put(Change::PutTarget(state.save(&target.name)));
            }
        }
        self.renew_records(LAST_RECORDS);
        let alive = self.is_all_known();
        if let Some(commit) = self.journaling.last(now, alive) {
            self.outputs.push_back(Output::Commit(commit));
        }
    }

    /// The next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Monitor::handle_timeout), if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let mails = self.tellers.iter().filter_map(|teller| teller.outbox.timeout(teller.desk.release()));
        mails.chain([self.journaling.timeout(!self.misrecorded.is_empty())]).min()
    }

    fn take(&mut self, now: Now, sample: &Sample) {
        let id = sample.target;
        let Some(state) = self.targets.get_mut(id.index()) else { return };
        // A paused target has none.
        let Some(settings) = self.classes.get(state.class as usize) else { return };
        if !state.checked {
            self.unchecked = self.unchecked.saturating_sub(1);
        }
        let first = !state.checked;
        if let Some(finding) = self.limiters.take(now.mono, &self.plan, sample) {
            let events = finding.events(now.wall, &self.plan);
            self.outputs.extend(events.into_iter().map(Output::Event));
        }
        let (last_number, plan) = (&mut self.last_number, &self.plan);
        let change = state.take(now, sample, settings, || {
            *last_number = last_number.saturating_add(1);
            (OutageId::new(*last_number), name_of(plan, id))
        });
        if change.from.is_some() || change.save || first {
            self.carry_on(now, id, change);
        }
    }

    /// What follows from a sample that changed something.
    fn carry_on(&mut self, now: Now, id: TargetId, change: StateChange) {
        let Some(state) = self.targets.get_mut(id.index()) else { return };
        if let Some(from) = change.from {
            self.outputs.push_back(Output::Transition(transition(now, id, name_of(&self.plan, id), from, state)));
        }
        if change.save {
            self.journaling.put(Change::PutTarget(state.save(&name_of(&self.plan, id))));
        }
        if let Some(outage) = state.outage().filter(|_| change.opened || change.due).cloned() {
            if change.opened {
                self.record(Event::OutageOpened(id, outage.clone()), &outage);
            }
            if change.due {
                self.record(Event::OutageDue(id, outage.clone()), &outage);
                self.owe(now, id, &outage);
            }
        }
        if let Some(outage) = change.closed {
            self.record(Event::OutageClosed(id, (*outage).clone()), &outage);
            if outage.due.is_some() {
                self.close(now, id, &outage);
            }
        }
        self.look_at_record(id);
    }

    /// Puts a target among those whose record is to be renewed, if it is to be.
    fn look_at_record(&mut self, id: TargetId) {
        if let Some(state) = self.targets.get_mut(id.index())
            && state.is_misrecorded()
        {
            self.misrecorded.insert(id);
        }
    }

    /// Gives the journal what it is to hold of the next of these targets, `most` at most. A target that has become
    /// again what its record says costs nothing.
    fn renew_records(&mut self, most: usize) {
        for _ in 0..most {
            let next = self.misrecorded.range(self.last_served..).next().or_else(|| self.misrecorded.first());
            let Some(id) = next.copied() else { break };
            self.misrecorded.remove(&id);
            self.last_served = id;
            let Some(state) = self.targets.get_mut(id.index()) else { continue };
            if state.is_misrecorded() {
                self.journaling.put(Change::PutTarget(state.save(&name_of(&self.plan, id))));
            }
        }
    }

    /// Whether a sign of life speaks for all targets: each has been checked in this run, and no record is wrong.
    fn is_all_known(&self) -> bool {
        self.unchecked == 0 && self.misrecorded.is_empty()
    }

    fn record(&mut self, event: Event, outage: &Outage) {
        self.journaling.put(Change::PutOutage(outage.clone()));
        self.outputs.push_back(Output::Event(event));
    }

    fn owe(&mut self, now: Now, id: TargetId, outage: &Outage) {
        let subject = subject(&self.plan, id);
        for teller in &mut self.tellers {
            self.last_number = self.last_number.saturating_add(1);
            let line_id = LineId::new(self.last_number);
            let line = Line::new(line_id, LineKind::Opened, subject.clone(), outage.clone(), now.wall);
            let name = teller.desk.policy().name.clone();
            put(&mut self.journaling, &name, teller.desk.owe(now, line));
        }
    }

    fn close(&mut self, now: Now, id: TargetId, outage: &Outage) {
        let subject = subject(&self.plan, id);
        for teller in &mut self.tellers {
            let name = teller.desk.policy().name.clone();
            let mut under_way = false;
            for mail in teller.outbox.mails_mut() {
                under_way |= mail.close(outage);
            }
            let last_number = &mut self.last_number;
            let entry = teller.desk.close(now, outage, under_way, || {
                *last_number = last_number.saturating_add(1);
                Line::new(LineId::new(*last_number), LineKind::Closed, subject.clone(), outage.clone(), now.wall)
            });
            if let Some(entry) = entry {
                put(&mut self.journaling, &name, entry);
            }
        }
    }

    /// Brings out everything that follows from the present state.
    fn settle_outputs(&mut self, now: Now) {
        let passed = self.journaling.passed();
        for teller in &mut self.tellers {
            let name = teller.desk.policy().name.clone();
            // A crash must not bring a closed outage back as still open.
            for change in teller.outbox.mails_mut().flat_map(|mail| mail.take_changes(&name)) {
                self.journaling.put(change);
            }
            teller.outbox.committed(now, passed);
            let due = teller.desk.release().is_some_and(|release| release <= now.mono);
            if due && teller.outbox.may_draft(now) {
                self.last_number = self.last_number.saturating_add(1);
                let draft = teller.draft(now, MailId::new(self.last_number), &self.options);
                self.outputs.push_back(Output::Compose(draft));
            }
            if let Some(notification) = teller.outbox.attempt(now, &name) {
                self.outputs.push_back(Output::Deliver(notification));
            }
            if let Some(event) = teller.path() {
                self.outputs.push_back(Output::Event(event));
            }
        }
        let room = self.journaling.room_for_records(now, self.misrecorded.len());
        self.renew_records(room);
        let alive = self.is_all_known();
        if let Some(commit) = self.journaling.poll(now, alive) {
            self.outputs.push_front(Output::Commit(commit));
        }
    }

    fn tell_journal(&mut self, now: Now, news: News, error: Option<&str>) {
        let error = error.map(str::to_owned);
        let message = match (&news, &error) {
            (News::Recovered, _) => "commits take effect again".to_owned(),
            (News::Failing, error) => format!(
                "cannot commit: {}; mails leave from memory and a crash now may repeat them",
                error.as_deref().unwrap_or("no answer")
            ),
        };
        let failing_since = self.journaling.failing_since;
        self.outputs.push_back(Output::Event(Event::Journal { failing_since, error }));
        self.outputs.push_back(Output::Event(Event::Trouble { at: now.wall, component: "journal", message }));
    }
}

pub(super) fn subject(plan: &Plan, id: TargetId) -> Subject {
    let Some(target) = plan.target(id) else { return Subject::new("", "") };
    let mut subject = Subject::new(target.name.clone(), target.host.to_string());
    subject.group = plan.group_of(target).cloned();
    subject.note = target.note().cloned();
    subject.customers = target.customers;
    subject
}

fn transition(now: Now, target: TargetId, name: Arc<str>, from: Status, state: &TargetState) -> Transition {
    Transition {
        target,
        name,
        from,
        to: state.status,
        at: now.wall,
        since: state.since,
        last_good: state.last_good(),
        cause: state.cause,
    }
}

fn name_of(plan: &Plan, id: TargetId) -> Arc<str> {
    plan.target(id).map(|target| target.name.clone()).unwrap_or_default()
}

/// The settings of a plan's targets, each once, and for each target the place of its own. Paused targets have a place
/// where there are none.
fn classes(plan: &Plan) -> (Vec<Arc<Settings>>, Vec<u32>) {
    let mut classes = Vec::new();
    let mut places: HashMap<*const Settings, u32> = HashMap::new();
    let class_of = plan.targets.iter().map(|target| {
        if target.paused {
            return u32::MAX;
        }
        *places.entry(Arc::as_ptr(&target.settings)).or_insert_with(|| {
            classes.push(target.settings.clone());
            u32::try_from(classes.len() - 1).unwrap_or(u32::MAX)
        })
    });
    let class_of = class_of.collect();
    (classes, class_of)
}
