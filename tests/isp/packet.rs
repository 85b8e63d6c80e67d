//! Echo requests in, echo replies and ICMP errors out, byte by byte (RFC 791, 792, 4443, 8200; checksum RFC 1071).
//!
//! Written apart from the engine under test on purpose: two readings of the same documents that must agree.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const ICMP_HEADER: usize = 8;
/// How much of the offending packet an ICMPv6 error quotes: what fits the minimum MTU of 1280 (RFC 4443, 3.1).
const V6_QUOTE: usize = 1280 - V6_HEADER - ICMP_HEADER;
/// The same for IPv4: what fits 576 bytes (RFC 1812, 4.3.2.3).
const V4_QUOTE: usize = 576 - V4_HEADER - ICMP_HEADER;

/// An echo request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) id: u16,
    pub(crate) seq: u16,
    pub(crate) payload: Vec<u8>,
    /// The whole packet, for quoting.
    pub(crate) packet: Vec<u8>,
}

/// The words of an ICMP message, of either family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    EchoReply,
    EchoRequest,
    Unreachable { code: u8 },
    TimeExceeded,
}

/// A message to be encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) kind: Kind,
    /// Bytes 4 to 7 of the ICMP header: identifier and sequence of an echo, zero in the errors used here.
    pub(crate) word: [u8; 4],
    pub(crate) body: &'a [u8],
}

/// Reads a packet; `None` for everything but a whole, unfragmented echo request with a right checksum.
pub(crate) fn decode(packet: &[u8]) -> Option<Request> {
    let (from, to, icmp) = match packet.first()? >> 4 {
        4 => decode_v4(packet)?,
        6 => decode_v6(packet)?,
        _ => return None,
    };
    let wanted = if to.is_ipv4() { 8 } else { 128 };
    if *icmp.first()? != wanted || *icmp.get(1)? != 0 || checksum(from, to, icmp) != 0 {
        return None;
    }
    Some(Request {
        from,
        to,
        id: word(icmp, 4)?,
        seq: word(icmp, 6)?,
        payload: icmp.get(8..)?.to_vec(),
        packet: packet.to_vec(),
    })
}

/// Whether the packet is the answer that the device would have given to this request, whatever else is odd about it.
pub(crate) fn answers(packet: &[u8], request: &Request) -> bool {
    let read = match packet.first().map(|first| first >> 4) {
        Some(4) => decode_v4(packet),
        Some(6) => decode_v6(packet),
        _ => None,
    };
    let Some((from, to, icmp)) = read else { return false };
    let wanted = if from.is_ipv4() { 0 } else { 129 };
    from == request.to
        && icmp.first() == Some(&wanted)
        && word(icmp, 4) == Some(request.id)
        && word(icmp, 6) == Some(request.seq)
        && icmp.get(8..) == Some(request.payload.as_slice())
        && checksum(from, to, icmp) == 0
}

/// Puts lengths and checksums right where they can be, so that what is wrong elsewhere gets further in.
pub(crate) fn mend(packet: &mut [u8]) {
    let whole = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() > V4_HEADER + 4 => {
            let header =
                (usize::from(packet.first().copied().unwrap_or(0) & 0x0f) * 4).clamp(V4_HEADER, packet.len() - 4);
            put(packet, 2, whole);
            put(packet, 10, 0);
            let right = !folded(sum(packet.get(..header).unwrap_or(&[])));
            put(packet, 10, right);
            put(packet, header + 2, 0);
            let right = !folded(sum(packet.get(header..).unwrap_or(&[])));
            put(packet, header + 2, right);
        }
        Some(6) if packet.len() > V6_HEADER + 4 => {
            put(packet, 4, whole.saturating_sub(40));
            put(packet, V6_HEADER + 2, 0);
            let read = decode_v6(packet).map(|(from, to, icmp)| checksum(from, to, icmp));
            put(packet, V6_HEADER + 2, read.unwrap_or(0));
        }
        _ => {}
    }
}

fn put(packet: &mut [u8], at: usize, value: u16) {
    if let Some(place) = packet.get_mut(at..at.saturating_add(2)) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

fn decode_v4(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let total = usize::from(word(packet, 2)?);
    let fragmented = word(packet, 6)? & 0x3fff != 0;
    if header < V4_HEADER || fragmented || *packet.get(9)? != ICMP {
        return None;
    }
    let from: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    Some((Ipv4Addr::from(from).into(), Ipv4Addr::from(to).into(), packet.get(header..total)?))
}

fn decode_v6(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let length = usize::from(word(packet, 4)?);
    if *packet.get(6)? != ICMPV6 {
        return None;
    }
    let from: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
    let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
    Some((
        Ipv6Addr::from(from).into(),
        Ipv6Addr::from(to).into(),
        packet.get(V6_HEADER..V6_HEADER.checked_add(length)?)?,
    ))
}

/// Writes a packet with right lengths and checksums. `None` if the addresses are of different families or the body
/// is too long for a packet.
pub(crate) fn encode(message: &Message<'_>) -> Option<Vec<u8>> {
    let (kind, code) = type_and_code(message.kind, message.to.is_ipv4());
    let mut icmp = vec![kind, code, 0, 0];
    icmp.extend_from_slice(&message.word);
    icmp.extend_from_slice(message.body);
    let sum = checksum(message.from, message.to, &icmp).to_be_bytes();
    icmp.get_mut(2..4)?.copy_from_slice(&sum);
    let mut packet = match (message.from, message.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => v4_header(from, to, icmp.len())?,
        (IpAddr::V6(from), IpAddr::V6(to)) => v6_header(from, to, icmp.len())?,
        _ => return None,
    };
    packet.append(&mut icmp);
    Some(packet)
}

/// What an ICMP error about this packet quotes.
pub(crate) fn quote(request: &Request) -> &[u8] {
    let most = if request.to.is_ipv4() { V4_QUOTE } else { V6_QUOTE };
    request.packet.get(..most).unwrap_or(&request.packet)
}

/// Makes the ICMP checksum of an encoded packet wrong.
pub(crate) fn break_checksum(packet: &mut [u8]) {
    let at = match packet.first().map(|first| first >> 4) {
        Some(4) => V4_HEADER + 3,
        _ => V6_HEADER + 3,
    };
    if let Some(byte) = packet.get_mut(at) {
        *byte ^= 0x55;
    }
}

fn type_and_code(kind: Kind, v4: bool) -> (u8, u8) {
    match (kind, v4) {
        (Kind::EchoReply, true) => (0, 0),
        (Kind::EchoReply, false) => (129, 0),
        (Kind::EchoRequest, true) => (8, 0),
        (Kind::EchoRequest, false) => (128, 0),
        (Kind::Unreachable { code }, true) => (3, code),
        (Kind::Unreachable { code }, false) => (1, code),
        (Kind::TimeExceeded, true) => (11, 0),
        (Kind::TimeExceeded, false) => (3, 0),
    }
}

fn v4_header(from: Ipv4Addr, to: Ipv4Addr, body: usize) -> Option<Vec<u8>> {
    let total = u16::try_from(V4_HEADER.checked_add(body)?).ok()?.to_be_bytes();
    let mut header = vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, ICMP, 0, 0];
    header.extend_from_slice(&from.octets());
    header.extend_from_slice(&to.octets());
    let sum = (!folded(sum(&header))).to_be_bytes();
    header.get_mut(10..12)?.copy_from_slice(&sum);
    Some(header)
}

fn v6_header(from: Ipv6Addr, to: Ipv6Addr, body: usize) -> Option<Vec<u8>> {
    let length = u16::try_from(body).ok()?.to_be_bytes();
    let mut header = vec![0x60, 0, 0, 0, length[0], length[1], ICMPV6, 64];
    header.extend_from_slice(&from.octets());
    header.extend_from_slice(&to.octets());
    Some(header)
}

/// The checksum to write into a message whose field is zero; zero for a message whose field is right.
fn checksum(from: IpAddr, to: IpAddr, icmp: &[u8]) -> u16 {
    let mut total = sum(icmp);
    if let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) {
        let length = u32::try_from(icmp.len()).unwrap_or(u32::MAX);
        total += sum(&from.octets()) + sum(&to.octets()) + u64::from(length) + u64::from(ICMPV6);
    }
    !folded(total)
}

fn sum(bytes: &[u8]) -> u64 {
    let pair = |pair: &[u8]| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    bytes.chunks(2).map(pair).sum()
}

fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(from: &str, to: &str, body: &[u8]) -> Vec<u8> {
        let message = Message {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            kind: Kind::EchoRequest,
            word: [0x12, 0x34, 0, 7],
            body,
        };
        encode(&message).unwrap()
    }

    #[test]
    fn what_is_encoded_is_decoded_the_same_in_both_families() {
        for (from, to) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
            for body in [&b""[..], b"odd", b"even"] {
                let packet = request(from, to, body);
                let read = decode(&packet).unwrap();
                assert_eq!((read.id, read.seq, read.payload.as_slice()), (0x1234, 7, body));
                assert_eq!((read.from, read.to), (from.parse().unwrap(), to.parse().unwrap()));
            }
        }
    }

    #[test]
    fn a_known_packet_has_its_known_checksum() {
        let packet = request("127.0.0.1", "127.0.0.1", b"abcdefgh");
        // 0800 + 1234 + 0007 + 6162 + 6364 + 6566 + 6768 = 1abcf; abcf + 1 = abd0; its complement is 542f.
        assert_eq!(&packet[22..24], &[0x54, 0x2f]);
        // The header check of RFC 1071: the sum over all of it is all ones.
        assert_eq!(folded(sum(&packet[..20])), 0xffff);
    }

    #[test]
    fn every_flipped_bit_of_the_icmp_part_is_noticed() {
        for (from, to, header) in [("10.0.0.1", "10.0.0.2", V4_HEADER), ("fd00::1", "fd00::2", V6_HEADER)] {
            let good = request(from, to, b"payload!");
            for bit in header * 8..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&bad), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_broken_checksum_is_broken_and_nothing_else_is() {
        let mut packet = request("fd00::1", "fd00::2", b"x");
        break_checksum(&mut packet);
        assert_eq!(decode(&packet), None);
        break_checksum(&mut packet);
        assert!(decode(&packet).is_some());
    }

    #[test]
    fn cut_packets_and_other_protocols_are_not_requests() {
        let good = request("10.0.0.1", "10.0.0.2", b"payload!");
        for length in 0..good.len() {
            assert_eq!(decode(&good[..length]), None, "cut to {length}");
        }
        let mut udp = good;
        udp[9] = 17;
        assert_eq!(decode(&udp), None);
    }
}
