//! Hands slices of checks to their probes, each slice in a task of its own that cannot outlive its checks.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::checks::{Inbox, give_up_at};
use crate::model::Mono;
use crate::probe::{Check, CheckId, Probe};

/// The slices under way. Dropping this drops their futures.
pub(super) struct Slices {
    inbox: Arc<Inbox>,
    tasks: JoinSet<()>,
}

impl Slices {
    /// No slice yet; results go to `inbox`.
    pub(super) fn new(inbox: Arc<Inbox>) -> Slices {
        Slices { inbox, tasks: JoinSet::new() }
    }

    /// Hands `checks` to the probe at `place` of the driver's list. The future is dropped when the last of them is
    /// given up, so that a probe that does not keep its timeouts piles up nothing.
    pub(super) fn hand_over(&mut self, now: Mono, place: usize, probe: Arc<dyn Probe>, checks: Vec<Check>) {
        let Some(end) = checks.iter().map(|check| give_up_at(check.at, &check.settings)).max() else { return };
        let slice = Slice { inbox: self.inbox.clone(), checks: checks.iter().map(|check| check.id).collect() };
        self.tasks.spawn(async move {
            let asking = AssertUnwindSafe(probe.check_many(checks, &*slice.inbox)).catch_unwind();
            if let Ok(Err(_panic)) = timeout(end.since(now), asking).await {
                slice.inbox.panicked(place);
            }
        });
        while self.tasks.try_join_next().is_some() {}
    }

    /// Drops all that is under way.
    pub(super) fn stop(&mut self) {
        self.tasks.abort_all();
    }
}

/// However a slice ends (returned, dropped, panicked), the book learns that nothing more comes from it.
struct Slice {
    inbox: Arc<Inbox>,
    checks: Box<[CheckId]>,
}

impl Drop for Slice {
    fn drop(&mut self) {
        self.inbox.ended(self.checks.iter().copied());
    }
}
