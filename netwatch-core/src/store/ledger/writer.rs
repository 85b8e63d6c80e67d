//! The thread that writes the ledger: in small transactions with pauses between them, so that the journal, which shares
//! the file, waits some milliseconds for its turn at most.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use futures_util::task::AtomicWaker;
use rusqlite::Connection;

use super::super::{reserve, schema};
use super::table::{self, Retention};
use crate::model::{LedgerEntry, Wall};

/// How long entries gather before they are written; with that, a power cut costs the last seconds.
const GATHER: Duration = Duration::from_secs(2);

/// How many rows a transaction adds or takes away at most.
const CHUNK: usize = 1000;

/// How many entries wait at most, while the disk fails: about 200 MB.
const MOST_WAITING: usize = 1_000_000;

/// How many chunks of old entries go at most each time that something was written.
const PRUNED_CHUNKS: usize = 20;

/// What the sink puts in and the thread takes out.
#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    ended: AtomicBool,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<LedgerEntry>,
    /// Entries that found no room.
    lost: u64,
    closing: bool,
}

impl Queue {
    /// Entries to be written. Where there is no room, those that have waited longest go.
    pub(super) fn put(&self, entries: impl Iterator<Item = LedgerEntry>) {
        let mut inner = self.lock();
        let was_empty = inner.waiting.is_empty();
        inner.waiting.extend(entries);
        inner.make_room();
        if was_empty && !inner.waiting.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Nothing more comes: the thread writes what waits, and ends.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_one();
    }

    /// Ready when the thread has ended.
    pub(super) fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        if self.ended.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits for entries and lets others join them. Says whether the queue is closing.
    fn gather(&self) -> bool {
        let inner = self.lock();
        let idle = |inner: &mut Inner| inner.waiting.is_empty() && !inner.closing;
        let inner = self.changed.wait_while(inner, idle).unwrap_or_else(PoisonError::into_inner);
        let open = |inner: &mut Inner| !inner.closing;
        let waited = self.changed.wait_timeout_while(inner, GATHER, open);
        waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    fn take(&self) -> Vec<LedgerEntry> {
        let mut inner = self.lock();
        let count = inner.waiting.len().min(CHUNK);
        inner.waiting.drain(..count).collect()
    }

    fn put_back(&self, entries: Vec<LedgerEntry>) {
        let mut inner = self.lock();
        entries.into_iter().rev().for_each(|entry| inner.waiting.push_front(entry));
        inner.make_room();
    }

    fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.lock().lost)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn make_room(&mut self) {
        let surplus = self.waiting.len().saturating_sub(MOST_WAITING);
        self.waiting.drain(..surplus);
        self.lost = self.lost.saturating_add(u64::try_from(surplus).unwrap_or(u64::MAX));
    }
}

/// Says that the thread has ended, also if it panicked.
struct Ending<'a>(&'a Queue);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

/// Writes what comes into the queue to the file at `path` until the queue is closed.
pub(super) fn run(queue: &Queue, path: PathBuf) {
    let _ending = Ending(queue);
    let mut writer = Writer { path, conn: None, failing: false };
    loop {
        let closing = queue.gather();
        writer.write_all(queue);
        if closing {
            return;
        }
    }
}

struct Writer {
    path: PathBuf,
    /// Absent until there is something to write, and after an error.
    conn: Option<Connection>,
    /// Whether the last attempt failed, and that was said.
    failing: bool,
}

impl Writer {
    fn write_all(&mut self, queue: &Queue) {
        loop {
            let chunk = queue.take();
            if chunk.is_empty() {
                break;
            }
            let begun = Instant::now();
            if let Err(error) = self.write(&chunk) {
                queue.put_back(chunk);
                return self.failed(&error);
            }
            self.succeeded(queue.take_lost());
            give_way(begun);
        }
        if let Err(error) = self.clean_up() {
            self.failed(&error);
        }
    }

    fn write(&mut self, chunk: &[LedgerEntry]) -> Result<(), String> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => schema::open_for_ledger(&self.path).map_err(|fault| fault.to_string())?,
        };
        if !reserve::may_be_shared(&conn, &self.path).map_err(|error| schema::words(&error))? {
            self.conn = Some(conn);
            return Err(
                "the disk is almost full, and what is left is for the journal; make room on the disk".to_owned()
            );
        }
        table::insert(&mut conn, chunk).map_err(|error| schema::words(&error))?;
        self.conn = Some(conn);
        Ok(())
    }

    /// Syncs what was written, and takes away what is older than is kept.
    fn clean_up(&mut self) -> Result<(), String> {
        let Some(conn) = self.conn.take() else { return Ok(()) };
        sync_log(&self.path).map_err(|error| format!("its log cannot be synced: {error}"))?;
        let now = Wall::from(SystemTime::now());
        for _ in 0..PRUNED_CHUNKS {
            let begun = Instant::now();
            let gone = table::prune(&conn, now, Retention::USUAL, CHUNK).map_err(|error| schema::words(&error))?;
            if gone < CHUNK {
                break;
            }
            give_way(begun);
        }
        self.conn = Some(conn);
        Ok(())
    }

    fn failed(&mut self, error: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            let path = self.path.display();
            tracing::error!(
                "cannot write the ledger {path}: {error}; why mails are not sent is not recorded until it can"
            );
        }
    }

    fn succeeded(&mut self, lost: u64) {
        if std::mem::take(&mut self.failing) {
            tracing::info!("the ledger {} can be written again", self.path.display());
        }
        if lost > 0 {
            tracing::warn!("{lost} entries of the ledger found no room while it could not be written, and are lost");
        }
    }
}

/// Leaves the file to others for as long as it was held.
fn give_way(since: Instant) {
    std::thread::sleep(since.elapsed().clamp(Duration::from_millis(2), Duration::from_millis(100)));
}

/// Without holding a lock of SQLite, so that no commit waits for it. The log is the one file of the three that may be
/// opened beside SQLite: no lock is ever held on it.
fn sync_log(path: &Path) -> std::io::Result<()> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    File::open(log)?.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Decision;

    fn entries(count: usize) -> impl Iterator<Item = LedgerEntry> {
        let at = |n| Wall::from_unix_nanos(i64::try_from(n).unwrap());
        (0..count).map(move |n| LedgerEntry::new(at(n), "olt-1".into(), None, Decision::Due))
    }

    #[test]
    fn what_waits_is_bounded_and_the_oldest_go_and_are_counted() {
        let queue = Queue::default();
        queue.put(entries(MOST_WAITING));
        queue.put(entries(3));
        let chunk = queue.take();
        assert_eq!(chunk.first().unwrap().at, Wall::from_unix_nanos(3));
        assert_eq!(queue.take_lost(), 3);
        queue.put(entries(CHUNK));
        queue.put_back(chunk);
        assert_eq!(queue.take_lost(), u64::try_from(CHUNK).unwrap());
        assert_eq!(queue.lock().waiting.len(), MOST_WAITING);
    }
}
