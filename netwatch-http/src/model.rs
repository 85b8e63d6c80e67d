//! The read model: what the page and the API know, kept from what a sink is told. Pure: time is an argument.
//!
//! It decides nothing about devices; statuses come from transitions as they were decided. What it does decide is
//! whether it may still be believed: when checks should have been reported and none was, it is *stale*.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{
    Cause, Delivery, DeliveryOutcome, Event, Mono, Now, Outage, Plan, Sample, Start, Status, Target, TargetView,
    Transition, Wall,
};

use crate::window::Window;

/// How much later than planned the next report may come before the model is stale.
const SLACK: Duration = Duration::from_secs(2);
/// How long the first report of all may take to come.
const FIRST_REPORT: Duration = Duration::from_secs(20);

/// One target as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: Arc<str>,
    pub(crate) address: String,
    pub(crate) group: Option<Arc<str>>,
    pub(crate) status: Status,
    pub(crate) since: Wall,
    pub(crate) last_reply: Option<Wall>,
    pub(crate) cause: Option<Cause>,
    pub(crate) outage: Option<Outage>,
    pub(crate) told: Option<Told>,
    pub(crate) window: Window,
    pub(crate) target: Target,
    changed: bool,
    sampled: bool,
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
}

/// What is new since it was last asked for.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Everything: who listens must forget what they know.
    pub(crate) restarted: bool,
    /// Places of rows of which more than a measurement is new.
    pub(crate) changed: Vec<usize>,
    /// Whether the state of a mail path or of the journal is new.
    pub(crate) paths: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) plan: Arc<Plan>,
    pub(crate) rows: Vec<Row>,
    pub(crate) mail: BTreeMap<Arc<str>, MailPath>,
    pub(crate) journal: JournalState,
    /// When anything was last heard.
    pub(crate) heard: Option<Now>,
    /// When a check was last reported.
    pub(crate) last_sample: Option<Now>,
    pub(crate) started: bool,
    places: HashMap<Arc<str>, usize>,
    patience: Option<Duration>,
    news: News,
    sampled: Vec<usize>,
}

impl Model {
    /// Takes over where things stand; what was told of an outage that is still open is kept.
    pub(crate) fn start(&mut self, start: &Start, now: Now) {
        let mut told: HashMap<u64, Told> =
            self.rows.drain(..).filter_map(|row| Some((row.outage.as_ref()?.id.number(), row.told?))).collect();
        self.plan = start.plan.clone();
        let pending = |at| TargetView::pending(netwatch_core::TargetId::from_index(at), start.now.wall);
        self.rows = self
            .plan
            .targets
            .iter()
            .enumerate()
            .map(|(at, target)| {
                let view = start.targets.get(at).cloned().unwrap_or_else(|| pending(at));
                let told = view.outage.as_ref().and_then(|outage| told.remove(&outage.id.number()));
                row(&self.plan, target, view, told)
            })
            .collect();
        self.places = self.rows.iter().enumerate().map(|(at, row)| (row.name.clone(), at)).collect();
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
            let Some(row) = self.rows.get_mut(at) else { continue };
            row.status = transition.to;
            row.since = transition.since;
            row.last_reply = row.last_reply.max(transition.last_good);
            row.cause = transition.cause;
            self.mark_changed(at);
        }
    }

    /// Checks finished.
    pub(crate) fn samples(&mut self, samples: &[Sample], now: Now) {
        self.heard = Some(now);
        self.last_sample = Some(now);
        for sample in samples {
            let at = sample.target.index();
            let Some(row) = self.rows.get_mut(at) else { continue };
            let first_answer = row.last_reply.is_none() && sample.last_reply.is_some();
            row.window.push(sample);
            row.last_reply = row.last_reply.max(sample.last_reply.map(|mono| now.wall_at(mono)));
            if !std::mem::replace(&mut row.sampled, true) {
                self.sampled.push(at);
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
                Event::OutageOpened(target, outage) | Event::OutageDue(target, outage) => {
                    self.outage(target.index(), Some(outage));
                }
                Event::OutageClosed(target, _) => self.outage(target.index(), None),
                Event::Delivery(delivery) => self.delivery(delivery),
                Event::MailPath { notifier, waiting, failing_since, last_sent, error } => {
                    let path = self.mail.entry(notifier.clone()).or_default();
                    path.waiting = *waiting;
                    path.failing_since = *failing_since;
                    path.last_sent = *last_sent;
                    path.error.clone_from(error);
                    self.news.paths = true;
                }
                Event::Journal { failing_since, error } => {
                    self.journal = JournalState { failing_since: *failing_since, error: error.clone() };
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

    /// The target of this name.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.get(*self.places.get(name)?)
    }

    /// How many targets have each status.
    pub(crate) fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }

    /// What is new, once.
    pub(crate) fn take_news(&mut self) -> News {
        let news = std::mem::take(&mut self.news);
        for &at in &news.changed {
            if let Some(row) = self.rows.get_mut(at) {
                row.changed = false;
            }
        }
        news
    }

    /// Places of rows that were measured, once.
    pub(crate) fn take_sampled(&mut self) -> Vec<usize> {
        let sampled = std::mem::take(&mut self.sampled);
        for &at in &sampled {
            if let Some(row) = self.rows.get_mut(at) {
                row.sampled = false;
            }
        }
        sampled
    }

    fn outage(&mut self, at: usize, outage: Option<&Outage>) {
        let Some(row) = self.rows.get_mut(at) else { return };
        if row.outage.as_ref().map(|open| open.id) != outage.map(|outage| outage.id) {
            row.told = None;
        }
        row.outage = outage.cloned();
        self.mark_changed(at);
    }

    fn delivery(&mut self, delivery: &Delivery) {
        self.refusals(delivery);
        if delivery.outcome != DeliveryOutcome::Sent {
            return;
        }
        for name in &delivery.targets {
            let Some(&at) = self.places.get(name) else { continue };
            let Some(row) = self.rows.get_mut(at) else { continue };
            // A mail that tells the end of the outage before also names the device.
            let owed = row.outage.as_ref().and_then(|outage| outage.due).is_some_and(|due| due <= delivery.at);
            if owed && row.told.is_none() {
                row.told = Some(Told { at: delivery.at, to: delivery.recipients.clone() });
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
        if let Some(row) = self.rows.get_mut(at)
            && !std::mem::replace(&mut row.changed, true)
        {
            self.news.changed.push(at);
        }
    }
}

impl Row {
    /// Words that say more than the status does, in a fixed order.
    pub(crate) fn flags(&self) -> Vec<&'static str> {
        let answers = matches!(self.status, Status::Ok | Status::Warning);
        let pending = self.status == Status::Pending;
        [
            ("paused", self.target.paused),
            ("never_answered", self.last_reply.is_none() && !pending),
            ("recovering", answers && self.outage.is_some()),
            ("due", self.outage.as_ref().is_some_and(|outage| outage.due.is_some())),
            ("told", self.told.is_some()),
        ]
        .into_iter()
        .filter_map(|(flag, set)| set.then_some(flag))
        .collect()
    }
}

fn row(plan: &Plan, target: &Target, view: TargetView, told: Option<Told>) -> Row {
    Row {
        name: target.name.clone(),
        address: target.host.to_string(),
        group: plan.group_of(target).cloned(),
        status: view.status,
        since: view.since,
        last_reply: view.last_good,
        cause: view.cause,
        outage: view.outage,
        told,
        window: Window::default(),
        target: target.clone(),
        changed: false,
        sampled: false,
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
