//! What the last few checks of a target say of its path: ping, loss and jitter. Pure.
//!
//! * *Ping* is the median RTT of the last answered check ([`Sample::median_rtt`]).
//! * *Loss* is the share of lost echoes among those whose fate is known, over the last six conclusive checks.
//! * *Jitter* is the mean absolute difference of the RTTs of successive answered echoes over the same checks: the
//!   inter-packet delay variation of RFC 3393 (selection: consecutive answered echoes), taken without its sign.
//!
//! Echoes whose fate is unknown count in none of them.

use std::time::Duration;

use netwatch_core::{Echo, Rtt, Sample};

/// How many conclusive checks loss and jitter look back; the warning window has the same length.
const CHECKS: usize = 6;

/// A conclusive check.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    replies: u16,
    /// Those whose RTT was measured; the others count in the loss only.
    measured: u16,
    lost: u16,
    /// The sum of the steps between its answered echoes.
    steps: Rounded,
    /// The step to its first answered echo from the last one of the answered check before.
    join: Rounded,
}

/// A number of units of 100 ns, as RTTs are, rounded to 11 significant bits: at most 0.05 % off, which a mean of steps hides.
#[derive(Debug, Clone, Copy, Default)]
struct Rounded(u16);

impl Rounded {
    const BITS: u32 = 11;

    fn new(units: u32) -> Rounded {
        let excess = (u32::BITS - units.leading_zeros()).saturating_sub(Rounded::BITS);
        let half = if excess > 0 { 1 << (excess - 1) } else { 0 };
        let kept = units.saturating_add(half) >> excess;
        // Rounding up may have made it one bit longer; that bit is worth the next exponent.
        let (kept, excess) = if kept >> Rounded::BITS > 0 { (kept >> 1, excess + 1) } else { (kept, excess) };
        Rounded((excess << Rounded::BITS | kept) as u16)
    }

    fn units(self) -> u64 {
        let bits = u64::from(self.0);
        (bits & ((1 << Rounded::BITS) - 1)) << (bits >> Rounded::BITS)
    }
}

/// The last six conclusive checks of one target, in 72 bytes: there may be a million of these.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    /// A ring; `next` is the place of the next check.
    checks: [Seen; CHECKS],
    next: u8,
    filled: u8,
    answered: bool,
    ping: Rtt,
    /// The RTT of the last answered echo.
    last: Rtt,
}

impl Window {
    /// Takes a check into account, unless it was inconclusive: not answered, and not known to be silent either.
    pub(crate) fn push(&mut self, sample: &Sample) {
        let (replies, lost) = (sample.replies(), sample.lost());
        if replies == 0 && lost != sample.echoes.len() {
            return;
        }
        let count = |echoes: usize| u16::try_from(echoes).unwrap_or(u16::MAX);
        let mut seen = Seen { replies: count(replies), lost: count(lost), ..Seen::default() };
        if let Some(ping) = sample.median_rtt() {
            self.step_through(sample, &mut seen);
            (self.ping, self.answered) = (ping, true);
        }
        if let Some(place) = self.checks.get_mut(usize::from(self.next)) {
            *place = seen;
        }
        self.next = (self.next + 1) % CHECKS as u8;
        self.filled = (self.filled + 1).min(CHECKS as u8);
    }

    /// The median RTT of the last answered check.
    pub(crate) fn ping(&self) -> Option<Rtt> {
        Some(self.ping).filter(|_| self.answered)
    }

    /// From 0 to 1; `None` before the first conclusive check.
    pub(crate) fn loss(&self) -> Option<f64> {
        let (replies, lost) = self.seen().fold((0_u32, 0_u32), |(replies, lost), seen| {
            (replies.saturating_add(seen.replies.into()), lost.saturating_add(seen.lost.into()))
        });
        let known = replies.saturating_add(lost);
        (known > 0).then(|| f64::from(lost) / f64::from(known))
    }

    /// `None` before two echoes were answered.
    pub(crate) fn jitter(&self) -> Option<Duration> {
        let (mut steps, mut count) = (0_u64, 0_u32);
        let mut is_first = true;
        for seen in self.seen().filter(|seen| seen.measured > 0) {
            if !std::mem::replace(&mut is_first, false) {
                steps = steps.saturating_add(seen.join.units());
                count = count.saturating_add(1);
            }
            steps = steps.saturating_add(seen.steps.units());
            count = count.saturating_add(u32::from(seen.measured).saturating_sub(1));
        }
        Duration::from_nanos(steps.saturating_mul(100)).checked_div(count)
    }

    fn step_through(&mut self, sample: &Sample, seen: &mut Seen) {
        let (mut steps, mut is_first) = (0_u32, true);
        for echo in sample.echoes.iter() {
            let Echo::Reply(rtt) = echo else { continue };
            if !rtt.is_measured() {
                continue;
            }
            seen.measured = seen.measured.saturating_add(1);
            let step = self.last.units().abs_diff(rtt.units());
            if std::mem::replace(&mut is_first, false) {
                seen.join = Rounded::new(step);
            } else {
                steps = steps.saturating_add(step);
            }
            self.last = rtt;
        }
        seen.steps = Rounded::new(steps);
    }

    /// The oldest first.
    fn seen(&self) -> impl Iterator<Item = &Seen> {
        let (newer, older) = self.checks.split_at(usize::from(self.next).min(CHECKS));
        let empty = CHECKS.saturating_sub(usize::from(self.filled));
        older.iter().chain(newer).skip(empty)
    }
}

#[cfg(test)]
mod tests {
    use netwatch_core::{Cause, Loss, Mono, TargetId};

    use super::*;

    const LOST: Echo = Echo::Lost(Loss::NoReply);

    fn reply(ms: u64) -> Echo {
        Echo::Reply(Rtt::from_duration(Duration::from_millis(ms)))
    }

    fn after(checks: &[&[Echo]]) -> Window {
        let mut window = Window::default();
        for echoes in checks {
            let echoes = echoes.iter().copied().collect();
            window.push(&Sample::new(TargetId::from_index(0), Mono::ZERO, Mono::ZERO, echoes));
        }
        window
    }

    #[test]
    fn nothing_is_claimed_before_anything_is_known() {
        let window = after(&[&[Echo::Unknown(Cause::QueueFull)]]);
        assert_eq!((window.ping(), window.loss(), window.jitter()), (None, None, None));
    }

    #[test]
    fn loss_counts_only_echoes_whose_fate_is_known() {
        let window =
            after(&[&[reply(1), LOST, Echo::Unknown(Cause::QueueFull)], &[LOST, Echo::Unknown(Cause::NotSent)]]);
        assert_eq!(window.loss(), Some(0.5), "the second check is inconclusive and does not count");
    }

    #[test]
    fn a_reply_without_an_rtt_counts_in_the_loss_and_in_nothing_else() {
        let unmeasured = Echo::Reply(Rtt::UNMEASURED);
        let window = after(&[&[reply(10), unmeasured, reply(14), LOST], &[unmeasured]]);
        assert_eq!((window.loss(), window.jitter()), (Some(0.2), Some(Duration::from_millis(4))));
        assert_eq!(window.ping(), Some(Rtt::from_duration(Duration::from_millis(10))));
    }

    #[test]
    fn the_seventh_check_pushes_the_first_out() {
        let mut checks: Vec<&[Echo]> = vec![&[LOST]];
        checks.extend(std::iter::repeat_n::<&[Echo]>(&[Echo::Lost(Loss::NoReply)], 5));
        checks[0] = &[Echo::Lost(Loss::NoReply)];
        assert_eq!(after(&checks).loss(), Some(1.0));
        let good = [reply(2)];
        checks.extend([good.as_slice(); 6]);
        assert_eq!(after(&checks).loss(), Some(0.0));
    }

    #[test]
    fn jitter_is_the_mean_step_also_from_one_check_to_the_next() {
        let window = after(&[&[reply(10), reply(14)], &[LOST], &[reply(12), LOST, reply(12)]]);
        assert_eq!(window.jitter(), Some(Duration::from_millis(2)), "steps of 4, 2 and 0 ms");
        assert_eq!(after(&[&[reply(10)]]).jitter(), None, "one reply has no step");
    }

    #[test]
    fn a_silent_check_leaves_the_last_ping_standing() {
        let window = after(&[&[reply(7), reply(9), reply(8)], &[LOST, LOST]]);
        assert_eq!(window.ping(), Some(Rtt::from_duration(Duration::from_millis(8))));
    }

    #[test]
    fn a_step_from_a_check_that_has_fallen_out_is_not_counted() {
        let window = after(&[&[reply(10)], &[LOST], &[LOST], &[LOST], &[LOST], &[LOST], &[reply(50), reply(51)]]);
        assert_eq!(window.jitter(), Some(Duration::from_millis(1)));
        let ring = after(&[&[reply(10)], &[reply(20)], &[LOST], &[LOST], &[LOST], &[LOST], &[reply(50), reply(50)]]);
        let off = ring.jitter().map(|jitter| jitter.abs_diff(Duration::from_millis(15)));
        assert!(off.is_some_and(|off| off < Duration::from_micros(10)), "steps of 30 and 0 ms, rounded: {off:?}");
    }

    #[test]
    fn a_million_windows_fit() {
        assert!(size_of::<Window>() <= 72, "{} bytes", size_of::<Window>());
    }

    #[test]
    fn a_rounded_number_is_exact_while_it_is_small_and_then_nearly_so() {
        for small in [0, 1, 7, 2047] {
            assert_eq!(Rounded::new(small).units(), u64::from(small));
        }
        let powers = (11..32).flat_map(|bit| [(1_u32 << bit) - 1, 1 << bit, (1 << bit) + (1 << (bit - 1)) + 3]);
        for large in powers.chain([u32::MAX - 1, u32::MAX]) {
            let (large, rounded) = (u64::from(large), Rounded::new(large).units());
            assert!(large.abs_diff(rounded) * 2000 <= large, "{large} became {rounded}");
        }
    }
}
