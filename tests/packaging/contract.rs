//! What an embedder writes against netwatch-core without a single feature: a probe, a notifier, a sink and a journal of
//! its own, and the pure logic driven by hand. `run` compiles this outside the workspace against the packaged crate,
//! with every set of features.

use std::sync::Arc;

use netwatch_core::{
    Check, Commit, CommitError, DeliveryError, Journal, LoadError, Monitor, MonitorOptions, Notification, Notifier,
    Now, Output, Plan, Probe, Receipt, Sample, Saved, StatusSink, Transition, async_trait,
};

/// Finds every device there.
pub struct Cheerful;

#[async_trait]
impl Probe for Cheerful {
    async fn check(&self, check: &Check) -> Sample {
        Sample::new(check.target, check.at, check.at, [].into_iter().collect())
    }
}

/// Accepts every mail.
pub struct Postbox;

#[async_trait]
impl Notifier for Postbox {
    async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
        Ok(Receipt::accepted(&notification.recipients))
    }
}

/// Looks away.
pub struct Blind;

#[async_trait]
impl StatusSink for Blind {
    async fn transitions(&self, _changed: &[Transition]) {}
}

/// Keeps everything in memory.
#[derive(Default)]
pub struct Notebook(Saved);

impl Journal for Notebook {
    fn load(&mut self) -> Result<Saved, LoadError> {
        Ok(self.0.clone())
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), CommitError> {
        self.0.apply(commit);
        Ok(())
    }
}

/// Decides on these samples, taken at `now`, with a journal that takes everything at once.
pub fn decide(plan: Plan, now: Now, samples: &[Sample]) -> Vec<Output> {
    let mut monitor = Monitor::new(Arc::new(plan), &Saved::default(), now, MonitorOptions::new([0; 16], "localhost"));
    monitor.handle_samples(now, samples);
    let mut outputs = Vec::new();
    while let Some(output) = monitor.poll_output() {
        if let Output::Commit(commit) = &output {
            monitor.handle_committed(now, commit.seq);
        }
        outputs.push(output);
    }
    outputs
}
