//! How far an echo is, in four bytes: at a million devices of five echoes each, every byte here is five megabytes.
//!
//! Bit 31 set: answered, and the RTT in units of 100 ns below it (the longest is 214 s; zero if unmeasured). Bits 31 and 30 `01`: waiting, with
//! five bits for what it becomes if nothing comes and 25 for how late it left, in units of 64 ns (the latest is 2.1 s).
//! Bits 31 to 29 `001`: lost or unknown, with five bits for why and 24 for an error number. All zero: planned.

use std::time::Duration;

use crate::model::{Cause, Echo, Loss, Rtt};

/// How far an echo is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EchoState {
    /// Not sent yet.
    Planned,
    /// Sent `late` nanoseconds after its plan, to 64 of them; `fate` is what it becomes if nothing comes.
    Waiting { late: u32, fate: Echo },
    /// Settled.
    Done(Echo),
}

/// An [`EchoState`] in four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed(u32);

const REPLY: u32 = 1 << 31;
const WAITING: u32 = 1 << 30;
const SETTLED: u32 = 1 << 29;

const LATE_BITS: u32 = 25;
const LATE_SHIFT: u32 = 6;
const LATEST: u32 = (1 << LATE_BITS) - 1;
const NUMBER_BITS: u32 = 24;
const CODE: u32 = 0x1f;
/// The unit of an RTT, in nanoseconds.
const UNIT: u64 = 100;

impl Packed {
    pub(super) const PLANNED: Packed = Packed(0);

    #[inline]
    pub(super) fn new(state: EchoState) -> Packed {
        Packed(match state {
            EchoState::Planned => 0,
            EchoState::Waiting { late, fate } => WAITING | code(fate) << LATE_BITS | (late >> LATE_SHIFT).min(LATEST),
            EchoState::Done(Echo::Reply(rtt)) => {
                let units = u64::try_from(rtt.as_duration().as_nanos()).unwrap_or(u64::MAX) / UNIT;
                REPLY | u32::try_from(units).unwrap_or(u32::MAX).min(REPLY - 1)
            }
            EchoState::Done(echo) => SETTLED | code(echo) << NUMBER_BITS | number(echo),
        })
    }

    #[inline]
    pub(super) fn state(self) -> EchoState {
        let Packed(bits) = self;
        if bits & REPLY != 0 {
            let rtt = match bits & !REPLY {
                0 => Rtt::UNMEASURED,
                units => Rtt::from_duration(Duration::from_nanos(u64::from(units) * UNIT)),
            };
            EchoState::Done(Echo::Reply(rtt))
        } else if bits & WAITING != 0 {
            EchoState::Waiting { late: (bits & LATEST) << LATE_SHIFT, fate: echo(bits >> LATE_BITS & CODE, 0) }
        } else if bits & SETTLED != 0 {
            EchoState::Done(echo(bits >> NUMBER_BITS & CODE, bits & ((1 << NUMBER_BITS) - 1)))
        } else {
            EchoState::Planned
        }
    }

    /// How late it was sent, in nanoseconds, if it waits.
    #[inline]
    pub(super) fn late(self) -> Option<u32> {
        (self.0 & (REPLY | WAITING) == WAITING).then_some((self.0 & LATEST) << LATE_SHIFT)
    }

    /// Whether it is settled.
    #[inline]
    pub(super) fn is_done(self) -> bool {
        self.0 & REPLY != 0 || self.0 & (WAITING | SETTLED) == SETTLED
    }

    /// Whether it was answered.
    #[inline]
    pub(super) fn is_reply(self) -> bool {
        self.0 & REPLY != 0
    }
}

/// Every loss and every cause has its code; the compiler asks for those of new ones.
fn code(echo: Echo) -> u32 {
    match echo {
        Echo::Lost(Loss::NoReply) | Echo::Reply(_) => 0,
        Echo::Lost(Loss::NetUnreachable) => 1,
        Echo::Lost(Loss::HostUnreachable) => 2,
        Echo::Lost(Loss::Prohibited) => 3,
        Echo::Lost(Loss::TimeExceeded) => 4,
        Echo::Lost(Loss::OtherError) => 5,
        Echo::Lost(Loss::BadReply) => 6,
        Echo::Unknown(Cause::Paused) => 7,
        Echo::Unknown(Cause::Starting) => 8,
        Echo::Unknown(Cause::Unresolved) => 9,
        Echo::Unknown(Cause::NoSocket) => 10,
        Echo::Unknown(Cause::NoRoute) => 11,
        Echo::Unknown(Cause::InterfaceDown) => 12,
        Echo::Unknown(Cause::NoInterface) => 13,
        Echo::Unknown(Cause::OutputRefused) => 14,
        Echo::Unknown(Cause::QueueFull) => 15,
        Echo::Unknown(Cause::TooLong) => 16,
        Echo::Unknown(Cause::SendFailed(_)) => 17,
        Echo::Unknown(Cause::ReceiveOverflow) => 18,
        Echo::Unknown(Cause::NotSent) => 19,
        Echo::Unknown(Cause::Stalled) => 20,
        Echo::Unknown(Cause::NoResult) => 21,
        Echo::Unknown(Cause::ProbeFailed) => 22,
        Echo::Unknown(Cause::SoftnetDrops) => 23,
        Echo::Unknown(Cause::NeighboursFull) => 24,
        Echo::Unknown(Cause::ConntrackFull) => 25,
        Echo::Unknown(Cause::Blind) => 26,
    }
}

/// The error number that goes with it. Linux has none above 4,095.
fn number(echo: Echo) -> u32 {
    match echo {
        Echo::Unknown(Cause::SendFailed(number)) => u32::try_from(number).unwrap_or(0).min((1 << NUMBER_BITS) - 1),
        _ => 0,
    }
}

fn echo(code: u32, number: u32) -> Echo {
    match code {
        0 => Echo::Lost(Loss::NoReply),
        1 => Echo::Lost(Loss::NetUnreachable),
        2 => Echo::Lost(Loss::HostUnreachable),
        3 => Echo::Lost(Loss::Prohibited),
        4 => Echo::Lost(Loss::TimeExceeded),
        5 => Echo::Lost(Loss::OtherError),
        6 => Echo::Lost(Loss::BadReply),
        26 => Echo::Unknown(Cause::Blind),
        7 => Echo::Unknown(Cause::Paused),
        8 => Echo::Unknown(Cause::Starting),
        9 => Echo::Unknown(Cause::Unresolved),
        10 => Echo::Unknown(Cause::NoSocket),
        11 => Echo::Unknown(Cause::NoRoute),
        12 => Echo::Unknown(Cause::InterfaceDown),
        13 => Echo::Unknown(Cause::NoInterface),
        14 => Echo::Unknown(Cause::OutputRefused),
        15 => Echo::Unknown(Cause::QueueFull),
        16 => Echo::Unknown(Cause::TooLong),
        17 => Echo::Unknown(Cause::SendFailed(i32::try_from(number).unwrap_or(i32::MAX))),
        18 => Echo::Unknown(Cause::ReceiveOverflow),
        19 => Echo::Unknown(Cause::NotSent),
        20 => Echo::Unknown(Cause::Stalled),
        22 => Echo::Unknown(Cause::ProbeFailed),
        23 => Echo::Unknown(Cause::SoftnetDrops),
        24 => Echo::Unknown(Cause::NeighboursFull),
        25 => Echo::Unknown(Cause::ConntrackFull),
        _ => Echo::Unknown(Cause::NoResult),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_echo_can_come_to_survives_the_packing() {
        let mut kinds: Vec<Echo> = (0..=CODE).map(|code| echo(code, 107)).collect();
        kinds.dedup();
        for loss in Loss::ALL {
            assert!(kinds.contains(&Echo::Lost(loss)), "{loss:?}");
        }
        for kind in kinds {
            let waiting = EchoState::Waiting { late: 64 * 781_250, fate: kind };
            if kind != Echo::Unknown(Cause::SendFailed(107)) {
                assert_eq!(Packed::new(waiting).state(), waiting);
            }
            assert_eq!(Packed::new(EchoState::Done(kind)).state(), EchoState::Done(kind));
            assert!(Packed::new(EchoState::Done(kind)).is_done() && !Packed::new(waiting).is_done());
            assert_eq!(Packed::new(waiting).late(), Some(64 * 781_250));
            assert_eq!(Packed::new(EchoState::Done(kind)).late(), None);
        }
        assert_eq!(Packed::PLANNED.state(), EchoState::Planned);
        assert!(!Packed::PLANNED.is_done());
    }

    #[test]
    fn round_trip_times_are_exact_and_the_longest_stay_long() {
        let unmeasured = EchoState::Done(Echo::Reply(Rtt::UNMEASURED));
        assert_eq!(Packed::new(unmeasured).state(), unmeasured);
        for units in [1, 2, 999, 20_000_000, (1 << 31) - 1] {
            let done = EchoState::Done(Echo::Reply(Rtt::from_duration(Duration::from_nanos(units * 100))));
            assert_eq!(Packed::new(done).state(), done);
            assert!(Packed::new(done).is_done() && Packed::new(done).is_reply());
            assert_eq!(Packed::new(done).late(), None);
        }
        let zero = EchoState::Done(Echo::Reply(Rtt::default()));
        assert_eq!(Packed::new(zero).state(), zero);
        let longest = EchoState::Done(Echo::Reply(Rtt::from_duration(Duration::from_secs(400))));
        let EchoState::Done(Echo::Reply(kept)) = Packed::new(longest).state() else { panic!("a reply stays one") };
        assert!(kept.as_duration() > Duration::from_secs(214));
    }

    #[test]
    fn the_time_of_departure_is_kept_to_64_nanoseconds() {
        for late in [0, 63, 64, 50_000_000, 2_147_483_600, u32::MAX] {
            let fate = Echo::Lost(Loss::NoReply);
            let EchoState::Waiting { late: kept, .. } = Packed::new(EchoState::Waiting { late, fate }).state() else {
                panic!("it waits")
            };
            assert!(kept <= late && (late - kept < 64 || kept == LATEST << LATE_SHIFT), "{late} became {kept}");
        }
    }
}
