//! One address family's way out ([`send`]) and in ([`receive`]), and what both need.

mod receive;
mod send;
mod truth;

use std::os::fd::BorrowedFd;

use super::accuracy::Instrument;
use super::canary::Canary;
use super::cookie::Cookies;
use super::counters::{Count, Tally};
use super::departures::Departures;
use super::doubt::Doubts;
use super::drops::Drops;
use super::filler::Filler;
use super::inflight::InFlight;
use super::kernel::Kernel;
use super::keys::Keys;
use super::socket::{Channel, SocketKind};
use super::stamps::Clocks;
use super::sys::{BATCH, Ingoing, Outgoing};
use super::transmit::Transmit;
use crate::model::{Cause, Family, Mono};

/// What the lanes share.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub(super) inflight: &'a mut InFlight,
    pub(super) clocks: &'a mut Clocks,
    pub(super) tally: &'a Tally,
    /// Slots in which an echo was settled.
    pub(super) touched: &'a mut Vec<u32>,
    /// How many packets were read.
    pub(super) received: &'a mut usize,
    pub(super) instrument: &'a Instrument,
    pub(super) kernel: &'a mut Kernel,
}

/// A packet that waits takes no more of the receive buffer than this, in bytes: a page beside its own.
const LARGEST: usize = 8192;

pub(super) struct Lane {
    channel: Channel,
    keys: Keys,
    cookies: Cookies,
    filler: Filler,
    outgoing: Outgoing,
    /// Slot and place in its check of each packet in `outgoing`.
    leaving: Vec<(u32, u16)>,
    ingoing: Ingoing,
    departures: Departures,
    transmit: Transmit,
    canary: Canary,
    drops: Drops,
    looked: Mono,
    /// When it was last looked for replies.
    read: Mono,
    /// Packets read since the kernel was last asked what it dropped.
    packets: usize,
    /// When the receive buffer overflowed, and when there was no room for what was to be sent.
    pub(super) overflows: Doubts,
}

impl Lane {
    pub(super) fn new(channel: Channel, cookies: Cookies, filler: Filler, veil: u32, now: Mono) -> Lane {
        let keys = match channel.kind {
            SocketKind::Raw => Keys::raw(veil),
            SocketKind::Ping => Keys::ping(channel.ident, veil as u16),
        };
        let is_raw_v4 = channel.kind == SocketKind::Raw && channel.family == Family::V4;
        Lane {
            departures: Departures::new(),
            transmit: Transmit::default(),
            canary: Canary::new(channel.family, veil, now),
            drops: Drops::new(channel.drops(), channel.bad_checksums(), now),
            channel,
            keys,
            cookies,
            outgoing: Outgoing::with_tail(filler.bytes().into()),
            filler,
            leaving: Vec::with_capacity(BATCH),
            ingoing: Ingoing::new(!is_raw_v4),
            looked: now,
            read: now,
            packets: 0,
            overflows: Doubts::default(),
        }
    }

    pub(super) fn receiver(&self) -> BorrowedFd<'_> {
        self.channel.receiver()
    }

    /// Asks the kernel whether it dropped replies since the last time.
    pub(super) fn look_for_overflow(&mut self, now: Mono, tally: &Tally) {
        let channel = &self.channel;
        let may_have_been_full = std::mem::take(&mut self.packets).saturating_mul(LARGEST) >= channel.receive_buffer();
        if let Some(dropped) = self.drops.look(now, channel.drops(), may_have_been_full, || channel.bad_checksums()) {
            tally.add(Count::BadChecksum, dropped.bad_checksum);
            tally.add(Count::ReceiveOverflow, dropped.overflow);
            if dropped.is_doubtful {
                self.overflows.add(self.looked, now, Cause::ReceiveOverflow);
            }
        }
        self.looked = now;
    }

    /// When it was last looked for replies.
    pub(super) fn read(&self) -> Mono {
        self.read
    }

    pub(super) fn looked(&self) -> Mono {
        self.looked
    }
}
