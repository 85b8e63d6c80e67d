//! Whether a router limits the rate of our echoes: loss that its group's devices share, and that falls when they are asked
//! half as fast, is ours to avoid and not theirs to be blamed for.
//!
//! Several devices of a group that lose some echoes, check after check, start a trial: loss is counted at the full rate,
//! at half of it (half the pings, in the same interval), and at the full rate again. Only if it was less than half in the
//! middle is a limiter suspected: loss that merely passed does not come back. Then the group keeps the half rate, and the
//! full one is tried again after an hour. An outage starts no trial: what is silent loses everything, or nothing.
//!
//! A limiter that lets less than a quarter through is not found: at half the rate it still drops most.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Echo, Event, GroupId, Mono, Plan, Sample, Settings, TargetId, Wall};

/// Fewer pings cannot be halved and still tell loss from silence.
const LEAST_PINGS: u16 = 4;
/// How many devices must lose some echoes in an interval,
const LEAST_LOSSY: u32 = 2;
/// and for how many intervals in a row, to start a trial.
const LEAST_STREAK: u32 = 3;
/// How many lost echoes a count needs (or would need, if the loss had stayed): chance makes half of it of 60 in fewer than
/// one of ten thousand trials.
const EVIDENCE: f64 = 60.0;
/// More loss than this is something else.
const MOST_LOSS: f64 = 0.6;
/// A count that takes more intervals than this tells nothing.
const MOST_INTERVALS: u32 = 120;
/// How long a verdict holds before the next trial.
const HOLD: Duration = Duration::from_secs(3600);

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
                    "group {name:?}: loss falls from {:.0} % to {:.0} % when we ask half as fast: a rate limiter is likely, which \
                     lets about {passes} echoes a second through. Its devices are asked with half their pings for now, and the full \
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
    /// Settings, and the same with half the pings.
    halved: Vec<(Arc<Settings>, Arc<Settings>)>,
}

#[derive(Debug, Clone)]
struct Router {
    suspected: bool,
    phase: Phase,
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
        let router = Router { suspected: false, phase: Phase::watching(Mono::ZERO) };
        Limiters { groups: vec![router; plan.groups.len()], busy: 0, halved: Vec::new() }
    }

    /// How a target is to be asked now: as the plan says, or with half the pings.
    pub(super) fn settings(&mut self, plan: &Plan, target: TargetId) -> Option<Arc<Settings>> {
        let target = plan.target(target)?;
        let group = target.group.filter(|_| self.busy > 0);
        let is_half = group.and_then(|group| self.groups.get(group.index())).is_some_and(|it| it.phase.is_half());
        if !is_half || target.settings.pings < LEAST_PINGS {
            return Some(target.settings.clone());
        }
        if let Some((_, half)) = self.halved.iter().find(|(whole, _)| Arc::ptr_eq(whole, &target.settings)) {
            return Some(half.clone());
        }
        let half = Arc::new(Settings { pings: target.settings.pings / 2, ..(*target.settings).clone() });
        self.halved.push((target.settings.clone(), half.clone()));
        Some(half)
    }

    /// A check has ended. Of a target that `was_down` before it, silence is no news.
    pub(super) fn take(&mut self, now: Mono, plan: &Plan, sample: &Sample, was_down: bool) -> Option<Finding> {
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
        let target = plan.target(sample.target).filter(|target| target.settings.pings >= LEAST_PINGS)?;
        let group = target.group?;
        let router = self.groups.get_mut(group.index())?;
        let was_busy = !matches!(router.phase, Phase::Watching { .. });
        let counts = check.answered > 0 || !was_down;
        let seen = Seen { now, at: sample.at, check: counts.then_some(check), is_lossy };
        let finding = router.take(group, seen, target.settings.interval);
        let is_busy = !matches!(router.phase, Phase::Watching { .. });
        self.busy = self.busy.saturating_add(usize::from(is_busy)).saturating_sub(usize::from(was_busy));
        finding
    }
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
                    let next = seen.at.since(*round) < interval.saturating_mul(2) && *lossy >= LEAST_LOSSY;
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
                    Step::Again if share <= *half * 2.0 => return self.end(group, now),
                    Step::Again => {
                        let (full, half) = (*full, *half);
                        self.phase = Phase::Held { until: now.plus(HOLD) };
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
        self.phase = Phase::watching(now.plus(HOLD));
        std::mem::take(&mut self.suspected).then_some(Finding::Cleared { group })
    }
}

#[cfg(test)]
#[path = "limiter/tests.rs"]
mod tests;
