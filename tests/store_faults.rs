//! The journal on a disk that fails: what was acknowledged is there, nothing is half there and nothing is invented; and
//! after a power cut at any point no commit that was acknowledged is lost.
//!
//! One seed is one history: commits at random, faults at random calls, starts in between. `NETWATCH_DISK_SEEDS` says how
//! many histories of each kind, from `NETWATCH_DISK_FROM`; tests/campaign runs 10,000 and 1,000.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;
use netwatch_core::{
    Change, Commit, Content, Incident, Journal, Key, Line, LineId, LineKind, MailId, Outage, OutageId, Saved,
    SavedMail, SavedNotifier, SavedTarget, SqliteJournal, Status, Subject, Told, Topic, Wall,
};
use netwatch_tests::disk::{Disk, Mood};
use rusqlite::Connection;

/// Attempts at commits in a history.
const COMMITS: u32 = 40;

fn seeds(short: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let from = number("NETWATCH_DISK_FROM").unwrap_or(0);
    from..from + number("NETWATCH_DISK_SEEDS").unwrap_or(short)
}

/// All that a journal holds: what a start needs, and the record of outages.
#[derive(Debug, Clone, PartialEq, Default)]
struct Truth {
    saved: Saved,
    record: BTreeMap<OutageId, (String, i64, Option<i64>)>,
}

impl Truth {
    fn after(&self, commit: &Commit) -> Truth {
        let mut truth = self.clone();
        truth.saved.apply(commit);
        for change in &commit.changes {
            if let Change::PutOutage(outage) = change {
                let due = outage.due.map(Wall::unix_nanos);
                truth.record.insert(outage.id, (outage.target.to_string(), outage.first_bad.unix_nanos(), due));
            }
        }
        truth
    }

    /// What is in the journal in `dir`, once it is opened anew.
    fn read(dir: &Path) -> Truth {
        let mut journal = SqliteJournal::open(database(dir)).unwrap();
        let saved = journal.load().unwrap();
        assert_eq!(journal.notices(), Vec::<String>::new(), "nothing is damaged");
        drop(journal);
        let conn = Connection::open(database(dir)).unwrap();
        let whole: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
        let mut statement = conn.prepare("SELECT id, target, first_bad, due FROM outages").unwrap();
        let rows =
            statement.query_map([], |row| Ok((OutageId::new(row.get(0)?), (row.get(1)?, row.get(2)?, row.get(3)?))));
        Truth { saved, record: rows.unwrap().map(Result::unwrap).collect() }
    }
}

fn database(dir: &Path) -> PathBuf {
    dir.join("netwatch.db")
}

/// Changes about few things, so that they often replace each other; now and then a mail of many pages.
fn commit(seq: u64, rng: &mut Rng) -> Commit {
    let changes = (0..rng.u32(1..8)).map(|_| change(rng));
    let by_key: BTreeMap<Key, Change> = changes.map(|change| (change.key(), change)).collect();
    Commit::new(seq, by_key.into_values().collect())
}

fn change(rng: &mut Rng) -> Change {
    let at = Wall::from_unix_nanos(rng.i64(0..1 << 60));
    let name: Arc<str> = format!("olt-{}", rng.u8(0..8)).into();
    let id = rng.u64(1..12);
    let mut outage = Outage::open(OutageId::new(rng.u64(1..2000)), name.clone(), Some(at), at);
    outage.due = rng.bool().then_some(at);
    match rng.u8(0..13) {
        0 | 1 => {
            let mut target = SavedTarget::new(name, Status::Down, at);
            target.outage = rng.bool().then_some(outage);
            Change::PutTarget(target)
        }
        2 => Change::DropTarget(name),
        3 | 4 => Change::PutOutage(outage),
        5 => {
            let subject = Subject::new(name, "192.0.2.1");
            Change::PutLine("noc".into(), Line::new(LineId::new(id), LineKind::Opened, subject, outage, at))
        }
        6 => Change::DropLine(LineId::new(id)),
        7 => {
            let pages = if rng.u8(0..6) == 0 { rng.usize(20..400) } else { 1 };
            let text: String = std::iter::repeat_with(|| rng.alphanumeric()).take(pages * 1000).collect();
            let content = Arc::new(Content::new("NO RESPONDE", text, ""));
            let mail = SavedMail::new(MailId::new(id), "noc", format!("<{id}@example.net>"), at, content, Vec::new());
            Change::PutMail(mail)
        }
        8 => Change::DropMail(MailId::new(id)),
        9 => Change::PutTold(Told::new("noc", name, outage.id, "<1@example.net>", at, rng.bool())),
        10 => Change::PutIncident(Incident::new(Topic::Flapping, outage)),
        11 => Change::PutNotifier(SavedNotifier::new(name, Some(at))),
        _ => Change::PutAlive(at),
    }
}

/// The changes of a commit that failed, with newer ones: as netwatch offers them again.
fn merged(failed: &Commit, newer: Commit) -> Commit {
    let mut by_key: BTreeMap<Key, Change> =
        failed.changes.iter().map(|change| (change.key(), change.clone())).collect();
    by_key.extend(newer.changes.into_iter().map(|change| (change.key(), change)));
    Commit::new(newer.seq, by_key.into_values().collect())
}

/// Which lines of the two differ.
fn difference(there: &Truth, truth: &Truth) -> String {
    let (there, truth) = (format!("{there:#?}"), format!("{truth:#?}"));
    let lines = there.lines().zip(truth.lines()).filter(|(there, truth)| there != truth);
    let shown = lines.take(20).map(|(there, truth)| format!("there: {there:.100}\ntruth: {truth:.100}\n"));
    format!("{} and {} lines\n{}", there.lines().count(), truth.lines().count(), shown.collect::<String>())
}

/// What a history left.
struct Left {
    /// What was acknowledged.
    truth: Truth,
    /// What may be there instead: a commit that failed may have taken effect.
    attempts: Vec<Truth>,
    acknowledged: u32,
    /// The highest number in anything that was tried: one that failed and took effect may have left it, although what
    /// it was about was replaced.
    highest: u64,
}

impl Left {
    fn allows(&self, there: &Truth) -> bool {
        let fits = |truth: &Truth| {
            let mut same = there.clone();
            same.saved.last_number = truth.saved.last_number;
            same == *truth && (truth.saved.last_number..=self.highest).contains(&there.saved.last_number)
        };
        fits(&self.truth) || self.attempts.iter().any(fits)
    }

    fn attempt(&mut self, commit: &Commit) -> Truth {
        let truth = self.truth.after(commit);
        self.highest = self.highest.max(truth.saved.last_number);
        truth
    }
}

/// A history on a disk in this mood. `mortal` is whether the process ends with its first failure, as without power.
fn live(disk: &Disk, dir: &Path, rng: &mut Rng, mood: Mood, mortal: bool) -> Left {
    let mut left = Left { truth: Truth::default(), attempts: Vec::new(), acknowledged: 0, highest: 0 };
    drop(SqliteJournal::open(database(dir)).unwrap());
    disk.set(mood);
    // One in some histories has the room for a full disk, which makes large transactions.
    let reserve = rng.u8(0..25) == 0;
    let open = || {
        let mut journal = SqliteJournal::open(database(dir)).ok()?;
        assert_eq!(journal.notices(), Vec::<String>::new(), "a disk that failed was taken for a damaged file");
        Some(if reserve { journal.with_reserve() } else { journal })
    };
    let mut journal = open();
    let mut failed: Option<Commit> = None;
    for seq in 1..=u64::from(COMMITS) {
        let Some(current) = &mut journal else {
            if mortal {
                break;
            }
            journal = open();
            continue;
        };
        let newer = commit(seq, rng);
        let offered = match &failed {
            Some(failed) => merged(failed, newer),
            None => newer,
        };
        match current.commit(&offered) {
            Ok(()) => {
                left.truth = left.attempt(&offered);
                left.attempts.clear();
                (failed, left.acknowledged) = (None, left.acknowledged + 1);
            }
            Err(_) if mortal => {
                let truth = left.attempt(&offered);
                left.attempts.push(truth);
                break;
            }
            Err(_) => {
                let truth = left.attempt(&offered);
                left.attempts.push(truth);
                failed = Some(offered);
            }
        }
        match rng.u8(0..12) {
            0 => {
                // What is there after an end and a start is what goes on.
                drop(journal.take());
                journal = open();
            }
            1 => {
                if let Ok(other) = Connection::open(database(dir)) {
                    let _ = other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                }
            }
            _ => {}
        }
    }
    left
}

#[test]
fn what_was_acknowledged_is_there_whatever_the_disk_did() {
    let (mut faults, mut acknowledged, mut failed) = (BTreeMap::new(), 0, 0);
    for seed in seeds(300) {
        let disk = Disk::take(seed);
        let mut rng = Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let mood = Mood::Failing(rng.u32(20..400));
        let left = live(&disk, dir.path(), &mut rng, mood, false);
        disk.set(Mood::Healthy);
        let there = Truth::read(dir.path());
        assert!(left.allows(&there), "seed {seed}: {}", difference(&there, &left.truth));
        acknowledged += left.acknowledged;
        failed += left.attempts.len();
        for (name, count) in disk.faults() {
            *faults.entry(name).or_insert(0) += count;
        }
    }
    println!("{acknowledged} commits acknowledged; {failed} histories' last attempts failed; faults: {faults:?}");
    for kind in ["write", "full", "short write", "torn write", "sync", "read", "truncate", "open", "shared memory"] {
        assert!(faults.contains_key(kind), "no fault of the kind `{kind}` was met: {faults:?}");
    }
    assert!(acknowledged > COMMITS, "the disk never let anything through");
}

/// Cuts the power at a random point for each seed; how many histories lost an acknowledged commit, and how many were cut
/// while there was something to lose.
fn cut_the_power(seeds: std::ops::Range<u64>, lying: bool) -> (u64, u64) {
    let (mut lost, mut cut) = (0, 0);
    for seed in seeds {
        let disk = Disk::take(seed);
        let mut rng = Rng::with_seed(seed);
        let (dir, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        disk.ignore_syncs_of_logs(lying);
        let mood = Mood::PowerCut(rng.u32(1..600));
        let left = live(&disk, dir.path(), &mut rng, mood, true);
        disk.after_power_cut(after.path());
        disk.ignore_syncs_of_logs(false);
        disk.set(Mood::Healthy);
        let read = || Truth::read(after.path());
        let there = if lying { std::panic::catch_unwind(read).ok() } else { Some(read()) };
        let kept = there.as_ref().is_some_and(|there| left.allows(there));
        assert!(
            kept || lying,
            "seed {seed}, after {} commits: {:?}",
            left.acknowledged,
            there.map(|there| difference(&there, &left.truth))
        );
        lost += u64::from(!kept);
        cut += u64::from(left.acknowledged > 0);
    }
    (lost, cut)
}

#[test]
fn no_acknowledged_commit_is_lost_when_the_power_goes() {
    let (lost, cut) = cut_the_power(seeds(150), false);
    println!("power cut after {cut} histories with commits: {lost} lost");
    assert!(lost == 0 && cut > 0);
}

/// The rig can see a loss: with a drive that acknowledges syncs of the log and does not do them there is one.
#[test]
fn a_drive_that_lies_about_syncs_loses_commits() {
    let (lost, _) = cut_the_power(0..60, true);
    println!("with a drive that lies: {lost} of 60 lost");
    assert!(lost > 10, "{lost}");
}
