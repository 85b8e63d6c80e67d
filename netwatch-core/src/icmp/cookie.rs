//! The payload of an echo: it names the request and proves that this run of this program sent it to that address.
//!
//! 24 bytes: magic (4), echo key (4), generation (4), place in its check (2), zero (2), SipHash-2-4 tag (8) over what
//! varies of that and the destination, under a random key of this run. So a reply that was guessed, replayed from an earlier
//! request, taken from another address or altered in any bit does not pass. No time is in it: RTT never comes from it.

use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use super::keys::EchoKey;
use super::wire::{PAYLOAD, joined};

const MAGIC: [u8; 4] = *b"ntw1";

/// What an echo request carries of its own identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) key: EchoKey,
    /// Which check of the slot.
    pub(super) generation: u32,
    /// Which echo of the check.
    pub(super) ping: u16,
}

/// The secret of this run.
#[derive(Clone)]
pub(super) struct Cookies(SipHasher24);

impl Cookies {
    pub(super) fn new(secret: [u64; 2]) -> Cookies {
        let [k0, k1] = secret;
        Cookies(SipHasher24::new_with_keys(k0, k1))
    }

    /// The payload of this request to this address.
    pub(super) fn seal(&self, stamp: Stamp, to: IpAddr) -> [u8; PAYLOAD] {
        let ([k0, k1, k2, k3], [g0, g1, g2, g3]) = (stamp.key.0.to_be_bytes(), stamp.generation.to_be_bytes());
        let ([p0, p1], [m0, m1, m2, m3]) = (stamp.ping.to_be_bytes(), MAGIC);
        let words = [m0, m1, m2, m3, k0, k1, k2, k3, g0, g1, g2, g3, p0, p1, 0, 0];
        let varying = [k0, k1, k2, k3, g0, g1, g2, g3, p0, p1];
        let tag = match to {
            IpAddr::V4(v4) => self.0.hash(&joined::<10, 4, 14>(varying, &v4.octets())),
            IpAddr::V6(v6) => self.0.hash(&joined::<10, 16, 26>(varying, &v6.octets())),
        };
        joined(words, &tag.to_be_bytes())
    }

    /// Whose request this payload proves to answer, if it is whole, unaltered and was sent to `to`.
    pub(super) fn open(&self, payload: &[u8], to: IpAddr) -> Option<Stamp> {
        let payload: &[u8; PAYLOAD] = payload.try_into().ok()?;
        let [m0, m1, m2, m3, k0, k1, k2, k3, g0, g1, g2, g3, p0, p1, ..] = *payload;
        if [m0, m1, m2, m3] != MAGIC {
            return None;
        }
        let stamp = Stamp {
            key: EchoKey(u32::from_be_bytes([k0, k1, k2, k3])),
            generation: u32::from_be_bytes([g0, g1, g2, g3]),
            ping: u16::from_be_bytes([p0, p1]),
        };
        (self.seal(stamp, to) == *payload).then_some(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { key: EchoKey(0x0012_3456), generation: 77, ping: 4 };

    #[test]
    fn every_altered_bit_breaks_the_seal() {
        let (cookies, to) = (Cookies::new([1, 2]), "192.0.2.1".parse().unwrap());
        let payload = cookies.seal(STAMP, to);
        assert_eq!(cookies.open(&payload, to), Some(STAMP));
        for bit in 0..PAYLOAD * 8 {
            let mut altered = payload;
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(cookies.open(&altered, to), None, "bit {bit}");
        }
    }

    #[test]
    fn a_cookie_holds_for_one_address_one_length_and_one_secret() {
        let (cookies, to) = (Cookies::new([1, 2]), "2001:db8::1".parse().unwrap());
        let payload = cookies.seal(STAMP, to);
        assert_eq!(cookies.open(&payload, "2001:db8::2".parse().unwrap()), None);
        assert_eq!(cookies.open(&payload[..23], to), None);
        assert_eq!(cookies.open(&[&payload[..], &[0]].concat(), to), None);
        assert_eq!(Cookies::new([1, 3]).open(&payload, to), None);
    }
}
