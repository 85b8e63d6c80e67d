//! One target's state: how a sample changes the status, and how an outage opens, becomes due and closes.
//!
//! ```text
//!             silent                    silent for `tolerance`
//!  answering ───────▶ outage open ─────────────────────────────▶ outage due (told)
//!      ▲                   │  ▲                                       │
//!      │ answered for      │  │ silent                                │
//!      │ `settle`          ▼  │                                       │
//!      └────────────── recovering ◀────────────────────────────────────┘ answered
//! ```
//!
//! Both times count only what netwatch saw: the time between two conclusive checks that follow each other. An unknown
//! check, a pause or a stop of the program breaks the chain and adds nothing, and so does the silence of a check that was
//! made with fewer pings than planned (see `limiter`).

use std::sync::Arc;
use std::time::Duration;

use super::limiter::is_halved;
use super::verdict::{Verdict, Window};
use crate::model::{
    Cause, Echo, Mono, Now, Outage, OutageId, Sample, SavedTarget, Settings, Status, TargetId, TargetView, Wall,
};

/// How much seen silence a crash may cost at most.
const PROGRESS: Duration = Duration::from_secs(15);

/// A check that begins so soon after the end of another was handed out before that one's result was known.
const HANDED_OVER: Duration = Duration::from_millis(250);

/// Stands for "never": no check is as old.
const NEVER: Wall = Wall::from_unix_nanos(i64::MIN);

/// What is known of one target.
///
/// There are a million of these and each is looked at with every check, in no order that a cache could guess: it is
/// kept small, and what only a device in trouble has lies behind a pointer.
#[derive(Debug, Clone)]
pub(super) struct TargetState {
    pub(super) since: Wall,
    last_good: Wall,
    link: Link,
    open: Option<Box<Open>>,
    pub(super) cause: Option<Cause>,
    /// Where the monitor keeps its settings.
    pub(super) class: u32,
    window: Window,
    pub(super) status: Status,
    /// The status of the last conclusive check: a warning that was given is taken back later than it was given.
    conclusive: Status,
    /// Whether a check has finished in this run.
    pub(super) checked: bool,
    /// Whether `link` is a check that the next may be joined to.
    linked: bool,
    /// How many of the last checks were silent, but made with too few pings to prove anything.
    doubts: u8,
    record: Record,
}

/// The last conclusive check.
#[derive(Debug, Clone, Copy, Default)]
struct Link {
    at: Mono,
    /// Until when it saw: the last reply of an answered check, the end of a silent one.
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
    silent_for: Duration,
    answered_for: Duration,
    /// The first answer since the last silence.
    answering_since: Option<Wall>,
    /// `silent_for + answered_for` as last handed to the journal.
    saved_progress: Duration,
}

/// What a sample changed.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// The status before, if it or the cause of its being unknown changed.
    pub(super) from: Option<Status>,
    pub(super) opened: bool,
    pub(super) due: bool,
    pub(super) closed: Option<Box<Outage>>,
    /// Whether the journal must learn of it with the next commit: an outage is touched.
    pub(super) save: bool,
}

impl TargetState {
    pub(super) fn new(now: Now, class: u32, paused: bool) -> TargetState {
        let mut state = TargetState {
            since: now.wall,
            last_good: NEVER,
            link: Link::default(),
            open: None,
            cause: None,
            class,
            window: Window::new(),
            status: Status::Pending,
            conclusive: Status::Pending,
            checked: false,
            linked: false,
            doubts: 0,
            record: Record::Nothing,
        };
        if paused {
            state.become_unknown(now.wall, Cause::Paused);
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
        state.last_good = saved.last_good.unwrap_or(NEVER);
        if matches!(saved.status, Status::Ok | Status::Warning) {
            // It was still answering when the last run was last heard of, give or take the check before.
            let slack = settings.interval.saturating_add(settings.check_duration());
            let answered = alive_at.map(|alive| alive.minus(slack).min(now.wall));
            state.last_good = state.last_good.max(answered.unwrap_or(NEVER));
        }
        state.record = record(saved.status, saved.outage.is_some());
        state.open = saved.outage.clone().map(|outage| {
            Box::new(Open {
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
        if saved.status == Status::Down {
            state.status = Status::Down;
            state.since = saved.since;
        } else {
            state.become_unknown(now.wall, Cause::Starting);
        }
        state
    }

    pub(super) fn outage(&self) -> Option<&Outage> {
        self.open.as_ref().map(|open| &open.outage)
    }

    /// Whether it answered when it was last asked, and nothing is open.
    pub(super) fn answers(&self) -> bool {
        matches!(self.status, Status::Ok | Status::Warning) && self.open.is_none() && self.doubts == 0
    }

    /// The last answer.
    pub(super) fn last_good(&self) -> Option<Wall> {
        Some(self.last_good).filter(|last_good| *last_good != NEVER)
    }

    pub(super) fn view(&self, target: TargetId) -> TargetView {
        TargetView {
            status: self.status,
            since: self.since,
            last_good: self.last_good(),
            cause: self.cause,
            outage: self.outage().cloned(),
            ..TargetView::pending(target, self.since)
        }
    }

    /// Whether a crash now would make the next run believe what is not so any more. A target that has not been checked
    /// in this run is as the last one left it, unless it is paused.
    pub(super) fn is_misrecorded(&self) -> bool {
        let is_known = self.checked || self.cause == Some(Cause::Paused) && self.record == Record::Answering;
        is_known && self.record != record(self.status, self.open.is_some())
    }

    /// What the journal is to hold from now on.
    pub(super) fn save(&mut self, name: &Arc<str>) -> SavedTarget {
        self.record = record(self.status, self.open.is_some());
        let mut saved = SavedTarget::new(name.clone(), self.status, self.since);
        saved.last_good = self.last_good();
        if let Some(open) = &self.open {
            saved.outage = Some(open.outage.clone());
            saved.silent_for = open.silent_for;
            saved.answered_for = open.answered_for;
        }
        saved
    }

    /// Takes a sample. `number` gives a new outage its number and the target's name.
    pub(super) fn take(
        &mut self,
        now: Now,
        sample: &Sample,
        settings: &Settings,
        number: impl FnOnce() -> (OutageId, Arc<str>),
    ) -> Change {
        let (before, cause) = (self.status, self.cause);
        self.checked = true;
        let mut change = Change::default();
        let verdict = Verdict::of(sample);
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
            Verdict::Silent => self.silent(now, sample, settings, number, &mut change),
            Verdict::Unknown(cause) => {
                self.linked = false;
                self.become_unknown(now.wall_at(sample.ended), cause);
            }
        }
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
        self.last_good = now.wall_at(last);
        if status != self.status {
            let was_answering = matches!(self.status, Status::Ok | Status::Warning);
            let shown = if was_answering { sample.ended } else { first_reply(sample, settings) };
            self.conclude(status, now.wall_at(shown));
        }
        self.link = Link { at: sample.at, seen_until: last };
        self.linked = true;

        if let (Some(open), Some(seen)) = (&mut self.open, seen) {
            if open.answering_since.is_none() {
                open.answering_since = Some(now.wall_at(first_reply(sample, settings)));
                open.answered_for = last.since(sample.at);
                open.silent_for = Duration::ZERO;
                open.saved_progress = Duration::ZERO;
                change.save = true;
            } else {
                open.answered_for = open.answered_for.saturating_add(seen);
            }
            if open.answered_for >= settings.settle {
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
        number: impl FnOnce() -> (OutageId, Arc<str>),
        change: &mut Change,
    ) {
        let seen = self.seen_since(sample, settings, sample.ended);
        self.window.clear();
        self.link = Link { at: sample.at, seen_until: sample.ended };
        self.linked = true;
        let first_bad = now.wall_at(sample.at);
        let last_good = self.last_good();
        let open = self.open.get_or_insert_with(|| {
            change.opened = true;
            change.save = true;
            let (id, name) = number();
            let outage = Outage::open(id, name, last_good, first_bad);
            let (silent_for, answered_for) = (Duration::ZERO, Duration::ZERO);
            Box::new(Open { outage, silent_for, answered_for, answering_since: None, saved_progress: Duration::ZERO })
        });
        open.answering_since = None;
        open.answered_for = Duration::ZERO;
        open.silent_for = open.silent_for.saturating_add(seen);
        if open.outage.due.is_none() {
            if open.silent_for >= settings.tolerance {
                open.outage.due = Some(now.wall);
                change.due = true;
                change.save = true;
            } else if open.silent_for.saturating_sub(open.saved_progress) >= PROGRESS.min(settings.tolerance / 4) {
                // Without this a program killed again and again would never see the tolerance pass.
                change.save = true;
            }
        }
        if change.save {
            open.saved_progress = open.silent_for;
        }
        let since = last_good.unwrap_or(open.outage.first_bad);
        self.conclude(Status::Down, since);
    }

    /// A full check might have been answered, in its very last moment: no silence counts from before that.
    fn doubt(&mut self, sample: &Sample, settings: &Settings) {
        self.link = Link { at: sample.at, seen_until: sample.at.plus(settings.check_duration()) };
        self.linked = self.open.is_none();
    }

    /// How much of the time up to `until` this check saw: since the check before if that follows closely, else since
    /// its own beginning.
    fn seen_since(&self, sample: &Sample, settings: &Settings, until: Mono) -> Duration {
        let joined = self.linked && sample.at.since(self.link.at) <= settings.interval.saturating_mul(2);
        until.since(if joined { self.link.seen_until } else { sample.at })
    }

    fn conclude(&mut self, status: Status, since: Wall) {
        if self.status != status {
            self.since = since;
        }
        self.status = status;
        self.conclusive = status;
        self.cause = None;
    }

    fn become_unknown(&mut self, since: Wall, cause: Cause) {
        if self.status != Status::Unknown {
            self.since = since;
        }
        self.status = Status::Unknown;
        self.cause = Some(cause);
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
mod tests {
    use super::*;

    const SILENT: Echo = Echo::Lost(crate::model::Loss::NoReply);

    /// Which of the checks, of three echoes each and an interval apart, opens an outage. The first is answered.
    fn opens(settings: &Settings, silent: usize) -> Vec<bool> {
        let now = Now::new(Mono::ZERO, Wall::default());
        let mut state = TargetState::new(now, 0, false);
        let mut take = |number: u32, echo: Echo| {
            let at = Mono::ZERO.plus(settings.interval * number);
            let sample = Sample::new(TargetId::from_index(0), at, at, [echo; 3].into_iter().collect());
            state.take(now, &sample, settings, || (OutageId::new(1), "t".into())).opened
        };
        take(0, Echo::Reply(crate::model::Rtt::default()));
        (1..=silent).map(|number| take(number as u32, SILENT)).collect()
    }

    #[test]
    fn a_probe_that_never_has_more_echoes_hides_no_outage() {
        assert_eq!(
            opens(&Settings::default(), 2),
            [false, true],
            "a device in doubt is asked in full: this one is not"
        );
    }

    #[test]
    fn a_check_that_was_handed_out_before_the_doubt_opens_no_outage_either() {
        let (spacing, timeout) = (Duration::from_millis(20), Duration::from_millis(9_800));
        let settings = Settings { spacing, timeout, ..Settings::default() };
        assert_eq!(opens(&settings, 3), [false, false, true]);
    }

    #[test]
    fn a_million_targets_fit() {
        assert!(size_of::<TargetState>() <= 96, "{} bytes", size_of::<TargetState>());
    }
}
