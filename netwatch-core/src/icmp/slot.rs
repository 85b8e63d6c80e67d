//! One slot of the in-flight table: one check, echo by echo, in 104 bytes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::flow::Flow;
use super::handover::Ask;
use super::keys::{EchoKey, KEYS};
use super::manner::Manner;
use super::state::{EchoState, Packed};
use crate::model::{Cause, Echo, Echoes, Loss, Mono, Sample, TargetId};
use crate::probe::CheckId;

/// The echoes of longer checks are kept apart.
const FEW: usize = 5;
/// Of the check before, the fate of this many echoes is remembered.
const REMEMBERED: u16 = 16;

#[derive(Debug)]
pub(super) struct Slot {
    /// IPv4 as IPv4-mapped (RFC 4291, 2.5.5.2).
    ip: Ipv6Addr,
    scope: u32,
    pub(super) generation: u32,
    pub(super) batch: u32,
    /// The number of its [`Manner`].
    pub(super) manner: u32,
    target: TargetId,
    /// How many echoes were taken out to be sent.
    pub(super) begun: u16,
    /// The counter of echo 0 of this check.
    first: u16,
    /// The first echo that may be without its result; as many as there are when all have theirs.
    oldest: u16,
    /// Which of the first echoes of the check before were answered.
    answered_before: u16,
    pub(super) check: CheckId,
    at: Mono,
    ended: Mono,
    last_reply: Mono,
    has_reply: bool,
    pub(super) live: bool,
    /// Lent out when a target's own slot is busy.
    pub(super) is_spare: bool,
    flow: Flow,
    states: States,
}

#[derive(Debug)]
enum States {
    Few([Packed; FEW]),
    Many(Box<[Packed]>),
}

impl Slot {
    pub(super) fn new(seed: u32, is_spare: bool) -> Slot {
        Slot {
            ip: Ipv6Addr::UNSPECIFIED,
            scope: 0,
            generation: seed,
            batch: 0,
            manner: u32::MAX,
            target: TargetId::from_index(0),
            begun: 0,
            first: (seed >> 16) as u16,
            oldest: 0,
            answered_before: 0,
            check: CheckId::new(0),
            at: Mono::ZERO,
            ended: Mono::ZERO,
            last_reply: Mono::ZERO,
            has_reply: false,
            live: false,
            is_spare,
            flow: Flow::default(),
            states: States::Few([Packed::PLANNED; FEW]),
        }
    }

    /// Begins a check of so many `pings` in the manner of this number.
    pub(super) fn begin(&mut self, ask: &Ask, batch: u32, manner: u32, pings: u16) {
        self.answered_before = (0..self.begun.min(REMEMBERED))
            .filter(|ping| self.packed(*ping).is_reply())
            .fold(0, |bits, ping| bits | 1 << ping);
        self.first = self.first.wrapping_add(self.begun);
        self.generation = self.generation.wrapping_add(1);
        self.ip = match ask.address.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        self.scope = match ask.address {
            SocketAddr::V6(v6) => v6.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        self.live = true;
        (self.begun, self.oldest) = (0, 0);
        (self.batch, self.manner) = (batch, manner);
        (self.target, self.check) = (ask.target, ask.id);
        (self.at, self.ended, self.has_reply) = (ask.at, ask.at, false);
        if !self.is_spare {
            self.flow = self.flow.begun();
        }
        match &mut self.states {
            States::Few(states) if usize::from(pings) <= FEW => *states = [Packed::PLANNED; FEW],
            States::Many(states) if states.len() == usize::from(pings) => states.fill(Packed::PLANNED),
            states if usize::from(pings) <= FEW => *states = States::Few([Packed::PLANNED; FEW]),
            states => *states = States::Many(vec![Packed::PLANNED; usize::from(pings)].into()),
        }
    }

    #[inline]
    pub(super) fn address(&self) -> SocketAddr {
        match self.ip.to_ipv4_mapped() {
            Some(v4) => SocketAddr::V4(SocketAddrV4::new(v4, 0)),
            None => SocketAddr::V6(SocketAddrV6::new(self.ip, 0, 0, self.scope)),
        }
    }

    pub(super) fn is_v6(&self) -> bool {
        self.ip.to_ipv4_mapped().is_none()
    }

    #[inline]
    pub(super) fn key(&self, index: u32, ping: u16) -> EchoKey {
        EchoKey::new(self.flow.number(), index, self.first.wrapping_add(ping))
    }

    /// Which echo of this check has the key, if that is certain: a check of more echoes than there are keys uses them again.
    pub(super) fn ping_of(&self, key: EchoKey) -> Option<u16> {
        self.last_of(key).filter(|ping| *ping < KEYS)
    }

    /// Whether an echo of this check that may have the key still waits.
    pub(super) fn is_waiting(&self, key: EchoKey) -> bool {
        let mut ping = self.last_of(key);
        while let Some(place) = ping {
            if self.packed(place).late().is_some() {
                return true;
            }
            ping = place.checked_sub(KEYS);
        }
        false
    }

    #[inline]
    pub(super) fn echo(&self, ping: u16) -> EchoState {
        self.packed(ping).state()
    }

    #[inline]
    pub(super) fn set(&mut self, ping: u16, state: EchoState) {
        let states = match &mut self.states {
            States::Few(states) => &mut states[..],
            States::Many(states) => states,
        };
        if let Some(place) = states.get_mut(usize::from(ping)) {
            *place = Packed::new(state);
        }
    }

    #[inline]
    pub(super) fn planned(&self, ping: u16, manner: &Manner) -> Mono {
        self.at.plus_nanos(manner.spacing.saturating_mul(u64::from(ping)))
    }

    /// When the echo was sent, if it still waits.
    #[inline]
    pub(super) fn sent_at(&self, ping: u16, manner: &Manner) -> Option<Mono> {
        let late = self.packed(ping).late()?;
        Some(self.planned(ping, manner).plus_nanos(u64::from(late)))
    }

    /// The first echo without its result.
    #[inline]
    pub(super) fn oldest(&self) -> u16 {
        self.oldest
    }

    #[inline]
    pub(super) fn settle(&mut self, ping: u16, echo: Echo, at: Mono) {
        if self.packed(ping).is_done() {
            return;
        }
        self.set(ping, EchoState::Done(echo));
        self.ended = self.ended.max(at);
        while self.packed(self.oldest).is_done() {
            self.oldest += 1;
        }
    }

    /// A reply came at this time.
    #[inline]
    pub(super) fn replied(&mut self, at: Mono) {
        self.last_reply = if self.has_reply { self.last_reply.max(at) } else { at };
        self.has_reply = true;
    }

    /// An echo that is lost, or will be if nothing comes, is lost because of this; the first reason stays.
    pub(super) fn annotate(&mut self, ping: u16, loss: Loss) {
        let lost = Echo::Lost(loss);
        match self.echo(ping) {
            EchoState::Waiting { late, fate: Echo::Lost(Loss::NoReply) } => {
                self.set(ping, EchoState::Waiting { late, fate: lost });
            }
            EchoState::Done(Echo::Lost(Loss::NoReply)) => self.set(ping, EchoState::Done(lost)),
            _ => {}
        }
    }

    /// An echo that still waits is not lost if nothing more comes, but unknown.
    pub(super) fn doubt(&mut self, ping: u16, cause: Cause) {
        if let EchoState::Waiting { late, fate: Echo::Lost(_) } = self.echo(ping) {
            self.set(ping, EchoState::Waiting { late, fate: Echo::Unknown(cause) });
        }
    }

    /// Whether the check before this one had a reply to that echo.
    pub(super) fn was_answered(&self, ping: u16) -> bool {
        ping < REMEMBERED && self.answered_before >> ping & 1 == 1
    }

    /// The result; the target's flow learns from it.
    pub(super) fn finish(&mut self, pings: u16) -> Sample {
        let echoes: Echoes = (0..pings)
            .map(|ping| match self.echo(ping) {
                EchoState::Done(echo) => echo,
                EchoState::Waiting { fate, .. } => fate,
                EchoState::Planned => Echo::Unknown(Cause::NotSent),
            })
            .collect();
        let is_silent = || echoes.iter().all(|echo| matches!(echo, Echo::Lost(_)));
        self.flow = self.flow.ended(if self.has_reply { Some(true) } else { is_silent().then_some(false) });
        let last_reply = self.has_reply.then_some(self.last_reply);
        Sample::new(self.target, self.at, self.ended, echoes).with_last_reply(last_reply)
    }

    #[inline]
    fn packed(&self, ping: u16) -> Packed {
        let states = match &self.states {
            States::Few(states) => &states[..],
            States::Many(states) => states,
        };
        states.get(usize::from(ping)).copied().unwrap_or(Packed::PLANNED)
    }

    /// Of the echoes begun, the last one with this key.
    fn last_of(&self, key: EchoKey) -> Option<u16> {
        if key.flow() != self.flow.number() {
            return None;
        }
        let last = self.begun.checked_sub(1)?;
        last.checked_sub(last.wrapping_sub(key.after(self.first)) & (KEYS - 1))
    }
}

/// A million of them are most of what the engine needs.
const _: () = assert!(size_of::<Slot>() <= 104);
