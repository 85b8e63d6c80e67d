//! What a sample says: answered, silent or unknown; and whether the answers of the last checks deserve a warning.

use crate::model::{Cause, Echo, Rtt, Sample, Settings};

/// What a check says of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// At least one reply.
    Answered,
    /// Every echo is known to be lost.
    Silent,
    /// Neither: netwatch cannot tell.
    Unknown(Cause),
}

impl Verdict {
    /// The verdict on a sample. One without echoes says nothing.
    pub fn of(sample: &Sample) -> Verdict {
        if sample.replies() > 0 {
            return Verdict::Answered;
        }
        let mut unknown = sample.echoes.is_empty().then_some(Cause::NoResult);
        for echo in sample.echoes.iter() {
            match echo {
                Echo::Reply(_) | Echo::Lost(_) => {}
                Echo::Unknown(cause) => unknown = unknown.or(Some(cause)),
            }
        }
        unknown.map_or(Verdict::Silent, Verdict::Unknown)
    }
}

/// How many checks a warning looks back on.
const CHECKS: usize = 6;

/// The last six answered checks of a target.
///
/// A silent check empties it: an outage's loss is told as the outage, not once more as a warning. Unknown echoes
/// count neither as answered nor as lost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// RTTs as history keeps them ([`Rtt::quantised`]): their codes are in their order.
    rtts: [u16; CHECKS],
    asked: [u16; CHECKS],
    lost: [u16; CHECKS],
    len: u8,
    next: u8,
}

impl Window {
    /// An empty window.
    pub fn new() -> Window {
        Window::default()
    }

    /// Takes up an answered check; its RTT is quantised as history keeps it.
    pub fn push(&mut self, sample: &Sample) {
        if sample.replies() == 0 {
            return;
        }
        let rtt = sample.median_rtt().unwrap_or(Rtt::UNMEASURED);
        let place = usize::from(self.next) % CHECKS;
        self.rtts[place] = rtt.code();
        self.lost[place] = u16::try_from(sample.lost()).unwrap_or(u16::MAX);
        self.asked[place] = u16::try_from(sample.lost().saturating_add(sample.replies())).unwrap_or(u16::MAX);
        self.next = (self.next + 1) % CHECKS as u8;
        self.len = (self.len + 1).min(CHECKS as u8);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Window::default();
    }

    /// The median of the checks' RTTs (the lower one of two in the middle); `None` if none was measured.
    pub fn rtt(&self) -> Option<Rtt> {
        let mut rtts = self.rtts;
        let rtts = rtts.get_mut(..usize::from(self.len))?;
        rtts.sort_unstable();
        let measured = rtts.get(rtts.partition_point(|code| !Rtt::from_code(*code).is_measured())..)?;
        measured.get(measured.len().checked_sub(1)? / 2).copied().map(Rtt::from_code)
    }

    /// The share of lost echoes, from 0 to 1.
    ///
    /// A window that is not yet full is judged as if the missing checks had been answered: one lost echo in the first
    /// check after a start is not 20 %.
    pub fn loss(&self) -> f64 {
        let sum = |counts: &[u16; CHECKS]| counts.iter().map(|count| u32::from(*count)).sum::<u32>();
        let (asked, lost) = (sum(&self.asked), sum(&self.lost));
        if lost == 0 {
            return 0.0;
        }
        let full = f64::from(asked) * CHECKS as f64 / f64::from(self.len);
        f64::from(lost) / full
    }

    /// Whether the target deserves a warning. One that is given stays until both values are below 4/5 of their
    /// thresholds.
    pub fn warns(&self, settings: &Settings, already: bool) -> bool {
        let scale = if already { 0.8 } else { 1.0 };
        let limit = settings.warn_rtt.as_secs_f64() * scale;
        let is_slow = |rtt: Rtt| {
            let rtt = rtt.as_duration().as_secs_f64();
            if already { rtt >= limit } else { rtt > limit }
        };
        // The places that were never filled hold zero, so the slowest check is the largest of all. Where even that is
        // not slow, and with hardly a target it is, the median need not be looked for.
        let slowest = self.rtts.iter().copied().max().map(Rtt::from_code).unwrap_or_default();
        let slow = is_slow(slowest) && is_slow(self.rtt().unwrap_or_default());
        slow || (settings.warn_loss > 0.0 && self.loss() >= settings.warn_loss * scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Loss, Mono, TargetId};
    use proptest::prelude::*;
    use std::time::Duration;

    fn sample(replies: usize, lost: usize, unknown: usize, rtt: Duration) -> Sample {
        let echoes = std::iter::repeat_n(Echo::Lost(Loss::NoReply), lost)
            .chain(std::iter::repeat_n(Echo::Unknown(Cause::QueueFull), unknown))
            .chain(std::iter::repeat_n(Echo::Reply(Rtt::from_duration(rtt)), replies));
        Sample::new(TargetId::from_index(0), Mono::ZERO, Mono::ZERO, echoes.collect())
    }

    const FAST: Duration = Duration::from_millis(2);

    proptest! {
        #[test]
        fn one_reply_answers_and_one_unknown_is_never_silence(
            replies in 0_usize..4, lost in 0_usize..4, unknown in 0_usize..4,
        ) {
            let expected = match (replies, lost, unknown) {
                (1.., _, _) => Verdict::Answered,
                (0, 1.., 0) => Verdict::Silent,
                (0, _, 1..) => Verdict::Unknown(Cause::QueueFull),
                (0, 0, 0) => Verdict::Unknown(Cause::NoResult),
            };
            prop_assert_eq!(Verdict::of(&sample(replies, lost, unknown, FAST)), expected);
        }
    }

    #[test]
    fn a_warning_for_loss_begins_at_the_threshold_and_ends_below_four_fifths_of_it() {
        let settings = Settings::default();
        let mut window = Window::new();
        for _ in 0..6 {
            window.push(&sample(4, 1, 0, FAST));
        }
        assert!(window.warns(&settings, false), "6 of 30 are 20 %");
        window.push(&sample(5, 0, 0, FAST));
        assert!(!window.warns(&settings, false), "5 of 30 would not begin a warning");
        assert!(window.warns(&settings, true), "but they keep one: 16.7 % is not below 16 %");
        window.push(&sample(5, 0, 0, FAST));
        assert!(!window.warns(&settings, true), "4 of 30 end it");
    }

    #[test]
    fn a_warning_for_rtt_begins_above_the_threshold_and_ends_below_four_fifths_of_it() {
        let settings = Settings::default();
        let mut window = Window::new();
        // As history keeps it, so that it is the threshold to the nanosecond.
        let exact = Rtt::from_duration(settings.warn_rtt).quantised().as_duration();
        window.push(&sample(5, 0, 0, exact));
        let exactly = Settings { warn_rtt: exact, ..Settings::default() };
        assert!(!window.warns(&exactly, false), "exactly the threshold is not above it");
        for _ in 0..6 {
            window.push(&sample(5, 0, 0, Duration::from_millis(152)));
        }
        assert!(window.warns(&settings, false));
        for _ in 0..6 {
            window.push(&sample(5, 0, 0, Duration::from_millis(125)));
        }
        assert!(window.warns(&settings, true) && !window.warns(&settings, false));
        for _ in 0..6 {
            window.push(&sample(5, 0, 0, Duration::from_millis(118)));
        }
        assert!(!window.warns(&settings, true));
    }

    proptest! {
        #[test]
        fn a_warning_looks_at_the_median_of_the_last_six_checks(
            rtts in prop::collection::vec(100_u64..200, 0..20), already: bool,
        ) {
            let mut window = Window::new();
            for rtt in &rtts {
                window.push(&sample(5, 0, 0, Duration::from_millis(*rtt)));
            }
            let mut last: Vec<Rtt> = rtts.iter().rev().take(6)
                .map(|rtt| Rtt::from_duration(Duration::from_millis(*rtt)).quantised()).collect();
            last.sort_unstable();
            let median = last.len().checked_sub(1).map(|most| last[most / 2]);
            prop_assert_eq!(window.rtt(), median);
            let median = median.unwrap_or_default().as_duration();
            let limit = Duration::from_millis(if already { 120 } else { 150 });
            let warns = if already { median >= limit } else { median > limit };
            prop_assert_eq!(window.warns(&Settings::default(), already), warns);
        }
    }

    #[test]
    fn replies_without_an_rtt_raise_no_warning_and_end_none() {
        let settings = Settings::default();
        let unmeasured = |lost: usize| {
            let lost = std::iter::repeat_n(Echo::Lost(Loss::NoReply), lost);
            let echoes = lost.chain([Echo::Reply(Rtt::UNMEASURED)]).collect();
            Sample::new(TargetId::from_index(0), Mono::ZERO, Mono::ZERO, echoes)
        };
        let mut window = Window::new();
        window.push(&unmeasured(0));
        assert!(window.rtt().is_none() && !window.warns(&settings, false));
        window.push(&sample(5, 0, 0, Duration::from_millis(152)));
        window.push(&unmeasured(0));
        assert!(window.warns(&settings, false), "the median is that of what was measured");
        for _ in 0..6 {
            window.push(&unmeasured(1));
        }
        assert!(window.warns(&settings, false), "what was lost beside them was lost");
    }

    #[test]
    fn one_lost_echo_after_a_start_is_no_warning() {
        let mut window = Window::new();
        window.push(&sample(4, 1, 0, FAST));
        assert!(!window.warns(&Settings::default(), false));
    }

    #[test]
    fn a_threshold_of_nothing_means_that_loss_raises_no_warning() {
        let off = Settings { warn_loss: 0.0, ..Settings::default() };
        let mut window = Window::new();
        window.push(&sample(5, 0, 0, FAST));
        assert!(!window.warns(&off, false));
        (0..6).for_each(|_| window.push(&sample(1, 4, 0, FAST)));
        assert!(!window.warns(&off, false) && !window.warns(&off, true));
    }

    #[test]
    fn unknown_echoes_are_not_loss() {
        let mut window = Window::new();
        for _ in 0..6 {
            window.push(&sample(1, 0, 4, FAST));
        }
        assert_eq!(window.loss(), 0.0);
    }
}
