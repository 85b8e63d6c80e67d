//! The way in: what has arrived is read in batches and judged.

use std::io;
use std::net::SocketAddr;

use super::{Desk, Lane};
use crate::icmp::canary::{self, Canary};
use crate::icmp::clock;
use crate::icmp::counters::Count;
use crate::icmp::filler::Filler;
use crate::icmp::judge::{Judge, Judgement};
use crate::icmp::socket::{Channel, SocketKind};
use crate::icmp::stamps::Arrival;
use crate::icmp::sys::{BATCH, Packet};
use crate::icmp::wire::{self, Incoming, Reject};
use crate::model::{Family, Mono};

/// How many batches are read before the sender gets its turn.
const BATCHES_IN_A_ROW: usize = 64;
/// `SO_EE_ORIGIN_ICMP` and `SO_EE_ORIGIN_ICMP6` (linux/errqueue.h).
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;

impl Lane {
    /// Judges what has arrived; `false` if there may be more.
    pub(in crate::icmp) fn receive(&mut self, now: Mono, desk: &mut Desk<'_>) -> bool {
        self.read = now;
        if self.channel.kind == SocketKind::Ping {
            self.receive_errors(desk);
        }
        for _ in 0..BATCHES_IN_A_ROW {
            match self.ingoing.receive(self.channel.receiver(), false) {
                Ok(count) => {
                    self.judge(desk, false);
                    *desk.received += count;
                    self.packets = self.packets.saturating_add(count);
                    if is_all(self.channel.kind, count) {
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                // On a ping socket: what became of an echo; its error queue has the details.
                Err(_) => self.receive_errors(desk),
            }
        }
        false
    }

    pub(super) fn receive_errors(&mut self, desk: &mut Desk<'_>) {
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
        let Lane { channel, keys, cookies, filler, ingoing, departures, canary, .. } = self;
        let mut judge = Judge { inflight: &mut *desk.inflight, keys, cookies };
        for packet in ingoing.packets() {
            let clocks = &*desk.clocks;
            let stamp = packet.stamp.map(clock::shown);
            let arrival = |sent| {
                clocks.arrival(stamp, sent, departures.slack(), reading.after).of_departure(departures.is_known(sent))
            };
            let (count, slot) = if error_queue {
                returned(&mut judge, &packet)
            } else {
                match arrived((&*channel, &*filler), &mut judge, canary, &packet, arrival) {
                    Ok(Some(judgement)) => judgement,
                    Ok(None) => continue,
                    Err(Reject::Malformed) => (Count::Malformed, None),
                    Err(Reject::BadChecksum) => (Count::BadChecksum, None),
                }
            };
            desk.tally.add(count, 1);
            desk.touched.extend(slot);
        }
        if let Some(rtt) = canary.heard.take() {
            desk.instrument.canary(channel.family, rtt);
        }
    }
}

/// Whether a call that brought so many packets has brought all there were. A full one may have left some, and one on a ping
/// socket may have ended at an error that it keeps for the next call (recvmmsg(2), BUGS).
fn is_all(kind: SocketKind, count: usize) -> bool {
    count == 0 || count < BATCH && kind == SocketKind::Raw
}

fn arrived(
    (channel, filler): (&Channel, &Filler),
    judge: &mut Judge<'_>,
    canary: &mut Canary,
    packet: &Packet<'_>,
    arrival: impl FnOnce(Mono) -> Arrival,
) -> Result<Option<Judgement>, Reject> {
    if packet.is_cut {
        return Ok(Some((Count::NotOurs, None)));
    }
    let named = || packet.from().ok_or(Reject::Malformed);
    let (from, incoming) = match (channel.family, channel.kind) {
        (Family::V4, SocketKind::Raw) => {
            let (source, incoming) = wire::decode_raw_v4(packet.data)?;
            (SocketAddr::from((source, 0)), incoming)
        }
        (Family::V4, SocketKind::Ping) => (named()?, wire::decode_v4(packet.data)?),
        (Family::V6, _) => (named()?, wire::decode_v6(packet.data)?),
    };
    Ok(match incoming {
        Incoming::Reply { key, payload } if judge.keys.find(key).is_some_and(|key| key.slot() == canary::SLOT) => {
            let stamp = judge.cookies.open(filler.strip(payload), from.ip());
            if canary.reply(stamp, arrival) { None } else { Some((Count::NotOurs, None)) }
        }
        Incoming::Reply { key, payload } => Some(judge.reply(from, key, filler.strip(payload), arrival)),
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
    let count = match (wire::decode_returned(packet.data), packet.from()) {
        (Ok((key, quoted)), Some(to)) => judge.error(key, to.ip(), quoted, loss),
        _ => Count::Malformed,
    };
    (count, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_call_is_made_only_where_the_first_may_have_left_something() {
        assert!(is_all(SocketKind::Raw, 0) && is_all(SocketKind::Raw, BATCH - 1));
        assert!(!is_all(SocketKind::Raw, BATCH));
        assert!(is_all(SocketKind::Ping, 0) && !is_all(SocketKind::Ping, 1) && !is_all(SocketKind::Ping, BATCH));
    }
}
