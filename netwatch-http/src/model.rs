//! The read model: what the page and the API know, kept from what a sink is told. Pure: time is an argument.
//!
//! It decides nothing about devices; statuses come from transitions as they were decided. What it does decide is
//! whether it may still be believed: when checks should have been reported and none was, it is *stale*.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{
    Cause, Delivery, DeliveryOutcome, Event, GroupId, Mono, Now, Outage, Plan, Sample, Start, Status, Target, TargetId,
    TargetView, Transition, Wall,
};

use crate::window::Window;

/// How much later than planned the next report may come before the model is stale.
const SLACK: Duration = Duration::from_secs(2);
/// How long the first report of all may take to come.
const FIRST_REPORT: Duration = Duration::from_secs(20);

/// Stands for "never".
const NEVER: Wall = Wall::from_unix_nanos(i64::MIN);

/// One target as it is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) name: &'a Arc<str>,
    pub(crate) group: Option<&'a Arc<str>>,
    pub(crate) status: Status,
    pub(crate) since: Wall,
    pub(crate) last_reply: Option<Wall>,
    pub(crate) cause: Option<Cause>,
    pub(crate) outage: Option<&'a Outage>,
    pub(crate) told: Option<&'a Told>,
    pub(crate) window: &'a Window,
    pub(crate) target: &'a Target,
    /// Where the names of its parents are.
    pub(crate) plan: &'a Plan,
    /// Whether the router before its group is suspected of limiting the rate of our echoes.
    pub(crate) limited: bool,
    /// Whether it goes up and down too often to be told of each time.
    pub(crate) flapping: bool,
    /// Whether it is in maintenance.
    pub(crate) maintenance: bool,
    /// When its maintenance ends, as far as is known.
    pub(crate) maintenance_until: Option<Wall>,
}

/// What is kept of a target beside the plan. There may be a million, and each is written with every check: what only
/// a device in trouble has lies behind a pointer.
#[derive(Debug, Clone)]
struct State {
    since: Wall,
    last_reply: Wall,
    trouble: Option<Box<Trouble>>,
    cause: Option<Cause>,
    window: Window,
    status: Status,
    changed: bool,
    sampled: bool,
    flapping: bool,
    maintenance: bool,
}

/// An open outage, and who was told of it.
#[derive(Debug, Clone)]
struct Trouble {
    outage: Outage,
    told: Option<Told>,
}

/// That somebody was told of the open outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) at: Wall,
    pub(crate) to: Vec<Arc<str>>,
}

/// How the path of one notifier stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MailPath {
    pub(crate) waiting: usize,
    pub(crate) failing_since: Option<Wall>,
    pub(crate) last_sent: Option<Wall>,
    pub(crate) error: Option<String>,
    /// Who was refused for good when a mail last went to them.
    pub(crate) refused: BTreeMap<Arc<str>, Refusal>,
}

/// That the server will not take mail for a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) at: Wall,
    pub(crate) reason: Option<String>,
}

/// Whether decisions can be committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct JournalState {
    pub(crate) failing_since: Option<Wall>,
    pub(crate) error: Option<String>,
    /// What was damaged and set aside at the start.
    pub(crate) notice: Option<String>,
}

/// What is new since it was last asked for.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Everything: who listens must forget what they know.
    pub(crate) restarted: bool,
    /// Places of rows of which more than a measurement is new.
    pub(crate) changed: Vec<usize>,
    /// Whether the state of a mail path or of the journal is new, or netwatch went blind or sees again.
    pub(crate) paths: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) plan: Arc<Plan>,
    states: Vec<State>,
    pub(crate) mail: BTreeMap<Arc<str>, MailPath>,
    pub(crate) journal: JournalState,
    /// The groups behind a router that is suspected of limiting the rate of our echoes.
    limited: BTreeSet<GroupId>,
    /// When the maintenance of the target at a place ends.
    maintained: HashMap<usize, Wall>,
    /// Since when netwatch itself is cut off.
    pub(crate) blind_since: Option<Wall>,
    /// When anything was last heard.
    pub(crate) heard: Option<Now>,
    /// When a check was last reported.
    pub(crate) last_sample: Option<Now>,
    pub(crate) started: bool,
    /// How many samples were kept from each sink that did not keep up.
    dropped: BTreeMap<&'static str, u64>,
    /// How many targets have each status, in the order of [`Status::ALL`].
    counts: [usize; Status::ALL.len()],
    /// The places of the targets, in the order of their names.
    places: Vec<u32>,
    patience: Option<Duration>,
    news: News,
    /// Places of the targets that were measured, while that is wanted.
    sampled: Vec<u32>,
    wants_samples: bool,
}

impl Model {
    /// Takes over where things stand; what was told of an outage that is still open is kept.
    pub(crate) fn start(&mut self, start: &Start, now: Now) {
        let known = self.states.drain(..).filter_map(|state| state.trouble);
        let known = known.filter_map(|trouble| Some((trouble.outage.id.number(), trouble.told?)));
        let mut told: HashMap<u64, Told> = known.collect();
        self.plan = start.plan.clone();
        self.limited.clear();
        self.maintained.clear();
        let targets = self.plan.targets.len();
        self.states.reserve_exact(targets);
        self.states.extend((0..targets).map(|at| match start.targets.get(at) {
            Some(view) => {
                let told = view.outage.as_ref().and_then(|outage| told.remove(&outage.id.number()));
                state(view, told)
            }
            None => state(&TargetView::pending(TargetId::from_index(at), start.now.wall), None),
        }));
        self.counts = Status::ALL.map(|status| self.states.iter().filter(|state| state.status == status).count());
        self.places = (0..u32::try_from(targets).unwrap_or(u32::MAX)).collect();
        let name = |at: &u32| self.plan.targets.get(*at as usize).map(|target| &target.name);
        self.places.sort_unstable_by(|one, other| name(one).cmp(&name(other)));
        self.mail.retain(|name, path| {
            let policy = self.plan.notifiers.iter().find(|policy| policy.name == *name);
            path.refused.retain(|recipient, _| policy.is_some_and(|policy| policy.recipients.contains(recipient)));
            policy.is_some()
        });
        self.patience = patience(&self.plan);
        self.sampled.clear();
        self.news = News { restarted: true, ..News::default() };
        self.started = true;
        self.heard = Some(now);
    }

    /// Statuses changed.
    pub(crate) fn transitions(&mut self, changed: &[Transition], now: Now) {
        self.heard = Some(now);
        for transition in changed {
            let at = transition.target.index();
            let Some(state) = self.states.get_mut(at) else { continue };
            recount(&mut self.counts, state.status, transition.to);
            state.status = transition.to;
            state.since = transition.since;
            state.last_reply = state.last_reply.max(transition.last_good.unwrap_or(NEVER));
            state.cause = transition.cause;
            self.mark_changed(at);
        }
    }

    /// Checks finished.
    pub(crate) fn samples(&mut self, samples: &[Sample], now: Now) {
        self.heard = Some(now);
        self.last_sample = Some(now);
        for sample in samples {
            let at = sample.target.index();
            let Some(state) = self.states.get_mut(at) else { continue };
            let first_answer = state.last_reply == NEVER && sample.last_reply.is_some();
            state.window.push(sample);
            state.last_reply = state.last_reply.max(sample.last_reply.map_or(NEVER, |mono| now.wall_at(mono)));
            if self.wants_samples && !std::mem::replace(&mut state.sampled, true) {
                self.sampled.push(u32::try_from(at).unwrap_or(u32::MAX));
            }
            if first_answer {
                self.mark_changed(at);
            }
        }
    }

    /// Something else happened.
    pub(crate) fn events(&mut self, events: &[Event], now: Now) {
        self.heard = Some(now);
        for event in events {
            match event {
                Event::OutageOpened(target, outage)
                | Event::OutageDue(target, outage)
                | Event::Acknowledged(target, outage) => {
                    self.outage(target.index(), Some(outage));
                }
                Event::OutageClosed(target, _) => self.outage(target.index(), None),
                Event::Flapping { target, since } => {
                    if let Some(state) = self.states.get_mut(target.index()) {
                        state.flapping = since.is_some();
                    }
                    self.mark_changed(target.index());
                }
                Event::Maintenance { target, maintenance } => {
                    let period = maintenance.as_ref().and_then(|it| it.calendar.period_at(now.wall));
                    self.maintain(target.index(), maintenance.is_some(), period.map(|period| period.to));
                }
                Event::Blind { since } => {
                    self.blind_since = *since;
                    self.news.paths = true;
                }
                Event::Delivery(delivery) => self.delivery(delivery),
                Event::MailPath { notifier, waiting, failing_since, last_sent, error } => {
                    let path = self.mail.entry(notifier.clone()).or_default();
                    path.waiting = *waiting;
                    path.failing_since = *failing_since;
                    path.last_sent = *last_sent;
                    path.error.clone_from(error);
                    self.news.paths = true;
                }
                Event::Limiter { group, suspected, .. } => {
                    let _ = if *suspected { self.limited.insert(*group) } else { self.limited.remove(group) };
                    let plan = Arc::clone(&self.plan);
                    let members = plan.targets.iter().enumerate().filter(|(_, target)| target.group == Some(*group));
                    members.for_each(|(at, _)| self.mark_changed(at));
                }
                Event::SamplesDropped { sink, total } => {
                    self.dropped.insert(sink, *total);
                }
                Event::Journal { failing_since, error } => {
                    (self.journal.failing_since, self.journal.error) = (*failing_since, error.clone());
                    self.news.paths = true;
                }
                Event::Trouble { component: "store", message, .. } => {
                    self.journal.notice = Some(message.clone());
                    self.news.paths = true;
                }
                _ => {}
            }
        }
    }

    /// Whether checks should have been reported, and nothing was heard. `born` is when the model began to listen.
    pub(crate) fn is_stale(&self, now: Now, born: Mono) -> bool {
        match (self.heard, self.patience) {
            (None, _) => now.mono.since(born) > FIRST_REPORT,
            (Some(heard), Some(patience)) => now.mono.since(heard.mono) > patience,
            (Some(_), None) => false,
        }
    }

    /// How many targets there are.
    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    /// All targets, in the plan's order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let states = self.plan.targets.iter().zip(&self.states).enumerate();
        states.map(|(at, (target, state))| self.show(at, target, state))
    }

    /// The target at this place.
    pub(crate) fn row_at(&self, at: usize) -> Option<Row<'_>> {
        Some(self.show(at, self.plan.targets.get(at)?, self.states.get(at)?))
    }

    /// The target of this name.
    pub(crate) fn row(&self, name: &str) -> Option<Row<'_>> {
        self.row_at(self.place(name)?)
    }

    /// How many samples were kept from sinks that did not keep up; `None` before the start.
    pub(crate) fn dropped_samples(&self) -> Option<u64> {
        self.started.then(|| self.dropped.values().fold(0, |sum: u64, total| sum.saturating_add(*total)))
    }

    /// How many targets have each status.
    pub(crate) fn count(&self, status: Status) -> usize {
        let place = Status::ALL.iter().position(|each| *each == status);
        place.and_then(|place| self.counts.get(place)).copied().unwrap_or(0)
    }

    /// Whether somebody wants to know who was measured. What nobody asks for is not noted.
    pub(crate) fn want_samples(&mut self, wanted: bool) {
        self.wants_samples = wanted;
    }

    /// What is new, once.
    pub(crate) fn take_news(&mut self) -> News {
        let news = std::mem::take(&mut self.news);
        for &at in &news.changed {
            if let Some(state) = self.states.get_mut(at) {
                state.changed = false;
            }
        }
        news
    }

    /// Places of rows that were measured, once.
    pub(crate) fn take_sampled(&mut self) -> Vec<u32> {
        let sampled = std::mem::take(&mut self.sampled);
        for &at in &sampled {
            if let Some(state) = self.states.get_mut(at as usize) {
                state.sampled = false;
            }
        }
        sampled
    }

    fn outage(&mut self, at: usize, outage: Option<&Outage>) {
        let Some(state) = self.states.get_mut(at) else { return };
        let before = state.trouble.take();
        state.trouble = outage.cloned().map(|outage| {
            let told = before.filter(|before| before.outage.id == outage.id).and_then(|before| before.told);
            Box::new(Trouble { outage, told })
        });
        self.mark_changed(at);
    }

    fn maintain(&mut self, at: usize, on: bool, until: Option<Wall>) {
        let Some(state) = self.states.get_mut(at) else { return };
        state.maintenance = on;
        self.maintained.remove(&at);
        self.maintained.extend(until.map(|until| (at, until)));
        self.mark_changed(at);
    }

    fn delivery(&mut self, delivery: &Delivery) {
        self.refusals(delivery);
        if delivery.outcome != DeliveryOutcome::Sent {
            return;
        }
        for name in &delivery.targets {
            let Some(at) = self.place(name) else { continue };
            let Some(trouble) = self.states.get_mut(at).and_then(|state| state.trouble.as_mut()) else { continue };
            // A mail that tells the end of the outage before also names the device.
            let owed = trouble.outage.due.is_some_and(|due| due <= delivery.at);
            if owed && trouble.told.is_none() {
                trouble.told = Some(Told { at: delivery.at, to: delivery.recipients.clone() });
                self.mark_changed(at);
            }
        }
    }

    /// Keeps who was refused for good, until a mail to them is accepted.
    fn refusals(&mut self, delivery: &Delivery) {
        let refusal = match delivery.outcome {
            DeliveryOutcome::Sent => None,
            DeliveryOutcome::Failed => Some(Refusal { at: delivery.at, reason: delivery.reason.clone() }),
            _ => return,
        };
        for recipient in &delivery.recipients {
            match &refusal {
                Some(refusal) => {
                    let path = self.mail.entry(delivery.notifier.clone()).or_default();
                    path.refused.insert(recipient.clone(), refusal.clone());
                    self.news.paths = true;
                }
                None => {
                    let path = self.mail.get_mut(&delivery.notifier);
                    self.news.paths |= path.is_some_and(|path| path.refused.remove(recipient).is_some());
                }
            }
        }
    }

    fn mark_changed(&mut self, at: usize) {
        if let Some(state) = self.states.get_mut(at)
            && !std::mem::replace(&mut state.changed, true)
        {
            self.news.changed.push(at);
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        let name_at = |at: &u32| self.plan.targets.get(*at as usize).map(|target| &*target.name);
        let found = self.places.binary_search_by(|at| name_at(at).cmp(&Some(name))).ok()?;
        self.places.get(found).map(|at| *at as usize)
    }

    fn show<'a>(&'a self, at: usize, target: &'a Target, state: &'a State) -> Row<'a> {
        let trouble = state.trouble.as_deref();
        Row {
            name: &target.name,
            group: self.plan.group_of(target),
            status: state.status,
            since: state.since,
            last_reply: Some(state.last_reply).filter(|at| *at != NEVER),
            cause: state.cause,
            outage: trouble.map(|trouble| &trouble.outage),
            told: trouble.and_then(|trouble| trouble.told.as_ref()),
            window: &state.window,
            target,
            plan: &self.plan,
            limited: target.group.is_some_and(|group| self.limited.contains(&group)),
            flapping: state.flapping,
            maintenance: state.maintenance,
            maintenance_until: self.maintained.get(&at).copied(),
        }
    }
}

impl Row<'_> {
    /// Words that say more than the status does, in a fixed order.
    pub(crate) fn flags(&self) -> Vec<&'static str> {
        let answers = matches!(self.status, Status::Ok | Status::Warning);
        let pending = self.status == Status::Pending;
        [
            ("paused", self.target.paused),
            ("never_answered", self.last_reply.is_none() && !pending),
            ("recovering", answers && self.outage.is_some()),
            ("due", self.outage.is_some_and(|outage| outage.due.is_some())),
            ("told", self.told.is_some()),
            ("acknowledged", self.outage.is_some_and(|outage| outage.ack.is_some())),
            ("flapping", self.flapping),
            ("maintenance", self.maintenance),
            ("limiter_suspected", self.limited),
        ]
        .into_iter()
        .filter_map(|(flag, set)| set.then_some(flag))
        .collect()
    }
}

fn state(view: &TargetView, told: Option<Told>) -> State {
    State {
        since: view.since,
        last_reply: view.last_good.unwrap_or(NEVER),
        trouble: view.outage.clone().map(|outage| Box::new(Trouble { outage, told })),
        cause: view.cause,
        window: Window::default(),
        status: view.status,
        changed: false,
        sampled: false,
        flapping: view.flapping,
        maintenance: view.maintenance,
    }
}

/// One target more has the status `to`, and one less the status `from`.
fn recount(counts: &mut [usize; Status::ALL.len()], from: Status, to: Status) {
    for (status, count) in Status::ALL.iter().zip(counts) {
        *count = count.saturating_add(usize::from(*status == to)).saturating_sub(usize::from(*status == from));
    }
}

/// After how long without a report something is wrong; `None` if nothing is asked at all.
fn patience(plan: &Plan) -> Option<Duration> {
    plan.targets
        .iter()
        .filter(|target| !target.paused)
        .map(|target| target.settings.interval.saturating_add(target.settings.check_duration()))
        .min()
        .map(|period| period.saturating_add(SLACK))
}

#[cfg(test)]
mod tests;
