//! Is this packet an answer? Promise 7: only with the right source, identifier, sequence, cookie and checksum, in time.
//!
//! Every refusal is counted under the name of its reason; a reply longer than any of ours is [`Count::NotOurs`] before it
//! gets here. An ICMP error never decides; it explains a loss.

use std::net::{IpAddr, SocketAddr};

use super::cookie::Cookies;
use super::counters::Count;
use super::inflight::{Answer, InFlight};
use super::keys::Keys;
use super::stamps::Arrival;
use super::wire::{Complaint, PAYLOAD, WireKey};
use crate::model::{Loss, Mono, PayloadRule};

/// A judgement, and the slot that it settled an echo of.
pub(super) type Judgement = (Count, Option<u32>);

/// Everything that a packet is compared with.
pub(super) struct Judge<'a> {
    pub(super) inflight: &'a mut InFlight,
    pub(super) keys: &'a Keys,
    pub(super) cookies: &'a Cookies,
}

impl Judge<'_> {
    /// Judges an echo reply whose checksum is right. `arrival` tells when it came, given when the echo was sent.
    pub(super) fn reply(
        &mut self,
        from: SocketAddr,
        wire: WireKey,
        payload: &[u8],
        arrival: impl FnOnce(Mono) -> Arrival,
    ) -> Judgement {
        let key = self.keys.find(wire);
        if let Some(stamp) = self.cookies.open(payload, from.ip()) {
            if key != Some(stamp.key) {
                return (Count::WrongIdentifier, None);
            }
            if from.is_ipv6()
                && let Some(to) = self.inflight.address(stamp.key.slot())
                && to.ip() == from.ip()
                && !same_zone(to, from)
            {
                return (Count::ForeignSource, None);
            }
            return match self.inflight.answer(stamp, arrival) {
                Answer::Counted => (Count::Replies, Some(stamp.key.slot())),
                Answer::Duplicate => (Count::Duplicates, None),
                Answer::Late => (Count::Late, None),
            };
        }
        let Some((stamp, to, rule)) = key.and_then(|key| self.inflight.whose(key)) else {
            return (Count::NotOurs, None);
        };
        if to.ip() != from.ip() {
            if self.cookies.open(payload, to.ip()) != Some(stamp) {
                return (Count::NotOurs, None);
            }
            self.inflight.annotate(stamp, Loss::BadReply);
            return (Count::ForeignSource, None);
        }
        let is_cut = payload.len() < PAYLOAD;
        let is_prefix = self.cookies.seal(stamp, to.ip()).starts_with(payload);
        if is_cut && is_prefix && rule == PayloadRule::Any && same_zone(to, from) {
            return match self.inflight.answer(stamp, arrival) {
                Answer::Counted => (Count::Replies, Some(stamp.key.slot())),
                Answer::Duplicate => (Count::Duplicates, None),
                Answer::Late => (Count::Late, None),
            };
        }
        self.inflight.annotate(stamp, Loss::BadReply);
        (if is_cut && is_prefix { Count::Truncated } else { Count::Corrupt }, None)
    }

    /// Judges an ICMP error. A quote that holds some of the payload must hold it unaltered.
    pub(super) fn complaint(&mut self, complaint: &Complaint<'_>) -> Count {
        self.error(complaint.key, complaint.to, complaint.payload, complaint.loss)
    }

    /// The same, from the parts that a ping socket's error queue gives.
    pub(super) fn error(&mut self, wire: WireKey, to: IpAddr, quoted: &[u8], loss: Loss) -> Count {
        let to = to.to_canonical();
        let quoted = quoted.get(..PAYLOAD).unwrap_or(quoted);
        let Some(key) = self.keys.find(wire) else { return Count::ErrorsUnmatched };
        let stamp = match self.cookies.open(quoted, to) {
            // A whole payload says itself which echo it was, even where the key alone does not.
            Some(stamp) => (stamp.key == key).then_some(stamp),
            None => self
                .inflight
                .whose(key)
                .filter(|(stamp, address, _)| address.ip() == to && self.cookies.seal(*stamp, to).starts_with(quoted))
                .map(|(stamp, ..)| stamp),
        };
        let Some(stamp) = stamp else { return Count::ErrorsUnmatched };
        self.inflight.annotate(stamp, loss);
        Count::ErrorsMatched
    }
}

/// Link-local addresses are the same only on the same link (RFC 4007, 6); one without a zone fits any.
fn same_zone(to: SocketAddr, from: SocketAddr) -> bool {
    match (to, from) {
        (SocketAddr::V6(to), SocketAddr::V6(from)) => {
            to.scope_id() == from.scope_id() || to.scope_id() == 0 || from.scope_id() == 0
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
