//! The kernel's routing tables as text: which default gateways they name, and which interfaces they use.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::model::Host;

/// A router that takes what this machine has no nearer route for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gateway {
    /// Its address, with the interface as zone if it is link-local.
    pub host: Host,
    /// The interface that leads to it.
    pub interface: Arc<str>,
}

/// RTF_UP, RTF_GATEWAY and RTF_REJECT of linux/route.h.
const UP: u32 = 0x1;
const VIA_GATEWAY: u32 = 0x2;
const REJECT: u32 = 0x200;

/// The default gateways in the text of `/proc/net/route`, lowest metric first. Lines that make no sense are left out.
pub(super) fn v4(text: &str) -> Vec<Gateway> {
    let mut routes: Vec<(u32, Gateway)> = text.lines().filter_map(v4_line).collect();
    routes.sort_by_key(|(metric, _)| *metric);
    each_once(routes)
}

/// The default gateways in the text of `/proc/net/ipv6_route`, lowest metric first. Lines that make no sense are left out.
pub(super) fn v6(text: &str) -> Vec<Gateway> {
    let mut routes: Vec<(u32, Gateway)> = text.lines().filter_map(v6_line).collect();
    routes.sort_by_key(|(metric, _)| *metric);
    each_once(routes)
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`: addresses are hexadecimal in the machine's own byte
/// order, flags hexadecimal, the metric decimal.
fn v4_line(line: &str) -> Option<(u32, Gateway)> {
    let mut fields = line.split_ascii_whitespace();
    let interface = fields.next()?;
    let destination = hex(fields.next()?, 8)?;
    let gateway = hex(fields.next()?, 8)?;
    let flags = hex(fields.next()?, 4)?;
    let metric: u32 = fields.nth(2)?.parse().ok()?;
    let mask = hex(fields.next()?, 8)?;
    let ip = Ipv4Addr::from(gateway.to_ne_bytes());
    if destination != 0 || mask != 0 || !leads_to_a_gateway(flags) || ip.is_unspecified() {
        return None;
    }
    Some((metric, Gateway { host: Host::Ip { ip: IpAddr::V4(ip), zone: None }, interface: interface.into() }))
}

/// `destination length source length gateway metric refcount use flags interface`: all hexadecimal, addresses in
/// network byte order.
fn v6_line(line: &str) -> Option<(u32, Gateway)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[destination, length, _, source_length, gateway, metric, _, _, flags, interface] = fields.as_slice() else {
        return None;
    };
    let ip = address_v6(gateway)?;
    let default = address_v6(destination)?.is_unspecified() && hex(length, 2)? == 0 && hex(source_length, 2)? == 0;
    if !default || !leads_to_a_gateway(hex(flags, 8)?) || ip.is_unspecified() {
        return None;
    }
    let zone = ip.is_unicast_link_local().then(|| interface.into());
    Some((hex(metric, 8)?, Gateway { host: Host::Ip { ip: IpAddr::V6(ip), zone }, interface: interface.into() }))
}

/// The interfaces, loopback apart, that routes in use lead over: `v4` is the text of `/proc/net/route`, `v6` that of
/// `/proc/net/ipv6_route`. Lines that make no sense are left out.
pub(super) fn interfaces<'a>(v4: &'a str, v6: &'a str) -> BTreeSet<&'a str> {
    let v4 = v4.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let interface = fields.next()?;
        is_used(hex(fields.nth(2)?, 4)?).then_some(interface)
    });
    let v6 = v6.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let destination = address_v6(fields.next()?)?;
        let flags = hex(fields.nth(7)?, 8)?;
        let interface = fields.next()?;
        // Every interface that is switched on has this one, whatever it leads to.
        (is_used(flags) && !destination.is_multicast()).then_some(interface)
    });
    // Its names become paths; no interface has one with a slash in it (netdevice(7)).
    let is_name = |name: &&str| *name != "lo" && !name.contains('/') && !name.starts_with('.');
    v4.chain(v6).filter(is_name).collect()
}

fn is_used(flags: u32) -> bool {
    flags & UP != 0 && flags & REJECT == 0
}

fn leads_to_a_gateway(flags: u32) -> bool {
    flags & UP != 0 && flags & VIA_GATEWAY != 0 && flags & REJECT == 0
}

/// A number of exactly this many hexadecimal digits. (`from_str_radix` alone would take a sign, too.)
fn hex(text: &str, digits: usize) -> Option<u32> {
    if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(text, 16).ok()
}

fn address_v6(text: &str) -> Option<Ipv6Addr> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(Ipv6Addr::from)
}

fn each_once(routes: Vec<(u32, Gateway)>) -> Vec<Gateway> {
    let mut found: Vec<Gateway> = Vec::new();
    for (_, gateway) in routes {
        if !found.iter().any(|known| known.host == gateway.host) {
            found.push(gateway);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(gateways: &[Gateway]) -> Vec<String> {
        gateways.iter().map(|gateway| gateway.host.to_string()).collect()
    }

    /// The table as the kernel of this machine would print it: addresses in its own byte order.
    fn word(ip: [u8; 4]) -> String {
        format!("{:08X}", u32::from_ne_bytes(ip))
    }

    /// Interface, gateway, flags, metric and mask.
    type Row = (&'static str, [u8; 4], &'static str, u32, [u8; 4]);

    fn table(rows: &[Row]) -> String {
        let mut text =
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n".to_owned();
        for (interface, gateway, flags, metric, mask) in rows {
            let line = format!(
                "{interface}\t00000000\t{}\t{flags}\t0\t0\t{metric}\t{}\t0\t0\t0\n",
                word(*gateway),
                word(*mask)
            );
            text.push_str(&line);
        }
        text
    }

    #[test]
    fn the_default_route_of_the_lowest_metric_comes_first() {
        let text = table(&[
            ("wlan0", [198, 51, 100, 1], "0003", 600, [0; 4]),
            ("eth0", [192, 0, 2, 1], "0003", 100, [0; 4]),
            ("eth1", [192, 0, 2, 1], "0003", 200, [0; 4]),
        ]);
        let found = v4(&text);
        assert_eq!(hosts(&found), ["192.0.2.1", "198.51.100.1"]);
        assert_eq!(&*found[0].interface, "eth0");
    }

    #[test]
    fn what_is_no_default_gateway_is_left_out() {
        for (flags, gateway, mask) in [
            ("0001", [192, 0, 2, 1], [0; 4]),
            ("0002", [192, 0, 2, 1], [0; 4]),
            ("0203", [192, 0, 2, 1], [0; 4]),
            ("0003", [0; 4], [0; 4]),
            ("0003", [192, 0, 2, 1], [128, 0, 0, 0]),
        ] {
            assert_eq!(v4(&table(&[("eth0", gateway, flags, 0, mask)])), [], "{flags} {gateway:?} {mask:?}");
        }
    }

    #[test]
    fn a_link_local_router_carries_its_zone() {
        let zeros = "00000000000000000000000000000000";
        let text = format!(
            "{zeros} 00 {zeros} 00 fe800000000000000000000000000001 00000400 00000002 00000000 00450003     eth0\n\
             {zeros} 00 {zeros} 00 20010db8000000000000000000000001 00000100 00000002 00000000 00000003     eth1\n\
             {zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n"
        );
        assert_eq!(hosts(&v6(&text)), ["2001:db8::1", "fe80::1%eth0"]);
    }

    #[test]
    fn the_interfaces_of_all_routes_in_use_are_found_and_loopback_is_not_among_them() {
        let v4 = table(&[
            ("lo", [0; 4], "0001", 0, [255, 0, 0, 0]),
            ("eth0", [0; 4], "0001", 0, [255, 255, 255, 0]),
            ("eth1", [192, 0, 2, 1], "0003", 100, [0; 4]),
            ("down0", [192, 0, 2, 1], "0002", 0, [0; 4]),
            ("*", [0; 4], "0201", 0, [255, 0, 0, 0]),
            ("../lo", [0; 4], "0001", 0, [0; 4]),
        ]);
        let zeros = "00000000000000000000000000000000";
        let v6 = format!(
            "{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n\
             fe800000000000000000000000000000 40 {zeros} 00 {zeros} 00000100 00000001 00000000 00000001     wan0\n\
             ff000000000000000000000000000000 08 {zeros} 00 {zeros} 00000100 00000003 00000000 00000001   dummy0\n"
        );
        assert_eq!(interfaces(&v4, &v6).into_iter().collect::<Vec<_>>(), ["eth0", "eth1", "wan0"]);
        assert!(interfaces("eth0 0 0 1\neth0", "00 00\n").is_empty(), "lines that make no sense");
    }

    #[test]
    fn hostile_tables_name_nothing() {
        let zeros = "00000000000000000000000000000000";
        for text in [
            "",
            "\n\n\n",
            "eth0",
            "eth0 00000000 +1234567 0003 0 0 0 00000000",
            "eth0 00000000 010200C0 0003 0 0 -1 00000000",
            "eth0 00000000 010200C0 0003 0 0 0",
            "eth0 00000000 010200C0F 0003 0 0 0 00000000",
            "eth0 é0000000 010200C0 0003 0 0 0 00000000",
        ] {
            assert_eq!(v4(text), [], "{text:?}");
            assert_eq!(v6(text), [], "{text:?}");
        }
        assert_eq!(v6(&format!("{zeros} 00 {zeros} 00 fe80 00000400 0 0 00000003 eth0")), []);
        assert_eq!(v6(&format!("{zeros} 00 {zeros} 00 +e800000000000000000000000000001 1 0 0 00000003 eth0")), []);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,200}", rows in "([0-9a-fA-F]{0,33}[ \t\n]){0,40}") {
            v4(&text);
            v6(&text);
            v4(&rows);
            v6(&rows);
            interfaces(&text, &text);
            interfaces(&rows, &rows);
        }
    }
}
