//! The ledger's promises: what was decided can be read, also beside a running journal; it stays bounded, and its
//! failing disturbs nobody.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::{database, nth, open, wall};
use crate::journal::Journal;
use crate::model::{Decision, Event, LedgerEntry, OutageId, Wall};
use crate::sink::StatusSink;
use crate::store::SqliteLedger;
use crate::store::ledger::table::{self, Retention};

fn entry(at: u64, target: &str, outage: Option<u64>, decision: Decision) -> LedgerEntry {
    LedgerEntry::new(wall(at), target.into(), outage.map(OutageId::new), decision)
}

/// Tells a ledger on `path` of these decisions, and lets it end.
async fn write(path: &Path, entries: impl IntoIterator<Item = LedgerEntry>) {
    let ledger = SqliteLedger::new(path).unwrap();
    let events: Vec<Event> = entries.into_iter().map(Event::Ledger).collect();
    ledger.events(&events).await;
    ledger.stop().await;
}

fn read(path: &Path, target: &str, from: u64, to: u64) -> Vec<LedgerEntry> {
    SqliteLedger::read(path, target, wall(from), wall(to)).unwrap()
}

/// As many decisions as given, all of this moment, so that none of them is old.
fn recent(count: usize) -> impl Iterator<Item = LedgerEntry> {
    let now = Wall::from(std::time::SystemTime::now());
    (0..count).map(move |_| LedgerEntry::new(now, "olt-1".into(), None, Decision::Due))
}

fn rows(path: &Path) -> usize {
    let conn = Connection::open(path).unwrap();
    conn.query_row("SELECT count(*) FROM ledger", [], |row| row.get(0)).unwrap()
}

/// Tests of times write them as they are, so the clean-up of what is old must not see them.
fn insert(path: &Path, entries: &[LedgerEntry]) {
    let mut conn = Connection::open(path).unwrap();
    table::insert(&mut conn, entries).unwrap();
}

#[tokio::test]
async fn what_was_decided_can_be_read_while_the_journal_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let mut journal = open(dir.path());
    let now = Wall::from(std::time::SystemTime::now());
    let sent = Decision::Sent { message_id: "<1@nw>".into() };
    let told = LedgerEntry::new(now, "olt-1".into(), Some(OutageId::new(7)), sent).for_notifier(Arc::from("noc"));
    write(&path, [told.clone(), LedgerEntry::new(now, "olt-2".into(), None, Decision::Removed)]).await;
    journal.commit(&nth(1)).unwrap();
    assert_eq!(SqliteLedger::read(&path, "olt-1", now, now).unwrap(), [told]);
    assert_eq!(SqliteLedger::last(&path, "olt-2", now).unwrap(), Some(now));
    assert_eq!(SqliteLedger::last(&path, "olt-2", now.minus(Duration::from_nanos(1))).unwrap(), None);
}

#[test]
fn an_outage_is_read_whole_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let path = database(dir.path());
    let all = [
        entry(50, "olt-1", Some(2), Decision::Closed),
        entry(10, "olt-1", Some(1), Decision::Due),
        entry(20, "olt-1", Some(2), Decision::Due),
        entry(20, "olt-1", Some(2), Decision::Owed),
        entry(30, "olt-1", None, Decision::Renamed { from: "olt-0".into() }),
        entry(25, "olt-2", Some(3), Decision::Due),
    ];
    insert(&path, &all);
    let [closed, first, due, owed, renamed, _] = all;
    assert_eq!(read(&path, "olt-1", 20, 20), [due.clone(), owed.clone(), closed.clone()]);
    assert_eq!(read(&path, "olt-1", 0, 100), [first, due, owed, renamed.clone(), closed]);
    assert_eq!(read(&path, "olt-1", 30, 49), [renamed]);
    assert!(read(&path, "olt-3", 0, 100).is_empty());
    assert!(read(&path, "olt-1", 100, 0).is_empty());
}

#[tokio::test]
async fn many_at_once_are_all_there_and_the_journal_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let mut journal = open(dir.path());
    let ledger = SqliteLedger::new(&path).unwrap();
    for n in 1..=20 {
        ledger.events(&recent(500).map(Event::Ledger).collect::<Vec<_>>()).await;
        journal.commit(&nth(n)).unwrap();
    }
    let committing = std::thread::spawn(move || {
        (21..=40).for_each(|n| journal.commit(&nth(n)).unwrap());
        journal
    });
    ledger.stop().await;
    let mut journal = committing.join().unwrap();
    assert_eq!(rows(&path), 10_000);
    assert_eq!(super::whole(&journal.load().unwrap()), Some(40));
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_goes() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let path = database(dir.path());
    let old: Vec<LedgerEntry> = (0..2500).map(|n| entry(n, "olt-1", None, Decision::Due)).collect();
    insert(&path, &old);
    write(&path, recent(1)).await;
    assert_eq!(rows(&path), 1);
}

#[test]
fn of_too_many_the_oldest_go() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let path = database(dir.path());
    insert(&path, &(0..50).map(|n| entry(n, "olt-1", None, Decision::Due)).collect::<Vec<_>>());
    let conn = Connection::open(&path).unwrap();
    let keep = Retention { age: Duration::MAX, rows: 20 };
    assert_eq!(table::prune(&conn, wall(99), keep, 25).unwrap(), 25);
    assert_eq!(table::prune(&conn, wall(99), keep, 25).unwrap(), 5);
    assert_eq!(table::prune(&conn, wall(99), keep, 25).unwrap(), 0);
    assert_eq!(read(&path, "olt-1", 0, 99).first().unwrap().at, wall(30));
    let keep = Retention { age: Duration::from_nanos(40), rows: 20 };
    assert_eq!(table::prune(&conn, wall(80), keep, 25).unwrap(), 10);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_disturbs_nobody_and_goes_on_when_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    write(&path, recent(1)).await;
    assert!(!path.exists(), "it is the journal that creates the file");

    let mut journal = open(dir.path());
    Connection::open(&path).unwrap().execute_batch("ALTER TABLE ledger RENAME TO away").unwrap();
    let ledger = SqliteLedger::new(&path).unwrap();
    ledger.events(&recent(2).map(Event::Ledger).collect::<Vec<_>>()).await;
    journal.commit(&nth(1)).unwrap();
    // Long enough for an attempt that fails.
    tokio::time::sleep(Duration::from_secs(3)).await;
    Connection::open(&path).unwrap().execute_batch("ALTER TABLE away RENAME TO ledger").unwrap();
    ledger.stop().await;
    journal.commit(&nth(2)).unwrap();
    assert_eq!(rows(&path), 2);
}

#[test]
fn what_cannot_be_read_is_said_with_a_remedy() {
    let said = |path: &Path| SqliteLedger::read(path, "olt-1", wall(0), wall(9)).unwrap_err().to_string();
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    assert!(said(&path).contains("netwatch has not run"), "{}", said(&path));
    assert!(said(Path::new("/nonexistent/netwatch.db")).contains("netwatch has not run"));
    std::fs::write(&path, "name\taddress\tOK\n".repeat(100)).unwrap();
    assert!(said(&path).contains("not a database of netwatch"), "{}", said(&path));
    std::fs::remove_file(&path).unwrap();

    drop(open(dir.path()));
    insert(&path, &[entry(1, "olt-1", None, Decision::Due)]);
    let change = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    change("UPDATE ledger SET decision = 'guessed'");
    assert!(said(&path).contains("unknown decision `guessed`"), "{}", said(&path));
    change("PRAGMA user_version = 3");
    assert!(said(&path).contains("newer netwatch"), "{}", said(&path));
    change("PRAGMA user_version = 1");
    assert!(read(&path, "olt-1", 0, 9).is_empty(), "version 1 had no ledger");
}

#[test]
fn reading_changes_nothing_and_leaves_nothing_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let path = database(dir.path());
    let before = std::fs::read(&path).unwrap();
    assert!(read(&path, "olt-1", 0, 9).is_empty());
    assert!(before == std::fs::read(&path).unwrap());
    open(dir.path()).commit(&nth(1)).unwrap();
}
