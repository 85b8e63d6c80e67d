//! A mail server that hangs at any stage: probing keeps its period, the attempt ends within a minute, and the mail
//! arrives when the server has recovered.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::thread;
use std::time::Duration;

use netwatch_tests::config::Config;
use netwatch_tests::mail::{Act, Scripted, Session, Stage as At};
use netwatch_tests::process::wait_for;
use netwatch_tests::stage::{Fleet, SOON, Stage};

const FLEET: Fleet = Fleet::v4(3);
/// How long an attempt may take whatever the server does, with some slack for this machine, and for the server, which
/// sees the end only when it next reads or writes.
const ATTEMPT: Duration = Duration::from_secs(65);
const DRIP: Duration = Duration::from_secs(4);

fn begin() -> Stage<Scripted> {
    Stage::with_scripted(FLEET, |mail| {
        let config = FLEET.targets(Config::scaled().each("tolerance", "1s"), &[]).smtp(mail.address());
        config.notifier("group_wait", "300ms").notifier("group_interval", "1s")
    })
}

/// The first attempt hangs and is given up in time, while the checks of a healthy device never pause; then the mail
/// arrives, once.
fn survives(act: Act, at: At) {
    let stage = begin();
    let context = format!("{act:?} at {at:?}");
    stage.mail.at(at, act);
    stage.down("d01");
    let over = |session: &Session| Some(session.ended?.duration_since(session.began));
    let took = wait_for(&format!("the end of the attempt ({context})"), SOON + ATTEMPT, || {
        stage.mail.sessions().first().and_then(over)
    });
    assert!(took <= ATTEMPT, "{context}: the attempt took {took:?}");
    assert!(stage.mail.accepted().is_empty(), "{context}");
    stage.mail.behave();
    // The retry comes after 30 s, and some jitter.
    let accepted = wait_for(&format!("the mail ({context})"), Duration::from_secs(100), || {
        Some(stage.mail.accepted()).filter(|accepted| !accepted.is_empty())
    });
    assert!(accepted[0].message.body.contains("d01"), "{context}: {}", accepted[0].message.body);
    thread::sleep(Duration::from_secs(3));
    assert_eq!(stage.mail.accepted().len(), 1, "{context}: told once");
    let logged: Vec<_> = stage.daemon.mail_log().into_iter().map(|line| line.outcome).collect();
    let (last, before) = logged.split_last().unwrap();
    let deferred = !before.is_empty() && before.iter().all(|outcome| outcome == "DEFERRED");
    assert!(last == "SENT" && deferred, "{context}: {logged:?}");
    assert_probing_kept_its_period(&stage, &context);
}

/// Echoes of a check are 100 ms apart and checks begin each second, so no two echoes to a healthy device lie further
/// apart than 0.6 s; a second of slack is this machine's, a lost check would be a gap of 1.6 s.
fn assert_probing_kept_its_period(stage: &Stage<Scripted>, context: &str) {
    let times = stage.isp.truth().request_times(FLEET.ip("d02"));
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().map(Duration::from_nanos);
    assert!(times.len() > 20 && longest < Some(Duration::from_millis(1500)), "{context}: a gap of {longest:?}");
}

#[test]
fn a_server_that_falls_silent_at_any_stage_delays_nothing_but_its_mail() {
    let stages = [At::Banner, At::Ehlo, At::StartTls, At::Handshake, At::Auth, At::Mail, At::Rcpt, At::Data, At::Dot];
    thread::scope(|scope| {
        for at in stages {
            scope.spawn(move || survives(Act::Silent, at));
        }
    });
}

/// Nothing was handed over, so the next attempt is written anew: what failed meanwhile is in the same mail.
fn is_written_anew_after_a_hang() {
    let stage = begin();
    stage.mail.at(At::Banner, Act::Silent);
    stage.down("d01");
    wait_for("the attempt", SOON, || stage.mail.sessions().first().map(|session| session.began));
    stage.down("d02");
    let over = || stage.mail.sessions().first().and_then(|session| session.ended);
    wait_for("its end", SOON + ATTEMPT, over);
    stage.mail.behave();
    let accepted = wait_for("the mail", Duration::from_secs(100), || stage.mail.accepted().into_iter().next());
    assert!(
        accepted.message.body.contains("d01") && accepted.message.body.contains("d02"),
        "{}",
        accepted.message.body
    );
    thread::sleep(Duration::from_secs(3));
    assert_eq!(stage.mail.accepted().len(), 1, "one mail for both");
}

#[test]
fn a_server_that_answers_byte_by_byte_ends_with_the_attempt_and_one_that_never_greets_freezes_nothing() {
    thread::scope(|scope| {
        scope.spawn(|| survives(Act::Drip(DRIP), At::Banner));
        scope.spawn(is_written_anew_after_a_hang);
    });
}

#[test]
fn refusals_for_now_are_tried_again() {
    thread::scope(|scope| {
        for (at, code) in [(At::Banner, 421), (At::Auth, 454), (At::Mail, 451), (At::Rcpt, 450), (At::Dot, 452)] {
            scope.spawn(move || survives(Act::Reply(code), at));
        }
    });
}
