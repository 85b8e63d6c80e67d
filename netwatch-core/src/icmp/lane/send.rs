//! The way out: a chunk of echoes leaves in one call, and each learns whether and when it left.

use std::net::IpAddr;

use super::{Desk, Lane};
use crate::icmp::clock;
use crate::icmp::counters::Count;
use crate::icmp::inflight::{Departure, InFlight};
use crate::icmp::socket::{SocketKind, cause_of};
use crate::icmp::sys::BATCH;
use crate::icmp::wire;
use crate::model::{Cause, Echo, Loss};

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
                self.outgoing.push(echo.to, &wire::packet_v4(to, &wire::echo_v4(key, &payload)))
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
        let mut has_retried = false;
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
                    has_retried = false;
                }
                Err(_) if self.channel.kind == SocketKind::Ping && !has_retried => {
                    // A ping socket also reports here, once, what became of an earlier echo.
                    has_retried = true;
                    self.receive_errors(desk);
                }
                Err(error) => {
                    self.transmit.failed(stamped);
                    if let Some((slot, ping)) = self.leaving.get(place) {
                        let cause = desk.kernel.behind(cause_of(&error), self.channel.family, after);
                        desk.inflight.not_sent(*slot, *ping, after, cause);
                        desk.touched.push(*slot);
                    }
                    desk.tally.add(Count::SendErrors, 1);
                    place += 1;
                    has_retried = false;
                }
            }
        }
        self.outgoing.clear();
        self.leaving.clear();
        self.receive_stamps(desk);
    }
}
