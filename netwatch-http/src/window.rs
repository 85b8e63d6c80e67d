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

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Replies whose RTT was measured.
    replies: u32,
    /// The other replies: they count in the loss only.
    unmeasured: u32,
    lost: u32,
    first: Rtt,
    last: Rtt,
    steps: Duration,
}

impl Seen {
    fn answered(&self) -> u32 {
        self.replies.saturating_add(self.unmeasured)
    }
}

/// The last six conclusive checks of one target, about 300 bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    checks: [Seen; CHECKS],
    filled: usize,
    ping: Option<Rtt>,
}

impl Window {
    /// Takes a check into account, unless it was inconclusive: not answered, and not known to be silent either.
    pub(crate) fn push(&mut self, sample: &Sample) {
        let seen = look_at(sample);
        let silent = seen.answered() == 0 && usize::try_from(seen.lost) == Ok(sample.echoes.len());
        if seen.answered() == 0 && !silent {
            return;
        }
        if let Some(ping) = sample.median_rtt() {
            self.ping = Some(ping);
        }
        self.checks.rotate_right(1);
        self.checks[0] = seen;
        self.filled = (self.filled + 1).min(CHECKS);
    }

    /// The median RTT of the last answered check.
    pub(crate) fn ping(&self) -> Option<Rtt> {
        self.ping
    }

    /// From 0 to 1; `None` before the first conclusive check.
    pub(crate) fn loss(&self) -> Option<f64> {
        let (replies, lost) = self.seen().fold((0_u32, 0_u32), |(replies, lost), seen| {
            (replies.saturating_add(seen.answered()), lost.saturating_add(seen.lost))
        });
        let known = replies.saturating_add(lost);
        (known > 0).then(|| f64::from(lost) / f64::from(known))
    }

    /// `None` before two echoes were answered.
    pub(crate) fn jitter(&self) -> Option<Duration> {
        let mut steps = Duration::ZERO;
        let mut count = 0_u32;
        let mut before: Option<Rtt> = None;
        for seen in self.seen().rev().filter(|seen| seen.replies > 0) {
            if let Some(before) = before {
                steps = steps.saturating_add(step(before, seen.first));
                count = count.saturating_add(1);
            }
            steps = steps.saturating_add(seen.steps);
            count = count.saturating_add(seen.replies.saturating_sub(1));
            before = Some(seen.last);
        }
        steps.checked_div(count)
    }

    fn seen(&self) -> impl DoubleEndedIterator<Item = &Seen> {
        self.checks.iter().take(self.filled)
    }
}

fn look_at(sample: &Sample) -> Seen {
    let mut seen = Seen::default();
    for echo in sample.echoes.iter() {
        match echo {
            Echo::Reply(rtt) if !rtt.is_measured() => seen.unmeasured = seen.unmeasured.saturating_add(1),
            Echo::Reply(rtt) => {
                if seen.replies == 0 {
                    seen.first = rtt;
                } else {
                    seen.steps = seen.steps.saturating_add(step(seen.last, rtt));
                }
                seen.last = rtt;
                seen.replies = seen.replies.saturating_add(1);
            }
            Echo::Lost(_) => seen.lost = seen.lost.saturating_add(1),
            _ => {}
        }
    }
    seen
}

fn step(one: Rtt, other: Rtt) -> Duration {
    one.as_duration().abs_diff(other.as_duration())
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
}
