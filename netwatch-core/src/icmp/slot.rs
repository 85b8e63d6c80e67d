//! One slot of the in-flight table: one check, echo by echo.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::keys::EchoKey;
use crate::model::{Cause, Echo, Echoes, Loss, Mono, PayloadRule, Sample, TargetId};
use crate::probe::{Check, CheckId};

const INLINE: usize = 8;
/// Of the check before, the fate of this many echoes is remembered.
const REMEMBERED: u16 = 64;

/// How far an echo is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EchoState {
    /// Not sent yet.
    Planned,
    /// Sent `late` nanoseconds after its plan; `fate` is what it becomes if nothing comes.
    Waiting { late: u32, fate: Echo },
    /// Settled.
    Done(Echo),
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) address: SocketAddr,
    pub(super) rule: PayloadRule,
    pub(super) live: bool,
    /// Lent out when a target's own slot is busy.
    pub(super) is_spare: bool,
    pub(super) pings: u16,
    /// How many echoes were taken out to be sent.
    pub(super) begun: u16,
    /// How many echoes have their result.
    pub(super) settled: u16,
    /// The counter of echo 0 of this check.
    first: u16,
    /// The first echo that may be without its result.
    oldest: u16,
    pub(super) generation: u32,
    pub(super) batch: u32,
    target: TargetId,
    pub(super) check: CheckId,
    at: Mono,
    spacing: Duration,
    pub(super) timeout: Duration,
    ended: Mono,
    pub(super) last_reply: Option<Mono>,
    /// Which of the first 64 echoes of the check before were answered.
    answered_before: u64,
    few: [EchoState; INLINE],
    more: Vec<EchoState>,
}

impl Slot {
    pub(super) fn new(seed: u32, is_spare: bool) -> Slot {
        Slot {
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            rule: PayloadRule::Strict,
            live: false,
            is_spare,
            pings: 0,
            begun: 0,
            settled: 0,
            first: (seed >> 16) as u16,
            oldest: 0,
            generation: seed,
            batch: 0,
            target: TargetId::from_index(0),
            check: CheckId::new(0),
            at: Mono::ZERO,
            spacing: Duration::ZERO,
            timeout: Duration::ZERO,
            ended: Mono::ZERO,
            last_reply: None,
            answered_before: 0,
            few: [EchoState::Planned; INLINE],
            more: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, check: &Check, batch: u32) {
        let settings = &check.settings;
        self.answered_before = (0..self.begun.min(REMEMBERED))
            .filter(|ping| matches!(self.echo(*ping), EchoState::Done(Echo::Reply(_))))
            .fold(0, |bits, ping| bits | 1 << ping);
        self.first = self.first.wrapping_add(self.begun);
        self.generation = self.generation.wrapping_add(1);
        self.address = SocketAddr::new(check.address.ip().to_canonical(), 0);
        if let (SocketAddr::V6(ours), SocketAddr::V6(given)) = (&mut self.address, check.address) {
            ours.set_scope_id(given.scope_id());
        }
        self.rule = settings.payload;
        self.live = true;
        self.pings = settings.pings.max(1);
        (self.begun, self.settled, self.oldest) = (0, 0, 0);
        self.batch = batch;
        (self.target, self.check) = (check.target, check.id);
        (self.at, self.spacing, self.timeout) = (check.at, settings.spacing, settings.timeout);
        (self.ended, self.last_reply) = (check.at, None);
        self.few = [EchoState::Planned; INLINE];
        self.more.clear();
        self.more.resize(usize::from(self.pings).saturating_sub(INLINE), EchoState::Planned);
    }

    pub(super) fn key(&self, index: u32, ping: u16) -> EchoKey {
        EchoKey::new(index, self.first.wrapping_add(ping))
    }

    /// Which echo of this check has the key: of those begun, the last one that fits its 12 bits.
    pub(super) fn ping_of(&self, key: EchoKey) -> Option<u16> {
        let last = self.begun.checked_sub(1)?;
        let back = last.wrapping_sub(key.after(self.first)) & 0x0fff;
        last.checked_sub(back)
    }

    pub(super) fn echo(&self, ping: u16) -> &EchoState {
        let place = usize::from(ping);
        let echo = self.few.get(place).or_else(|| self.more.get(place.wrapping_sub(INLINE)));
        echo.unwrap_or(&EchoState::Planned)
    }

    pub(super) fn set(&mut self, ping: u16, state: EchoState) {
        let place = usize::from(ping);
        let echo = match self.few.get_mut(place) {
            Some(echo) => Some(echo),
            None => self.more.get_mut(place.wrapping_sub(INLINE)),
        };
        if let Some(echo) = echo {
            *echo = state;
        }
    }

    pub(super) fn planned(&self, ping: u16) -> Mono {
        self.at.plus(self.spacing.saturating_mul(u32::from(ping)))
    }

    /// When the echo was sent, if it still waits.
    pub(super) fn sent_at(&self, ping: u16) -> Option<Mono> {
        match *self.echo(ping) {
            EchoState::Waiting { late, .. } => Some(self.planned(ping).plus(Duration::from_nanos(u64::from(late)))),
            _ => None,
        }
    }

    /// The first echo without its result.
    pub(super) fn oldest(&self) -> u16 {
        self.oldest
    }

    pub(super) fn settle(&mut self, ping: u16, echo: Echo, at: Mono) {
        if matches!(self.echo(ping), EchoState::Done(_)) {
            return;
        }
        self.set(ping, EchoState::Done(echo));
        self.settled += 1;
        self.ended = self.ended.max(at);
        while self.oldest < self.pings && matches!(self.echo(self.oldest), EchoState::Done(_)) {
            self.oldest += 1;
        }
    }

    /// An echo that is lost, or will be if nothing comes, is lost because of this; the first reason stays.
    pub(super) fn annotate(&mut self, ping: u16, loss: Loss) {
        let lost = Echo::Lost(loss);
        match *self.echo(ping) {
            EchoState::Waiting { late, fate: Echo::Lost(Loss::NoReply) } => {
                self.set(ping, EchoState::Waiting { late, fate: lost });
            }
            EchoState::Done(Echo::Lost(Loss::NoReply)) => self.set(ping, EchoState::Done(lost)),
            _ => {}
        }
    }

    /// An echo that still waits is not lost if nothing more comes, but unknown.
    pub(super) fn doubt(&mut self, ping: u16, cause: Cause) {
        if let EchoState::Waiting { late, fate: Echo::Lost(_) } = *self.echo(ping) {
            self.set(ping, EchoState::Waiting { late, fate: Echo::Unknown(cause) });
        }
    }

    /// Whether the check before this one had a reply to that echo.
    pub(super) fn was_answered(&self, ping: u16) -> bool {
        ping < REMEMBERED && self.answered_before >> ping & 1 == 1
    }

    pub(super) fn sample(&self) -> Sample {
        let echoes: Echoes = (0..self.pings)
            .map(|ping| match *self.echo(ping) {
                EchoState::Done(echo) => echo,
                EchoState::Waiting { fate, .. } => fate,
                EchoState::Planned => Echo::Unknown(Cause::NotSent),
            })
            .collect();
        Sample::new(self.target, self.at, self.ended, echoes).with_last_reply(self.last_reply)
    }
}
