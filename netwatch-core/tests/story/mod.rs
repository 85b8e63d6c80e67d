//! A monitor whose world does at once what it is asked, and writes down what left: the ground of the rule tests.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{
    Cause, Content, DeliveryError, Echo, Event, Line, LineKind, Loss, Monitor, MonitorOptions, Mono, Notification,
    NotifierPolicy, Now, Output, Plan, Receipt, Rtt, Sample, Saved, Settings, Status, Target, TargetId, Wall,
};

pub const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
pub enum Check {
    Answered,
    Slow,
    Silent,
    Unknown,
}
pub use Check::{Answered, Silent, Slow, Unknown};

#[derive(Clone, Copy, PartialEq)]
pub enum Server {
    Well,
    Refuses,
    TakesWithoutSaying,
    /// a@example.net gets it, the others not now.
    HalfTheRecipients,
    /// The first recipient does not exist, the others are full.
    FirstIsGone,
}

/// A monitor whose world does at once what it is asked, and writes down what left.
pub struct Story {
    pub plan: Arc<Plan>,
    pub monitor: Monitor,
    pub seconds: u64,
    pub saved: Saved,
    pub server: Server,
    pub journal_works: bool,
    pub mails: Vec<(u64, String)>,
    pub sent: Vec<Notification>,
    pub events: Vec<Event>,
    pub transitions: Vec<(u64, Arc<str>, Status)>,
}

pub fn now(seconds: u64) -> Now {
    Now::new(
        Mono::ZERO.plus(SECOND * seconds as u32),
        Wall::from_unix_nanos(1_790_000_000_000_000_000).plus(SECOND * seconds as u32),
    )
}

pub fn plan(names: &[&str], change: impl Fn(&mut Settings, &mut NotifierPolicy)) -> Plan {
    let mut settings = Settings::default();
    let mut policy = NotifierPolicy::new("noc");
    policy.recipients = vec!["a@example.net".into(), "b@example.net".into()];
    change(&mut settings, &mut policy);
    let target = |name: &&str| Target::at(*name, [192, 0, 2, 1].into()).with_settings(settings.clone());
    Plan::new(names.iter().map(target).collect()).with_notifier(policy)
}

impl Story {
    pub fn new(plan: Plan) -> Story {
        Story::go_on(plan, Saved::default(), 0)
    }

    pub fn go_on(plan: Plan, saved: Saved, seconds: u64) -> Story {
        Story::go_on_with(Server::Well, plan, saved, seconds)
    }

    /// What the last run left is tried at once, so the server's mood matters from the beginning.
    pub fn go_on_with(server: Server, plan: Plan, saved: Saved, seconds: u64) -> Story {
        let plan = Arc::new(plan);
        let monitor = Monitor::new(plan.clone(), &saved, now(seconds), MonitorOptions::new([3; 16], "test"));
        let mut story = Story {
            plan,
            monitor,
            seconds,
            saved,
            server,
            journal_works: true,
            mails: Vec::new(),
            sent: Vec::new(),
            events: Vec::new(),
            transitions: Vec::new(),
        };
        story.carry_out();
        story
    }

    /// What a check that ends now found.
    pub fn check(&mut self, name: &str, found: Check) {
        let index = self.plan.targets.iter().position(|target| &*target.name == name).expect("a target of the plan");
        let echo = match found {
            Answered => Echo::Reply(Rtt::from_duration(Duration::from_millis(2))),
            Slow => Echo::Reply(Rtt::from_duration(Duration::from_millis(900))),
            Silent => Echo::Lost(Loss::NoReply),
            Unknown => Echo::Unknown(Cause::NoRoute),
        };
        let (at, ended) = (now(self.seconds.saturating_sub(2)).mono, now(self.seconds).mono);
        let sample = Sample::new(TargetId::from_index(index), at, ended, [echo].into_iter().collect());
        self.monitor.handle_samples(now(self.seconds), &[sample]);
        self.carry_out();
    }

    /// Checks every 10 s, the first of them in 10 s.
    pub fn checks(&mut self, name: &str, found: &[Check]) {
        for &check in found {
            self.pass(10);
            self.check(name, check);
        }
    }

    pub fn pass(&mut self, seconds: u64) {
        let end = self.seconds + seconds;
        while let Some(timeout) = self.monitor.poll_timeout().filter(|&timeout| timeout <= now(end).mono) {
            self.seconds = self.seconds.max(timeout.as_nanos().div_ceil(1_000_000_000));
            self.monitor.handle_timeout(now(self.seconds));
            self.carry_out();
        }
        self.seconds = end;
    }

    pub fn carry_out(&mut self) {
        while let Some(output) = self.monitor.poll_output() {
            let now = now(self.seconds);
            match output {
                Output::Commit(commit) if self.journal_works => {
                    self.saved.apply(&commit);
                    self.monitor.handle_committed(now, commit.seq);
                }
                Output::Commit(commit) => self.monitor.handle_commit_failed(now, commit.seq, "disk full"),
                Output::Compose(draft) => {
                    self.monitor.handle_composed(now, draft.id, Content::new(words(&draft.lines), "", ""));
                }
                Output::Deliver(notification) => self.deliver(notification),
                Output::AskWitnesses => {}
                Output::Event(event) => self.events.push(event),
                Output::Transition(change) => self.transitions.push((self.seconds, change.name, change.to)),
                _ => {}
            }
        }
    }

    pub fn deliver(&mut self, notification: Notification) {
        let result = match self.server {
            Server::Well => Ok(Receipt::accepted(&notification.recipients)),
            Server::FirstIsGone => {
                let mut error = DeliveryError::before_content("452 full");
                error.refused.extend(notification.recipients.first().map(|to| (to.clone(), "550 gone".to_owned())));
                Err(error)
            }
            Server::Refuses => Err(DeliveryError::before_content("421 not now")),
            Server::TakesWithoutSaying => Err(DeliveryError::uncertain("no answer")),
            Server::HalfTheRecipients => {
                let (well, full): (Vec<_>, Vec<_>) =
                    notification.recipients.iter().cloned().partition(|to| to.starts_with("a@"));
                let mut receipt = Receipt::accepted(&well);
                receipt.deferred.extend(full.into_iter().map(|to| (to, "452 full".to_owned())));
                if well.is_empty() { Err(DeliveryError::before_content("452 full")) } else { Ok(receipt) }
            }
        };
        if result.is_ok() || self.server == Server::TakesWithoutSaying {
            self.mails.push((self.seconds, notification.content.subject.clone()));
        }
        let id = notification.id;
        self.sent.push(notification);
        self.monitor.handle_delivered(now(self.seconds), id, result);
    }

    pub fn status(&self, name: &str) -> Status {
        let start = self.monitor.start(now(self.seconds));
        let index = self.plan.targets.iter().position(|target| &*target.name == name).expect("a target of the plan");
        start.targets[index].status
    }

    pub fn told(&self) -> Vec<(u64, &str)> {
        self.mails.iter().map(|(at, words)| (*at, words.as_str())).collect()
    }
}

/// `down a b, up c, was d`.
pub fn words(lines: &[Line]) -> String {
    let mut by_kind: BTreeMap<u8, (&str, Vec<&str>)> = BTreeMap::new();
    for line in lines {
        let (order, word) = match line.kind {
            LineKind::Opened => (0, "down"),
            LineKind::Closed => (1, "up"),
            _ => (2, "was"),
        };
        by_kind.entry(order).or_insert((word, Vec::new())).1.push(&line.subject.name);
    }
    by_kind.values().map(|(word, names)| format!("{word} {}", names.join(" "))).collect::<Vec<_>>().join(", ")
}
