//! A sample: the result of one check, echo by echo.
//!
//! An echo is a reply with its round-trip time, *lost*, or *unknown* with the cause. Unknown is not lost: whatever
//! netwatch itself caused or cannot exclude must never look like the device's silence.

use std::time::Duration;

use super::target::TargetId;
use super::time::Mono;

/// A round-trip time, kept in units of 100 ns; the longest is about 429 s. One of zero was [not measured](Rtt::UNMEASURED).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rtt(u32);

impl Rtt {
    /// Of a reply that counts though nobody knows how long it took: it came across a step of the wall clock, or this machine does not
    /// know when its request left. Medians leave it out.
    pub const UNMEASURED: Rtt = Rtt(0);

    /// The nearest representable round-trip time, rounded down; 100 ns, the shortest, or the longest one if `duration` is
    /// shorter or longer than that.
    pub fn from_duration(duration: Duration) -> Rtt {
        // One is made for every reply, and 128 bits are slow to divide.
        let units =
            duration.as_secs().saturating_mul(10_000_000).saturating_add(u64::from(duration.subsec_nanos() / 100));
        Rtt(u32::try_from(units).unwrap_or(u32::MAX).max(1))
    }

    /// Whether it says how long the reply took.
    pub fn is_measured(self) -> bool {
        self != Rtt::UNMEASURED
    }

    /// The round-trip time.
    pub fn as_duration(self) -> Duration {
        Duration::from_nanos(u64::from(self.0) * 100)
    }

    /// The round-trip time in units of 100 ns: all that it is known to.
    pub const fn units(self) -> u32 {
        self.0
    }

    /// Milliseconds with their fraction.
    pub fn as_millis_f64(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// The value that history keeps and decisions are taken on: to 10 us, or to eight significant bits (better than
    /// 1 %) where that is coarser; 10 us at least, as zero is not measured.
    ///
    /// ```
    /// use netwatch_core::Rtt;
    /// use std::time::Duration;
    /// let exact = Rtt::from_duration(Duration::from_nanos(181_234_500));
    /// assert_eq!(exact.quantised().as_duration(), Duration::from_micros(181_760));
    /// assert_eq!(exact.quantised().quantised(), exact.quantised());
    /// ```
    #[must_use]
    pub fn quantised(self) -> Rtt {
        Rtt::from_code(self.code())
    }

    /// The quantised value in two bytes: the power of two, then the eight significant bits. The longer RTT has the
    /// larger code.
    pub(crate) fn code(self) -> u16 {
        if !self.is_measured() {
            return 0;
        }
        let steps = ((u64::from(self.0) + 50) / 100).max(1);
        let shift = (64 - steps.leading_zeros()).saturating_sub(8);
        let half = (1_u64 << shift) >> 1;
        let rounded = (steps + half) >> shift;
        // Rounding up may give a ninth bit.
        let (shift, rounded) = if rounded > 0xff { (shift + 1, rounded >> 1) } else { (shift, rounded) };
        (shift << 8) as u16 | rounded as u16
    }

    /// The quantised value of this code.
    pub(crate) fn from_code(code: u16) -> Rtt {
        let steps = u64::from(code & 0xff) << (code >> 8);
        Rtt(u32::try_from(steps * 100).unwrap_or(u32::MAX / 100 * 100))
    }
}

/// Why an echo counts as lost. Only silence decides; an ICMP error annotates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Loss {
    /// Nothing came in time.
    #[default]
    NoReply,
    /// A router said: network unreachable.
    NetUnreachable,
    /// A router, or this machine's own neighbour discovery, said: host or address unreachable.
    HostUnreachable,
    /// Administratively prohibited or rejected by policy.
    Prohibited,
    /// Time exceeded: a routing loop or too few hops.
    TimeExceeded,
    /// Some other ICMP error.
    OtherError,
    /// Something answered, but it was not the reply that was asked for.
    BadReply,
}

impl Loss {
    /// All kinds of loss.
    pub const ALL: [Loss; 7] = [
        Loss::NoReply,
        Loss::NetUnreachable,
        Loss::HostUnreachable,
        Loss::Prohibited,
        Loss::TimeExceeded,
        Loss::OtherError,
        Loss::BadReply,
    ];

    /// A stable name, as in the API.
    pub const fn code(self) -> &'static str {
        match self {
            Loss::NoReply => "no_reply",
            Loss::NetUnreachable => "net_unreachable",
            Loss::HostUnreachable => "host_unreachable",
            Loss::Prohibited => "prohibited",
            Loss::TimeExceeded => "time_exceeded",
            Loss::OtherError => "icmp_error",
            Loss::BadReply => "bad_reply",
        }
    }
}

/// Why netwatch cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// netwatch itself is cut off: every witness is silent, or the link or the route is gone.
    Blind,
    /// The target is paused.
    Paused,
    /// netwatch started and has not asked yet.
    Starting,
    /// The name has no address at present.
    Unresolved,
    /// No socket of this address family could be opened.
    NoSocket,
    /// This machine has no route to the address (ENETUNREACH, EHOSTUNREACH).
    NoRoute,
    /// The interface is down (ENETDOWN).
    InterfaceDown,
    /// The interface or source address does not exist (ENODEV, ENXIO, EADDRNOTAVAIL, EINVAL).
    NoInterface,
    /// This machine's own firewall refused the packet (EPERM, EACCES).
    OutputRefused,
    /// The send queue was full (ENOBUFS, EAGAIN).
    QueueFull,
    /// The packet was too long for the link (EMSGSIZE).
    TooLong,
    /// Sending failed with another error number.
    SendFailed(i32),
    /// The receive buffer overflowed while the reply was due.
    ReceiveOverflow,
    /// This machine dropped packets before any socket saw them, while the reply was due (`/proc/net/softnet_stat`).
    SoftnetDrops,
    /// This machine's neighbour table had no room (`net.ipv4.neigh.default.gc_thresh3`).
    NeighboursFull,
    /// This machine's conntrack table had no room (`net.netfilter.nf_conntrack_max`).
    ConntrackFull,
    /// netwatch was late by more than it may be, and did not send.
    NotSent,
    /// netwatch stood still while the reply was due (stopped, suspended, starved).
    Stalled,
    /// The probe returned without a result, or was cancelled.
    NoResult,
    /// The probe itself said that it cannot tell.
    ProbeFailed,
}

impl Cause {
    /// The cause that [`code`](Cause::code) names; the error number of a failed send is lost.
    pub fn from_code(code: &str) -> Option<Cause> {
        let all = [
            Cause::Blind,
            Cause::Paused,
            Cause::Starting,
            Cause::Unresolved,
            Cause::NoSocket,
            Cause::NoRoute,
            Cause::InterfaceDown,
            Cause::NoInterface,
            Cause::OutputRefused,
            Cause::QueueFull,
            Cause::TooLong,
            Cause::SendFailed(0),
            Cause::ReceiveOverflow,
            Cause::SoftnetDrops,
            Cause::NeighboursFull,
            Cause::ConntrackFull,
            Cause::NotSent,
            Cause::Stalled,
            Cause::NoResult,
            Cause::ProbeFailed,
        ];
        all.into_iter().find(|cause| cause.code() == code)
    }

    /// A stable name, as in the API.
    pub const fn code(self) -> &'static str {
        match self {
            Cause::Blind => "blind",
            Cause::Paused => "paused",
            Cause::Starting => "starting",
            Cause::Unresolved => "unresolved",
            Cause::NoSocket => "no_socket",
            Cause::NoRoute => "no_route",
            Cause::InterfaceDown => "interface_down",
            Cause::NoInterface => "no_interface",
            Cause::OutputRefused => "output_refused",
            Cause::QueueFull => "queue_full",
            Cause::TooLong => "too_long",
            Cause::SendFailed(_) => "send_failed",
            Cause::ReceiveOverflow => "receive_overflow",
            Cause::SoftnetDrops => "softnet_drops",
            Cause::NeighboursFull => "neighbours_full",
            Cause::ConntrackFull => "conntrack_full",
            Cause::NotSent => "not_sent",
            Cause::Stalled => "stalled",
            Cause::NoResult => "no_result",
            Cause::ProbeFailed => "probe_failed",
        }
    }
}

/// The fate of one echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Echo {
    /// Answered after this time, which may be [unmeasured](Rtt::UNMEASURED).
    Reply(Rtt),
    /// Known to be lost.
    Lost(Loss),
    /// Nobody can tell.
    Unknown(Cause),
}

const INLINE: usize = 8;

/// The echoes of one check, in the order they were sent; the first eight are held inline.
///
/// How many of them were answered and lost is counted as they come in: every check is asked that more than once.
#[derive(Clone, PartialEq, Eq)]
pub struct Echoes {
    len: u16,
    replies: u16,
    lost: u16,
    inline: [Echo; INLINE],
    #[allow(clippy::box_collection, reason = "hardly any check has as many, and every one carries the room for it")]
    spilled: Option<Box<Vec<Echo>>>,
}

impl Echoes {
    /// No echo yet.
    pub const fn new() -> Echoes {
        Echoes { len: 0, replies: 0, lost: 0, inline: [Echo::Lost(Loss::NoReply); INLINE], spilled: None }
    }

    /// Adds an echo. The 65,536th and later are left out: no check has as many.
    pub fn push(&mut self, echo: Echo) {
        let Some(len) = self.len.checked_add(1) else { return };
        match self.inline.get_mut(usize::from(self.len)) {
            Some(place) => *place = echo,
            None => self.spilled.get_or_insert_default().push(echo),
        }
        self.len = len;
        // Neither count can be above `len`, which has just been found to fit.
        match echo {
            Echo::Reply(_) => self.replies = self.replies.saturating_add(1),
            Echo::Lost(_) => self.lost = self.lost.saturating_add(1),
            Echo::Unknown(_) => {}
        }
    }

    /// How many echoes.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many were answered.
    pub fn replies(&self) -> usize {
        usize::from(self.replies)
    }

    /// How many are known to be lost.
    pub fn lost(&self) -> usize {
        usize::from(self.lost)
    }

    /// The echoes in the order they were sent.
    pub fn iter(&self) -> impl Iterator<Item = Echo> + '_ {
        let inline = self.inline.get(..self.len().min(INLINE)).unwrap_or_default();
        inline.iter().chain(self.spilled.iter().flat_map(|spilled| spilled.iter())).copied()
    }
}

impl Default for Echoes {
    fn default() -> Echoes {
        Echoes::new()
    }
}

impl std::fmt::Debug for Echoes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FromIterator<Echo> for Echoes {
    fn from_iter<I: IntoIterator<Item = Echo>>(echoes: I) -> Echoes {
        let mut all = Echoes::new();
        for echo in echoes {
            all.push(echo);
        }
        all
    }
}

/// The result of one check of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// Whose.
    pub target: TargetId,
    /// When the check was planned to begin.
    pub at: Mono,
    /// When its result was certain: the last reply, or the end of the last timeout.
    pub ended: Mono,
    /// When the last reply arrived.
    pub last_reply: Option<Mono>,
    /// Echo by echo. Probes of other kinds than ICMP have one.
    pub echoes: Echoes,
}

impl Sample {
    /// A sample of these echoes. `last_reply` is taken to be `ended` when an echo was answered.
    pub fn new(target: TargetId, at: Mono, ended: Mono, echoes: Echoes) -> Sample {
        let answered = echoes.replies() > 0;
        Sample { target, at, ended, last_reply: answered.then_some(ended), echoes }
    }

    /// A sample in which every one of `pings` echoes is unknown for the same cause.
    pub fn unknown(target: TargetId, at: Mono, ended: Mono, pings: u16, cause: Cause) -> Sample {
        let echoes = std::iter::repeat_n(Echo::Unknown(cause), usize::from(pings.max(1))).collect();
        Sample { target, at, ended, last_reply: None, echoes }
    }

    /// The same sample with the exact time of its last reply.
    #[must_use]
    pub fn with_last_reply(mut self, last_reply: Option<Mono>) -> Sample {
        self.last_reply = last_reply;
        self
    }

    /// The same sample of the same device at another place of the plan.
    #[must_use]
    pub fn of(mut self, target: TargetId) -> Sample {
        self.target = target;
        self
    }

    /// How many echoes were answered.
    pub fn replies(&self) -> usize {
        self.echoes.replies()
    }

    /// How many echoes are known to be lost.
    pub fn lost(&self) -> usize {
        self.echoes.lost()
    }

    /// The median of the RTTs that were measured (the lower one of two in the middle): a target's "ping".
    pub fn median_rtt(&self) -> Option<Rtt> {
        let answered = |echo: Echo| match echo {
            Echo::Reply(rtt) => Some(rtt).filter(|rtt| rtt.is_measured()),
            _ => None,
        };
        if self.echoes.len() > INLINE {
            let mut rtts: Vec<Rtt> = self.echoes.iter().filter_map(answered).collect();
            rtts.sort_unstable();
            return rtts.get(rtts.len().checked_sub(1)? / 2).copied();
        }
        // Each is put in its place as it comes: for so few nothing is quicker.
        let mut rtts = [Rtt::default(); INLINE];
        let mut filled = 0;
        for rtt in self.echoes.inline.iter().take(self.echoes.len()).copied().filter_map(answered) {
            let smaller = rtts.iter().take(filled).filter(|other| **other <= rtt).count();
            rtts.copy_within(smaller..filled, smaller + 1);
            *rtts.get_mut(smaller)? = rtt;
            filled += 1;
        }
        rtts.get(filled.checked_sub(1)? / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Rtt {
        Rtt::from_duration(Duration::from_millis(ms))
    }

    #[test]
    fn a_quantised_rtt_is_within_one_percent_or_ten_microseconds() {
        let mut units = 1_u32;
        while units < u32::MAX / 2 {
            let exact = Rtt(units);
            let kept = exact.quantised();
            let error = exact.as_duration().abs_diff(kept.as_duration());
            let allowed = Duration::from_micros(10).max(exact.as_duration() / 100);
            assert!(error <= allowed, "{exact:?} became {kept:?}");
            assert_eq!(kept.quantised(), kept, "quantising twice changes nothing");
            let next = Rtt(units + units / 50 + 151);
            assert!(exact.code() < next.code(), "codes are in the order of the RTTs");
            units = units + units / 7 + 1;
        }
    }

    #[test]
    fn the_median_ignores_what_was_not_answered() {
        let echoes = [Echo::Reply(ms(9)), Echo::Lost(Loss::NoReply), Echo::Reply(ms(1)), Echo::Reply(ms(5))];
        let sample = Sample::new(TargetId::from_index(0), Mono::ZERO, Mono::ZERO, echoes.into_iter().collect());
        assert_eq!(sample.median_rtt(), Some(ms(5)));
        assert_eq!((sample.replies(), sample.lost()), (3, 1));
    }

    proptest! {
        #[test]
        fn the_median_and_the_counts_are_those_of_the_echoes(
            echoes in prop::collection::vec((0_u32..4, 1_u32..50), 0..12),
        ) {
            let echo = |(kind, units)| match kind {
                0 => Echo::Lost(Loss::NoReply),
                1 => Echo::Unknown(Cause::QueueFull),
                _ => Echo::Reply(Rtt(units)),
            };
            let echoes: Vec<Echo> = echoes.into_iter().map(echo).collect();
            let mut rtts: Vec<Rtt> = Vec::new();
            rtts.extend(echoes.iter().filter_map(|echo| if let Echo::Reply(rtt) = echo { Some(*rtt) } else { None }));
            rtts.sort_unstable();
            let lost = echoes.iter().filter(|echo| matches!(echo, Echo::Lost(_))).count();
            let all = echoes.iter().copied().collect();
            let sample = Sample::new(TargetId::from_index(0), Mono::ZERO, Mono::ZERO, all);
            prop_assert_eq!(sample.median_rtt(), rtts.len().checked_sub(1).map(|last| rtts[last / 2]));
            prop_assert_eq!((sample.replies(), sample.lost()), (rtts.len(), lost));
            prop_assert_eq!(sample.echoes.iter().collect::<Vec<_>>(), echoes);
        }
    }

    #[test]
    fn a_sample_is_small() {
        assert!(size_of::<Sample>() <= 120, "{} bytes", size_of::<Sample>());
    }

    #[test]
    fn a_reply_whose_rtt_was_not_measured_counts_and_its_rtt_does_not() {
        let of = |echoes: &[Echo]| {
            Sample::new(TargetId::from_index(0), Mono::ZERO, Mono::ZERO, echoes.iter().copied().collect())
        };
        let unmeasured = Echo::Reply(Rtt::UNMEASURED);
        let sample =
            of(&[Echo::Reply(ms(5)), unmeasured, Echo::Reply(ms(4)), unmeasured, Echo::Reply(ms(6)), unmeasured]);
        assert_eq!((sample.replies(), sample.median_rtt()), (6, Some(ms(5))));
        let sample = of(&[unmeasured, Echo::Lost(Loss::NoReply)]);
        assert_eq!((sample.replies(), sample.median_rtt()), (1, None));
        assert!(Rtt::from_duration(Duration::ZERO).is_measured(), "what is measured never looks as if it were not");
        assert!(Rtt::from_duration(Duration::from_nanos(1)).quantised().is_measured());
        assert_eq!(Rtt::UNMEASURED.quantised(), Rtt::UNMEASURED);
    }

    #[test]
    fn more_than_eight_echoes_are_all_kept() {
        let echoes: Echoes = (1..=20).map(|n| Echo::Reply(ms(n))).collect();
        assert_eq!(echoes.len(), 20);
        let sample = Sample::new(TargetId::from_index(0), Mono::ZERO, Mono::ZERO, echoes);
        assert_eq!(sample.median_rtt(), Some(ms(10)));
    }
}
