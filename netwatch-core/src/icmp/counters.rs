//! What the engine has seen, kind by kind: every reply that does not count raises a counter of its own.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the engine has sent and seen since it was opened; packets unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Echo requests that the kernel accepted.
    pub sent: u64,
    /// Replies that counted.
    pub replies: u64,
    /// Replies to an echo that was answered already.
    pub duplicates: u64,
    /// Valid replies that came after their timeout.
    pub late: u64,
    /// Replies to our request from another address than it was sent to.
    pub foreign_source: u64,
    /// Our payload under an identifier or sequence that is not its own.
    pub wrong_identifier: u64,
    /// Replies that have nothing to do with us (other programs' pings).
    pub not_ours: u64,
    /// Messages with a wrong ICMP checksum. The kernel drops those to ping sockets before anybody can count them.
    pub bad_checksum: u64,
    /// Replies from the right address with an altered payload or cookie.
    pub corrupt: u64,
    /// Replies whose payload was cut short, where the whole was asked for.
    pub truncated: u64,
    /// ICMP errors about an echo of ours.
    pub errors_matched: u64,
    /// ICMP errors about something else.
    pub errors_unmatched: u64,
    /// Messages too short or contradictory to be read.
    pub malformed: u64,
    /// Packets that the kernel dropped because a receive buffer was full; other programs' ICMP is among them, so this is the most
    /// that can have been missed.
    pub receive_overflow: u64,
    /// Echo requests that the kernel refused.
    pub send_errors: u64,
    /// Echo requests that were not sent because their time had passed.
    pub not_sent: u64,
    /// Times the engine's thread stood still for so long that replies may have been missed.
    pub stalls: u64,
    /// Packets that this machine's CPUs dropped before any socket saw them, anybody's (`/proc/net/softnet_stat`).
    pub softnet_drops: u64,
    /// Packets that this machine dropped because its conntrack table was full, anybody's.
    pub conntrack_drops: u64,
}

/// Names a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Sent,
    Replies,
    Duplicates,
    Late,
    ForeignSource,
    WrongIdentifier,
    NotOurs,
    BadChecksum,
    Corrupt,
    Truncated,
    ErrorsMatched,
    ErrorsUnmatched,
    Malformed,
    ReceiveOverflow,
    SendErrors,
    NotSent,
    Stalls,
    SoftnetDrops,
    ConntrackDrops,
}

/// The counters themselves: written by the engine's thread, read by anybody.
#[derive(Debug, Default)]
pub(super) struct Tally([AtomicU64; 19]);

impl Tally {
    /// Only the engine's thread adds, so no other addition can come in between, and the bus need not be locked for it.
    pub(super) fn add(&self, count: Count, by: u64) {
        if let Some(cell) = self.0.get(count as usize) {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
        }
    }

    pub(super) fn snapshot(&self) -> Counters {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s] =
            self.0.each_ref().map(|cell| cell.load(Ordering::Relaxed));
        Counters {
            sent: a,
            replies: b,
            duplicates: c,
            late: d,
            foreign_source: e,
            wrong_identifier: f,
            not_ours: g,
            bad_checksum: h,
            corrupt: i,
            truncated: j,
            errors_matched: k,
            errors_unmatched: l,
            malformed: m,
            receive_overflow: n,
            send_errors: o,
            not_sent: p,
            stalls: q,
            softnet_drops: r,
            conntrack_drops: s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_counter() {
        let tally = Tally::default();
        for (count, by) in [(Count::Sent, 1), (Count::BadChecksum, 2), (Count::NotSent, 3), (Count::Stalls, 4)] {
            tally.add(count, by);
        }
        let expected = Counters { sent: 1, bad_checksum: 2, not_sent: 3, stalls: 4, ..Counters::default() };
        assert_eq!(tally.snapshot(), expected);
    }
}
