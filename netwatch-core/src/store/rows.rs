//! Records as rows, both ways. What a commit means is [`Saved::apply`]; here it is SQL.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, Error, Result, Row, Transaction, params};

use super::dto::{self, DtoError};
use crate::model::{
    Change, Commit, Content, Incident, Line, MailId, Maintenance, MaintenanceId, Outage, OutageId, Saved, SavedMail,
    SavedNotifier, SavedTarget, Status, Told, Wall,
};

/// The columns of each record, in the order in which they are read.
pub(super) const TARGET: &str = "name, status, since, last_good, outage, silent_for, answered_for, guarded";
pub(super) const OUTAGE: &str = "id, target, last_good, first_bad, due, closed, removed, ack";
pub(super) const LINE: &str = "id, notifier, line";
pub(super) const MAIL: &str =
    "id, notifier, message_id, in_reply_to, date, recipients, told, subject, text, html, lines";
pub(super) const TOLD: &str = "notifier, target, outage, message_id, at, ended";
pub(super) const NOTIFIER: &str = "name, last_sent, last_standing";
pub(super) const INCIDENT: &str = "id, incident";
pub(super) const MAINTENANCE: &str = "id, maintenance";

/// Carries out a commit and says how many there have been.
pub(super) fn write(transaction: &Transaction<'_>, commit: &Commit) -> Result<u64> {
    let mut highest = 0;
    for change in &commit.changes {
        put(transaction, change)?;
        highest = highest.max(highest_number(change));
    }
    let count = "UPDATE journal SET commits = commits + 1, last_number = max(last_number, ?1) RETURNING commits";
    transaction.prepare_cached(count)?.query_row([highest], |row| row.get(0))
}

/// How many commits there have been.
pub(super) fn commits(conn: &Connection) -> Result<u64> {
    conn.query_row("SELECT commits FROM journal", [], |row| row.get(0))
}

/// Everything that a start needs.
pub(super) fn read(conn: &Connection) -> Result<Saved> {
    let (last_number, alive_at) = conn
        .query_row("SELECT last_number, alive_at FROM journal", [], |row| Ok((row.get(0)?, wall_or_none(row, 1)?)))?;
    let mut saved = Saved { last_number, alive_at, ..Saved::default() };
    each(conn, "targets", TARGET, target, |target| drop(saved.targets.insert(target.name.clone(), target)))?;
    each(conn, "lines", LINE, line, |(notifier, line)| drop(saved.lines.insert(line.id, (notifier, line))))?;
    each(conn, "mails", MAIL, mail, |mail| drop(saved.mails.insert(mail.id, mail)))?;
    each(conn, "told", TOLD, told, |told| {
        saved.told.insert((told.notifier.clone(), told.target.clone()), told);
    })?;
    each(conn, "notifiers", NOTIFIER, notifier, |notifier| {
        saved.notifiers.insert(notifier.name.clone(), notifier);
    })?;
    each(conn, "incidents", INCIDENT, incident, |incident| {
        saved.incidents.insert(incident.id(), incident);
    })?;
    let maintained = |row: &Row<'_>| Ok((MaintenanceId::new(row.get(0)?), maintenance(row)?));
    each(conn, "maintenance", MAINTENANCE, maintained, |(id, maintenance)| {
        saved.maintenance.insert(id, maintenance);
    })?;
    Ok(saved)
}

fn each<T>(
    conn: &Connection,
    table: &str,
    columns: &str,
    parse: impl Fn(&Row<'_>) -> Result<T>,
    mut take: impl FnMut(T),
) -> Result<()> {
    let mut statement = conn.prepare(&format!("SELECT {columns} FROM {table}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(parse(row)?);
    }
    Ok(())
}

fn put(to: &Transaction<'_>, change: &Change) -> Result<()> {
    match change {
        Change::PutTarget(target) => put_target(to, target),
        Change::DropTarget(name) => run(to, "DELETE FROM targets WHERE name = ?1", [name]),
        Change::PutOutage(outage) => put_outage(to, outage),
        Change::PutLine(notifier, line) => put_line(to, notifier, line),
        Change::DropLine(id) => run(to, "DELETE FROM lines WHERE id = ?1", [id.number()]),
        Change::PutMail(mail) => put_mail(to, mail),
        Change::DropMail(id) => run(to, "DELETE FROM mails WHERE id = ?1", [id.number()]),
        Change::PutTold(told) => put_told(to, told),
        Change::PutNotifier(notifier) => run(
            to,
            "INSERT OR REPLACE INTO notifiers (name, last_sent, last_standing) VALUES (?1, ?2, ?3)",
            params![
                notifier.name,
                notifier.last_sent.map(Wall::unix_nanos),
                notifier.last_standing.map(Wall::unix_nanos)
            ],
        ),
        Change::DropTold(notifier, target) => {
            run(to, "DELETE FROM told WHERE notifier = ?1 AND target = ?2", [notifier, target])
        }
        Change::PutIncident(incident) => run(
            to,
            "INSERT OR REPLACE INTO incidents (id, incident) VALUES (?1, ?2)",
            params![incident.id().number(), dto::incident_to_json(incident).map_err(unwritable)?],
        ),
        Change::DropIncident(id) => run(to, "DELETE FROM incidents WHERE id = ?1", [id.number()]),
        Change::PutMaintenance(maintenance) => run(
            to,
            "INSERT OR REPLACE INTO maintenance (id, maintenance) VALUES (?1, ?2)",
            params![number_of(maintenance), dto::maintenance_to_json(maintenance).map_err(unwritable)?],
        ),
        Change::DropMaintenance(id) => run(to, "DELETE FROM maintenance WHERE id = ?1", [id.number()]),
        Change::PutAlive(at) => run(to, "UPDATE journal SET alive_at = ?1", [at.unix_nanos()]),
    }
}

fn run(to: &Transaction<'_>, sql: &str, values: impl rusqlite::Params) -> Result<()> {
    to.prepare_cached(sql)?.execute(values).map(drop)
}

fn put_target(to: &Transaction<'_>, target: &SavedTarget) -> Result<()> {
    let outage = target.outage.as_ref().map(dto::outage_to_json).transpose().map_err(unwritable)?;
    run(
        to,
        "INSERT OR REPLACE INTO targets (name, status, since, last_good, outage, silent_for, answered_for, guarded)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            target.name,
            target.status.code(),
            target.since.unix_nanos(),
            target.last_good.map(Wall::unix_nanos),
            outage,
            nanos(target.silent_for),
            nanos(target.answered_for),
            target.guarded,
        ],
    )
}

fn put_outage(to: &Transaction<'_>, outage: &Outage) -> Result<()> {
    let ack = outage.ack.as_deref().map(dto::ack_to_json).transpose().map_err(unwritable)?;
    run(
        to,
        "INSERT OR REPLACE INTO outages (id, target, last_good, first_bad, due, closed, removed, ack)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            outage.id.number(),
            outage.target,
            outage.last_good.map(Wall::unix_nanos),
            outage.first_bad.unix_nanos(),
            outage.due.map(Wall::unix_nanos),
            outage.closed.map(Wall::unix_nanos),
            outage.removed,
            ack,
        ],
    )
}

fn put_line(to: &Transaction<'_>, notifier: &str, line: &Line) -> Result<()> {
    run(
        to,
        "INSERT OR REPLACE INTO lines (id, notifier, line) VALUES (?1, ?2, ?3)",
        params![line.id.number(), notifier, dto::line_to_json(line).map_err(unwritable)?],
    )
}

fn put_mail(to: &Transaction<'_>, mail: &SavedMail) -> Result<()> {
    run(
        to,
        "INSERT OR REPLACE INTO mails
         (id, notifier, message_id, in_reply_to, date, recipients, told, subject, text, html, lines)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            mail.id.number(),
            mail.notifier,
            mail.message_id,
            mail.in_reply_to,
            mail.date.unix_nanos(),
            dto::names_to_json(&mail.recipients).map_err(unwritable)?,
            mail.told,
            mail.content.subject,
            mail.content.text,
            mail.content.html,
            dto::lines_to_json(&mail.lines).map_err(unwritable)?,
        ],
    )
}

fn put_told(to: &Transaction<'_>, told: &Told) -> Result<()> {
    run(
        to,
        "INSERT OR REPLACE INTO told (notifier, target, outage, message_id, at, ended)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![told.notifier, told.target, told.outage.number(), told.message_id, told.at.unix_nanos(), told.ended],
    )
}

/// The numbers that a change shows to have been given, as [`Saved::apply`] sees them.
pub(super) fn highest_number(change: &Change) -> u64 {
    match change {
        Change::PutTarget(_)
        | Change::DropTarget(_)
        | Change::DropTold(..)
        | Change::PutNotifier(_)
        | Change::PutAlive(_) => 0,
        Change::PutOutage(outage) => outage.id.number(),
        Change::PutLine(_, line) => line.id.number().max(line.outage.id.number()),
        Change::DropLine(id) => id.number(),
        Change::PutMail(mail) => mail.id.number(),
        Change::DropMail(id) => id.number(),
        Change::PutTold(told) => told.outage.number(),
        Change::PutIncident(incident) => incident.id().number(),
        Change::DropIncident(id) => id.number(),
        Change::PutMaintenance(maintenance) => number_of(maintenance),
        Change::DropMaintenance(id) => id.number(),
    }
}

fn number_of(maintenance: &Maintenance) -> u64 {
    maintenance.id.map_or(0, MaintenanceId::number)
}

pub(super) fn target(row: &Row<'_>) -> Result<SavedTarget> {
    let status: String = row.get(1)?;
    let outage: Option<String> = row.get(4)?;
    Ok(SavedTarget {
        name: row.get(0)?,
        status: Status::from_code(&status).ok_or_else(|| unreadable(1, format!("unknown status `{status}`")))?,
        since: wall(row, 2)?,
        last_good: wall_or_none(row, 3)?,
        outage: outage.as_deref().map(dto::outage_from_json).transpose().map_err(|error| unreadable(4, error))?,
        silent_for: duration(row, 5)?,
        answered_for: duration(row, 6)?,
        guarded: row.get(7)?,
    })
}

pub(super) fn mail(row: &Row<'_>) -> Result<SavedMail> {
    Ok(SavedMail {
        id: MailId::new(row.get(0)?),
        notifier: row.get(1)?,
        message_id: row.get(2)?,
        in_reply_to: row.get(3)?,
        date: wall(row, 4)?,
        recipients: json(row, 5, dto::names_from_json)?,
        told: row.get(6)?,
        content: Arc::new(Content { subject: row.get(7)?, text: row.get(8)?, html: row.get(9)? }),
        lines: json(row, 10, dto::lines_from_json)?,
    })
}

pub(super) fn told(row: &Row<'_>) -> Result<Told> {
    Ok(Told {
        notifier: row.get(0)?,
        target: row.get(1)?,
        outage: OutageId::new(row.get(2)?),
        message_id: row.get(3)?,
        at: wall(row, 4)?,
        ended: row.get(5)?,
    })
}

pub(super) fn outage(row: &Row<'_>) -> Result<Outage> {
    let ack: Option<String> = row.get(7)?;
    let ack = ack.as_deref().map(dto::ack_from_json).transpose().map_err(|error| unreadable(7, error))?;
    Ok(Outage {
        id: OutageId::new(row.get(0)?),
        target: row.get(1)?,
        last_good: wall_or_none(row, 2)?,
        first_bad: wall(row, 3)?,
        due: wall_or_none(row, 4)?,
        closed: wall_or_none(row, 5)?,
        removed: row.get(6)?,
        ack: ack.map(Arc::new),
    })
}

pub(super) fn line(row: &Row<'_>) -> Result<(Arc<str>, Line)> {
    Ok((row.get(1)?, json(row, 2, dto::line_from_json)?))
}

pub(super) fn notifier(row: &Row<'_>) -> Result<SavedNotifier> {
    Ok(SavedNotifier { name: row.get(0)?, last_sent: wall_or_none(row, 1)?, last_standing: wall_or_none(row, 2)? })
}

pub(super) fn incident(row: &Row<'_>) -> Result<Incident> {
    json(row, 1, dto::incident_from_json)
}

pub(super) fn maintenance(row: &Row<'_>) -> Result<Maintenance> {
    json(row, 1, dto::maintenance_from_json)
}

fn wall(row: &Row<'_>, column: usize) -> Result<Wall> {
    row.get(column).map(Wall::from_unix_nanos)
}

pub(super) fn wall_or_none(row: &Row<'_>, column: usize) -> Result<Option<Wall>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Wall::from_unix_nanos))
}

fn duration(row: &Row<'_>, column: usize) -> Result<Duration> {
    row.get(column).map(Duration::from_nanos)
}

/// The longest that fits is 292 years.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn json<T>(row: &Row<'_>, column: usize, parse: fn(&str) -> std::result::Result<T, DtoError>) -> Result<T> {
    let text: String = row.get(column)?;
    parse(&text).map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, error.into())
}

fn unwritable(error: DtoError) -> Error {
    Error::ToSqlConversionFailure(error.into())
}
