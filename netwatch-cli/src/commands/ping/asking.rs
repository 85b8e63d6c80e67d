//! The asking itself: names are looked up, echoes handed to the probe shortly ahead of their time, and what becomes of them
//! goes to whoever shows it. It runs beside the showing, so that a slow terminal delays no echo.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{Cause, Check, CheckId, Echo, Mono, Probe, Report, Sample, Settings, TargetId};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::lookup::{Name, Names};
use super::queue::{Ask, MOST_TRIES, Queue};
use crate::wire;

/// Echoes are handed over in slices that end so far ahead.
const AHEAD: Duration = Duration::from_millis(100);
/// From one slice to the next.
const SLICE: Duration = Duration::from_millis(50);
/// The least time between handing an echo over and its departure.
const HEAD_START: Duration = Duration::from_millis(5);

/// What was learned.
#[derive(Debug)]
pub(crate) enum News {
    /// A name has this address, or none for this cause.
    Address(u32, Result<SocketAddr, Cause>),
    /// Echoes have their fates.
    Echoes(Vec<(Ask, Echo)>),
}

/// How to ask.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// From one packet to the next.
    pub(crate) gap: Duration,
    /// From one echo to the next of the same host.
    pub(crate) interval: Duration,
    /// How many each; `None` without end.
    pub(crate) rounds: Option<u32>,
    /// Whether a host gets its next echo only when the one before is known not to be answered.
    pub(crate) until_answered: bool,
    /// How the probe is to ask, one echo a check.
    pub(crate) settings: Arc<Settings>,
}

/// Asks everybody who has an address or a name that gets one, and returns when the last echo has its fate. Dropping it
/// ends it at once.
pub(crate) async fn ask(
    mut addresses: Vec<Option<SocketAddr>>,
    mut names: Names,
    manner: Manner,
    probe: Arc<dyn Probe>,
    out: UnboundedSender<News>,
) {
    let rounds = if manner.until_answered { Some(1) } else { manner.rounds };
    let mut queue = Queue::new(manner.gap, manner.interval, rounds);
    let first = |host: usize| Ask { host: u32::try_from(host).unwrap_or(u32::MAX), round: 0, tries: 0 };
    let known = addresses.iter().enumerate().filter(|(_, address)| address.is_some());
    known.for_each(|(host, _)| queue.add(first(host)));
    let mut slices = JoinSet::new();
    let mut is_naming = true;
    let name: Arc<str> = "".into();
    let mut next_slice = wire::mono_now();
    let (back, mut returned) = unbounded_channel();
    let desk =
        Arc::new(Desk { out: out.clone(), tries: manner.until_answered.then_some(manner.rounds).flatten(), back });
    loop {
        while let Ok(back) = returned.try_recv() {
            take_back(&mut queue, back, manner.interval);
        }
        let now = wire::mono_now();
        if now >= next_slice {
            queue.not_before(now.plus(HEAD_START));
            let due = queue.take(now.plus(AHEAD)).into_iter().filter_map(|(at, ask)| {
                let (id, target) = (CheckId::new(ask.number()), TargetId::from_index(ask.host as usize));
                let address = addresses.get(ask.host as usize).copied().flatten()?;
                Some(Check::new(id, target, Arc::clone(&name), address, at, Arc::clone(&manner.settings)))
            });
            let due: Vec<Check> = due.collect();
            if !due.is_empty() {
                next_slice = now.plus(SLICE);
                queue.speed_up();
                let (probe, desk) = (Arc::clone(&probe), Arc::clone(&desk));
                slices.spawn(async move { probe.check_many(due, &*desk).await });
            }
        }
        if queue.is_empty() && slices.is_empty() && !is_naming {
            return;
        }
        let wake = queue.next().map(|next| next.minus(AHEAD).max(next_slice).since(wire::mono_now()));
        tokio::select! {
            () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => {}
            // Whatever comes back from a slice came before its end.
            Some(_) = slices.join_next() => {}
            Some(back) = returned.recv() => take_back(&mut queue, back, manner.interval),
            found = names.next(), if is_naming => match found {
                Some(Name { host, address }) => {
                    let _ = out.send(News::Address(first(host).host, address));
                    if let (Ok(address), Some(place)) = (address, addresses.get_mut(host)) {
                        *place = Some(address);
                        queue.add(first(host));
                    }
                }
                None => is_naming = false,
            },
        }
    }
}

/// What is to be asked again.
#[derive(Debug, Default)]
struct Back {
    /// This machine did not send these.
    unsent: Vec<Ask>,
    /// Nobody answered these, planned for then.
    unanswered: Vec<(Mono, Ask)>,
}

fn take_back(queue: &mut Queue, back: Back, interval: Duration) {
    if !back.unsent.is_empty() {
        queue.slow_down();
    }
    back.unsent.into_iter().for_each(|ask| queue.add(ask));
    back.unanswered.into_iter().for_each(|(at, ask)| queue.add_later(at.plus(interval), ask));
}

/// Where the probe puts what it found.
struct Desk {
    out: UnboundedSender<News>,
    /// How often a host is asked until it answers, if its answer ends it.
    tries: Option<u32>,
    back: UnboundedSender<Back>,
}

impl Report for Desk {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        let mut fates = Vec::with_capacity(samples.len());
        let mut back = Back::default();
        for (id, sample) in samples {
            let ask = Ask::from_number(id.number());
            let echo = sample.echoes.iter().next().unwrap_or(Echo::Unknown(Cause::NoResult));
            let tries = ask.tries.saturating_add(1);
            if echo == Echo::Unknown(Cause::NotSent) && tries < MOST_TRIES {
                back.unsent.push(Ask { tries, ..ask });
                continue;
            }
            let round = ask.round.saturating_add(1);
            if !matches!(echo, Echo::Reply(_)) && self.tries.is_some_and(|tries| round < tries) {
                back.unanswered.push((sample.at, Ask { round, tries: 0, ..ask }));
            }
            fates.push((ask, echo));
        }
        let _ = self.out.send(News::Echoes(fates));
        if !back.unsent.is_empty() || !back.unanswered.is_empty() {
            let _ = self.back.send(back);
        }
    }
}
