//! The journal's promises: it agrees with [`Saved::apply`](crate::Saved::apply), sets aside what is not whole,
//! refuses what is not its own without touching it, and survives a killed process, a full disk and a failing one.

mod agreement;
mod aside;
mod crash;
mod ledger;
mod refusal;
mod reserve;
mod upgrade;

use std::cell::Cell;
use std::path::{Path, PathBuf};

use super::SqliteJournal;
use crate::journal::Journal;
use crate::model::{
    Change, Commit, Incident, Line, LineId, LineKind, Outage, OutageId, Saved, SavedTarget, Status, Subject, Topic,
    Wall,
};

thread_local! {
    /// The version of SQLite that the store is made to see on this thread.
    pub(super) static PRETENDED_SQLITE: Cell<Option<i32>> = const { Cell::new(None) };
}

fn database(dir: &Path) -> PathBuf {
    dir.join("netwatch.db")
}

fn open(dir: &Path) -> SqliteJournal {
    SqliteJournal::open(database(dir)).unwrap()
}

fn loaded(dir: &Path) -> Saved {
    open(dir).load().unwrap()
}

fn wall(nanos: u64) -> Wall {
    Wall::from_unix_nanos(i64::try_from(nanos).unwrap())
}

fn outage(number: u64) -> Outage {
    Outage::open(OutageId::new(number), "olt-1".into(), Some(wall(number)), wall(number + 1))
}

/// The n-th of a row of commits, each of which replaces what the one before it said in four tables.
fn nth(n: u64) -> Commit {
    let mut target = SavedTarget::new("olt-1", Status::Down, wall(n));
    target.outage = Some(outage(2 * n));
    let line =
        Line::new(LineId::new(2 * n + 1), LineKind::Opened, Subject::new("olt-1", "192.0.2.1"), outage(2 * n), wall(n));
    let mut changes =
        vec![Change::PutTarget(target), Change::PutOutage(outage(2 * n)), Change::PutLine("noc".into(), line)];
    changes.push(Change::PutIncident(Incident::new(Topic::Flapping, outage(2 * n))));
    if let Some(before) = n.checked_sub(1) {
        changes.push(Change::DropLine(LineId::new(2 * before + 1)));
        changes.push(Change::DropIncident(OutageId::new(2 * before)));
    }
    Commit::new(n, changes)
}

/// After how many [`nth`] commits `saved` is, if it is after a whole number of them.
fn whole(saved: &Saved) -> Option<u64> {
    let Some(target) = saved.targets.get("olt-1") else { return (*saved == Saved::default()).then_some(0) };
    let n = u64::try_from(target.since.unix_nanos()).ok()?;
    let mut expected = Saved::default();
    (1..=n).for_each(|n| expected.apply(&nth(n)));
    (*saved == expected).then_some(n)
}
