//! Echo messages as they are on the wire: encode the request, decode whatever comes back without ever trusting it.
//!
//! Sources: RFC 792 (ICMP), RFC 4443 (ICMPv6), RFC 791 (IPv4), RFC 1071 (checksum). A message that is too short or
//! contradicts itself is [`Reject::Malformed`]; no input makes this file panic (nothing here indexes).

use std::net::{IpAddr, Ipv4Addr};

use super::quote;
use crate::model::Loss;

/// Bytes of payload in an echo request; what is in them is the business of [`cookie`](super::cookie).
pub(super) const PAYLOAD: usize = 24;
/// Bytes of an echo request without its IP header.
pub(super) const ECHO: usize = HEADER + PAYLOAD;
/// Bytes of an IPv4 echo request with its IP header.
pub(super) const PACKET_V4: usize = IPV4_HEADER + ECHO;

const HEADER: usize = 8;
const IPV4_HEADER: usize = 20;
const TTL: u8 = 64;

pub(super) const V4_ECHO_REPLY: u8 = 0;
pub(super) const V4_UNREACHABLE: u8 = 3;
pub(super) const V4_ECHO_REQUEST: u8 = 8;
pub(super) const V4_TIME_EXCEEDED: u8 = 11;
pub(super) const V4_PARAMETER: u8 = 12;
pub(super) const V6_UNREACHABLE: u8 = 1;
pub(super) const V6_TOO_BIG: u8 = 2;
pub(super) const V6_TIME_EXCEEDED: u8 = 3;
pub(super) const V6_PARAMETER: u8 = 4;
pub(super) const V6_ECHO_REQUEST: u8 = 128;
pub(super) const V6_ECHO_REPLY: u8 = 129;

/// The identifier and the sequence number of an echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WireKey {
    pub(super) ident: u16,
    pub(super) seq: u16,
}

/// What a message from the network is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming<'a> {
    /// An echo reply.
    Reply { key: WireKey, payload: &'a [u8] },
    /// An ICMP error about an echo request that somebody sent.
    Error(Complaint<'a>),
    /// Something that concerns no echo.
    Other,
}

/// An ICMP error, with what it quotes of the request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint<'a> {
    /// What it says.
    pub(super) loss: Loss,
    /// Where the quoted request was going.
    pub(super) to: IpAddr,
    pub(super) key: WireKey,
    /// As much of the request's payload as was quoted.
    pub(super) payload: &'a [u8],
}

/// Why a message was refused before it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reject {
    Malformed,
    BadChecksum,
}

/// An IPv4 echo request. The kernel replaces the identifier, and completes the checksum, on a ping socket.
pub(super) fn echo_v4(key: WireKey, payload: &[u8; PAYLOAD]) -> [u8; ECHO] {
    let sum = checksum_of(&echo(V4_ECHO_REQUEST, [0; 2], key, payload));
    echo(V4_ECHO_REQUEST, sum.to_be_bytes(), key, payload)
}

/// An ICMPv6 echo request; the kernel fills in the checksum, because it covers the source address (RFC 4443, 2.3).
pub(super) fn echo_v6(key: WireKey, payload: &[u8; PAYLOAD]) -> [u8; ECHO] {
    echo(V6_ECHO_REQUEST, [0; 2], key, payload)
}

/// An echo request behind an IPv4 header in which the kernel fills in source and checksum (raw(7)). The identification is ours:
/// the kernel's own costs it more than the rest of the header, and 52 bytes are never cut up (RFC 791: every link takes 68).
pub(super) fn packet_v4(to: Ipv4Addr, echo: &[u8; ECHO]) -> [u8; PACKET_V4] {
    let [l0, l1] = (PACKET_V4 as u16).to_be_bytes();
    let [d0, d1, d2, d3] = to.octets();
    let [.., s0, s1] = echo.first_chunk::<HEADER>().copied().unwrap_or_default();
    // Zero would ask the kernel for one.
    let header: [u8; IPV4_HEADER] =
        [0x45, 0, l0, l1, s0, s1 | 1, 0, 0, TTL, quote::PROTOCOL_ICMP, 0, 0, 0, 0, 0, 0, d0, d1, d2, d3];
    joined(header, echo)
}

/// Decodes what a raw IPv4 socket delivers: an IP header, then ICMP. Verifies the ICMP checksum.
pub(super) fn decode_raw_v4(packet: &[u8]) -> Result<(Ipv4Addr, Incoming<'_>), Reject> {
    let header = quote::Ipv4Header::parse(packet).ok_or(Reject::Malformed)?;
    let message = header.body(packet).filter(|_| header.is_whole_icmp(packet)).ok_or(Reject::Malformed)?;
    if checksum_of(message) != 0 {
        return Err(Reject::BadChecksum);
    }
    Ok((header.source, decode_v4(message)?))
}

/// Decodes an ICMP message whose checksum was verified, by the caller or (ping socket) by the kernel.
pub(super) fn decode_v4(message: &[u8]) -> Result<Incoming<'_>, Reject> {
    let [kind, code, ..] = *message else { return Err(Reject::Malformed) };
    if kind == V4_ECHO_REPLY {
        return reply(message);
    }
    let Some(loss) = loss_v4(kind, code) else { return Ok(Incoming::Other) };
    let quoted = message.get(HEADER..).ok_or(Reject::Malformed)?;
    Ok(complaint(loss, quote::request_v4(quoted)?))
}

/// Decodes what an ICMPv6 socket delivers: ICMPv6 without the IP header, its checksum verified by the kernel.
pub(super) fn decode_v6(message: &[u8]) -> Result<Incoming<'_>, Reject> {
    let [kind, code, ..] = *message else { return Err(Reject::Malformed) };
    if kind == V6_ECHO_REPLY {
        return reply(message);
    }
    let Some(loss) = loss_v6(kind, code) else { return Ok(Incoming::Other) };
    let quoted = message.get(HEADER..).ok_or(Reject::Malformed)?;
    Ok(complaint(loss, quote::request_v6(quoted)?))
}

/// Decodes the request that a ping socket's error queue hands back: the ICMP message that was sent, without IP header.
pub(super) fn decode_returned(message: &[u8]) -> Result<(WireKey, &[u8]), Reject> {
    match *message {
        [V4_ECHO_REQUEST | V6_ECHO_REQUEST, 0, ..] => key_and_payload(message).ok_or(Reject::Malformed),
        _ => Err(Reject::Malformed),
    }
}

/// What an ICMPv4 error says (RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1); `None` if it is none, as a redirect is.
pub(super) fn loss_v4(kind: u8, code: u8) -> Option<Loss> {
    Some(match (kind, code) {
        (V4_UNREACHABLE, 0 | 6 | 11) => Loss::NetUnreachable,
        (V4_UNREACHABLE, 1 | 7 | 8 | 12) => Loss::HostUnreachable,
        (V4_UNREACHABLE, 9 | 10 | 13..=15) => Loss::Prohibited,
        (V4_TIME_EXCEEDED, _) => Loss::TimeExceeded,
        (V4_UNREACHABLE | V4_PARAMETER, _) => Loss::OtherError,
        _ => return None,
    })
}

/// What an ICMPv6 error says (RFC 4443, 3); `None` if it is none.
pub(super) fn loss_v6(kind: u8, code: u8) -> Option<Loss> {
    Some(match (kind, code) {
        (V6_UNREACHABLE, 0 | 2) => Loss::NetUnreachable,
        (V6_UNREACHABLE, 3) => Loss::HostUnreachable,
        (V6_UNREACHABLE, 1 | 5 | 6) => Loss::Prohibited,
        (V6_TIME_EXCEEDED, _) => Loss::TimeExceeded,
        (V6_UNREACHABLE | V6_TOO_BIG | V6_PARAMETER, _) => Loss::OtherError,
        _ => return None,
    })
}

/// The Internet checksum (RFC 1071) that makes `bytes` sum up to zero; 0 if they do already.
pub(super) fn checksum_of(bytes: &[u8]) -> u16 {
    // The sum may be taken in any width and byte order that wraps its carry around (RFC 1071, 2).
    // Even 64 KiB of the largest halves fit the sum.
    let mut sum: u64 = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_ne_bytes(*word);
        sum = sum.wrapping_add(word & 0xffff_ffff).wrapping_add(word >> 32);
    }
    let mut last = [0; 8];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    let word = u64::from_ne_bytes(last);
    sum = sum.wrapping_add(word & 0xffff_ffff).wrapping_add(word >> 32);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16).to_be()
}

/// The key and the payload of an echo message of either kind.
pub(super) fn key_and_payload(message: &[u8]) -> Option<(WireKey, &[u8])> {
    let ([_, _, _, _, i0, i1, s0, s1], payload) = message.split_first_chunk::<HEADER>()?;
    Some((WireKey { ident: u16::from_be_bytes([*i0, *i1]), seq: u16::from_be_bytes([*s0, *s1]) }, payload))
}

fn echo(kind: u8, sum: [u8; 2], key: WireKey, payload: &[u8; PAYLOAD]) -> [u8; ECHO] {
    let ([i0, i1], [s0, s1]) = (key.ident.to_be_bytes(), key.seq.to_be_bytes());
    let header: [u8; HEADER] = [kind, 0, sum[0], sum[1], i0, i1, s0, s1];
    joined(header, payload)
}

/// One behind the other; `N` is the sum of the lengths.
pub(super) fn joined<const A: usize, const B: usize, const N: usize>(first: [u8; A], second: &[u8; B]) -> [u8; N] {
    const { assert!(A + B == N) }
    let mut both = [0; N];
    if let Some((front, back)) = both.split_first_chunk_mut::<A>()
        && let Some(back) = back.first_chunk_mut::<B>()
    {
        (*front, *back) = (first, *second);
    }
    both
}

fn reply(message: &[u8]) -> Result<Incoming<'_>, Reject> {
    let (key, payload) = key_and_payload(message).ok_or(Reject::Malformed)?;
    match message.get(1) {
        Some(0) => Ok(Incoming::Reply { key, payload }),
        _ => Err(Reject::Malformed),
    }
}

fn complaint(loss: Loss, quoted: Option<quote::Request<'_>>) -> Incoming<'_> {
    match quoted {
        Some(request) => {
            Incoming::Error(Complaint { loss, to: request.to, key: request.key, payload: request.payload })
        }
        None => Incoming::Other,
    }
}

#[cfg(test)]
mod tests;
