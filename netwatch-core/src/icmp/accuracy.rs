//! How far off our round-trip times are, as the kernel's own stamps show it, over the last minutes.
//!
//! The receive stamp of a reply is the kernel's anyway, so the whole error is that of the sending: where we say that a packet left
//! against where the kernel does, of a sample of the echoes and of every canary.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::{Family, Mono};

/// Errors are kept this long at least, and twice as long at most.
const HALF: Duration = Duration::from_secs(120);
/// Buckets: eight to each power of two, so that a bound is off by an eighth at most.
const BUCKETS: usize = 8 * 40;

/// How true the round-trip times are that the engine measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Accuracy {
    /// How many packets of the last two to four minutes were checked against the kernel's stamp.
    pub samples: u64,
    /// Half of their RTTs are off by no more than this, to an eighth of it; `None` if there is no sample.
    pub p50: Option<Duration>,
    /// 99 of 100 are off by no more than this.
    pub p99: Option<Duration>,
    /// The round-trip time of the last echo to this machine itself; `None` if it does not answer itself.
    pub canary_rtt: Option<Duration>,
}

/// The errors of the last minutes.
#[derive(Debug)]
struct Errors {
    now: Box<[u32; BUCKETS]>,
    before: Box<[u32; BUCKETS]>,
    since: Mono,
}

/// Nothing.
const NONE: u64 = u64::MAX;

/// What the engine's thread tells and anybody may read.
#[derive(Debug)]
pub(super) struct Instrument {
    errors: Mutex<Errors>,
    /// The round-trip time of the last canary of IPv4 and IPv6.
    canaries: [AtomicU64; 2],
}

impl Instrument {
    pub(super) fn new(now: Mono) -> Instrument {
        Instrument { errors: Mutex::new(Errors::new(now)), canaries: [const { AtomicU64::new(NONE) }; 2] }
    }

    /// A packet left this far from where we say it did. The engine does not wait for a reader: rather does it miss one.
    pub(super) fn error(&self, now: Mono, error: Duration) {
        if let Ok(mut errors) = self.errors.try_lock() {
            errors.add(now, error);
        }
    }

    /// This machine answered itself, or did not.
    pub(super) fn canary(&self, family: Family, rtt: Option<Duration>) {
        let [v4, v6] = &self.canaries;
        let canary = if family == Family::V4 { v4 } else { v6 };
        canary.store(rtt.map_or(NONE, nanos), Relaxed);
    }

    pub(super) fn snapshot(&self) -> Accuracy {
        let canary = self.canaries.iter().map(|canary| canary.load(Relaxed)).find(|nanos| *nanos != NONE);
        let (samples, bounds) = self.errors.lock().unwrap_or_else(PoisonError::into_inner).bounds([50, 99]);
        let [p50, p99] = bounds.map(|bound| bound.map(Duration::from_nanos));
        Accuracy { samples, p50, p99, canary_rtt: canary.map(Duration::from_nanos) }
    }
}

impl Errors {
    fn new(now: Mono) -> Errors {
        Errors { now: Box::new([0; BUCKETS]), before: Box::new([0; BUCKETS]), since: now }
    }

    fn add(&mut self, now: Mono, error: Duration) {
        let age = now.since(self.since);
        if age >= HALF {
            std::mem::swap(&mut self.now, &mut self.before);
            self.now.fill(0);
            if age >= HALF * 2 {
                self.before.fill(0);
            }
            self.since = now;
        }
        if let Some(bucket) = self.now.get_mut(bucket_of(nanos(error))) {
            *bucket = bucket.saturating_add(1);
        }
    }

    /// How many there are, and of these shares of 100 the upper bounds in nanoseconds.
    fn bounds(&self, percents: [u64; 2]) -> (u64, [Option<u64>; 2]) {
        let counts =
            || self.now.iter().zip(self.before.iter()).map(|(now, before)| u64::from(*now) + u64::from(*before));
        let total: u64 = counts().sum();
        let bound = |percent: u64| {
            let wanted = (total * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let place = counts().position(|count| {
                seen += count;
                seen >= wanted
            });
            place.map(upper_bound)
        };
        (total, percents.map(bound))
    }
}

/// Below 8 each value has its own bucket; from there on, its three bits after the highest one and how high that is.
fn bucket_of(nanos: u64) -> usize {
    let high = 63 - nanos.max(8).leading_zeros();
    let shift = high.saturating_sub(3);
    let bucket = if nanos < 8 { nanos } else { u64::from(shift + 1) * 8 + (nanos >> shift & 7) };
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

fn upper_bound(bucket: usize) -> u64 {
    let (octave, step) = (bucket / 8, (bucket % 8) as u64);
    match octave.checked_sub(1) {
        None => step,
        Some(shift) => ((step + 9) << shift) - 1,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NONE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_at_most_an_eighth_too_high() {
        let mut error = 1_u64;
        while error < 1 << 38 {
            let bound = upper_bound(bucket_of(error));
            assert!(bound >= error && bound <= error + error / 8, "{error} became {bound}");
            error += error / 11 + 1;
        }
    }

    #[test]
    fn the_99th_of_a_hundred_is_told_and_the_old_are_forgotten() {
        let at = |s: u64| Mono::from_nanos(s * 1_000_000_000);
        let instrument = Instrument::new(at(0));
        let add = |s: u64, micros: u64| instrument.error(at(s), Duration::from_micros(micros));
        assert_eq!(instrument.snapshot(), Accuracy::default());
        for n in 1..=100 {
            add(1, if n > 98 { 4_000 } else { 3 });
        }
        let seen = instrument.snapshot();
        assert_eq!(seen.samples, 100);
        assert!(seen.p50.is_some_and(|p50| p50.as_nanos().abs_diff(3_000) < 400), "{seen:?}");
        assert!(seen.p99.is_some_and(|p99| p99.as_micros().abs_diff(4_000) < 500), "{seen:?}");
        add(121, 3);
        assert_eq!(instrument.snapshot().samples, 101);
        add(242, 3);
        assert_eq!(instrument.snapshot().samples, 2);
        add(999, 3);
        assert_eq!(instrument.snapshot().samples, 1, "after a long silence there is nothing else");
    }

    #[test]
    fn a_canary_that_falls_silent_has_no_rtt() {
        let instrument = Instrument::new(Mono::ZERO);
        instrument.canary(Family::V6, Some(Duration::from_micros(7)));
        instrument.canary(Family::V4, None);
        assert_eq!(instrument.snapshot().canary_rtt, Some(Duration::from_micros(7)));
        instrument.canary(Family::V6, None);
        assert_eq!(instrument.snapshot().canary_rtt, None);
    }
}
