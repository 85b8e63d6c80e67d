//! This machine's own limits: a full queue, a small buffer, routes and interfaces that come and go. What they cost is
//! unknown with its cause, never a device's silence; a device that is really dead is still found.
//!
//! The limit of receive buffers belongs to the whole machine: tests/run gives each of these tests the machine for itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use netwatch_tests::answerer;
use netwatch_tests::config::Config;
use netwatch_tests::isp::{self, Behaviour};
use netwatch_tests::limits::HostSysctls;
use netwatch_tests::scene::{NORMAL_AGAIN, Scene, judge, quick};
use netwatch_tests::stage::{Fleet, SOON, Stage};
use netwatch_tests::watch::Watch;

fn full_queue(fleet: Fleet) {
    let scene = Scene::new(fleet, &fleet.half_by_one(quick()));
    scene.kill_and_see("d01");
    let begin = Instant::now();
    scene.here.tc(&format!("qdisc add dev {} root tbf rate 16kbit burst 1600 limit 1600", answerer::INTERFACE));
    scene.kill("d03");
    sleep(SOON);
    scene.here.tc(&format!("qdisc del dev {} root", answerer::INTERFACE));
    scene.judge(&["d01", "d03"], begin, &["queue_full"], NORMAL_AGAIN);
}

#[test]
fn a_full_send_queue_is_no_loss() {
    full_queue(Fleet::v4(40));
}

#[test]
fn a_full_send_queue_is_no_loss_over_ipv6() {
    full_queue(Fleet::v6(40));
}

/// Two hundred times, at any phase of the checks, while the answers take 40 ms.
fn flapping_route(fleet: Fleet, prefix: &str) {
    let stage = Stage::behaving(fleet, &fleet.half_by_one(quick()), &Behaviour::slow(40.0));
    let watch = Watch::start(&stage.daemon);
    stage.down_and_seen("d01");
    let mut random = fastrand::Rng::with_seed(7);
    let mut pause = || sleep(Duration::from_millis(random.u64(..40)));
    let begin = Instant::now();
    for n in 0..200 {
        stage.namespace.ip(&format!("route del {prefix}"));
        pause();
        stage.namespace.ip(&format!("route add {prefix} dev {}", isp::INTERFACE));
        pause();
        if n == 100 {
            stage.down("d03");
        }
    }
    let dead = ["d01", "d03"];
    watch.wait_normal(&dead, NORMAL_AGAIN);
    judge(&watch, &dead, begin, &["no_route", "blind"]);
    stage.daemon.assert_told_only(&dead, SOON);
}

#[test]
fn a_route_that_comes_and_goes_is_no_loss() {
    flapping_route(Fleet::v4(40), "10.1.0.0/16");
}

#[test]
fn a_route_that_comes_and_goes_is_no_loss_over_ipv6() {
    flapping_route(Fleet::v6(40), "fd00:1::/32");
}

fn remade_interface(fleet: Fleet) {
    let scene = Scene::new(fleet, &fleet.half_by_one(quick()));
    scene.kill_and_see("d01");
    let begin = Instant::now();
    for n in 0..5 {
        scene.here.ip(&format!("link del {}", answerer::INTERFACE));
        sleep(Duration::from_millis(300 * n));
        scene.there.link(&scene.here);
        if n == 2 {
            scene.kill("d03");
        }
        sleep(Duration::from_millis(1500));
    }
    scene.judge(&["d01", "d03"], begin, &["no_route", "interface_down", "no_interface", "blind"], NORMAL_AGAIN);
}

#[test]
fn an_interface_that_is_made_anew_is_no_loss() {
    remade_interface(Fleet::v4(40));
}

#[test]
fn an_interface_that_is_made_anew_is_no_loss_over_ipv6() {
    remade_interface(Fleet::v6(40));
}

/// The buffer holds 256 replies, and the program may not ask for more (`CAP_NET_RAW` alone): it stands still, for less than
/// what it calls a stall, while 800 come.
#[test]
fn an_overflowing_receive_buffer_is_no_loss() {
    // The kernel gives twice what is asked for, which is no more than this; a reply takes 832 bytes of it.
    let _small = HostSysctls::set(&[("net.core.rmem_max", "106496")]);
    let fleet = Fleet::v4(2_000);
    let config = Config::new().each("interval", "1s").each("pings", 1).each("timeout", "800ms");
    let config = config.each("warn_rtt", "700ms").each("tolerance", "1s").each("settle", "1s").told_at_once();
    let mut stage = Stage::unstarted(fleet, &fleet.targets(config, &[]), &Behaviour::slow(400.0));
    stage.daemon.start_with_net_raw_alone();
    let watch = Watch::start(&stage.daemon);
    watch.wait_normal(&[], SOON);
    stage.down("d01");
    watch.wait_normal(&["d01"], SOON);
    let begin = Instant::now();
    for n in 0..10 {
        let Stage { daemon, isp, fleet, .. } = &mut stage;
        daemon.stand_still(Duration::from_millis(200), || {
            if n == 5 {
                isp.down(&fleet.address("d03"));
            }
        });
        sleep(Duration::from_millis(500));
    }
    let dead = ["d01", "d03"];
    watch.wait_normal(&dead, NORMAL_AGAIN);
    judge(&watch, &dead, begin, &["receive_overflow"]);
    stage.daemon.assert_told_with(&dead, &["netwatch: pierde respuestas al recibirlas"], SOON);
}
