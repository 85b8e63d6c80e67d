//! A history, lived through: nothing waits and nothing runs side by side. The next thing that happens is taken from a
//! queue, the clock is set to it, and the real [`Monitor`] and [`Schedule`] decide.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::asking::Line;
use super::chance::{exponential, source};
use super::fate::{Fate, Halt};
use super::operator::{Operators, stretch};
use super::options::WorldOptions;
use super::queue::{Act, Queued, What, agenda};
use super::record::{Entry, Happening, History, Oddity};
use super::server::Servers;
use super::span::Span;
use super::{fate, network};
use crate::logic::{Due, Monitor, MonitorOptions, Output, Schedule};
use crate::model::{
    Calendar, Cause, Commit, Content, Draft, DrillRefusal, Event, Maintenance, MaintenanceId, Mono, Notification, Now,
    Period, Sample, Saved, Scope, TargetId, Testimony, WitnessId,
};

/// How often a witness is asked, and how long its answer and its silence take.
const WITNESS: [Duration; 3] = [Duration::from_secs(2), Duration::from_millis(10), Duration::from_secs(1)];

/// How long after trouble with the journal a mail may still leave from memory: a commit that hangs is answered by then.
const FROM_MEMORY: Duration = Duration::from_secs(120);

/// How many things may happen without the clock going on.
const RESTLESS: u32 = 10_000;

/// A world at its beginning, or somewhere in its history.
pub struct World {
    history: History,
    chance: Rng,
    lines: Vec<Line>,
    servers: Servers,
    /// Which target of the present version each check under way is, with its device.
    asked: Vec<Option<Sample>>,
    queue: BinaryHeap<Reverse<Queued>>,
    order: u64,
    agenda: Vec<(Mono, Act)>,
    acted: usize,
    now: Now,
    end: Mono,
    version: usize,
    life: u8,
    monitor: Monitor,
    schedule: Schedule,
    due: Vec<Due>,
    /// Mails that the journal has, or had.
    durable: HashSet<Arc<str>>,
    entered: Vec<Option<MaintenanceId>>,
}

impl World {
    /// A world at its beginning.
    pub fn new(options: WorldOptions) -> World {
        let devices = network::devices(&options);
        let fate = Fate::new(&options);
        let operators = Operators::new(&options, &devices, fate.has_witnesses);
        let line = |(number, device)| {
            Line::new(device, number, &fate, options.turmoil, source(options.seed, "echoes", number))
        };
        let lines: Vec<Line> = devices.iter().enumerate().map(line).collect();
        let now = Now::new(Mono::ZERO, fate::BEGINNING);
        let plan = operators.versions.first().map(|version| version.plan.clone()).unwrap_or_default();
        let monitor = Monitor::new(plan.clone(), &Saved::default(), now, monitor_options(0));
        World {
            chance: source(options.seed, "chance", 0),
            servers: Servers::default(),
            asked: vec![None; devices.len()],
            lines,
            queue: BinaryHeap::new(),
            order: 0,
            agenda: agenda(&fate, &operators),
            acted: 0,
            now,
            end: Mono::ZERO.plus(options.turmoil).plus(options.calm),
            version: 0,
            life: 0,
            monitor,
            schedule: Schedule::new(&plan, [2; 16], now.mono),
            due: Vec::new(),
            durable: HashSet::new(),
            entered: vec![None; operators.works.len()],
            history: History {
                options,
                unlucky: Vec::new(),
                devices,
                fate,
                operators,
                entries: Vec::new(),
                oddities: Vec::new(),
                saved: Saved::default(),
                views: Vec::new(),
                end: now,
                checks: 0,
                steps: 0,
            },
        }
    }

    /// Lets the time pass to its end.
    pub fn run(mut self) -> History {
        let mut halts = self.history.fate.halts.clone().into_iter().peekable();
        self.begin();
        let mut restless = 0;
        loop {
            let queued = self.queue.peek().map(|Reverse(queued)| queued.at);
            let act = self.agenda.get(self.acted).map(|(at, _)| *at);
            let next = [queued, act, self.schedule.next(), self.monitor.poll_timeout()].into_iter().flatten().min();
            let next = next.unwrap_or(self.end).max(self.now.mono);
            if let Some((span, halt)) = halts.next_if(|(span, _)| span.from <= next) {
                self.halt(span, halt);
                continue;
            }
            if next >= self.end {
                break;
            }
            restless = if next > self.now.mono { 0 } else { restless + 1 };
            if restless > RESTLESS {
                self.odd("the monitor asks to be woken at once, again and again");
                break;
            }
            self.advance(next);
            self.step();
        }
        self.advance(self.end);
        self.history.views = self.monitor.start(self.now).targets;
        self.history.unlucky = self.lines.into_iter().map(|line| line.unlucky.into_iter().collect()).collect();
        self.history.end = self.now;
        self.history
    }

    /// The program has begun to run.
    fn begin(&mut self) {
        self.write(Happening::Started(self.version));
        if self.history.fate.unplugged.contains(self.now.mono) {
            self.monitor.handle_connected(self.now, false);
        }
        self.carry_out();
        for witness in 0..self.plan_witnesses() {
            self.ask_witness(witness, true);
        }
    }

    fn step(&mut self) {
        let now = self.now;
        self.schedule.poll_due(now.mono.plus(Duration::from_nanos(1)), &mut self.due);
        let mut due = std::mem::take(&mut self.due);
        for Due { target, at } in due.drain(..) {
            self.ask(target, at);
        }
        self.due = due;
        while let Some((_, act)) = self.agenda.get(self.acted).filter(|(at, _)| *at <= now.mono).copied() {
            self.acted += 1;
            self.act(act);
        }
        while self.queue.peek().is_some_and(|Reverse(queued)| queued.at <= now.mono) {
            if let Some(Reverse(queued)) = self.queue.pop() {
                self.happen(queued.what);
            }
        }
        if self.monitor.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.history.steps += 1;
            self.monitor.handle_timeout(now);
            self.carry_out();
        }
    }

    fn ask(&mut self, target: TargetId, at: Mono) {
        let Some(version) = self.history.operators.versions.get(self.version) else { return };
        let Some(&device) = version.devices.get(target.index()) else { return };
        // After a reload a device may be asked anew before it was done with.
        if self.asked[device].is_some() {
            return;
        }
        let Some(settings) = self.monitor.settings_of(target) else { return };
        self.history.checks += 1;
        let sample = self.lines[device].check(target, at, &settings);
        let ended = sample.ended;
        self.asked[device] = Some(sample);
        self.push(ended, What::Check(device));
    }

    fn happen(&mut self, what: What) {
        self.history.steps += 1;
        let now = self.now;
        match what {
            What::Check(device) => {
                // One that a pause made unknown was reported at its end.
                let Some(mut sample) = self.asked[device].take_if(|sample| sample.ended <= now.mono) else { return };
                let version = &self.history.operators.versions[self.version];
                let Some(target) = version.targets[device] else { return };
                sample.target = target;
                self.monitor.handle_samples(now, std::slice::from_ref(&sample));
            }
            What::Testimony { witness, at, testimony, again } => {
                self.monitor.handle_witness(now, WitnessId::from_index(witness), at, testimony);
                if again {
                    self.push(at.plus(WITNESS[0]).max(now.mono), What::AskWitness(witness));
                }
            }
            What::AskWitness(witness) => return self.ask_witness(witness, true),
            What::Committed(commit, true) => {
                self.apply(&commit);
                self.monitor.handle_committed(now, commit.seq);
            }
            What::Committed(commit, false) => {
                self.write(Happening::CommitFailed(commit.seq));
                self.monitor.handle_commit_failed(now, commit.seq, "no space left on device");
            }
            What::Composed(mail, content) => self.monitor.handle_composed(now, mail, content),
            What::Taken(mail, recipients) => return self.write(Happening::Taken(mail, recipients)),
            What::Answered(answer) => {
                let (mail, result) = (answer.mail.clone(), answer.result);
                let refused: Vec<Arc<str>> = match &result {
                    Ok(receipt) => receipt.refused.iter().map(|(to, _)| to.clone()).collect(),
                    Err(error) if error.permanent => mail.recipients.clone(),
                    Err(error) => error.refused.iter().map(|(to, _)| to.clone()).collect(),
                };
                self.write(Happening::Answered {
                    mail: mail.id,
                    message_id: mail.message_id.clone(),
                    notifier: mail.notifier.clone(),
                    is_accepted: result.is_ok(),
                    refused,
                    error: result.as_ref().err().map(|error| error.message.clone()),
                });
                self.monitor.handle_delivered(now, mail.id, result);
            }
        }
        self.carry_out();
    }

    /// An operator does something, or this machine gains or loses its link.
    fn act(&mut self, act: Act) {
        self.history.steps += 1;
        let now = self.now;
        match act {
            Act::Connected(connected) => self.monitor.handle_connected(now, connected),
            Act::Reload(version) if version > self.version => self.reload(version),
            Act::Reload(_) => {}
            Act::Acknowledge => self.acknowledge(),
            Act::Drill => self.drill(),
            Act::Enter(number) => {
                let work = &self.history.operators.works[number];
                let version = &self.history.operators.versions[self.version];
                let names = work.devices.iter().filter_map(|device| Some(version.target(*device)?.name.clone()));
                let span = stretch(work);
                let period = Period::new(now.wall, now.wall.plus(span.length()));
                let mut maintenance = Maintenance::new(Scope::targets(names), Calendar::new([period]));
                if maintenance.scope.is_everything() {
                    return;
                }
                (maintenance.reason, maintenance.by) = ("cambio de placa".into(), "turno".into());
                let id = self.monitor.handle_maintain(now, maintenance);
                self.entered[number] = Some(id);
                self.write(Happening::Maintained(number, id));
            }
            Act::End(number) => {
                let Some(id) = self.entered[number] else { return };
                let found = self.monitor.handle_end_maintenance(now, id);
                self.write(Happening::Finished(number, found));
            }
        }
        self.carry_out();
    }

    fn acknowledge(&mut self) {
        let views = self.monitor.start(self.now).targets;
        let open: Vec<_> = views.iter().filter_map(|view| Some((view.target, view.outage.as_ref()?.id))).collect();
        if open.is_empty() {
            return;
        }
        let (target, outage) = open[self.chance.usize(0..open.len())];
        let version = &self.history.operators.versions[self.version];
        let (device, name) = (version.devices[target.index()], version.plan.targets[target.index()].name.clone());
        let said = self.monitor.handle_acknowledge(self.now, &name, "turno", "voy");
        if said.as_ref().is_none_or(|said| said.id != outage || said.ack.is_none()) {
            self.odd(&format!("{name} has outage {} open and acknowledging it gave {said:?}", outage.number()));
        }
        self.write(Happening::Acknowledged { device, outage: said });
    }

    fn drill(&mut self) {
        let version = &self.history.operators.versions[self.version];
        let Some(last) = version.plan.targets.len().checked_sub(1) else { return };
        let target = self.chance.usize(0..=last);
        let name = version.plan.targets[target].name.clone();
        if let Err(refusal @ DrillRefusal::NoTarget { .. }) = self.monitor.handle_drill(self.now, &name, "turno") {
            self.odd(&format!("a drill of {name} is refused: {refusal}"));
        }
    }

    fn reload(&mut self, version: usize) {
        let (old, new) = (self.version, version);
        let plan = self.history.operators.versions[new].plan.clone();
        let places = self.monitor.handle_reload(self.now, plan.clone());
        self.version = new;
        let versions = &self.history.operators.versions;
        let expected: Vec<_> = versions[old].devices.iter().map(|device| versions[new].targets[*device]).collect();
        if places != expected {
            self.odd(&format!("a reload said {places:?} of where the targets are now, and they are at {expected:?}"));
        }
        self.schedule = Schedule::new(&plan, [2; 16], self.now.mono);
        self.write(Happening::Reloaded(new));
    }

    fn plan_witnesses(&self) -> usize {
        self.history.operators.versions.get(self.version).map_or(0, |version| version.plan.witnesses.len())
    }

    fn ask_witness(&mut self, witness: usize, again: bool) {
        let (at, fate) = (self.now.mono, &self.history.fate);
        let is_jammed = fate.local.iter().any(|local| !local.is_half && local.is_total && local.span.contains(at));
        let (testimony, takes) = if fate.unplugged.contains(at) || is_jammed {
            (Testimony::Missing, WITNESS[1])
        } else if fate.severed.contains(at) || fate.witnesses[witness].contains(at) {
            (Testimony::Silent, WITNESS[2])
        } else {
            (Testimony::Answered, WITNESS[1])
        };
        self.push(at.plus(takes), What::Testimony { witness, at, testimony, again });
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.monitor.poll_output() {
            match output {
                Output::Commit(commit) => self.commit(commit),
                Output::Compose(draft) => {
                    let content = words(&draft);
                    self.push(self.now.mono.plus(Duration::from_millis(1)), What::Composed(draft.id, content));
                    self.write(Happening::Drafted(draft));
                }
                Output::Deliver(notification) => self.deliver(notification),
                Output::AskWitnesses => (0..self.plan_witnesses()).for_each(|witness| self.ask_witness(witness, false)),
                Output::Event(Event::MailPath { .. }) => {}
                Output::Event(event) => self.write(Happening::Event(event)),
                Output::Transition(transition) => self.write(Happening::Transition(transition)),
            }
        }
    }

    fn commit(&mut self, commit: Commit) {
        let (delay, works) = if self.history.fate.journal.contains(self.now.mono) {
            (exponential(&mut self.chance, Duration::from_secs(8)), self.chance.u8(..) < 20)
        } else {
            (Duration::from_millis(self.chance.u64(1..20)), true)
        };
        self.push(self.now.mono.plus(delay), What::Committed(Box::new(commit), works));
    }

    fn deliver(&mut self, notification: Notification) {
        let mut before = Span::new(self.now.mono.minus(FROM_MEMORY), self.now.mono.plus(Duration::from_nanos(1)));
        // A commit that was under way when the program was made to stand still is answered when it goes on.
        if let Some(halt) = self.history.fate.halted().iter().find(|halt| halt.to > before.from && halt.to <= before.to)
        {
            before.from = halt.from.minus(FROM_MEMORY);
        }
        if !self.durable.contains(&notification.message_id) && !self.history.fate.journal.touches(before) {
            self.odd(&format!("{} leaves before it is committed", notification.message_id));
        }
        let notifiers = &self.history.operators.versions[self.version].plan.notifiers;
        let number = notifiers.iter().position(|policy| policy.name == notification.notifier).unwrap_or(0);
        let fate = &self.history.fate;
        let reaction = self.servers.react(&mut self.chance, fate, number, self.now.mono, &notification);
        let mail = Arc::new(notification.clone());
        if !reaction.takes.is_empty() {
            self.push(reaction.taken_at, What::Taken(mail.clone(), reaction.takes));
        }
        let answer = super::queue::Answer { mail, result: reaction.answer };
        self.push(reaction.answered_at, What::Answered(Box::new(answer)));
        self.write(Happening::Attempted(notification));
    }

    fn halt(&mut self, span: Span, halt: Halt) {
        self.advance(span.from);
        self.write(Happening::Halted(halt));
        if halt == Halt::Pause { self.pause(span) } else { self.die(span, halt) }
    }

    /// What was asked before the pause and not known at its beginning is unknown, and what fell into it was not asked.
    fn pause(&mut self, span: Span) {
        self.advance(span.to);
        for sample in self.asked.iter_mut().flatten().filter(|sample| sample.ended > span.from) {
            let pings = u16::try_from(sample.echoes.len()).unwrap_or(1);
            let ended = sample.ended.min(span.to);
            *sample = Sample::unknown(sample.target, sample.at, ended, pings, Cause::Stalled);
        }
        let mut missed = Vec::new();
        self.schedule.skip_to(self.now.mono, &mut missed);
        let plan = self.history.operators.versions[self.version].plan.clone();
        let samples = missed.iter().filter_map(|due| {
            let settings = &plan.target(due.target)?.settings;
            Some(Sample::unknown(due.target, due.at, self.now.mono, settings.pings, Cause::Stalled))
        });
        let samples: Vec<Sample> = samples.collect();
        // Of one target the earlier check comes first.
        let under_way: Vec<usize> = (0..self.asked.len()).filter(|device| self.asked[*device].is_some()).collect();
        for device in under_way {
            self.happen(What::Check(device));
        }
        self.monitor.handle_samples(self.now, &samples);
        self.write(Happening::Started(self.version));
        self.carry_out();
    }

    /// kill -9, or a stop in order, which gets its last commit through. A commit under way takes effect or not, a mail
    /// under way is taken or not, and all else is forgotten.
    fn die(&mut self, span: Span, halt: Halt) {
        let under_way: Vec<What> = std::mem::take(&mut self.queue)
            .into_sorted_vec()
            .into_iter()
            .rev()
            .map(|Reverse(queued)| queued.what)
            .collect();
        for what in under_way {
            match what {
                What::Committed(commit, true) if self.chance.bool() => self.apply(&commit),
                What::Taken(mail, recipients) if self.chance.bool() => self.write(Happening::Taken(mail, recipients)),
                _ => {}
            }
        }
        if halt == Halt::Stop && !self.history.fate.journal.contains(self.now.mono) {
            self.monitor.handle_stop(self.now);
            while let Some(output) = self.monitor.poll_output() {
                match output {
                    Output::Commit(commit) => self.apply(&commit),
                    Output::Event(event) => self.write(Happening::Event(event)),
                    _ => {}
                }
            }
        }
        self.asked.fill(None);
        self.advance(span.to);
        let versions = &self.history.operators.versions;
        self.version = versions.partition_point(|version| version.written <= self.now.mono).saturating_sub(1);
        let plan = versions[self.version].plan.clone();
        self.life = self.life.wrapping_add(1);
        self.monitor = Monitor::new(plan.clone(), &self.history.saved, self.now, monitor_options(self.life));
        self.schedule = Schedule::new(&plan, [2; 16], self.now.mono);
        self.begin();
    }

    fn apply(&mut self, commit: &Commit) {
        for change in &commit.changes {
            if let crate::model::Change::PutMail(mail) = change {
                self.durable.insert(mail.message_id.clone());
            }
        }
        self.history.saved.apply(commit);
    }

    fn advance(&mut self, to: Mono) {
        let to = to.max(self.now.mono);
        self.now = Now::new(to, self.history.fate.wall(to));
    }

    fn push(&mut self, at: Mono, what: What) {
        self.order += 1;
        self.queue.push(Reverse(Queued { at, order: self.order, what }));
    }

    fn write(&mut self, what: Happening) {
        self.history.entries.push(Entry { now: self.now, step: self.history.steps, what });
    }

    fn odd(&mut self, message: &str) {
        let (at, step) = (self.now.mono, self.history.steps);
        self.history.oddities.push(Oddity { at, step, message: message.to_owned() });
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("now", &self.now).field("options", &self.history.options).finish_non_exhaustive()
    }
}

/// Another program each time it is started.
fn monitor_options(life: u8) -> MonitorOptions {
    MonitorOptions::new([life; 16], "world.test")
}

/// Words that differ wherever the facts do.
fn words(draft: &Draft) -> Content {
    let mut text = String::new();
    for line in &draft.lines {
        text.push_str(&format!("{} {} {}\n", line.kind.code(), line.subject.name, line.outage.id.number()));
    }
    Content::new(format!("{} lines", draft.lines.len()), text, String::new())
}
