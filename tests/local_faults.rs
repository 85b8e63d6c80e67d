//! What is this machine's own fault is never called the devices' silence; a neighbour that is really gone is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use netwatch_tests::config::Config;
use netwatch_tests::daemon::Daemon;
use netwatch_tests::isp::INTERFACE;
use netwatch_tests::netns::Namespace;
use netwatch_tests::scene::{NORMAL_AGAIN, is_late, quick};
use netwatch_tests::stage::{Fleet, SOON, Stage};
use netwatch_tests::watch::Watch;

const PREFIX_V4: &str = "10.1.0.0/16";
const PREFIX_V6: &str = "fd00:1::/32";

fn config(fleet: Fleet) -> Config {
    fleet.targets(quick(), &[])
}

/// Breaks something for some seconds: every device becomes UNKNOWN with one of these causes, none is ever called down
/// and nobody is told that it is; mended, all are OK within two intervals, but for one that died meanwhile.
fn never_down(fleet: Fleet, causes: &[&str], broken: impl Fn(&Namespace), mended: impl Fn(&Namespace)) {
    let stage = Stage::without_mail(fleet, &config(fleet));
    broken(&stage.namespace);
    stage.down("d03");
    let (begin, mut seen, mut looks) = (Instant::now(), 0_u32, 0_u32);
    while begin.elapsed() < SOON {
        let targets = stage.daemon.targets();
        let file = stage.daemon.server_status();
        assert!(targets.iter().all(|(_, target)| target.status != "down"), "{targets:?}");
        assert!(file.iter().all(|line| line.status != "NO RESPONDE"), "{file:?}");
        let unknown_for = |is: &dyn Fn(&str) -> bool| {
            let mut all = targets.iter();
            all.all(|(_, target)| target.status == "unknown" && target.cause.as_deref().is_some_and(is))
        };
        let known = unknown_for(&|cause| causes.contains(&cause));
        let is_borne = seen == 0 || unknown_for(&|cause| causes.contains(&cause) || is_late(cause));
        assert!(is_borne, "once unknown for {causes:?}, it stays so: {targets:?}");
        seen += u32::from(known);
        looks += u32::from(seen > 0);
        sleep(Duration::from_millis(200));
    }
    assert!(
        seen > 10 && seen * 2 > looks,
        "expected everything to be unknown for {causes:?}: {:?}",
        stage.daemon.targets()
    );
    mended(&stage.namespace);
    let watch = Watch::start(&stage.daemon);
    watch.wait_normal(&["d03"], NORMAL_AGAIN);
    stage.daemon.assert_told_only(&["d03"], SOON);
}

fn route(prefix: &str) -> String {
    format!("route add {prefix} dev {INTERFACE}")
}

#[test]
fn without_a_route_nothing_is_known() {
    let cut = |prefix: &'static str| move |here: &Namespace| drop(here.ip(&format!("route del {prefix}")));
    let mend = |prefix: &'static str| move |here: &Namespace| drop(here.ip(&route(prefix)));
    never_down(Fleet::v4(3), &["no_route", "blind"], cut(PREFIX_V4), mend(PREFIX_V4));
    never_down(Fleet::v6(3), &["no_route", "blind"], cut(PREFIX_V6), mend(PREFIX_V6));
}

#[test]
fn with_the_interface_down_nothing_is_known() {
    // The kernel takes the routes away with the interface, so either cause is true.
    let causes = ["no_route", "interface_down", "no_interface", "blind"];
    let cut = |here: &Namespace| drop(here.ip(&format!("link set {INTERFACE} down")));
    let mend = |prefix: &'static str| {
        move |here: &Namespace| {
            here.ip(&format!("link set {INTERFACE} up"));
            here.ip(&route(prefix).replace("add", "replace"));
        }
    };
    never_down(Fleet::v4(3), &causes, cut, mend(PREFIX_V4));
}

#[test]
fn output_that_our_own_firewall_refuses_is_not_loss() {
    let refuse = |verdict: &'static str| {
        move |here: &Namespace| {
            let hook = "type filter hook output priority 0";
            here.nft(&format!(
                "table inet lab {{\n chain out {{\n {hook};\n oifname \"{INTERFACE}\" {verdict};\n }}\n}}\n"
            ));
        }
    };
    let mend = |here: &Namespace| here.nft("delete table inet lab\n");
    never_down(Fleet::v4(3), &["output_refused"], refuse("drop"), mend);
    never_down(Fleet::v4(3), &["output_refused"], refuse("reject"), mend);
    never_down(Fleet::v6(3), &["output_refused"], refuse("drop"), mend);
}

#[test]
fn without_permission_it_ends_at_once_and_says_what_to_do() {
    let namespace = Arc::new(Namespace::new());
    namespace.sysctl("net.ipv4.ping_group_range", "1 0");
    let mut daemon = Daemon::prepare(&namespace, &config(Fleet::v4(3)), None);
    let (status, said) = daemon.run_unprivileged(Duration::from_secs(2));
    assert!(!status.success(), "{said}");
    assert!(said.contains("setcap") && said.contains("net.ipv4.ping_group_range"), "no remedy in:\n{said}");
    let file = daemon.server_status();
    assert!(file.iter().all(|line| line.status != "NO RESPONDE"), "{file:?}");
}

#[test]
fn a_dead_neighbour_on_the_same_link_does_not_respond() {
    let (here, there) = (Arc::new(Namespace::new()), Namespace::new());
    here.veth("lan0", &there, "lan0");
    here.address("lan0", "192.168.77.1/24");
    here.address("lan0", "fd00:77::1/64");
    let living = ["192.168.77.2/24", "192.168.77.3/24", "fd00:77::2/64", "fd00:77::3/64"];
    living.iter().for_each(|address| there.address("lan0", address));
    let config = Config::scaled().each("tolerance", "1s");
    let config =
        config.target("alive4", "192.168.77.2").target("dies4", "192.168.77.3").target("never4", "192.168.77.4");
    let config = config.target("alive6", "fd00:77::2").target("dies6", "fd00:77::3").target("never6", "fd00:77::4");
    let mut daemon = Daemon::prepare(&here, &config, None);
    daemon.start();
    for name in ["alive4", "dies4", "alive6", "dies6"] {
        daemon.wait_status(name, "ok", SOON);
    }
    there.ip("addr del 192.168.77.3/24 dev lan0");
    there.ip("addr del fd00:77::3/64 dev lan0");
    for name in ["dies4", "never4", "dies6", "never6"] {
        daemon.wait_status(name, "down", SOON);
    }
    // Until the kernel has given up on the neighbour and beyond: never unknown again.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        for (name, target) in daemon.targets() {
            let expected = if name.starts_with("alive") { "ok" } else { "down" };
            assert_eq!(target.status, expected, "{name} {:?} after", begin.elapsed());
        }
        sleep(Duration::from_millis(200));
    }
    assert!(daemon.target("never4").last_reply_ns.is_none(), "it never answered");
}
