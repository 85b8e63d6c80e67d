//! The limits of this machine's kernel are no device's silence: with a full neighbour table and a full conntrack table each
//! echo that could not leave is unknown, and says why.
//!
//! The neighbour table is one for all namespaces and `nf_conntrack_max` is the machine's, so these tests run alone. The first fills the table
//! with neighbours that do not exist and lets it forget them; the second puts back what it found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netwatch_core::{
    Cause, Check, CheckId, Echo, IcmpOptions, IcmpProbe, Mono, Probe, Report, Sample, Settings, TargetId,
};
use netwatch_tests::netns::Namespace;

#[derive(Default)]
struct Sheet(Mutex<Vec<Sample>>);

impl Report for Sheet {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        self.0.lock().unwrap().extend(samples.iter().map(|(_, sample)| sample.clone()));
    }
}

fn now() -> Mono {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Mono::from_nanos(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

/// One echo to each address, over so much time; what becomes of them, by address.
fn ask(probe: &IcmpProbe, addresses: &[IpAddr], over: Duration) -> Vec<Echo> {
    let mut settings = Settings::default();
    (settings.pings, settings.timeout) = (1, Duration::from_secs(1));
    let (settings, begin) = (Arc::new(settings), now().plus(Duration::from_millis(100)));
    let check = |(n, address): (usize, &IpAddr)| {
        let at = begin.plus(over * n as u32 / addresses.len() as u32);
        let address = SocketAddr::new(*address, 0);
        Check::new(CheckId::new(n as u64), TargetId::from_index(n), "", address, at, Arc::clone(&settings))
    };
    let (checks, sheet): (Vec<Check>, Sheet) = (addresses.iter().enumerate().map(check).collect(), Sheet::default());
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(probe.check_many(checks, &sheet));
    let mut samples = sheet.0.into_inner().unwrap();
    samples.sort_by_key(|sample| sample.target.index());
    samples.iter().map(|sample| sample.echoes.iter().next().unwrap()).collect()
}

/// How many there are of each fate.
fn fates(echoes: &[Echo]) -> BTreeMap<String, usize> {
    let mut fates = BTreeMap::new();
    for echo in echoes {
        let fate = match echo {
            Echo::Reply(_) => "reply".to_owned(),
            other => format!("{other:?}"),
        };
        *fates.entry(fate).or_insert(0) += 1;
    }
    fates
}

/// A monitor and a router behind which all addresses answer.
fn lab() -> (Namespace, Namespace) {
    let (mon, isp) = (Namespace::new(), Namespace::new());
    mon.veth("v0", &isp, "v1");
    for (mine, theirs, all, router) in [
        ("10.9.0.1/16", "10.9.0.2/16", "198.18.0.0/15", "10.9.0.2"),
        ("fd09::1/64", "fd09::2/64", "fd51::/64", "fd09::2"),
    ] {
        mon.address("v0", mine);
        isp.address("v1", theirs);
        isp.ip(&format!("route add local {all} dev lo"));
        mon.ip(&format!("route add {all} via {router}"));
    }
    mon.run("ping -c 2 -i 0.2 -W 5 198.18.0.1");
    (mon, isp)
}

fn neighbours_full(of: impl Fn(u16) -> IpAddr) {
    let (mon, _isp) = lab();
    let probe = mon.inside(|| IcmpProbe::open(IcmpOptions::default())).unwrap();
    let addresses: Vec<IpAddr> = (0..1500).map(|n| of(n + 256)).collect();
    let echoes = ask(&probe, &addresses, Duration::from_secs(1));
    let fates = fates(&echoes);
    let full = echoes.iter().filter(|echo| **echo == Echo::Unknown(Cause::NeighboursFull)).count();
    assert!(full > 200, "the table holds 1,024 at most: {fates:?}");
    let fine = |echo: &Echo| matches!(echo, Echo::Lost(_) | Echo::Unknown(Cause::NeighboursFull | Cause::NotSent));
    assert!(
        echoes.iter().all(fine),
        "a neighbour that does not exist is lost, one that cannot be asked is not: {fates:?}"
    );
}

#[test]
fn a_full_neighbour_table_is_no_silence_over_ipv4() {
    neighbours_full(|n| IpAddr::from(Ipv4Addr::from(0x0a09_0000 + u32::from(n))));
}

#[test]
fn a_full_neighbour_table_is_no_silence_over_ipv6() {
    neighbours_full(|n| IpAddr::from(Ipv6Addr::from((0xfd09 << 112) + u128::from(n))));
}

/// Puts back what it found.
struct MostFlows(String);

impl MostFlows {
    const PATH: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

    fn set(most: &str) -> MostFlows {
        let found = std::fs::read_to_string(MostFlows::PATH).expect("the lab's rule has loaded conntrack");
        std::fs::write(MostFlows::PATH, most).expect("root may set the machine's limit");
        MostFlows(found)
    }
}

impl Drop for MostFlows {
    fn drop(&mut self) {
        std::fs::write(MostFlows::PATH, self.0.trim()).expect("the limit is put back");
    }
}

#[test]
fn a_full_conntrack_table_is_no_silence() {
    let (mon, _isp) = lab();
    mon.nft(
        "add table inet t
         add chain inet t o { type filter hook output priority 0; }
         add rule inet t o ct state new counter
         add chain inet t i { type filter hook input priority 0; }
         add rule inet t i ct state new counter
        ",
    );
    let probe = mon.inside(|| IcmpProbe::open(IcmpOptions::default())).unwrap();
    let addresses: Vec<IpAddr> = (0..200).map(|n| IpAddr::from(Ipv4Addr::from(0xc612_0100 + n))).collect();
    let found = MostFlows::set("20");
    let echoes = ask(&probe, &addresses, Duration::from_millis(500));
    drop(found);
    let fates = fates(&echoes);
    let full = echoes.iter().filter(|echo| **echo == Echo::Unknown(Cause::ConntrackFull)).count();
    assert!(full > 100, "twenty flows are known at most: {fates:?}");
    let fine = |echo: &Echo| matches!(echo, Echo::Reply(_) | Echo::Unknown(Cause::ConntrackFull | Cause::NotSent));
    assert!(echoes.iter().all(fine), "all of them would answer: {fates:?}");
    assert!(probe.counters().conntrack_drops >= 100, "{:?}", probe.counters());
    let fates = self::fates(&ask(&probe, &addresses, Duration::from_millis(500)));
    assert_eq!(fates.keys().next().map(String::as_str), Some("reply"), "normal again: {fates:?}");
}
