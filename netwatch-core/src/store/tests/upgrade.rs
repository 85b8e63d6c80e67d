//! A file of version 1 is brought up to date with all that it holds, or not at all.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::{database, loaded, nth, open};
use crate::journal::Journal;
use crate::model::{LineId, LineKind, MailId, Outage, OutageId, Status, Topic, Wall};

/// The schema as version 1 created it.
const SCHEMA_1: &str = "
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
    answered_for INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE outages (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    last_good INTEGER,
    first_bad INTEGER NOT NULL,
    due INTEGER,
    closed INTEGER,
    started INTEGER NOT NULL GENERATED ALWAYS AS (coalesce(last_good, first_bad)) VIRTUAL
) STRICT;
CREATE INDEX outages_by_target ON outages (target, started);
CREATE INDEX outages_by_start ON outages (started);
CREATE TABLE lines (
    id INTEGER PRIMARY KEY,
    notifier TEXT NOT NULL,
    kind TEXT NOT NULL,
    owed_at INTEGER NOT NULL,
    subject TEXT NOT NULL,
    outage TEXT NOT NULL
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
    last_sent INTEGER
) STRICT, WITHOUT ROWID;
";

/// What version 1 wrote: a device that is down, a line and a mail about it, and what was told before.
const CONTENT_1: &str = r#"
UPDATE journal SET last_number = 9, commits = 4, alive_at = 777;
INSERT INTO targets VALUES ('olt-1', 'down', 50, 40,
    '{"id":3,"target":"olt-1","last_good":40,"first_bad":50,"due":60,"closed":null}', 12, 0), ('a', 'ok', 1, 2, NULL, 0, 7);
INSERT INTO outages (id, target, last_good, first_bad, due, closed) VALUES (3, 'olt-1', 40, 50, 60, NULL), (2, 'a', NULL, 5, 6, 7);
INSERT INTO lines VALUES (4, 'noc', 'opened', 9007199254740993,
    '{"name":"olt-1 \"ñandú\" \u0000","address":"192.0.2.1","group":null,"note":"llave","customers":480}',
    '{"id":3,"target":"olt-1","last_good":40,"first_bad":50,"due":60,"closed":null}');
INSERT INTO mails VALUES (9, 'noc', '<9@nw>', NULL, 61, '["a@example.net"]', 0, 's', 't', 'h',
    '[{"id":4,"kind":"missed","subject":{"name":"olt-1","address":"192.0.2.1","group":"OLT","note":null,"customers":null},
       "outage":{"id":3,"target":"olt-1","last_good":40,"first_bad":50,"due":60,"closed":70},"owed_at":60}]');
INSERT INTO told VALUES ('noc', 'a', 2, '<2@nw>', 8, 1);
INSERT INTO notifiers VALUES ('noc', 8);
"#;

fn version_1(dir: &Path, content: &str) {
    let conn = Connection::open(database(dir)).unwrap();
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    conn.execute_batch(SCHEMA_1).unwrap();
    conn.execute_batch(content).unwrap();
    conn.pragma_update(None, "application_id", i32::from_be_bytes(*b"nwdb")).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
}

fn wall(nanos: i64) -> Wall {
    Wall::from_unix_nanos(nanos)
}

#[test]
fn all_that_version_1_held_is_there() {
    let dir = tempfile::tempdir().unwrap();
    version_1(dir.path(), CONTENT_1);
    let saved = loaded(dir.path());
    assert_eq!((saved.last_number, saved.alive_at), (9, Some(wall(777))));

    let mut outage = Outage::open(OutageId::new(3), "olt-1".into(), Some(wall(40)), wall(50));
    outage.due = Some(wall(60));
    let target = &saved.targets["olt-1"];
    assert_eq!((target.status, target.outage.as_ref(), target.guarded), (Status::Down, Some(&outage), false));
    assert_eq!((target.silent_for.as_nanos(), saved.targets["a"].answered_for.as_nanos()), (12, 7));

    let (notifier, line) = &saved.lines[&LineId::new(4)];
    assert_eq!(
        (&**notifier, line.kind, line.topic, line.owed_at),
        ("noc", LineKind::Opened, Topic::Outage, wall((1 << 53) + 1))
    );
    assert_eq!((&*line.subject.name, line.subject.customers), ("olt-1 \"ñandú\" \0", Some(480)));
    assert_eq!((&line.outage, line.critical, line.escalated, line.changes), (&outage, false, false, 0));

    let mail = &saved.mails[&MailId::new(9)];
    assert_eq!((&*mail.message_id, mail.lines.len(), mail.lines[0].kind), ("<9@nw>", 1, LineKind::Missed));
    assert_eq!(saved.told.len(), 1);
    assert_eq!((saved.notifiers["noc"].last_sent, saved.notifiers["noc"].last_standing), (Some(wall(8)), None));
    assert!(saved.incidents.is_empty() && saved.maintenance.is_empty());

    let conn = Connection::open(database(dir.path())).unwrap();
    let outages: i64 = conn.query_row("SELECT count(*) FROM outages WHERE NOT removed", [], |row| row.get(0)).unwrap();
    assert_eq!(outages, 2);
}

#[test]
fn a_file_that_was_brought_up_to_date_is_like_a_new_one() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    version_1(old.path(), "");
    drop((open(old.path()), open(new.path())));
    let columns = |dir: &Path| {
        let sql = "SELECT t.type || ' ' || t.name || ' ' || t.strict || t.wr || ': ' || c.name || ' ' || c.type || c.pk
                   || c.hidden || c.\"notnull\" || coalesce(c.dflt_value, '')
                   FROM pragma_table_list t, pragma_table_xinfo(t.name) c
                   WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite%'
                   UNION SELECT type || ' ' || name || ' ' || tbl_name FROM sqlite_schema ORDER BY 1";
        let conn = Connection::open(database(dir)).unwrap();
        let mut statement = conn.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<Vec<String>, _>>().unwrap()
    };
    assert_eq!(columns(old.path()), columns(new.path()));
    let mut journal = open(old.path());
    journal.commit(&nth(1)).unwrap();
    assert_eq!(super::whole(&journal.load().unwrap()), Some(1));
}

#[test]
fn one_that_cannot_be_brought_up_to_date_is_set_aside_untouched() {
    for (damage, lines) in [
        ("UPDATE lines SET subject = '{\"name\":'", 0),
        ("ALTER TABLE lines DROP COLUMN owed_at", 0),
        ("CREATE TABLE incidents (id INTEGER)", 1),
        ("DROP TABLE told", 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        version_1(dir.path(), &format!("{CONTENT_1}{damage};"));
        let before = fs::read(database(dir.path())).unwrap();
        let mut journal = open(dir.path());
        let notice = journal.notices().join("");
        let saved = journal.load().unwrap();
        assert_eq!((saved.targets.len(), saved.lines.len()), (2, lines), "{damage}: {notice}");
        assert!(before == fs::read(super::aside::old(dir.path())).unwrap(), "changed after: {damage}");
    }
}

#[test]
fn a_version_that_never_was_is_damage() {
    for version in [0, -1] {
        let dir = tempfile::tempdir().unwrap();
        version_1(dir.path(), "");
        Connection::open(database(dir.path())).unwrap().pragma_update(None, "user_version", version).unwrap();
        let notice = open(dir.path()).notices().join("");
        assert!(notice.contains(&format!("there never was a schema {version}")), "{notice}");
    }
}
