//! The ledger on disk: why each mail was sent or not, kept so that it can be asked later.
//!
//! It shares the file with the journal, but not its guarantees: what was decided is safe with the journal, and the
//! reasons may lag. So entries gather for some seconds and are written by a thread and a connection of their own, with
//! `synchronous=NORMAL`; a power cut may cost the last of them.

mod decision;
pub(super) mod table;
mod writer;

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use async_trait::async_trait;

use self::writer::Queue;
use super::schema;
use crate::model::{Event, LedgerEntry, Transition, Wall};
use crate::sink::StatusSink;

/// The ledger could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("cannot read the ledger {place}: {reason}")]
pub struct LedgerError {
    /// Where it is.
    pub place: String,
    /// What went wrong, and what to do.
    pub reason: String,
}

/// A [`StatusSink`] that writes [`Event::Ledger`] into the database of a [`SqliteJournal`](super::SqliteJournal).
///
/// Entries gather for 2 s, and are then written and synced; a power cut costs those that were not. The journal's commits
/// wait for a transaction of 1000 rows at most. While the file cannot be written, up to a million entries wait and
/// nothing else is disturbed; the same holds while the disk is so full that what is left is the journal's
/// [reserve](super::SqliteJournal::with_reserve). That it fails, and that it works again, is logged once. 90 days are kept, and of more
/// than 5 million entries the newest.
///
/// ```
/// # use netwatch_core::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("netwatch.db");
/// let journal = SqliteJournal::open(&path)?;
/// let ledger = SqliteLedger::new(&path)?; // and `.sink("ledger", Arc::new(ledger))`
/// # drop(ledger);
/// assert!(SqliteLedger::read(&path, "core-1", Wall::default(), Wall::default())?.is_empty());
/// # drop(journal);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct SqliteLedger {
    queue: Arc<Queue>,
}

impl SqliteLedger {
    /// A ledger in the file of a journal, with its thread. The file is opened when there is something to write; a
    /// journal must have been opened there before.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(path: impl AsRef<Path>) -> io::Result<SqliteLedger> {
        let queue = Arc::new(Queue::default());
        let (shared, path) = (Arc::clone(&queue), path.as_ref().to_owned());
        thread::Builder::new().name("netwatch-ledger".into()).spawn(move || writer::run(&shared, path))?;
        Ok(SqliteLedger { queue })
    }

    /// The entries about the target of this name from `from` to `to`, both included, in the order of time. An outage
    /// that has one among them is there from its beginning to its end. The empty name stands for netwatch itself.
    ///
    /// The file is only read, and may belong to a netwatch that runs.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read, or is not netwatch's.
    pub fn read(path: impl AsRef<Path>, target: &str, from: Wall, to: Wall) -> Result<Vec<LedgerEntry>, LedgerError> {
        reading(path.as_ref(), |conn| table::about(conn, target, from, to)).map(Option::unwrap_or_default)
    }

    /// When the last entry about this target was made, of those not after `before`.
    ///
    /// # Errors
    /// As for [`read`](SqliteLedger::read).
    pub fn last(path: impl AsRef<Path>, target: &str, before: Wall) -> Result<Option<Wall>, LedgerError> {
        reading(path.as_ref(), |conn| table::last(conn, target, before)).map(Option::flatten)
    }
}

/// What `read` gives; `None` if the file is of a version that had no ledger.
fn reading<T>(
    path: &Path,
    read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
) -> Result<Option<T>, LedgerError> {
    let failed = |reason: String| LedgerError { place: path.display().to_string(), reason };
    let conn = schema::open_to_read(path).map_err(|fault| failed(fault.to_string()))?;
    conn.as_ref().map(read).transpose().map_err(|error| failed(schema::OpenFault::from(error).to_string()))
}

#[async_trait]
impl StatusSink for SqliteLedger {
    async fn transitions(&self, _changed: &[Transition]) {}

    async fn events(&self, events: &[Event]) {
        self.queue.put(events.iter().filter_map(|event| match event {
            Event::Ledger(entry) => Some(entry.clone()),
            _ => None,
        }));
    }

    async fn stop(&self) {
        self.queue.close();
        poll_fn(|context| self.queue.poll_ended(context)).await;
    }
}

impl Drop for SqliteLedger {
    fn drop(&mut self) {
        self.queue.close();
    }
}
