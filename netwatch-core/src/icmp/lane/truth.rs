//! What shows how true our times are: transmit stamps that some packets ask for, and the canary.

use std::net::SocketAddr;

use super::{Desk, Lane};
use crate::icmp::clock;
use crate::icmp::inflight::Departure;
use crate::model::Mono;

/// `SO_EE_ORIGIN_TIMESTAMPING` (linux/errqueue.h).
const ORIGIN_TIMESTAMPING: u8 = 4;

impl Lane {
    /// Asks this machine itself, if it is time for it. Call it while no chunk is being loaded.
    pub(in crate::icmp) fn tend_canary(&mut self, desk: &mut Desk<'_>) {
        let before = clock::mono();
        let Some(stamp) = self.canary.due(before) else { return };
        if self.canary.is_silent(before) {
            desk.instrument.canary(self.channel.family, None);
        }
        let to = SocketAddr::new(self.canary.address, 0);
        if !self.push(&Departure { stamp, to }, desk.inflight) {
            return;
        }
        let stamped = self.ask_for_a_stamp(before, 0, 1);
        if let Ok(1..) = self.outgoing.send(self.channel.sender(), 0, 1) {
            let call = self.departures.call(before, clock::mono(), 1);
            self.transmit.called(&call, stamped);
            self.canary.sent(stamp, call.departure(0));
        } else {
            self.transmit.failed(stamped);
        }
        self.outgoing.clear();
        self.receive_stamps(desk);
    }

    /// Has one of at most `most` packets from `place` on ask for a transmit stamp, if it is time for it: which of them.
    pub(super) fn ask_for_a_stamp(&mut self, now: Mono, place: usize, most: usize) -> Option<usize> {
        if !self.channel.stamps_departures {
            return None;
        }
        let is_canary = self.leaving.is_empty();
        let nth = self.transmit.choose(now, most.min(self.outgoing.len().saturating_sub(place)), is_canary)?;
        self.outgoing.ask_for_a_stamp(place.saturating_add(nth));
        Some(nth)
    }

    /// Holds the transmit stamps that have come against our idea of those departures.
    pub(super) fn receive_stamps(&mut self, desk: &mut Desk<'_>) {
        if !self.transmit.is_waiting() || !matches!(self.ingoing.receive(self.channel.sender(), true), Ok(1..)) {
            return;
        }
        let reading = clock::both();
        desk.clocks.observe(reading);
        for packet in self.ingoing.packets() {
            let is_stamp = packet.error.is_some_and(|error| error.origin == ORIGIN_TIMESTAMPING);
            let stamp = packet.stamp.filter(|_| is_stamp).map(clock::shown);
            let Some(stamped) = stamp.and_then(|stamp| desk.clocks.monotonic(stamp)) else { continue };
            if let Some(sampled) = self.transmit.stamped(stamped) {
                desk.instrument.error(reading.after, sampled.error);
                if let Some(correction) = sampled.correction {
                    self.departures.correct(correction);
                }
            }
        }
    }
}
