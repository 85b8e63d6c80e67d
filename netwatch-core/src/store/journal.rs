//! [`SqliteJournal`]: commits to `netwatch.db`, and what to do when one fails.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::lock::DirLock;
use super::schema::OpenFault;
use super::{aside, reserve, rows, schema};
use crate::journal::{CommitError, Journal, LoadError};
use crate::model::{Commit, Saved};

/// The journal in a SQLite file.
///
/// One commit is one transaction, in WAL mode with `synchronous=FULL`: what was acknowledged survives kill -9 and, on
/// storage that honours a sync, a power cut (<https://sqlite.org/pragma.html#pragma_synchronous>,
/// <https://sqlite.org/wal.html>). After an I/O error the next commit opens the file anew and checks it first; on a full
/// disk commits fail once the [reserve](SqliteJournal::with_reserve) is used up, until there is room.
///
/// A file that is damaged is set aside when it is opened, as `netwatch.db.damaged-<time>` with its log, and kept; what
/// can still be read of it is written into a new one, and [`notices`](Journal::notices) says so. A file of a newer
/// schema, or that is not netwatch's, is refused and left as it is.
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
    /// When it was last looked whether the reserve is there; absent if none is kept.
    reserve: Option<Instant>,
    notices: Vec<String>,
    warning: Option<String>,
    _lock: DirLock,
}

/// How often a file must be found damaged to be set aside.
const LOOKS: u32 = 3;

/// How often it is looked whether the reserve is there.
const LOOK: Duration = Duration::from_secs(10);

impl SqliteJournal {
    /// Opens the journal at `path`, creating it (mode 0600) if there is none, and locks its directory.
    ///
    /// # Errors
    /// When another netwatch runs on the directory, and when the file is of a newer schema, not netwatch's, held by
    /// another program or not to be read. It is then as it was before.
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
        let path = path.to_owned();
        let mut journal = SqliteJournal {
            path,
            conn: None,
            acknowledged: 0,
            reserve: None,
            notices: Vec::new(),
            warning: None,
            _lock: lock,
        };
        aside::finish(&journal.path).map_err(|error| refused(error.to_string()))?;
        let opened = journal.look();
        match opened {
            Ok((acknowledged, conn)) => (journal.acknowledged, journal.conn) = (acknowledged, Some(conn)),
            Err(OpenFault::Damaged(reason)) => journal.begin_anew(&reason).map_err(refused)?,
            Err(fault) => return Err(refused(fault.to_string())),
        }
        Ok(journal)
    }

    /// Keeps room for commits on a full disk: 8 MiB in the log and 8 MiB in the file, taken where the disk has 32 MiB
    /// left, and again after it was used. It is enough for thousands of commits.
    #[must_use]
    pub fn with_reserve(mut self) -> SqliteJournal {
        self.reserve = Some(Instant::now());
        if let Some(conn) = self.conn.take() {
            self.conn = self.look_after_reserve(conn);
        }
        self
    }

    /// Opens the file. A disk that could not read a page for a moment is not damage: that is seen again and again.
    fn look(&self) -> Result<(u64, Connection), OpenFault> {
        let mut looks = 1;
        loop {
            let opened = schema::open(&self.path).and_then(|conn| Ok((rows::commits(&conn)?, conn)));
            if looks == LOOKS || !matches!(opened, Err(OpenFault::Damaged(_))) {
                return opened;
            }
            looks += 1;
        }
    }

    fn look_after_reserve(&mut self, conn: Connection) -> Option<Connection> {
        self.reserve = Some(Instant::now());
        self.warning = reserve::warning(&self.path);
        let Err(error) = reserve::take(&conn, &self.path) else { return Some(conn) };
        tracing::warn!("cannot keep room for a full disk in {}: {}", self.place(), schema::words(&error));
        leaves_connection_sound(&error).then_some(conn)
    }

    /// Sets the damaged file aside and goes on with a new one, and with what can still be read of the old one.
    fn begin_anew(&mut self, reason: &str) -> Result<(), String> {
        self.conn = None;
        let (conn, notice) = aside::begin_anew(&self.path, reason)?;
        self.notices.push(notice);
        self.acknowledged = rows::commits(&conn).map_err(|error| schema::words(&error))?;
        self.conn = Some(conn);
        Ok(())
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
        if !schema::empty_log(&conn).map_err(|error| schema::words(&error))? {
            return Err("another program reads the file and keeps its log from being emptied: end it".to_owned());
        }
        // It is in the file and synced now, so if the next attempt is of the same kind it is one more again.
        self.acknowledged = there;
        match self.reserve {
            Some(_) => self.look_after_reserve(conn).ok_or_else(|| "the disk failed again".to_owned()),
            None => Ok(conn),
        }
    }
}

impl Journal for SqliteJournal {
    fn load(&mut self) -> Result<Saved, LoadError> {
        let failed = |place: String, reason: String| Err(LoadError::new(place, reason));
        let conn = match self.sound() {
            Ok(conn) => conn,
            Err(reason) => return failed(self.place(), reason),
        };
        let fault = match read_at_once(&conn) {
            Ok(saved) => {
                self.conn = Some(conn);
                return Ok(saved);
            }
            Err(error) => OpenFault::from(error),
        };
        schema::close_as_it_is(conn);
        let OpenFault::Damaged(reason) = fault else { return failed(self.place(), fault.to_string()) };
        let again = self.begin_anew(&reason).and_then(|()| {
            let conn = self.sound()?;
            let read = read_at_once(&conn).map_err(|error| schema::words(&error));
            self.conn = Some(conn);
            read
        });
        again.or_else(|reason| failed(self.place(), reason))
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), CommitError> {
        let mut conn = match self.sound() {
            Ok(conn) => conn,
            Err(reason) => return Err(CommitError::new(self.place(), reason)),
        };
        match write_at_once(&mut conn, commit) {
            Ok(count) => {
                self.acknowledged = count;
                self.conn = match self.reserve {
                    Some(looked) if looked.elapsed() >= LOOK => self.look_after_reserve(conn),
                    _ => Some(conn),
                };
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

    fn warning(&self) -> Option<String> {
        self.warning.clone()
    }

    fn notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        if self.reserve.is_some() {
            reserve::keep(&self.path);
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
