//! Bytes: what is encoded decodes, what is hostile is refused, and no input panics.

use proptest::prelude::*;

use super::*;

const KEY: WireKey = WireKey { ident: 0xbeef, seq: 0x1234 };
const PAYLOAD_BYTES: [u8; PAYLOAD] = *b"abcdefghijklmnopqrstuvwx";
const TO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

/// The reply to our request, as a raw IPv4 socket delivers it, with an IP header of `words` words.
fn reply_v4(words: u8, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![V4_ECHO_REPLY, 0, 0, 0];
    message.extend([KEY.ident.to_be_bytes(), KEY.seq.to_be_bytes()].concat());
    message.extend(payload);
    seal(&mut message);
    ip_v4(words, &message)
}

fn ip_v4(words: u8, body: &[u8]) -> Vec<u8> {
    let length = usize::from(words) * 4;
    let mut packet = vec![0; length];
    packet[0] = 0x40 | words;
    packet[2..4].copy_from_slice(&((length + body.len()) as u16).to_be_bytes());
    packet[9] = quote::PROTOCOL_ICMP;
    packet[12..16].copy_from_slice(&[10, 0, 0, 1]);
    packet[16..20].copy_from_slice(&TO.octets());
    packet.extend(body);
    packet
}

fn seal(message: &mut [u8]) {
    message[2..4].fill(0);
    let sum = checksum_of(message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
}

fn error_v4(kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(quoted);
    seal(&mut message);
    ip_v4(5, &message)
}

#[test]
fn a_request_is_what_the_rfc_says() {
    let echo = echo_v4(KEY, &PAYLOAD_BYTES);
    assert_eq!((echo[0], echo[1], checksum_of(&echo)), (8, 0, 0));
    assert_eq!(key_and_payload(&echo), Some((KEY, &PAYLOAD_BYTES[..])));
    let packet = packet_v4(TO, &echo);
    assert_eq!((packet[0], packet[9], &packet[16..20]), (0x45, 1, &TO.octets()[..]));
    assert_eq!(u16::from_be_bytes([packet[2], packet[3]]), 52);
    assert_eq!(echo_v6(KEY, &PAYLOAD_BYTES)[0], 128);
}

#[test]
fn a_reply_is_found_behind_any_ip_header_length() {
    for words in 5..=15 {
        let packet = reply_v4(words, &PAYLOAD_BYTES);
        let decoded = decode_raw_v4(&packet).unwrap();
        let reply = Incoming::Reply { key: KEY, payload: &PAYLOAD_BYTES };
        assert_eq!(decoded, (Ipv4Addr::new(10, 0, 0, 1), reply));
    }
}

#[test]
fn every_flipped_bit_of_a_v4_reply_breaks_its_checksum() {
    let packet = reply_v4(5, &PAYLOAD_BYTES);
    for bit in 160..packet.len() * 8 {
        let mut flipped = packet.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode_raw_v4(&flipped), Err(Reject::BadChecksum), "bit {bit}");
    }
}

#[test]
fn link_padding_is_not_payload() {
    let mut packet = reply_v4(5, b"abc");
    packet.extend([0; 15]);
    let (_, incoming) = decode_raw_v4(&packet).unwrap();
    assert_eq!(incoming, Incoming::Reply { key: KEY, payload: b"abc" });
}

#[test]
fn what_claims_more_than_there_is_or_is_a_fragment_is_malformed() {
    let packet = reply_v4(5, &PAYLOAD_BYTES);
    assert_eq!(decode_raw_v4(&packet[..packet.len() - 1]), Err(Reject::Malformed));
    let mut fragment = packet.clone();
    fragment[7] = 1;
    assert_eq!(decode_raw_v4(&fragment), Err(Reject::Malformed));
    let mut short_header = packet.clone();
    short_header[0] = 0x44;
    assert_eq!(decode_raw_v4(&short_header), Err(Reject::Malformed));
    assert_eq!(decode_raw_v4(&[]), Err(Reject::Malformed));
}

#[test]
fn an_error_is_traced_to_its_request_however_much_it_quotes() {
    for words in 5..=15_u8 {
        let request = ip_v4(words, &echo_v4(KEY, &PAYLOAD_BYTES));
        for quoted in [8, 28, 32] {
            let packet = error_v4(3, 1, &request[..usize::from(words) * 4 + quoted]);
            let (_, incoming) = decode_raw_v4(&packet).unwrap();
            let Incoming::Error(complaint) = incoming else { panic!("{incoming:?}") };
            assert_eq!((complaint.loss, complaint.to), (Loss::HostUnreachable, IpAddr::V4(TO)));
            assert_eq!((complaint.key, complaint.payload), (KEY, &PAYLOAD_BYTES[..quoted - 8]));
        }
    }
}

#[test]
fn an_error_padded_to_128_bytes_is_traced_too() {
    let mut request = packet_v4(TO, &echo_v4(KEY, &PAYLOAD_BYTES)).to_vec();
    request.resize(128, 0);
    let packet = error_v4(11, 0, &request);
    let (_, Incoming::Error(complaint)) = decode_raw_v4(&packet).unwrap() else { panic!() };
    assert_eq!((complaint.loss, complaint.payload), (Loss::TimeExceeded, &PAYLOAD_BYTES[..]));
}

#[test]
fn an_error_about_something_else_is_no_concern() {
    let request = packet_v4(TO, &echo_v4(KEY, &PAYLOAD_BYTES));
    let altered = |at: usize, to: u8| {
        let mut request = request;
        request[at] = to;
        error_v4(3, 1, &request)
    };
    for (at, to) in [(9, 17), (7, 9), (20, 0), (20, 13), (21, 1)] {
        assert_eq!(decode_raw_v4(&altered(at, to)).unwrap().1, Incoming::Other, "byte {at}");
    }
    assert_eq!(decode_raw_v4(&error_v4(3, 1, &request[..27])), Err(Reject::Malformed));
    assert_eq!(decode_raw_v4(&error_v4(3, 1, &request[..19])), Err(Reject::Malformed));
}

#[test]
fn extension_headers_of_a_v6_quote_are_skipped() {
    let echo = echo_v6(KEY, &PAYLOAD_BYTES);
    let chains: [&[u8]; 4] = [
        &[],
        &[0, 60, 0, 1, 2, 3, 4, 5, 6],
        &[43, 44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 58, 0, 0, 1, 0, 0, 0, 0],
        &[51, 58, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    for (nth, chain) in chains.into_iter().enumerate() {
        let (first, extensions) = chain.split_first().map_or((58, chain), |(first, rest)| (*first, rest));
        let mut extensions = extensions.to_vec();
        if nth == 1 {
            extensions[0] = 58;
        }
        let mut message = vec![1, 3, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0];
        message.extend(((extensions.len() + echo.len()) as u16).to_be_bytes());
        message.extend([first, 64]);
        message.extend([[0; 16], [7; 16]].concat());
        message.extend(&extensions);
        message.extend(&echo[..8]);
        let Ok(Incoming::Error(complaint)) = decode_v6(&message) else { panic!("chain {nth}: {message:?}") };
        assert_eq!((complaint.loss, complaint.key), (Loss::HostUnreachable, KEY), "chain {nth}");
        assert_eq!(complaint.to, IpAddr::from([7_u8; 16]));
    }
}

#[test]
fn requests_of_others_and_unknown_kinds_are_no_replies() {
    for kind in [1, 2, 5, 8, 13, 42, 255] {
        let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        seal(&mut message);
        assert_eq!(decode_raw_v4(&ip_v4(5, &message)).unwrap().1, Incoming::Other);
    }
    assert_eq!(decode_v4(&[0, 1, 0, 0, 0, 0, 0, 0]), Err(Reject::Malformed), "a reply has the code 0");
    assert_eq!(decode_v6(&[129, 1, 0, 0, 0, 0, 0, 0]), Err(Reject::Malformed), "a reply has the code 0");
    assert_eq!(decode_v6(&[128, 0, 0, 0, 0, 0, 0, 0]), Ok(Incoming::Other));
}

#[test]
fn checksums_of_odd_lengths_are_right() {
    assert_eq!(checksum_of(&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2, "RFC 1071, 3");
    assert_eq!(checksum_of(&[0xff]), 0x00ff);
}

proptest! {
    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_raw_v4(&bytes);
        let _ = decode_v4(&bytes);
        let _ = decode_v6(&bytes);
        let _ = decode_returned(&bytes);
    }

    #[test]
    fn no_altered_quote_panics(at in 0_usize..80, to in any::<u8>(), cut in 0_usize..=80) {
        let mut packet = error_v4(3, 1, &packet_v4(TO, &echo_v4(KEY, &PAYLOAD_BYTES)));
        packet[at] = to;
        let end = cut.min(packet.len());
        let _ = decode_raw_v4(&packet[..end]);
        let _ = decode_v4(packet.get(20..end).unwrap_or_default());
    }
}
