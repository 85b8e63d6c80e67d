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
//! check, a pause or a stop of the program breaks the chain and adds nothing.

use std::sync::Arc;
use std::time::Duration;

use super::verdict::{Verdict, Window};
use crate::model::{
    Cause, Echo, Mono, Now, Outage, OutageId, Sample, SavedTarget, Settings, Status, TargetId, TargetView, Wall,
};

/// How much seen silence a crash may cost at most.
const PROGRESS: Duration = Duration::from_secs(15);

/// What is known of one target.
#[derive(Debug, Clone)]
pub(super) struct TargetState {
    pub(super) status: Status,
    pub(super) since: Wall,
    pub(super) cause: Option<Cause>,
    pub(super) last_good: Option<Wall>,
    /// The status of the last conclusive check: a warning that was given is taken back later than it was given.
    conclusive: Status,
    /// Whether a check has finished in this run.
    pub(super) checked: bool,
    window: Window,
    chain: Option<Link>,
    open: Option<Box<Open>>,
}

/// The last conclusive check, to which the next may be joined.
#[derive(Debug, Clone, Copy)]
struct Link {
    at: Mono,
    /// Until when it saw: the last reply of an answered check, the end of a silent one.
    seen_until: Mono,
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
    pub(super) closed: Option<Outage>,
    /// Whether the journal must learn of it.
    pub(super) save: bool,
}

impl TargetState {
    pub(super) fn new(now: Now, paused: bool) -> TargetState {
        let mut state = TargetState {
            status: Status::Pending,
            since: now.wall,
            cause: None,
            last_good: None,
            conclusive: Status::Pending,
            checked: false,
            window: Window::new(),
            chain: None,
            open: None,
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
        paused: bool,
        alive_at: Option<Wall>,
        settings: &Settings,
    ) -> TargetState {
        let mut state = TargetState::new(now, paused);
        state.last_good = saved.last_good;
        if matches!(saved.status, Status::Ok | Status::Warning) {
            // It was still answering when the last run was last heard of, give or take the check before.
            let slack = settings.interval.saturating_add(settings.check_duration());
            let answered = alive_at.map(|alive| alive.minus(slack).min(now.wall));
            state.last_good = state.last_good.max(answered);
        }
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

    pub(super) fn view(&self, target: TargetId) -> TargetView {
        TargetView {
            status: self.status,
            since: self.since,
            last_good: self.last_good,
            cause: self.cause,
            outage: self.outage().cloned(),
            ..TargetView::pending(target, self.since)
        }
    }

    pub(super) fn saved(&self, name: &Arc<str>) -> SavedTarget {
        let mut saved = SavedTarget::new(name.clone(), self.status, self.since);
        saved.last_good = self.last_good;
        if let Some(open) = &self.open {
            saved.outage = Some(open.outage.clone());
            saved.silent_for = open.silent_for;
            saved.answered_for = open.answered_for;
        }
        saved
    }

    /// Takes a sample. `number` gives the number of a new outage.
    pub(super) fn take(
        &mut self,
        now: Now,
        sample: &Sample,
        name: &Arc<str>,
        settings: &Settings,
        number: impl FnOnce() -> u64,
    ) -> Change {
        let (before, cause) = (self.status, self.cause);
        self.checked = true;
        let mut change = Change::default();
        match Verdict::of(sample) {
            Verdict::Answered => self.answered(now, sample, settings, &mut change),
            Verdict::Silent => self.silent(now, sample, name, settings, number, &mut change),
            Verdict::Unknown(cause) => {
                self.chain = None;
                self.become_unknown(now.wall_at(sample.ended), cause);
            }
        }
        change.from = (self.status != before || self.cause != cause).then_some(before);
        change.save |= self.status != before;
        change
    }

    fn answered(&mut self, now: Now, sample: &Sample, settings: &Settings, change: &mut Change) {
        let last = sample.last_reply.unwrap_or(sample.ended);
        let seen = self.seen_since(sample, settings, last);
        self.window.push(sample);
        let warns = self.window.warns(settings, self.conclusive == Status::Warning);
        let status = if warns { Status::Warning } else { Status::Ok };
        let first = now.wall_at(first_reply(sample, settings));
        let was_answering = matches!(self.status, Status::Ok | Status::Warning);
        let since = if was_answering { now.wall_at(sample.ended) } else { first };
        self.last_good = Some(now.wall_at(last));
        self.conclude(status, since);
        self.chain = Some(Link { at: sample.at, seen_until: last });

        if let Some(open) = &mut self.open {
            if open.answering_since.is_none() {
                open.answering_since = Some(first);
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
                change.closed = Some(outage);
                change.save = true;
            }
        }
    }

    fn silent(
        &mut self,
        now: Now,
        sample: &Sample,
        name: &Arc<str>,
        settings: &Settings,
        number: impl FnOnce() -> u64,
        change: &mut Change,
    ) {
        let seen = self.seen_since(sample, settings, sample.ended);
        self.window.clear();
        self.chain = Some(Link { at: sample.at, seen_until: sample.ended });
        let first_bad = now.wall_at(sample.at);
        let last_good = self.last_good;
        let open = self.open.get_or_insert_with(|| {
            change.opened = true;
            change.save = true;
            let outage = Outage::open(OutageId::new(number()), name.clone(), last_good, first_bad);
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

    /// How much of the time up to `until` this check saw: since the check before if that follows closely, else since
    /// its own beginning.
    fn seen_since(&self, sample: &Sample, settings: &Settings, until: Mono) -> Duration {
        let joined = self.chain.filter(|link| sample.at.since(link.at) <= settings.interval.saturating_mul(2));
        until.since(joined.map_or(sample.at, |link| link.seen_until))
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
