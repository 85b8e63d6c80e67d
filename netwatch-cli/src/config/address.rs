//! What may stand as the `address` of a target: an address that something can answer from, or a name.

use std::net::{IpAddr, Ipv6Addr};

use netwatch_core::{Family, Host};

use super::problem::{At, Problems};

/// What an address means; what cannot be one is a problem.
pub(crate) fn resolve(written: &At<String>, family: Option<&At<Family>>, problems: &mut Problems) -> Option<Host> {
    match understand(written.value.trim(), family.map(|family| family.value)) {
        Ok(host) => {
            if let (Host::Ip { .. }, Some(family)) = (&host, family) {
                problems.error(
                    family.place,
                    "`family` is only for names",
                    "the address is given already",
                    "remove `family`",
                );
            }
            Some(host)
        }
        Err((title, label, help)) => {
            problems.error(written.place, title, label, help);
            None
        }
    }
}

type Trouble = (&'static str, &'static str, String);

/// What a person means who writes this where an address belongs.
pub(crate) fn understand(text: &str, family: Option<Family>) -> Result<Host, Trouble> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    if let Ok(ip) = address.parse::<IpAddr>() {
        return check_ip(ip, zone);
    }
    if address.contains(':') {
        return Err((
            "this is not an IPv6 address",
            "not understood",
            "write it like `2001:db8::1`, or `fe80::1%eth0` with its interface".to_owned(),
        ));
    }
    if !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'/') {
        return Err((
            "this is not an IPv4 address",
            "not understood",
            "write four numbers from 0 to 255: `192.168.10.2`".to_owned(),
        ));
    }
    if !is_name(text) {
        let help = "write an address such as `192.168.10.2`, or a name of letters, digits, dots and hyphens";
        return Err(("this is neither an address nor a name", "not understood", help.to_owned()));
    }
    Ok(Host::Name { name: text.into(), family })
}

fn check_ip(ip: IpAddr, zone: Option<&str>) -> Result<Host, Trouble> {
    let unfit = match ip {
        IpAddr::V4(v4) => v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
    };
    if unfit {
        return Err((
            "this is not the address of one device",
            "nothing answers from it",
            "write the device's own address".to_owned(),
        ));
    }
    match (ip, zone) {
        (IpAddr::V6(v6), None) if is_link_local(v6) => {
            let help = format!("write the interface behind it: `{v6}%eth0`");
            Err(("a link-local address needs its interface", "it exists on every link", help))
        }
        (_, None) => Ok(Host::Ip { ip, zone: None }),
        (IpAddr::V6(v6), Some(zone)) if is_link_local(v6) && is_zone(zone) => {
            Ok(Host::Ip { ip, zone: Some(zone.into()) })
        }
        (IpAddr::V6(v6), Some(_)) if is_link_local(v6) => {
            Err(("this is not an interface", "not understood", format!("write its name: `{v6}%eth0`")))
        }
        (_, Some(_)) => {
            Err(("only a link-local IPv6 address has an interface", "not link-local", format!("write `{ip}`")))
        }
    }
}

fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.is_unicast_link_local()
}

/// An interface's name: 15 bytes at most, no white space, no slash (netdevice(7), dev_valid_name of the kernel).
fn is_zone(zone: &str) -> bool {
    !zone.is_empty()
        && zone.len() <= 15
        && !zone.contains(|letter: char| letter.is_whitespace() || letter.is_control() || "/%:".contains(letter))
}

/// RFC 1123, 2.1, and the underscore that many use: labels of at most 63 letters, 253 in all.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let fits = (1..=63).contains(&label.len());
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        fits && letters && !label.starts_with('-') && !label.ends_with('-')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_apart() {
        for (text, shown) in [
            ("192.168.10.2", "192.168.10.2"),
            ("2001:DB8::1", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("olt-1.example.net", "olt-1.example.net"),
            ("core_1", "core_1"),
        ] {
            assert_eq!(understand(text, None).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_nothing_can_answer_from_is_refused() {
        for text in [
            "",
            " ",
            "192.168.10",
            "192.168.10.256",
            "192.168.10.0/24",
            "10.0.0.1%eth0",
            "2001:db8::1%eth0",
            "fe80::1",
            "fe80::1%",
            "fe80::1%a/b",
            "0.0.0.0",
            "::",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
            "2001:db8:::1",
            "a b",
            "-a",
            "a..b",
            "ñ.example",
        ] {
            assert!(understand(text, None).is_err(), "{text:?}");
        }
    }
}
