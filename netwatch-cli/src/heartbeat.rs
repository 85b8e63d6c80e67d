//! Calls the heartbeat while all four parts of netwatch go on: whoever waits for it learns that netwatch does not watch
//! any more, whatever the reason.

use std::time::{Duration, Instant};

use netwatch_core::{Handle, Part};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::call::{CallError, Caller};
use crate::config::Heartbeat;

/// Who says in error_log.txt that it fails.
const COMPONENT: &str = "heartbeat";
/// When a call is over, whatever the other side does.
const LIMIT: Duration = Duration::from_secs(10);
/// How often at most it is said that calls fail.
const COMPLAIN_EVERY: Duration = Duration::from_secs(600);
/// A part that has stood still for so long, or for as long as it is from one call to the next, does not go on.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Calls whatever `wanted` says, one call at a time, for as long as it is polled.
pub(crate) async fn beat(handle: Handle, mut wanted: watch::Receiver<Option<Heartbeat>>) {
    // Answered once netwatch runs.
    if handle.maintenance().await.is_err() {
        return std::future::pending().await;
    }
    let mut heart = Heart { handle, caller: None, complained: None };
    loop {
        let Some(heartbeat) = wanted.borrow_and_update().clone() else {
            if wanted.changed().await.is_err() {
                return std::future::pending().await;
            }
            continue;
        };
        let mut beats = interval(heartbeat.every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let other = async {
            if wanted.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = other => {}
            () = async {
                loop {
                    beats.tick().await;
                    heart.beat(&heartbeat).await;
                }
            } => {}
        }
    }
}

struct Heart {
    handle: Handle,
    /// Made at the first call.
    caller: Option<Caller>,
    /// When it was last said that calls fail.
    complained: Option<Instant>,
}

impl Heart {
    async fn beat(&mut self, heartbeat: &Heartbeat) {
        let stuck = self.handle.progress().stuck(PATIENCE.min(heartbeat.every));
        if !stuck.is_empty() {
            return self.complain(&format!("not called, because netwatch does not go on: {}", listed(&stuck))).await;
        }
        match self.call(heartbeat).await {
            Ok(()) => {
                if self.complained.take().is_some() {
                    tracing::info!("the heartbeat is heard again");
                }
            }
            Err(error) => self.complain(&format!("{} was not reached: {error}", heartbeat.site())).await,
        }
    }

    async fn call(&mut self, heartbeat: &Heartbeat) -> Result<(), CallError> {
        let caller = match &mut self.caller {
            Some(caller) => caller,
            none => none.insert(Caller::new()?),
        };
        caller.get(&heartbeat.url, LIMIT).await
    }

    async fn complain(&mut self, message: &str) {
        if self.complained.is_some_and(|at| at.elapsed() < COMPLAIN_EVERY) {
            return;
        }
        self.complained = Some(Instant::now());
        tracing::warn!("the heartbeat: {message}");
        // It waits for the driver, which may be what does not go on.
        let noted = self.handle.trouble(COMPONENT, message);
        let _ = tokio::time::timeout(LIMIT, noted).await;
    }
}

/// The names of parts, for people.
pub(crate) fn listed(parts: &[Part]) -> String {
    let names: Vec<&str> = parts.iter().map(|part| part.code()).collect();
    names.join(", ")
}
