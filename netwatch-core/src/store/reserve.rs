//! Room on the disk that is the journal's own, so that a full disk does not stop what is owed from being committed.
//!
//! A commit needs room twice: in the write-ahead log at once, and in the file itself when the log is moved there. Both
//! are kept ready by writing a blob of 8 MiB and deleting it again: the log stays as long as it has ever been (SQLite
//! writes it anew from its beginning), and the pages of the blob stay in the file as free ones, which SQLite takes
//! before it makes the file longer (<https://sqlite.org/fileformat.html#the_freelist>). Writing over blocks that a file
//! has needs no room, on file systems that write in place (ext4, XFS; not btrfs, ZFS or F2FS).
//!
//! 8 MiB, because SQLite moves the log after 1000 pages (4 MiB), so that this much is always enough for the log and
//! leaves as much again for a large commit; and in the file it is room for some 30,000 outages. Room is taken only where
//! there is plenty, and again after it was used.
//!
//! The log is deleted when the last connection closes, and its room with it. Before that it gets a second name; the next
//! start takes it back, so that netwatch can also be restarted on a full disk.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// How much is kept, in the log and in the file each.
pub(super) const PIECE_BYTES: u64 = 8 << 20;

/// A disk with less than this keeps it for others: twice what is taken at most.
const PLENTY_BYTES: u64 = 4 * PIECE_BYTES;

/// With less than this on the disk, whoever can wait does not write.
const LITTLE_BYTES: u64 = 4 << 20;

/// With room for fewer new files than this the disk counts as full.
const FEW_FILES: u64 = 16;

/// What the two files beside the database are called while nobody has it open.
const KEPT: [(&str, &str); 2] = [("-wal", "-wal.kept"), ("-shm", "-shm.kept")];

/// Takes the room, or what is missing of it, if the disk has plenty.
pub(super) fn take(conn: &Connection, path: &Path) -> rusqlite::Result<()> {
    if exists(conn)? {
        // What was not deleted in time is free again with this.
        conn.execute("DELETE FROM reserve", [])?;
    }
    let enough = free_bytes(conn)? >= PIECE_BYTES / 2 && length(&beside(path, "-wal")) >= PIECE_BYTES;
    if enough || available(path) < PLENTY_BYTES {
        return Ok(());
    }
    conn.execute_batch("CREATE TABLE IF NOT EXISTS reserve (room BLOB NOT NULL) STRICT")?;
    let size = i64::try_from(PIECE_BYTES).unwrap_or(i64::MAX);
    conn.execute("INSERT INTO reserve VALUES (zeroblob(?1))", [size])?;
    // Only what was moved into the file has its place on the disk.
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    conn.execute("DELETE FROM reserve", []).map(drop)
}

/// Whether somebody who can wait may write without taking from what is the journal's.
pub(super) fn may_be_shared(conn: &Connection, path: &Path) -> rusqlite::Result<bool> {
    let available = available(path);
    if available >= PLENTY_BYTES {
        return Ok(true);
    }
    Ok(available >= LITTLE_BYTES && (!exists(conn)? || free_bytes(conn)? > PIECE_BYTES / 2))
}

/// What is wrong with the disk, if it is almost full; said before anything fails.
pub(super) fn warning(path: &Path) -> Option<String> {
    let disk = rustix::fs::statvfs(path).ok()?;
    let dir = path.parent()?.display();
    let kept = "what is owed is still committed, into room that was kept for it; make room there";
    if disk.f_bavail.saturating_mul(disk.f_frsize) < LITTLE_BYTES {
        Some(format!("the disk of {dir} is almost full: {kept}"))
    } else if disk.f_files > 0 && disk.f_favail < FEW_FILES {
        Some(format!("the disk of {dir} has almost no room for new files (inodes): {kept}"))
    } else {
        None
    }
}

/// Gives the log a second name, before the last connection closes and SQLite deletes the first.
pub(super) fn keep(path: &Path) {
    for (name, kept) in KEPT {
        let kept = beside(path, kept);
        // Without it only the room is lost.
        drop(fs::remove_file(&kept));
        drop(fs::hard_link(beside(path, name), &kept));
    }
}

/// Gives the log its name again, without what was in it. Call it while nobody has the file open.
pub(super) fn put_back(path: &Path) {
    for (name, kept) in KEPT {
        let (name, kept) = (beside(path, name), beside(path, kept));
        let put = if length(&name) > 0 {
            // A log that was not deleted: it may hold commits, and may be the very file that has the second name.
            fs::remove_file(&kept)
        } else {
            void(&kept).and_then(|()| fs::rename(&kept, &name))
        };
        drop(put);
    }
}

/// Whether there is a log that SQLite would read: its header begins with a magic number
/// (<https://sqlite.org/fileformat.html#the_write_ahead_log>).
pub(super) fn has_log(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = fs::File::open(beside(path, "-wal")).and_then(|mut log| io::Read::read_exact(&mut log, &mut magic));
    read.is_ok() && matches!(u32::from_be_bytes(magic), 0x377f_0682 | 0x377f_0683)
}

/// The name of a file beside the database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Overwrites the header, so that no frame in it counts.
fn void(log: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(log)?;
    if file.metadata()?.len() > 0 {
        file.write_all(&[0; 32])?;
        file.sync_data()?;
    }
    Ok(())
}

fn exists(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'reserve'", [], |row| row.get(0))
}

/// The room of the pages in the file that nothing is in.
fn free_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    let pages: u64 = conn.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    let page_size: u64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
    Ok(pages.saturating_mul(page_size))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// What the disk has left for us; plenty, if it does not say.
fn available(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}
