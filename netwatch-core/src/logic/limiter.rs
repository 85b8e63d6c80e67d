//! Whether a router limits the rate of our echoes: loss that its group's devices share, and that falls when they are asked
//! half as fast, is ours to avoid and not theirs to be blamed for.
//!
//! Several devices of a group that lose some echoes, check after check, start a trial: loss is counted at the full rate,
//! at about half of it (half the pings, but three at least, in the same interval), and at the full rate again. Only if it
//! was less than half in the middle is a limiter suspected: loss that merely passed does not come back. Then the group
//! keeps the half rate, and the full one is tried again after an hour. A trial that finds nothing doubles the wait for the
//! next. An outage neither starts a trial nor counts in one: what is silent loses everything.
//!
//! **A trial never makes an outage due that full checks would not have.** Fewer pings are all lost by chance far more
//! often, so a halved check that lost all of them proves nothing: it opens no outage and adds no silence to one. It only
//! puts its device in doubt, which is then asked in full until it has answered, as is every device that does not answer,
//! has an open outage or was not heard of yet. The silence that counts begins when the last reply to a full check could
//! still have come. The price is that an outage which begins at the half rate is told about one interval later. That a
//! device loses some echoes is no reason to ask it in full: behind a limiter they all do.
//!
//! A limiter that lets less than two fifths through is not found: more loss than that is taken for something else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Echo, Event, GroupId, Mono, Plan, Sample, Settings, TargetId, Wall};

/// Fewer pings cannot be halved and still tell loss from silence.
const LEAST_PINGS: u16 = 4;
/// A halved check has as many at least.
const LEAST_HALVED: u16 = 3;
/// How many devices must lose some echoes in an interval,
const LEAST_LOSSY: usize = 2;
/// or, of a larger group, one in how many of its members,
const LOSSY_ONE_IN: usize = 20;
/// and for how many intervals in a row, to start a trial.
const LEAST_STREAK: u32 = 3;
/// How many lost echoes a count needs (or would need, if the loss had stayed): chance makes half of it of 60 in fewer than
/// one of ten thousand trials.
const EVIDENCE: f64 = 60.0;
/// More loss than this is something else.
const MOST_LOSS: f64 = 0.6;
/// A count that takes more intervals than this tells nothing.
const MOST_INTERVALS: u32 = 120;
/// How long a verdict holds before the next trial,
const HOLD: Duration = Duration::from_secs(3600);
/// and at most, when one trial after another finds nothing.
const MOST_HOLD: Duration = Duration::from_secs(24 * 3600);

/// A verdict on the router before a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Finding {
    /// Loss falls at half the rate.
    Suspected {
        /// Before whom.
        group: GroupId,
        /// The share of echoes lost at the full rate,
        full: f64,
        /// and at half of it.
        half: f64,
    },
    /// It does not any more.
    Cleared {
        /// Before whom.
        group: GroupId,
    },
}

impl Finding {
    /// What the sinks are told of it.
    pub(super) fn events(self, at: Wall, plan: &Plan) -> [Event; 2] {
        let (group, suspected) = match self {
            Finding::Suspected { group, .. } => (group, true),
            Finding::Cleared { group } => (group, false),
        };
        let name = plan.groups.get(group.index()).map_or("", |group| &*group.name);
        let message = match self {
            Finding::Suspected { full, half, .. } => {
                let members = plan.targets.iter().filter(|target| target.group == Some(group));
                let passes = ((1.0 - full) * Plan::echoes_per_second_of(members)).floor().max(1.0);
                format!(
                    "group {name:?}: loss falls from {:.0} % to {:.0} % when we ask with fewer pings: a rate limiter is likely, which \
                     lets about {passes} echoes a second through. Its devices are asked with fewer pings for now, and the full \
                     rate is tried again in an hour; set router_rate = {passes}, and lower pings or lengthen interval to keep it",
                    full * 100.0,
                    half * 100.0
                )
            }
            Finding::Cleared { .. } => {
                format!(
                    "group {name:?}: no rate limiter is suspected any more; its devices are asked at the full rate again"
                )
            }
        };
        [Event::Limiter { at, group, suspected }, Event::Trouble { at, component: "limiter", message }]
    }
}

/// The routers before all groups.
#[derive(Debug)]
pub(super) struct Limiters {
    groups: Vec<Router>,
    /// How many groups are in a trial or held at half the rate.
    busy: usize,
    /// By their place in memory, where what is kept holds them: settings, and the same with half the pings.
    halved: HashMap<usize, (Arc<Settings>, Arc<Settings>)>,
}

#[derive(Debug, Clone)]
struct Router {
    suspected: bool,
    phase: Phase,
    /// So many devices must lose some echoes in an interval.
    least_lossy: u32,
    /// How long the next trial waits if this one finds nothing.
    wait: Duration,
}

#[derive(Debug, Clone)]
enum Phase {
    Watching { round: Mono, lossy: u32, streak: u32, not_before: Mono },
    Counting { step: Step, from: Mono, tally: Tally, full: f64, half: f64 },
    Held { until: Mono },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Full,
    Half,
    Again,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    answered: u32,
    lost: u32,
}

impl Tally {
    fn share(self) -> f64 {
        f64::from(self.lost) / f64::from(self.sent().max(1))
    }

    fn sent(self) -> u32 {
        self.answered.saturating_add(self.lost)
    }
}

impl Phase {
    fn watching(not_before: Mono) -> Phase {
        Phase::Watching { round: Mono::ZERO, lossy: 0, streak: 0, not_before }
    }

    /// Counts from the next interval on, when all checks under way were begun at this rate.
    fn counting(step: Step, now: Mono, interval: Duration, [full, half]: [f64; 2]) -> Phase {
        Phase::Counting { step, from: now.plus(interval), tally: Tally::default(), full, half }
    }

    fn is_half(&self) -> bool {
        matches!(self, Phase::Held { .. } | Phase::Counting { step: Step::Half, .. })
    }
}

impl Limiters {
    /// Nothing is suspected of anybody.
    pub(super) fn new(plan: &Plan) -> Limiters {
        let mut members = vec![0_usize; plan.groups.len()];
        for target in plan.targets.iter().filter(|target| can_be_halved(&target.settings) && !target.paused) {
            if let Some(count) = target.group.and_then(|group| members.get_mut(group.index())) {
                *count = count.saturating_add(1);
            }
        }
        let router = |members: usize| Router {
            suspected: false,
            phase: Phase::watching(Mono::ZERO),
            least_lossy: u32::try_from(members.div_ceil(LOSSY_ONE_IN).max(LEAST_LOSSY)).unwrap_or(u32::MAX),
            wait: HOLD,
        };
        Limiters { groups: members.into_iter().map(router).collect(), busy: 0, halved: HashMap::new() }
    }

    /// How a target is to be asked now: as the plan says, or with half the pings, if it is one that `answers`.
    pub(super) fn settings(&mut self, plan: &Plan, target: TargetId, answers: bool) -> Option<Arc<Settings>> {
        let target = plan.target(target)?;
        let group = target.group.filter(|_| self.busy > 0 && answers);
        let is_half = group.and_then(|group| self.groups.get(group.index())).is_some_and(|it| it.phase.is_half());
        let whole = &target.settings;
        if !is_half || !can_be_halved(whole) {
            return Some(whole.clone());
        }
        let (_, half) = self.halved.entry(Arc::as_ptr(whole).addr()).or_insert_with(|| {
            let half = Settings { pings: halved(whole), ..(**whole).clone() };
            (whole.clone(), Arc::new(half))
        });
        Some(half.clone())
    }

    /// A check has ended.
    pub(super) fn take(&mut self, now: Mono, plan: &Plan, sample: &Sample) -> Option<Finding> {
        let mut check = Tally::default();
        for echo in sample.echoes.iter() {
            match echo {
                Echo::Reply(_) => check.answered = check.answered.saturating_add(1),
                Echo::Lost(_) => check.lost = check.lost.saturating_add(1),
                Echo::Unknown(_) => {}
            }
        }
        let is_lossy = check.lost > 0 && check.answered > 0;
        if self.busy == 0 && !is_lossy {
            return None;
        }
        let target = plan.target(sample.target).filter(|target| can_be_halved(&target.settings))?;
        let group = target.group?;
        let router = self.groups.get_mut(group.index())?;
        let was_busy = !matches!(router.phase, Phase::Watching { .. });
        // Silence is an outage's, whoever is to blame for it.
        let counts = check.answered > 0;
        let seen = Seen { now, at: sample.at, check: counts.then_some(check), is_lossy };
        let finding = router.take(group, seen, target.settings.interval);
        let is_busy = !matches!(router.phase, Phase::Watching { .. });
        self.busy = self.busy.saturating_add(usize::from(is_busy)).saturating_sub(usize::from(was_busy));
        finding
    }
}

fn can_be_halved(settings: &Settings) -> bool {
    settings.pings >= LEAST_PINGS
}

fn halved(settings: &Settings) -> u16 {
    LEAST_HALVED.max(settings.pings / 2)
}

/// Whether a check of a target with these settings was made with half the pings. Probes of other kinds than ICMP have one
/// echo, and no check is halved to as few.
pub(super) fn is_halved(sample: &Sample, settings: &Settings) -> bool {
    can_be_halved(settings) && sample.echoes.len() == usize::from(halved(settings))
}

/// What a check showed of its group's router.
struct Seen {
    now: Mono,
    at: Mono,
    check: Option<Tally>,
    is_lossy: bool,
}

impl Router {
    fn take(&mut self, group: GroupId, seen: Seen, interval: Duration) -> Option<Finding> {
        let now = seen.now;
        match &mut self.phase {
            Phase::Watching { round, lossy, streak, not_before } => {
                if !seen.is_lossy || now < *not_before {
                    return None;
                }
                if seen.at.since(*round) >= interval {
                    let next = seen.at.since(*round) < interval.saturating_mul(2) && *lossy >= self.least_lossy;
                    *streak = if next { streak.saturating_add(1) } else { 0 };
                    (*round, *lossy) = (seen.at, 0);
                }
                *lossy = lossy.saturating_add(1);
                if *streak >= LEAST_STREAK {
                    self.phase = Phase::counting(Step::Full, now, interval, [0.0; 2]);
                }
                None
            }
            Phase::Held { until } => {
                if now >= *until {
                    self.phase = Phase::counting(Step::Full, now, interval, [0.0; 2]);
                }
                None
            }
            Phase::Counting { step, from, tally, full, half } => {
                if let Some(check) = seen.check.filter(|_| seen.at >= *from) {
                    tally.answered = tally.answered.saturating_add(check.answered);
                    tally.lost = tally.lost.saturating_add(check.lost);
                }
                let evidence = match step {
                    Step::Full => f64::from(tally.lost),
                    Step::Half | Step::Again => *full * f64::from(tally.sent()),
                };
                let elapsed = now.since(*from);
                if evidence < EVIDENCE {
                    let is_over = elapsed > interval.saturating_mul(MOST_INTERVALS);
                    return if is_over { self.end(group, now) } else { None };
                }
                let share = tally.share();
                let told = match step {
                    Step::Full if share > MOST_LOSS => return self.end(group, now),
                    Step::Full => [share, 0.0],
                    Step::Half | Step::Again if *step == Step::Half && share >= *full / 2.0 => {
                        return self.end(group, now);
                    }
                    Step::Half => [*full, share],
                    // The loss has to come back as it was, not only to be more than the little that there always is.
                    Step::Again if share <= *half * 2.0 || share < *full / 2.0 => return self.end(group, now),
                    Step::Again => {
                        let (full, half) = (*full, *half);
                        self.phase = Phase::Held { until: now.plus(HOLD) };
                        self.wait = HOLD;
                        let is_news = !std::mem::replace(&mut self.suspected, true);
                        return is_news.then_some(Finding::Suspected { group, full, half });
                    }
                };
                let next = if *step == Step::Full { Step::Half } else { Step::Again };
                self.phase = Phase::counting(next, now, interval, told);
                None
            }
        }
    }

    /// The trial found nothing; the next one is not at once.
    fn end(&mut self, group: GroupId, now: Mono) -> Option<Finding> {
        self.phase = Phase::watching(now.plus(self.wait));
        self.wait = self.wait.saturating_mul(2).min(MOST_HOLD);
        std::mem::take(&mut self.suspected).then_some(Finding::Cleared { group })
    }
}

#[cfg(test)]
#[path = "limiter/tests.rs"]
mod tests;
