//! Which checks are under way: every check that is handed out comes back as exactly one sample.
//!
//! Probes are other people's code. They may report twice, late, for the wrong target, with nothing in it, or not at
//! all; whatever they do, a check ends once, and never as a silence that nobody observed.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

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
        }
    }

    /// Opens a check, unless the target's earlier ones are still under way.
    pub(super) fn open(&mut self, target: TargetId, at: Mono, settings: &Settings) -> Option<CheckId> {
        let busy = self.busy.get_mut(target.index())?;
        if *busy >= PER_TARGET {
            return None;
        }
        *busy = busy.saturating_add(1);
        let id = self.slab.insert(Open { target, at, pings: settings.pings, given_up: false })?;
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
            let Some(check) = self.close(id) else { continue };
            if check.given_up {
                continue;
            }
            let sample = accept(now, &check, sample);
            if sample.ended > now { self.put_early(sample) } else { out.push(sample) }
        }
        let Silence::Is(silence) = silence else { return };
        for id in batch.ended.drain(..) {
            let Some(check) = self.close(id) else { continue };
            if !check.given_up {
                out.push(Sample::unknown(check.target, check.at, now, check.pings, silence));
            }
        }
        self.expire(now, silence, out);
    }

    fn close(&mut self, id: CheckId) -> Option<Open> {
        let check = self.slab.remove(id)?;
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
        for (lasts, queue) in &mut self.give_up {
            while let Some(id) = queue.front() {
                if let Some(check) = self.slab.get_mut(*id) {
                    if check.at.plus(*lasts).plus(GRACE) > now {
                        break;
                    }
                    if !mem::replace(&mut check.given_up, true) {
                        out.push(Sample::unknown(check.target, check.at, now, check.pings, silence));
                    }
                }
                queue.pop_front();
            }
        }
        self.give_up.retain(|_, queue| !queue.is_empty());
    }
}

/// When a check that begins at `at` is given up.
pub(super) fn give_up_at(at: Mono, settings: &Settings) -> Mono {
    at.plus(settings.check_duration()).plus(GRACE)
}

/// What a probe reported, made fit for the logic: of the right target and plan, with echoes, and not from the future.
///
/// A sample without echoes, or of another target, tells nothing of this one. "Every echo was lost" is true of no echo
/// at all, so it must not get further than this.
fn accept(now: Mono, check: &Open, mut sample: Sample) -> Sample {
    if sample.target != check.target || sample.echoes.is_empty() {
        return Sample::unknown(check.target, check.at, now, check.pings, Cause::NoResult);
    }
    sample.at = check.at;
    sample.ended = sample.ended.min(now.max(check.at));
    sample.last_reply = sample.last_reply.map(|reply| reply.min(sample.ended));
    sample
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Echo, Echoes, Loss, Rtt};

    fn target() -> TargetId {
        TargetId::from_index(0)
    }

    fn seconds(seconds: u64) -> Mono {
        Mono::ZERO.plus(Duration::from_secs(seconds))
    }

    fn reply(target: TargetId, at: Mono) -> Sample {
        Sample::new(target, at, at, [Echo::Reply(Rtt::default())].into_iter().collect())
    }

    fn collect(checks: &mut Checks, now: Mono, inbox: &Inbox) -> Vec<Sample> {
        let mut batch = Batch::default();
        inbox.swap(&mut batch);
        checks.collect(now, &mut batch, Silence::Is(Cause::NoResult))
    }

    fn one_open() -> (Checks, Inbox, CheckId) {
        let mut checks = Checks::new(2);
        let id = checks.open(target(), seconds(10), &Settings::default()).expect("the first check of a target");
        (checks, Inbox::default(), id)
    }

    fn is_unknown(sample: &Sample, cause: Cause) -> bool {
        !sample.echoes.is_empty() && sample.echoes.iter().all(|echo| echo == Echo::Unknown(cause))
    }

    #[test]
    fn a_check_reported_twice_counts_once() {
        let (mut checks, inbox, id) = one_open();
        inbox.report(&[(id, reply(target(), seconds(11))), (id, reply(target(), seconds(11)))]);
        assert_eq!(collect(&mut checks, seconds(11), &inbox).len(), 1);
        inbox.report(&[(id, reply(target(), seconds(11)))]);
        inbox.ended([id].into_iter());
        assert!(collect(&mut checks, seconds(12), &inbox).is_empty());
        assert_eq!(checks.next(), None, "nothing is waited for any more");
    }

    #[test]
    fn a_check_that_nobody_reports_is_unknown_after_its_deadline_and_some_slack() {
        let (mut checks, inbox, id) = one_open();
        assert_eq!(checks.next(), Some(seconds(10 + 6 + 1)));
        assert!(collect(&mut checks, seconds(16), &inbox).is_empty());
        let out = collect(&mut checks, seconds(17), &inbox);
        assert!(is_unknown(&out[0], Cause::NoResult) && out[0].at == seconds(10) && out[0].echoes.len() == 5);
        inbox.report(&[(id, reply(target(), seconds(17)))]);
        assert!(collect(&mut checks, seconds(18), &inbox).is_empty(), "what comes after that is too late");
    }

    #[test]
    fn a_slice_that_ends_without_a_word_leaves_unknown() {
        let (mut checks, inbox, id) = one_open();
        inbox.ended([id].into_iter());
        assert!(is_unknown(&collect(&mut checks, seconds(11), &inbox)[0], Cause::NoResult));
    }

    #[test]
    fn no_echo_at_all_is_not_a_silence() {
        let (mut checks, inbox, id) = one_open();
        inbox.report(&[(id, Sample::new(target(), seconds(10), seconds(11), Echoes::new()))]);
        assert!(is_unknown(&collect(&mut checks, seconds(11), &inbox)[0], Cause::NoResult));
    }

    #[test]
    fn a_sample_of_another_target_does_not_speak_for_this_one() {
        let (mut checks, inbox, id) = one_open();
        let other = TargetId::from_index(1);
        let lost = [Echo::Lost(Loss::NoReply)].into_iter().collect();
        inbox.report(&[(id, Sample::new(other, seconds(10), seconds(11), lost))]);
        let out = collect(&mut checks, seconds(11), &inbox);
        assert!(out.len() == 1 && out[0].target == target() && is_unknown(&out[0], Cause::NoResult));
    }

    #[test]
    fn what_is_finished_before_its_time_waits_for_it() {
        let (mut checks, inbox, id) = one_open();
        inbox.report(&[(id, reply(target(), seconds(20)))]);
        assert!(collect(&mut checks, seconds(9), &inbox).is_empty());
        assert_eq!(checks.next(), Some(seconds(10)));
        let out = collect(&mut checks, seconds(10), &inbox);
        assert_eq!((out[0].ended, out[0].last_reply), (seconds(10), Some(seconds(10))));
    }

    #[test]
    fn a_probe_that_never_comes_back_is_not_asked_without_end() {
        let mut checks = Checks::new(1);
        let settings = Settings::default();
        let first = checks.open(target(), seconds(0), &settings).expect("the first");
        assert!(checks.open(target(), seconds(10), &settings).is_some(), "one may begin while the other ends");
        let inbox = Inbox::default();
        assert_eq!(collect(&mut checks, seconds(100), &inbox).len(), 2, "both are given up");
        assert!(checks.open(target(), seconds(100), &settings).is_none(), "but the probe still holds them");
        inbox.ended([first].into_iter());
        assert!(collect(&mut checks, seconds(101), &inbox).is_empty());
        assert!(checks.open(target(), seconds(110), &settings).is_some());
    }

    #[test]
    fn a_check_that_ends_after_the_next_one_is_old_news() {
        let mut checks = Checks::new(1);
        let settings = Settings::default();
        let slow = checks.open(target(), seconds(0), &settings).expect("the first");
        let quick = checks.open(target(), seconds(6), &settings).expect("the second");
        let inbox = Inbox::default();
        inbox.report(&[(quick, reply(target(), seconds(6)))]);
        assert_eq!(collect(&mut checks, seconds(6), &inbox).len(), 1);
        let lost = [Echo::Lost(Loss::NoReply)].into_iter().collect();
        inbox.report(&[(slow, Sample::new(target(), seconds(0), seconds(6), lost))]);
        assert!(collect(&mut checks, seconds(7), &inbox).is_empty());
    }

    #[test]
    fn samples_come_in_the_order_in_which_their_checks_began() {
        let (mut checks, inbox, id) = one_open();
        checks.not_made(target(), seconds(16), 5, Cause::NoInterface);
        inbox.report(&[(id, reply(target(), seconds(16)))]);
        let out = collect(&mut checks, seconds(16), &inbox);
        assert_eq!([out[0].at, out[1].at], [seconds(10), seconds(16)]);
    }

    #[test]
    fn what_netwatch_drops_at_its_end_tells_nothing() {
        let (mut checks, inbox, id) = one_open();
        inbox.ended([id].into_iter());
        let mut batch = Batch::default();
        inbox.swap(&mut batch);
        assert!(checks.collect(seconds(60), &mut batch, Silence::Untold).is_empty());
    }
}
