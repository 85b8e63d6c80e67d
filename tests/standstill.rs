//! netwatch stands still (stopped, starved): what it did not see is unknown with its cause, whatever died meanwhile is
//! found, and within two intervals everything is as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use netwatch_tests::config::Config;
use netwatch_tests::isp::Behaviour;
use netwatch_tests::limits::{Quota, processor_percent};
use netwatch_tests::scene::{LATE, NORMAL_AGAIN, Scene, judge, quick};
use netwatch_tests::stage::{Fleet, SOON, Stage};
use netwatch_tests::watch::Watch;

/// How long the longest stop lasts, in seconds; tests/campaign says 300.
const LONG_STOP: &str = "NETWATCH_LONG_STOP";

/// Forty devices that take 40 ms, so that echoes are always under way.
fn stage() -> Stage<()> {
    let fleet = Fleet::v4(40);
    Stage::behaving(fleet, &fleet.half_by_one(quick()), &Behaviour::slow(40.0))
}

/// Stops the daemon `times` times for so long. `d01` is dead before; `d03` and `d04` die during the first stop.
fn stopped(time: Duration, times: u32) {
    let mut stage = stage();
    let watch = Watch::start(&stage.daemon);
    stage.down_and_seen("d01");
    let dead = ["d01", "d03", "d04"];
    let begin = Instant::now();
    for n in 0..times {
        let Stage { daemon, isp, fleet, .. } = &mut stage;
        daemon.stand_still(time, || {
            if n == 0 {
                dead[1..].iter().for_each(|name| isp.down(&fleet.address(name)));
            }
        });
        watch.wait_normal(&dead, NORMAL_AGAIN);
    }
    judge(&watch, &dead, begin, &LATE);
    stage.daemon.assert_told_only(&dead, SOON);
}

#[test]
fn a_stop_of_two_tenths_of_a_second_is_no_loss() {
    stopped(Duration::from_millis(200), 10);
}

#[test]
fn a_stop_of_five_seconds_is_no_loss() {
    stopped(Duration::from_secs(5), 1);
}

#[test]
fn a_long_stop_is_no_loss() {
    let seconds = std::env::var(LONG_STOP).map_or(20, |seconds| seconds.parse().expect(LONG_STOP));
    stopped(Duration::from_secs(seconds), 1);
}

/// Two thousand devices asked six thousand times in two seconds, by a program that gets a tenth of a processor, or what
/// is two thirds of its need where a tenth would do.
#[test]
fn a_tenth_of_a_processor_is_no_loss() {
    let fleet = Fleet::v4(2_000);
    let config = Config::new().each("interval", "2s").each("pings", 5).each("spacing", "200ms");
    let config = config.each("timeout", "200ms").each("tolerance", "2s").each("settle", "2s");
    let scene = Scene::new(fleet, &fleet.half_by_one(config.told_at_once()));
    let two_intervals = 2 * Duration::from_secs(2) + Duration::from_millis(1_400);
    scene.kill("d01");
    scene.watch.wait_normal(&["d01"], two_intervals);
    let need = processor_percent(scene.daemon.pid(), Duration::from_secs(4));
    let share = (need * 2.0 / 3.0).clamp(1.0, 10.0) as u32;
    println!("it needs {need:.1} % of a processor and gets {share} %");
    let quota = Quota::new(scene.daemon.pid(), share);
    let begin = Instant::now();
    scene.kill("d02");
    sleep(Duration::from_secs(15));
    let throttled = quota.throttled();
    drop(quota);
    assert!(throttled > 50, "a share that is enough means nothing: held back {throttled} times in 150");
    scene.judge(&["d01", "d02"], begin, &LATE, two_intervals);
}
