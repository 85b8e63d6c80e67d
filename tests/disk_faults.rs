//! Real disks that are full, out of inodes or read-only under the whole daemon: probing and telling go on, the page says
//! so, writing resumes within a minute of room, nothing is deleted, and nobody has to do anything.
//!
//! Each fault lasts some seconds; `NETWATCH_DISK_MINUTES` makes it longer (tests/campaign: an hour in all).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use netwatch_core::{Journal, SqliteJournal};
use netwatch_tests::config::Config;
use netwatch_tests::mail::Scripted;
use netwatch_tests::process::wait_for;
use netwatch_tests::stage::{Fleet, SOON, Stage};
use netwatch_tests::volume::Volume;

const FLEET: Fleet = Fleet::v4(4);
/// Within which the page says what is wrong, and that it is over.
const SAID: Duration = Duration::from_secs(60);
/// Within which a mail is there: the times of the configuration below, with slack for this machine.
const TOLD: Duration = Duration::from_secs(40);

fn begin() -> (Stage<Scripted>, Volume) {
    let mut stage = Stage::unstarted_with_scripted(FLEET, |mail| {
        let config = FLEET.targets(Config::scaled().each("tolerance", "1s").each("settle", "2s"), &[]);
        let config = config.smtp(mail.address()).notifier("group_wait", "300ms").notifier("group_interval", "1s");
        config.notifier("min_interval", "0s")
    });
    let volume = Volume::mount(&stage.daemon.data_dir());
    stage.daemon.start();
    stage.daemon.wait_all("ok", SOON);
    (stage, volume)
}

/// How long a fault is left to itself.
fn lasting() -> Duration {
    let minutes = std::env::var("NETWATCH_DISK_MINUTES").ok().map(|text| text.parse::<f64>().expect("minutes"));
    minutes.map_or(Duration::from_secs(5), |minutes| Duration::from_secs_f64(minutes * 60.0))
}

/// What the page is told of the journal: since when nothing can be committed, and what is wrong.
fn journal(stage: &Stage<Scripted>) -> (bool, Option<String>) {
    let (name, snapshot) = stage.daemon.events().unwrap().next_event().unwrap();
    assert_eq!(name, "snapshot", "the stream begins with one");
    let snapshot: serde_json::Value = serde_json::from_str(&snapshot).unwrap();
    let journal = &snapshot["journal"];
    (!journal["failing_since"].is_null(), journal["error"].as_str().map(str::to_owned))
}

fn wait_said(stage: &Stage<Scripted>, what: &str, fits: impl Fn(&(bool, Option<String>)) -> bool) -> Duration {
    let begin = Instant::now();
    wait_for(what, SAID, || {
        sleep(Duration::from_millis(200));
        fits(&journal(stage)).then_some(())
    });
    begin.elapsed()
}

/// A device falls silent and is told of; it answers again and that is told.
fn is_told(stage: &Stage<Scripted>, name: &str) {
    let before = stage.mail.accepted().len();
    stage.down_and_seen(name);
    wait_told(stage, before, &format!("NO RESPONDE: {name}"));
    let before = stage.mail.accepted().len();
    stage.up_and_seen(name);
    wait_told(stage, before, &format!("OK: {name}"));
}

fn wait_told(stage: &Stage<Scripted>, before: usize, subject: &str) {
    wait_for(&format!("a mail `{subject}`"), TOLD, || {
        stage.mail.accepted().iter().skip(before).any(|mail| mail.message.subject() == subject).then_some(())
    });
}

/// Echoes of a check are 100 ms apart and checks begin each second: no gap is longer than 0.6 s; a second of slack is
/// this machine's.
fn assert_probing_kept_its_period(stage: &Stage<Scripted>) {
    let times = stage.isp.truth().request_times(FLEET.ip("d04"));
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().map(Duration::from_nanos);
    assert!(times.len() > 20 && longest < Some(Duration::from_millis(1600)), "a gap of {longest:?}");
}

fn assert_nothing_was_deleted(before: &[(String, u64)], volume: &Volume) {
    let after = volume.files();
    for (name, _) in before {
        assert!(after.iter().any(|(there, _)| there == name), "{name} is gone: {after:?}");
    }
}

/// The outages in the journal that are closed, of these devices: what was decided during the fault is written.
fn assert_recorded(stage: &mut Stage<Scripted>, devices: &[&str]) {
    let status = stage.daemon.terminate(Duration::from_secs(10));
    assert!(status.success(), "{status}: {}", stage.daemon.output());
    let path = stage.daemon.data_dir().join("netwatch.db");
    let saved = SqliteJournal::open(&path).unwrap().load().unwrap();
    assert!(saved.lines.is_empty() && saved.mails.is_empty(), "nothing is owed any more: {saved:?}");
    let conn = rusqlite::Connection::open(&path).unwrap();
    for device in devices {
        let count = "SELECT count(*) FROM outages WHERE target = ?1 AND closed IS NOT NULL";
        let closed: u32 = conn.query_row(count, [device], |row| row.get(0)).unwrap();
        assert!(closed >= 1, "the outage of {device} is not in the record");
    }
}

#[test]
fn a_full_disk_stops_nothing() {
    let (mut stage, volume) = begin();
    is_told(&stage, "d01");
    let before = volume.files();
    volume.fill();
    is_told(&stage, "d02");
    wait_said(&stage, "the page to say that the disk is full", |(failing, error)| {
        !failing && error.as_ref().is_some_and(|error| error.contains("almost full"))
    });
    sleep(lasting());
    let (failing, _) = journal(&stage);
    assert!(!failing, "what is owed is committed, into room that was kept for it");
    // What was committed on the full disk survives a kill on it, and a restart there works.
    stage.down_and_seen("d03");
    wait_told(&stage, 0, "NO RESPONDE: d03");
    stage.daemon.kill9();
    stage.daemon.start();
    stage.daemon.wait_status("d03", "down", SOON);
    stage.assert_stopwatch("d03");
    assert!(stage.daemon.terminate(Duration::from_secs(10)).success());
    volume.fill();
    stage.daemon.start();
    stage.daemon.wait_status("d03", "down", SOON);
    let before_up = stage.mail.accepted().len();
    stage.up_and_seen("d03");
    wait_told(&stage, before_up, "OK: d03");
    assert_nothing_was_deleted(&before, &volume);
    volume.make_room();
    let took = wait_said(&stage, "the page to say that all is well", |said| *said == (false, None));
    println!("all was well {took:?} after there was room");
    is_told(&stage, "d01");
    wait_for("server_status.txt to be written again", SAID, || {
        stage.daemon.server_status().iter().all(|line| line.status != "NO RESPONDE").then_some(())
    });
    let told = stage.mail.accepted().iter().filter(|mail| mail.message.subject() == "NO RESPONDE: d03").count();
    assert_eq!(told, 1, "it was told of once, whatever came between");
    assert_recorded(&mut stage, &["d01", "d02", "d03"]);
}

#[test]
fn a_disk_without_inodes_stops_nothing() {
    let (mut stage, volume) = begin();
    let before = volume.files();
    volume.take_all_files();
    is_told(&stage, "d02");
    wait_said(&stage, "the page to say what is wrong", |(failing, error)| {
        !failing && error.as_ref().is_some_and(|error| error.contains("inodes"))
    });
    sleep(lasting());
    is_told(&stage, "d03");
    assert_nothing_was_deleted(&before, &volume);
    volume.make_room();
    let took = wait_said(&stage, "the page to say that all is well", |said| *said == (false, None));
    println!("all was well {took:?} after there was room");
    is_told(&stage, "d01");
    stage.assert_files_agree();
    assert_probing_kept_its_period(&stage);
    assert_recorded(&mut stage, &["d01", "d02", "d03"]);
}

#[test]
fn a_disk_that_refuses_writes_for_a_while_stops_nothing() {
    let (mut stage, volume) = begin();
    is_told(&stage, "d01");
    let before = volume.files();
    volume.refuse_writes(true);
    wait_said(&stage, "the page to say that nothing can be saved", |(failing, _)| *failing);
    is_told(&stage, "d02");
    sleep(lasting());
    is_told(&stage, "d03");
    assert_nothing_was_deleted(&before, &volume);
    assert!(journal(&stage).0, "it is said as long as it lasts");
    volume.refuse_writes(false);
    let took = wait_said(&stage, "the page to say that all is well", |said| *said == (false, None));
    println!("all was well {took:?} after writing was possible");
    is_told(&stage, "d01");
    stage.assert_files_agree();
    assert_probing_kept_its_period(&stage);
    assert_recorded(&mut stage, &["d01", "d02", "d03"]);
}

/// Longer than the kernel keeps what was written to itself (30 s): by then every page of every file was written back, or
/// could not be.
const WRITTEN_BACK: Duration = Duration::from_secs(45);

#[test]
fn a_disk_that_is_read_only_for_good_stops_nothing() {
    let (stage, volume) = begin();
    let before = volume.files();
    volume.break_for_good();
    is_told(&stage, "d01");
    wait_said(&stage, "the page to say that nothing can be saved", |(failing, _)| *failing);
    sleep(lasting().max(WRITTEN_BACK));
    is_told(&stage, "d02");
    assert!(journal(&stage).0, "it is said as long as it lasts");
    assert_nothing_was_deleted(&before, &volume);
    assert_probing_kept_its_period(&stage);
}
