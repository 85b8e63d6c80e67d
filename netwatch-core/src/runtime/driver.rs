//! The driver: one task that owns the pure half, brings it what happened, and carries out what it decides.
//!
//! It waits for nothing but time and news. Whatever may be slow (probes, names, disk, mail servers, sinks) runs beside
//! it and answers by a channel.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::RunError;
use super::checks::{Batch, Checks, Inbox, Silence};
use super::clock::Clock;
use super::delivery::{Deliveries, Done};
use super::handle::Command;
use super::journal::{Answer, JournalThread};
use super::links::Links;
use super::reload::{Ready, Reloads};
use super::resolve::{Addresses, Found, Lookup, Resolver};
use super::sinks::Sinks;
use super::slices::Slices;
use super::vitals::Running;
use super::watchdog::Returns;
use super::witnesses::{self, Witnesses};
use crate::logic::{Due, Monitor, Output, Schedule};
use crate::model::{Cause, Event, Mono, Now, Plan, Sample};
use crate::probe::{Check, Probe};

/// The shortest time between two ticks: at most 20 a second.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// How far ahead of their time checks are handed out: two ticks, so that none comes late.
pub(super) const AHEAD: Duration = Duration::from_millis(100);
/// A driver that wakes up this much too late stood still: what it missed is not caught up.
const STALL: Duration = Duration::from_millis(500);
/// How often at most a probe's panics are told.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// The driver comes round at least this often, so that it is soon noticed when it does not any more.
const ROUND: Duration = Duration::from_secs(5);

/// The end has two seconds. Mails under way may finish until then,
const STOP_MAILS: Duration = Duration::from_millis(400);
/// the journal until then,
const STOP_JOURNAL: Duration = Duration::from_millis(1300);
/// and the sinks until then.
const STOP_SINKS: Duration = Duration::from_millis(1800);

/// A probe and who is asked by it.
pub(super) struct Prober {
    /// Its name in the plan.
    pub(super) name: Arc<str>,
    /// The probe.
    pub(super) probe: Arc<dyn Probe>,
    /// When its last panic was told.
    pub(super) complained: Option<Mono>,
    /// Whether its checks come back.
    pub(super) returns: Returns,
}

/// All that the driver owns.
pub(super) struct Driver {
    pub(super) clock: Clock,
    pub(super) plan: Arc<Plan>,
    pub(super) monitor: Monitor,
    pub(super) schedule: Schedule,
    /// Decides the order of the calendar's slots, in every plan of this run.
    pub(super) key: [u8; 16],
    /// Where the calendar's laps are counted from, in every plan of this run.
    pub(super) origin: Mono,
    pub(super) probers: Vec<Prober>,
    /// For each target of the plan, the place of its probe in `probers`; empty if there is only one.
    pub(super) prober_of: Vec<usize>,
    pub(super) addresses: Addresses,
    pub(super) resolver: Resolver,
    pub(super) lookup: Lookup,
    pub(super) checks: Checks,
    pub(super) inbox: Arc<Inbox>,
    pub(super) spare: Batch,
    pub(super) slices: Slices,
    pub(super) journal: JournalThread,
    /// What a person should know of how the journal was loaded.
    pub(super) notices: Vec<String>,
    /// What was last said to be wrong with where the journal is kept.
    pub(super) warning: Option<String>,
    pub(super) deliveries: Deliveries,
    /// Whether mails are written in the built-in words, which follow the plan.
    pub(super) built_in_words: bool,
    pub(super) sinks: Sinks,
    pub(super) witnesses: Witnesses,
    pub(super) links: Links,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) reloads: Reloads,
    pub(super) running: Running,
}

/// What the driver may be told between two ticks.
enum News {
    Stop,
    Journal(Answer),
    Mail(Done),
    Name(Found),
    Witness(witnesses::Answer),
    Linked(bool),
    Command(Command),
    Reload(Box<Ready>),
    /// A part that netwatch cannot do without has panicked.
    Lost(&'static str),
    Tick,
}

impl Driver {
    /// Runs until `stop` is told (or its sender dropped), then saves everything.
    pub(super) async fn run(mut self, mut stop: oneshot::Receiver<()>) -> Result<(), RunError> {
        self.sinks.start(self.monitor.start(self.clock.now()));
        let mut now = self.clock.now();
        for message in std::mem::take(&mut self.notices) {
            self.sinks.event(Event::Trouble { at: now.wall, component: "store", message });
        }
        let mut planned = now.mono;
        let mut last_failure = None;
        self.schedule.begin_at(now.mono);
        self.origin = now.mono;
        loop {
            self.tick(now, planned);
            let earliest = now.mono.plus(TICK);
            loop {
                planned = self.next(earliest);
                self.running.0.driver_back(planned);
                match self.news(&mut stop, earliest, planned).await {
                    News::Tick => break,
                    News::Stop => return self.finish(last_failure).await,
                    News::Lost(part) => return self.lost(part, last_failure).await,
                    News::Journal(answer) => last_failure = self.committed(answer),
                    News::Mail(done) => self.done(done),
                    News::Name(found) => self.addresses.learn(&found),
                    News::Witness(answer) => self.witnessed(answer),
                    News::Linked(connected) => self.linked(connected),
                    News::Command(command) => self.obey(command),
                    News::Reload(ready) => self.reloaded(*ready, planned),
                }
            }
            now = self.clock.now();
        }
    }

    async fn news(&mut self, stop: &mut oneshot::Receiver<()>, earliest: Mono, planned: Mono) -> News {
        let (clock, inbox) = (self.clock, &self.inbox);
        let filled = async {
            clock.sleep_until(earliest).await;
            inbox.filled().await;
        };
        tokio::select! {
            biased;
            _ = &mut *stop => News::Stop,
            answer = self.journal.answer() => answer.map_or(News::Lost("the journal"), News::Journal),
            done = self.deliveries.done() => News::Mail(done),
            found = self.resolver.found() => found.map_or(News::Lost("the part that looks up names"), News::Name),
            answer = self.witnesses.answer() => answer.map_or(News::Lost("the part that asks the witnesses"), News::Witness),
            connected = self.links.changed() => connected.map_or(News::Lost("the part that looks at the links"), News::Linked),
            Some(command) = self.commands.recv() => News::Command(command),
            ready = self.reloads.ready() => News::Reload(Box::new(ready)),
            () = clock.sleep_until(planned) => News::Tick,
            () = filled => News::Tick,
        }
    }

    /// When the next tick has something to do, if nothing comes in before.
    fn next(&mut self, earliest: Mono) -> Mono {
        let due = self.schedule.next().map(|at| at.minus(AHEAD));
        let times = [due, self.monitor.poll_timeout(), self.checks.next()];
        times.into_iter().flatten().min().map_or(earliest.plus(ROUND), |at| at.min(earliest.plus(ROUND))).max(earliest)
    }

    pub(super) fn tick(&mut self, now: Now, planned: Mono) {
        let stalled = now.mono.since(planned) > STALL;
        let silence = Silence::Is(if stalled { Cause::Stalled } else { Cause::NoResult });
        let samples = self.collect(now, silence);
        self.take(now, samples);
        if self.monitor.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.monitor.handle_timeout(now);
        }
        self.hand_out(now, stalled);
        self.sinks.complain(now);
        self.carry_out(now);
    }

    fn collect(&mut self, now: Now, silence: Silence) -> Vec<Sample> {
        let mut batch = mem::take(&mut self.spare);
        self.inbox.swap(&mut batch);
        for place in batch.panicked.drain(..) {
            if let Some(prober) = self.probers.get_mut(place)
                && prober.complained.is_none_or(|at| now.mono.since(at) >= COMPLAIN_EVERY)
            {
                prober.complained = Some(now.mono);
                let message = format!("the probe {:?} panicked; this is a defect in it", prober.name);
                tracing::error!("{message}");
                self.sinks.event(Event::Trouble { at: now.wall, component: "probes", message });
            }
        }
        let samples = self.checks.collect(now.mono, &mut batch, silence);
        self.spare = batch;
        let mut missing = None;
        for (prober, returned) in self.probers.iter_mut().zip(self.checks.returned()) {
            prober.returns.learn(now.mono, returned.heard, returned.missed);
            missing = [missing, prober.returns.missing_since()].into_iter().flatten().min();
        }
        self.running.0.results_missing(missing);
        samples
    }

    fn take(&mut self, now: Now, samples: Vec<Sample>) {
        if !samples.is_empty() {
            // The monitor and every sink read the same memory.
            let samples = Arc::new(samples);
            self.sinks.samples(&samples);
            self.monitor.handle_samples(now, &samples);
        }
    }

    /// Hands out the checks that begin soon. Those that a standstill made late are not made.
    fn hand_out(&mut self, now: Now, stalled: bool) {
        let mut due = Vec::new();
        if self.schedule.next().is_some_and(|at| at.plus(TICK) < now.mono) {
            self.schedule.skip_to(now.mono, &mut due);
            let cause = if stalled { Cause::Stalled } else { Cause::NotSent };
            for Due { target, at, .. } in due.drain(..) {
                let pings = self.plan.target(target).map_or(1, |target| target.settings.pings);
                self.checks.not_made(target, at, pings, cause);
            }
        }
        self.schedule.poll_due(now.mono.plus(AHEAD), &mut due);
        let mut slices: BTreeMap<usize, Vec<Check>> = BTreeMap::new();
        let count = due.len();
        for Due { target: id, at, .. } in due {
            let Some(target) = self.plan.target(id) else { continue };
            let Some(settings) = self.monitor.settings_of(id) else { continue };
            let prober = self.prober_of.get(id.index()).copied().unwrap_or(0);
            let opened = self.addresses.of(id, now.mono).and_then(|address| {
                let check = self.checks.open(prober, id, at, &settings).ok_or(Cause::NoResult)?;
                Ok(Check::planned(check, id, self.plan.clone(), address, at, settings))
            });
            match opened {
                Ok(check) => slices.entry(prober).or_insert_with(|| Vec::with_capacity(count)).push(check),
                Err(cause) => self.checks.not_made(id, at, target.settings.pings, cause),
            }
        }
        for (place, checks) in slices {
            if let Some(prober) = self.probers.get(place) {
                self.slices.hand_over(now.mono, place, prober.probe.clone(), checks);
            }
        }
    }

    /// Carries out what the monitor has decided, in its order.
    pub(super) fn carry_out(&mut self, now: Now) {
        while let Some(output) = self.monitor.poll_output() {
            match output {
                Output::Commit(commit) => self.journal.commit(commit),
                Output::Transition(transition) => self.sinks.transition(transition),
                Output::Event(event) => self.sinks.event(event),
                Output::Compose(draft) => {
                    if let Some(Done::Composed { mail, content, remarks }) = self.deliveries.compose(draft) {
                        self.composed(now, remarks);
                        self.monitor.handle_composed(now, mail, content);
                    }
                }
                Output::Deliver(notification) => self.deliveries.deliver(notification),
                Output::AskWitnesses => self.witnesses.ask(),
            }
        }
        self.sinks.flush();
    }

    fn composed(&mut self, now: Now, remarks: Vec<String>) {
        for message in remarks {
            self.sinks.event(Event::Trouble { at: now.wall, component: "render", message });
        }
    }

    fn committed(&mut self, answer: Answer) -> Option<String> {
        let now = self.clock.now();
        match &answer.result {
            Ok(()) => self.monitor.handle_committed(now, answer.seq),
            Err(error) => self.monitor.handle_commit_failed(now, answer.seq, error),
        }
        self.carry_out(now);
        if answer.warning != self.warning && answer.result.is_ok() {
            self.sinks.event(Event::Journal { failing_since: None, error: answer.warning.clone() });
        }
        // What was said before a failure is said again after it.
        self.warning = answer.warning;
        answer.result.err()
    }

    fn done(&mut self, done: Done) {
        let now = self.clock.now();
        match done {
            Done::Composed { mail, content, remarks } => {
                self.composed(now, remarks);
                self.monitor.handle_composed(now, mail, content);
            }
            Done::Delivered { mail, result, remark } => {
                if let Some(message) = remark {
                    self.sinks.event(Event::Trouble { at: now.wall, component: "notifier", message });
                }
                self.monitor.handle_delivered(now, mail, result);
            }
        }
        self.carry_out(now);
    }

    /// Half a netwatch is worse than none, which is missed: it ends, with what can be saved.
    async fn lost(self, part: &'static str, last_failure: Option<String>) -> Result<(), RunError> {
        tracing::error!("{part} panicked, which is a defect in it; netwatch ends");
        let saved = self.finish(last_failure).await;
        let unsaved = saved.err().map(|error| format!("; {error}")).unwrap_or_default();
        Err(RunError::Panicked { message: format!("{part} panicked{unsaved}") })
    }

    /// Ends in order, each step bounded: checks under way are dropped (they tell nothing), mails under way get a
    /// moment (one that is cut off stays frozen and is sent again), the journal gets what is unsaved, then the sinks
    /// finish.
    async fn finish(mut self, mut last_failure: Option<String>) -> Result<(), RunError> {
        let begun = Instant::now();
        self.turn_away();
        self.slices.stop();
        let now = self.clock.now();
        let samples = self.collect(now, Silence::Untold);
        self.take(now, samples);
        self.carry_out(now);
        let _ = timeout_at(begun + STOP_MAILS, async {
            while !self.deliveries.is_idle() {
                tokio::select! {
                    done = self.deliveries.done() => self.done(done),
                    Some(answer) = self.journal.answer() => last_failure = self.committed(answer),
                }
            }
        })
        .await;
        self.deliveries.close();
        let now = self.clock.now();
        self.monitor.handle_stop(now);
        self.carry_out(now);
        let answered = timeout_at(begun + STOP_JOURNAL, async {
            while self.journal.waiting() > 0 {
                let Some(answer) = self.journal.answer().await else { break };
                last_failure = self.committed(answer);
            }
            self.journal.close().await;
        });
        let answered = answered.await.is_ok();
        if timeout_at(begun + STOP_SINKS, self.sinks.stop()).await.is_err() {
            tracing::warn!("not every sink came to its end in time");
        }
        match (answered, last_failure) {
            (true, None) => Ok(()),
            (true, Some(reason)) => Err(RunError::NotSaved { reason }),
            (false, _) => Err(RunError::NotSaved { reason: "the journal gave no answer in time".into() }),
        }
    }
}
