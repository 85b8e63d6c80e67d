//! The way out: a chunk of echoes leaves in one call, and each learns whether and when it left.

use std::net::IpAddr;
use std::time::Duration;

use super::{Desk, Lane};
use crate::icmp::clock;
use crate::icmp::counters::Count;
use crate::icmp::inflight::{Departure, InFlight};
use crate::icmp::socket::{SocketKind, cause_of};
use crate::icmp::sys::BATCH;
use crate::icmp::wire;
use crate::model::{Cause, Echo, Loss};

/// What was full is hardly less so for this long. A queue: what it takes so soon afterwards may leave after its timeout, and what it
/// took before may not have left yet. A table: the question who has an address found no room either, or the reply's flow is gone.
const STILL_FULL: Duration = Duration::from_secs(1);

/// How often a send is tried again because it reported what became of other echoes.
const MOST_RETRIES: u8 = 8;

impl Lane {
    /// Adds an echo to the chunk that leaves next; `false` if there is no room or every sequence number is under way.
    pub(in crate::icmp) fn load(&mut self, slot: u32, echo: &Departure, inflight: &InFlight) -> bool {
        let is_loaded = self.push(echo, inflight);
        if is_loaded {
            self.leaving.push((slot, echo.stamp.ping));
        }
        is_loaded
    }

    pub(super) fn push(&mut self, echo: &Departure, inflight: &InFlight) -> bool {
        let Some(key) = self.keys.assign(echo.stamp.key, |earlier| inflight.is_waiting(earlier)) else { return false };
        let payload = self.cookies.seal(echo.stamp, echo.to.ip());
        match (echo.to.ip(), self.channel.kind) {
            (IpAddr::V4(to), SocketKind::Raw) => {
                let mut message = wire::echo_v4(key, &payload);
                if !self.filler.bytes().is_empty() {
                    self.filler.add_to_checksum(&mut message);
                }
                // The kernel fills in the length (raw(7)).
                self.outgoing.push(echo.to, &wire::packet_v4(to, &message))
            }
            (IpAddr::V4(_), SocketKind::Ping) => self.outgoing.push(echo.to, &wire::echo_v4(key, &payload)),
            (IpAddr::V6(_), _) => self.outgoing.push(echo.to, &wire::echo_v6(key, &payload)),
        }
    }

    /// Sends the chunk and notes for every echo whether and when it left.
    pub(in crate::icmp) fn send(&mut self, desk: &mut Desk<'_>) {
        if self.outgoing.len() == 0 {
            return;
        }
        // Where the kernel hides what it refused, one packet a call: only so is it known which one it was.
        let most = if self.channel.hides_refusals() { 1 } else { BATCH };
        let mut refusals = self.channel.hidden_refusals();
        let mut place = 0;
        let mut retries = 0;
        while place < self.outgoing.len() {
            let before = clock::mono();
            let stamped = self.ask_for_a_stamp(before, place, most);
            let result = self.outgoing.send(self.channel.sender(), place, most);
            let after = clock::mono();
            let earlier = std::mem::replace(&mut refusals, self.channel.hidden_refusals());
            match result {
                Ok(count) => {
                    let left = self.leaving.iter().skip(place).take(count).enumerate();
                    let fate = match (earlier, refusals) {
                        (Some(earlier), Some(now)) if earlier == now => Echo::Lost(Loss::NoReply),
                        _ => Echo::Unknown(desk.kernel.behind(Cause::OutputRefused, self.channel.family, after)),
                    };
                    let call = self.departures.call(before, after, count);
                    self.transmit.called(&call, stamped);
                    for (nth, (slot, ping)) in left {
                        desk.inflight.sent(*slot, *ping, call.departure(nth), fate);
                        desk.touched.push(*slot);
                    }
                    desk.tally.add(Count::Sent, count as u64);
                    place += count.max(1);
                    retries = 0;
                }
                Err(_) if self.channel.kind == SocketKind::Ping && retries < MOST_RETRIES => {
                    // A ping socket also reports here, once each, what became of earlier echoes; more may come meanwhile.
                    retries += 1;
                    self.receive_errors(desk);
                }
                Err(error) => {
                    self.transmit.failed(stamped);
                    let cause = desk.kernel.behind(cause_of(&error), self.channel.family, after);
                    if matches!(cause, Cause::QueueFull | Cause::NeighboursFull | Cause::ConntrackFull) {
                        self.overflows.add(before, after.plus(STILL_FULL), cause);
                    }
                    if let Some((slot, ping)) = self.leaving.get(place) {
                        desk.inflight.not_sent(*slot, *ping, after, cause);
                        desk.touched.push(*slot);
                    }
                    desk.tally.add(Count::SendErrors, 1);
                    place += 1;
                    retries = 0;
                }
            }
        }
        self.outgoing.clear();
        self.leaving.clear();
        self.receive_stamps(desk);
    }
}
