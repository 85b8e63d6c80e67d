//! Packets that nobody honest would send: replies by somebody who wants to pass for a device, and damaged ones.
//!
//! Seeded: the same scenario forges the same. What comes out is never the answer that the device would have given.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use fastrand::Rng;
use netwatch_tests::isp::Forged;

use crate::far_side::{echo, error, neighbour, reply};
use crate::packet::{Kind, Message, Request, answers, break_checksum, encode, mend};

/// Honest replies of each device that are remembered, to be replayed.
const REMEMBERED: usize = 64;

/// Of so many packets one at most has a wrong checksum over IPv6: the kernel counts those as drops of the receiver, and from
/// many of them nobody can tell whether its buffer was full.
const RARELY: u32 = 128;

/// Forges for all devices.
#[derive(Debug)]
pub(crate) struct Forger {
    random: Rng,
    honest: HashMap<IpAddr, VecDeque<Vec<u8>>>,
}

impl Forger {
    pub(crate) fn new(seed: u64) -> Forger {
        Forger { random: Rng::with_seed(seed), honest: HashMap::new() }
    }

    /// A device answered honestly.
    pub(crate) fn remember(&mut self, device: IpAddr, reply: Option<&[u8]>) {
        let honest = self.honest.entry(device).or_default();
        honest.extend(reply.map(<[u8]>::to_vec));
        if honest.len() > REMEMBERED {
            honest.pop_front();
        }
    }

    /// The `n`-th false packet that follows this request, unless it came out true.
    pub(crate) fn packet(&mut self, request: &Request, of: Forged, n: u32) -> Option<Vec<u8>> {
        let packet = match of {
            Forged::Replies => self.forge(request, n),
            Forged::Mutants => self.damage(request),
        };
        packet.filter(|packet| !answers(packet, request))
    }

    /// A reply as whole as it can be without knowing the secret; `n` chooses how it lies.
    fn forge(&mut self, request: &Request, n: u32) -> Option<Vec<u8>> {
        let older = self.older(request.to);
        let random = &mut self.random;
        let mut body = request.payload.clone();
        let mut message = echo(request, Kind::EchoReply, &[]);
        match n % 12 {
            0 => message.word = random.u32(..).to_be_bytes(),
            1 => message.word[2..].copy_from_slice(&random.u16(..).to_be_bytes()),
            2 => message.word[..2].copy_from_slice(&random.u16(..).to_be_bytes()),
            3 => body.fill_with(|| random.u8(..)),
            4 => flip(&mut body, random),
            5 => body.truncate(random.usize(..body.len().max(1))),
            6 => body.extend((0..random.usize(1..64)).map(|_| 0)),
            7 => return older,
            8 => body = older?.get(header(request.to) + 8..)?.to_vec(),
            9 => message.from = neighbour(request.to),
            // The tag is the last eight bytes.
            10 => body.iter_mut().rev().take(8).for_each(|byte| *byte = random.u8(..)),
            _ if request.to.is_ipv6() && random.u32(..RARELY) > 0 => return None,
            _ => {
                let mut packet = reply(request)?;
                break_checksum(&mut packet);
                return Some(packet);
            }
        }
        encode(&Message { body: &body, ..message })
    }

    /// A reply or an ICMP error, damaged.
    fn damage(&mut self, request: &Request) -> Option<Vec<u8>> {
        let older = self.older(request.to);
        let random = &mut self.random;
        let pristine = |random: &mut Rng| match random.u8(..4) {
            0 => encode(&error(request, Kind::Unreachable { code: random.u8(..16) }, None)),
            1 => encode(&error(request, Kind::TimeExceeded, Some(neighbour(request.to)))),
            2 => older.clone().or_else(|| reply(request)),
            _ => reply(request),
        };
        let mut packet = pristine(random)?;
        match random.u8(..5) {
            0 => (0..random.u8(1..9)).for_each(|_| flip(&mut packet, random)),
            1 => packet.truncate(random.usize(1..packet.len())),
            2 => packet.extend((0..random.usize(1..1200)).map(|_| random.u8(..))),
            3 => {
                let other = pristine(random)?;
                packet.truncate(random.usize(1..packet.len()));
                packet.extend_from_slice(other.get(random.usize(..other.len())..)?);
            }
            _ => {
                let start = random.usize(..packet.len());
                let end = random.usize(start..packet.len());
                packet.get_mut(start..end)?.fill_with(|| random.u8(..));
            }
        }
        let is_mended = if request.to.is_ipv6() { random.u32(..RARELY) > 0 } else { random.bool() };
        if is_mended {
            mend(&mut packet);
        }
        Some(packet)
    }

    fn older(&mut self, device: IpAddr) -> Option<Vec<u8>> {
        let honest = self.honest.get(&device).filter(|honest| !honest.is_empty())?;
        honest.get(self.random.usize(..honest.len())).cloned()
    }
}

fn flip(bytes: &mut [u8], random: &mut Rng) {
    if !bytes.is_empty() {
        let at = random.usize(..bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << random.u8(..8);
        }
    }
}

fn header(address: IpAddr) -> usize {
    if address.is_ipv4() { 20 } else { 40 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::decode;

    fn request(to: &str, from: &str, seq: u8) -> Request {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let body = [seq; 24];
        let message = Message { from, to, kind: Kind::EchoRequest, word: [0x12, 0x34, 0, seq], body: &body };
        decode(&encode(&message).unwrap()).unwrap()
    }

    #[test]
    fn what_is_forged_is_never_the_answer_and_the_same_for_the_same_seed() {
        for (to, from) in [("10.1.0.5", "10.9.9.9"), ("fd00:1::5", "fd00:9::9")] {
            for of in [Forged::Replies, Forged::Mutants] {
                let forged = || -> Vec<Vec<u8>> {
                    let mut forger = Forger::new(7);
                    forger.remember(to.parse().unwrap(), reply(&request(to, from, 1)).as_deref());
                    (0..5_000).filter_map(|n| forger.packet(&request(to, from, 2), of, n)).collect()
                };
                let first = forged();
                assert!(first.len() > 4_000, "{} of 5,000", first.len());
                assert!(first.iter().all(|packet| !answers(packet, &request(to, from, 2))));
                assert_eq!(first, forged());
            }
        }
    }

    #[test]
    fn the_guard_knows_an_answer() {
        for (to, from) in [("10.1.0.5", "10.9.9.9"), ("fd00:1::5", "fd00:9::9")] {
            let asked = request(to, from, 2);
            let mut honest = reply(&asked).unwrap();
            assert!(answers(&honest, &asked));
            assert!(!answers(&honest, &request(to, from, 3)));
            mend(&mut honest);
            assert_eq!(honest, reply(&asked).unwrap(), "there is nothing to mend");
            break_checksum(&mut honest);
            assert!(!answers(&honest, &asked));
            mend(&mut honest);
            assert!(answers(&honest, &asked));
        }
    }
}
