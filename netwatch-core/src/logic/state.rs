//! One target's state: how a sample changes the status, and how an outage opens, ripens and closes.
//!
//! ```text
//!             silent                    silent for `tolerance`
//!  answering ───────▶ outage open ─────────────────────────────▶ outage ripe, then due (told)
//!      ▲                   │  ▲                                       │
//!      │ answered for      │  │ silent                                │
//!      │ `settle`          ▼  │                                       │
//!      └────────────── recovering ◀────────────────────────────────────┘ answered
//! ```
//!
//! Whether a ripe outage becomes due depends on more than the target itself (see `ripening`).
//!
//! Both times count only what netwatch saw: the time between two conclusive checks that follow each other. An unknown
//! check, a pause or a stop of the program breaks the chain and adds nothing, and so does the silence of a check that was
//! made with fewer pings than planned (see `limiter`).

use std::sync::Arc;
use std::time::Duration;

use super::limiter::is_halved;
use super::topology::Node;
use super::verdict::{Verdict, Window};
use crate::model::{
    Cause, Echo, Mono, Now, Outage, OutageId, Sample, SavedTarget, Settings, Status, TargetId, TargetView, Wall,
};

/// How much seen silence a crash may cost at most.
const PROGRESS: Duration = Duration::from_secs(15);

/// A check that begins so soon after the end of another was handed out before that one's result was known.
const HANDED_OVER: Duration = Duration::from_millis(250);

/// A target that cannot be seen is waited for so long.
const WAITED_FOR: Duration = Duration::from_secs(600);

/// Stands for "never": no check is as old.
pub(super) const NEVER: Mono = Mono::OLDEST;

/// What is known of one target.
///
/// There are a million of these and each is looked at with every check, in no order that a cache could guess: it is
/// kept small, and what only a device in trouble has lies behind a pointer.
#[derive(Debug, Clone)]
pub(super) struct TargetState {
    since: Mono,
    last_good: Mono,
    link: Link,
    open: Option<Box<Open>>,
    pub(super) cause: Option<Cause>,
    /// Where the monitor keeps its settings.
    pub(super) class: u32,
    window: Window,
    pub(super) status: Status,
    /// The status of the last conclusive check: a warning that was given is taken back later than it was given.
    conclusive: Status,
    flags: u8,
    /// How many of the last checks were silent, but made with too few pings to prove anything.
    doubts: u8,
    record: Record,
}

/// A check has finished in this run.
const CHECKED: u8 = 1;
/// The last check was conclusive, and the next may be joined to it.
const LINKED: u8 = 2;
/// An outage behind this target waits for its next check.
const AWAITED: u8 = 4;
/// A silent check waits for the word of a witness.
const HELD: u8 = 8;

/// The last check.
#[derive(Debug, Clone, Copy)]
struct Link {
    at: Mono,
    /// If it was conclusive: until when it saw: the last reply of an answered check, the end of a silent one.
    seen_until: Mono,
}

/// What the journal says of a target, or will once it has what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    Nothing,
    /// That it answers and has no outage. Such a record grows with every sign of life, so that no further answer, and
    /// no warning, has to be written.
    Answering,
    /// Something that is true only as of the moment it was written.
    Dated,
}

#[derive(Debug, Clone)]
struct Open {
    outage: Outage,
    /// When the first silent check since the last answer began.
    silent_since: Mono,
    /// Whether a dead parent explains it.
    explained: bool,
    /// Whether it lost its explanation: from then on it must last at least as long as the settle time.
    guarded: bool,
    /// Whether its silence did not count at some time: it was explained, or in maintenance.
    excused: bool,
    silent_for: Duration,
    answered_for: Duration,
    /// The first answer since the last silence.
    answering_since: Option<Wall>,
    /// `silent_for + answered_for` as last handed to the journal.
    saved_progress: Duration,
}

/// What only others know of a silent target.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Circumstances {
    /// A dead parent explains it.
    pub(super) explained: bool,
    /// It is in maintenance.
    pub(super) maintained: bool,
}

/// What a sample changed.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// The status before, if it or the cause of its being unknown changed.
    pub(super) from: Option<Status>,
    /// Whether it counts among those that answer from now on, or no more.
    pub(super) answers: Option<bool>,
    pub(super) opened: bool,
    /// The outage has lasted for its tolerance and is not due yet.
    pub(super) ripe: bool,
    /// The target went silent, or answers again.
    pub(super) turned: bool,
    pub(super) closed: Option<Box<Outage>>,
    /// Whether the silence of the outage that closed did not count at some time.
    pub(super) excused: bool,
    /// Whether the journal must learn of it with the next commit: an outage is touched.
    pub(super) save: bool,
}

impl TargetState {
    pub(super) fn new(now: Now, class: u32, paused: bool) -> TargetState {
        let mut state = TargetState {
            since: now.mono,
            last_good: NEVER,
            link: Link { at: NEVER, seen_until: NEVER },
            open: None,
            cause: None,
            class,
            window: Window::new(),
            status: Status::Pending,
            conclusive: Status::Pending,
            flags: 0,
            doubts: 0,
            record: Record::Nothing,
        };
        if paused {
            state.become_unknown(now.mono, Cause::Paused);
        }
        state
    }

    /// Goes on where the last run ended. `alive_at` is the last sign of life of that run.
    ///
    /// A device that was down stays so; any other is UNKNOWN until its first check.
    pub(super) fn restore(
        now: Now,
        saved: &SavedTarget,
        class: u32,
        paused: bool,
        alive_at: Option<Wall>,
        settings: &Settings,
    ) -> TargetState {
        let mut state = TargetState::new(now, class, paused);
        let mono = |wall: Wall| now.mono_at(wall.min(now.wall));
        state.last_good = saved.last_good.map_or(NEVER, mono);
        if matches!(saved.status, Status::Ok | Status::Warning) {
            // It was still answering when the last run was last heard of, give or take the check before.
            let slack = settings.interval.saturating_add(settings.check_duration());
            let answered = alive_at.map(|alive| mono(alive.minus(slack)));
            state.last_good = state.last_good.max(answered.unwrap_or(NEVER));
        }
        state.record = record(saved.status, saved.outage.is_some());
        state.open = saved.outage.clone().map(|outage| {
            Box::new(Open {
                silent_since: mono(outage.first_bad).max(state.last_good),
                explained: saved.status == Status::Unreachable,
                guarded: saved.guarded,
                excused: saved.guarded || saved.status == Status::Unreachable,
                outage,
                silent_for: saved.silent_for,
                answered_for: saved.answered_for,
                answering_since: matches!(saved.status, Status::Ok | Status::Warning).then_some(saved.since),
                saved_progress: saved.silent_for,
            })
        });
        if paused || saved.status == Status::Pending {
            return state;
        }
        if matches!(saved.status, Status::Down | Status::Unreachable) {
            state.status = saved.status;
            state.conclusive = Status::Down;
            state.since = mono(saved.since);
        } else {
            state.become_unknown(now.mono, Cause::Starting);
        }
        state
    }

    /// The plan has changed, and with it whether it is asked at all. Returns whether it is asked again from now on.
    pub(super) fn replan(&mut self, now: Now, class: u32, paused: bool) -> bool {
        self.class = class;
        self.flags &= !(AWAITED | HELD);
        if paused {
            self.flags &= !LINKED;
            self.conclusive = Status::Pending;
            self.become_unknown(now.mono, Cause::Paused);
        } else if self.cause == Some(Cause::Paused) {
            (self.since, self.cause) = (now.mono, Some(Cause::Starting));
            return true;
        }
        false
    }

    pub(super) fn outage(&self) -> Option<&Outage> {
        self.open.as_ref().map(|open| &open.outage)
    }

    /// Whether it answered when it was last asked, and nothing is open.
    pub(super) fn answers(&self) -> bool {
        matches!(self.status, Status::Ok | Status::Warning) && self.open.is_none() && self.doubts == 0
    }

    /// The last answer, as the wall clock shows it now.
    pub(super) fn last_good(&self, now: Now) -> Option<Wall> {
        Some(self.last_good).filter(|last_good| *last_good != NEVER).map(|last_good| now.wall_at(last_good))
    }

    /// The last answer; [`NEVER`] if there was none.
    pub(super) fn answered_at(&self) -> Mono {
        self.last_good
    }

    /// Since when it has its status.
    pub(super) fn since(&self) -> Mono {
        self.since
    }

    /// Whether the last conclusive check was silent.
    pub(super) fn is_down(&self) -> bool {
        self.conclusive == Status::Down
    }

    /// Whether the last conclusive check was answered.
    pub(super) fn is_answering(&self) -> bool {
        matches!(self.conclusive, Status::Ok | Status::Warning)
    }

    pub(super) fn is_checked(&self) -> bool {
        self.flags & CHECKED != 0
    }

    /// Whether an outage behind it waits for its next check.
    pub(super) fn is_awaited(&self) -> bool {
        self.flags & AWAITED != 0
    }

    pub(super) fn set_awaited(&mut self, awaited: bool) {
        self.flags = if awaited { self.flags | AWAITED } else { self.flags & !AWAITED };
    }

    /// Whether a silent check of it waits for the word of a witness.
    pub(super) fn is_held(&self) -> bool {
        self.flags & HELD != 0
    }

    pub(super) fn set_held(&mut self, held: bool) {
        self.flags = if held { self.flags | HELD } else { self.flags & !HELD };
    }

    /// Whether a check of it that began at `since` or later has said how it is. One that cannot be seen says nothing; it is
    /// waited for only if it was seen until then, and not for ever.
    pub(super) fn is_heard(&self, since: Mono) -> bool {
        if self.status == Status::Unknown {
            return self.link.at >= since && (self.since < since || self.link.at.since(self.since) >= WAITED_FOR);
        }
        self.link.at >= since && self.doubts == 0
    }

    /// When the first silent check since the last answer began; `None` without an outage.
    pub(super) fn silent_since(&self) -> Option<Mono> {
        self.open.as_ref().map(|open| open.silent_since)
    }

    /// What it says of those behind it.
    pub(super) fn node(&self, settings: &Settings) -> Node {
        match (self.conclusive, &self.open) {
            (Status::Ok | Status::Warning, _) => Node::Answers,
            // It may have died right after its last answer, or right before the next check.
            (Status::Down, Some(_)) if self.last_good != NEVER => {
                Node::Dead { until: self.last_good.plus(settings.interval) }
            }
            _ => Node::Mute,
        }
    }

    /// A dead parent explains its outage from now on, or does not any more; then it has its whole tolerance again.
    /// Returns the status before, if that changed.
    pub(super) fn explain(&mut self, explained: bool) -> Option<Status> {
        let is_down = self.is_down();
        let open = self.open.as_mut().filter(|open| is_down && open.explained != explained)?;
        open.explained = explained;
        open.excused = true;
        if !explained && open.outage.due.is_none() {
            open.guarded = true;
        }
        self.restart_tolerance();
        let (old, new) =
            if explained { (Status::Down, Status::Unreachable) } else { (Status::Unreachable, Status::Down) };
        if self.status != old {
            return None;
        }
        self.status = new;
        Some(old)
    }

    /// Whether a dead parent explains its outage.
    pub(super) fn is_explained(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.explained)
    }

    /// An outage that is not due yet has its whole tolerance again, from its next check on.
    pub(super) fn restart_tolerance(&mut self) {
        if let Some(open) = self.open.as_mut().filter(|open| open.outage.due.is_none()) {
            open.silent_for = Duration::ZERO;
            open.saved_progress = Duration::ZERO;
            self.flags &= !LINKED;
        }
    }

    /// Whether its outage has lasted for its tolerance and is not due yet.
    pub(super) fn is_ripe(&self, settings: &Settings) -> bool {
        self.is_down() && self.open.as_ref().is_some_and(|open| open.is_ripe(settings))
    }

    /// How long its outage must be seen to be silent to become due.
    pub(super) fn needed_silence(&self, settings: &Settings) -> Option<Duration> {
        self.open.as_ref().map(|open| open.needs(settings))
    }

    /// Its outage is due.
    pub(super) fn make_due(&mut self, at: Wall) -> Option<Outage> {
        let open = self.open.as_mut()?;
        open.outage.due = Some(at);
        Some(open.outage.clone())
    }

    /// Its open outage, to be changed in what others decide of it.
    pub(super) fn outage_mut(&mut self) -> Option<&mut Outage> {
        self.open.as_mut().map(|open| &mut open.outage)
    }

    /// It is watched no more.
    pub(super) fn remove(&mut self, at: Wall) -> Option<Outage> {
        let mut outage = self.open.take()?.outage;
        (outage.closed, outage.removed) = (Some(at), true);
        Some(outage)
    }

    pub(super) fn view(&self, now: Now, target: TargetId) -> TargetView {
        TargetView {
            status: self.status,
            last_good: self.last_good(now),
            cause: self.cause,
            outage: self.outage().cloned(),
            ..TargetView::pending(target, now.wall_at(self.since))
        }
    }

    /// Whether a crash now would make the next run believe what is not so any more. A target that has not been checked
    /// in this run is as the last one left it, unless it is paused.
    pub(super) fn is_misrecorded(&self) -> bool {
        let is_known = self.is_checked() || self.cause == Some(Cause::Paused) && self.record == Record::Answering;
        is_known && self.record != record(self.status, self.open.is_some())
    }

    /// What the journal is to hold from now on.
    pub(super) fn save(&mut self, now: Now, name: &Arc<str>) -> SavedTarget {
        self.record = record(self.status, self.open.is_some());
        let mut saved = SavedTarget::new(name.clone(), self.status, now.wall_at(self.since));
        saved.last_good = self.last_good(now);
        if let Some(open) = &self.open {
            saved.guarded = open.guarded;
            saved.outage = Some(open.outage.clone());
            saved.silent_for = open.silent_for;
            saved.answered_for = open.answered_for;
        }
        saved
    }

    /// Takes a sample with its verdict. `around` counts if it is silent. `number` gives a new outage its number and the
    /// target's name.
    pub(super) fn take(
        &mut self,
        now: Now,
        (sample, verdict): (&Sample, Verdict),
        settings: &Settings,
        around: Circumstances,
        number: impl FnOnce() -> (OutageId, Arc<str>),
    ) -> Change {
        let (before, cause, was_down) = (self.status, self.cause, self.is_down());
        let answered = self.is_answering();
        self.flags |= CHECKED;
        let mut change = Change::default();
        // Only who answers is asked with fewer pings; a probe that has as few echoes of itself is believed after that.
        let may_be_ours = match self.doubts {
            0 => self.answers(),
            1 => sample.at.since(self.link.seen_until) < HANDED_OVER,
            _ => false,
        };
        let is_in_doubt = may_be_ours && verdict == Verdict::Silent && is_halved(sample, settings);
        self.doubts = if is_in_doubt { self.doubts.saturating_add(1) } else { 0 };
        match verdict {
            Verdict::Silent if is_in_doubt => self.doubt(sample, settings),
            Verdict::Answered => self.answered(now, sample, settings, &mut change),
            Verdict::Silent => self.silent(now, sample, settings, around, number, &mut change),
            Verdict::Unknown(cause) => {
                self.flags &= !LINKED;
                self.link.at = sample.at;
                self.become_unknown(sample.ended, cause);
            }
        }
        change.turned = self.is_down() != was_down;
        change.answers = Some(self.is_answering()).filter(|answers| *answers != answered);
        change.from = (self.status != before || self.cause != cause).then_some(before);
        change.save |= self.status != before && self.open.is_some();
        change
    }

    fn answered(&mut self, now: Now, sample: &Sample, settings: &Settings, change: &mut Change) {
        let last = sample.last_reply.unwrap_or(sample.ended);
        let seen = self.open.is_some().then(|| self.seen_since(sample, settings, last));
        self.window.push(sample);
        let warns = self.window.warns(settings, self.conclusive == Status::Warning);
        let status = if warns { Status::Warning } else { Status::Ok };
        self.last_good = self.last_good.max(last);
        if status != self.status {
            let was_answering = matches!(self.status, Status::Ok | Status::Warning);
            let shown = if was_answering { sample.ended } else { first_reply(sample, settings) };
            self.conclude(status, shown);
        }
        self.conclusive = status;
        self.link = Link { at: sample.at, seen_until: last };
        self.flags |= LINKED;

        if let (Some(open), Some(seen)) = (&mut self.open, seen) {
            if open.answering_since.is_none() {
                open.answering_since = Some(now.wall_at(first_reply(sample, settings)));
                open.answered_for = last.since(first_reply(sample, settings));
                open.silent_for = Duration::ZERO;
                open.saved_progress = Duration::ZERO;
                (open.explained, open.guarded) = (false, false);
                change.save = true;
            } else {
                open.answered_for = open.answered_for.saturating_add(seen);
            }
            if open.answered_for >= settings.settle {
                change.excused = open.excused;
                let mut outage = open.outage.clone();
                outage.closed = open.answering_since;
                self.open = None;
                change.closed = Some(Box::new(outage));
                change.save = true;
            }
        }
    }

    fn silent(
        &mut self,
        now: Now,
        sample: &Sample,
        settings: &Settings,
        around: Circumstances,
        number: impl FnOnce() -> (OutageId, Arc<str>),
        change: &mut Change,
    ) {
        if !around.explained && self.is_explained() {
            self.explain(false);
        }
        let seen = self.seen_since(sample, settings, sample.ended);
        self.window.clear();
        self.link = Link { at: sample.at, seen_until: sample.ended };
        self.flags |= LINKED;
        let first_bad = now.wall_at(sample.at);
        let last_good = self.last_good(now);
        let open = self.open.get_or_insert_with(|| {
            change.opened = true;
            change.save = true;
            let (id, name) = number();
            let outage = Outage::open(id, name, last_good, first_bad);
            let (silent_for, answered_for) = (Duration::ZERO, Duration::ZERO);
            Box::new(Open {
                outage,
                silent_since: sample.at,
                explained: false,
                guarded: false,
                excused: false,
                silent_for,
                answered_for,
                answering_since: None,
                saved_progress: Duration::ZERO,
            })
        });
        if open.answering_since.take().is_some() {
            open.silent_since = sample.at;
            change.save = true;
        }
        open.answered_for = Duration::ZERO;
        open.explained = around.explained;
        open.excused |= around.explained || around.maintained;
        if !around.explained && !around.maintained {
            open.silent_for = open.silent_for.saturating_add(seen);
        }
        if open.outage.due.is_none() {
            if open.is_ripe(settings) {
                change.ripe = true;
            } else if open.silent_for.saturating_sub(open.saved_progress) >= PROGRESS.min(settings.tolerance / 4) {
                // Without this a program killed again and again would never see the tolerance pass.
                change.save = true;
            }
        }
        if change.save {
            open.saved_progress = open.silent_for;
        }
        let since = if self.last_good == NEVER { now.mono_at(open.outage.first_bad) } else { self.last_good };
        self.conclude(if around.explained { Status::Unreachable } else { Status::Down }, since);
        self.conclusive = Status::Down;
    }

    /// A full check might have been answered, in its very last moment: no silence counts from before that.
    fn doubt(&mut self, sample: &Sample, settings: &Settings) {
        self.link = Link { at: sample.at, seen_until: sample.at.plus(settings.check_duration()) };
        self.flags |= LINKED;
    }

    /// How much of the time up to `until` this check saw: since the check before if that follows closely, else since
    /// its own beginning.
    fn seen_since(&self, sample: &Sample, settings: &Settings, until: Mono) -> Duration {
        let joined = self.flags & LINKED != 0 && sample.at.since(self.link.at) <= settings.interval.saturating_mul(2);
        until.since(if joined { self.link.seen_until } else { sample.at })
    }

    fn conclude(&mut self, status: Status, since: Mono) {
        if self.status != status {
            self.since = since;
        }
        self.status = status;
        self.cause = None;
    }

    fn become_unknown(&mut self, since: Mono, cause: Cause) {
        if self.status != Status::Unknown {
            self.since = since;
        }
        self.status = Status::Unknown;
        self.cause = Some(cause);
    }
}

impl Open {
    /// How long it must have been seen to be silent to become due.
    fn needs(&self, settings: &Settings) -> Duration {
        if self.guarded { settings.tolerance.max(settings.settle) } else { settings.tolerance }
    }

    fn is_ripe(&self, settings: &Settings) -> bool {
        self.outage.due.is_none() && !self.explained && self.silent_for >= self.needs(settings)
    }
}

/// What a record of this status says.
fn record(status: Status, has_outage: bool) -> Record {
    let answers = matches!(status, Status::Ok | Status::Warning);
    if answers && !has_outage { Record::Answering } else { Record::Dated }
}

/// When the first answer of a check came.
fn first_reply(sample: &Sample, settings: &Settings) -> Mono {
    let mut sent = sample.at;
    for echo in sample.echoes.iter() {
        if let Echo::Reply(rtt) = echo {
            return sent.plus(rtt.as_duration()).min(sample.ended);
        }
        sent = sent.plus(settings.spacing);
    }
    sample.ended
}

#[cfg(test)]
mod tests;
