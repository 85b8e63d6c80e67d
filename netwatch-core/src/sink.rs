//! Where the state of things is shown or written: the trait [`StatusSink`].

use async_trait::async_trait;

use crate::model::{Event, Sample, Start, Transition};

/// Is told how things stand.
///
/// The caller gives every sink a queue and a task of its own: a slow sink delays nobody else. Calls to one sink never
/// overlap. `start` comes first, and again after every reload. Transitions and events are never dropped and come in
/// the order in which they were decided; samples may be dropped when the sink does not keep up, and the drops are
/// counted.
///
/// The implementer may take its time, but must come back: what piles up behind it is memory.
#[async_trait]
pub trait StatusSink: Send + Sync {
    /// Where things stand now. Everything told before is void.
    async fn start(&self, start: &Start) {
        let _ = start;
    }

    /// Targets changed their status.
    async fn transitions(&self, changed: &[Transition]);

    /// Checks finished.
    async fn samples(&self, samples: &[Sample]) {
        let _ = samples;
    }

    /// Something else happened.
    async fn events(&self, events: &[Event]) {
        let _ = events;
    }

    /// The last call: write out what is held back.
    async fn stop(&self) {}
}
