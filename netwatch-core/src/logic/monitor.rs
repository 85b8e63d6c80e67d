//! The façade of the pure half: everything that happens goes in through `handle_*`, everything to be done comes out of
//! [`Monitor::poll_output`], and [`Monitor::poll_timeout`] says when to come back.
//!
//! The invariant: after every `handle_*`, call `poll_output` until it returns `None`, and carry out what it gave in
//! that order. A commit is asked for before anything that depends on it.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher24;

use super::journaling::{Journaling, News};
use super::outbox::{Mail, Outbox, backoff};
use super::state::TargetState;
use super::telling::{Desk, Entry};
use crate::model::{
    Change, Commit, Content, Delivery, DeliveryError, DeliveryOutcome, Draft, Event, Line, LineId, LineKind, MailId,
    Mono, Notification, NotifierPolicy, Now, Outage, Plan, Receipt, Sample, Saved, SavedNotifier, Stage, Start, Status,
    Subject, TargetId, Transition,
};

/// A server that may have a mail and then refuses it this often in a row (about an hour) does not have it: its lines are
/// told in a new one.
const REFUSALS_BELIEVED: u32 = 12;

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
    plan: Arc<Plan>,
    options: MonitorOptions,
    targets: Vec<TargetState>,
    tellers: Vec<Teller>,
    journaling: Journaling,
    last_number: u64,
    outputs: VecDeque<Output>,
}

/// A notifier's desk and outbox, and what was last said of them.
#[derive(Debug)]
struct Teller {
    desk: Desk,
    outbox: Outbox,
    said: Option<Event>,
}

impl Monitor {
    /// Goes on where `saved` ends.
    pub fn new(plan: Arc<Plan>, saved: &Saved, now: Now, options: MonitorOptions) -> Monitor {
        let targets = plan.targets.iter().map(|target| match saved.targets.get(&target.name) {
            Some(known) => TargetState::restore(now, known, target.paused, saved.alive_at, &target.settings),
            None => TargetState::new(now, target.paused),
        });
        let tellers = plan.notifiers.iter().map(|policy| {
            let mut teller = Teller { desk: Desk::new(policy.clone()), outbox: Outbox::default(), said: None };
            teller.desk.restore(now, saved);
            for mail in saved.mails.values().filter(|mail| mail.notifier == policy.name) {
                let told = saved.told.values().any(|told| told.message_id == mail.message_id);
                teller.outbox.restore(now, mail, told);
            }
            teller
        });
        let mut monitor = Monitor {
            targets: targets.collect(),
            tellers: tellers.collect(),
            journaling: Journaling::new(now),
            last_number: saved.last_number,
            outputs: VecDeque::new(),
            plan,
            options,
        };
        monitor.settle_outputs(now);
        monitor
    }

    /// Where things stand.
    pub fn start(&self, now: Now) -> Start {
        let views = self.targets.iter().enumerate().map(|(index, state)| state.view(TargetId::from_index(index)));
        Start::new(now, self.plan.clone(), views.collect())
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
        for (target, state) in self.plan.targets.iter().zip(&self.targets) {
            if state.outage().is_some() {
                self.journaling.put(Change::PutTarget(state.saved(&target.name)));
            }
        }
        if let Some(commit) = self.journaling.last(now) {
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
        mails.chain([self.journaling.timeout()]).min()
    }

    fn take(&mut self, now: Now, sample: &Sample) {
        let id = sample.target;
        let (Some(target), Some(state)) = (self.plan.targets.get(id.index()), self.targets.get_mut(id.index())) else {
            return;
        };
        if target.paused {
            return;
        }
        let last_number = &mut self.last_number;
        let change = state.take(now, sample, &target.name, &target.settings, || {
            *last_number = last_number.saturating_add(1);
            *last_number
        });
        let open = state.outage().cloned();
        if let Some(from) = change.from {
            self.outputs.push_back(Output::Transition(transition(now, id, &target.name, from, state)));
        }
        if change.save {
            self.journaling.put(Change::PutTarget(state.saved(&target.name)));
        }
        if let Some(outage) = open {
            if change.opened {
                self.record(Event::OutageOpened(id, outage.clone()), &outage);
            }
            if change.due {
                self.record(Event::OutageDue(id, outage.clone()), &outage);
                self.owe(now, id, &outage);
            }
        }
        if let Some(outage) = change.closed {
            self.record(Event::OutageClosed(id, outage.clone()), &outage);
            if outage.due.is_some() {
                self.close(now, id, &outage);
            }
        }
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
            let mut under_way = false;
            for mail in teller.outbox.mails_mut() {
                for line in mail.lines.iter_mut().filter(|line| line.outage.id == outage.id) {
                    line.outage = outage.clone();
                    under_way = true;
                }
            }
            let last_number = &mut self.last_number;
            let entry = teller.desk.close(now, outage, under_way, || {
                *last_number = last_number.saturating_add(1);
                Line::new(LineId::new(*last_number), LineKind::Closed, subject.clone(), outage.clone(), now.wall)
            });
            if let Some(entry) = entry {
                let name = teller.desk.policy().name.clone();
                put(&mut self.journaling, &name, entry);
            }
        }
    }

    /// Brings out everything that follows from the present state.
    fn settle_outputs(&mut self, now: Now) {
        let passed = self.journaling.passed();
        for teller in &mut self.tellers {
            teller.outbox.committed(now, passed);
            let due = teller.desk.release().is_some_and(|release| release <= now.mono);
            if due && teller.outbox.may_draft(now) {
                self.last_number = self.last_number.saturating_add(1);
                let draft = teller.draft(now, MailId::new(self.last_number), &self.options);
                self.outputs.push_back(Output::Compose(draft));
            }
            let name = teller.desk.policy().name.clone();
            if let Some(notification) = teller.outbox.attempt(now, &name) {
                self.outputs.push_back(Output::Deliver(notification));
            }
            if let Some(event) = teller.path() {
                self.outputs.push_back(Output::Event(event));
            }
        }
        if let Some(commit) = self.journaling.poll(now) {
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

impl Teller {
    /// Everything owed leaves the desk as one mail.
    fn draft(&mut self, now: Now, id: MailId, options: &MonitorOptions) -> Draft {
        let lines = self.desk.take_all();
        let policy = self.desk.policy();
        let mut hasher = SipHasher24::new_with_key(&options.seed);
        hasher.write_u64(id.number());
        hasher.write(policy.name.as_bytes());
        let (millis, hash) = (now.wall.unix_millis(), hasher.finish());
        let message_id: Arc<str> = format!("<nw.{millis}.{}.{hash:016x}@{}>", id.number(), options.domain).into();
        let mut draft = Draft::new(id, policy.name.clone(), lines.clone(), now.wall);
        draft.late_since = self.outbox.failing_since;
        let mut mail = Mail::new(id, message_id, now.wall, policy.recipients.clone(), lines);
        if mail.lines.iter().all(|line| line.kind != LineKind::Opened) {
            let ended = mail.lines.iter().find(|line| line.kind == LineKind::Closed);
            mail.in_reply_to = ended.and_then(|line| self.desk.thread(&line.outage.target, line.outage.id).cloned());
        }
        self.outbox.draft(mail);
        draft
    }

    /// How the mail path stands, if that changed.
    fn path(&mut self) -> Option<Event> {
        let waiting = self.desk.waiting() + self.outbox.waiting();
        if let Some(Event::MailPath { waiting: w, failing_since: f, last_sent: l, error: e, .. }) = &self.said
            && (*w, *f, *l, e) == (waiting, self.outbox.failing_since, self.desk.last_sent(), &self.outbox.error)
        {
            return None;
        }
        let event = Event::MailPath {
            notifier: self.desk.policy().name.clone(),
            waiting,
            failing_since: self.outbox.failing_since,
            last_sent: self.desk.last_sent(),
            error: self.outbox.error.clone(),
        };
        self.said = Some(event.clone());
        Some(event)
    }
}

/// What follows from the end of an attempt.
struct Outcome<'a> {
    now: Now,
    seed: [u8; 16],
    journaling: &'a mut Journaling,
    events: Vec<Delivery>,
}

impl Outcome<'_> {
    fn accepted(&mut self, teller: &mut Teller, id: MailId, receipt: Receipt) {
        let Some(mut mail) = teller.outbox.remove(id) else { return };
        let policy = teller.desk.policy().clone();
        teller.outbox.succeeded(self.now);
        self.event(&policy, &mail, receipt.accepted, DeliveryOutcome::Sent, None);
        self.refusals(&policy, &mail, receipt.refused);
        if !mail.told {
            for told in teller.desk.accepted(self.now, &mail.lines, &mail.message_id) {
                self.journaling.put(Change::PutTold(told));
            }
            self.journaling.put(Change::PutNotifier(SavedNotifier::new(policy.name.clone(), Some(self.now.wall))));
        }
        if receipt.deferred.is_empty() {
            self.journaling.put(Change::DropMail(id));
            return;
        }
        mail.told = true;
        mail.recipients = receipt.deferred.iter().map(|(recipient, _)| recipient.clone()).collect();
        let reason = receipt.deferred.into_iter().next().map(|(_, reason)| reason);
        self.keep(teller, &policy, mail, reason);
    }

    fn refused(&mut self, teller: &mut Teller, id: MailId, error: DeliveryError) {
        let policy = teller.desk.policy().clone();
        let Some(mut mail) = teller.outbox.remove(id) else { return };
        if mail.told {
            // Others have it: the path works, it is these recipients that do not.
            if error.permanent {
                self.event(&policy, &mail, mail.recipients.clone(), DeliveryOutcome::Failed, Some(error.message));
                self.journaling.put(Change::DropMail(id));
            } else {
                self.keep(teller, &policy, mail, Some(error.message));
            }
            return;
        }
        let retry = teller.outbox.failed(self.now, &policy, &self.seed, error.message.clone());
        let retry_at = self.now.wall_at(retry);
        let outcome = if error.permanent { DeliveryOutcome::Failed } else { DeliveryOutcome::Deferred { retry_at } };
        self.event(&policy, &mail, mail.recipients.clone(), outcome, Some(error.message));
        mail.frozen |= error.stage == Stage::Uncertain;
        mail.refusals = if error.permanent { mail.refusals.saturating_add(1) } else { 0 };
        if mail.frozen && mail.refusals < REFUSALS_BELIEVED {
            teller.outbox.keep(mail, retry);
            return;
        }
        self.journaling.put(Change::DropMail(id));
        for entry in teller.desk.put_back(self.now, mail.lines) {
            put(self.journaling, &policy.name, entry);
        }
    }

    /// A mail that some recipients have is tried again for the others.
    fn keep(&mut self, teller: &mut Teller, policy: &NotifierPolicy, mut mail: Mail, reason: Option<String>) {
        let retry = self.now.mono.plus(backoff(policy, &self.seed, mail.attempts, self.now));
        let outcome = DeliveryOutcome::Deferred { retry_at: self.now.wall_at(retry) };
        self.event(policy, &mail, mail.recipients.clone(), outcome, reason);
        mail.attempts = mail.attempts.saturating_add(1);
        if let Some(record) = mail.record(&policy.name) {
            self.journaling.put(Change::PutMail(record));
        }
        teller.outbox.keep(mail, retry);
    }

    fn refusals(&mut self, policy: &NotifierPolicy, mail: &Mail, refused: Vec<(Arc<str>, String)>) {
        for (recipient, reason) in refused {
            self.event(policy, mail, vec![recipient], DeliveryOutcome::Failed, Some(reason));
        }
    }

    fn event(
        &mut self,
        policy: &NotifierPolicy,
        mail: &Mail,
        recipients: Vec<Arc<str>>,
        outcome: DeliveryOutcome,
        reason: Option<String>,
    ) {
        self.events.push(Delivery {
            at: self.now.wall,
            notifier: policy.name.clone(),
            mail: mail.id,
            message_id: mail.message_id.clone(),
            recipients,
            subject: mail.subject(),
            outcome,
            reason,
            targets: mail.lines.iter().map(|line| line.subject.name.clone()).collect(),
        });
    }
}

fn put(journaling: &mut Journaling, notifier: &Arc<str>, entry: Entry) {
    journaling.put(match entry {
        Entry::Put(line) => Change::PutLine(notifier.clone(), line),
        Entry::Drop(id) => Change::DropLine(id),
    });
}

fn subject(plan: &Plan, id: TargetId) -> Subject {
    let Some(target) = plan.target(id) else { return Subject::new("", "") };
    let mut subject = Subject::new(target.name.clone(), target.host.to_string());
    subject.group = plan.group_of(target).cloned();
    subject.note = target.note.clone();
    subject.customers = target.customers;
    subject
}

fn transition(now: Now, target: TargetId, name: &Arc<str>, from: Status, state: &TargetState) -> Transition {
    Transition {
        target,
        name: name.clone(),
        from,
        to: state.status,
        at: now.wall,
        since: state.since,
        last_good: state.last_good,
        cause: state.cause,
    }
}
