//! `/etc/resolv.conf` as text: which name servers it names.

use std::net::IpAddr;

use crate::model::Host;

/// The addresses behind `nameserver`, in order, each once. Lines that make no sense are left out, as glibc does.
///
/// The keyword begins the line and the value ends at white space; `;` and `#` in the first column begin a comment
/// (resolv.conf(5)).
pub(super) fn nameservers(text: &str) -> Vec<Host> {
    let mut found = Vec::new();
    for line in text.lines() {
        let Some(host) = nameserver(line) else { continue };
        if !found.contains(&host) {
            found.push(host);
        }
    }
    found
}

fn nameserver(line: &str) -> Option<Host> {
    let rest = line.strip_prefix("nameserver")?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let value = rest.split_ascii_whitespace().next()?;
    let (address, zone) = match value.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (value, None),
    };
    let ip: IpAddr = address.parse().ok()?;
    match zone {
        None => Some(Host::Ip { ip, zone: None }),
        Some(zone) if ip.is_ipv6() && !zone.is_empty() => Some(Host::Ip { ip, zone: Some(zone.into()) }),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<String> {
        nameservers(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nameservers_are_read_in_order_and_once() {
        let text = "# made by hand\nsearch example.net\nnameserver 192.0.2.53\nnameserver\tfe80::1%eth0 # inside\n\
                    nameserver 192.0.2.53\nnameserver 2001:db8::53\noptions rotate\n";
        assert_eq!(read(text), ["192.0.2.53", "fe80::1%eth0", "2001:db8::53"]);
    }

    #[test]
    fn hostile_lines_name_nothing() {
        for text in [
            "nameserver",
            "nameserver ",
            "nameservers 192.0.2.1",
            "nameserver192.0.2.1",
            "#nameserver 192.0.2.1",
            " nameserver 192.0.2.1",
            "nameserver 192.0.2.256",
            "nameserver 192.0.2.1%eth0",
            "nameserver fe80::1%",
            "nameserver %eth0",
            "nameserver \u{0}",
            "nameserver dns.example.net",
        ] {
            assert_eq!(read(text), [""; 0], "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(nameserver)?\\PC{0,80}") {
            nameservers(&text);
        }
    }
}
