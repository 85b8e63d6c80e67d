//! What is decided and not yet committed.
//!
//! Changes gather while a commit is under way and leave together with the next one; what a failed commit carried is
//! offered again, unless something newer took its place. While the journal fails, or hangs, nothing waits for it:
//! a mail that leaves from memory is better than one that does not leave.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Change, Commit, Key, Mono, Now, Wall};

/// A commit that has not been answered for this long is no longer waited for.
const STALLED: Duration = Duration::from_secs(10);

/// How long after a failed commit the next one is offered.
const RETRY: Duration = Duration::from_secs(5);

/// How often the journal is given a sign of life.
const ALIVE: Duration = Duration::from_secs(10);

/// How soon it is looked again whether there is one to give.
const ALIVE_RETRY: Duration = Duration::from_secs(1);

/// Records that carry no outage wait for each other: so many are written at once,
const RECORDS: usize = 1000;
/// and so long lies between two such writings. A million devices that are seen for the first time, or that cannot be
/// seen any more, must not make a commit that others wait for, nor the memory for one.
const RECORDS_EVERY: Duration = Duration::from_millis(250);

/// What a step of the journal means for the rest.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It works again.
    Recovered,
    /// It has begun to fail.
    Failing,
}

/// The changes on their way to the journal.
#[derive(Debug)]
pub(super) struct Journaling {
    pending: BTreeMap<Key, Change>,
    under_way: Option<(Commit, Mono)>,
    next_seq: u64,
    acknowledged: u64,
    not_before: Mono,
    alive_due: Mono,
    records_from: Mono,
    records_left: usize,
    pub(super) failing_since: Option<Wall>,
}

impl Journaling {
    pub(super) fn new(now: Now) -> Journaling {
        Journaling {
            pending: BTreeMap::new(),
            under_way: None,
            next_seq: 1,
            acknowledged: 0,
            not_before: now.mono,
            alive_due: now.mono,
            records_from: now.mono,
            records_left: RECORDS,
            failing_since: None,
        }
    }

    pub(super) fn put(&mut self, change: Change) {
        self.pending.insert(change.key(), change);
    }

    /// How many of the records that wait may go with the next commit. They are as good as put.
    pub(super) fn room_for_records(&mut self, now: Now, waiting: usize) -> usize {
        if waiting == 0 || self.under_way.is_some() || now.mono < self.not_before {
            return 0;
        }
        if now.mono >= self.records_from {
            self.records_from = now.mono.plus(RECORDS_EVERY);
            self.records_left = RECORDS;
        }
        // What a commit that failed carried is offered again with the next one, which must not grow by that.
        let room = self.records_left.min(waiting).min(RECORDS.saturating_sub(self.pending.len()));
        self.records_left = self.records_left.saturating_sub(room);
        room
    }

    /// The number of the commit that will carry what is put now.
    pub(super) fn seq_of_pending(&self) -> u64 {
        self.next_seq
    }

    /// The next commit, if there is something to commit and none is under way. `alive` says whether every target has
    /// been checked in this run, so that a sign of life speaks for all of them.
    pub(super) fn poll(&mut self, now: Now, alive: bool) -> Option<Commit> {
        if self.under_way.is_some() || now.mono < self.not_before {
            return None;
        }
        if now.mono >= self.alive_due {
            self.alive_due = now.mono.plus(if alive { ALIVE } else { ALIVE_RETRY });
            if alive {
                self.put(Change::PutAlive(now.wall));
            }
        }
        self.take(now)
    }

    /// The last commit of a run: whatever is pending, whether or not one is under way.
    pub(super) fn last(&mut self, now: Now, alive: bool) -> Option<Commit> {
        if let Some((commit, _)) = self.under_way.take() {
            self.offer_again(commit);
        }
        if alive {
            self.put(Change::PutAlive(now.wall));
        }
        self.take(now)
    }

    pub(super) fn committed(&mut self, seq: u64) -> Option<News> {
        self.under_way.take_if(|(commit, _)| commit.seq == seq)?;
        self.acknowledged = seq;
        self.failing_since.take().map(|_| News::Recovered)
    }

    pub(super) fn failed(&mut self, now: Now, seq: u64) -> Option<News> {
        let (commit, _) = self.under_way.take_if(|(commit, _)| commit.seq == seq)?;
        self.offer_again(commit);
        self.not_before = now.mono.plus(RETRY);
        self.fail(now)
    }

    /// A commit that hangs counts as failing, until it is answered.
    pub(super) fn look(&mut self, now: Now) -> Option<News> {
        let (_, since) = self.under_way.as_ref()?;
        if now.mono < since.plus(STALLED) { None } else { self.fail(now) }
    }

    /// Whether a commit has taken effect in this run.
    pub(super) fn has_committed(&self) -> bool {
        self.acknowledged > 0
    }

    /// Up to which commit a mail need not wait any more.
    pub(super) fn passed(&self) -> u64 {
        if self.failing_since.is_some() { u64::MAX } else { self.acknowledged }
    }

    /// When to come back; `records` is whether records wait.
    pub(super) fn timeout(&self, records: bool) -> Mono {
        match &self.under_way {
            Some((_, since)) if self.failing_since.is_none() => since.plus(STALLED),
            Some(_) => Mono::from_nanos(u64::MAX),
            None if self.pending.is_empty() && records => self.records_from.max(self.not_before),
            None if self.pending.is_empty() => self.alive_due.max(self.not_before),
            None => self.not_before,
        }
    }

    fn fail(&mut self, now: Now) -> Option<News> {
        if self.failing_since.is_some() {
            return None;
        }
        self.failing_since = Some(now.wall);
        Some(News::Failing)
    }

    fn take(&mut self, now: Now) -> Option<Commit> {
        if self.pending.is_empty() {
            return None;
        }
        let commit = Commit::new(self.next_seq, std::mem::take(&mut self.pending).into_values().collect());
        self.next_seq += 1;
        self.under_way = Some((commit.clone(), now.mono));
        Some(commit)
    }

    fn offer_again(&mut self, commit: Commit) {
        for change in commit.changes {
            self.pending.entry(change.key()).or_insert(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LineId;

    fn at(seconds: u64) -> Now {
        Now::new(Mono::ZERO.plus(Duration::from_secs(seconds)), Wall::default().plus(Duration::from_secs(seconds)))
    }

    #[test]
    fn what_a_failed_commit_carried_is_offered_again_but_never_over_something_newer() {
        let mut journaling = Journaling::new(at(0));
        journaling.put(Change::DropLine(LineId::new(1)));
        let first = journaling.poll(at(0), true).expect("a commit");
        journaling.put(Change::PutAlive(Wall::from_unix_nanos(5)));
        assert_eq!(journaling.poll(at(1), true), None, "one at a time");
        assert_eq!(journaling.failed(at(1), first.seq), Some(News::Failing));
        assert_eq!(journaling.poll(at(2), true), None, "not at once");
        let second = journaling.poll(at(6), true).expect("the same again");
        assert!(second.changes.contains(&Change::DropLine(LineId::new(1))));
        assert!(second.changes.contains(&Change::PutAlive(Wall::from_unix_nanos(5))));
        assert_eq!(journaling.committed(second.seq), Some(News::Recovered));
    }

    #[test]
    fn a_sign_of_life_that_could_not_be_given_is_not_ten_seconds_late() {
        let mut journaling = Journaling::new(at(0));
        assert_eq!(journaling.poll(at(0), false), None);
        assert_eq!(journaling.timeout(false), at(1).mono, "looked at again soon, and not at once");
        let first = journaling.poll(at(1), true).expect("a sign of life");
        assert_eq!(first.changes, [Change::PutAlive(at(1).wall)]);
        journaling.committed(first.seq);
        assert_eq!((journaling.poll(at(10), true), journaling.timeout(false)), (None, at(11).mono));
    }

    #[test]
    fn a_commit_that_hangs_is_not_waited_for() {
        let mut journaling = Journaling::new(at(0));
        journaling.put(Change::DropLine(LineId::new(1)));
        let seq = journaling.poll(at(0), true).expect("a commit").seq;
        assert_eq!((journaling.look(at(9)), journaling.passed()), (None, 0));
        assert_eq!((journaling.look(at(10)), journaling.passed()), (Some(News::Failing), u64::MAX));
        assert_eq!((journaling.committed(seq), journaling.passed()), (Some(News::Recovered), seq));
    }
}
