//! The ICMP engine against a real kernel: what this machine prevented is unknown with its cause, a dead neighbour is lost.
//!
//! Each test makes two network namespaces joined by a veth pair and runs itself again inside the first; needs root, `ip`
//! (iproute2), `nft` and `setpriv`, and fails without. Hazards 16, 23 and 25 of the project's list.
#![cfg(feature = "icmp")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail loudly too")]

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netwatch_core::{
    Cause, Check, CheckId, Echo, Family, IcmpOptions, IcmpProbe, Loss, Mono, OpenError, Probe, Report, Sample,
    Settings, SocketKind, TargetId,
};

const INSIDE: &str = "NETWATCH_TEST_INSIDE";
/// The name of the other namespace, for the test inside.
const PEER: &str = "NETWATCH_TEST_PEER";

/// Two namespaces: `a` is this machine, `b` its neighbour and router.
struct Lab {
    a: String,
    b: String,
}

impl Lab {
    fn new(name: &str) -> Lab {
        let prefix = format!("icmp{}{name}", std::process::id());
        let lab = Lab { a: format!("{prefix}a"), b: format!("{prefix}b") };
        for namespace in [&lab.a, &lab.b] {
            sh(&format!("ip netns add {namespace} && ip -n {namespace} link set lo up"));
        }
        sh(&format!("ip -n {} link add v0 type veth peer name v1 netns {}", lab.a, lab.b));
        sh(&format!("ip netns exec {} sh -c '{}'", lab.a, ADDRESSES_A));
        sh(&format!(
            "{} && \
             ip -n {b} link add x0 type veth peer name x1 && ip -n {b} link set x1 up && \
             ip -n {b} addr add 10.51.0.1/24 dev x0 && ip -n {b} addr add fd51::1/64 dev x0 nodad && \
             ip -n {b} link set x0 up && \
             ip -n {b} route add 10.50.0.0/16 via 10.51.0.2 && ip -n {b} route add fd50::/64 via fd51::2 && \
             ip netns exec {b} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 && \
             ip netns exec {b} nft 'add table inet t; add chain inet t f {{ type filter hook forward priority 0; }}; \
             add rule inet t f reject with icmpx admin-prohibited'",
            addresses_b(&lab.b),
            b = lab.b
        ));
        lab
    }

    /// Runs the test of this name again inside the namespace, behind `before`.
    fn run(&self, test: &str, before: &[&str]) {
        let exe = std::env::current_exe().unwrap();
        let mut command = Command::new("timeout");
        command.args(["100", "ip", "netns", "exec", &self.a]).args(before).arg(exe);
        command.args(["--exact", test, "--nocapture"]).env(INSIDE, "1").env(PEER, &self.b);
        assert!(command.status().expect("timeout(1) and ip(8)").success(), "{test} failed inside");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in [&self.a, &self.b] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

fn addresses_b(b: &str) -> String {
    format!(
        "ip -n {b} addr add 10.9.0.2/24 dev v1 && ip -n {b} addr add fd09::2/64 dev v1 nodad && \
         ip -n {b} addr add fe80::2/64 dev v1 nodad && ip -n {b} link set v1 up"
    )
}

const ADDRESSES_A: &str = "ip addr add 10.9.0.1/24 dev v0 && ip addr add fd09::1/64 dev v0 nodad && \
    ip addr add fe80::1/64 dev v0 nodad && ip link set v0 up && \
    ip route add 10.50.0.0/16 via 10.9.0.2 && ip route add fd50::/64 via fd09::2";

fn sh(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status().expect("sh");
    assert!(status.success(), "{command}");
}

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

#[derive(Default)]
struct Collected(Mutex<Vec<(CheckId, Sample)>>);

impl Report for Collected {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        self.0.lock().unwrap().extend_from_slice(samples);
    }
}

fn settings(pings: u16, spacing_ms: u64, timeout_ms: u64) -> Settings {
    let mut settings = Settings::default();
    (settings.pings, settings.spacing) = (pings, Duration::from_millis(spacing_ms));
    settings.timeout = Duration::from_millis(timeout_ms);
    settings
}

/// The echoes of one check of each address, in the order of the addresses.
fn ask(probe: &IcmpProbe, addresses: &[&str], settings: Settings) -> Vec<Vec<Echo>> {
    let settings = Arc::new(settings);
    let at = now().plus(Duration::from_millis(30));
    let checks: Vec<Check> = (0..addresses.len())
        .map(|n| {
            let address = with_zone(addresses[n]).parse().expect(addresses[n]);
            let settings = Arc::clone(&settings);
            Check::new(CheckId::new(n as u64), TargetId::from_index(n), addresses[n], address, at, settings)
        })
        .collect();
    let out = Collected::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(probe.check_many(checks, &out));
    let mut samples = out.0.into_inner().unwrap();
    samples.sort_by_key(|(id, _)| *id);
    assert_eq!(samples.len(), addresses.len(), "every check is reported");
    samples.into_iter().map(|(_, sample)| sample.echoes.iter().collect()).collect()
}

fn with_zone(address: &str) -> String {
    match address.split_once('%') {
        Some((address, zone)) => {
            let path = format!("/sys/class/net/{zone}/ifindex");
            let index = std::fs::read_to_string(path).unwrap_or_else(|_| zone.to_owned());
            format!("[{address}%{}]:0", index.trim())
        }
        None if address.contains(':') => format!("[{address}]:0"),
        None => format!("{address}:0"),
    }
}

fn now() -> Mono {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Mono::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

const NEIGHBOURS: [&str; 3] = ["10.9.0.2", "fd09::2", "fe80::2%v0"];

/// A fresh veth pair is deaf to IPv6 for a second.
fn wait_for_the_link(probe: &IcmpProbe) {
    let is_up = || ask(probe, &NEIGHBOURS, settings(1, 0, 500)).concat().iter().all(|e| matches!(e, Echo::Reply(_)));
    assert!((0..20).any(|_| is_up()), "the lab did not come up");
}

/// The engine, with this kind of socket, once the link works.
fn open(kind: SocketKind) -> IcmpProbe {
    sh("sysctl -qw net.ipv4.ping_group_range='0 2147483647'");
    let probe = IcmpProbe::open(IcmpOptions::default().with_sockets(kind)).unwrap();
    wait_for_the_link(&probe);
    probe
}

fn assert_answered(probe: &IcmpProbe, when: &str) {
    for (address, echoes) in NEIGHBOURS.iter().zip(ask(probe, &NEIGHBOURS, settings(2, 20, 1000))) {
        assert!(echoes.iter().all(|echo| matches!(echo, Echo::Reply(_))), "{when}: {address} {echoes:?}");
    }
}

fn assert_unknown(probe: &IcmpProbe, addresses: &[&str], cause: Cause, when: &str) {
    for (address, echoes) in addresses.iter().zip(ask(probe, addresses, settings(2, 20, 300))) {
        assert_eq!(echoes, [Echo::Unknown(cause); 2], "{when}: {address}");
    }
}

fn send_errors(kind: SocketKind) {
    let probe = open(kind);
    assert_eq!([Family::V4, Family::V6].map(|family| probe.socket_kind(family)), [Some(kind); 2]);
    assert_answered(&probe, "at first");

    assert_unknown(&probe, &["10.77.0.1", "fd77::1", "fe80::2%77"], Cause::NoRoute, "no route");
    for (kind, cause) in
        [("unreachable", Cause::NoRoute), ("prohibit", Cause::OutputRefused), ("blackhole", Cause::NoInterface)]
    {
        sh(&format!("ip route add {kind} 10.88.0.0/16 && ip route add {kind} fd88::/64"));
        assert_unknown(&probe, &["10.88.0.1", "fd88::1"], cause, kind);
        sh("ip route del 10.88.0.0/16 && ip route del fd88::/64");
    }

    for action in ["drop", "reject", "reject with icmpx admin-prohibited", "reject with icmpx host-unreachable"] {
        sh(&format!(
            "nft 'add table inet t; add chain inet t o {{ type filter hook output priority 0; }}; \
             add rule inet t o meta oifname v0 icmp type echo-request {action}; \
             add rule inet t o meta oifname v0 icmpv6 type echo-request {action}'"
        ));
        assert_unknown(&probe, &NEIGHBOURS, Cause::OutputRefused, action);
        sh("nft delete table inet t");
    }
    assert_answered(&probe, "after the firewall");

    // Whatever happens to the others of a slice, each echo has its own fate, in whatever order they leave.
    sh("nft 'add table inet t; add chain inet t o { type filter hook output priority 0; }; \
        add rule inet t o ip daddr 10.9.0.97 drop; add rule inet t o ip6 daddr fd09::97 drop'");
    let no_route = Echo::Unknown(Cause::NoRoute);
    let refused = Echo::Unknown(Cause::OutputRefused);
    let lost = Echo::Lost(Loss::NoReply);
    let v4 = [("10.9.0.97", refused), ("10.9.0.99", lost), ("10.77.0.1", no_route), ("10.77.0.2", no_route)];
    let v6 = [("fd09::97", refused), ("fd09::99", lost), ("fd77::1", no_route), ("fe80::2%77", no_route)];
    for turn in 0..4 {
        let (mut v4, mut v6) = (v4, v6);
        v4.rotate_left(turn);
        v6.rotate_left(turn);
        let (addresses, fates): (Vec<&str>, Vec<Echo>) = v4.into_iter().chain(v6).unzip();
        for ((address, fate), echoes) in addresses.iter().zip(fates).zip(ask(&probe, &addresses, settings(1, 0, 300))) {
            assert_eq!(echoes, [fate], "turn {turn}: {address}");
        }
    }
    sh("nft delete table inet t");

    sh("ip link set v0 down");
    assert_unknown(&probe, &NEIGHBOURS, Cause::NoRoute, "link down");
    sh("ip addr flush dev v0 && sleep 0.2");
    sh(ADDRESSES_A);
    wait_for_the_link(&probe);
    assert_answered(&probe, "link up again");
}

fn interface_remade(kind: SocketKind) {
    let probe = open(kind);
    let peer = std::env::var(PEER).unwrap();
    let before = with_zone("fe80::2%v0");
    sh("ip link del v0");
    assert_unknown(&probe, &["10.9.0.2", "fd09::2", "10.50.0.1"], Cause::NoRoute, "interface deleted");
    let zone = before.trim_end_matches("]:0").trim_start_matches('[');
    assert_unknown(&probe, &[zone], Cause::NoRoute, "the link of the address deleted");
    assert_eq!(ask(&probe, &["127.0.0.1"], settings(1, 0, 500)).len(), 1);
    sh(&format!("ip link add v0 type veth peer name v1 netns {peer}"));
    sh(&format!("{}; {ADDRESSES_A}", addresses_b(&peer)));
    wait_for_the_link(&probe);
    assert_answered(&probe, "the interface is there again");
}

fn dead_neighbour(kind: SocketKind) {
    let probe = open(kind);
    let addresses = ["10.9.0.99", "fd09::99", "fe80::99%v0", "10.9.0.2", "fd09::2"];
    for round in ["first", "while the neighbour entry is FAILED"] {
        let all = ask(&probe, &addresses, settings(5, 900, 2000));
        let (dead, alive) = all.split_at(3);
        for (address, echoes) in addresses.iter().zip(dead) {
            assert!(echoes.iter().all(|echo| matches!(echo, Echo::Lost(_))), "{round}: {address} {echoes:?}");
            let explained = echoes.contains(&Echo::Lost(Loss::HostUnreachable));
            assert!(explained, "{round}: {address} is lost because of its link: {echoes:?}");
        }
        for echoes in alive {
            let answered = echoes.iter().all(|echo| matches!(echo, Echo::Reply(_)));
            assert!(answered, "{round}: a dead neighbour disturbs nobody else: {echoes:?}");
        }
    }
}

fn prohibited_by_a_router(kind: SocketKind) {
    let probe = open(kind);
    for echoes in ask(&probe, &["10.50.0.1", "fd50::1"], settings(1, 20, 500)) {
        assert_eq!(echoes, [Echo::Lost(Loss::Prohibited)], "another's firewall is not ours");
    }
    assert_eq!(probe.counters().errors_matched, 2);
}

/// Hazard 22: the process is stopped for three seconds in the middle of a check.
fn stopped(kind: SocketKind) {
    let probe = open(kind);
    let me = std::process::id();
    let stopper = format!("sleep 0.5; kill -STOP {me}; sleep 3; kill -CONT {me}");
    let mut stopper = Command::new("sh").args(["-c", &stopper]).spawn().unwrap();
    let all = ask(&probe, &["10.9.0.2", "fd09::2", "10.9.0.99"], settings(5, 400, 1500));
    stopper.wait().unwrap();
    assert!(all.concat().iter().all(|echo| !matches!(echo, Echo::Lost(_))), "no pause is a loss: {all:?}");
    let not_sent = all[0].iter().filter(|echo| **echo == Echo::Unknown(Cause::NotSent)).count();
    assert!(all[0].iter().any(|echo| matches!(echo, Echo::Reply(_))) && not_sent >= 3, "nothing is caught up: {all:?}");
    assert!(all[2].contains(&Echo::Unknown(Cause::Stalled)), "who knows what came meanwhile: {all:?}");
    assert!(probe.counters().stalls >= 1);
    assert_answered(&probe, "afterwards");
}

/// Wakes the asking thread, and makes the engine's thread stand still in the middle of its work.
struct Sleepy(std::thread::Thread);

impl std::task::Wake for Sleepy {
    fn wake(self: Arc<Self>) {
        if std::thread::current().name() == Some("netwatch-icmp") {
            std::thread::sleep(Duration::from_millis(600));
        }
        self.0.unpark();
    }
}

/// Hazard 22, in the middle of the engine's work instead of in its sleep: the first result is told by a slow waker.
fn stopped_at_work(kind: SocketKind) {
    let probe = open(kind);
    let settings = Arc::new(settings(1, 0, 400));
    let at = now().plus(Duration::from_millis(30));
    let check = |n: usize, address: &str| {
        let place = with_zone(address).parse().unwrap();
        Check::new(CheckId::new(n as u64), TargetId::from_index(n), address, place, at, Arc::clone(&settings))
    };
    let checks = ["10.9.0.2", "10.9.0.99", "fd09::99"].iter().enumerate().map(|(n, address)| check(n, address));
    let (checks, out): (Vec<Check>, Collected) = (checks.collect(), Collected::default());
    let waker = std::task::Waker::from(Arc::new(Sleepy(std::thread::current())));
    let mut asking = probe.check_many(checks, &out);
    while asking.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending() {
        std::thread::park();
    }
    drop(asking);
    let mut samples = out.0.into_inner().unwrap();
    samples.sort_by_key(|(id, _)| *id);
    let all: Vec<Echo> = samples.iter().flat_map(|(_, sample)| sample.echoes.iter().collect::<Vec<_>>()).collect();
    assert!(matches!(all[0], Echo::Reply(_)), "{all:?}");
    assert_eq!(all[1..], [Echo::Unknown(Cause::Stalled); 2], "who knows what came meanwhile");
    assert!(probe.counters().stalls >= 1);
    assert_answered(&probe, "afterwards");
}

/// Hazard 16: a full queue at our own interface drops our echoes.
fn full_queue(kind: SocketKind) {
    let probe = open(kind);
    sh("tc qdisc replace dev v0 root tbf rate 8kbit burst 1600 limit 1600");
    let addresses: Vec<&str> = std::iter::repeat_n(["10.9.0.2", "fd09::2"], 60).flatten().collect();
    let all = ask(&probe, &addresses, settings(1, 0, 4000)).concat();
    // Of IPv6 ping sockets the kernel tells only that something was not sent, not why.
    let told = [Echo::Unknown(Cause::QueueFull), Echo::Unknown(Cause::OutputRefused)];
    let full = all.iter().filter(|echo| told[..if kind == SocketKind::Raw { 1 } else { 2 }].contains(echo)).count();
    let lost = all.iter().filter(|echo| matches!(echo, Echo::Lost(_))).count();
    assert!(full > 50 && lost == 0, "{full} full, {lost} lost: {all:?}");
}

macro_rules! in_a_namespace {
    ($($test:ident: $lab:literal, $scenario:expr;)*) => {$(
        #[test]
        fn $test() {
            if is_inside() {
                $scenario;
            } else {
                Lab::new($lab).run(stringify!($test), &[]);
            }
        }
    )*};
}

in_a_namespace! {
    send_errors_are_unknown_with_raw_sockets: "s", send_errors(SocketKind::Raw);
    send_errors_are_unknown_with_ping_sockets: "t", send_errors(SocketKind::Ping);
    a_vanished_interface_is_unknown_with_raw_sockets: "i", interface_remade(SocketKind::Raw);
    a_vanished_interface_is_unknown_with_ping_sockets: "j", interface_remade(SocketKind::Ping);
    a_dead_neighbour_is_lost_with_raw_sockets: "d", dead_neighbour(SocketKind::Raw);
    a_dead_neighbour_is_lost_with_ping_sockets: "e", dead_neighbour(SocketKind::Ping);
    a_pause_is_no_loss_with_raw_sockets: "x", stopped(SocketKind::Raw);
    a_pause_is_no_loss_with_ping_sockets: "y", stopped(SocketKind::Ping);
    a_pause_at_work_is_no_loss_with_raw_sockets: "v", stopped_at_work(SocketKind::Raw);
    a_pause_at_work_is_no_loss_with_ping_sockets: "w", stopped_at_work(SocketKind::Ping);
    a_full_queue_is_unknown_with_raw_sockets: "k", full_queue(SocketKind::Raw);
    a_full_queue_is_unknown_with_ping_sockets: "l", full_queue(SocketKind::Ping);
    a_routers_refusal_is_loss_with_raw_sockets: "p", prohibited_by_a_router(SocketKind::Raw);
    a_routers_refusal_is_loss_with_ping_sockets: "q", prohibited_by_a_router(SocketKind::Ping);
}

const NOBODY: [&str; 5] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];

#[test]
fn without_permission_the_remedy_is_told() {
    if !is_inside() {
        return Lab::new("n").run("without_permission_the_remedy_is_told", &NOBODY);
    }
    let error = IcmpProbe::open(IcmpOptions::default()).expect_err("nobody may ping here");
    assert!(matches!(error, OpenError::NotAllowed { .. }), "{error:?}");
    let told = error.to_string();
    let setcap = format!("setcap cap_net_raw+ep {}", std::env::current_exe().unwrap().display());
    for remedy in [setcap.as_str(), "sysctl -w net.ipv4.ping_group_range=\"0 2147483647\""] {
        assert!(told.contains(remedy), "{told}");
    }
}

#[test]
fn without_privilege_the_ping_socket_is_used() {
    const TEST: &str = "without_privilege_the_ping_socket_is_used";
    if !is_inside() {
        let lab = Lab::new("u");
        sh(&format!("ip netns exec {} sysctl -qw net.ipv4.ping_group_range='0 2147483647'", lab.a));
        return lab.run(TEST, &NOBODY);
    }
    let probe = IcmpProbe::open(IcmpOptions::default()).unwrap();
    assert_eq!([Family::V4, Family::V6].map(|family| probe.socket_kind(family)), [Some(SocketKind::Ping); 2]);
    wait_for_the_link(&probe);
    let addresses = ["127.0.0.1", "::1", "10.9.0.2", "fd09::2"];
    for (address, echoes) in addresses.iter().zip(ask(&probe, &addresses, settings(3, 20, 1000))) {
        assert!(echoes.iter().all(|echo| matches!(echo, Echo::Reply(_))), "{address} {echoes:?}");
    }
}
