//! The façade of the pure half: everything that happens goes in through `handle_*`, everything to be done comes out of
//! [`Monitor::poll_output`], and [`Monitor::poll_timeout`] says when to come back.
//!
//! The invariant: after every `handle_*`, call `poll_output` until it returns `None`, and carry out what it gave in
//! that order. A commit is asked for before anything that depends on it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::core_loss::CoreLoss;
use super::drill::Drills;
use super::escalation::Escalations;
use super::flapping::Flappers;
use super::isolation::Isolation;
use super::journaling::{Journaling, News};
use super::limiter::Limiters;
use super::maintenance::Windows;
use super::ripening::Awaiting;
use super::state::TargetState;
use super::teller::{Outcome, Teller};
use super::topology::Topology;
use super::troubles::Troubles;
use super::unseen::Unseen;
use crate::model::{
    Change, Commit, Content, DeliveryError, Draft, Event, Incident, Input, MailId, Mono, Notification, Now, OutageId,
    Plan, Receipt, Sample, Saved, Settings, Start, Status, TargetId, TargetView, Transition,
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
    /// Ask every witness now; answer with [`Monitor::handle_witness`].
    AskWitnesses,
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
    pub(super) options: MonitorOptions,
    pub(super) targets: Vec<TargetState>,
    pub(super) topology: Topology,
    pub(super) tellers: Vec<Teller>,
    pub(super) journaling: Journaling,
    pub(super) last_number: u64,
    /// The settings of the targets, each once.
    pub(super) classes: Vec<Arc<Settings>>,
    pub(super) limiters: Limiters,
    /// Targets that have not been checked in this run.
    pub(super) unchecked: usize,
    /// Targets of which the journal holds something that is not so any more, apart from outages. They are served in
    /// the order of the plan, from the last one served on: neighbours by name share pages of the journal.
    pub(super) misrecorded: BTreeSet<TargetId>,
    pub(super) last_served: TargetId,
    /// Targets whose word on those behind them has changed in this step.
    pub(super) reworded: Vec<TargetId>,
    pub(super) awaiting: Awaiting,
    pub(super) isolation: Isolation,
    pub(super) core_loss: CoreLoss,
    pub(super) windows: Windows,
    pub(super) flappers: Flappers,
    pub(super) unseen: Unseen,
    pub(super) escalations: Escalations,
    pub(super) troubles: Troubles,
    pub(super) drills: Drills,
    pub(super) incidents: BTreeMap<OutageId, Incident>,
    /// The longest that a check lasts, with the time to the next.
    pub(super) longest_check: Duration,
    /// The targets by name; made when it is first asked for.
    pub(super) by_name: OnceLock<Vec<TargetId>>,
    /// When time alone changes something, mails and journal apart.
    timer: Option<Mono>,
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
            topology: Topology::new(&plan),
            classes,
            limiters: Limiters::new(&plan),
            misrecorded: BTreeSet::new(),
            last_served: TargetId::from_index(0),
            tellers: plan.notifiers.iter().map(|policy| Teller::new(policy.clone(), now)).collect(),
            journaling: Journaling::new(now),
            last_number: saved.last_number,
            unchecked: plan.targets.iter().filter(|target| !target.paused).count(),
            reworded: Vec::new(),
            awaiting: Awaiting::default(),
            isolation: Isolation::new(&plan),
            core_loss: CoreLoss::new(&plan),
            windows: Windows::new(&plan, saved.maintenance.clone()),
            flappers: Flappers::default(),
            unseen: Unseen::default(),
            escalations: Escalations::default(),
            troubles: Troubles::default(),
            drills: Drills::default(),
            incidents: BTreeMap::new(),
            longest_check: longest_check(&plan),
            by_name: OnceLock::new(),
            timer: None,
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
        let view = |(index, state): (usize, &TargetState)| {
            let id = TargetId::from_index(index);
            let mut view: TargetView = state.view(now, id);
            view.flapping = self.flappers.incident(id).is_some();
            view.maintenance = self.windows.of(id).is_some();
            view
        };
        Start::new(now, self.plan.clone(), self.targets.iter().enumerate().map(view).collect())
    }

    /// How a target is to be asked now: as the plan says, or with fewer pings while the router before its group is tried
    /// or suspected of limiting the rate of our echoes. Only a target that answers and has no open outage is asked with
    /// fewer, and a check made with fewer that lost them all makes no outage: the next one is a full one again. `None` for
    /// a target that is not in the plan.
    pub fn settings_of(&mut self, target: TargetId) -> Option<Arc<Settings>> {
        let answers = self.targets.get(target.index()).is_some_and(TargetState::answers);
        self.limiters.settings(&self.plan, target, answers)
    }

    /// Anything that can happen, as a record of it says. What a method returns to its caller is lost here.
    pub fn handle(&mut self, now: Now, input: &Input) {
        match input {
            Input::Samples(samples) => self.handle_samples(now, samples),
            Input::Witness { witness, at, testimony } => self.handle_witness(now, *witness, *at, *testimony),
            Input::Connected(connected) => self.handle_connected(now, *connected),
            Input::Committed(seq) => self.handle_committed(now, *seq),
            Input::CommitFailed(seq, error) => self.handle_commit_failed(now, *seq, error),
            Input::Composed(mail, content) => self.handle_composed(now, *mail, content.clone()),
            Input::Delivered(mail, result) => self.handle_delivered(now, *mail, result.clone()),
            Input::Timeout => self.handle_timeout(now),
            Input::Acknowledge { target, by, note } => {
                self.handle_acknowledge(now, target, by, note);
            }
            Input::Drill { target, by } => drop(self.handle_drill(now, target, by)),
            Input::Maintain(maintenance) => {
                self.handle_maintain(now, maintenance.clone());
            }
            Input::EndMaintenance(id) => {
                self.handle_end_maintenance(now, *id);
            }
            Input::Reload(plan) => {
                self.handle_reload(now, plan.clone());
            }
            Input::Stop => self.handle_stop(now),
        }
    }

    /// Checks have finished, in any order of targets; those of one target in the order of time.
    pub fn handle_samples(&mut self, now: Now, samples: &[Sample]) {
        if self.isolation.is_idle() {
            for sample in samples {
                self.take(now, sample);
            }
        } else {
            for sample in samples {
                self.take_with_witnesses(now, sample);
            }
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
            let name = teller.desk.policy.name.clone();
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
        let found = self.tellers.iter().position(|teller| teller.outbox.find(mail).is_some());
        if let Some((place, teller)) = found.and_then(|place| Some((place, self.tellers.get_mut(place)?))) {
            let (seed, journaling) = (self.options.seed, &mut self.journaling);
            let mut outcome = Outcome { now, seed, journaling, events: Vec::new(), undeliverable: Vec::new() };
            match result {
                Ok(receipt) => outcome.accepted(teller, mail, receipt),
                Err(error) => outcome.refused(teller, mail, error),
            }
            let Outcome { events, undeliverable, .. } = outcome;
            self.outputs.extend(events.into_iter().map(Output::Event));
            self.escalate_refused(now, place, &undeliverable);
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
                self.journaling.put(Change::PutTarget(state.save(now, &target.name)));
            }
        }
        self.renew_records(now, LAST_RECORDS);
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
        let mails = self.tellers.iter().filter_map(|teller| teller.timeout());
        mails.chain([self.journaling.timeout(!self.misrecorded.is_empty())]).chain(self.timer).min()
    }

    /// Brings out everything that follows from the present state.
    pub(super) fn settle_outputs(&mut self, now: Now) {
        self.look_at_isolation(now);
        self.look_at_maintenance(now);
        self.reconsider(now);
        self.settle_flappers(now);
        self.tell_unseen(now);
        self.escalate_due(now);
        self.look_at_troubles(now);
        self.look_at_drill(now);
        let passed = self.journaling.passed();
        for place in 0..self.tellers.len() {
            self.settle_teller(now, place, passed);
        }
        let room = self.journaling.room_for_records(now, self.misrecorded.len());
        self.renew_records(now, room);
        let alive = self.is_all_known();
        if let Some(commit) = self.journaling.poll(now, alive) {
            self.outputs.push_front(Output::Commit(commit));
        }
        self.set_timer(now);
    }

    fn settle_teller(&mut self, now: Now, place: usize, passed: u64) {
        let Some(teller) = self.tellers.get_mut(place) else { return };
        let name = teller.desk.policy.name.clone();
        for mail in teller.outbox.mails_mut() {
            for change in mail.take_changes(&name) {
                self.journaling.put(change);
            }
        }
        teller.outbox.committed(now, passed);
        teller.desk.look_at_standing(now);
        teller.desk.look_at_hours(now);
        let may_leave = teller.desk.release().is_some_and(|release| release <= now.mono);
        if may_leave && teller.outbox.may_draft(now) {
            self.draft(now, place);
        }
        let Some(teller) = self.tellers.get_mut(place) else { return };
        if let Some(notification) = teller.outbox.attempt(now, &name) {
            self.outputs.push_back(Output::Deliver(notification));
        }
        if let Some(event) = teller.path() {
            self.outputs.push_back(Output::Event(event));
        }
    }

    fn set_timer(&mut self, now: Now) {
        let standing = self.tellers.iter().filter_map(|teller| teller.desk.standing_timeout(now)).min();
        let times = [
            self.isolation.timeout(),
            self.windows.timeout(now),
            self.flappers.timeout(),
            self.unseen.timeout(),
            self.escalations.timeout(),
            self.troubles.timeout(self.tellers.len()),
            self.drills.timeout(),
            standing,
        ];
        self.timer = times.into_iter().flatten().min();
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

    /// The next number for an outage, a line or a mail.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number = self.last_number.saturating_add(1);
        self.last_number
    }

    pub(super) fn name_of(&self, id: TargetId) -> Arc<str> {
        self.plan.target(id).map(|target| target.name.clone()).unwrap_or_default()
    }

    /// The target of this name.
    pub(super) fn place_of(&self, name: &str) -> Option<TargetId> {
        let name_of = |id: &TargetId| self.plan.target(*id).map_or("", |target| &target.name);
        let by_name = self.by_name.get_or_init(|| {
            let mut ids: Vec<TargetId> = (0..self.plan.targets.len()).map(TargetId::from_index).collect();
            ids.sort_unstable_by(|one, other| name_of(one).cmp(name_of(other)));
            ids
        });
        let place = by_name.binary_search_by(|id| name_of(id).cmp(name)).ok()?;
        by_name.get(place).copied()
    }

    /// The settings of this class; a paused target has none.
    pub(super) fn settings_at(&self, class: u32) -> Option<&Settings> {
        self.classes.get(class as usize).map(|settings| &**settings)
    }

    pub(super) fn is_paused(&self, id: TargetId) -> bool {
        self.plan.target(id).is_some_and(|target| target.paused)
    }

    pub(super) fn is_unknown(&self, id: TargetId) -> bool {
        self.targets.get(id.index()).is_some_and(|state| state.status == Status::Unknown)
    }

    pub(super) fn transition(&self, now: Now, target: TargetId, from: Status) -> Option<Transition> {
        let state = self.targets.get(target.index())?;
        let mut transition = Transition::new(target, self.name_of(target), from, state.status, now.wall);
        transition.since = now.wall_at(state.since());
        transition.last_good = state.last_good(now);
        transition.cause = state.cause;
        Some(transition)
    }
}

/// The settings of a plan's targets, each once, and for each target the place of its own. Paused targets have a place
/// where there are none.
pub(super) fn classes(plan: &Plan) -> (Vec<Arc<Settings>>, Vec<u32>) {
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

pub(super) fn longest_check(plan: &Plan) -> Duration {
    let length = |settings: &Settings| settings.interval.saturating_add(settings.check_duration());
    plan.targets.iter().map(|target| length(&target.settings)).max().unwrap_or_default()
}
