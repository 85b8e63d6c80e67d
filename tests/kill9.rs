//! kill -9 at any moment of an outage: it is told exactly once, and its stopwatch goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use netwatch_tests::config::Config;
use netwatch_tests::mail::{Act, Stage as At, all_ids};
use netwatch_tests::process::wait_for;
use netwatch_tests::stage::{Fleet, SOON, Stage};

const FLEET: Fleet = Fleet::v4(3);
/// Kills in each test.
const KILLS: usize = 20;

fn config(server: SocketAddr) -> Config {
    let config = FLEET.targets(Config::scaled().each("tolerance", "1s").each("settle", "2s"), &[]).smtp(server);
    config.notifier("group_wait", "300ms").notifier("group_interval", "1s")
}

/// Kills at random instants of the daemon's first seconds; the seed is printed so that a failure can be had again.
fn kill_often<Mail>(stage: &mut Stage<Mail>, seed: u64) {
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..KILLS {
        sleep(Duration::from_millis(random.u64(20..2500)));
        assert!(stage.daemon.is_running(), "it ended by itself:\n{}", stage.daemon.output());
        stage.daemon.kill9();
        stage.daemon.spawn();
    }
    stage.daemon.wait_ready();
}

#[test]
fn an_outage_is_told_once_although_the_daemon_is_killed_twenty_times() {
    let mut stage = Stage::with_opensmtpd(FLEET, |mail| config(mail.address()));
    stage.down("d01");
    kill_often(&mut stage, fastrand::u64(..));
    stage.daemon.wait_status("d01", "down", SOON);
    stage.assert_stopwatch("d01");
    stage.mail.wait_for(1, Duration::from_secs(45));
    // Anything wrongly told again would come with the next group.
    sleep(Duration::from_secs(5));
    let ids = all_ids(&stage.mail.delivered());
    assert_eq!(ids.len(), 1, "one mail, whatever the number of its copies: {ids:?}");
    stage.assert_stopwatch("d01");

    stage.up("d01");
    let recovery = wait_for("the recovery's mail", Duration::from_secs(20), || {
        stage.mail.delivered().into_iter().find(|mail| mail.subject().starts_with("OK"))
    });
    assert!(ids.contains_key(recovery.header("In-Reply-To")), "{ids:?}");
}

#[test]
fn a_copy_that_must_be_sent_again_bears_the_same_message_id_and_bytes() {
    let mut stage = Stage::with_scripted(FLEET, |mail| config(mail.address()));
    stage.mail.at(At::Dot, Act::KeepThenClose);
    stage.down("d01");
    wait_for("the unconfirmed copy", SOON, || (!stage.mail.accepted().is_empty()).then_some(()));
    stage.daemon.kill9();
    stage.mail.behave();
    stage.daemon.start();
    let accepted = wait_for("the copy after the kill", Duration::from_secs(45), || {
        Some(stage.mail.accepted()).filter(|accepted| accepted.len() >= 2)
    });
    assert_eq!((accepted[0].confirmed, accepted[1].confirmed), (false, true));
    assert_eq!(accepted[0].message.raw, accepted[1].message.raw, "the same bytes, the Message-ID among them");
    sleep(Duration::from_secs(5));
    assert_eq!(stage.mail.accepted().len(), 2, "confirmed once, it is never sent again");
}
