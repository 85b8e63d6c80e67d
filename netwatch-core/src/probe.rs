//! How a device is asked: the trait [`Probe`].

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};

use crate::model::{Mono, Plan, Sample, Settings, TargetId};

/// Names a check within one run of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(u64);

impl CheckId {
    /// The check of this number.
    pub const fn new(number: u64) -> CheckId {
        CheckId(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// One round of asking one target.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Check {
    /// Its name.
    pub id: CheckId,
    /// Which target.
    pub target: TargetId,
    /// Where it is. The port is 0; the scope of a link-local IPv6 address is set.
    pub address: SocketAddr,
    /// When the first echo is to leave.
    pub at: Mono,
    /// How to ask.
    pub settings: Arc<Settings>,
    pub(crate) named: Named,
}

/// Where the name is found. A plan is shared by all its checks; a name of its own would be counted up and down in
/// another corner of the memory for each.
#[derive(Debug, Clone)]
pub(crate) enum Named {
    Own(Arc<str>),
    InPlan(Arc<Plan>),
}

impl Check {
    /// A check of the target at `address`, to begin at `at`.
    pub fn new(
        id: CheckId,
        target: TargetId,
        name: impl Into<Arc<str>>,
        address: SocketAddr,
        at: Mono,
        settings: Arc<Settings>,
    ) -> Check {
        Check { id, target, address, at, settings, named: Named::Own(name.into()) }
    }

    /// The same of a target of this plan, whose name it bears: for callers that make many.
    pub fn planned(
        id: CheckId,
        target: TargetId,
        plan: Arc<Plan>,
        address: SocketAddr,
        at: Mono,
        settings: Arc<Settings>,
    ) -> Check {
        Check { id, target, address, at, settings, named: Named::InPlan(plan) }
    }

    /// The target's name.
    pub fn name(&self) -> &str {
        match &self.named {
            Named::Own(name) => name,
            Named::InPlan(plan) => plan.target(self.target).map_or("", |target| &target.name),
        }
    }

    /// When its last timeout ends, if it began as planned.
    pub fn deadline(&self) -> Mono {
        self.at.plus(self.settings.check_duration())
    }
}

/// Where a probe puts what it found, as checks finish, in any grouping.
pub trait Report: Send + Sync {
    /// Takes finished checks. Never blocks. A check that was reported before is ignored.
    fn report(&self, samples: &[(CheckId, Sample)]);
}

/// How many checks the default [`Probe::check_many`] runs at a time.
const CONCURRENT_CHECKS: usize = 256;

/// Asks devices.
///
/// The caller hands over each check shortly (about 50 ms) before its time and gives up on it when its
/// [deadline](Check::deadline) and some slack are over; a check that was not reported by then, or whose future was
/// dropped, is *unknown*.
///
/// The implementer answers for the difference between *lost* and *unknown*: [`Echo::Lost`](crate::Echo::Lost) only
/// if the device was asked and is known not to have answered, [`Echo::Unknown`](crate::Echo::Unknown) whenever this
/// machine was or may have been the reason. It does not block the thread, and it keeps the target's `timeout` itself.
///
/// ```
/// use netwatch_core::{Check, Echo, Mono, Probe, Rtt, Sample, async_trait};
///
/// struct AlwaysThere;
///
/// #[async_trait]
/// impl Probe for AlwaysThere {
///     async fn check(&self, check: &Check) -> Sample {
///         Sample::new(check.target, check.at, check.at, [Echo::Reply(Rtt::default())].into_iter().collect())
///     }
/// }
/// ```
#[async_trait]
pub trait Probe: Send + Sync {
    /// Asks once, and returns when the result is certain.
    async fn check(&self, check: &Check) -> Sample;

    /// Asks many, reporting each as it finishes. The default runs [`check`](Probe::check) for up to 256 at a time; if
    /// one panics the others are finished first.
    ///
    /// The checks are the probe's own: hundreds of thousands may be under way for seconds, and what it needs no more of
    /// them it may drop.
    async fn check_many(&self, due: Vec<Check>, out: &dyn Report) {
        let panicked = &Mutex::new(None);
        stream::iter(due)
            .for_each_concurrent(CONCURRENT_CHECKS, |check| async move {
                match AssertUnwindSafe(self.check(&check)).catch_unwind().await {
                    Ok(sample) => out.report(&[(check.id, sample)]),
                    Err(panic) => *panicked.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic),
                }
            })
            .await;
        let panicked = panicked.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
    }

    /// When a loop of the probe's own, on a thread of its own, is to come round at the latest, as `CLOCK_MONOTONIC`
    /// counts: a time long past says that it stands still. `None`, the default, if it has no such loop, or the loop has
    /// no work. Never blocks; a watchdog may ask from any thread.
    fn due_back(&self) -> Option<Mono> {
        None
    }
}
