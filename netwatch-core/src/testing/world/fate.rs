//! What befalls netwatch itself in a world: its machine, its clock, its disk and its mail servers. It is settled before
//! the first check.

use std::time::Duration;

use super::chance::{between, exponential, source, troubles};
use super::class::Class;
use super::options::WorldOptions;
use super::span::{Span, Spans};
use crate::model::{Cause, Mono, Now, Period, Wall};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// An arbitrary day of the year 2026, at midnight UTC.
pub(super) const BEGINNING: Wall = Wall::from_unix_nanos(1_790_035_200_000_000_000);

/// The most notifiers that a world has.
pub(super) const NOTIFIERS: usize = 4;

/// This machine cannot send, or loses what it receives.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LocalTrouble {
    /// When.
    pub span: Span,
    /// How it shows.
    pub cause: Cause,
    /// Whether only devices with an even number are concerned, as if they had a route of their own.
    pub is_half: bool,
    /// Whether it meets each echo, or every second one by chance.
    pub is_total: bool,
}

impl LocalTrouble {
    /// Whether it concerns this device.
    pub fn concerns(&self, device: usize) -> bool {
        !self.is_half || device.is_multiple_of(2)
    }
}

/// How the program ceases to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Halt {
    /// It stands still and goes on (SIGSTOP, SIGCONT).
    Pause,
    /// It is killed (SIGKILL) and started again.
    Crash,
    /// It is stopped in order (SIGTERM) and started again.
    Stop,
}

/// How a mail server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misconduct {
    /// Nobody listens.
    Refuses,
    /// 4xx for every recipient.
    Defers,
    /// 5xx for every recipient.
    Rejects,
    /// Each recipient has a fate of his own.
    Partial,
    /// It does not answer until the attempt is given up.
    Hangs,
    /// It takes the mail and does not say so.
    Swallows,
    /// Any of these at each attempt, or none.
    Mixed,
}

/// What befalls netwatch.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Fate {
    /// Whether the configuration names witnesses.
    pub has_witnesses: bool,
    /// This machine has no link: nothing can be sent, and it knows.
    pub unplugged: Spans,
    /// What this machine sends is lost on the way to everything.
    pub severed: Spans,
    /// When each witness is dead.
    pub witnesses: [Spans; 2],
    /// When this machine is in trouble.
    pub local: Vec<LocalTrouble>,
    /// When the program does not run.
    pub halts: Vec<(Span, Halt)>,
    /// The wall clock steps: when, and by how many nanoseconds.
    pub steps: Vec<(Mono, i64)>,
    /// When commits fail or hang.
    pub journal: Spans,
    /// For each notifier when its server misbehaves, and how.
    pub mail: Vec<Vec<(Span, Misconduct)>>,
}

impl Fate {
    pub(super) fn new(options: &WorldOptions) -> Fate {
        let end = Mono::ZERO.plus(options.turmoil);
        let wanted = |class: Class, tag: &str, number: usize, rest: Duration, least: Duration, most: Duration| {
            if !options.classes.has(class) {
                return Spans::default();
            }
            let mut rng = source(options.seed, tag, number);
            troubles(&mut rng, end, rest, |rng| between(rng, least, most))
        };
        let has_witnesses = source(options.seed, "witnesses", 0).u8(0..4) > 0;
        let severed = wanted(Class::Uplink, "severed", 0, 8 * HOUR, 5 * SECOND, 12 * MINUTE);
        let witness = |number| wanted(Class::Witness, "witness", number, 7 * HOUR, 30 * SECOND, 50 * MINUTE);
        Fate {
            has_witnesses,
            unplugged: wanted(Class::Uplink, "unplugged", 0, 12 * HOUR, 3 * SECOND, 8 * MINUTE),
            // Without witnesses nobody could tell this from the death of all devices.
            severed: if has_witnesses { severed } else { Spans::default() },
            witnesses: [witness(0), witness(1)],
            local: local(options, end),
            halts: halts(options, end),
            steps: steps(options, end),
            journal: wanted(Class::Journal, "journal", 0, 5 * HOUR, 2 * SECOND, 40 * MINUTE),
            mail: (0..NOTIFIERS).map(|number| mail(options, number, end)).collect(),
        }
    }

    /// What the wall clock shows.
    pub fn wall(&self, at: Mono) -> Wall {
        let stepped: i64 = self.steps.iter().take_while(|(when, _)| *when <= at).map(|(_, by)| by).sum();
        Wall::from_unix_nanos(BEGINNING.plus(at.since(Mono::ZERO)).unix_nanos().saturating_add(stepped))
    }

    /// When the wall clock shows a time of this period.
    pub fn when(&self, period: Period, end: Mono) -> Spans {
        let mut starts = vec![Mono::ZERO];
        starts.extend(self.steps.iter().map(|(at, _)| *at));
        let spans = starts.iter().enumerate().map(|(place, from)| {
            let to = starts.get(place + 1).copied().unwrap_or(end);
            let now = Now::new(*from, self.wall(*from));
            Span::new(now.mono_at(period.from).max(*from), now.mono_at(period.to).min(to))
        });
        spans.collect()
    }

    /// When netwatch is cut off, and can know it.
    pub fn blind(&self) -> Spans {
        let unseen = self.unplugged.union(&self.severed);
        if !self.has_witnesses {
            return unseen;
        }
        unseen.union(&self.witnesses[0].intersection(&self.witnesses[1]))
    }

    /// When the program does not run.
    pub fn halted(&self) -> Spans {
        self.halts.iter().map(|(span, _)| *span).collect()
    }

    /// When this machine is in a trouble that concerns this device.
    pub fn local_to(&self, device: usize) -> Spans {
        self.local.iter().filter(|trouble| trouble.concerns(device)).map(|trouble| trouble.span).collect()
    }

    /// When something was decided that a crash took away because it could not be committed.
    pub fn forgotten(&self) -> Spans {
        let lost = self.halts.iter().filter(|(_, halt)| *halt != Halt::Pause).filter_map(|(halt, _)| {
            let near = self.journal.iter().filter(|trouble| trouble.from <= halt.from);
            let last = near.last().filter(|trouble| trouble.to.plus(MINUTE) >= halt.from)?;
            Some(Span::new(last.from.minus(MINUTE), halt.to.plus(MINUTE)))
        });
        lost.collect()
    }
}

fn local(options: &WorldOptions, end: Mono) -> Vec<LocalTrouble> {
    if !options.classes.has(Class::Local) {
        return Vec::new();
    }
    let mut rng = source(options.seed, "local", 0);
    let spans = troubles(&mut rng, end, 5 * HOUR, |rng| match rng.u8(0..4) {
        0 => between(rng, 12 * MINUTE, 40 * MINUTE),
        _ => exponential(rng, 3 * MINUTE),
    });
    let causes = [Cause::QueueFull, Cause::NoRoute, Cause::ReceiveOverflow, Cause::OutputRefused, Cause::ConntrackFull];
    let trouble = |span| LocalTrouble {
        span,
        cause: causes[rng.usize(0..causes.len())],
        is_half: rng.bool(),
        is_total: rng.u8(0..3) > 0,
    };
    spans.iter().map(trouble).collect()
}

fn halts(options: &WorldOptions, end: Mono) -> Vec<(Span, Halt)> {
    let mut halts: Vec<(Span, Halt)> = Vec::new();
    let kinds =
        [(Class::Pause, Halt::Pause, "pause"), (Class::Crash, Halt::Crash, "crash"), (Class::Stop, Halt::Stop, "stop")];
    for (class, halt, tag) in kinds {
        if options.classes.has(class) {
            let mut rng = source(options.seed, tag, 0);
            let spans = troubles(&mut rng, end, 5 * HOUR, |rng| match rng.u8(0..4) {
                0 => between(rng, MINUTE, 30 * MINUTE),
                _ => exponential(rng, 20 * SECOND),
            });
            halts.extend(spans.iter().map(|span| (span, halt)));
        }
    }
    if options.classes.has(Class::Crash) && source(options.seed, "crash loop", 0).u8(0..4) == 0 {
        // A program that is killed again and again, a few seconds after each start.
        let mut rng = source(options.seed, "crash loop", 1);
        let mut at = Mono::ZERO.plus(options.turmoil.mul_f64(rng.f64()));
        for _ in 0..rng.u8(5..40) {
            halts.push((Span::new(at, at.plus(exponential(&mut rng, SECOND))), Halt::Crash));
            at = at.plus(between(&mut rng, 2 * SECOND, MINUTE));
        }
    }
    halts.sort_by_key(|(span, _)| span.from);
    let mut over = Mono::ZERO;
    halts.retain(|(span, _)| {
        let is_apart = span.from > over && span.to < end;
        over = if is_apart { span.to } else { over };
        is_apart
    });
    halts
}

fn steps(options: &WorldOptions, end: Mono) -> Vec<(Mono, i64)> {
    if !options.classes.has(Class::Clock) {
        return Vec::new();
    }
    let mut rng = source(options.seed, "clock", 0);
    let spans = troubles(&mut rng, end, 6 * HOUR, |_| SECOND);
    let step = |span: Span| (span.from, rng.i64(-3_600_000_000_000..3_600_000_000_000));
    spans.iter().map(step).collect()
}

fn mail(options: &WorldOptions, notifier: usize, end: Mono) -> Vec<(Span, Misconduct)> {
    if !options.classes.has(Class::Mail) {
        return Vec::new();
    }
    let mut rng = source(options.seed, "mail", notifier);
    let spans = troubles(&mut rng, end, 3 * HOUR, |rng| match rng.u8(0..5) {
        0 => between(rng, 2 * HOUR, 8 * HOUR),
        _ => exponential(rng, 20 * MINUTE),
    });
    let kinds = [
        Misconduct::Refuses,
        Misconduct::Defers,
        Misconduct::Rejects,
        Misconduct::Partial,
        Misconduct::Hangs,
        Misconduct::Swallows,
        Misconduct::Mixed,
    ];
    spans.iter().map(|span| (span, kinds[rng.usize(0..kinds.len())])).collect()
}
