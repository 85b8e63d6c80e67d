//! The table `ledger`: entries as rows, both ways, and how old ones go.

use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Result, Row, TransactionBehavior, params};

use super::decision;
use crate::model::{LedgerEntry, OutageId, Wall};

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Retention {
    /// Older entries go.
    pub(in crate::store) age: Duration,
    /// Of more entries the oldest go.
    pub(in crate::store) rows: u64,
}

impl Retention {
    /// 90 days, 5 million entries.
    pub(in crate::store) const USUAL: Retention =
        Retention { age: Duration::from_secs(90 * 24 * 3600), rows: 5_000_000 };
}

const COLUMNS: &str = "at, target, outage, notifier, decision, detail";

/// Adds these entries, all or none.
pub(in crate::store) fn insert(conn: &mut Connection, entries: &[LedgerEntry]) -> Result<()> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let sql = format!("INSERT INTO ledger ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
        let mut statement = transaction.prepare_cached(&sql)?;
        for entry in entries {
            let detail =
                decision::detail(&entry.decision).map_err(|error| Error::ToSqlConversionFailure(error.into()))?;
            statement.execute(params![
                entry.at.unix_nanos(),
                entry.target,
                entry.outage.map(OutageId::number),
                entry.notifier,
                entry.decision.code(),
                detail,
            ])?;
        }
    }
    transaction.commit()
}

/// Takes away what is too old or too much among the `most` oldest entries, and says how many went.
pub(in crate::store) fn prune(conn: &Connection, now: Wall, keep: Retention, most: usize) -> Result<usize> {
    let sql = "DELETE FROM ledger WHERE id IN (SELECT id FROM ledger ORDER BY id LIMIT ?1)
               AND (at < ?2 OR id <= (SELECT max(id) FROM ledger) - ?3)";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = i64::try_from(keep.rows).unwrap_or(i64::MAX);
    conn.prepare_cached(sql)?.execute(params![most, now.minus(keep.age).unix_nanos(), rows])
}

/// The entries about a target from `from` to `to`, both included, in the order of time; an outage that has one among
/// them is there as a whole.
pub(in crate::store) fn about(conn: &Connection, target: &str, from: Wall, to: Wall) -> Result<Vec<LedgerEntry>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM ledger WHERE target = ?1 AND (at BETWEEN ?2 AND ?3 OR outage IN
         (SELECT outage FROM ledger WHERE target = ?1 AND at BETWEEN ?2 AND ?3 AND outage IS NOT NULL)) ORDER BY at, id"
    );
    let mut statement = conn.prepare(&sql)?;
    statement.query_map(params![target, from.unix_nanos(), to.unix_nanos()], entry)?.collect()
}

/// When the last entry about a target was made, of those not after `before`.
pub(in crate::store) fn last(conn: &Connection, target: &str, before: Wall) -> Result<Option<Wall>> {
    let sql = "SELECT at FROM ledger WHERE target = ?1 AND at <= ?2 ORDER BY at DESC LIMIT 1";
    let at: Option<i64> = conn.query_row(sql, params![target, before.unix_nanos()], |row| row.get(0)).optional()?;
    Ok(at.map(Wall::from_unix_nanos))
}

fn entry(row: &Row<'_>) -> Result<LedgerEntry> {
    let (code, detail): (String, String) = (row.get(4)?, row.get(5)?);
    let decision = decision::decision(&code, &detail)
        .map_err(|error| Error::FromSqlConversionFailure(5, Type::Text, error.into()))?;
    let outage: Option<u64> = row.get(2)?;
    Ok(LedgerEntry {
        at: Wall::from_unix_nanos(row.get(0)?),
        target: row.get(1)?,
        outage: outage.map(OutageId::new),
        notifier: row.get(3)?,
        decision,
    })
}
