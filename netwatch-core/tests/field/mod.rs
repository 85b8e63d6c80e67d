//! A field of devices that are asked by the real schedule, each silent when the script says so: the ground of the scenario
//! tests. Virtual time, one thread; the journal and the mail server do what the script says.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{
    Cause, Content, DeliveryError, Draft, Due, Echo, Event, Input, LineKind, Loss, Monitor, MonitorOptions, Mono,
    Notification, NotifierPolicy, Now, Output, Plan, Receipt, Record, Rtt, Sample, Saved, Schedule, Status, Target,
    TargetId, Testimony, Transition, Wall, WitnessId,
};

/// Tuesday, 2026-09-22, 00:00 in Asunción (UTC-3).
pub const MIDNIGHT: i64 = 1_790_046_000;

/// What finds the words of a mail.
pub type Words = Box<dyn Fn(&Draft) -> Content>;

/// What the mail server says to a mail at this second; `None` where it does as it usually does.
pub type Answer = Box<dyn Fn(u64, &Notification) -> Option<Result<Receipt, DeliveryError>>>;

pub struct Mail {
    pub second: u64,
    pub notification: Notification,
}

/// How a device is while it is not silent.
#[derive(Clone, Copy)]
pub struct Manner {
    pub rtt: Duration,
    /// Of each five echoes, so many are lost.
    pub loses: u16,
}

const WELL: Manner = Manner { rtt: Duration::from_millis(2), loses: 0 };

pub struct Field {
    pub plan: Arc<Plan>,
    pub monitor: Monitor,
    schedule: Schedule,
    millis: u64,
    pub silences: HashMap<Arc<str>, Vec<Range<u64>>>,
    pub manners: HashMap<Arc<str>, (Range<u64>, Manner)>,
    /// When netwatch's own uplink is gone: nobody answers, nor any witness.
    pub cut_off: Vec<Range<u64>>,
    /// When sending fails for one device, and why.
    pub unknowns: HashMap<Arc<str>, (Range<u64>, Cause)>,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    finished: HashMap<u64, What>,
    order: u64,
    pub server_works: bool,
    /// Notifiers all of whose recipients are refused for good.
    pub refused: Vec<&'static str>,
    pub answer: Answer,
    /// Every attempt, whatever came of it.
    pub attempts: Vec<Mail>,
    /// Whether those are kept: there may be very many.
    pub keeps_attempts: bool,
    pub saved: Saved,
    pub mails: Vec<Mail>,
    pub transitions: Vec<(u64, Transition)>,
    pub events: Vec<(u64, Event)>,
    pub words: Words,
    /// What happened in this life, to be replayed.
    pub record: Record,
    pub outputs: Vec<(Now, Output)>,
    /// Whether both are kept.
    pub recording: bool,
    lives: u8,
}

enum What {
    /// It is time to ask the witnesses, as every 2 s.
    Round,
    Sample(Sample),
    Witness(WitnessId, Mono, Testimony),
}

pub fn targets(names: &[&str]) -> Vec<Target> {
    names.iter().map(|name| Target::at(*name, [192, 0, 2, 1].into())).collect()
}

/// Devices that `noc` is told of, as `change` says.
pub fn plan(names: &[&str], change: impl FnOnce(&mut NotifierPolicy)) -> Plan {
    let mut noc = policy("noc");
    change(&mut noc);
    Plan::new(targets(names)).with_notifier(noc)
}

/// The policy of a notifier with one recipient, everything else as it is by default.
pub fn policy(name: &str) -> NotifierPolicy {
    let mut policy = NotifierPolicy::new(name);
    policy.recipients = vec![format!("{name}@example.net").into()];
    policy
}

pub fn plain_words() -> Words {
    Box::new(|draft| {
        let mut by_kind: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in &draft.lines {
            let word = match line.kind {
                LineKind::Opened => "down",
                LineKind::Closed => "up",
                _ => "was",
            };
            by_kind.entry(word).or_default().push(&line.subject.name);
        }
        let words = by_kind.iter().map(|(word, names)| format!("{word} {}", names.join(" ")));
        Content::new(words.collect::<Vec<_>>().join(", "), "", "")
    })
}

impl Field {
    pub fn new(plan: Plan) -> Field {
        Field::begin(plan, plain_words(), false)
    }

    pub fn with_words(plan: Plan, words: Words) -> Field {
        Field::begin(plan, words, false)
    }

    /// One of which everything is recorded.
    pub fn recorded(plan: Plan) -> Field {
        Field::begin(plan, plain_words(), true)
    }

    fn begin(plan: Plan, words: Words, recording: bool) -> Field {
        let (plan, saved, millis) = (Arc::new(plan), Saved::default(), 0);
        let options = MonitorOptions::new([5; 16], "noc.example.net");
        let monitor = Monitor::new(plan.clone(), &saved, at(millis), options.clone());
        let record = Record::new(plan.clone(), saved.clone(), options, at(millis));
        let schedule = Schedule::new(&plan, [6; 16], at(millis).mono);
        let mut field = Field {
            plan,
            monitor,
            schedule,
            millis,
            silences: HashMap::new(),
            manners: HashMap::new(),
            cut_off: Vec::new(),
            unknowns: HashMap::new(),
            queue: BinaryHeap::new(),
            finished: HashMap::new(),
            order: 0,
            server_works: true,
            refused: Vec::new(),
            answer: Box::new(|_, _| None),
            attempts: Vec::new(),
            keeps_attempts: false,
            saved,
            mails: Vec::new(),
            transitions: Vec::new(),
            events: Vec::new(),
            words,
            record,
            outputs: Vec::new(),
            recording,
            lives: 0,
        };
        field.round();
        field.carry_out();
        field
    }

    /// The program is killed and starts again, so many seconds later.
    pub fn restart(&mut self, after: u64) {
        self.lives += 1;
        self.millis += after * 1000;
        self.queue.clear();
        self.finished.clear();
        let options = MonitorOptions::new([5 + self.lives; 16], "noc.example.net");
        self.monitor = Monitor::new(self.plan.clone(), &self.saved, at(self.millis), options);
        self.schedule = Schedule::new(&self.plan, [6; 16], at(self.millis).mono);
        self.round();
        self.carry_out();
    }

    /// Another plan from now on. Checks under way go on.
    pub fn reload(&mut self, plan: Plan) {
        let plan = Arc::new(plan);
        let places = self.monitor.handle_reload(at(self.millis), plan.clone());
        self.plan = plan;
        self.schedule = Schedule::new(&self.plan, [6; 16], at(self.millis).mono);
        self.finished.retain(|_, what| match what {
            What::Sample(sample) => match places.get(sample.target.index()).copied().flatten() {
                Some(place) => {
                    *sample = sample.clone().of(place);
                    true
                }
                None => false,
            },
            What::Witness(..) | What::Round => true,
        });
        self.carry_out();
    }

    pub fn second(&self) -> u64 {
        self.millis / 1000
    }

    pub fn now(&self) -> Now {
        at(self.millis)
    }

    /// The device does not answer from then until then.
    pub fn silence(&mut self, name: &str, seconds: Range<u64>) {
        self.silences.entry(name.into()).or_default().push(seconds);
    }

    pub fn run_until(&mut self, second: u64) {
        let end = second * 1000;
        loop {
            let due = self.schedule.next().map(millis_up);
            let timeout = self.monitor.poll_timeout().map(millis_up);
            let queued = self.queue.peek().map(|Reverse((at, _))| *at);
            let next = due.into_iter().chain(timeout).chain(queued).min().unwrap_or(end).max(self.millis);
            if next > end {
                break;
            }
            self.millis = next;
            self.step();
        }
        self.millis = end;
    }

    fn step(&mut self) {
        let now = at(self.millis);
        let mut due = Vec::new();
        self.schedule.poll_due(now.mono.plus(Duration::from_nanos(1)), &mut due);
        for Due { target, at, .. } in due {
            self.ask(target, at);
        }
        let mut samples = Vec::new();
        while let Some(Reverse((_, number))) = self.queue.peek().filter(|Reverse((at, _))| *at <= self.millis).copied()
        {
            self.queue.pop();
            match self.finished.remove(&number) {
                Some(What::Sample(sample)) => samples.push(sample),
                Some(What::Witness(id, asked, testimony)) => {
                    self.input(Input::Witness { witness: id, at: asked, testimony });
                }
                Some(What::Round) => self.round(),
                None => {}
            }
        }
        if !samples.is_empty() {
            self.input(Input::Samples(Arc::new(samples)));
        }
        if self.monitor.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.input(Input::Timeout);
        }
        self.carry_out();
    }

    fn ask(&mut self, id: TargetId, begin: Mono) {
        let target = self.plan.target(id).expect("it is due").clone();
        let settings = &target.settings;
        let (mut sent, mut ended, mut last_reply) = (begin, begin, None);
        let mut echoes = Vec::new();
        for number in 0..settings.pings {
            let second = sent.as_nanos() / 1_000_000_000;
            let inside =
                |ranges: Option<&Vec<Range<u64>>>| ranges.is_some_and(|all| all.iter().any(|r| r.contains(&second)));
            let unknown = self.unknowns.get(&target.name).filter(|(range, _)| range.contains(&second));
            let silent = inside(self.silences.get(&target.name)) || inside(Some(&self.cut_off));
            let manner = self.manners.get(&target.name).filter(|(range, _)| range.contains(&second));
            let manner = manner.map_or(WELL, |(_, manner)| *manner);
            if let Some((_, cause)) = unknown {
                echoes.push(Echo::Unknown(*cause));
                ended = ended.max(sent);
            } else if silent || number < manner.loses {
                echoes.push(Echo::Lost(Loss::NoReply));
                ended = ended.max(sent.plus(settings.timeout));
            } else {
                echoes.push(Echo::Reply(Rtt::from_duration(manner.rtt)));
                last_reply = Some(sent.plus(manner.rtt));
                ended = ended.max(sent.plus(manner.rtt));
            }
            sent = sent.plus(settings.spacing);
        }
        let sample = Sample::new(id, begin, ended, echoes.into_iter().collect()).with_last_reply(last_reply);
        self.push(millis_up(ended), What::Sample(sample));
    }

    fn round(&mut self) {
        if !self.plan.witnesses.is_empty() {
            self.ask_witnesses();
            self.push(self.millis + 2000, What::Round);
        }
    }

    fn ask_witnesses(&mut self) {
        for index in 0..self.plan.witnesses.len() {
            let cut = self.cut_off.iter().any(|range| range.contains(&self.second()));
            let (testimony, takes) = if cut { (Testimony::Silent, 1600) } else { (Testimony::Answered, 1) };
            let asked = at(self.millis).mono;
            self.push(self.millis + takes, What::Witness(WitnessId::from_index(index), asked, testimony));
        }
    }

    fn push(&mut self, at: u64, what: What) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order)));
        self.finished.insert(self.order, what);
    }

    pub fn input(&mut self, input: Input) {
        if self.recording {
            self.record.inputs.push((at(self.millis), input.clone()));
        }
        self.monitor.handle(at(self.millis), &input);
    }

    pub fn carry_out(&mut self) {
        while let Some(output) = self.monitor.poll_output() {
            if self.recording {
                self.outputs.push((at(self.millis), output.clone()));
            }
            match output {
                Output::Commit(commit) => {
                    self.saved.apply(&commit);
                    self.input(Input::Committed(commit.seq));
                }
                Output::Compose(draft) => {
                    let content = (self.words)(&draft);
                    self.input(Input::Composed(draft.id, content));
                }
                Output::Deliver(notification) => {
                    let id = notification.id;
                    if self.keeps_attempts {
                        self.attempts.push(Mail { second: self.millis / 1000, notification: notification.clone() });
                    }
                    let result = if let Some(result) = (self.answer)(self.millis / 1000, &notification) {
                        if result.is_ok() {
                            self.mails.push(Mail { second: self.millis / 1000, notification });
                        }
                        result
                    } else if self.refused.contains(&&*notification.notifier) {
                        let mut error = DeliveryError::permanent("550 no such user");
                        error.refused =
                            notification.recipients.iter().map(|to| (to.clone(), "550".to_owned())).collect();
                        Err(error)
                    } else if self.server_works {
                        let receipt = Receipt::accepted(&notification.recipients);
                        self.mails.push(Mail { second: self.millis / 1000, notification });
                        Ok(receipt)
                    } else {
                        Err(DeliveryError::before_content("mail.example.net: connection refused"))
                    };
                    self.input(Input::Delivered(id, result));
                }
                Output::AskWitnesses => self.ask_witnesses(),
                Output::Event(event) => self.events.push((self.millis / 1000, event)),
                Output::Transition(change) => self.transitions.push((self.millis / 1000, change)),
                _ => {}
            }
        }
    }

    pub fn status(&self, name: &str) -> Status {
        let start = self.monitor.start(at(self.millis));
        let index = self.plan.targets.iter().position(|target| &*target.name == name).expect("a target of the plan");
        start.targets[index].status
    }

    /// The mails so far, as (second, notifier, subject).
    pub fn told(&self) -> Vec<(u64, &str)> {
        self.mails.iter().map(|mail| (mail.second, mail.notification.content.subject.as_str())).collect()
    }

    pub fn subjects(&self) -> Vec<&str> {
        self.mails.iter().map(|mail| mail.notification.content.subject.as_str()).collect()
    }
}

pub fn at(millis: u64) -> Now {
    let passed = Duration::from_millis(millis);
    Now::new(Mono::ZERO.plus(passed), wall(0).plus(passed))
}

/// So many seconds after midnight.
pub fn wall(second: i64) -> Wall {
    Wall::from_unix_nanos((MIDNIGHT + second) * 1_000_000_000)
}

fn millis_up(at: Mono) -> u64 {
    at.as_nanos().div_ceil(1_000_000)
}
