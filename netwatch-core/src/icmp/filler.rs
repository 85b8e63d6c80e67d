//! What makes an echo longer than it has to be: bytes behind the cookie, the same in every request, which must come back as
//! they went. Long echoes find what short ones do not: a link that mangles or loses long packets.

use super::wire::{ECHO, PAYLOAD, checksum_of};

/// The most bytes of payload that fit into an Ethernet frame behind the headers of IPv4 and ICMP.
pub(super) const LONGEST: usize = 1472;

#[derive(Debug)]
pub(super) struct Filler {
    bytes: Box<[u8]>,
    /// Its sum, as checksums add it up (RFC 1071).
    sum: u16,
}

impl Filler {
    /// What makes a payload so many bytes long, cookie included; from [`PAYLOAD`], which needs none, to [`LONGEST`].
    pub(super) fn to(payload: usize) -> Filler {
        let bytes: Box<[u8]> = (PAYLOAD..payload.min(LONGEST)).map(|place| place as u8).collect();
        let sum = !checksum_of(&bytes);
        Filler { bytes, sum }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes the checksum of an IPv4 request hold with the filler behind it; everything before that has an even length.
    pub(super) fn add_to_checksum(&self, echo: &mut [u8; ECHO]) {
        let [_, _, c0, c1, ..] = echo;
        let rest = !u16::from_be_bytes([*c0, *c1]);
        let ([r0, r1], [s0, s1]) = (rest.to_be_bytes(), self.sum.to_be_bytes());
        [*c0, *c1] = checksum_of(&[r0, r1, s0, s1]).to_be_bytes();
    }

    /// The cookie alone, if the filler behind it is whole; a part of the cookie, if the filler was cut short as some devices do;
    /// everything, which is no cookie, if it was altered.
    pub(super) fn strip<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        match payload.split_at_checked(PAYLOAD) {
            Some((cookie, filler)) if *filler == *self.bytes => cookie,
            Some((cookie, part)) if self.bytes.starts_with(part) => cookie.get(..PAYLOAD - 1).unwrap_or(cookie),
            _ => payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icmp::wire::{WireKey, echo_v4};

    #[test]
    fn the_checksum_covers_the_filler() {
        for size in [24, 25, 26, 56, 511, 1472] {
            let filler = Filler::to(size);
            let mut echo = echo_v4(WireKey { ident: 7, seq: 9 }, &[0xa5; PAYLOAD]);
            filler.add_to_checksum(&mut echo);
            let whole = [&echo[..], filler.bytes()].concat();
            assert_eq!((whole.len(), checksum_of(&whole)), (size + 8, 0), "{size}");
        }
    }

    #[test]
    fn only_a_whole_filler_leaves_a_whole_cookie() {
        let filler = Filler::to(56);
        let payload = [&[1; PAYLOAD][..], filler.bytes()].concat();
        assert_eq!(filler.strip(&payload), [1; PAYLOAD]);
        for cut in PAYLOAD..56 {
            assert_eq!(filler.strip(&payload[..cut]).len(), PAYLOAD - 1, "cut to {cut}");
        }
        assert_eq!(filler.strip(&payload[..10]).len(), 10);
        for bit in PAYLOAD * 8..56 * 8 {
            let mut altered = payload.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(filler.strip(&altered).len(), 56, "bit {bit}");
        }
        assert_eq!(filler.strip(&[&payload[..], &[0]].concat()).len(), 57);
    }

    #[test]
    fn without_a_filler_nothing_changes() {
        let none = Filler::to(0);
        for length in [0, 10, PAYLOAD, PAYLOAD + 1] {
            assert_eq!(none.strip(&vec![1; length]).len(), length);
        }
        assert_eq!(Filler::to(9_999).bytes().len(), LONGEST - PAYLOAD);
    }
}
