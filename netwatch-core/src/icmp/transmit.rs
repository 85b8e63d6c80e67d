//! Our idea of when a packet left, checked against the kernel's: some packets ask for a transmit stamp. Pure.
//!
//! `SO_TIMESTAMPING` in a control message of one packet (`SOF_TIMESTAMPING_TX_SOFTWARE`, linux/net_tstamp.h; Linux 4.6) lets the
//! driver stamp it as it takes it; the stamp comes back in the sender's error queue. To ask for every packet would double what has to be
//! received, so at most fifty a second do, and one at a time, so that no identifier is needed to tell whose a stamp is.

use std::time::Duration;

use super::departures::Call;
use crate::model::Mono;

/// The shortest time between two packets that are stamped.
const APART: Duration = Duration::from_millis(20);
/// A stamp that has not come after this comes no more: the packet was dropped below us, or the driver stamps nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Up to so many calls more are let pass, by turns: the first call after a sleep finds everything cold, and would always be the one
/// that is stamped, though most are not like it.
const CALLS_APART: usize = 8;
/// How long nothing is asked for after a stamp did not come.
const PAUSE: Duration = Duration::from_secs(10);
/// The kernel's clock and ours are not read at one instant.
const NOISE: Duration = Duration::from_micros(20);
/// The correction is the median of so many samples, and found again after so many new ones.
const SAMPLES: usize = 64;
const REFRESH: usize = 8;
/// Samples that lie further apart (from the 25th to the 75th of 100) say nothing of the next packet.
const STABLE: i64 = 20_000;
/// The way to the driver takes no longer, whatever the samples say.
const MOST: i64 = 100_000;

/// Which packet asks, and what the stamps say.
#[derive(Debug, Default)]
pub(super) struct Transmit {
    asked: Option<Asked>,
    /// Nothing is asked for before this.
    not_before: Mono,
    /// How many calls are let pass then.
    passed_by: usize,
    turn: usize,
    /// How long after the beginning of their shares packets left, in nanoseconds; a ring.
    lags: Vec<i64>,
    seen: usize,
}

/// A packet whose stamp is awaited.
#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Mono,
    /// When its call began, when its share of it began, and when we say that it left.
    left: Option<(Mono, Mono, Mono)>,
    /// It shows our error, but takes another way to a driver than the others.
    is_canary: bool,
}

/// What a stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sampled {
    /// How far off our idea of that departure was.
    pub(super) error: Duration,
    /// How long after the beginning of its share a packet leaves, if there is news of it.
    pub(super) correction: Option<Duration>,
}

impl Transmit {
    /// Which of the `count` packets that leave at `now` is to ask for a stamp; canaries leave alone.
    pub(super) fn choose(&mut self, now: Mono, count: usize, is_canary: bool) -> Option<usize> {
        if let Some(asked) = self.asked {
            if now.since(asked.at) < PATIENCE {
                return None;
            }
            self.asked = None;
            self.not_before = now.plus(PAUSE);
        }
        if now < self.not_before || count == 0 {
            return None;
        }
        if self.passed_by > 0 {
            self.passed_by -= 1;
            return None;
        }
        self.passed_by = self.turn.wrapping_mul(5) % CALLS_APART;
        self.not_before = now.plus(APART);
        self.asked = Some(Asked { at: now, left: None, is_canary });
        self.turn = self.turn.wrapping_add(1);
        Some(self.turn.wrapping_mul(7) % count)
    }

    /// This call was made; `chosen` is which of its packets asked.
    pub(super) fn called(&mut self, call: &Call, chosen: Option<usize>) {
        let Some(place) = chosen else { return };
        if place >= call.count {
            self.asked = None;
        } else if let Some(asked) = self.asked.as_mut().filter(|_| !call.was_interrupted) {
            asked.left = Some((call.share(0), call.share(place), call.departure(place)));
        }
    }

    /// A call failed; `chosen` is which of its packets asked.
    pub(super) fn failed(&mut self, chosen: Option<usize>) {
        if chosen.is_some() {
            self.asked = None;
        }
    }

    /// A stamp came: the packet left at `stamped`.
    pub(super) fn stamped(&mut self, stamped: Mono) -> Option<Sampled> {
        let asked = self.asked.take()?;
        let (before, share, departure) = asked.left?;
        if stamped.plus(NOISE) < before {
            // It is that of an earlier packet, which waited somewhere.
            self.asked = Some(asked);
            return None;
        }
        let correction = if asked.is_canary { None } else { self.learn(difference(stamped, share)) };
        let error = Duration::from_nanos(difference(stamped, departure).unsigned_abs());
        Some(Sampled { error, correction })
    }

    /// Whether a stamp is awaited.
    pub(super) fn is_waiting(&self) -> bool {
        self.asked.is_some()
    }

    fn learn(&mut self, lag: i64) -> Option<Duration> {
        match self.lags.get_mut(self.seen % SAMPLES) {
            Some(old) => *old = lag,
            None => self.lags.push(lag),
        }
        self.seen = self.seen.wrapping_add(1);
        if self.seen.is_multiple_of(REFRESH) { self.correction() } else { None }
    }

    fn correction(&self) -> Option<Duration> {
        let mut lags = self.lags.clone();
        lags.sort_unstable();
        let at = |quarter: usize| lags.get(lags.len() * quarter / 4).copied();
        let spread = at(3)?.saturating_sub(at(1)?);
        let correction = u64::try_from(at(2)?.clamp(0, MOST)).ok()?;
        (spread <= STABLE).then_some(Duration::from_nanos(correction))
    }
}

fn difference(later: Mono, earlier: Mono) -> i64 {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    nanos(later.since(earlier)).saturating_sub(nanos(earlier.since(later)))
}

#[cfg(test)]
mod tests {
    use super::super::departures::Departures;
    use super::*;

    fn us(us: u64) -> Mono {
        Mono::from_nanos(us * 1_000)
    }

    /// Lets calls pass until one is chosen.
    fn chosen(transmit: &mut Transmit, at: Mono, count: usize, is_canary: bool) -> Option<usize> {
        (0..CALLS_APART).find_map(|_| transmit.choose(at, count, is_canary))
    }

    /// Sends a packet at `at` that leaves `lag` after its share began.
    fn sample(transmit: &mut Transmit, departures: &mut Departures, at: Mono, lag: Duration) -> Option<Sampled> {
        let place = chosen(transmit, at, 4, false)?;
        let call = departures.call(at, at.plus(Duration::from_micros(16)), 4);
        transmit.called(&call, Some(place));
        transmit.stamped(call.share(place).plus(lag))
    }

    #[test]
    fn the_median_of_the_stamps_corrects_what_is_shared_out() {
        let (mut transmit, mut departures) = (Transmit::default(), Departures::new());
        let lags = [3, 3, 3, 300, 4, 3, 2, 3, 3, 3, 1, 3, 3, 4, 3, 3].map(Duration::from_micros);
        let mut last = None;
        for (n, lag) in lags.into_iter().enumerate() {
            last = sample(&mut transmit, &mut departures, us(n as u64 * 20_000 + 20_000), lag);
        }
        let last = last.unwrap();
        assert_eq!(last, Sampled { error: Duration::from_micros(3), correction: Some(Duration::from_micros(3)) });
        departures.correct(last.correction.unwrap());
        let next = sample(&mut transmit, &mut departures, us(9_000_000), Duration::from_micros(5)).unwrap();
        assert_eq!(next.error, Duration::from_micros(2), "what is left is the error");
    }

    #[test]
    fn stamps_that_contradict_each_other_correct_nothing() {
        let (mut transmit, mut departures) = (Transmit::default(), Departures::new());
        for n in 0..64 {
            let lag = Duration::from_micros(if n % 2 == 0 { 1 } else { 90 });
            let sampled = sample(&mut transmit, &mut departures, us(n * 20_000 + 20_000), lag).unwrap();
            assert_eq!(sampled.correction, None);
        }
    }

    #[test]
    fn a_canary_shows_the_error_and_corrects_nothing() {
        let (mut transmit, mut departures) = (Transmit::default(), Departures::new());
        for n in 1..=64 {
            let at = us(n * 20_000);
            chosen(&mut transmit, at, 1, true).unwrap();
            transmit.called(&departures.call(at, at.plus(Duration::from_micros(6)), 1), Some(0));
            let sampled = transmit.stamped(at.plus(Duration::from_micros(2))).unwrap();
            assert_eq!(sampled, Sampled { error: Duration::from_micros(2), correction: None });
        }
    }

    #[test]
    fn a_correction_is_bounded() {
        let (mut transmit, mut departures) = (Transmit::default(), Departures::new());
        let mut found = None;
        for n in 0..16 {
            found = sample(&mut transmit, &mut departures, us(n * 20_000 + 20_000), Duration::from_millis(30))
                .unwrap()
                .correction;
        }
        assert_eq!(found, Some(Duration::from_nanos(MOST as u64)));
    }

    #[test]
    fn few_ask_and_one_at_a_time() {
        let mut transmit = Transmit::default();
        assert!(transmit.choose(us(1_000_000), 4, false).is_some());
        assert_eq!(transmit.choose(us(1_900_000), 4, false), None, "the last one's stamp is awaited");
        assert_eq!(transmit.choose(us(2_000_000), 4, false), None, "it did not come: nothing is asked for a while");
        assert_eq!(transmit.choose(us(11_999_000), 4, false), None);
        assert!(chosen(&mut transmit, us(12_000_000), 4, false).is_some());
        transmit.failed(Some(0));
        assert_eq!(transmit.choose(us(12_019_000), 4, false), None, "fifty a second at most");
        assert!(chosen(&mut transmit, us(12_020_000), 4, false).is_some());
    }

    #[test]
    fn not_always_the_first_call_after_a_sleep_is_stamped() {
        let mut transmit = Transmit::default();
        let mut passed = Vec::new();
        for n in 1..=16 {
            let at = us(n * 20_000);
            passed.push((0..CALLS_APART).position(|_| transmit.choose(at, 1, false).is_some()).unwrap());
            transmit.failed(Some(0));
        }
        passed.sort_unstable();
        passed.dedup();
        assert_eq!(passed.len(), CALLS_APART, "{passed:?}");
    }

    #[test]
    fn the_stamp_of_an_interrupted_call_is_no_measure() {
        let (mut transmit, mut departures) = (Transmit::default(), Departures::new());
        departures.call(us(100), us(116), 4);
        let place = transmit.choose(us(1_000_000), 4, false).unwrap();
        let call = departures.call(us(1_000_000), us(1_004_000), 4);
        transmit.called(&call, Some(place));
        assert_eq!(transmit.stamped(us(1_003_999)), None);
    }

    #[test]
    fn an_earlier_packets_stamp_is_not_taken_for_this_ones() {
        let (mut transmit, mut departures) = (Transmit::default(), Departures::new());
        let place = transmit.choose(us(1_000_000), 1, false).unwrap();
        transmit.called(&departures.call(us(1_000_000), us(1_004_000), 1), Some(place));
        assert_eq!(transmit.stamped(us(999_900)), None);
        assert!(transmit.stamped(us(1_000_004)).is_some());
        assert_eq!(transmit.stamped(us(1_000_005)), None, "and nothing is stamped twice");
    }
}
