//! Moments of a conversation at which the front of [`OpenSmtpd`](super::OpenSmtpd) can be made to stand still, so that a
//! test knows exactly how far a mail has come when it strikes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a held conversation looks whether the server is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// A moment of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The client is connected and waits for the greeting.
    Connected,
    /// The client has said DATA, of which the server has not heard.
    Data,
    /// Some lines of the content have reached the server.
    Content,
    /// The final dot has come, and has not reached the server.
    Dot,
    /// The server has taken the mail, and its 250 has not reached the client.
    Taken,
    /// The client has heard the 250 and has said goodbye.
    Confirmed,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Moment>,
    reached: BTreeMap<Moment, usize>,
    /// What was held before this number of cuts is over.
    cuts: usize,
}

/// Where conversations stand still.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Gate {
    /// Holds every conversation at this moment from now on, and forgets who reached it before.
    pub(super) fn hold(&self, moment: Moment) {
        let mut state = self.lock();
        state.held = Some(moment);
        state.reached.clear();
    }

    /// Lets everything go on.
    pub(super) fn release(&self) {
        self.lock().held = None;
        self.changed.notify_all();
    }

    /// Ends the conversations that are held, as if the network between had gone, and holds no other.
    pub(super) fn cut(&self) {
        let mut state = self.lock();
        state.held = None;
        state.cuts += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until a conversation has reached this moment since the last [`hold`](Gate::hold); panics after `limit`.
    pub(super) fn wait_reached(&self, moment: Moment, limit: Duration) {
        let begin = Instant::now();
        let mut state = self.lock();
        while !state.reached.contains_key(&moment) {
            assert!(begin.elapsed() < limit, "no conversation came to {moment:?} within {limit:?}");
            state = self.wait(state);
        }
    }

    /// A conversation is at this moment; `None` once it is to end.
    pub(super) fn pass(&self, moment: Moment) -> Option<()> {
        let mut state = self.lock();
        *state.reached.entry(moment).or_insert(0) += 1;
        self.changed.notify_all();
        let cuts = state.cuts;
        while state.held == Some(moment) && state.cuts == cuts && !self.stop.load(Ordering::Relaxed) {
            state = self.wait(state);
        }
        (state.cuts == cuts && !self.stop.load(Ordering::Relaxed)).then_some(())
    }

    /// Ends everything that is held, for good.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0
    }
}
