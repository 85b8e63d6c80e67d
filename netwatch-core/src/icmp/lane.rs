//! One address family's way out and in: packets leave in batches, and what comes is judged.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::clock;
use super::cookie::Cookies;
use super::counters::{Count, Tally};
use super::doubt::Doubts;
use super::drops::Drops;
use super::inflight::{Departure, InFlight};
use super::judge::{Judge, Judgement};
use super::keys::Keys;
use super::socket::{Channel, SocketKind, cause_of};
use super::stamps::{Arrival, Clocks, departure};
use super::sys::{BATCH, Ingoing, Outgoing, Packet};
use super::wire::{self, Incoming, Reject};
use crate::model::{Cause, Echo, Family, Loss, Mono};

/// How many batches are read before the sender gets its turn.
const BATCHES_IN_A_ROW: usize = 64;
/// A send queue that was full is still long: what it takes so soon afterwards may leave after its timeout, and what it took before
/// may not have left yet.
const QUEUE_DRAINS: Duration = Duration::from_secs(1);
/// `SO_EE_ORIGIN_ICMP` and `SO_EE_ORIGIN_ICMP6` (linux/errqueue.h).
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;

/// What the lanes share.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub(super) inflight: &'a mut InFlight,
    pub(super) clocks: &'a mut Clocks,
    pub(super) tally: &'a Tally,
    /// Slots in which an echo was settled.
    pub(super) touched: &'a mut Vec<u32>,
}

pub(super) struct Lane {
    channel: Channel,
    keys: Keys,
    cookies: Cookies,
    outgoing: Outgoing,
    /// Slot and place in its check of each packet in `outgoing`.
    leaving: Vec<(u32, u16)>,
    ingoing: Ingoing,
    drops: Drops,
    looked: Mono,
    /// When the receive buffer overflowed, and when the send queue was full.
    pub(super) overflows: Doubts,
}

impl Lane {
    pub(super) fn new(channel: Channel, cookies: Cookies, veil: u32, now: Mono) -> Lane {
        let keys = match channel.kind {
            SocketKind::Raw => Keys::raw(veil),
            SocketKind::Ping => Keys::ping(channel.ident, veil as u16),
        };
        Lane {
            drops: Drops::new(channel.drops(), channel.bad_checksums(), now),
            channel,
            keys,
            cookies,
            outgoing: Outgoing::with_capacity(),
            leaving: Vec::with_capacity(BATCH),
            ingoing: Ingoing::new(),
            looked: now,
            overflows: Doubts::default(),
        }
    }

    pub(super) fn receiver(&self) -> BorrowedFd<'_> {
        self.channel.receiver()
    }

    pub(super) fn is_full(&self) -> bool {
        self.outgoing.len() >= BATCH / 2
    }

    /// Adds an echo to the batch that leaves next; `false` if every sequence number is under way.
    pub(super) fn load(&mut self, slot: u32, echo: &Departure, inflight: &InFlight) -> bool {
        let Some(key) = self.keys.assign(echo.stamp.key, |earlier| inflight.is_waiting(earlier)) else { return false };
        let payload = self.cookies.seal(echo.stamp, echo.to.ip());
        match (echo.to.ip(), self.channel.kind) {
            (IpAddr::V4(to), SocketKind::Raw) => {
                self.outgoing.push(echo.to, &wire::packet_v4(to, &wire::echo_v4(key, &payload)));
            }
            (IpAddr::V4(_), SocketKind::Ping) => self.outgoing.push(echo.to, &wire::echo_v4(key, &payload)),
            (IpAddr::V6(_), _) => self.outgoing.push(echo.to, &wire::echo_v6(key, &payload)),
        }
        self.leaving.push((slot, echo.stamp.ping));
        true
    }

    /// Sends the batch and notes for every echo whether and when it left.
    pub(super) fn send(&mut self, desk: &mut Desk<'_>) {
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
            let result = self.outgoing.send(self.channel.sender(), place, most);
            let after = clock::mono();
            let earlier = std::mem::replace(&mut refusals, self.channel.hidden_refusals());
            match result {
                Ok(count) => {
                    let left = self.leaving.iter().skip(place).take(count).enumerate();
                    let fate = match (earlier, refusals) {
                        (Some(earlier), Some(now)) if earlier == now => Echo::Lost(Loss::NoReply),
                        _ => Echo::Unknown(Cause::OutputRefused),
                    };
                    for (nth, (slot, ping)) in left {
                        desk.inflight.sent(*slot, *ping, departure(nth, count, before, after), fate);
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
                    let cause = cause_of(&error);
                    if cause == Cause::QueueFull {
                        self.overflows.add(before, after.plus(QUEUE_DRAINS), cause);
                    }
                    if let Some((slot, ping)) = self.leaving.get(place) {
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
    }

    /// Judges what has arrived; `false` if there may be more.
    pub(super) fn receive(&mut self, desk: &mut Desk<'_>) -> bool {
        if self.channel.kind == SocketKind::Ping {
            self.receive_errors(desk);
        }
        for _ in 0..BATCHES_IN_A_ROW {
            match self.ingoing.receive(self.channel.receiver(), false) {
                Ok(0) => return true,
                Ok(_) => self.judge(desk, false),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                // On a ping socket: what became of an echo; its error queue has the details.
                Err(_) => self.receive_errors(desk),
            }
        }
        false
    }

    /// Asks the kernel whether it dropped replies since the last time.
    pub(super) fn look_for_overflow(&mut self, now: Mono, tally: &Tally) {
        let channel = &self.channel;
        if let Some(dropped) = self.drops.look(now, channel.drops(), || channel.bad_checksums()) {
            tally.add(Count::BadChecksum, dropped.bad_checksum);
            tally.add(Count::ReceiveOverflow, dropped.overflow);
            if dropped.is_doubtful {
                self.overflows.add(self.looked, now, Cause::ReceiveOverflow);
            }
        }
        self.looked = now;
    }

    pub(super) fn looked(&self) -> Mono {
        self.looked
    }

    fn receive_errors(&mut self, desk: &mut Desk<'_>) {
        for _ in 0..BATCHES_IN_A_ROW {
            match self.ingoing.receive(self.channel.receiver(), true) {
                Ok(0) | Err(_) => return,
                Ok(_) => self.judge(desk, true),
            }
        }
    }

    fn judge(&mut self, desk: &mut Desk<'_>, error_queue: bool) {
        let reading = clock::both();
        desk.clocks.observe(reading);
        let Lane { channel, keys, cookies, ingoing, .. } = self;
        let mut judge = Judge { inflight: &mut *desk.inflight, keys, cookies };
        for packet in ingoing.packets() {
            let clocks = &*desk.clocks;
            let arrival = |sent| clocks.arrival(packet.stamp, sent, reading.after);
            let (count, slot) = if error_queue {
                returned(&mut judge, &packet)
            } else {
                match arrived(channel, &mut judge, &packet, arrival) {
                    Ok(Some(judgement)) => judgement,
                    Ok(None) => continue,
                    Err(Reject::Malformed) => (Count::Malformed, None),
                    Err(Reject::BadChecksum) => (Count::BadChecksum, None),
                }
            };
            desk.tally.add(count, 1);
            desk.touched.extend(slot);
        }
    }
}

fn arrived(
    channel: &Channel,
    judge: &mut Judge<'_>,
    packet: &Packet<'_>,
    arrival: impl FnOnce(Mono) -> Arrival,
) -> Result<Option<Judgement>, Reject> {
    if packet.is_cut {
        return Ok(Some((Count::NotOurs, None)));
    }
    let from = packet.from.ok_or(Reject::Malformed)?;
    let (from, incoming) = match (channel.family, channel.kind) {
        (Family::V4, SocketKind::Raw) => {
            let (source, incoming) = wire::decode_raw_v4(packet.data)?;
            (SocketAddr::from((source, 0)), incoming)
        }
        (Family::V4, SocketKind::Ping) => (from, wire::decode_v4(packet.data)?),
        (Family::V6, _) => (from, wire::decode_v6(packet.data)?),
    };
    Ok(match incoming {
        Incoming::Reply { key, payload } => Some(judge.reply(from, key, payload, arrival)),
        Incoming::Error(complaint) => Some((judge.complaint(&complaint), None)),
        Incoming::Other => None,
    })
}

fn returned(judge: &mut Judge<'_>, packet: &Packet<'_>) -> Judgement {
    let loss = match packet.error {
        Some(error) if error.origin == ORIGIN_ICMP => wire::loss_v4(error.kind, error.code),
        Some(error) if error.origin == ORIGIN_ICMP6 => wire::loss_v6(error.kind, error.code),
        _ => None,
    };
    let Some(loss) = loss else { return (Count::ErrorsUnmatched, None) };
    let count = match (wire::decode_returned(packet.data), packet.from) {
        (Ok((key, quoted)), Some(to)) => judge.error(key, to.ip(), quoted, loss),
        _ => Count::Malformed,
    };
    (count, None)
}
