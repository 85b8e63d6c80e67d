//! `netwatch why` as a process: what it prints of a ledger, and how it ends when it cannot.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::SystemTime;

use netwatch_core::{Decision, Event, LedgerEntry, OutageId, SqliteJournal, SqliteLedger, StatusSink, Wall};

const CONFIG: &str = r#"
locale = "en"
time_zone = "America/Asuncion"
[[target]]
name = "olt-centro"
address = "192.0.2.1"
[[target]]
name = "olt-norte"
address = "192.0.2.2"
"#;

fn why(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netwatch"));
    command.current_dir(dir).env_clear().args(["why", "--data-dir", "data"]).args(arguments);
    command.output().unwrap()
}

/// How it ended, and what it said on standard output and on standard error.
fn ended(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("netwatch.toml"), CONFIG).unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    dir
}

/// Writes down, a moment ago, that a blip of this device was too short to be told.
async fn record(dir: &Path, target: &str) {
    let ledger = SqliteLedger::new(dir.join("data/netwatch.db")).unwrap();
    let tolerance = std::time::Duration::from_secs(30);
    let decisions = [Decision::Opened { tolerance }, Decision::TooShort { silent_for: tolerance / 2, tolerance }];
    let now = Wall::from(SystemTime::now());
    let entry = |decision| LedgerEntry::new(now, target.into(), Some(OutageId::new(7)), decision);
    ledger.events(&decisions.map(|decision| Event::Ledger(entry(decision)))).await;
    ledger.stop().await;
}

#[tokio::test]
async fn it_tells_what_is_recorded_while_the_journal_is_in_use() {
    let dir = directory();
    let _journal = SqliteJournal::open(dir.path().join("data/netwatch.db")).unwrap();
    record(dir.path(), "olt-centro").await;
    record(dir.path(), "removed").await;
    for name in ["olt-centro", "removed"] {
        let (code, said, complaint) = ended(&why(dir.path(), &[name]));
        assert_eq!(code, Some(0), "{complaint}");
        assert!(said.contains(&format!("{name} · outage 7 · ")), "{said}");
        let conclusion = "Conclusion: nobody was told: it was silent for 15s, within its tolerance of 30s.\n";
        assert!(said.ends_with(conclusion), "{said}");
    }
    let (code, said, _) = ended(&why(dir.path(), &["olt-centro", "--json"]));
    let entries: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &entries[1]["decision"], &entries[1]["silent_for"]),
        (Some(0), &"too_short".into(), &15.0.into())
    );
}

#[test]
fn a_device_of_which_nothing_is_recorded_ends_it_with_1() {
    let dir = directory();
    let (code, _, complaint) = ended(&why(dir.path(), &["olt-norte"]));
    assert_eq!(code, Some(1));
    assert!(complaint.contains("data/netwatch.db") && complaint.contains("--data-dir"), "{complaint}");
    drop(SqliteJournal::open(dir.path().join("data/netwatch.db")).unwrap());
    let (code, said, complaint) = ended(&why(dir.path(), &["olt-norte", "2026-11-25", "03:12", "--json"]));
    assert_eq!((code, said.trim()), (Some(1), "[]"));
    assert!(complaint.contains("nothing is recorded about olt-norte"), "{complaint}");
}

#[test]
fn what_is_not_understood_ends_it_with_2() {
    let dir = directory();
    let (code, _, complaint) = ended(&why(dir.path(), &["olt-sentro"]));
    assert_eq!(code, Some(2));
    assert!(complaint.contains("did you mean `olt-centro`?"), "{complaint}");
    for time in [&["yesterday"][..], &["25:00"], &["2026-11-31", "10:00"], &["\u{1b}[2J"], &[""]] {
        let (code, _, complaint) = ended(&why(dir.path(), &[&["olt-centro"], time].concat()));
        assert_eq!(code, Some(2), "{time:?}");
        assert!(complaint.contains("is not a time") && complaint.contains("HH:MM"), "{complaint}");
        assert!(!complaint.contains('\u{1b}'), "{complaint:?}");
    }
    assert_eq!(ended(&why(dir.path(), &[])).0, Some(2));
    assert_eq!(ended(&why(dir.path(), &["olt-centro", "2026-11-25", "03:12", "more"])).0, Some(2));
}
