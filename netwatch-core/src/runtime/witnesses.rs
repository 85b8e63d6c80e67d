//! Asks the witnesses: the addresses that tell whether netwatch itself is cut off.
//!
//! They are asked beside everything else, by a task of their own that shares only the probe with the normal checks. To
//! the probe they are targets of a plan that holds nothing else.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::checks::{Inbox, give_up_at};
use super::clock::Clock;
use super::driver::Prober;
use super::resolve::{Addresses, Lookup, Resolver};
use crate::logic::Verdict;
use crate::model::{Host, Mono, Plan, Sample, Settings, Target, TargetId, Testimony, WitnessId};
use crate::probe::{Check, CheckId, Probe, Report};

/// How often every witness is asked.
const EVERY: Duration = Duration::from_secs(2);
/// How often at most they are asked beside that.
const APART: Duration = Duration::from_millis(200);
/// How far ahead of its time a check is handed to the probe.
const AHEAD: Duration = Duration::from_millis(50);
/// The probe that asks, if there is one of this name.
const PROBE: &str = "icmp";

/// What asking a witness gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) witness: WitnessId,
    /// When the check began.
    pub(super) at: Mono,
    pub(super) testimony: Testimony,
}

/// What they need of the runtime.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) clock: Clock,
    pub(super) lookup: Lookup,
    /// Where a probe that panics is told of.
    pub(super) inbox: Arc<Inbox>,
    /// The probe, and its place in the driver's list; `None` if there is none at all.
    pub(super) probe: Option<(usize, Arc<dyn Probe>)>,
}

/// Who asks the witnesses: the probe that pings, or else the first one.
pub(super) fn prober(probers: &[Prober]) -> Option<(usize, Arc<dyn Probe>)> {
    let place = probers.iter().position(|prober| &*prober.name == PROBE).unwrap_or(0);
    Some((place, probers.get(place)?.probe.clone()))
}

/// The witnesses of a plan. They are asked for as long as this is held.
pub(super) struct Witnesses {
    answers: UnboundedReceiver<Answer>,
    ask: Arc<Notify>,
    task: JoinSet<()>,
}

impl Witnesses {
    /// Begins to ask; call it in a tokio runtime.
    ///
    /// # Errors
    /// When the thread that looks up their names cannot be started.
    pub(super) fn spawn(hosts: &[Host], asking: Asking) -> io::Result<Witnesses> {
        let (out, answers) = unbounded_channel();
        let (ask, mut task) = (Arc::new(Notify::new()), JoinSet::new());
        if let Some((place, probe)) = asking.probe.clone().filter(|_| !hosts.is_empty()) {
            let target = |(index, host): (usize, &Host)| Target::new(format!("witness {}", index + 1), host.clone());
            let plan = Arc::new(Plan::new(hosts.iter().enumerate().map(target).collect()));
            let addresses = Addresses::new(&plan);
            let resolver = addresses.resolve(asking.lookup)?;
            let rounds = Rounds { out, plan, addresses, probe, place, numbers: u64::MAX, asking };
            task.spawn(rounds.run(resolver, ask.clone()));
        }
        Ok(Witnesses { answers, ask, task })
    }

    /// Asks every witness now, or as soon as it is not too often.
    pub(super) fn ask(&self) {
        self.ask.notify_one();
    }

    /// The next answer; waits for ever if there is nobody to ask. `None` if the task that asks is gone: it panicked.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        match self.answers.recv().await {
            Some(answer) => Some(answer),
            None if !self.task.is_empty() => None,
            None => std::future::pending().await,
        }
    }
}

/// Makes the checks, round by round.
struct Rounds {
    out: UnboundedSender<Answer>,
    plan: Arc<Plan>,
    addresses: Addresses,
    probe: Arc<dyn Probe>,
    place: usize,
    /// The number of the latest check, counted down: the driver counts its own up, and they never meet.
    numbers: u64,
    asking: Asking,
}

impl Rounds {
    async fn run(mut self, mut resolver: Resolver, ask: Arc<Notify>) {
        let clock = self.asking.clock;
        let (full, single) = (Arc::new(full()), Arc::new(single()));
        let (mut next, mut free) = (clock.now().mono, clock.now().mono);
        let mut rounds = JoinSet::new();
        loop {
            let asked = async {
                clock.sleep_until(free).await;
                ask.notified().await;
            };
            let (at, settings) = tokio::select! {
                found = resolver.found() => {
                    // Without names some witnesses would never be asked again: whoever waits for answers learns of it.
                    let Some(found) = found else { return };
                    self.addresses.learn(&found);
                    continue;
                }
                Some(_ended) = rounds.join_next() => continue,
                () = asked => {
                    let now = clock.now().mono;
                    free = now.plus(APART);
                    (now, &single)
                }
                () = clock.sleep_until(next) => {
                    let now = clock.now().mono;
                    // What a standstill missed is not caught up.
                    next = if now.since(next) < EVERY { next.plus(EVERY) } else { now.plus(EVERY) };
                    (now.plus(AHEAD), &full)
                }
            };
            rounds.spawn(self.round(at, settings));
        }
    }

    /// One check of every witness; it ends when all have answered, or their time is over.
    fn round(&mut self, at: Mono, settings: &Arc<Settings>) -> impl Future<Output = ()> + Send + use<> {
        let (now, mut checks) = (self.asking.clock.now().mono, Vec::new());
        for index in 0..self.plan.targets.len() {
            let (target, witness) = (TargetId::from_index(index), WitnessId::from_index(index));
            let Ok(address) = self.addresses.of(target, now) else {
                let _ = self.out.send(Answer { witness, at, testimony: Testimony::Missing });
                continue;
            };
            self.numbers = self.numbers.wrapping_sub(1);
            let id = CheckId::new(self.numbers);
            checks.push(Check::planned(id, target, self.plan.clone(), address, at, settings.clone()));
        }
        let open = checks.iter().map(|check| (check.id, check.target)).collect();
        let hearing = Hearing { at, out: self.out.clone(), open: std::sync::Mutex::new(open) };
        let (probe, place, inbox) = (self.probe.clone(), self.place, self.asking.inbox.clone());
        let limit = give_up_at(at, settings).since(now);
        async move {
            let asked = AssertUnwindSafe(probe.check_many(checks, &hearing)).catch_unwind();
            if let Ok(Err(_panic)) = timeout(limit, asked).await {
                inbox.panicked(place);
            }
        }
    }
}

/// Three echoes, that one lost on the way does not make a witness silent.
fn full() -> Settings {
    let spacing = Duration::from_millis(300);
    Settings { interval: EVERY, pings: 3, spacing, ..single() }
}

/// One echo.
fn single() -> Settings {
    Settings { interval: EVERY, pings: 1, timeout: Duration::from_secs(1), ..Settings::default() }
}

/// Hears the witnesses of one round. Who was not heard at its end is missing.
struct Hearing {
    at: Mono,
    out: UnboundedSender<Answer>,
    open: std::sync::Mutex<Vec<(CheckId, TargetId)>>,
}

impl Hearing {
    fn tell(&self, target: TargetId, testimony: Testimony) {
        let witness = WitnessId::from_index(target.index());
        // An error says only that nobody listens any more.
        let _ = self.out.send(Answer { witness, at: self.at, testimony });
    }
}

impl Report for Hearing {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (id, sample) in samples {
            let Some(place) = open.iter().position(|(asked, _)| asked == id) else { continue };
            let (_, target) = open.swap_remove(place);
            let testimony = match Verdict::of(sample) {
                Verdict::Answered => Testimony::Answered,
                Verdict::Silent => Testimony::Silent,
                Verdict::Unknown(_) => Testimony::Missing,
            };
            self.tell(target, if sample.target == target { testimony } else { Testimony::Missing });
        }
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        let open = std::mem::take(self.open.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner));
        open.into_iter().for_each(|(_, target)| self.tell(target, Testimony::Missing));
    }
}

#[cfg(test)]
mod tests;
