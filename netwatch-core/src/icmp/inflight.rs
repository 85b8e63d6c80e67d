//! The checks under way, slot by slot: what was sent, what came back, what can still come. Pure; no clock, no socket.
//!
//! A target keeps the slot of its first check (its *home*), so that its echoes keep their identifier; a second check
//! of the same target at the same time borrows a spare one. A finished check stays readable in its slot until the next
//! one begins there: that is how a duplicate is told from a late reply.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::cookie::Stamp;
use super::handover::Ask;
use super::keys::{EchoKey, MOST_SLOTS};
use super::manner::{Manner, Manners};
use super::slot::Slot;
use super::stamps::Arrival;
use super::state::EchoState;
use crate::model::{Cause, Echo, Loss, Mono, PayloadRule, Rtt, Sample};
use crate::probe::CheckId;

const NO_HOME: u32 = u32::MAX;

/// All slots of both address families.
#[derive(Debug)]
pub(super) struct InFlight {
    slots: Vec<Slot>,
    manners: Manners,
    /// The home of each target, by its place in the plan.
    homes: Vec<u32>,
    /// Spare slots, the longest unused first.
    spare: VecDeque<u32>,
    /// Checks under way: over IPv4, over IPv6.
    live: [usize; 2],
    seed: u32,
}

/// An echo that is ready to leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure {
    pub(super) stamp: Stamp,
    pub(super) to: SocketAddr,
}

/// What became of a reply that is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Counted,
    Duplicate,
    Late,
}

/// A check whose echoes are all settled.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) batch: u32,
    pub(super) check: CheckId,
    pub(super) sample: Sample,
}

impl InFlight {
    /// No check under way. Generations and counters begin somewhere near `seed`, a random number.
    pub(super) fn new(seed: u32) -> InFlight {
        InFlight {
            slots: Vec::new(),
            manners: Manners::default(),
            homes: Vec::new(),
            spare: VecDeque::new(),
            live: [0; 2],
            seed,
        }
    }

    /// Makes room for so many targets.
    pub(super) fn make_room(&mut self, targets: usize) {
        self.slots.reserve_exact(targets);
        self.homes.reserve_exact(targets);
    }

    /// Whether any check is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.live == [0; 2]
    }

    /// Whether any check is under way over IPv4, and over IPv6.
    pub(super) fn is_busy(&self) -> [bool; 2] {
        self.live.map(|checks| checks > 0)
    }

    /// Gives the check a slot; `None` if a million checks are under way.
    pub(super) fn begin(&mut self, ask: &Ask, batch: u32) -> Option<u32> {
        let index = self.free_slot(ask.target.index())?;
        let slot = self.slots.get_mut(index as usize)?;
        let manner = self.manners.hold(ask.manner);
        self.manners.release(slot.manner);
        slot.begin(ask, batch, manner, ask.manner.pings);
        if let Some(live) = self.live.get_mut(usize::from(slot.is_v6())) {
            *live += 1;
        }
        Some(index)
    }

    /// When the next echo of the check in this slot is to leave; `None` if all have.
    #[inline]
    pub(super) fn next_departure(&self, slot: u32) -> Option<Mono> {
        let (slot, manner) = self.live_slot(slot)?;
        (slot.begun < manner.pings).then(|| slot.planned(slot.begun, manner))
    }

    /// Takes the next echo of the check in this slot, if that is the one planned for `planned`; and when the one after it is to
    /// leave.
    #[inline]
    pub(super) fn depart(&mut self, index: u32, planned: Mono) -> Option<(Departure, Option<Mono>)> {
        let InFlight { slots, manners, .. } = self;
        let slot = slots.get_mut(index as usize).filter(|slot| slot.live)?;
        let manner = manners.get(slot.manner)?;
        let ping = slot.begun;
        if ping >= manner.pings || slot.planned(ping, manner) != planned {
            return None;
        }
        slot.begun += 1;
        let next = (slot.begun < manner.pings).then(|| slot.planned(slot.begun, manner));
        let stamp = Stamp { key: slot.key(index, ping), generation: slot.generation, ping };
        Some((Departure { stamp, to: slot.address() }, next))
    }

    /// The echo left at `sent`. `fate` is what it is if nothing comes: lost, or already doubtful.
    #[inline]
    pub(super) fn sent(&mut self, index: u32, ping: u16, sent: Mono, fate: Echo) {
        let InFlight { slots, manners, .. } = self;
        let Some(slot) = slots.get_mut(index as usize) else { return };
        let Some(manner) = manners.get(slot.manner) else { return };
        let late = sent.nanos_since(slot.planned(ping, manner));
        let late = u32::try_from(late).unwrap_or(u32::MAX);
        slot.set(ping, EchoState::Waiting { late, fate });
    }

    /// The echo did not leave.
    pub(super) fn not_sent(&mut self, index: u32, ping: u16, at: Mono, cause: Cause) {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.settle(ping, Echo::Unknown(cause), at);
        }
    }

    /// When the first timeout of the check in this slot ends; `None` if no echo is waiting.
    #[inline]
    pub(super) fn deadline(&self, slot: u32) -> Option<Mono> {
        let (slot, manner) = self.live_slot(slot)?;
        slot.sent_at(slot.oldest(), manner).map(|sent| sent.plus_nanos(manner.timeout))
    }

    /// Whether the check in this slot goes to an IPv6 address.
    pub(super) fn is_v6(&self, slot: u32) -> Option<bool> {
        self.live_slot(slot).map(|(slot, _)| slot.is_v6())
    }

    /// Whether the echo with this key still waits for its reply.
    pub(super) fn is_waiting(&self, key: EchoKey) -> bool {
        self.live_slot(key.slot()).is_some_and(|(slot, _)| slot.is_waiting(key))
    }

    /// Where the last check in the slot of this key went, if the key is certain to be that of one of its echoes.
    pub(super) fn whose(&self, key: EchoKey) -> Option<(Stamp, SocketAddr, PayloadRule)> {
        let slot = self.slots.get(key.slot() as usize)?;
        let ping = slot.ping_of(key)?;
        let rule = self.manners.get(slot.manner)?.rule;
        Some((Stamp { key, generation: slot.generation, ping }, slot.address(), rule))
    }

    /// Where the last check in this slot went.
    pub(super) fn address(&self, slot: u32) -> Option<SocketAddr> {
        self.slots.get(slot as usize).map(Slot::address)
    }

    /// A reply that proved to be ours. `arrival` tells when it came, given when the echo was sent. One that seems late only
    /// because nobody knows when it came makes its echo doubtful.
    #[inline]
    pub(super) fn answer(&mut self, stamp: Stamp, arrival: impl FnOnce(Mono) -> Arrival) -> Answer {
        let InFlight { slots, manners, .. } = self;
        let Some(slot) = slots.get_mut(stamp.key.slot() as usize) else { return Answer::Late };
        if stamp.generation != slot.generation {
            let previous = stamp.generation.wrapping_add(1) == slot.generation;
            return if previous && slot.was_answered(stamp.ping) { Answer::Duplicate } else { Answer::Late };
        }
        match slot.echo(stamp.ping) {
            EchoState::Waiting { .. } if slot.live => {}
            EchoState::Done(Echo::Reply(_)) => return Answer::Duplicate,
            _ => return Answer::Late,
        }
        let Some(manner) = manners.get(slot.manner) else { return Answer::Late };
        let Some(sent) = slot.sent_at(stamp.ping, manner) else { return Answer::Late };
        let Arrival { at: arrived, is_known } = arrival(sent);
        if arrived.nanos_since(sent) > manner.timeout {
            if !is_known {
                slot.doubt(stamp.ping, Cause::Stalled);
            }
            return Answer::Late;
        }
        slot.replied(arrived);
        let rtt = if is_known { Rtt::from_duration(arrived.since(sent)) } else { Rtt::UNMEASURED };
        slot.settle(stamp.ping, Echo::Reply(rtt), arrived);
        Answer::Counted
    }

    /// Something other than the reply came for this echo: should it be lost, this is why.
    pub(super) fn annotate(&mut self, stamp: Stamp, loss: Loss) {
        let Some(slot) = self.slots.get_mut(stamp.key.slot() as usize) else { return };
        if slot.live && slot.generation == stamp.generation {
            slot.annotate(stamp.ping, loss);
        }
    }

    /// Settles the echoes of this slot whose timeout ended before `until`. `doubt` names the reason, if there is one, why
    /// the reply to an echo that waited from the first instant to the second may have been missed here.
    pub(super) fn expire(&mut self, index: u32, until: Mono, doubt: impl Fn(Mono, Mono) -> Option<Cause>) {
        let InFlight { slots, manners, .. } = self;
        let Some(slot) = slots.get_mut(index as usize).filter(|slot| slot.live) else { return };
        let Some(manner) = manners.get(slot.manner) else { return };
        for ping in slot.oldest()..slot.begun {
            let EchoState::Waiting { fate, .. } = slot.echo(ping) else { continue };
            let Some(sent) = slot.sent_at(ping, manner) else { continue };
            let deadline = sent.plus_nanos(manner.timeout);
            if deadline > until {
                break;
            }
            let fate = match (fate, doubt(sent, deadline)) {
                (Echo::Lost(_), Some(cause)) => Echo::Unknown(cause),
                (fate, _) => fate,
            };
            slot.settle(ping, fate, deadline);
        }
    }

    /// Whether every echo of the check in this slot is settled.
    #[inline]
    pub(super) fn is_finished(&self, slot: u32) -> bool {
        self.live_slot(slot).is_some_and(|(slot, manner)| slot.oldest() >= manner.pings)
    }

    /// Takes the sample out of the slot if every echo of the check is settled.
    pub(super) fn finish(&mut self, index: u32) -> Option<Finished> {
        let InFlight { slots, manners, .. } = self;
        let slot = slots.get_mut(index as usize).filter(|slot| slot.live)?;
        let pings = manners.get(slot.manner)?.pings;
        if slot.oldest() < pings {
            return None;
        }
        let finished = Finished { batch: slot.batch, check: slot.check, sample: slot.finish(pings) };
        self.release(index);
        Some(finished)
    }

    /// Forgets the check in this slot if it is one of `batch`.
    pub(super) fn cancel(&mut self, index: u32, batch: u32) -> bool {
        let ours = self.slots.get(index as usize).is_some_and(|slot| slot.live && slot.batch == batch);
        if ours {
            self.release(index);
        }
        ours
    }

    #[inline]
    fn live_slot(&self, index: u32) -> Option<(&Slot, &Manner)> {
        let slot = self.slots.get(index as usize).filter(|slot| slot.live)?;
        Some((slot, self.manners.get(slot.manner)?))
    }

    fn release(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        slot.live = false;
        if let Some(live) = self.live.get_mut(usize::from(slot.is_v6())) {
            *live = live.saturating_sub(1);
        }
        if slot.is_spare {
            self.spare.push_back(index);
        }
    }

    fn free_slot(&mut self, target: usize) -> Option<u32> {
        if target < MOST_SLOTS as usize {
            if self.homes.len() <= target {
                self.homes.resize(target + 1, NO_HOME);
            }
            let home = self.homes.get(target).copied().unwrap_or(NO_HOME);
            if home == NO_HOME {
                let home = self.new_slot(false)?;
                if let Some(place) = self.homes.get_mut(target) {
                    *place = home;
                }
                return Some(home);
            }
            if self.slots.get(home as usize).is_some_and(|slot| !slot.live) {
                return Some(home);
            }
        }
        match self.spare.pop_front() {
            Some(spare) => Some(spare),
            None => self.new_slot(true),
        }
    }

    fn new_slot(&mut self, is_spare: bool) -> Option<u32> {
        let index = u32::try_from(self.slots.len()).ok().filter(|index| *index < MOST_SLOTS - 1)?;
        let seed = self.seed.wrapping_add(index.wrapping_mul(0x9e37_79b9));
        self.slots.push(Slot::new(seed, is_spare));
        Some(index)
    }
}

/// How much later than planned an echo may leave. Beyond it nothing is caught up: the echo is *not sent*.
pub(super) const SLACK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
