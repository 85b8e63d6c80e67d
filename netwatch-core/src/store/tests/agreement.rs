//! What SQLite gives back is what [`Saved::apply`] says, whatever was committed and whenever the file was reopened.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rusqlite::Connection;

use super::{database, loaded, open};
use crate::journal::Journal;
use crate::model::{
    Ack, Behind, Calendar, Cause, Change, Commit, Content, Incident, Line, LineId, LineKind, MailId, Maintenance,
    MaintenanceId, Outage, OutageId, Period, Saved, SavedMail, SavedNotifier, SavedTarget, Scope, Status, Subject,
    Told, Topic, Trouble, Wall,
};

fn name() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![Just("olt-1"), Just("ñandú\t\"x\"\n"), Just(""), Just("'; DROP TABLE targets; --"), Just("a\0b")]
        .prop_map(Arc::from)
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..6, Just(i64::MAX as u64)]
}

fn instant() -> impl Strategy<Value = Wall> {
    any::<i64>().prop_map(Wall::from_unix_nanos)
}

fn duration() -> impl Strategy<Value = Duration> {
    (0..=i64::MAX as u64).prop_map(Duration::from_nanos)
}

fn names() -> impl Strategy<Value = Vec<Arc<str>>> {
    vec(name(), 0..3)
}

fn ack() -> impl Strategy<Value = Arc<Ack>> {
    (instant(), name(), name()).prop_map(|(at, by, note)| Arc::new(Ack { at, by, note }))
}

fn outage() -> impl Strategy<Value = Outage> {
    let ends = (option::of(instant()), option::of(instant()), any::<bool>());
    (number(), name(), option::of(instant()), instant(), ends, option::of(ack())).prop_map(
        |(id, target, last_good, first_bad, (due, closed, removed), ack)| Outage {
            id: OutageId::new(id),
            target,
            last_good,
            first_bad,
            due,
            closed,
            removed,
            ack,
        },
    )
}

/// The number of a failed send is not kept, so there is only the one that stands for none.
fn topic() -> impl Strategy<Value = Topic> {
    let causes = [Cause::Blind, Cause::NoRoute, Cause::SendFailed(0), Cause::ConntrackFull, Cause::ProbeFailed];
    let unseen = prop::sample::select(causes.to_vec()).prop_map(Topic::Unseen);
    let trouble = prop::sample::select(&Trouble::ALL[..]).prop_map(Topic::Trouble);
    prop_oneof![Just(Topic::Outage), Just(Topic::Flapping), unseen, Just(Topic::Blind), Just(Topic::Drill), trouble]
}

fn incident() -> impl Strategy<Value = Incident> {
    (topic(), outage(), names(), any::<u32>()).prop_map(|(topic, outage, members, changes)| Incident {
        topic,
        outage,
        members: members.into(),
        changes,
    })
}

fn maintenance() -> impl Strategy<Value = Maintenance> {
    let scope = (names(), names(), names()).prop_map(|(groups, targets, tags)| Scope { groups, targets, tags });
    let period = (instant(), instant()).prop_map(|(from, to)| Period { from, to });
    (option::of(number()), scope, vec(period, 0..4), name(), name()).prop_map(|(id, scope, periods, reason, by)| {
        Maintenance { id: id.map(MaintenanceId::new), scope, calendar: Calendar::new(periods), reason, by }
    })
}

fn target() -> impl Strategy<Value = SavedTarget> {
    let status = prop::sample::select(Status::ALL.to_vec());
    let seen = (duration(), duration(), any::<bool>());
    (name(), status, instant(), option::of(instant()), option::of(outage()), seen).prop_map(
        |(name, status, since, last_good, outage, (silent_for, answered_for, guarded))| SavedTarget {
            name,
            status,
            since,
            last_good,
            outage,
            silent_for,
            answered_for,
            guarded,
        },
    )
}

fn line() -> impl Strategy<Value = Line> {
    let kind = prop_oneof![Just(LineKind::Opened), Just(LineKind::Closed), Just(LineKind::Missed)];
    let subject = (name(), name(), option::of(name()), option::of(name()), any::<Option<u32>>());
    let flags = (any::<bool>(), any::<bool>(), names(), any::<u32>(), any::<(u32, u64)>());
    (number(), kind, topic(), subject, outage(), instant(), flags).prop_map(
        |(id, kind, topic, (name, address, group, note, customers), outage, owed_at, flags)| {
            let (critical, escalated, members, changes, (devices, customers_behind)) = flags;
            Line {
                id: LineId::new(id),
                kind,
                topic,
                subject: Subject { name, address, group, note, customers },
                outage,
                critical,
                escalated,
                members: members.into(),
                changes,
                behind: Behind { devices, customers: customers_behind },
                owed_at,
            }
        },
    )
}

fn mail() -> impl Strategy<Value = SavedMail> {
    let words = (".*", ".*", ".*").prop_map(|(subject, text, html)| Arc::new(Content { subject, text, html }));
    let recipients = (vec(name(), 0..3), any::<bool>());
    (number(), name(), name(), option::of(name()), instant(), recipients, words, vec(line(), 0..3)).prop_map(
        |(id, notifier, message_id, in_reply_to, date, (recipients, told), content, lines)| SavedMail {
            id: MailId::new(id),
            notifier,
            message_id,
            in_reply_to,
            date,
            recipients,
            told,
            content,
            lines,
        },
    )
}

fn told() -> impl Strategy<Value = Told> {
    (name(), name(), number(), name(), instant(), any::<bool>()).prop_map(
        |(notifier, target, outage, message_id, at, ended)| Told {
            notifier,
            target,
            outage: OutageId::new(outage),
            message_id,
            at,
            ended,
        },
    )
}

fn notifier() -> impl Strategy<Value = SavedNotifier> {
    (name(), option::of(instant()), option::of(instant())).prop_map(|(name, last_sent, last_standing)| SavedNotifier {
        name,
        last_sent,
        last_standing,
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        target().prop_map(Change::PutTarget),
        name().prop_map(Change::DropTarget),
        outage().prop_map(Change::PutOutage),
        (name(), line()).prop_map(|(notifier, line)| Change::PutLine(notifier, line)),
        number().prop_map(|id| Change::DropLine(LineId::new(id))),
        mail().prop_map(Change::PutMail),
        number().prop_map(|id| Change::DropMail(MailId::new(id))),
        told().prop_map(Change::PutTold),
        (name(), name()).prop_map(|(notifier, target)| Change::DropTold(notifier, target)),
        incident().prop_map(Change::PutIncident),
        number().prop_map(|id| Change::DropIncident(OutageId::new(id))),
        maintenance().prop_map(Change::PutMaintenance),
        number().prop_map(|id| Change::DropMaintenance(MaintenanceId::new(id))),
        notifier().prop_map(Change::PutNotifier),
        instant().prop_map(Change::PutAlive),
    ]
}

fn commit() -> impl Strategy<Value = Commit> {
    vec(change(), 0..12).prop_map(|mut changes| {
        let mut seen = BTreeSet::new();
        changes.retain(|change| seen.insert(change.key()));
        Commit::new(0, changes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_journal_gives_back_what_the_commits_mean(history in vec((commit(), any::<bool>()), 1..12)) {
        let dir = tempfile::tempdir().unwrap();
        let (mut expected, mut record) = (Saved::default(), BTreeMap::new());
        let mut journal = open(dir.path());
        for (commit, reopen) in &history {
            journal.commit(commit).unwrap();
            expected.apply(commit);
            record.extend(commit.changes.iter().filter_map(|change| match change {
                Change::PutOutage(outage) => Some((outage.id, outage.clone())),
                _ => None,
            }));
            if *reopen {
                drop(journal);
                journal = open(dir.path());
            }
            prop_assert_eq!(&journal.load().unwrap(), &expected);
        }
        drop(journal);
        prop_assert_eq!(recorded(&database(dir.path())), record);
    }
}

/// The record of outages, read as another program would.
fn recorded(path: &std::path::Path) -> BTreeMap<OutageId, Outage> {
    let conn = Connection::open(path).unwrap();
    let columns = "id, target, last_good, first_bad, due, closed, started, removed, ack";
    let mut statement = conn.prepare(&format!("SELECT {columns} FROM outages")).unwrap();
    let outages = statement.query_map([], |row| {
        let instant = |column| row.get::<_, Option<i64>>(column).map(|nanos| nanos.map(Wall::from_unix_nanos));
        let outage = Outage {
            id: OutageId::new(row.get(0)?),
            target: row.get(1)?,
            last_good: instant(2)?,
            first_bad: instant(3)?.unwrap(),
            due: instant(4)?,
            closed: instant(5)?,
            removed: row.get(7)?,
            ack: row.get::<_, Option<String>>(8)?.map(|json| Arc::new(said(&json))),
        };
        assert_eq!(Some(outage.started()), instant(6)?);
        Ok((outage.id, outage))
    });
    outages.unwrap().map(Result::unwrap).collect()
}

fn said(json: &str) -> Ack {
    let said: serde_json::Value = serde_json::from_str(json).unwrap();
    let text = |key: &str| said[key].as_str().unwrap().to_owned();
    Ack::new(Wall::from_unix_nanos(said["at"].as_i64().unwrap()), text("by"), text("note"))
}

#[test]
fn a_number_that_no_database_can_hold_fails_the_whole_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    let notifier = Change::PutNotifier(SavedNotifier::new("noc", None));
    let error = journal.commit(&Commit::new(1, vec![notifier, Change::DropLine(LineId::new(u64::MAX))])).unwrap_err();
    assert!(error.to_string().contains("netwatch.db"), "{error}");
    assert_eq!(journal.load().unwrap(), Saved::default());
}

#[test]
fn the_file_and_its_log_are_for_their_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    journal.commit(&super::nth(1)).unwrap();
    for file in ["netwatch.db", "netwatch.db-wal", "netwatch.db-shm"] {
        let mode = dir.path().join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn every_commit_is_synced_before_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).commit(&super::nth(1)).unwrap();
    let conn = super::super::schema::open(&database(dir.path())).unwrap();
    let setting = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(setting("synchronous"), 2, "FULL");
    assert_eq!(setting("foreign_keys"), 1);
    let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn a_start_that_died_before_the_schema_was_there_is_made_good() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(database(dir.path()), b"").unwrap();
    assert_eq!(loaded(dir.path()), Saved::default());
    let dir = tempfile::tempdir().unwrap();
    Connection::open(database(dir.path())).unwrap().pragma_update(None, "journal_mode", "WAL").unwrap();
    assert_eq!(loaded(dir.path()), Saved::default());
}
