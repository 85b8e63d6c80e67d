//! What an embedder writes against netwatch-core without a single feature: a probe, a notifier, a sink and a journal of
//! its own. `run` compiles this outside the workspace against the packaged crate, with every set of features.

use netwatch_core::{
    Check, Commit, CommitError, DeliveryError, Journal, LoadError, Notification, Notifier, Plan, Probe, Receipt,
    Sample, Saved, StatusSink, Transition, async_trait,
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

/// A plan that watches nothing.
pub fn plan() -> Plan {
    Plan::new(Vec::new())
}
