//! [`SqliteJournal`]: commits to `netwatch.db`, and what to do when one fails.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::lock::DirLock;
use super::{rows, schema};
use crate::journal::{CommitError, Journal, LoadError};
use crate::model::{Commit, Saved};

/// The journal in a SQLite file.
///
/// One commit is one transaction, in WAL mode with `synchronous=FULL`: what was acknowledged survives kill -9 and, on
/// storage that honours a sync, a power cut (<https://sqlite.org/pragma.html#pragma_synchronous>,
/// <https://sqlite.org/wal.html>). After an I/O error the next commit opens the file anew and checks it first; on a full
/// disk commits fail until there is room. A file that is damaged, of a newer schema or not netwatch's is refused and
/// left as it is.
///
/// It holds the [lock](DirLock) on the file's directory as long as it lives. The outages are kept for ever, in the
/// table `outages`; other programs may read the file at any time and must not write it.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("netwatch.db");
/// use netwatch_core::{Change, Commit, Journal, SavedTarget, SqliteJournal, Status, Wall};
///
/// let mut journal = SqliteJournal::open(&path)?;
/// let target = SavedTarget::new("core-1", Status::Ok, Wall::from_unix_nanos(0));
/// journal.commit(&Commit::new(1, vec![Change::PutTarget(target)]))?;
/// drop(journal);
///
/// let saved = SqliteJournal::open(&path)?.load()?;
/// assert_eq!(saved.targets["core-1"].status, Status::Ok);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct SqliteJournal {
    path: PathBuf,
    /// Absent after an error that may have left the connection's view of the disk wrong.
    conn: Option<Connection>,
    /// The last commit that was acknowledged, or that was there when the file was opened.
    acknowledged: u64,
    _lock: DirLock,
}

impl SqliteJournal {
    /// Opens the journal at `path`, creating it (mode 0600) if there is none, and locks its directory.
    ///
    /// # Errors
    /// When another netwatch runs on the directory, and when the file is damaged, of a newer schema, or not
    /// netwatch's. The file is then as it was before.
    pub fn open(path: impl AsRef<Path>) -> Result<SqliteJournal, LoadError> {
        let path = path.as_ref();
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let lock = DirLock::take(dir).map_err(|error| LoadError::new(path.display().to_string(), error.to_string()))?;
        SqliteJournal::open_locked(path, lock)
    }

    /// The same for a program that locked the directory before, because it does more there than keep a journal.
    ///
    /// # Errors
    /// As for [`open`](SqliteJournal::open), and when the lock is that of another directory.
    pub fn open_locked(path: impl AsRef<Path>, lock: DirLock) -> Result<SqliteJournal, LoadError> {
        let path = path.as_ref();
        let refused = |reason: String| LoadError::new(path.display().to_string(), reason);
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if dir.canonicalize().ok().as_deref() != Some(lock.dir()) {
            return Err(refused(format!("the lock that was given is that of {}", lock.dir().display())));
        }
        let conn = schema::open(path).map_err(|fault| refused(fault.to_string()))?;
        let acknowledged = rows::commits(&conn).map_err(|error| refused(schema::words(&error)))?;
        Ok(SqliteJournal { path: path.to_owned(), conn: Some(conn), acknowledged, _lock: lock })
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// A connection that nothing has gone wrong on.
    fn sound(&mut self) -> Result<Connection, String> {
        if let Some(conn) = self.conn.take() {
            return Ok(conn);
        }
        let conn = schema::open_existing(&self.path).map_err(|fault| fault.to_string())?;
        let there = rows::commits(&conn).map_err(|error| schema::words(&error))?;
        // One more is the commit that failed and yet took effect: it is offered again and changes nothing twice.
        let last = self.acknowledged.saturating_add(1);
        if !(self.acknowledged..=last).contains(&there) {
            return Err(format!(
                "the disk kept {there} commits where {} were acknowledged; restart netwatch to go on with what is there",
                self.acknowledged
            ));
        }
        if !empty_log(&conn).map_err(|error| schema::words(&error))? {
            return Err("another program reads the file and keeps its log from being emptied: end it".to_owned());
        }
        Ok(conn)
    }
}

impl Journal for SqliteJournal {
    fn load(&mut self) -> Result<Saved, LoadError> {
        let failed = |place: String, reason: String| Err(LoadError::new(place, reason));
        let conn = match self.sound() {
            Ok(conn) => conn,
            Err(reason) => return failed(self.place(), reason),
        };
        let read = read_at_once(&conn);
        self.conn = Some(conn);
        read.or_else(|error| failed(self.place(), schema::OpenFault::from(error).to_string()))
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), CommitError> {
        let mut conn = match self.sound() {
            Ok(conn) => conn,
            Err(reason) => return Err(CommitError::new(self.place(), reason)),
        };
        match write_at_once(&mut conn, commit) {
            Ok(count) => {
                self.acknowledged = count;
                self.conn = Some(conn);
                Ok(())
            }
            Err(error) => {
                if leaves_connection_sound(&error) {
                    self.conn = Some(conn);
                }
                Err(CommitError::new(self.place(), schema::words(&error)))
            }
        }
    }
}

fn read_at_once(conn: &Connection) -> rusqlite::Result<Saved> {
    let transaction = conn.unchecked_transaction()?;
    rows::read(&transaction)
}

fn write_at_once(conn: &mut Connection, commit: &Commit) -> rusqlite::Result<u64> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let count = rows::write(&transaction, commit)?;
    transaction.commit()?;
    Ok(count)
}

/// A full disk and a lock held by somebody else roll back cleanly. After anything else nobody knows what the kernel
/// still holds of what was written (<https://wiki.postgresql.org/wiki/Fsync_Errors>).
fn leaves_connection_sound(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Moves the log into the file and syncs that, so that no commit depends on pages whose sync once failed. Says whether
/// nobody was in the way.
fn empty_log(conn: &Connection) -> rusqlite::Result<bool> {
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}
