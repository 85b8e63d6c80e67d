//! Opening the file: is it ours, of a version we know, and whole? Until all three are sure, nothing in it is changed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, TransactionBehavior, ffi};

use super::reserve::{self, has_log};

/// "nwdb": what `file` and SQLite's own tools show of a database of ours.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"nwdb");
const VERSION: i32 = 2;

/// 3.51.3, the first without the WAL-reset bug.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long another program (a backup, somebody with `sqlite3`) may hold the file before a commit gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// To what the write-ahead log shrinks after a checkpoint.
const WAL_LIMIT_BYTES: i64 = 16 << 20;

/// The tables of the journal. The ledger is not among them: it may be large, and a defect in it must not keep netwatch
/// from starting.
const TABLES: [&str; 9] =
    ["journal", "targets", "outages", "lines", "mails", "told", "notifiers", "incidents", "maintenance"];

/// How many of [`TABLES`], from the first, there are in a file of version 1.
const TABLES_OF_1: usize = 7;

const SCHEMA: &str = "
CREATE TABLE journal (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    last_number INTEGER NOT NULL,
    commits INTEGER NOT NULL,
    alive_at INTEGER
) STRICT;
INSERT INTO journal VALUES (1, 0, 0, NULL);
CREATE TABLE targets (
    name TEXT PRIMARY KEY NOT NULL,
    status TEXT NOT NULL,
    since INTEGER NOT NULL,
    last_good INTEGER,
    outage TEXT,
    silent_for INTEGER NOT NULL,
    answered_for INTEGER NOT NULL,
    guarded INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE outages (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    last_good INTEGER,
    first_bad INTEGER NOT NULL,
    due INTEGER,
    closed INTEGER,
    removed INTEGER NOT NULL DEFAULT 0,
    ack TEXT,
    started INTEGER NOT NULL GENERATED ALWAYS AS (coalesce(last_good, first_bad)) VIRTUAL
) STRICT;
CREATE INDEX outages_by_target ON outages (target, started);
CREATE INDEX outages_by_start ON outages (started);
CREATE TABLE lines (
    id INTEGER PRIMARY KEY,
    notifier TEXT NOT NULL,
    line TEXT NOT NULL
) STRICT;
CREATE TABLE mails (
    id INTEGER PRIMARY KEY,
    notifier TEXT NOT NULL,
    message_id TEXT NOT NULL,
    in_reply_to TEXT,
    date INTEGER NOT NULL,
    recipients TEXT NOT NULL,
    told INTEGER NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    html TEXT NOT NULL,
    lines TEXT NOT NULL
) STRICT;
CREATE TABLE told (
    notifier TEXT NOT NULL,
    target TEXT NOT NULL,
    outage INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    PRIMARY KEY (notifier, target)
) STRICT, WITHOUT ROWID;
CREATE TABLE notifiers (
    name TEXT PRIMARY KEY NOT NULL,
    last_sent INTEGER,
    last_standing INTEGER
) STRICT, WITHOUT ROWID;
";

/// What version 2 brought.
const NEW_IN_2: &str = "
CREATE TABLE incidents (
    id INTEGER PRIMARY KEY,
    incident TEXT NOT NULL
) STRICT;
CREATE TABLE maintenance (
    id INTEGER PRIMARY KEY,
    maintenance TEXT NOT NULL
) STRICT;
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    target TEXT NOT NULL,
    outage INTEGER,
    notifier TEXT,
    decision TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX ledger_by_target ON ledger (target, at);
";

/// What was there before, as version 2 has it. A line is one record now; what version 1 did not know of it is absent.
const FROM_1: &str = "
ALTER TABLE targets ADD COLUMN guarded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outages ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outages ADD COLUMN ack TEXT;
ALTER TABLE notifiers ADD COLUMN last_standing INTEGER;
CREATE TABLE new_lines (
    id INTEGER PRIMARY KEY,
    notifier TEXT NOT NULL,
    line TEXT NOT NULL
) STRICT;
INSERT INTO new_lines SELECT id, notifier, json_object(
    'id', id, 'kind', kind, 'subject', json(subject), 'outage', json(outage), 'owed_at', owed_at) FROM lines;
DROP TABLE lines;
ALTER TABLE new_lines RENAME TO lines;
";

/// Why the file cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenFault {
    #[error("SQLite {0} can corrupt databases in WAL mode; build netwatch with 3.51.3 or later")]
    OldSqlite(&'static str),
    #[error("it is not a regular file; name the file itself, not a symbolic link to it")]
    NotAFile,
    #[error("it is not a database of netwatch; nothing was changed; move it away or choose another data_dir")]
    NotOurs,
    #[error(
        "it was written by a newer netwatch (schema {found}, this one knows {VERSION}); nothing was changed; \
         run the newer program, or restore the copy from before the upgrade"
    )]
    Newer { found: i32 },
    #[error(
        "it is damaged ({0}); nothing was changed; restart netwatch: it sets the file aside, keeps it, and goes on with \
         what can still be read of it"
    )]
    Damaged(String),
    #[error("the disk could not read all of it ({0}); nothing was changed; look at the disk")]
    NotReadNow(String),
    #[error("the file system does not support SQLite's WAL mode; keep the data directory on a local disk")]
    NoWal,
    #[error("it is not there; netwatch has not run on this data directory yet")]
    NotThere,
    #[error("{0}; read it as the user that netwatch runs as, or as root")]
    Unreadable(String),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{}", words(.0))]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenFault {
    fn from(error: rusqlite::Error) -> OpenFault {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => OpenFault::Damaged(error.to_string()),
            Some(_) => OpenFault::Sqlite(error),
            None => match error {
                Error::FromSqlConversionFailure(..)
                | Error::Utf8Error(..)
                | Error::InvalidColumnType(..)
                | Error::IntegralValueOutOfRange(..) => OpenFault::Damaged(error.to_string()),
                Error::QueryReturnedNoRows => OpenFault::Damaged("a row that is always there is missing".to_owned()),
                error => OpenFault::Sqlite(error),
            },
        }
    }
}

/// Opens the file, creating it with an empty schema if there is none.
pub(super) fn open(path: &Path) -> Result<Connection, OpenFault> {
    create_file(path)?;
    connect(path, true)
}

/// Opens a file in which a schema must be.
pub(super) fn open_existing(path: &Path) -> Result<Connection, OpenFault> {
    connect(path, false)
}

/// Opens a file that the journal has opened before, for what may lag: a power cut may cost what was not synced since.
pub(super) fn open_for_ledger(path: &Path) -> Result<Connection, OpenFault> {
    let (conn, version) = beside(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    if version != VERSION {
        return Err(OpenFault::Damaged(format!("it has the schema {version} although it was opened")));
    }
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    let _: i64 = conn.pragma_update_and_check(None, "journal_size_limit", WAL_LIMIT_BYTES, |row| row.get(0))?;
    Ok(conn)
}

/// Opens a file to read in it what version 2 brought; `None` if it is of version 1, or empty.
pub(super) fn open_to_read(path: &Path) -> Result<Option<Connection>, OpenFault> {
    let (conn, version) = match beside(path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
        Err(OpenFault::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Err(OpenFault::NotThere),
        Err(OpenFault::Sqlite(error)) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) => {
            return Err(OpenFault::Unreadable(error.to_string()));
        }
        opened => opened?,
    };
    if version == 0 && is_empty(&conn)? {
        return Ok(None);
    }
    check_ours(pragma(&conn, "application_id")?, version)?;
    Ok((version == VERSION).then_some(conn))
}

/// Opens a file beside a connection that this process may have, with nothing but SQLite, and says its version.
fn beside(path: &Path, access: OpenFlags) -> Result<(Connection, i32), OpenFault> {
    let path = resolved(path)?;
    if !fs::symlink_metadata(&path)?.is_file() {
        return Err(OpenFault::NotAFile);
    }
    let flags =
        OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_EXRESCODE | access;
    let conn = Connection::open_with_flags(&path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    let version = conn.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(|error| {
        // Nobody has looked at its header yet.
        if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) { OpenFault::NotOurs } else { error.into() }
    })?;
    Ok((conn, version))
}

/// The SQLite that is linked in, as 1,000,000 × major + 1,000 × minor + patch.
fn sqlite_version() -> i32 {
    #[cfg(test)]
    if let Some(pretended) = super::tests::PRETENDED_SQLITE.get() {
        return pretended;
    }
    rusqlite::version_number()
}

fn connect(path: &Path, may_be_empty: bool) -> Result<Connection, OpenFault> {
    if sqlite_version() < OLDEST_SQLITE {
        return Err(OpenFault::OldSqlite(rusqlite::version()));
    }
    let path = resolved(path)?;
    if !fs::symlink_metadata(&path)?.is_file() {
        return Err(OpenFault::NotAFile);
    }
    // Closing a file lets go of the locks that other connections of this process hold on it
    // (<https://sqlite.org/howtocorrupt.html>, 2.2), so it is opened beside SQLite only while there are none.
    let fresh = if may_be_empty { peek(&path)? == Header::Empty } else { fs::metadata(&path)?.len() == 0 };
    if fresh && (!may_be_empty || has_log(&path)) {
        // SQLite would take it for new, and delete the log.
        return Err(OpenFault::Damaged("it is empty and was not before".to_owned()));
    }
    if may_be_empty && !fresh {
        reserve::put_back(&path);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut conn = Connection::open_with_flags(&path, flags)?;
    // A file that is refused below keeps even its write-ahead log as it was.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    let empty = fresh || is_empty(&conn)?;
    if empty && !may_be_empty {
        return Err(OpenFault::Damaged("its tables are gone".to_owned()));
    }
    let mut version = VERSION;
    if !empty {
        version = pragma(&conn, "user_version")?;
        check_ours(pragma(&conn, "application_id")?, version)?;
        check_length(&conn, &path)?;
        check_whole(&conn, version)?;
    }
    configure(&conn)?;
    if empty {
        create_schema(&mut conn)?;
    } else if version < VERSION {
        bring_up_to_date(&mut conn)?;
    }
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(conn)
}

/// Moves the log into the file and syncs that, so that no commit depends on pages whose sync once failed. Says whether
/// nobody was in the way.
pub(super) fn empty_log(conn: &Connection) -> rusqlite::Result<bool> {
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

/// Closes a file that is about to be set aside, without moving its log.
pub(super) fn close_as_it_is(conn: Connection) {
    // If it cannot be said, the log is moved, as it would be some day.
    drop(conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true));
    drop(conn);
}

/// What SQLite said, and for the frequent cases what to do.
pub(super) fn words(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!("{error}; make room on the disk"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{error}; another program holds the file: end it")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            format!("{error}; the file and its directory must be writable for netwatch")
        }
        _ => error.to_string(),
    }
}

/// Creates the file with its mode before SQLite sees it: the log and the index take the mode over.
fn create_file(path: &Path) -> Result<(), OpenFault> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            file.sync_all()?;
            if let Some(dir) = resolved(path)?.parent() {
                File::open(dir)?.sync_all()?;
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// SQLite's NOFOLLOW refuses a link anywhere in the path; only the last part may not be one.
fn resolved(path: &Path) -> Result<PathBuf, io::Error> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    Ok(dir.canonicalize()?.join(name))
}

#[derive(Debug, PartialEq, Eq)]
enum Header {
    Empty,
    SQLite,
}

/// Looks at the first 100 bytes (<https://sqlite.org/fileformat.html#the_database_header>) without SQLite, which would
/// create or recover a log beside a file that is not ours.
fn peek(path: &Path) -> Result<Header, OpenFault> {
    let mut header = Vec::with_capacity(100);
    File::open(path)?.take(100).read_to_end(&mut header)?;
    if header.is_empty() {
        return Ok(Header::Empty);
    }
    let number = |at: usize| header.get(at..)?.first_chunk::<4>().copied().map(i32::from_be_bytes);
    if !header.starts_with(b"SQLite format 3\0") {
        // A power cut can leave a file of the right length full of zeros.
        return Err(match number(68) {
            Some(APPLICATION_ID) => OpenFault::Damaged("its first bytes are not those of a database".to_owned()),
            _ if header.iter().all(|byte| *byte == 0) => OpenFault::Damaged("it begins with zeros".to_owned()),
            _ => OpenFault::NotOurs,
        });
    }
    let (Some(user_version), Some(application_id)) = (number(60), number(68)) else {
        return Err(OpenFault::Damaged("it ends within its header".to_owned()));
    };
    // The versions for writing and reading: SQLite does not write a file of a higher one.
    if !matches!(header.get(18..20), Some([1, 1] | [2, 2])) {
        return Err(OpenFault::Damaged("its header has a version that SQLite never had".to_owned()));
    }
    // All zero is a database whose schema may still be in the log alone.
    if (application_id, user_version) != (0, 0) {
        check_ours(application_id, user_version)?;
    }
    Ok(Header::SQLite)
}

fn check_ours(application_id: i32, user_version: i32) -> Result<(), OpenFault> {
    match user_version {
        _ if application_id != APPLICATION_ID => Err(OpenFault::NotOurs),
        1..=VERSION => Ok(()),
        found if found > VERSION => Err(OpenFault::Newer { found }),
        found => Err(OpenFault::Damaged(format!("there never was a schema {found}"))),
    }
}

/// A start that died before the schema was there left a database without tables.
fn is_empty(conn: &Connection) -> Result<bool, OpenFault> {
    let counted = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
    let objects: i64 = counted.map_err(unlike_the_schema)?;
    Ok(objects == 0 && pragma(conn, "application_id")? == 0 && pragma(conn, "user_version")? == 0)
}

/// SQLite reads what is missing of the last page as zeros. With a log beside it the file may be shorter for good
/// reasons: a checkpoint was interrupted, and is repeated.
fn check_length(conn: &Connection, path: &Path) -> Result<(), OpenFault> {
    if has_log(path) {
        return Ok(());
    }
    let pages: u64 = conn.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let page_size: u64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let (expected, found) = (pages.saturating_mul(page_size), fs::metadata(path)?.len());
    if found < expected {
        return Err(OpenFault::Damaged(format!("{found} of its {expected} bytes are there")));
    }
    Ok(())
}

fn check_whole(conn: &Connection, version: i32) -> Result<(), OpenFault> {
    let tables = TABLES.into_iter().take(if version == 1 { TABLES_OF_1 } else { TABLES.len() });
    for table in tables {
        let checked = conn.query_row(&format!("PRAGMA quick_check('{table}')"), [], |row| row.get(0));
        let found: String = checked.map_err(unlike_the_schema)?;
        if found != "ok" {
            return Err(if is_of_the_disk(&found) { OpenFault::NotReadNow(found) } else { OpenFault::Damaged(found) });
        }
    }
    Ok(())
}

/// Whether a check did not find damage but could not read: it gives SQLite's code, of which the last byte is the kind
/// (<https://sqlite.org/rescode.html>).
fn is_of_the_disk(found: &str) -> bool {
    let code = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<i32>().ok();
    let mut codes = found.split("error code").skip(1).filter_map(|rest| code(rest.trim_start_matches(['=', ' '])));
    codes.any(|code| !matches!(code & 0xff, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB))
}

/// A statement that SQLite cannot carry out although it is right: the tables are not what their version says.
fn unlike_the_schema(error: rusqlite::Error) -> OpenFault {
    match OpenFault::from(error) {
        OpenFault::Sqlite(Error::SqlInputError { msg, .. }) => OpenFault::Damaged(msg),
        OpenFault::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => {
            OpenFault::Damaged(error.to_string())
        }
        fault => fault,
    }
}

fn configure(conn: &Connection) -> Result<(), OpenFault> {
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenFault::NoWal);
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    let _: i64 = conn.pragma_update_and_check(None, "journal_size_limit", WAL_LIMIT_BYTES, |row| row.get(0))?;
    conn.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn create_schema(conn: &mut Connection) -> Result<(), OpenFault> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute_batch(NEW_IN_2)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

/// All of it or nothing: a start that dies here leaves a file of the version before.
fn bring_up_to_date(conn: &mut Connection) -> Result<(), OpenFault> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(FROM_1).map_err(unlike_the_schema)?;
    transaction.execute_batch(NEW_IN_2).map_err(unlike_the_schema)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

fn pragma(conn: &Connection, name: &str) -> Result<i32, OpenFault> {
    Ok(conn.pragma_query_value(None, name, |row| row.get(0))?)
}
