//! Which identifier and sequence number an echo goes out under, and back: no search, no hash map.
//!
//! An echo's key is its flow (2 bits), its slot (20 bits) and a counter of that slot's echoes (10 bits). On a raw socket all
//! 32 bits are on the wire, veiled by a random mask: a target keeps its identifier as long as it keeps its slot and its flow
//! (one conntrack entry and one ECMP path each), and a key comes back after 1,024 echoes of the same target; the cookie
//! tells those apart. On a ping socket the kernel owns the identifier, so the 16 bits of the sequence go round and a
//! ring remembers whose they are.

use super::wire::WireKey;

/// The most slots there can be.
pub(super) const MOST_SLOTS: u32 = 1 << 20;

/// How many keys a slot has in one flow.
pub(super) const KEYS: u16 = 1 << COUNTER_BITS;

const SLOT_BITS: u32 = MOST_SLOTS.trailing_zeros();
const COUNTER_BITS: u32 = 10;
const RING: usize = 1 << 16;
const NOBODY: u32 = u32::MAX;

/// How many places in a row may be taken before an echo gets none; the next one looks further on.
const LONGEST_SEARCH: usize = 256;

/// A slot, its flow, and the counter of one of its echoes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EchoKey(pub(super) u32);

impl EchoKey {
    pub(super) fn new(flow: u32, slot: u32, counter: u16) -> EchoKey {
        EchoKey(flow << (SLOT_BITS + COUNTER_BITS) | slot << COUNTER_BITS | u32::from(counter & (KEYS - 1)))
    }

    pub(super) fn flow(self) -> u32 {
        self.0 >> (SLOT_BITS + COUNTER_BITS)
    }

    pub(super) fn slot(self) -> u32 {
        self.0 >> COUNTER_BITS & (MOST_SLOTS - 1)
    }

    /// How many echoes after the one with the counter `first` this one is, as far as its bits tell.
    pub(super) fn after(self, first: u16) -> u16 {
        (self.0 as u16).wrapping_sub(first) & (KEYS - 1)
    }
}

/// The keys of one address family.
#[derive(Debug)]
pub(super) enum Keys {
    /// All 32 bits are ours.
    Raw { veil: u32 },
    /// The identifier is the kernel's.
    Ping { ident: u16, next: u16, ring: Box<[u32]> },
}

impl Keys {
    /// The keys of a raw socket, veiled by a random number.
    pub(super) fn raw(veil: u32) -> Keys {
        Keys::Raw { veil }
    }

    /// The keys of a ping socket with this identifier, beginning with a random sequence number.
    pub(super) fn ping(ident: u16, first: u16) -> Keys {
        Keys::Ping { ident, next: first, ring: vec![NOBODY; RING].into() }
    }

    /// What `key` goes out under, beside what is still `taken` by an earlier echo. `None` if too much is (ping sockets only).
    pub(super) fn assign(&mut self, key: EchoKey, taken: impl Fn(EchoKey) -> bool) -> Option<WireKey> {
        match self {
            Keys::Raw { veil } => {
                let [i0, i1, s0, s1] = (key.0 ^ *veil).to_be_bytes();
                Some(WireKey { ident: u16::from_be_bytes([i0, i1]), seq: u16::from_be_bytes([s0, s1]) })
            }
            Keys::Ping { ident, next, ring } => {
                for _ in 0..LONGEST_SEARCH {
                    let seq = *next;
                    *next = next.wrapping_add(1);
                    let place = ring.get_mut(usize::from(seq))?;
                    if *place == NOBODY || !taken(EchoKey(*place)) {
                        *place = key.0;
                        return Some(WireKey { ident: *ident, seq });
                    }
                }
                None
            }
        }
    }

    /// The key behind what is on the wire, if there is one.
    pub(super) fn find(&self, wire: WireKey) -> Option<EchoKey> {
        match self {
            Keys::Raw { veil } => {
                let ([i0, i1], [s0, s1]) = (wire.ident.to_be_bytes(), wire.seq.to_be_bytes());
                Some(EchoKey(u32::from_be_bytes([i0, i1, s0, s1]) ^ veil))
            }
            Keys::Ping { ident, ring, .. } => {
                let key = ring.get(usize::from(wire.seq)).copied().filter(|key| *key != NOBODY);
                key.filter(|_| wire.ident == *ident).map(EchoKey)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_key_survives_the_wire_and_keeps_its_identifier_through_a_slot() {
        let mut keys = Keys::raw(0xfffa_fffb);
        for slot in [0, 1, 15, 16, 65_535, 65_536, MOST_SLOTS - 1] {
            let first = keys.assign(EchoKey::new(0, slot, 0), |_| true).unwrap();
            for counter in [0, 1, 1_022, 1_023] {
                let wire = keys.assign(EchoKey::new(0, slot, counter), |_| true).unwrap();
                assert_eq!(wire.ident, first.ident);
                assert_eq!(keys.find(wire), Some(EchoKey::new(0, slot, counter)));
            }
            for flow in 1..4 {
                let key = EchoKey::new(flow, slot, 7);
                let wire = keys.assign(key, |_| true).unwrap();
                assert_ne!(wire.ident, first.ident, "another flow is another identifier");
                assert_eq!((keys.find(wire), key.flow(), key.slot()), (Some(key), flow, slot));
            }
        }
    }

    #[test]
    fn a_ping_key_goes_round_and_is_never_taken_from_an_echo_under_way() {
        let mut keys = Keys::ping(9, 65_530);
        for n in 0..65_536_u32 {
            assert!(keys.assign(EchoKey::new(0, n, 7), |_| true).is_some(), "{n}");
        }
        assert_eq!(keys.find(WireKey { ident: 9, seq: 65_530 }), Some(EchoKey::new(0, 0, 7)));
        assert_eq!(keys.find(WireKey { ident: 9, seq: 65_529 }), Some(EchoKey::new(0, 65_535, 7)));
        assert_eq!(keys.assign(EchoKey::new(0, 1, 8), |_| true), None);
        assert!(keys.assign(EchoKey::new(0, 1, 8), |_| false).is_some());
    }

    #[test]
    fn slow_targets_keep_their_keys_and_hold_up_nobody() {
        let mut keys = Keys::ping(9, 0);
        for n in 0..65_536_u32 {
            keys.assign(EchoKey::new(0, n, 7), |_| true).unwrap();
        }
        let slow = |key: EchoKey| key.slot() < 300 || key.slot() == 400;
        assert_eq!(keys.assign(EchoKey::new(0, 70_000, 0), slow), None, "a search has its end");
        let seqs: Vec<u16> = (0..101).map(|n| keys.assign(EchoKey::new(0, 70_001 + n, 0), slow).unwrap().seq).collect();
        assert_eq!((seqs[0], seqs[99], seqs[100]), (300, 399, 401));
        assert_eq!(keys.find(WireKey { ident: 9, seq: 400 }), Some(EchoKey::new(0, 400, 7)));
    }

    #[test]
    fn another_identifier_is_nobodys() {
        let mut keys = Keys::ping(9, 0);
        let wire = keys.assign(EchoKey::new(0, 3, 0), |_| false).unwrap();
        assert_eq!(keys.find(WireKey { ident: 10, ..wire }), None);
    }

    #[test]
    fn counters_wrap_without_losing_their_order() {
        assert_eq!(EchoKey::new(3, 5, 2).after(1_023), 3);
        assert_eq!(EchoKey::new(3, 5, 1_023).after(1_023), 0);
        assert_eq!(EchoKey::new(3, 5, 1_024).after(0), 0);
    }
}
