//! Which checks are under way: every check that is handed out comes back as exactly one sample.
//!
//! Probes are other people's code. They may report twice, late, for the wrong target, with nothing in it, or not at
//! all; whatever they do, a check ends once, and never as a silence that nobody observed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::moves::Moves;
use super::slab::{Open, Slab};
use crate::model::{Cause, Mono, Sample, Settings, TargetId};
use crate::probe::{CheckId, Report};

/// How long after its deadline a check may still be reported.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// How many checks of one target may be under way: one that ends while the next begins. A check that fills its whole
/// interval needs this, and nothing needs more.
const PER_TARGET: u8 = 2;

/// Where probes put their samples. Reporting takes a lock for the time of a copy, and wakes the driver.
#[derive(Default)]
pub(super) struct Inbox {
    batch: Mutex<Batch>,
    wake: Notify,
}

/// What came in since the last look.
#[derive(Default)]
pub(super) struct Batch {
    samples: Vec<(CheckId, Sample)>,
    ended: Vec<CheckId>,
    /// The probes that panicked, by their place in the driver's list.
    pub(super) panicked: Vec<usize>,
}

impl Inbox {
    /// These checks will not be reported any more: their slice is over.
    pub(super) fn ended(&self, checks: impl Iterator<Item = CheckId>) {
        self.lock().ended.extend(checks);
        self.wake.notify_one();
    }

    /// The probe at this place panicked.
    pub(super) fn panicked(&self, probe: usize) {
        self.lock().panicked.push(probe);
        self.wake.notify_one();
    }

    /// Swaps what came in with `spare`, whose memory is used again.
    pub(super) fn swap(&self, spare: &mut Batch) {
        spare.samples.clear();
        spare.ended.clear();
        spare.panicked.clear();
        mem::swap(&mut *self.lock(), spare);
    }

    /// Returns when something has come in.
    pub(super) async fn filled(&self) {
        self.wake.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report for Inbox {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        self.lock().samples.extend_from_slice(samples);
        self.wake.notify_one();
    }
}

/// What becomes of checks of which nothing was heard and nothing will be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Silence {
    /// They are unknown, for this cause.
    Is(Cause),
    /// Nothing: netwatch itself dropped them, at its end.
    Untold,
}

/// The book of checks under way.
pub(super) struct Checks {
    slab: Slab,
    busy: Vec<u8>,
    /// The checks in the order in which they are given up, for each time that they may take. Those of one time begin
    /// in order, save for those that are handed out together: such a one is given up later by a tick at most.
    give_up: BTreeMap<Duration, VecDeque<CheckId>>,
    /// When the latest check began whose sample is out, for each target.
    told: Vec<Mono>,
    /// Finished before their time: checks are handed out a little ahead, and some probes do not wait.
    early: Vec<Sample>,
    /// When the first of these has its time.
    early_next: Option<Mono>,
    /// Under which id the target of a check was asked, where it has another one since a reload.
    asked_as: HashMap<CheckId, TargetId>,
    returned: Vec<Returned>,
}

/// Whether checks of one probe came back since that was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Returned {
    /// One did with a result of its own, be it too late.
    pub(super) heard: bool,
    /// One ended without.
    pub(super) missed: bool,
}

impl Checks {
    /// An empty book for this many targets.
    pub(super) fn new(targets: usize) -> Checks {
        Checks {
            slab: Slab::with_room(targets),
            busy: vec![0; targets],
            give_up: BTreeMap::new(),
            told: vec![Mono::ZERO; targets],
            early: Vec::new(),
            early_next: None,
            asked_as: HashMap::new(),
            returned: Vec::new(),
        }
    }

    /// For each probe, by its place, whether checks came back since the last call; those at the end that are not there
    /// have nothing to tell.
    pub(super) fn returned(&mut self) -> impl Iterator<Item = Returned> + '_ {
        self.returned.iter_mut().map(mem::take)
    }

    fn note(&mut self, prober: u8, heard: bool) {
        let place = usize::from(prober);
        if self.returned.len() <= place {
            self.returned.resize(place.saturating_add(1), Returned::default());
        }
        if let Some(returned) = self.returned.get_mut(place) {
            returned.heard |= heard;
            returned.missed |= !heard;
        }
    }

    /// Goes on under another plan: what is under way belongs to the new ids from now on, and what is not wanted any
    /// more has ended without a word.
    pub(super) fn follow(&mut self, moves: &Moves<'_>) {
        let Checks { slab, busy, asked_as, .. } = self;
        busy.clear();
        busy.resize(moves.targets(), 0);
        slab.retain(|id, check| {
            let Some(target) = moves.check(check.target) else {
                asked_as.remove(&id);
                return false;
            };
            if target != check.target {
                asked_as.entry(id).or_insert(check.target);
                check.target = target;
            }
            if let Some(busy) = busy.get_mut(target.index()) {
                *busy = busy.saturating_add(1);
            }
            true
        });
        for queue in self.give_up.values_mut() {
            queue.retain(|id| self.slab.get(*id).is_some());
        }
        self.give_up.retain(|_, queue| !queue.is_empty());
        let mut told = vec![Mono::ZERO; moves.targets()];
        for (old, at) in self.told.iter().enumerate() {
            let place = moves.target(TargetId::from_index(old)).and_then(|new| told.get_mut(new.index()));
            place.into_iter().for_each(|place| *place = *at);
        }
        self.told = told;
        self.early.retain_mut(|sample| match moves.check(sample.target) {
            Some(target) => {
                sample.target = target;
                true
            }
            None => false,
        });
        self.early_next = self.early.iter().map(|sample| sample.ended).min();
    }

    /// Opens a check by the probe at this place, unless the target's earlier ones are still under way.
    pub(super) fn open(&mut self, prober: usize, target: TargetId, at: Mono, settings: &Settings) -> Option<CheckId> {
        let prober = u8::try_from(prober).unwrap_or(u8::MAX);
        let busy = self.busy.get_mut(target.index())?;
        if *busy >= PER_TARGET {
            return None;
        }
        *busy = busy.saturating_add(1);
        let id = self.slab.insert(Open { target, at, pings: settings.pings, prober, given_up: false })?;
        self.give_up.entry(settings.check_duration()).or_default().push_back(id);
        Some(id)
    }

    /// A check that cannot be made: it ends, unknown, at the moment it was planned for.
    pub(super) fn not_made(&mut self, target: TargetId, at: Mono, pings: u16, cause: Cause) {
        self.put_early(Sample::unknown(target, at, at, pings, cause));
    }

    /// Takes in what was reported; gives the sample of every check that has ended by now, in the order in which they
    /// began.
    ///
    /// A check that ends after the target's next one has ended is left out: old news must not pass for new.
    pub(super) fn collect(&mut self, now: Mono, batch: &mut Batch, silence: Silence) -> Vec<Sample> {
        let mut out = Vec::with_capacity(batch.samples.len());
        self.gather(now, batch, silence, &mut out);
        out.sort_by_key(|sample| sample.at);
        out.retain(|sample| {
            let Some(told) = self.told.get_mut(sample.target.index()) else { return false };
            let news = sample.at >= *told;
            *told = sample.at.max(*told);
            news
        });
        out
    }

    /// When the next check is given up, or the next early sample has its time.
    pub(super) fn next(&mut self) -> Option<Mono> {
        let slab = &self.slab;
        let given_up = self.give_up.iter_mut().filter_map(|(lasts, queue)| {
            while queue.front().is_some_and(|id| slab.get(*id).is_none()) {
                queue.pop_front();
            }
            Some(slab.get(*queue.front()?)?.at.plus(*lasts).plus(GRACE))
        });
        given_up.chain(self.early_next).min()
    }

    fn gather(&mut self, now: Mono, batch: &mut Batch, silence: Silence, out: &mut Vec<Sample>) {
        self.release(now, out);
        for (id, sample) in batch.samples.drain(..) {
            let asked_as = self.asked_as.get(&id).copied();
            let Some(check) = self.close(id) else { continue };
            let asked_as = asked_as.unwrap_or(check.target);
            self.note(check.prober, is_sound(asked_as, &sample));
            if check.given_up {
                continue;
            }
            let sample = accept(now, &check, asked_as, sample);
            if sample.ended > now { self.put_early(sample) } else { out.push(sample) }
        }
        let Silence::Is(silence) = silence else { return };
        for id in batch.ended.drain(..) {
            let Some(check) = self.close(id) else { continue };
            self.missed(check.prober, silence);
            if !check.given_up {
                out.push(Sample::unknown(check.target, check.at, now, check.pings, silence));
            }
        }
        self.expire(now, silence, out);
    }

    /// A check ended without a result. Where netwatch itself stood still that is no wonder.
    fn missed(&mut self, prober: u8, silence: Cause) {
        if silence != Cause::Stalled {
            self.note(prober, false);
        }
    }

    fn close(&mut self, id: CheckId) -> Option<Open> {
        let check = self.slab.remove(id)?;
        self.asked_as.remove(&id);
        if let Some(busy) = self.busy.get_mut(check.target.index()) {
            *busy = busy.saturating_sub(1);
        }
        Some(check)
    }

    fn put_early(&mut self, sample: Sample) {
        self.early_next = Some(self.early_next.map_or(sample.ended, |next| next.min(sample.ended)));
        self.early.push(sample);
    }

    fn release(&mut self, now: Mono, out: &mut Vec<Sample>) {
        if self.early_next.is_some_and(|next| next <= now) {
            out.extend(self.early.extract_if(.., |sample| sample.ended <= now));
            self.early_next = self.early.iter().map(|sample| sample.ended).min();
        }
    }

    fn expire(&mut self, now: Mono, silence: Cause, out: &mut Vec<Sample>) {
        let mut missed = Vec::new();
        for (lasts, queue) in &mut self.give_up {
            while let Some(id) = queue.front() {
                if let Some(check) = self.slab.get_mut(*id) {
                    if check.at.plus(*lasts).plus(GRACE) > now {
                        break;
                    }
                    if !mem::replace(&mut check.given_up, true) {
                        missed.push(check.prober);
                        out.push(Sample::unknown(check.target, check.at, now, check.pings, silence));
                    }
                }
                queue.pop_front();
            }
        }
        self.give_up.retain(|_, queue| !queue.is_empty());
        missed.into_iter().for_each(|prober| self.missed(prober, silence));
    }
}

/// When a check that begins at `at` is given up.
pub(super) fn give_up_at(at: Mono, settings: &Settings) -> Mono {
    at.plus(settings.check_duration()).plus(GRACE)
}

/// What a probe reported of the target that it was to ask as `asked_as`, made fit for the logic: of the right target and
/// plan, with echoes, and not from the future.
///
/// A sample without echoes, or of another target, tells nothing of this one. "Every echo was lost" is true of no echo
/// at all, so it must not get further than this.
fn accept(now: Mono, check: &Open, asked_as: TargetId, mut sample: Sample) -> Sample {
    if !is_sound(asked_as, &sample) {
        return Sample::unknown(check.target, check.at, now, check.pings, Cause::NoResult);
    }
    sample.target = check.target;
    sample.at = check.at;
    sample.ended = sample.ended.min(now.max(check.at));
    sample.last_reply = sample.last_reply.map(|reply| reply.min(sample.ended));
    sample
}

/// Whether this says anything of the target that was asked.
fn is_sound(asked_as: TargetId, sample: &Sample) -> bool {
    sample.target == asked_as && !sample.echoes.is_empty()
}

#[cfg(test)]
mod tests;
