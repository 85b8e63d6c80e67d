//! The limits of this machine's kernel that look like a device's silence, and how to tell them from it. Pure.
//!
//! * *Softnet*: each CPU queues what its interfaces received, `net.core.netdev_max_backlog` packets at most; what does not
//!   fit is dropped before any socket (second column of `/proc/net/softnet_stat`, hexadecimal, one line a CPU).
//! * *Conntrack*: when `nf_conntrack_max` flows are known a packet of a new one is dropped; a send says EPERM, a reply says
//!   nothing (`drop` of `/proc/net/stat/nf_conntrack`). Or an older flow makes room (`early_drop`): the reply that belongs to
//!   it is nobody's to a firewall that lets in only what it knows.
//! * *Neighbours*: when the table has `gc_thresh3` entries (all namespaces together) no new neighbour can be asked; a send says
//!   ENOBUFS over IPv4 and EINVAL over IPv6, as it does for other reasons too (arp(7); `table_fulls` of `RTM_GETNEIGHTBL`).

use std::time::Duration;

use crate::model::{Cause, Mono};

/// While echoes wait the counters are read this often.
const SELDOM: Duration = Duration::from_millis(250);
/// Before timeouts are taken for losses they are read again, unless that was done so shortly ago.
const OFTEN: Duration = Duration::from_millis(50);
/// After this the neighbour table is looked at again because a send failed.
const REFRESH: Duration = Duration::from_millis(100);
/// A look at it that is older than this is none.
const STALE: Duration = Duration::from_secs(1);
/// Drops that are less than one of so many packets say nothing of an echo: on a busy machine there are always some, and
/// they must not blind us for ever.
const RARE: u64 = 1_000;

/// What the kernel has counted so far; zero where it does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counted {
    /// Packets that the CPUs took from their queues, and those that did not fit.
    pub(super) softnet: Dropped,
    /// Packets dropped because no flow could be added, and flows forgotten so that one could.
    pub(super) conntrack_drops: u64,
    /// No flow can be added at present. While one can, packets are dropped there for reasons that concern no echo.
    pub(super) is_conntrack_full: bool,
}

/// Packets of all CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dropped {
    pub(super) processed: u64,
    pub(super) dropped: u64,
}

/// A neighbour table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Table {
    pub(super) entries: u64,
    /// `gc_thresh3`.
    pub(super) most: u64,
    /// How often an entry was refused.
    pub(super) refused: u64,
}

/// Watches the counters.
#[derive(Debug)]
pub(super) struct Limits {
    counted: Counted,
    /// Of IPv4 and IPv6, as they were before the last look and after it.
    tables: [(Table, Table); 2],
    looked: Mono,
    /// When the table of IPv4 and of IPv6 was looked at.
    tables_looked: [Mono; 2],
}

/// What happened since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct News {
    pub(super) softnet_drops: u64,
    pub(super) conntrack_drops: u64,
    /// Why a reply that was due from the last look to this one may have been missed.
    pub(super) doubt: Option<(Mono, Cause)>,
}

impl Limits {
    /// As things are at `now`.
    pub(super) fn new(now: Mono, counted: Counted, tables: [Table; 2]) -> Limits {
        Limits { counted, tables: tables.map(|table| (table, table)), looked: now, tables_looked: [now; 2] }
    }

    /// Looks at the counters, if it is time for it: at once if timeouts are about to be `ending`.
    pub(super) fn look(&mut self, now: Mono, is_ending: bool, read: impl FnOnce() -> Counted) -> Option<News> {
        if now.since(self.looked) < if is_ending { OFTEN } else { SELDOM } {
            return None;
        }
        let (from, before, after) = (self.looked, self.counted, read());
        (self.looked, self.counted) = (now, after);
        let softnet_drops = after.softnet.dropped.saturating_sub(before.softnet.dropped);
        let processed = after.softnet.processed.saturating_sub(before.softnet.processed);
        let conntrack_drops = after.conntrack_drops.saturating_sub(before.conntrack_drops);
        let doubt = if conntrack_drops > 0 && after.is_conntrack_full {
            Some((from, Cause::ConntrackFull))
        } else if softnet_drops > 0 && softnet_drops.saturating_mul(RARE) >= processed {
            Some((from, Cause::SoftnetDrops))
        } else {
            None
        };
        Some(News { softnet_drops, conntrack_drops, doubt })
    }

    /// The cause behind the one that an error of a send names.
    pub(super) fn behind(
        &mut self,
        cause: Cause,
        is_v6: bool,
        now: Mono,
        conntrack: impl FnOnce() -> bool,
        table: impl FnOnce() -> Table,
    ) -> Cause {
        let may_be_table = cause == Cause::QueueFull || cause == Cause::NoInterface && is_v6;
        if may_be_table && self.is_table_full(is_v6, now, table) {
            return Cause::NeighboursFull;
        }
        if cause == Cause::OutputRefused && conntrack() { Cause::ConntrackFull } else { cause }
    }

    /// Whether the table has refused entries of late, or has no room.
    fn is_table_full(&mut self, is_v6: bool, now: Mono, read: impl FnOnce() -> Table) -> bool {
        let place = usize::from(is_v6);
        let (Some((before, after)), Some(looked)) = (self.tables.get_mut(place), self.tables_looked.get_mut(place))
        else {
            return false;
        };
        if now.since(*looked) >= REFRESH {
            let read = read();
            // What was refused long before this send does not explain it.
            *before = if now.since(*looked) >= STALE { read } else { *after };
            (*after, *looked) = (read, now);
        }
        after.refused > before.refused || (after.most > 0 && after.entries >= after.most)
    }
}

/// Reads `/proc/net/softnet_stat`.
pub(super) fn softnet(text: &str) -> Dropped {
    let mut all = Dropped::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace().map(|word| u64::from_str_radix(word, 16).unwrap_or(0));
        all.processed = all.processed.wrapping_add(words.next().unwrap_or(0));
        all.dropped = all.dropped.wrapping_add(words.next().unwrap_or(0));
    }
    all
}

/// Reads the columns `drop` and `early_drop` of `/proc/net/stat/nf_conntrack`: names, then a line a CPU, hexadecimal.
pub(super) fn conntrack_drops(text: &str) -> u64 {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or("").split_ascii_whitespace().collect();
    let is_drop = |name: &&str| matches!(*name, "drop" | "early_drop");
    let of_cpu = |line: &str| {
        let words = names.iter().zip(line.split_ascii_whitespace()).filter(|(name, _)| is_drop(name));
        words.filter_map(|(_, word)| u64::from_str_radix(word, 16).ok()).fold(0, u64::wrapping_add)
    };
    lines.map(of_cpu).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    fn counted(processed: u64, dropped: u64, conntrack_drops: u64) -> Counted {
        Counted { softnet: Dropped { processed, dropped }, conntrack_drops, is_conntrack_full: true }
    }

    fn limits() -> Limits {
        Limits::new(ms(0), counted(1_000_000, 50, 7), [Table { entries: 10, most: 1024, refused: 3 }; 2])
    }

    fn doubt(limits: &mut Limits, at: u64, counted: Counted) -> Option<(Mono, Cause)> {
        limits.look(ms(at), true, || counted).unwrap().doubt
    }

    #[test]
    fn what_the_cpus_dropped_is_doubted_from_the_last_look_on() {
        let mut limits = limits();
        assert_eq!(doubt(&mut limits, 100, counted(1_005_000, 50, 7)), None);
        assert_eq!(doubt(&mut limits, 200, counted(1_010_000, 55, 7)), Some((ms(100), Cause::SoftnetDrops)));
        assert_eq!(doubt(&mut limits, 300, counted(1_015_000, 55, 7)), None, "that is over");
    }

    #[test]
    fn a_few_drops_among_many_packets_are_counted_and_blind_nobody() {
        let news = limits().look(ms(100), true, || counted(2_000_000, 60, 7)).unwrap();
        assert_eq!((news.softnet_drops, news.doubt), (10, None));
        assert_eq!(doubt(&mut limits(), 100, counted(1_010_000, 60, 7)), Some((ms(0), Cause::SoftnetDrops)));
    }

    #[test]
    fn a_full_conntrack_table_is_doubted() {
        assert_eq!(doubt(&mut limits(), 100, counted(1_010_000, 50, 8)), Some((ms(0), Cause::ConntrackFull)));
    }

    #[test]
    fn what_conntrack_drops_while_it_has_room_blinds_nobody() {
        let news =
            limits().look(ms(100), true, || Counted { is_conntrack_full: false, ..counted(1_010_000, 50, 9) }).unwrap();
        assert_eq!((news.conntrack_drops, news.doubt), (2, None));
    }

    #[test]
    fn counters_are_read_a_few_times_a_second() {
        let mut limits = limits();
        let never = || -> Counted { panic!("read too early") };
        assert_eq!(limits.look(ms(249), false, never), None);
        assert_eq!(limits.look(ms(49), true, never), None);
        let news = limits.look(ms(50), true, || counted(0, 0, 0));
        assert!(news.is_some_and(|news| news.doubt.is_none()), "reset to zero");
    }

    #[test]
    fn a_refused_send_is_the_tables_when_the_table_is_full() {
        let mut limits = limits();
        let table = |entries, refused| move || Table { entries, most: 1024, refused };
        let no = || false;
        let mut behind = |at, cause, v6, table: &dyn Fn() -> Table| limits.behind(cause, v6, ms(at), no, table);
        assert_eq!(behind(200, Cause::QueueFull, false, &table(10, 3)), Cause::QueueFull);
        assert_eq!(behind(400, Cause::QueueFull, false, &table(1000, 4)), Cause::NeighboursFull);
        assert_eq!(behind(450, Cause::QueueFull, false, &|| panic!("read too often")), Cause::NeighboursFull);
        assert_eq!(behind(600, Cause::QueueFull, false, &table(1000, 4)), Cause::QueueFull, "it was refused before");
        assert_eq!(behind(800, Cause::QueueFull, false, &table(1024, 4)), Cause::NeighboursFull);
        assert_eq!(behind(9_000, Cause::QueueFull, false, &table(10, 9)), Cause::QueueFull, "nobody knows when");
        assert_eq!(behind(800, Cause::NoInterface, true, &table(10, 4)), Cause::NeighboursFull);
        assert_eq!(behind(900, Cause::NoInterface, false, &|| panic!("not its error")), Cause::NoInterface);
        assert_eq!(behind(900, Cause::NoRoute, true, &|| panic!("not its error")), Cause::NoRoute);
    }

    #[test]
    fn a_refused_send_is_conntracks_when_that_is_full() {
        let mut limits = limits();
        let table = || -> Table { panic!("not its error") };
        assert_eq!(limits.behind(Cause::OutputRefused, false, ms(1), || true, table), Cause::ConntrackFull);
        assert_eq!(limits.behind(Cause::OutputRefused, false, ms(1), || false, table), Cause::OutputRefused);
    }

    #[test]
    fn the_kernels_own_text_is_read() {
        let text = "00de0956 00000002 00000009 00000000\n00e2b20c 0000000a 00000004 00000000\n";
        assert_eq!(softnet(text), Dropped { processed: 0xde_0956 + 0xe2_b20c, dropped: 12 });
        let text =
            "entries  clashres found drop early_drop\n00000000  00000000 00000001 0000000f 00000009\n0 0 0 1 0\n";
        assert_eq!(conntrack_drops(text), 16 + 9);
    }

    #[test]
    fn any_other_text_counts_nothing() {
        for text in
            ["", "\n\n", "drop", "drop\nxyz\n", "x y z\n- - -", "ffffffffffffffffffff 1", "-1 -1\n", "drop\n\u{fffd}"]
        {
            assert_eq!(conntrack_drops(text), 0, "{text:?}");
            assert!(softnet(text).dropped <= 2, "{text:?}");
        }
        assert_eq!(softnet("ffffffffffffffff ffffffffffffffff\n2 2").dropped, 1, "counters that wrap do no harm");
    }
}
