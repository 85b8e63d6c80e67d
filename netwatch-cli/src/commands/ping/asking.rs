//! The asking itself: names are looked up, echoes handed to the probe shortly ahead of their time, and what becomes of them
//! goes to whoever shows it. It runs beside the showing, so that a slow terminal delays no echo.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netwatch_core::{Cause, Check, CheckId, Echo, Probe, Report, Sample, Settings, TargetId};
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
    /// Whether who has answered is not asked again.
    pub(crate) until_answered: bool,
    /// How the probe is to ask, one echo a check.
    pub(crate) settings: Arc<Settings>,
}

/// Asks everybody who has an address or a name that gets one, and returns when the last echo has its fate. Dropping it ends it at once.
pub(crate) async fn ask(
    mut addresses: Vec<Option<SocketAddr>>,
    mut names: Names,
    manner: Manner,
    probe: Arc<dyn Probe>,
    out: UnboundedSender<News>,
) {
    let answered: Arc<[AtomicBool]> = addresses.iter().map(|_| AtomicBool::new(false)).collect();
    let mut queue = Queue::new(manner.gap, manner.interval, manner.rounds);
    let first = |host: usize| Ask { host: u32::try_from(host).unwrap_or(u32::MAX), round: 0, tries: 0 };
    let known = addresses.iter().enumerate().filter(|(_, address)| address.is_some());
    known.for_each(|(host, _)| queue.add(first(host)));
    let mut slices = JoinSet::new();
    let mut is_naming = true;
    let name: Arc<str> = "".into();
    let mut next_slice = wire::mono_now();
    let (again, mut unsent) = unbounded_channel();
    let desk = Arc::new(Desk { out: out.clone(), answered: Arc::clone(&answered), again });
    loop {
        while let Ok(asks) = unsent.try_recv() {
            take_back(&mut queue, asks);
        }
        let now = wire::mono_now();
        if now >= next_slice {
            queue.not_before(now.plus(HEAD_START));
            let done = |host: u32| {
                manner.until_answered && answered.get(host as usize).is_some_and(|done| done.load(Ordering::Relaxed))
            };
            let due = queue.take(now.plus(AHEAD), done).into_iter().filter_map(|(at, ask)| {
                let (id, target) = (CheckId::new(ask.number()), TargetId::from_index(ask.host as usize));
                let address = addresses.get(ask.host as usize).copied().flatten()?;
                Some(Check::new(id, target, Arc::clone(&name), address, at, Arc::clone(&manner.settings)))
            });
            let due: Vec<Check> = due.collect();
            if !due.is_empty() {
                next_slice = now.plus(SLICE);
                queue.speed_up();
                let (probe, desk) = (Arc::clone(&probe), Arc::clone(&desk));
                slices.spawn(async move { probe.check_many(&due, &*desk).await });
            }
        }
        if queue.is_empty() && slices.is_empty() && !is_naming {
            return;
        }
        let wake = queue.next().map(|next| next.minus(AHEAD).max(next_slice).since(wire::mono_now()));
        tokio::select! {
            () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => {}
            // Whatever a slice did not send was told before its end.
            Some(_) = slices.join_next() => {}
            Some(asks) = unsent.recv() => take_back(&mut queue, asks),
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

fn take_back(queue: &mut Queue, unsent: Vec<Ask>) {
    queue.slow_down();
    unsent.into_iter().for_each(|ask| queue.add(ask));
}

/// Where the probe puts what it found.
struct Desk {
    out: UnboundedSender<News>,
    answered: Arc<[AtomicBool]>,
    /// What this machine did not send.
    again: UnboundedSender<Vec<Ask>>,
}

impl Report for Desk {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        let mut fates = Vec::with_capacity(samples.len());
        let mut again = Vec::new();
        for (id, sample) in samples {
            let ask = Ask::from_number(id.number());
            let echo = sample.echoes.iter().next().unwrap_or(Echo::Unknown(Cause::NoResult));
            match echo {
                Echo::Unknown(Cause::NotSent) if ask.tries.saturating_add(1) < MOST_TRIES => {
                    again.push(Ask { tries: ask.tries.saturating_add(1), ..ask });
                    continue;
                }
                Echo::Reply(_) => {
                    if let Some(answered) = self.answered.get(ask.host as usize) {
                        answered.store(true, Ordering::Relaxed);
                    }
                }
                _ => {}
            }
            fates.push((ask, echo));
        }
        let _ = self.out.send(News::Echoes(fates));
        if !again.is_empty() {
            let _ = self.again.send(again);
        }
    }
}
