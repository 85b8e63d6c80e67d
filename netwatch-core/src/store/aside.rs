//! A damaged file is set aside and netwatch goes on: it must start, because devices must not fail unseen, and nothing
//! that a person could still get out of the file may be lost.
//!
//! So the file keeps its bytes under another name, with its log and index, and a new one begins with everything that
//! can be read of it. What cannot is said. The ledger stays behind: it may be large, and nobody waits for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use super::salvage::{self, Salvage};
use super::{reserve, rows, schema};
use crate::model::{Commit, Wall};

/// What the new file is called until it is complete.
const NEW: &str = ".new";

/// Sets the file aside and opens a new one in its place with what could be read. The second is what to tell people.
///
/// The new file is complete before the old one is touched, so whatever happens in between loses nothing.
pub(super) fn begin_anew(path: &Path, reason: &str) -> Result<(Connection, String), String> {
    let salvage = salvage::read(path);
    let new = reserve::beside(path, NEW);
    make(&new, &salvage).map_err(|error| {
        format!("it is damaged ({reason}), and what was read of it cannot be written to {}: {error}", new.display())
    })?;
    let aside = set_aside(path).and_then(|aside| fs::rename(&new, path).map(|()| aside)).map_err(|error| {
        format!(
            "it is damaged ({reason}) and cannot be set aside: {error}; the directory must be writable for netwatch"
        )
    })?;
    let notice = notice(path, &aside, reason, &salvage);
    tracing::error!("{notice}");
    schema::open(path).map(|conn| (conn, notice)).map_err(|fault| fault.to_string())
}

/// Finishes what a start began that ended between setting the old file aside and putting the new one in its place.
pub(super) fn finish(path: &Path) -> io::Result<()> {
    let new = reserve::beside(path, NEW);
    match (fs::symlink_metadata(path), fs::symlink_metadata(&new)) {
        (Err(gone), Ok(_)) if gone.kind() == io::ErrorKind::NotFound => {
            // A log that was left behind is not the new one's.
            move_logs(path, &free_name(path))?;
            fs::rename(new, path)
        }
        _ => Ok(()),
    }
}

/// A file that holds all of this and needs no log.
fn make(path: &Path, salvage: &Salvage) -> Result<(), String> {
    for suffix in ["", "-wal", "-shm"] {
        match fs::remove_file(reserve::beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
            _ => {}
        }
    }
    let mut conn = schema::open(path).map_err(|fault| fault.to_string())?;
    let moved = write(&mut conn, salvage).and_then(|()| schema::empty_log(&conn));
    match moved {
        Ok(true) => Ok(()),
        Ok(false) => Err("another program reads it".to_owned()),
        Err(error) => Err(schema::words(&error)),
    }
}

/// Moves the database, its log and its index to a name of their own, all or none.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = free_name(path);
    fs::rename(path, &aside)?;
    match move_logs(path, &aside) {
        Ok(()) => Ok(aside),
        Err(error) => {
            // The log first: the database must never be without the one that was its own.
            let undone = move_logs(&aside, path).and_then(|()| fs::rename(&aside, path));
            Err(undone.err().unwrap_or(error))
        }
    }
}

fn move_logs(from: &Path, to: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-shm"] {
        match fs::rename(reserve::beside(from, suffix), reserve::beside(to, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// `netwatch.db.damaged-20260317T041500Z`, or with `-2` and so on where that is taken.
fn free_name(path: &Path) -> PathBuf {
    let stamp = utc(Wall::from(SystemTime::now()));
    let name = |n: u32| {
        let number = if n < 2 { String::new() } else { format!("-{n}") };
        reserve::beside(path, &format!(".damaged-{stamp}{number}"))
    };
    let taken = |name: &PathBuf| fs::symlink_metadata(name).is_ok();
    (1..u32::MAX).map(name).find(|name| !taken(name)).unwrap_or_else(|| name(u32::MAX))
}

/// Basic ISO 8601 in UTC, to the second: a name of a file in which nothing needs quoting.
fn utc(at: Wall) -> String {
    let seconds = at.unix_nanos().div_euclid(1_000_000_000);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn write(conn: &mut Connection, salvage: &Salvage) -> rusqlite::Result<()> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    rows::write(&transaction, &Commit::new(0, salvage.changes.clone()))?;
    transaction.execute("UPDATE journal SET last_number = max(last_number, ?1)", [salvage.last_number])?;
    if let Some(at) = salvage.alive_at {
        transaction.execute("UPDATE journal SET alive_at = ?1", [at.unix_nanos()])?;
    }
    transaction.commit()
}

fn notice(path: &Path, aside: &Path, reason: &str, salvage: &Salvage) -> String {
    let name = aside.file_name().unwrap_or_default().to_string_lossy();
    let (path, read) = (path.display(), salvage.changes.len());
    let lost = if salvage.unreadable.is_empty() {
        "every record could be read".to_owned()
    } else {
        let tables = salvage.unreadable.iter().copied().collect::<Vec<_>>().join(", ");
        format!("not everything could be read of: {tables}; devices that are down may be told of again")
    };
    format!(
        "{path} was damaged ({reason}). It is kept as {name}, and netwatch goes on with a new one into which {read} \
         records were taken over; {lost}. Why mails were sent before is only in the old file. To look for more: \
         sqlite3 {name} .recover | sqlite3 rescued.db"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_in_the_name_is_utc() {
        let at = |seconds: i64| utc(Wall::from_unix_nanos(seconds * 1_000_000_000));
        // `date -u -d @N +%Y%m%dT%H%M%SZ` says the same.
        assert_eq!(at(0), "19700101T000000Z");
        assert_eq!(at(951_782_400), "20000229T000000Z");
        assert_eq!(at(1_709_251_199), "20240229T235959Z");
        assert_eq!(at(4_102_444_800), "21000101T000000Z");
        assert_eq!(at(-1), "19691231T235959Z");
    }
}
