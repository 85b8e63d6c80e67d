//! The pure half of the engine for this repository's fuzz targets and benches. No part of the API: it may change at any time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::cookie::Cookies;
use super::counters::Count;
use super::handover::Ask;
use super::inflight::InFlight;
use super::judge::Judge;
use super::keys::Keys;
use super::stamps::Arrival;
use super::wire::{self, Incoming};
use crate::model::{Echo, Loss, Mono, PayloadRule, Settings, TargetId};
use crate::probe::{Check, CheckId};

/// Runs every decoder over bytes from the network.
pub fn decode(bytes: &[u8]) {
    let _ = wire::decode_raw_v4(bytes);
    let _ = wire::decode_v4(bytes);
    let _ = wire::decode_v6(bytes);
    let _ = wire::decode_returned(bytes);
}

/// Targets in an in-flight table, without a network: time stands still and packets are handed around in memory.
#[derive(Debug)]
pub struct Table {
    inflight: InFlight,
    keys: Keys,
    cookies: Secret,
    checks: Vec<Check>,
    slots: Vec<u32>,
}

struct Secret(Cookies);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Table {
    /// As many IPv4 targets, of one ping a check.
    pub fn new(targets: usize, payload: PayloadRule) -> Table {
        let settings = Arc::new(Settings { pings: 1, payload, ..Settings::default() });
        let check = |n: usize| {
            let address = Ipv4Addr::from(0xc612_0000_u32.wrapping_add(u32::try_from(n).unwrap_or(0)));
            let address = SocketAddr::from((address, 0));
            let (id, target) = (CheckId::new(n as u64), TargetId::from_index(n));
            Check::new(id, target, "", address, Mono::from_nanos(1), Arc::clone(&settings))
        };
        Table {
            inflight: InFlight::new(1),
            keys: Keys::raw(0x1357_9bdf),
            cookies: Secret(Cookies::new([1, 2])),
            checks: (0..targets).map(check).collect(),
            slots: Vec::with_capacity(targets),
        }
    }

    /// Begins a check of every target and sends its echo, giving each packet to `wire`.
    pub fn send(&mut self, mut wire: impl FnMut(&[u8])) {
        for check in &self.checks {
            let Some(slot) = self.inflight.begin(&Ask::of(check), 0) else { continue };
            let Some((echo, _)) = self.inflight.depart(slot, check.at) else { continue };
            let Some(key) = self.keys.assign(echo.stamp.key, |_| false) else { continue };
            let payload = self.cookies.0.seal(echo.stamp, echo.to.ip());
            if let SocketAddr::V4(to) = echo.to {
                wire(&wire::packet_v4(*to.ip(), &wire::echo_v4(key, &payload)));
            }
            self.inflight.sent(slot, echo.stamp.ping, check.at, Echo::Lost(Loss::NoReply));
            self.slots.push(slot);
        }
    }

    /// Judges a packet; whether it counted as a reply.
    pub fn receive(&mut self, packet: &[u8]) -> bool {
        let mut judge = Judge { inflight: &mut self.inflight, keys: &self.keys, cookies: &self.cookies.0 };
        match wire::decode_raw_v4(packet) {
            Ok((from, Incoming::Reply { key, payload })) => {
                judge.reply(SocketAddr::from((from, 0)), key, payload, Arrival::known).0 == Count::Replies
            }
            Ok((_, Incoming::Error(complaint))) => {
                judge.complaint(&complaint);
                false
            }
            _ => false,
        }
    }

    /// Ends all timeouts; how many checks were answered.
    pub fn finish(&mut self) -> usize {
        let mut answered = 0;
        for slot in self.slots.drain(..) {
            self.inflight.expire(slot, Mono::from_nanos(u64::MAX), |_, _| None);
            let finished = self.inflight.finish(slot);
            answered += usize::from(finished.is_some_and(|finished| finished.sample.replies() > 0));
        }
        answered
    }
}

/// The honest reply to a request: source and destination exchanged, the type changed, the checksum right.
pub fn reply_to(request: &[u8]) -> Vec<u8> {
    let mut reply = request.to_vec();
    if let Some(([.., a, b, c, d, e, f, g, h], message)) = reply.split_first_chunk_mut::<20>() {
        (*a, *b, *c, *d, *e, *f, *g, *h) = (*e, *f, *g, *h, *a, *b, *c, *d);
        if let Some([kind, _, s0, s1]) = message.first_chunk_mut::<4>() {
            (*kind, *s0, *s1) = (wire::V4_ECHO_REPLY, 0, 0);
        }
        let [s0, s1] = wire::checksum_of(message).to_be_bytes();
        if let Some([_, _, c0, c1]) = message.first_chunk_mut::<4>() {
            (*c0, *c1) = (s0, s1);
        }
    }
    reply
}
