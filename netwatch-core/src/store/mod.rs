//! What survives a crash, on disk: the journal and the ledger in SQLite, in one file, `netwatch.db`.
//!
//! # The durability promise
//! One [`Commit`](crate::Commit) is one transaction: a transition and what is owed for it are on disk together or not
//! at all. The file is in WAL mode with `synchronous=FULL`, under which SQLite syncs the write-ahead log before each
//! commit returns, so that "transactions are durable" across a power cut
//! (<https://sqlite.org/pragma.html#pragma_synchronous>, <https://sqlite.org/wal.html>). That is as true as the disk's
//! word: a drive that acknowledges a flush it has not done can lose the last commits, though not tear one.
//!
//! A commit that met an I/O error is never taken for good because a second `fsync` says so: the connection is thrown
//! away, and the next commit first opens the file anew, checks it, sees that every acknowledged commit is still there
//! and moves the log into the file. A full disk is not such an error; the transaction is rolled back and the next
//! commit may succeed.
//!
//! # A full disk, and a damaged file
//! With [`SqliteJournal::with_reserve`] 8 MiB in the log and 8 MiB in the file are kept for commits, so that a full disk
//! does not stop them; the ledger does not take from that. A file that is found damaged at a start is renamed to
//! `netwatch.db.damaged-<UTC>` together with its log, and a new one begins with every record that can be read: netwatch
//! must start, because devices must not fail unseen, and the old file keeps what a person can still get out of it. Found
//! while netwatch runs, damage only fails the commits: what is owed is in memory, and goes out from there.
//!
//! SQLite's own checks find a page that is torn or misplaced, not a wrong letter within a record.
//!
//! SQLite before 3.51.3 can corrupt a WAL database in a rare race (<https://sqlite.org/wal.html#walresetbug>); it is
//! refused.
//!
//! # The schema (version 2, in `user_version`; `application_id` says that the file is ours)
//! Instants are nanoseconds since 1970 UTC, durations nanoseconds. Columns marked (json) hold nested records. A file of
//! version 1 is brought up to date when it is opened, in one transaction; the program before it refuses it from then on.
//!
//! | table | a row is | columns |
//! | --- | --- | --- |
//! | `targets` | what is known of a target | `name`, `status`, `since`, `last_good`, `outage` (json), `silent_for`, `answered_for`, `guarded` |
//! | `outages` | an outage; kept for ever | `id`, `target`, `last_good`, `first_bad`, `due`, `closed`, `removed`, `ack` (json), and `started`, which is `last_good`, else `first_bad` |
//! | `lines` | a line owed to a notifier | `id`, `notifier`, `line` (json) |
//! | `mails` | a mail written, not answered for | `id`, `notifier`, `message_id`, `in_reply_to`, `date`, `recipients` (json), `told`, `subject`, `text`, `html`, `lines` (json) |
//! | `told` | the last outage of a target that a notifier was told of | `notifier`, `target`, `outage`, `message_id`, `at`, `ended` |
//! | `notifiers` | what is known of a notifier | `name`, `last_sent`, `last_standing` |
//! | `incidents` | what goes on besides the outages of devices | `id`, `incident` (json) |
//! | `maintenance` | a maintenance that was entered | `id`, `maintenance` (json) |
//! | `journal` | one row | `last_number` (the highest number ever given), `commits` (how many there were), `alive_at` |
//! | `reserve` | empty, where room is kept for a full disk | `room` |
//! | `ledger` | a decision about a mail | `id`, `at`, `target`, `outage`, `notifier`, `decision`, `detail` (json) |
//!
//! The ledger is not the journal's: it has a connection of its own and weaker guarantees; see [`SqliteLedger`].
//!
//! Other programs may read the file while netwatch runs; only netwatch writes it.

mod aside;
mod dto;
mod journal;
mod ledger;
mod lock;
mod reserve;
mod rows;
mod salvage;
mod schema;
#[cfg(test)]
mod tests;

pub use journal::SqliteJournal;
pub use ledger::{LedgerError, SqliteLedger};
pub use lock::{DirLock, LockError};
