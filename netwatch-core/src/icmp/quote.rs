//! The packet inside an ICMP error: which of our requests is it about?
//!
//! Routers quote as few as 8 bytes behind the inner IP header (RFC 792), or as much as fits (RFC 1812, RFC 4443), with
//! IP options or extension headers in between. Attributing an error to the wrong request is worse than to drop it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::wire::{self, Reject, WireKey};

/// ICMP as an IPv4 protocol number.
pub(super) const PROTOCOL_ICMP: u8 = 1;

const IPV6_HEADER: usize = 40;
const NEXT_HOP_BY_HOP: u8 = 0;
const NEXT_ROUTING: u8 = 43;
const NEXT_FRAGMENT: u8 = 44;
const NEXT_AUTHENTICATION: u8 = 51;
const NEXT_ICMPV6: u8 = 58;
const NEXT_DESTINATION: u8 = 60;
/// More extension headers than this are nobody's honest packet.
const MOST_EXTENSIONS: usize = 8;

/// A quoted echo request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) to: IpAddr,
    pub(super) key: WireKey,
    pub(super) payload: &'a [u8],
}

/// The parts of an IPv4 header that matter here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ipv4Header {
    pub(super) source: Ipv4Addr,
    to: Ipv4Addr,
    length: usize,
    total: usize,
    fragment: u16,
    protocol: u8,
}

impl Ipv4Header {
    /// The header at the beginning of `packet`, its options included; `None` if it is none.
    pub(super) fn parse(packet: &[u8]) -> Option<Ipv4Header> {
        let [v, _, t0, t1, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
            *packet.first_chunk::<20>()?;
        let length = usize::from(v & 0x0f) * 4;
        if v >> 4 != 4 || length < 20 || packet.len() < length {
            return None;
        }
        Some(Ipv4Header {
            source: Ipv4Addr::new(s0, s1, s2, s3),
            to: Ipv4Addr::new(d0, d1, d2, d3),
            length,
            total: usize::from(u16::from_be_bytes([t0, t1])),
            fragment: u16::from_be_bytes([f0, f1]) & 0x1fff,
            protocol,
        })
    }

    /// Whether `packet` holds the whole of an unfragmented ICMP packet.
    pub(super) fn is_whole_icmp(&self, packet: &[u8]) -> bool {
        self.protocol == PROTOCOL_ICMP && self.fragment == 0 && self.total <= packet.len()
    }

    /// What lies behind the header, without link padding.
    pub(super) fn body<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        packet.get(self.length..self.total.min(packet.len()))
    }
}

/// The echo request quoted by an ICMPv4 error, `None` if it quotes something else.
pub(super) fn request_v4(quoted: &[u8]) -> Result<Option<Request<'_>>, Reject> {
    let header = Ipv4Header::parse(quoted).ok_or(Reject::Malformed)?;
    if header.protocol != PROTOCOL_ICMP || header.fragment != 0 {
        return Ok(None);
    }
    let message = header.body(quoted).ok_or(Reject::Malformed)?;
    request(IpAddr::V4(header.to), message, wire::V4_ECHO_REQUEST)
}

/// The echo request quoted by an ICMPv6 error, `None` if it quotes something else.
pub(super) fn request_v6(quoted: &[u8]) -> Result<Option<Request<'_>>, Reject> {
    let (header, mut rest) = quoted.split_first_chunk::<IPV6_HEADER>().ok_or(Reject::Malformed)?;
    let length = header.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes);
    let (Some(to), Some(mut next), Some(length)) = (header.last_chunk::<16>(), header.get(6).copied(), length) else {
        return Err(Reject::Malformed);
    };
    if header.first().is_none_or(|version| version >> 4 != 6) {
        return Err(Reject::Malformed);
    }
    rest = rest.get(..usize::from(length)).unwrap_or(rest);
    for _ in 0..MOST_EXTENSIONS {
        let skip = match next {
            NEXT_ICMPV6 => return request(IpAddr::V6(Ipv6Addr::from(*to)), rest, wire::V6_ECHO_REQUEST),
            NEXT_HOP_BY_HOP | NEXT_ROUTING | NEXT_DESTINATION => (extension_length(rest)? + 1) * 8,
            NEXT_AUTHENTICATION => (extension_length(rest)? + 2) * 4,
            NEXT_FRAGMENT if is_first_fragment(rest)? => 8,
            _ => return Ok(None),
        };
        next = rest.first().copied().ok_or(Reject::Malformed)?;
        rest = rest.get(skip..).ok_or(Reject::Malformed)?;
    }
    Ok(None)
}

fn request(to: IpAddr, message: &[u8], kind: u8) -> Result<Option<Request<'_>>, Reject> {
    match *message {
        [k, 0, ..] if k == kind => {}
        [] | [_] => return Err(Reject::Malformed),
        _ => return Ok(None),
    }
    let (key, payload) = wire::key_and_payload(message).ok_or(Reject::Malformed)?;
    Ok(Some(Request { to, key, payload }))
}

fn extension_length(extension: &[u8]) -> Result<usize, Reject> {
    extension.get(1).copied().map(usize::from).ok_or(Reject::Malformed)
}

fn is_first_fragment(extension: &[u8]) -> Result<bool, Reject> {
    match *extension {
        [_, _, o0, o1, ..] => Ok(u16::from_be_bytes([o0, o1]) & 0xfff8 == 0),
        _ => Err(Reject::Malformed),
    }
}
