//! Why the kernel dropped packets at a receiver: a full buffer, or a checksum that it found wrong itself.
//!
//! A raw ICMPv6 socket counts both as drops. How many checksums were wrong is known only of the whole machine and of every
//! type of ICMPv6, so that number excuses few drops and only those of its own moment: what may have been a reply is doubted. But
//! where too little was read to have filled the buffer it was not full, however many wrong checksums somebody sends.

use std::time::Duration;

use crate::model::Mono;

/// Wrong checksums excuse nothing after this.
const REFRESH: Duration = Duration::from_millis(100);
/// More drops than this from one look to the next are a burst, and a burst is what fills a buffer.
const FEW: u64 = 16;

#[derive(Debug)]
pub(super) struct Drops {
    dropped: u32,
    bad_checksums: u64,
    read: Mono,
}

/// The drops since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dropped {
    /// As many as wrong checksums can explain.
    pub(super) bad_checksum: u64,
    /// The others.
    pub(super) overflow: u64,
    /// Replies may have been among them.
    pub(super) is_doubtful: bool,
}

impl Drops {
    pub(super) fn new(dropped: u32, bad_checksums: u64, now: Mono) -> Drops {
        Drops { dropped, bad_checksums, read: now }
    }

    /// `dropped` is the receiver's count, `bad_checksums` reads the machine's; `None` if nothing was dropped.
    /// `may_have_been_full` is whether enough packets were read since the last look to have filled the buffer.
    pub(super) fn look(
        &mut self,
        now: Mono,
        dropped: u32,
        may_have_been_full: bool,
        mut bad_checksums: impl FnMut() -> u64,
    ) -> Option<Dropped> {
        let new = u64::from(dropped.wrapping_sub(self.dropped));
        if new == 0 && now.since(self.read) < REFRESH {
            return None;
        }
        let mut known = bad_checksums();
        if known.saturating_sub(self.bad_checksums) < new {
            // A packet is dropped at the socket a moment before its checksum is counted. What is counted too early this way is
            // missing at the next look.
            known = bad_checksums();
        }
        let explained = new.min(known.saturating_sub(self.bad_checksums));
        *self = Drops { dropped, bad_checksums: known, read: now };
        let overflow = new - explained;
        let is_doubtful = overflow > 0 || new > FEW && may_have_been_full;
        (new > 0).then_some(Dropped { bad_checksum: explained, overflow, is_doubtful })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    fn drops() -> Drops {
        Drops::new(u32::MAX, 1_000, ms(0))
    }

    fn dropped(bad_checksum: u64, overflow: u64, is_doubtful: bool) -> Option<Dropped> {
        Some(Dropped { bad_checksum, overflow, is_doubtful })
    }

    #[test]
    fn a_wrong_checksum_is_no_overflow() {
        assert_eq!(drops().look(ms(10), 2, true, || 1_003), dropped(3, 0, false));
    }

    #[test]
    fn a_full_buffer_is_doubted_beside_wrong_checksums() {
        assert_eq!(drops().look(ms(10), 4, true, || 1_003), dropped(3, 2, true));
        assert_eq!(drops().look(ms(10), 4, true, || 1_000), dropped(0, 5, true));
    }

    #[test]
    fn wrong_checksums_of_before_excuse_nothing() {
        let mut drops = drops();
        assert_eq!(drops.look(ms(100), u32::MAX, true, || 1_500), None, "they were others' packets");
        assert_eq!(drops.look(ms(110), 2, true, || 1_500), dropped(0, 3, true));
    }

    #[test]
    fn a_burst_is_doubted_however_many_checksums_were_wrong() {
        assert_eq!(drops().look(ms(10), 15, true, || 2_000), dropped(16, 0, false));
        assert_eq!(drops().look(ms(10), 16, true, || 2_000), dropped(17, 0, true));
    }

    #[test]
    fn a_flood_of_wrong_checksums_into_an_empty_buffer_blinds_nobody() {
        assert_eq!(drops().look(ms(10), 999, false, || 9_000), dropped(1000, 0, false));
        assert_eq!(drops().look(ms(10), 999, false, || 1_999), dropped(999, 1, true));
    }

    #[test]
    fn the_machines_count_is_read_ten_times_a_second_at_most_while_nothing_is_dropped() {
        let mut drops = drops();
        assert_eq!(drops.look(ms(99), u32::MAX, true, || panic!("read too early")), None);
        assert_eq!(drops.look(ms(100), u32::MAX, true, || 1_000), None);
        assert_eq!(drops.look(ms(199), u32::MAX, true, || panic!("read too early")), None);
    }

    #[test]
    fn a_checksum_that_is_counted_a_moment_after_its_drop_is_no_overflow() {
        let mut counted = [1_002, 1_003].into_iter();
        assert_eq!(drops().look(ms(10), 2, false, || counted.next().unwrap()), dropped(3, 0, false));
        assert_eq!(drops().look(ms(10), 2, false, || 1_002), dropped(2, 1, true), "but what stays unexplained is one");
    }
}
