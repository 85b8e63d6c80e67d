//! On a full disk what is owed is still committed, from room that was taken before; what can wait does not take it.

use std::fs;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;

use super::super::reserve::{self, PIECE_BYTES};
use super::super::schema;
use super::crash::{assert_child_passed, child, child_dir, fill};
use super::{database, nth, open, whole};
use crate::journal::Journal;
use crate::store::SqliteJournal;

/// How many small commits must at least succeed on a full disk.
const MANY: u64 = 3000;
/// And after a start there.
const SOME: u64 = 500;

/// Runs a test of this file as a child process whose directory is a file system of 64 MiB of its own.
fn on_a_small_disk(test: &str) {
    let (place, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let image = image.path().join("disk.img");
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    let made = Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfs.ext4 (e2fsprogs) is needed");
    let mount = "mount -o loop \"$0\" \"$1\" && shift && exec \"$@\"";
    let (image, at) = (image.to_str().unwrap(), place.path().to_str().unwrap());
    let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, image, at];
    assert_child_passed(child(&wrapper, module_path!(), test, place.path()));
}

fn commit(journal: &mut SqliteJournal, from: u64, many: u64) -> u64 {
    for n in from..from + many {
        journal.commit(&nth(n)).unwrap_or_else(|error| panic!("after {} commits: {error}", n - from));
    }
    from + many
}

#[test]
fn thousands_of_commits_succeed_on_a_full_disk_and_after_a_restart_and_a_kill_there() {
    let Some(dir) = child_dir() else {
        return on_a_small_disk("thousands_of_commits_succeed_on_a_full_disk_and_after_a_restart_and_a_kill_there");
    };
    let mut journal = open(&dir).with_reserve();
    journal.commit(&nth(1)).unwrap();
    fill(&dir.join("ballast"));
    let mut next = commit(&mut journal, 2, MANY);
    drop(journal);
    // Whatever the end of a run gave back goes to others.
    fill(&dir.join("more"));
    let mut journal = open(&dir).with_reserve();
    assert_eq!(whole(&journal.load().unwrap()), Some(next - 1));
    next = commit(&mut journal, next, SOME);
    // A kill leaves everything as it is: the files are copied to where a next run finds them.
    std::mem::forget(journal);
    fs::remove_file(dir.join("netwatch.lock")).unwrap();
    fill(&dir.join("yet more"));
    let mut journal = open(&dir).with_reserve();
    assert_eq!(whole(&journal.load().unwrap()), Some(next - 1));
    commit(&mut journal, next, SOME);
    assert!(journal.notices().is_empty());
}

#[test]
fn without_the_reserve_a_full_disk_stops_commits_soon() {
    let Some(dir) = child_dir() else {
        return on_a_small_disk("without_the_reserve_a_full_disk_stops_commits_soon");
    };
    let mut journal = open(&dir);
    journal.commit(&nth(1)).unwrap();
    fill(&dir.join("ballast"));
    let failed = (2..MANY).find(|n| journal.commit(&nth(*n)).is_err());
    assert!(failed.is_some_and(|n| n < 200), "the disk is not full, so the other test shows nothing: {failed:?}");
}

#[test]
fn what_was_used_is_taken_again_once_there_is_room() {
    let Some(dir) = child_dir() else { return on_a_small_disk("what_was_used_is_taken_again_once_there_is_room") };
    drop(open(&dir).with_reserve());
    let conn = schema::open(&database(&dir)).unwrap();
    assert_eq!(free(&conn), PIECE_BYTES);
    conn.execute("CREATE TABLE used AS SELECT zeroblob(?1)", [i64::try_from(PIECE_BYTES).unwrap()]).unwrap();
    fill(&dir.join("ballast"));
    reserve::take(&conn, &database(&dir)).unwrap();
    assert_eq!(free(&conn), 0, "nothing to take from");
    fs::remove_file(dir.join("ballast")).unwrap();
    reserve::take(&conn, &database(&dir)).unwrap();
    assert_eq!(free(&conn), PIECE_BYTES);
}

#[test]
fn who_can_wait_stops_before_the_reserve_is_touched() {
    let Some(dir) = child_dir() else { return on_a_small_disk("who_can_wait_stops_before_the_reserve_is_touched") };
    let path = database(&dir);
    drop(open(&dir).with_reserve());
    let conn = schema::open_for_ledger(&path).unwrap();
    assert!(reserve::may_be_shared(&conn, &path).unwrap(), "there is plenty");
    fill(&dir.join("ballast"));
    assert!(!reserve::may_be_shared(&conn, &path).unwrap(), "full");
    let bytes = fs::metadata(dir.join("ballast")).unwrap().len();
    // 8 MiB are left: enough while the reserve is whole, and not once half of it was used.
    fs::File::options().write(true).open(dir.join("ballast")).unwrap().set_len(bytes - (8 << 20)).unwrap();
    assert!(reserve::may_be_shared(&conn, &path).unwrap());
    let half = i64::try_from(PIECE_BYTES / 2).unwrap();
    conn.execute("CREATE TABLE used AS SELECT zeroblob(?1)", [half]).unwrap();
    assert!(!reserve::may_be_shared(&conn, &path).unwrap());
}

fn free(conn: &Connection) -> u64 {
    let pages: u64 = conn.pragma_query_value(None, "freelist_count", |row| row.get(0)).unwrap();
    pages * 4096 / PIECE_BYTES * PIECE_BYTES
}

#[test]
fn a_growth_that_was_interrupted_is_made_good() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).with_reserve());
    Connection::open(database(dir.path()))
        .unwrap()
        .execute("INSERT INTO reserve VALUES (zeroblob(?1))", [PIECE_BYTES])
        .unwrap();
    drop(open(dir.path()).with_reserve());
    let conn = Connection::open(database(dir.path())).unwrap();
    let rows: u64 = conn.query_row("SELECT count(*) FROM reserve", [], |row| row.get(0)).unwrap();
    assert_eq!((rows, free(&conn)), (0, PIECE_BYTES));
}

#[test]
fn a_log_that_was_kept_for_its_room_is_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let mut journal = open(dir.path()).with_reserve();
    (1..=3).for_each(|n| journal.commit(&nth(n)).unwrap());
    drop(journal);
    assert!(!beside(&path, "-wal").exists() && beside(&path, "-wal.kept").exists());
    // An older file, as from a backup, beside the log of a newer one.
    let elsewhere = tempfile::tempdir().unwrap();
    open(elsewhere.path()).commit(&nth(1)).unwrap();
    fs::copy(database(elsewhere.path()), &path).unwrap();
    let mut journal = open(dir.path()).with_reserve();
    assert_eq!(whole(&journal.load().unwrap()), Some(1));
    assert!(!beside(&path, "-wal.kept").exists());
    assert!(fs::metadata(beside(&path, "-wal")).unwrap().len() >= PIECE_BYTES);
}

#[test]
fn a_log_that_holds_commits_is_not_overwritten_by_the_kept_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    drop(open(dir.path()).with_reserve());
    let mut journal = open(dir.path()).with_reserve();
    journal.commit(&nth(1)).unwrap();
    // As a crash between the two steps of an end leaves it: one log under both names.
    reserve::keep(&path);
    std::mem::forget(journal);
    fs::remove_file(dir.path().join("netwatch.lock")).unwrap();
    let mut journal = open(dir.path());
    assert_eq!(whole(&journal.load().unwrap()), Some(1));
}

fn beside(path: &Path, suffix: &str) -> std::path::PathBuf {
    reserve::beside(path, suffix)
}
