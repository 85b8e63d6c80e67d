//! A virtual world around the pure half: seeded devices, network, mail server, clock, and a journal that crashes.
//!
//! Nothing waits and nothing runs side by side: the next thing that happens is taken from a queue, the clock is set to
//! it, and the real [`Monitor`] decides. What the mail server accepted and what was true are both in the report, so
//! that a test can hold the one against the other.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::nature::{Device, Faults, Span, exponential, troubles};
use crate::logic::{Due, Monitor, MonitorOptions, Output, Schedule};
use crate::model::{
    Commit, Content, DeliveryError, Draft, Event, Line, MailId, Mono, Notification, Now, Plan, Receipt, Sample, Saved,
    TargetId, Transition, Wall,
};

/// How a world is made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorldOptions {
    /// Everything follows from it.
    pub seed: u64,
    /// What netwatch is to do; targets and notifiers are simulated by their place in it.
    pub plan: Plan,
    /// How long there is trouble.
    pub turmoil: Duration,
    /// How long all is well afterwards, so that what is owed can be told.
    pub calm: Duration,
    /// The mean time between two outages of a device, and the mean length of one.
    pub outages: (Duration, Duration),
    /// What goes wrong besides the devices.
    pub faults: Faults,
}

impl WorldOptions {
    /// A day of this plan with an outage about every two hours, of three minutes on average, then four calm hours.
    pub fn new(seed: u64, plan: Plan, faults: Faults) -> WorldOptions {
        let hour = Duration::from_secs(3600);
        let outages = (2 * hour, Duration::from_secs(180));
        WorldOptions { seed, plan, turmoil: 24 * hour, calm: 4 * hour, outages, faults }
    }
}

/// A mail that the simulated server accepted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Accepted {
    /// When.
    pub at: Mono,
    /// What.
    pub notification: Notification,
    /// Whether it left from memory, while nothing could be committed.
    pub from_memory: bool,
}

/// A line as it was accepted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Told {
    /// The mail's Message-ID.
    pub message_id: Arc<str>,
    /// The line.
    pub line: Line,
    /// When.
    pub at: Mono,
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub struct WorldReport {
    /// Mails that the server accepted, copies included.
    pub accepted: Vec<Accepted>,
    /// When each device really did not answer, by place in the plan.
    pub truth: Vec<Vec<Span>>,
    /// When this machine could not send.
    pub blind: Vec<Span>,
    /// When the program did not run.
    pub stopped: Vec<Span>,
    /// What the sinks would have been told, in order.
    pub events: Vec<(Now, Event)>,
    /// Likewise, every change of status.
    pub transitions: Vec<(Now, Transition)>,
    /// What the journal holds at the end.
    pub saved: Saved,
    /// Every commit that took effect, in order.
    pub commits: Vec<Commit>,
    /// The wall clock minus the monotonic one, in nanoseconds, at the end.
    pub end: Now,
}

impl WorldReport {
    /// Every accepted line.
    pub fn told(&self) -> Vec<Told> {
        let lines = self.accepted.iter().flat_map(|mail| {
            let message_id = &mail.notification.message_id;
            let told = |line: &Line| Told { message_id: message_id.clone(), line: line.clone(), at: mail.at };
            mail.notification.lines.iter().map(told).collect::<Vec<_>>()
        });
        lines.collect()
    }
}

#[derive(Debug)]
enum Happening {
    Sample(Box<Sample>),
    Committed(Commit, bool),
    Composed(Draft),
    Answered(MailId, Result<Receipt, DeliveryError>),
}

#[derive(Debug)]
struct Entry {
    at: Mono,
    order: u64,
    life: u32,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.order == other.order
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// A simulated world; see the module.
#[derive(Debug)]
pub struct World {
    rng: Rng,
    plan: Arc<Plan>,
    devices: Vec<Device>,
    /// (when, by how many nanoseconds) the wall clock steps.
    steps: Vec<(Mono, i64)>,
    mail_trouble: Vec<Span>,
    journal_trouble: Vec<Span>,
    turmoil_ends: Mono,
    end: Mono,
    now: Now,
    queue: BinaryHeap<Reverse<Entry>>,
    order: u64,
    life: u32,
    monitor: Monitor,
    schedule: Schedule,
    durable: HashSet<Arc<str>>,
    report: WorldReport,
}

/// An arbitrary day of the year 2026.
const BEGINNING: Wall = Wall::from_unix_nanos(1_790_000_000_000_000_000);

impl World {
    /// A world at its beginning.
    pub fn new(options: WorldOptions) -> World {
        let mut rng = Rng::with_seed(options.seed);
        let turmoil_ends = Mono::ZERO.plus(options.turmoil);
        let hour = Duration::from_secs(3600);
        let (rest, trouble) = options.outages;
        let plan = Arc::new(options.plan);
        let devices: Vec<Device> =
            plan.targets.iter().map(|_| Device::new(&mut rng, turmoil_ends, rest, trouble)).collect();
        let mut when = |wanted: bool, rest: Duration, trouble: Duration| {
            if wanted { troubles(&mut rng, turmoil_ends, rest, trouble) } else { Vec::new() }
        };
        let minute = Duration::from_secs(60);
        let blind = when(options.faults.local, 2 * hour, 3 * minute);
        let stopped = when(options.faults.crashes, hour, minute);
        let mail_trouble = when(options.faults.mail, hour, hour);
        let journal_trouble = when(options.faults.journal, 3 * hour, 20 * minute);
        let mut steps: Vec<(Mono, i64)> = Vec::new();
        for span in when(options.faults.clock, 3 * hour, minute) {
            steps.push((span.from, (rng.i64(-3_600..3_600)) * 1_000_000_000));
        }
        let now = Now::new(Mono::ZERO, BEGINNING);
        let monitor = Monitor::new(plan.clone(), &Saved::default(), now, MonitorOptions::new([1; 16], "world.test"));
        let schedule = Schedule::new(&plan, [2; 16], now.mono);
        let report = WorldReport {
            accepted: Vec::new(),
            truth: devices.iter().map(|device| device.outages.clone()).collect(),
            blind,
            stopped,
            events: Vec::new(),
            transitions: Vec::new(),
            saved: Saved::default(),
            commits: Vec::new(),
            end: now,
        };
        World {
            rng,
            devices,
            steps,
            mail_trouble,
            journal_trouble,
            turmoil_ends,
            end: turmoil_ends.plus(options.calm),
            now,
            queue: BinaryHeap::new(),
            order: 0,
            life: 0,
            monitor,
            schedule,
            plan,
            durable: HashSet::new(),
            report,
        }
    }

    /// Lets the time pass to its end.
    pub fn run(mut self) -> WorldReport {
        let mut crashes = self.report.stopped.clone().into_iter().peekable();
        self.carry_out();
        loop {
            let queued = self.queue.peek().map(|Reverse(entry)| entry.at);
            let next = [queued, self.schedule.next(), self.monitor.poll_timeout()].into_iter().flatten().min();
            let next = next.unwrap_or(self.end).max(self.now.mono);
            if let Some(crash) = crashes.next_if(|crash| crash.from <= next) {
                self.crash(crash);
                continue;
            }
            if next >= self.end {
                break;
            }
            self.advance(next);
            self.step();
        }
        self.report.end = self.now;
        self.report
    }

    fn step(&mut self) {
        let mut due = Vec::new();
        self.schedule.poll_due(self.now.mono.plus(Duration::from_nanos(1)), &mut due);
        for Due { target, at } in due {
            self.ask(target, at);
        }
        while let Some(Reverse(entry)) = self.queue.pop_if_due(self.now.mono) {
            if entry.life == self.life {
                self.happen(entry.what);
            }
        }
        self.monitor.handle_timeout(self.now);
        self.carry_out();
    }

    fn ask(&mut self, target: TargetId, at: Mono) {
        let (Some(device), Some(asked)) = (self.devices.get(target.index()), self.plan.target(target)) else { return };
        let sample = device.check(&mut self.rng, target, at, &asked.settings, &self.report.blind);
        self.push(sample.ended, Happening::Sample(Box::new(sample)));
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Sample(sample) => self.monitor.handle_samples(self.now, &[*sample]),
            Happening::Committed(commit, true) => {
                self.apply(&commit);
                self.monitor.handle_committed(self.now, commit.seq);
            }
            Happening::Committed(commit, false) => {
                self.monitor.handle_commit_failed(self.now, commit.seq, "no space left on device");
            }
            Happening::Composed(draft) => {
                let subject = format!("{} lines", draft.lines.len());
                self.monitor.handle_composed(self.now, draft.id, Content::new(subject, "", ""));
            }
            Happening::Answered(mail, result) => self.monitor.handle_delivered(self.now, mail, result),
        }
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.monitor.poll_output() {
            match output {
                Output::Commit(commit) => {
                    let (delay, works) = if inside(&self.journal_trouble, self.now.mono) {
                        (exponential(&mut self.rng, Duration::from_secs(8)), self.rng.u8(..) < 20)
                    } else {
                        (Duration::from_millis(self.rng.u64(1..20)), true)
                    };
                    self.push(self.now.mono.plus(delay), Happening::Committed(commit, works));
                }
                Output::Compose(draft) => {
                    self.push(self.now.mono.plus(Duration::from_millis(1)), Happening::Composed(draft));
                }
                Output::Deliver(notification) => self.deliver(notification),
                Output::Event(event) => self.report.events.push((self.now, event)),
                Output::Transition(transition) => self.report.transitions.push((self.now, transition)),
            }
        }
    }

    fn deliver(&mut self, notification: Notification) {
        let delay = exponential(&mut self.rng, Duration::from_secs(2)).min(Duration::from_secs(60));
        let at = self.now.mono.plus(delay);
        let id = notification.id;
        let trouble = inside(&self.mail_trouble, self.now.mono);
        let (first, rest) = notification.recipients.split_at(notification.recipients.len().min(1));
        let result = match self.rng.u8(0..8) {
            _ if !trouble => Ok(Receipt::accepted(&notification.recipients)),
            0 | 1 => Err(DeliveryError::before_content("connection refused")),
            2 => Err(DeliveryError::uncertain("no answer after the final dot")),
            3 => {
                self.accept(at, &notification);
                Err(DeliveryError::uncertain("the connection broke before the answer"))
            }
            4 => Err(DeliveryError::permanent("554 no")),
            5 => {
                let mut receipt = Receipt::accepted(first);
                receipt.deferred.extend(rest.iter().map(|to| (to.clone(), "452 full".to_owned())));
                Ok(receipt)
            }
            6 => {
                let mut error = DeliveryError::before_content("451 not now");
                error.refused.extend(first.iter().map(|to| (to.clone(), "550 gone".to_owned())));
                Err(error)
            }
            _ => Ok(Receipt::accepted(&notification.recipients)),
        };
        if result.is_ok() {
            self.accept(at, &notification);
        }
        self.push(at, Happening::Answered(id, result));
    }

    fn accept(&mut self, at: Mono, notification: &Notification) {
        let from_memory = !self.durable.contains(&notification.message_id);
        self.report.accepted.push(Accepted { at, notification: notification.clone(), from_memory });
    }

    /// kill -9, or a stop in order, which gets its last commit through: a commit under way takes effect or not, what the server accepts it has accepted, all else is forgotten.
    fn crash(&mut self, crash: Span) {
        self.advance(crash.from);
        let life = self.life;
        let entries = std::mem::take(&mut self.queue).into_iter().map(|Reverse(entry)| entry);
        let mut commits: Vec<Commit> = Vec::new();
        for entry in entries.filter(|entry| entry.life == life) {
            if let Happening::Committed(commit, true) = entry.what {
                commits.push(commit);
            }
        }
        for commit in commits {
            if self.rng.bool() {
                self.apply(&commit);
            }
        }
        if self.rng.bool() && !inside(&self.journal_trouble, self.now.mono) {
            self.monitor.handle_stop(self.now);
            while let Some(output) = self.monitor.poll_output() {
                if let Output::Commit(commit) = output {
                    self.apply(&commit);
                }
            }
        }
        self.advance(crash.to);
        self.life += 1;
        let options = MonitorOptions::new([self.life as u8; 16], "world.test");
        self.monitor = Monitor::new(self.plan.clone(), &self.report.saved, self.now, options);
        self.schedule = Schedule::new(&self.plan, [2; 16], self.now.mono);
        self.carry_out();
    }

    fn apply(&mut self, commit: &Commit) {
        self.report.saved.apply(commit);
        self.durable.extend(self.report.saved.mails.values().map(|mail| mail.message_id.clone()));
        self.report.commits.push(commit.clone());
    }

    fn advance(&mut self, to: Mono) {
        let passed = to.since(self.now.mono);
        self.now = Now::new(self.now.mono.max(to), self.now.wall.plus(passed));
        let now = &mut self.now;
        self.steps.retain(|&(at, by)| {
            if at <= now.mono {
                now.wall = Wall::from_unix_nanos(now.wall.unix_nanos().saturating_add(by));
            }
            at > now.mono
        });
    }

    fn push(&mut self, at: Mono, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse(Entry { at, order: self.order, life: self.life, what }));
    }

    /// When the trouble is over.
    pub fn turmoil_ends(&self) -> Mono {
        self.turmoil_ends
    }
}

trait PopIfDue {
    fn pop_if_due(&mut self, now: Mono) -> Option<Reverse<Entry>>;
}

impl PopIfDue for BinaryHeap<Reverse<Entry>> {
    fn pop_if_due(&mut self, now: Mono) -> Option<Reverse<Entry>> {
        if self.peek().is_some_and(|Reverse(entry)| entry.at <= now) { self.pop() } else { None }
    }
}

fn inside(spans: &[Span], at: Mono) -> bool {
    spans.iter().any(|span| span.contains(at))
}
