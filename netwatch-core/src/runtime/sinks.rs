//! One queue and one task for each sink: a sink that is slow, stuck or broken holds up nobody else.
//!
//! Transitions and events wait as long as it takes, in the order in which they were decided. Samples are many and the
//! next ones are better: beyond a backlog they are dropped, and counted.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::model::{Event, Mono, Now, Sample, Start, Transition};
use crate::sink::StatusSink;

/// How often at most a sink's failings are told to the others.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

#[derive(Clone)]
enum Item {
    Start(Arc<Start>),
    Transitions(Arc<[Transition]>),
    Events(Arc<[Event]>),
    Samples(Arc<Vec<Sample>>),
    Stop,
}

/// What the task and the driver both know of a sink.
#[derive(Default)]
struct Counters {
    waiting_samples: AtomicUsize,
    panics: AtomicU64,
}

struct Sink {
    name: &'static str,
    queue: UnboundedSender<Item>,
    counters: Arc<Counters>,
    /// Samples kept from it since that was last said, and before.
    dropped: u64,
    dropped_before: u64,
    panics: u64,
    complained: Option<Mono>,
}

/// All sinks.
pub(super) struct Sinks {
    sinks: Vec<Sink>,
    tasks: JoinSet<()>,
    backlog: usize,
    transitions: Vec<Transition>,
    events: Vec<Event>,
}

impl Sinks {
    /// Gives each sink its task. At most `backlog` samples wait for one sink.
    pub(super) fn spawn(sinks: Vec<(&'static str, Arc<dyn StatusSink>)>, backlog: usize) -> Sinks {
        let mut tasks = JoinSet::new();
        let sinks = sinks.into_iter().map(|(name, sink)| {
            let (queue, items) = unbounded_channel();
            let counters = Arc::new(Counters::default());
            tasks.spawn(serve(name, sink, items, counters.clone()));
            Sink { name, queue, counters, dropped: 0, dropped_before: 0, panics: 0, complained: None }
        });
        let sinks = sinks.collect();
        Sinks { sinks, tasks, backlog, transitions: Vec::new(), events: Vec::new() }
    }

    /// Where things stand. Comes before anything else, and again after every reload.
    pub(super) fn start(&mut self, start: Start) {
        self.flush();
        self.send(Item::Start(Arc::new(start)));
    }

    /// At most `backlog` samples wait for one sink from now on.
    pub(super) fn resize(&mut self, backlog: usize) {
        self.backlog = backlog;
    }

    /// Samples: each sink gets all of them or none.
    pub(super) fn samples(&mut self, samples: &Arc<Vec<Sample>>) {
        if samples.is_empty() {
            return;
        }
        let item = Item::Samples(Arc::clone(samples));
        for sink in &mut self.sinks {
            let waiting = sink.counters.waiting_samples.load(Ordering::Relaxed);
            if waiting.saturating_add(samples.len()) > self.backlog && waiting > 0 {
                sink.dropped = sink.dropped.saturating_add(u64::try_from(samples.len()).unwrap_or(u64::MAX));
                continue;
            }
            sink.counters.waiting_samples.fetch_add(samples.len(), Ordering::Relaxed);
            sink.send(item.clone());
        }
    }

    /// A transition. It leaves with the next [`flush`](Sinks::flush).
    pub(super) fn transition(&mut self, transition: Transition) {
        self.flush_events();
        self.transitions.push(transition);
    }

    /// An event. It leaves with the next [`flush`](Sinks::flush).
    pub(super) fn event(&mut self, event: Event) {
        self.flush_transitions();
        self.events.push(event);
    }

    /// Sends off the transitions and events that were put down.
    pub(super) fn flush(&mut self) {
        self.flush_transitions();
        self.flush_events();
    }

    /// Puts down an event for every sink that dropped samples or panicked since that was last said.
    pub(super) fn complain(&mut self, now: Now) {
        let mut complaints = Vec::new();
        for sink in &mut self.sinks {
            let panics = sink.counters.panics.load(Ordering::Relaxed);
            let quiet = sink.complained.is_some_and(|at| now.mono.since(at) < COMPLAIN_EVERY);
            if quiet || (sink.dropped == 0 && panics == sink.panics) {
                continue;
            }
            let mut complain = |message| {
                complaints.push(Event::Trouble { at: now.wall, component: "sinks", message });
            };
            if panics > sink.panics {
                complain(format!("the sink {:?} panicked; this is a defect in it", sink.name));
            }
            if sink.dropped > 0 {
                let (name, dropped) = (sink.name, sink.dropped);
                complain(format!("the sink {name:?} does not keep up: {dropped} samples were kept from it"));
                sink.dropped_before = sink.dropped_before.saturating_add(dropped);
                complaints.push(Event::SamplesDropped { sink: name, total: sink.dropped_before });
            }
            (sink.dropped, sink.panics, sink.complained) = (0, panics, Some(now.mono));
        }
        for complaint in complaints {
            self.event(complaint);
        }
    }

    /// Lets every sink finish its queue and stop; returns when all have. Dropping the future gives up on the others.
    pub(super) async fn stop(mut self) {
        self.flush();
        self.send(Item::Stop);
        self.sinks.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    fn flush_transitions(&mut self) {
        if !self.transitions.is_empty() {
            let item = Item::Transitions(self.transitions.drain(..).collect());
            self.send(item);
        }
    }

    fn flush_events(&mut self) {
        if !self.events.is_empty() {
            let item = Item::Events(self.events.drain(..).collect());
            self.send(item);
        }
    }

    fn send(&self, item: Item) {
        for sink in &self.sinks {
            sink.send(item.clone());
        }
    }
}

impl Sink {
    fn send(&self, item: Item) {
        // The task ends only after `Stop`, and nothing is sent after that.
        let _ = self.queue.send(item);
    }
}

async fn serve(
    name: &'static str,
    sink: Arc<dyn StatusSink>,
    mut items: UnboundedReceiver<Item>,
    counters: Arc<Counters>,
) {
    while let Some(item) = items.recv().await {
        let last = matches!(item, Item::Stop);
        let call = async {
            match &item {
                Item::Start(start) => sink.start(start).await,
                Item::Transitions(changed) => sink.transitions(changed).await,
                Item::Events(events) => sink.events(events).await,
                Item::Samples(samples) => sink.samples(samples).await,
                Item::Stop => sink.stop().await,
            }
        };
        if AssertUnwindSafe(call).catch_unwind().await.is_err() {
            counters.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(sink = name, "a sink panicked");
        }
        if let Item::Samples(samples) = &item {
            counters.waiting_samples.fetch_sub(samples.len(), Ordering::Relaxed);
        }
        if last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::tests::MockPage;
    use super::*;
    use crate::model::{Plan, Status, TargetId, Wall};
    use async_trait::async_trait;
    use tokio::sync::Semaphore;

    fn now(seconds: u64) -> Now {
        Now::new(Mono::ZERO.plus(Duration::from_secs(seconds)), Wall::default())
    }

    fn sample() -> Sample {
        Sample::unknown(TargetId::from_index(0), Mono::ZERO, Mono::ZERO, 1, crate::model::Cause::Starting)
    }

    fn transition() -> Transition {
        Transition {
            target: TargetId::from_index(0),
            name: "olt-1".into(),
            from: Status::Ok,
            to: Status::Down,
            at: Wall::default(),
            since: Wall::default(),
            last_good: None,
            cause: None,
        }
    }

    fn event(n: i64) -> Event {
        Event::Trouble { at: Wall::from_unix_nanos(n), component: "test", message: n.to_string() }
    }

    /// Writes down what it is told, one thing for each permit.
    struct Slow(Semaphore, Mutex<Vec<String>>);

    impl Slow {
        async fn note(&self, what: String) {
            self.0.acquire().await.expect("an open semaphore").forget();
            self.1.lock().unwrap().push(what);
        }
    }

    #[async_trait]
    impl StatusSink for Slow {
        async fn start(&self, _start: &Start) {
            self.note("start".into()).await;
        }

        async fn transitions(&self, changed: &[Transition]) {
            self.note(format!("{} transitions", changed.len())).await;
        }

        async fn samples(&self, samples: &[Sample]) {
            self.note(format!("{} samples", samples.len())).await;
        }

        async fn events(&self, events: &[Event]) {
            for event in events {
                match event {
                    Event::Trouble { message, .. } => self.note(message.clone()).await,
                    Event::SamplesDropped { sink, total } => self.note(format!("{sink}: {total}")).await,
                    _ => {}
                }
            }
        }
    }

    #[tokio::test]
    async fn a_slow_sink_misses_samples_and_nothing_else_and_the_loss_is_counted() {
        let slow = Arc::new(Slow(Semaphore::new(0), Mutex::default()));
        let mut sinks = Sinks::spawn(vec![("slow", slow.clone())], 5);
        sinks.start(Start::new(now(0), Arc::new(Plan::default()), Vec::new()));
        sinks.samples(&Arc::new(vec![sample(); 4]));
        sinks.event(event(1));
        sinks.transition(transition());
        sinks.transition(transition());
        sinks.event(event(2));
        sinks.flush();
        sinks.samples(&Arc::new(vec![sample(); 2]));
        sinks.samples(&Arc::new(vec![sample()]));
        sinks.complain(now(0));
        sinks.complain(now(1));
        slow.0.add_permits(100);
        sinks.stop().await;
        let complaint = "the sink \"slow\" does not keep up: 2 samples were kept from it";
        let expected = ["start", "4 samples", "1", "2 transitions", "2", "1 samples", complaint, "slow: 2"];
        assert_eq!(*slow.1.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn a_sink_that_panics_is_told_of_and_told_on() {
        let mut page = MockPage::new();
        page.expect_transitions().times(2).returning(|_| panic!("a defect in the sink"));
        page.expect_events().withf(|events| matches!(events, [Event::Trouble { .. }])).times(1).return_const(());
        page.expect_stop().times(1).return_const(());
        let mut sinks = Sinks::spawn(vec![("page", Arc::new(page))], 5);
        for _ in 0..2 {
            sinks.transition(transition());
            sinks.flush();
            tokio::task::yield_now().await;
        }
        sinks.complain(now(0));
        sinks.stop().await;
    }
}
