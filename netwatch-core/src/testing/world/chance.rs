//! Seeded chance: a source of its own for everything that is drawn, so that drawing one thing less moves no other.

use std::time::Duration;

use fastrand::Rng;

use super::span::{Span, Spans};
use crate::model::Mono;

/// The source for what `tag` names and, of several such things, the one of this number.
pub(super) fn source(seed: u64, tag: &str, number: usize) -> Rng {
    let mut mixed = seed ^ 0x9e37_79b9_7f4a_7c15;
    for byte in tag.bytes().chain((number as u64).to_le_bytes()) {
        mixed = (mixed ^ u64::from(byte)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^= mixed >> 29;
    }
    Rng::with_seed(mixed)
}

/// A random time of this mean, never longer than ten times that.
pub(super) fn exponential(rng: &mut Rng, mean: Duration) -> Duration {
    let times = -(1.0 - rng.f64()).ln();
    mean.mul_f64(times.min(10.0)).max(Duration::from_millis(1))
}

/// A time between these two.
pub(super) fn between(rng: &mut Rng, least: Duration, most: Duration) -> Duration {
    least + most.saturating_sub(least).mul_f64(rng.f64())
}

/// Alternating rest, of this mean length, and trouble, whose length is drawn by `length`, until `end`.
pub(super) fn troubles(
    rng: &mut Rng,
    end: Mono,
    rest: Duration,
    mut length: impl FnMut(&mut Rng) -> Duration,
) -> Spans {
    let mut spans = Vec::new();
    let mut at = Mono::ZERO.plus(exponential(rng, rest));
    while at < end {
        let to = at.plus(length(rng)).min(end);
        spans.push(Span::new(at, to));
        at = to.plus(exponential(rng, rest));
    }
    Spans::new(spans)
}
