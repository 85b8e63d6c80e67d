//! A far side that is the kernel itself: another namespace that answers for whole prefixes, at any rate and at once.
//!
//! Linux skips an echo reply, silently, while the processor's ICMP socket is busy (net/ipv4/icmp.c); [`Answerer::skipped`]
//! tells how often.

use std::net::IpAddr;

use crate::netns::Namespace;
use crate::stage::Fleet;

/// The interface of the near side that leads there.
pub const INTERFACE: &str = "lan0";
/// What it answers for, beyond a router.
pub const PREFIXES: [&str; 2] = ["10.1.0.0/16", "fd00:1::/32"];
/// Devices on the same link: it has to be asked for each of these (ARP, ND).
pub const fn on_link(count: u16, v6: bool) -> Fleet {
    Fleet { count, net: if v6 { LINK_V6 } else { "10.2." } }
}

const LINK_V6: &str = "fd00:2::1:";
const ON_LINK: &str = "10.2.0.0/20";
const NEAR: [&str; 2] = ["10.2.255.1", "fd00:2::1"];
/// The address of the far side on the link.
pub const FAR: &str = "10.2.255.2";
const FARS: [&str; 2] = [FAR, "fd00:2::2"];

/// The far side. Dropping it ends it, and the link with it.
#[derive(Debug)]
pub struct Answerer {
    there: Namespace,
}

impl Answerer {
    /// Joins a far side with these devices to the namespace.
    pub fn join(here: &Namespace, fleet: Fleet) -> Answerer {
        let answerer = Answerer { there: Namespace::new() };
        answerer.there.nft("table inet lab {\n chain silent { type filter hook prerouting priority -400; }\n}\n");
        for prefix in PREFIXES.iter().chain(&[ON_LINK]) {
            answerer.there.ip(&format!("route add local {prefix} dev lo"));
        }
        answerer.link(here);
        // Nobody answers ND for a whole prefix.
        for name in fleet.names().iter().filter(|_| fleet.net == LINK_V6) {
            answerer.there.address(INTERFACE, &format!("{}/128", fleet.address(name)));
        }
        answerer
    }

    /// Makes the link between the two, with its addresses and routes; again after it was deleted.
    pub fn link(&self, here: &Namespace) {
        here.veth(INTERFACE, &self.there, INTERFACE);
        for (n, bits) in [(0, 16), (1, 64)] {
            here.address(INTERFACE, &format!("{}/{bits}", NEAR[n]));
            self.there.address(INTERFACE, &format!("{}/{bits}", FARS[n]));
            here.ip(&format!("route add {} via {}", PREFIXES[n], FARS[n]));
            // It never has to ask for us: its table of neighbours is the whole machine's, and may be the one under test.
            let ours = mac(here);
            self.there.ip(&format!("neigh replace {} lladdr {ours} nud permanent dev {INTERFACE}", NEAR[n]));
        }
    }

    /// The far side itself.
    pub fn namespace(&self) -> &Namespace {
        &self.there
    }

    /// Silences an address for good.
    pub fn silence(&self, address: &str) {
        let family = if address.contains(':') { "ip6" } else { "ip" };
        self.there.nft(&format!("add rule inet lab silent {family} daddr {address} drop\n"));
    }

    /// Lets every address answer again.
    pub fn revive_all(&self) {
        self.there.nft("flush chain inet lab silent\n");
    }

    /// How many echoes its kernel took in and did not answer.
    pub fn skipped(&self, address: IpAddr) -> u64 {
        let [took, gave] = match address {
            IpAddr::V4(_) => ["IcmpInEchos", "IcmpOutEchoReps"],
            IpAddr::V6(_) => ["Icmp6InEchos", "Icmp6OutEchoReplies"],
        };
        let counted = self.there.run(&format!("nstat -asz {took} {gave}"));
        let count = |name: &str| {
            let value =
                counted.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
            value.unwrap_or_else(|| panic!("no {name} in {counted}"))
        };
        u64::saturating_sub(count(took), count(gave))
    }
}

fn mac(here: &Namespace) -> String {
    let shown = here.ip(&format!("-br link show {INTERFACE}"));
    shown.split_whitespace().nth(2).unwrap_or_else(|| panic!("no address in {shown}")).to_owned()
}
