//! Two namespaces joined by a veth pair: in one the monitor, in the other a kernel that answers for every address.
//!
//! `ip route add local 10.0.0.0/8 dev lo` makes the answering kernel own 16 million addresses; they are routed, so that there is
//! one neighbour entry. For the dead addresses it has no route, and it does not forward: it drops their echoes silently. The kernel
//! answers from a socket per CPU and skips the answer when that is busy (net/ipv4/icmp.c), so what it heard and what it answered are
//! counted apart: their difference is the lab's loss, nobody else's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use netwatch_tests::netns::Namespace;

/// The monitor's own interface.
pub(crate) const INTERFACE: &str = "m0";

/// The two namespaces.
#[derive(Debug)]
pub(crate) struct Lab {
    /// Where the pingers run.
    pub(crate) monitor: Arc<Namespace>,
    /// Where the answers come from.
    pub(crate) isp: Namespace,
}

/// What the answering kernel has counted, both families together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Answered {
    /// Echo requests that arrived.
    pub(crate) requests: u64,
    /// Replies that left.
    pub(crate) replies: u64,
}

impl Answered {
    /// What was counted since.
    pub(crate) fn since(self, earlier: Answered) -> Answered {
        Answered { requests: self.requests - earlier.requests, replies: self.replies - earlier.replies }
    }
}

impl Lab {
    /// Makes both. Needs root.
    pub(crate) fn new() -> Lab {
        let (monitor, isp) = (Namespace::new(), Namespace::new());
        monitor.veth(INTERFACE, &isp, "i0");
        for (side, host) in [(&monitor, 1), (&isp, 2)] {
            let interface = if host == 1 { INTERFACE } else { "i0" };
            side.address(interface, &format!("192.0.2.{host}/24"));
            side.address(interface, &format!("2001:db8:ffff::{host}/64"));
        }
        // Nobody's first packet waits for a neighbour: that would be the lab's delay.
        let hardware = |side: &Namespace, interface: &str| {
            let link = side.ip(&format!("-o link show dev {interface}"));
            let mut words = link.split_whitespace().skip_while(|word| *word != "link/ether");
            words.nth(1).expect("a veth has a hardware address").to_owned()
        };
        for (side, interface, other, peer, host) in
            [(&monitor, INTERFACE, &isp, "i0", 2), (&isp, "i0", &monitor, INTERFACE, 1)]
        {
            let address = hardware(other, peer);
            side.ip(&format!("neigh replace 192.0.2.{host} lladdr {address} dev {interface}"));
            side.ip(&format!("-6 neigh replace 2001:db8:ffff::{host} lladdr {address} dev {interface}"));
        }
        monitor.ip("route add 10.0.0.0/8 via 192.0.2.2");
        monitor.ip("route add 172.16.0.0/12 via 192.0.2.2");
        monitor.ip("-6 route add 2001:db8::/64 via 2001:db8:ffff::2");
        isp.ip("route add local 10.0.0.0/8 dev lo");
        isp.ip("-6 route add local 2001:db8::/64 dev lo");
        isp.sysctl("net.ipv4.ip_forward", "0");
        Lab { monitor: Arc::new(monitor), isp }
    }

    /// What has been asked and answered so far.
    pub(crate) fn answered(&self) -> Answered {
        let read = || {
            let text = |name: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).expect("proc");
            let (v4, v6) = (text("snmp"), text("snmp6"));
            let mut icmp = v4.lines().filter_map(|line| line.strip_prefix("Icmp: "));
            let (names, values) = (icmp.next().expect("names"), icmp.next().expect("values"));
            let both = || names.split_whitespace().zip(values.split_whitespace());
            let v4 = |name| both().find(|(found, _)| *found == name).and_then(|(_, value)| value.parse().ok());
            let v6 = |name| {
                let mut lines = v6.lines().filter_map(|line| line.split_once(char::is_whitespace));
                lines.find(|(found, _)| *found == name).and_then(|(_, value)| value.trim().parse().ok())
            };
            let sum = |a: Option<u64>, b: Option<u64>| a.expect("IPv4 counter") + b.expect("IPv6 counter");
            Answered {
                requests: sum(v4("InEchos"), v6("Icmp6InEchos")),
                replies: sum(v4("OutEchoReps"), v6("Icmp6OutEchoReplies")),
            }
        };
        self.isp.inside(read)
    }
}

/// The address of the device of this number: one that answers.
pub(crate) fn alive(is_v6: bool, number: usize) -> IpAddr {
    let number = u32::try_from(number).expect("fewer than 16 million devices");
    if is_v6 {
        Ipv6Addr::from((0x2001_0db8_u128 << 96) + u128::from(number) + 1).into()
    } else {
        Ipv4Addr::from(0x0a00_0001 + number).into()
    }
}

/// The address of the device of this number: one that never answers.
pub(crate) fn dead(number: usize) -> IpAddr {
    Ipv4Addr::from(0xac10_0001 + u32::try_from(number).expect("fewer than a million dead devices")).into()
}
