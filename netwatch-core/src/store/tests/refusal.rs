//! A file that is not ours, or of a newer schema, is refused with a reason, and stays as it was.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::{database, open};
use crate::journal::LoadError;
use crate::store::{DirLock, SqliteJournal};

/// Opens the journal in `dir`, which must fail and leave the database and its log byte for byte as they were.
fn refused(dir: &Path) -> String {
    let content = |name: &str| fs::read(dir.join(name)).unwrap_or_default();
    let before = (content("netwatch.db"), content("netwatch.db-wal"));
    let error: LoadError = SqliteJournal::open(database(dir)).unwrap_err();
    assert!(before == (content("netwatch.db"), content("netwatch.db-wal")), "changed, although refused: {error}");
    assert!(error.to_string().contains("netwatch.db"), "names the file: {error}");
    error.to_string()
}

fn assert_says(error: &str, words: &str) {
    assert!(error.contains(words), "`{words}` is not in: {error}");
}

#[test]
fn a_file_of_something_else() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(database(dir.path()), "name\taddress\tOK\n").unwrap();
    assert_says(&refused(dir.path()), "not a database of netwatch");
}

#[test]
fn a_database_of_something_else() {
    for (application_id, version) in [(0, 0), (0, 1), (77, 0), (77, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(database(dir.path())).unwrap();
        conn.execute_batch("CREATE TABLE journal (entry TEXT)").unwrap();
        conn.pragma_update(None, "application_id", application_id).unwrap();
        conn.pragma_update(None, "user_version", version).unwrap();
        drop(conn);
        assert_says(&refused(dir.path()), "not a database of netwatch");
    }
}

#[test]
fn a_newer_schema() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    Connection::open(database(dir.path())).unwrap().pragma_update(None, "user_version", 3).unwrap();
    assert_says(&refused(dir.path()), "newer netwatch (schema 3, this one knows 2)");
}

#[test]
fn a_newer_schema_that_only_the_log_tells_of() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let newer = Connection::open(database(dir.path())).unwrap();
    newer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    newer.pragma_update(None, "user_version", 3).unwrap();
    drop(newer);
    assert!(fs::metadata(dir.path().join("netwatch.db-wal")).unwrap().len() > 0, "the log holds the change");
    assert_says(&refused(dir.path()), "newer netwatch");
}

#[test]
fn a_sqlite_that_can_corrupt_the_file() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    for (version, is_refused) in [(3_007_000, true), (3_051_002, true), (3_051_003, false)] {
        super::PRETENDED_SQLITE.set(Some(version));
        let opened = SqliteJournal::open(database(dir.path()));
        assert_eq!(opened.is_err(), is_refused, "{version}");
    }
    super::PRETENDED_SQLITE.set(Some(3_051_002));
    assert_says(&refused(dir.path()), "build netwatch with 3.51.3 or later");
    super::PRETENDED_SQLITE.set(None);
    assert!(rusqlite::version_number() >= 3_051_003);
}

#[test]
fn a_symbolic_link() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(open(elsewhere.path()));
    symlink(database(elsewhere.path()), database(dir.path())).unwrap();
    assert_says(&refused(dir.path()), "symbolic link");
}

#[test]
fn a_directory_that_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    assert_says(&refused(dir.path()), &format!("another netwatch (pid {})", std::process::id()));
    drop(first);
    let lock = DirLock::take(dir.path()).unwrap();
    drop(SqliteJournal::open_locked(database(dir.path()), lock).unwrap());
    let (elsewhere, lock) = (tempfile::tempdir().unwrap(), DirLock::take(dir.path()).unwrap());
    let error = SqliteJournal::open_locked(database(elsewhere.path()), lock).unwrap_err();
    assert_says(&error.to_string(), "lock");
}

#[test]
fn a_directory_that_is_not_there() {
    let error = SqliteJournal::open("/nonexistent/netwatch.db").unwrap_err();
    assert_says(&error.to_string(), "/nonexistent");
}
