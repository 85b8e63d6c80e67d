//! `-g`: the addresses of networks, or from one address to another, as fping(8) makes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why no addresses can be made of what stands behind `-g`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RangeError {
    #[error("{text:?} is no network\n  = help: write it like 192.168.10.0/24 or 2001:db8::/120")]
    NoNetwork { text: String },
    #[error("from {first} to {last} there is no address\n  = help: write the lower one first, both of one family")]
    Backwards { first: IpAddr, last: IpAddr },
    #[error("{text} has more addresses than {most}\n  = help: ask it in parts")]
    TooLarge { text: String, most: usize },
}

/// The addresses of the networks, or of the one range that two addresses mark; at most `most`.
///
/// Of an IPv4 network that is larger than /31 neither the first nor the last is a host (RFC 3021), of an IPv6 network
/// that is larger than /127 not the first (RFC 4291, 2.6.1).
///
/// # Errors
/// When a network or a range is none, or has too many addresses.
pub(crate) fn generate(words: &[String], most: usize) -> Result<Vec<IpAddr>, RangeError> {
    let mut ranges = Vec::new();
    if let [first, last] = words
        && let (Ok(first), Ok(last)) = (first.parse::<IpAddr>(), last.parse::<IpAddr>())
    {
        if first.is_ipv4() != last.is_ipv4() || last < first {
            return Err(RangeError::Backwards { first, last });
        }
        ranges
            .push((format!("{first} {last}"), Range { v6: first.is_ipv6(), first: number(first), last: number(last) }));
    } else {
        for word in words {
            let range = network(word).ok_or_else(|| RangeError::NoNetwork { text: word.clone() })?;
            ranges.push((word.clone(), range));
        }
    }
    let mut addresses = Vec::new();
    for (text, Range { v6, first, last }) in ranges {
        let room = most.saturating_sub(addresses.len());
        if last.saturating_sub(first) >= room as u128 {
            return Err(RangeError::TooLarge { text, most });
        }
        addresses.extend((first..=last).map(|number| address(v6, number)));
    }
    Ok(addresses)
}

struct Range {
    v6: bool,
    first: u128,
    last: u128,
}

fn network(text: &str) -> Option<Range> {
    let (address, length) = text.split_once('/')?;
    let (address, length) = (address.parse::<IpAddr>().ok()?, length.parse::<u32>().ok()?);
    let v6 = address.is_ipv6();
    let bits = if v6 { 128_u32 } else { 32 };
    let free = bits.checked_sub(length)?;
    let hosts = 1_u128.checked_shl(free).map_or(u128::MAX, |size| size.saturating_sub(1));
    let first = number(address) & !hosts;
    let last = first | hosts;
    Some(match free {
        0 | 1 => Range { v6, first, last },
        _ if v6 => Range { v6, first: first.saturating_add(1), last },
        _ => Range { v6, first: first.saturating_add(1), last: last.saturating_sub(1) },
    })
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(v6: bool, number: u128) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if !v6 => Ipv4Addr::from_bits(number).into(),
        _ => Ipv6Addr::from_bits(number).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(words: &str) -> Result<Vec<String>, RangeError> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Ok(generate(&words, 300)?.iter().map(IpAddr::to_string).collect())
    }

    #[test]
    fn a_network_has_its_hosts_and_a_range_its_ends() {
        assert_eq!(made("192.0.2.9/30").unwrap(), ["192.0.2.9", "192.0.2.10"]);
        assert_eq!(made("192.0.2.8/31").unwrap(), ["192.0.2.8", "192.0.2.9"]);
        assert_eq!(made("192.0.2.8/32").unwrap(), ["192.0.2.8"]);
        assert_eq!(made("192.0.2.0/24").unwrap().len(), 254);
        assert_eq!(made("2001:db8::/126").unwrap(), ["2001:db8::1", "2001:db8::2", "2001:db8::3"]);
        assert_eq!(made("192.0.2.254 192.0.3.1").unwrap(), ["192.0.2.254", "192.0.2.255", "192.0.3.0", "192.0.3.1"]);
        assert_eq!(made("255.255.255.255 255.255.255.255").unwrap(), ["255.255.255.255"]);
        assert_eq!(made("192.0.2.8/32 192.0.2.10/32").unwrap(), ["192.0.2.8", "192.0.2.10"]);
    }

    #[test]
    fn what_is_absurd_is_refused_before_it_is_made() {
        for words in ["0.0.0.0/0", "::/0", "10.0.0.0/8", "192.0.2.0/23", "192.0.2.0/24 198.51.100.0/24", ":: ffff::"] {
            assert!(matches!(made(words), Err(RangeError::TooLarge { .. })), "{words}");
        }
        for words in ["192.0.2.1", "192.0.2.0/33", "2001:db8::/129", "192.0.2.0/", "192.0.2/24", "a/24", "192.0.2.0/-1"]
        {
            assert!(matches!(made(words), Err(RangeError::NoNetwork { .. })), "{words}");
        }
        for words in ["192.0.2.9 192.0.2.8", "192.0.2.1 2001:db8::1"] {
            assert!(matches!(made(words), Err(RangeError::Backwards { .. })), "{words}");
        }
    }
}
