//! The nature of a virtual world: what is true of its devices, links and servers at every instant, fixed by the seed.

use std::time::Duration;

use fastrand::Rng;

use crate::model::{Cause, Echo, Loss, Mono, Rtt, Sample, Settings, TargetId};

/// A stretch of simulated time: from its beginning (inclusive) to its end (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Span {
    /// When it begins.
    pub from: Mono,
    /// When it is over.
    pub to: Mono,
}

impl Span {
    /// From `from` to `to`.
    pub fn new(from: Mono, to: Mono) -> Span {
        Span { from, to }
    }

    /// Whether `at` lies in it.
    pub fn contains(&self, at: Mono) -> bool {
        self.from <= at && at < self.to
    }

    /// How much of it lies in `other`.
    pub fn overlap(&self, other: &Span) -> Duration {
        self.to.min(other.to).since(self.from.max(other.from))
    }
}

/// Which misfortunes befall a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Faults {
    /// The program is killed and started again.
    pub crashes: bool,
    /// Commits fail or hang.
    pub journal: bool,
    /// The mail server refuses, hangs, or takes a mail without saying so.
    pub mail: bool,
    /// This machine cannot send for a while: echoes are unknown.
    pub local: bool,
    /// The wall clock steps by up to an hour.
    pub clock: bool,
}

impl Faults {
    /// None at all.
    pub const NONE: Faults = Faults { crashes: false, journal: false, mail: false, local: false, clock: false };
}

/// Alternating stretches of rest and trouble until `end`, of these mean lengths.
pub(super) fn troubles(rng: &mut Rng, end: Mono, rest: Duration, trouble: Duration) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = Mono::ZERO.plus(exponential(rng, rest));
    while at < end {
        let to = at.plus(exponential(rng, trouble)).min(end);
        spans.push(Span::new(at, to));
        at = to.plus(exponential(rng, rest));
    }
    spans
}

pub(super) fn exponential(rng: &mut Rng, mean: Duration) -> Duration {
    mean.mul_f64(-(1.0 - rng.f64()).ln()).max(Duration::from_millis(1))
}

/// One device as it really is.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) outages: Vec<Span>,
    rtt: Duration,
    loss: f64,
}

impl Device {
    pub(super) fn new(rng: &mut Rng, end: Mono, rest: Duration, trouble: Duration) -> Device {
        let outages = troubles(rng, end, rest, trouble);
        let rtt = Duration::from_micros(rng.u64(200..80_000));
        Device { outages, rtt, loss: if rng.bool() { 0.0 } else { 0.01 * rng.f64() } }
    }

    /// What a check that begins at `at` finds, given when this machine could not send.
    pub(super) fn check(
        &self,
        rng: &mut Rng,
        target: TargetId,
        at: Mono,
        settings: &Settings,
        blind: &[Span],
    ) -> Sample {
        let (mut ended, mut last_reply, mut sent) = (at, None, at);
        let mut echoes = Vec::with_capacity(usize::from(settings.pings));
        for _ in 0..settings.pings {
            if blind.iter().any(|span| span.contains(sent)) {
                echoes.push(Echo::Unknown(Cause::QueueFull));
                ended = ended.max(sent);
            } else if self.outages.iter().any(|span| span.contains(sent)) || rng.f64() < self.loss {
                echoes.push(Echo::Lost(Loss::NoReply));
                ended = ended.max(sent.plus(settings.timeout));
            } else {
                let arrived = sent.plus(self.rtt);
                echoes.push(Echo::Reply(Rtt::from_duration(self.rtt)));
                last_reply = last_reply.max(Some(arrived));
                ended = ended.max(arrived);
            }
            sent = sent.plus(settings.spacing);
        }
        Sample::new(target, at, ended, echoes.into_iter().collect()).with_last_reply(last_reply)
    }
}
