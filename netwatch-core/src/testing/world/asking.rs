//! What a check of a device finds: echo by echo, from what is true at the time.

use std::time::Duration;

use fastrand::Rng;

use super::fate::{Fate, LocalTrouble};
use super::network::Device;
use super::span::{Span, Spans};
use crate::model::{Cause, Echo, Echoes, Loss, Mono, Rtt, Sample, Settings, TargetId};

/// The line between netwatch and one device.
#[derive(Debug)]
pub(super) struct Line {
    silent: Spans,
    unplugged: Spans,
    local: Vec<LocalTrouble>,
    loss: f64,
    turmoil_ends: Mono,
    rtt: Rtt,
    chance: Rng,
    /// From when until when nothing happens on it: it is asked far more often than something does.
    quiet: Span,
    /// Checks that chance alone made silent.
    pub(super) unlucky: Vec<Span>,
}

impl Line {
    pub(super) fn new(device: &Device, number: usize, fate: &Fate, turmoil: Duration, chance: Rng) -> Line {
        Line {
            silent: device.silent.union(&fate.severed),
            unplugged: fate.unplugged.clone(),
            local: fate.local.iter().filter(|trouble| trouble.concerns(number)).copied().collect(),
            loss: device.loss,
            turmoil_ends: Mono::ZERO.plus(turmoil),
            rtt: Rtt::from_duration(device.rtt),
            chance,
            quiet: Span::new(Mono::ZERO, Mono::ZERO),
            unlucky: Vec::new(),
        }
    }

    /// What a check that begins at `at` finds.
    pub(super) fn check(&mut self, target: TargetId, at: Mono, settings: &Settings) -> Sample {
        let over = at.plus(settings.check_duration());
        if self.quiet.to < over {
            self.quiet = self.quiet_from(at);
        }
        let is_quiet = self.quiet.from <= at && over <= self.quiet.to;
        let (mut sent, mut ended, mut last_reply) = (at, at, None);
        let mut echoes = Echoes::new();
        let mut was_bad_luck = false;
        for _ in 0..settings.pings {
            let mut echo = if is_quiet { Echo::Reply(self.rtt) } else { self.echo(sent) };
            if self.loss > 0.0
                && at < self.turmoil_ends
                && matches!(echo, Echo::Reply(_))
                && self.chance.f64() < self.loss
            {
                echo = Echo::Lost(Loss::NoReply);
                was_bad_luck = true;
            }
            echoes.push(echo);
            match echo {
                Echo::Reply(rtt) => {
                    let arrived = sent.plus(rtt.as_duration());
                    (ended, last_reply) = (ended.max(arrived), Some(arrived).max(last_reply));
                }
                Echo::Lost(_) => ended = ended.max(sent.plus(settings.timeout)),
                Echo::Unknown(_) => ended = ended.max(sent),
            }
            sent = sent.plus(settings.spacing);
        }
        if was_bad_luck && echoes.lost() == echoes.len() {
            self.unlucky.push(Span::new(at, over));
        }
        Sample::new(target, at, ended, echoes).with_last_reply(last_reply)
    }

    fn quiet_from(&self, at: Mono) -> Span {
        let lists = [self.silent.next_from(at), self.unplugged.next_from(at)];
        let local = self.local.iter().filter(|trouble| trouble.span.to > at).map(|trouble| trouble.span.from);
        let next = lists.into_iter().flatten().chain(local).min();
        Span::new(at, next.unwrap_or(Mono::from_nanos(u64::MAX)))
    }

    fn echo(&mut self, sent: Mono) -> Echo {
        if self.unplugged.contains(sent) {
            return Echo::Unknown(Cause::InterfaceDown);
        }
        let trouble = self.local.iter().find(|trouble| trouble.span.contains(sent)).copied();
        if let Some(trouble) = trouble.filter(|trouble| trouble.is_total || self.chance.bool()) {
            return Echo::Unknown(trouble.cause);
        }
        if self.silent.contains(sent) { Echo::Lost(Loss::NoReply) } else { Echo::Reply(self.rtt) }
    }
}
