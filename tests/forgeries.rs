//! Promise 7 against a flood: whatever comes back, only a true answer counts. A dead device stays dead, a living one loses
//! nothing, and the memory of the program does not grow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::process::Stdio;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use netwatch_tests::config::Config;
use netwatch_tests::daemon::Daemon;
use netwatch_tests::isp::{Behaviour, Flood, Forged, Isp};
use netwatch_tests::netns::Namespace;
use netwatch_tests::process::{Kept, wait_for};
use netwatch_tests::scene::is_late;
use netwatch_tests::stage::{Fleet, SOON, Stage};
use netwatch_tests::watch::{Change, Watch};

/// How many packets a flood has at least; tests/campaign says a million.
const FLOOD: &str = "NETWATCH_FLOOD";
/// Allocators keep what they had once; a leak of a few bytes a packet is more than this.
const FLAT: u64 = 4 << 20;

/// Checks of 1.4 s every two seconds: a lab that is busy with a flood has a second to answer.
fn patient() -> Config {
    let config = Config::new().each("interval", "2s").each("pings", 5).each("spacing", "100ms").each("timeout", "1s");
    config.each("warn_rtt", "900ms").each("tolerance", "2s").each("settle", "2s").told_at_once()
}

/// `d01` is dead and `d02` is not; both are flooded.
fn flooded(fleet: Fleet, of: Forged) {
    let count: u64 = std::env::var(FLOOD).map_or(100_000, |count| count.parse().expect(FLOOD));
    let stage = Stage::without_mail(fleet, &fleet.targets(patient(), &[]));
    let watch = Watch::start(&stage.daemon);
    // There have to be true answers to replay.
    sleep(Duration::from_secs(4));
    let flood = |each| Flood { of, each, over_ms: 100.0 };
    stage.isp.set(&fleet.address("d02"), &Behaviour::honest().flooding(flood(1_000)));
    stage.isp.set(&fleet.address("d01"), &Behaviour::dead().flooding(flood(4_000)));
    watch.wait_normal(&["d01"], SOON);
    let begin = Instant::now();
    let sent = || stage.isp.truth().flooded(fleet.ip("d01"));
    let limit = Duration::from_secs(60 + count / 1_000);
    wait_for("a tenth of the flood", limit, || (sent() >= count / 10).then_some(()));
    let before = stage.daemon.resident();
    while sent() < count {
        sleep(Duration::from_millis(200));
        assert!(begin.elapsed() < limit, "only {} packets of the flood left", sent());
    }
    let after = stage.daemon.resident();
    println!("{} packets of {of:?} in {:?}, resident {before} -> {after}", sent(), begin.elapsed());
    assert!(after < before + FLAT, "resident memory grew from {before} to {after} bytes");
    watch.assert_down_only(&["d01"]);
    watch.assert_loss_only(&["d01"]);
    let is_right = |change: &Change| match change.cause.as_deref() {
        Some(cause) => is_late(cause),
        None => (change.status == "down") == (change.name == "d01"),
    };
    let wrong: Vec<Change> = watch.changes().into_iter().filter(|one| one.at > begin && !is_right(one)).collect();
    assert!(wrong.is_empty(), "nothing changed while the flood lasted: {wrong:?}");
    watch.wait_normal(&["d01"], SOON);
    stage.assert_stopwatch("d01");
    stage.isp.set(&fleet.address("d01"), &Behaviour::honest());
    stage.isp.set(&fleet.address("d02"), &Behaviour::dead());
    watch.wait_normal(&["d02"], SOON);
    watch.assert_down_only(&["d01", "d02"]);
    watch.assert_loss_only(&["d01", "d02"]);
}

#[test]
fn a_dead_device_is_not_revived_by_forged_replies() {
    flooded(Fleet::v4(6), Forged::Replies);
}

#[test]
fn a_dead_device_is_not_revived_by_forged_replies_over_ipv6() {
    flooded(Fleet::v6(6), Forged::Replies);
}

#[test]
fn damaged_packets_change_nothing() {
    flooded(Fleet::v4(6), Forged::Mutants);
}

#[test]
fn damaged_packets_change_nothing_over_ipv6() {
    flooded(Fleet::v6(6), Forged::Mutants);
}

/// Two daemons ask the same devices, and a hundred pings go out under the identifiers of one of them: fifty to a device that
/// answers all, fifty to one that answers the pings only.
#[test]
fn other_programs_on_the_same_identifiers_change_nothing() {
    let (fleet, namespace) = (Fleet::v4(10), Arc::new(Namespace::new()));
    let isp = Isp::start(&namespace, &fleet.scenario(1, &Behaviour::honest()));
    // The payload of netwatch has 24 bytes, that of ping 56.
    let deaf = Behaviour { deaf_below: 56, ..Behaviour::honest() };
    isp.set(&fleet.address("d01"), &deaf);
    let config = |config: Config| fleet.targets(config, &[]);
    let mut daemons = [patient(), patient().page(8081)].map(|own| Daemon::prepare(&namespace, &config(own), None));
    let watches = daemons.each_mut().map(|daemon| {
        daemon.start();
        Watch::start(daemon)
    });
    watches.iter().for_each(|watch| watch.wait_normal(&["d01"], SOON));
    let mut pings = Vec::new();
    for n in 0..100 {
        let name = if n % 2 == 0 { "d01" } else { "d02" };
        let all: Vec<u16> = isp.truth().identifiers(fleet.ip(name)).into_iter().collect();
        let mut command = namespace.command("ping");
        command.args(["-n", "-q", "-i", "0.5", "-w", "10", "-e", &all[n / 2 % all.len()].to_string()]);
        pings.push(Kept::spawn(
            command.arg(fleet.address(name)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()),
        ));
    }
    sleep(Duration::from_secs(5));
    isp.down(&fleet.address("d03"));
    for ping in &mut pings {
        assert!(ping.wait(Duration::from_secs(15)).success(), "the pings were answered");
    }
    let dead = ["d01", "d03"];
    for (daemon, watch) in daemons.iter().zip(&watches) {
        watch.wait_normal(&dead, SOON);
        watch.assert_down_only(&dead);
        watch.assert_loss_only(&dead);
        daemon.assert_told_only(&dead, SOON);
        assert_eq!(daemon.target("d01").last_reply_ns, None, "it never answered");
    }
}
