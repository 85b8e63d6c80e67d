//! Tables of the whole machine that are full: of neighbours, and of connections. Whoever finds no place in them is unknown
//! for that cause, and so is what was under way meanwhile; a device that is really dead is still found.
//!
//! The limits are lowered and put back: tests/run gives each of these tests the machine for itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::thread::sleep;
use std::time::Instant;

use netwatch_tests::answerer;
use netwatch_tests::isp::Behaviour;
use netwatch_tests::limits::HostSysctls;
use netwatch_tests::scene::{NORMAL_AGAIN, Scene, judge, quick};
use netwatch_tests::stage::{Fleet, SOON, Stage};
use netwatch_tests::watch::Watch;

/// The table has place for 64 neighbours, there are 200.
fn full_neighbour_table(v6: bool) {
    let fleet = answerer::on_link(200, v6);
    let scene = Scene::new(fleet, &fleet.half_by_one(quick()));
    scene.kill_and_see("d01");
    let begin = Instant::now();
    let family = if v6 { "ipv6" } else { "ipv4" };
    let keys = [1, 2, 3].map(|n| format!("net.{family}.neigh.default.gc_thresh{n}"));
    let small = HostSysctls::set(&[(&keys[0], "16"), (&keys[1], "32"), (&keys[2], "64")]);
    scene.here.ip(&format!("neigh flush dev {}", answerer::INTERFACE));
    sleep(SOON / 2);
    scene.kill("d03");
    sleep(SOON / 2);
    drop(small);
    scene.judge(&["d01", "d03"], begin, &["neighbours_full"], NORMAL_AGAIN);
}

#[test]
fn a_full_neighbour_table_is_no_loss() {
    full_neighbour_table(false);
}

#[test]
fn a_full_neighbour_table_is_no_loss_over_ipv6() {
    full_neighbour_table(true);
}

/// The table has place for 16 connections, there are 40 devices whose answers take 40 ms, and our own firewall lets in only
/// what it knows.
fn full_conntrack_table(fleet: Fleet) {
    let mut stage = Stage::unstarted(fleet, &fleet.half_by_one(quick()), &Behaviour::slow(40.0));
    let known = "iifname lo accept; ct state established,related accept;";
    stage.namespace.nft(&format!(
        "table inet lab {{\n chain in {{ type filter hook input priority 0; policy drop; {known} }}\n}}\n"
    ));
    // So that most echoes need a place anew.
    for kind in ["icmp", "icmpv6"] {
        stage.namespace.sysctl(&format!("net.netfilter.nf_conntrack_{kind}_timeout"), "1");
    }
    stage.daemon.start();
    let watch = Watch::start(&stage.daemon);
    watch.wait_normal(&[], SOON);
    stage.down_and_seen("d01");
    let begin = Instant::now();
    let small = HostSysctls::set(&[("net.netfilter.nf_conntrack_max", "16")]);
    sleep(SOON / 2);
    stage.down("d03");
    sleep(SOON / 2);
    drop(small);
    let dead = ["d01", "d03"];
    watch.wait_normal(&dead, NORMAL_AGAIN);
    judge(&watch, &dead, begin, &["conntrack_full"]);
    stage.daemon.assert_told_only(&dead, SOON);
}

#[test]
fn a_full_conntrack_table_is_no_loss() {
    full_conntrack_table(Fleet::v4(40));
}

#[test]
fn a_full_conntrack_table_is_no_loss_over_ipv6() {
    full_conntrack_table(Fleet::v6(40));
}
