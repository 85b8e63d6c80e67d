//! Reads what can still be read of a damaged file.
//!
//! A page that cannot be read hides the rows on it and no others. Tables with numbers are searched on both sides of
//! such a gap, by halves; the others are read from both ends. A row that means nothing is left out. The file is opened
//! for reading only.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Result, Row};

use super::rows;
use crate::model::{Change, Wall};

/// How long the search may take: netwatch is to be at work within ten seconds.
const LIMIT: Duration = Duration::from_secs(5);

/// How often one table is asked around gaps.
const MOST_QUERIES: usize = 2000;

/// By so much the numbers go on higher if it cannot be read which were given: no Message-ID must come twice.
const LEAP: u64 = 1_000_000;

/// What was found.
#[derive(Debug)]
pub(super) struct Salvage {
    /// Every record, as a change that puts it in place.
    pub(super) changes: Vec<Change>,
    /// A number that no record has exceeded.
    pub(super) last_number: u64,
    /// When the last run was last known to be at work.
    pub(super) alive_at: Option<Wall>,
    /// The tables of which something is missing.
    pub(super) unreadable: BTreeSet<&'static str>,
}

/// How a table is read: its name, its columns, its key if that is a number, and what a row is.
type Table = (&'static str, &'static str, Option<&'static str>, fn(&Row<'_>) -> Result<Change>);

/// The columns that version 1 had otherwise, as version 2 has them.
const OF_1: [(&str, &str); 4] = [
    ("targets", "name, status, since, last_good, outage, silent_for, answered_for, 0"),
    (
        "lines",
        "id, notifier, json_object('id', id, 'kind', kind, 'subject', json(subject), 'outage', json(outage), 'owed_at', \
         owed_at)",
    ),
    ("notifiers", "name, last_sent, NULL"),
    ("outages", "id, target, last_good, first_bad, due, closed, 0, NULL"),
];

/// What is needed soonest comes first; the record of outages may be long.
const TABLES: [Table; 8] = [
    ("targets", rows::TARGET, None, |row| rows::target(row).map(Change::PutTarget)),
    ("lines", rows::LINE, Some("id"), |row| rows::line(row).map(|(notifier, line)| Change::PutLine(notifier, line))),
    ("mails", rows::MAIL, Some("id"), |row| rows::mail(row).map(Change::PutMail)),
    ("told", rows::TOLD, None, |row| rows::told(row).map(Change::PutTold)),
    ("notifiers", rows::NOTIFIER, None, |row| rows::notifier(row).map(Change::PutNotifier)),
    ("incidents", rows::INCIDENT, Some("id"), |row| rows::incident(row).map(Change::PutIncident)),
    ("maintenance", rows::MAINTENANCE, Some("id"), |row| rows::maintenance(row).map(Change::PutMaintenance)),
    ("outages", rows::OUTAGE, Some("id"), |row| rows::outage(row).map(Change::PutOutage)),
];

/// Everything that can be read of the file at `path`, within some seconds.
pub(super) fn read(path: &Path) -> Salvage {
    let mut salvage = Salvage { changes: Vec::new(), last_number: 0, alive_at: None, unreadable: BTreeSet::new() };
    let end = Instant::now() + LIMIT;
    let conn = match open(path) {
        Ok(conn) => conn,
        Err(_unreadable) => {
            salvage.unreadable.extend(TABLES.map(|(name, ..)| name));
            return salvage;
        }
    };
    let version_1 =
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).is_ok_and(|version: i32| version == 1);
    for (name, mut columns, number, parse) in TABLES {
        if version_1 {
            if ["incidents", "maintenance"].contains(&name) {
                continue;
            }
            columns = OF_1.into_iter().find(|(of, _)| *of == name).map_or(columns, |(_, columns)| columns);
        }
        let mut search = Search { conn: &conn, name, columns, parse, end, found: &mut salvage.changes, whole: true };
        match number {
            Some(key) => search.around_gaps(key),
            None => search.both_ends(),
        }
        if !search.whole {
            salvage.unreadable.insert(name);
        }
    }
    let (last, alive) = ("SELECT last_number FROM journal", "SELECT alive_at FROM journal");
    let highest = salvage.changes.iter().map(rows::highest_number).max().unwrap_or(0);
    salvage.last_number = match conn.query_row(last, [], |row| row.get(0)) {
        Ok(number) if number >= highest => number,
        _ => highest.saturating_add(LEAP),
    };
    salvage.alive_at = conn.query_row(alive, [], |row| rows::wall_or_none(row, 0)).ok().flatten();
    salvage
}

fn open(path: &Path) -> Result<Connection> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        // SQLite would take it for new and delete the log beside it.
        return Err(rusqlite::Error::QueryReturnedNoRows);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // With this a file that is shorter than its header says can be read (lockBtree() in SQLite's btree.c).
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true)?;
    Ok(conn)
}

struct Search<'a> {
    conn: &'a Connection,
    name: &'static str,
    columns: &'static str,
    parse: fn(&Row<'_>) -> Result<Change>,
    end: Instant,
    found: &'a mut Vec<Change>,
    whole: bool,
}

impl Search<'_> {
    fn both_ends(&mut self) {
        // The order of the key is that of the table itself, so nothing has to be sorted.
        let key = self.columns.split(',').next().unwrap_or_default();
        for order in ["ASC", "DESC"] {
            let sql = format!("SELECT {} FROM {} ORDER BY {key} {order}", self.columns, self.name);
            if self.scan(&sql, []).is_ok() {
                return;
            }
        }
    }

    fn around_gaps(&mut self, key: &str) {
        let (columns, name) = (self.columns, self.name);
        let sql = format!("SELECT {columns} FROM {name} WHERE {key} > ?1 AND {key} < ?2 ORDER BY {key}");
        // The newest first: were there no time for all, they matter most.
        let mut ranges = vec![(-1, i64::MAX)];
        for _ in 0..MOST_QUERIES {
            let Some((low, high)) = ranges.pop() else { return };
            let Err(last) = self.scan(&sql, [low, high]) else { continue };
            let low = last.unwrap_or(low);
            let width = high.saturating_sub(low);
            if width > 2 {
                let middle = low.saturating_add(width / 2);
                ranges.extend([(low, middle.saturating_add(1)), (middle, high)]);
            }
        }
        self.whole = false;
    }

    /// Takes what comes until the end or an error, which gives the last key before it, if that is a number.
    fn scan(&mut self, sql: &str, bounds: impl rusqlite::Params) -> std::result::Result<(), Option<i64>> {
        let mut last = None;
        let scanned = (|| {
            let mut statement = self.conn.prepare(sql)?;
            let mut rows = statement.query(bounds)?;
            while let Some(row) = rows.next()? {
                if Instant::now() >= self.end {
                    self.whole = false;
                    break;
                }
                last = row.get(0).ok().or(last);
                match (self.parse)(row) {
                    Ok(change) => self.found.push(change),
                    Err(_meaningless) => self.whole = false,
                }
            }
            Ok::<(), rusqlite::Error>(())
        })();
        scanned.map_err(|_unreadable| {
            self.whole = false;
            last
        })
    }
}
