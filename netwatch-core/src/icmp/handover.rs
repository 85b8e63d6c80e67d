//! Between whoever asks and the engine's thread: slices of checks go in, finished samples come out.
//!
//! A slice costs one message and one wake of the engine; results come back in groups, so that the asking task is
//! woken 20 times a second at most. Nothing here belongs to an executor.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use super::clock;
use super::manner::Manner;
use crate::model::{Mono, Sample, TargetId};
use crate::probe::{Check, CheckId};

/// What the engine is told.
#[derive(Debug)]
pub(super) enum Command {
    Submit(Submission),
    /// Nobody waits for the slice of this number any more.
    Cancel(u64),
    Stop,
}

/// A slice of checks.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) number: u64,
    pub(super) asks: Vec<Ask>,
    pub(super) results: Results,
}

/// What the engine needs of a check.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) id: CheckId,
    pub(super) target: TargetId,
    /// Never an IPv4-mapped one.
    pub(super) address: SocketAddr,
    pub(super) at: Mono,
    pub(super) manner: Manner,
}

impl Ask {
    pub(super) fn of(check: &Check) -> Ask {
        let mut address = SocketAddr::new(check.address.ip().to_canonical(), 0);
        if let (SocketAddr::V6(ours), SocketAddr::V6(given)) = (&mut address, check.address) {
            ours.set_scope_id(given.scope_id());
        }
        Ask { id: check.id, target: check.target, address, at: check.at, manner: Manner::of(&check.settings) }
    }
}

/// The asking side.
#[derive(Debug)]
pub(super) struct Handover {
    commands: Sender<Command>,
    bell: Arc<OwnedFd>,
    numbers: AtomicU64,
    round: Arc<Round>,
}

/// The engine's ear: the commands, and the eventfd that is readable when there are any.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) commands: Receiver<Command>,
    pub(super) bell: Arc<OwnedFd>,
    pub(super) round: Arc<Round>,
}

/// When the engine is to come round at the latest, for whoever watches over it from another thread.
#[derive(Debug)]
pub(super) struct Round(AtomicU64);

impl Round {
    /// Stands for an engine that sleeps until it is given work.
    const AT_REST: u64 = u64::MAX;

    /// The engine works, or sleeps until then; `None` if it has nothing to do.
    pub(super) fn due_back(&self, at: Option<Mono>) {
        self.0.store(at.map_or(Round::AT_REST, Mono::as_nanos), Ordering::Relaxed);
    }

    /// It is about to be given work. Called before it is: an engine that has seen it says itself when it is back.
    fn called(&self, now: Mono) {
        self.0.fetch_min(now.as_nanos(), Ordering::Relaxed);
    }

    fn get(&self) -> Option<Mono> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos != Round::AT_REST).then(|| Mono::from_nanos(nanos))
    }
}

/// Both ends.
pub(super) fn handover() -> std::io::Result<(Handover, Inbox)> {
    use rustix::event::{EventfdFlags, eventfd};
    let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
    let (sender, receiver) = channel();
    let round = Arc::new(Round(AtomicU64::new(Round::AT_REST)));
    let handover =
        Handover { commands: sender, bell: Arc::clone(&bell), numbers: AtomicU64::new(0), round: Arc::clone(&round) };
    Ok((handover, Inbox { commands: receiver, bell, round }))
}

impl Handover {
    /// Hands the checks to the engine.
    pub(super) fn submit(&self, checks: &[Check]) -> Ticket<'_> {
        let shared = Arc::new(Shared::default());
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let results = Results(Arc::clone(&shared));
        let asks = checks.iter().map(Ask::of).collect();
        self.round.called(clock::mono());
        self.tell(Command::Submit(Submission { number, asks, results }));
        Ticket { handover: self, shared, number, is_over: false }
    }

    /// When the engine is to come round at the latest; `None` if it has nothing to do.
    pub(super) fn due_back(&self) -> Option<Mono> {
        self.round.get()
    }

    /// Ends the engine's thread.
    pub(super) fn stop(&self) {
        self.tell(Command::Stop);
    }

    fn tell(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            // The counter of an eventfd overflows only when nobody listens any more.
            let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
        }
    }
}

/// A slice under way; dropping it cancels what is left of it.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    handover: &'a Handover,
    shared: Arc<Shared>,
    number: u64,
    is_over: bool,
}

impl Ticket<'_> {
    /// Moves what has finished into `into`; ready when something did or the slice is over, which `true` tells.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, into: &mut Vec<(CheckId, Sample)>) -> Poll<bool> {
        self.shared.waker.register(context.waker());
        // Looked at first: what was finished before the end is in `samples` by then.
        self.is_over = self.shared.is_over.load(Ordering::Acquire);
        hand_on(&mut self.shared.lock(), into);
        if self.is_over || !into.is_empty() { Poll::Ready(self.is_over) } else { Poll::Pending }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.handover.tell(Command::Cancel(self.number));
        }
    }
}

/// Where the engine puts what has finished. Dropping it ends the slice, finished or not.
#[derive(Debug)]
pub(super) struct Results(Arc<Shared>);

impl Results {
    /// Hands over the samples, unless the other side holds the lock just now: the engine never waits.
    pub(super) fn offer(&self, samples: &mut Vec<(CheckId, Sample)>) -> bool {
        let mut finished = match self.0.samples.try_lock() {
            Ok(finished) => finished,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        hand_on(samples, &mut finished);
        drop(finished);
        self.0.waker.wake();
        true
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

/// Moves the samples on, with the room they are in where that is possible: none is kept for a burst that is over.
fn hand_on(from: &mut Vec<(CheckId, Sample)>, to: &mut Vec<(CheckId, Sample)>) {
    if to.is_empty() {
        *to = std::mem::take(from);
    } else {
        to.append(&mut std::mem::take(from));
    }
}

#[derive(Debug, Default)]
struct Shared {
    waker: AtomicWaker,
    samples: Mutex<Vec<(CheckId, Sample)>>,
    is_over: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<(CheckId, Sample)>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_is_called_and_does_not_come_is_missed() {
        let (handover, inbox) = handover().unwrap();
        assert_eq!(handover.due_back(), None, "at rest");
        let before = clock::mono();
        let ticket = handover.submit(&[]);
        let back = handover.due_back().expect("it was called");
        assert!(before <= back && back <= clock::mono());
        drop(ticket);
        inbox.round.due_back(Some(Mono::from_nanos(7)));
        let _again = handover.submit(&[]);
        assert_eq!(handover.due_back(), Some(Mono::from_nanos(7)), "a second call excuses nothing");
        inbox.round.due_back(None);
        assert_eq!(handover.due_back(), None);
    }
}
