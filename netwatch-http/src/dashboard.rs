//! The [`Dashboard`]: a sink that remembers how things stand, and tells the page of every change.
//!
//! The pure half is the read model; this half reads the clocks, holds the lock and encodes each message once for all
//! who listen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hyper::body::Bytes;
use netwatch_core::{Event, Mono, Now, Sample, Start, StatusSink, Transition, async_trait};
use serde::Serialize;
use tokio::sync::broadcast;

use crate::dto;
use crate::model::Model;
use crate::operator::Operator;

/// Time from one `tick` to the next.
const TICK: Duration = Duration::from_secs(1);
/// How often changes are gathered and sent.
const GATHER: Duration = Duration::from_millis(100);
/// Messages a slow reader may be behind before it gets a snapshot instead.
const BACKLOG: usize = 16;

/// Keeps what the page and the API show. Cloning is cheap, and all clones are one.
///
/// Give one to netwatch as a [`StatusSink`] and others to [`serve_tcp`](crate::serve_tcp) and
/// [`serve_unix`](crate::serve_unix). It never waits for a reader.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let dashboard = netwatch_http::Dashboard::new();
/// let sink: std::sync::Arc<dyn netwatch_core::StatusSink> = std::sync::Arc::new(dashboard.clone());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// netwatch_http::serve_tcp(listener, dashboard, std::future::pending()).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Dashboard {
    shared: Arc<Shared>,
}

struct Shared {
    live: Mutex<Live>,
    messages: broadcast::Sender<Bytes>,
    born: Instant,
}

/// The engine's own figures, by name.
type Figures = Box<dyn Fn() -> Vec<(&'static str, Option<u64>)> + Send>;

struct Live {
    model: Model,
    engine: Option<Figures>,
    operator: Option<Arc<dyn Operator>>,
    /// An instant of this process's clock, and what the one who tells called it.
    anchor: Option<(Instant, Mono)>,
    last_tick: Option<Instant>,
    /// The snapshot as encoded since the last message: a thousand who reconnect at once share it.
    snapshot: Option<Bytes>,
}

impl Dashboard {
    /// A dashboard that has been told nothing yet.
    pub fn new() -> Dashboard {
        let live = Live {
            model: Model::default(),
            engine: None,
            operator: None,
            anchor: None,
            last_tick: None,
            snapshot: None,
        };
        let messages = broadcast::Sender::new(BACKLOG);
        Dashboard { shared: Arc::new(Shared { live: Mutex::new(live), messages, born: Instant::now() }) }
    }

    /// Gives `/healthz` the figures of the engine that asks the devices, as its object `icmp`: `figures` is called for each
    /// answer and must not wait. `null` is what is not known.
    pub fn set_engine(&self, figures: impl Fn() -> Vec<(&'static str, Option<u64>)> + Send + 'static) {
        self.lock().engine = Some(Box::new(figures));
    }

    /// Gives acknowledgements, drills and maintenances to this operator. Without one they are answered 501.
    pub fn set_operator(&self, operator: Arc<dyn Operator>) {
        self.lock().operator = Some(operator);
    }

    /// Sends changes and ticks to those who listen to `/api/v1/events`; never ends.
    ///
    /// The serving functions of this crate do this themselves. Who serves by other means runs it once, beside.
    pub async fn tick(&self) {
        let mut beat = tokio::time::interval(GATHER);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            self.gather();
        }
    }

    /// Reads the model, as of now. `stale` is whether it may no longer be believed.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        let live = self.lock();
        let now = self.now(&live);
        look(&View {
            model: &live.model,
            now,
            stale: self.is_stale(&live, now),
            uptime: self.shared.born.elapsed(),
            engine: live.engine.as_ref(),
        })
    }

    /// Who carries out changes.
    pub(crate) fn operator(&self) -> Option<Arc<dyn Operator>> {
        self.lock().operator.clone()
    }

    /// A snapshot to begin with, and everything that is sent after it.
    pub(crate) fn subscribe(&self) -> (Bytes, broadcast::Receiver<Bytes>) {
        let mut live = self.lock();
        let messages = self.shared.messages.subscribe();
        live.model.want_samples(true);
        if let Some(snapshot) = &live.snapshot {
            return (snapshot.clone(), messages);
        }
        let now = self.now(&live);
        let snapshot = encode("snapshot", &dto::snapshot(&live.model, now, self.is_stale(&live, now)));
        live.snapshot = Some(snapshot.clone());
        (snapshot, messages)
    }

    /// Sends what is new. To call it too often does no harm.
    pub(crate) fn gather(&self) {
        let mut live = self.lock();
        let now = self.now(&live);
        let stale = self.is_stale(&live, now);
        let listened = self.shared.messages.receiver_count() > 0;
        live.model.want_samples(listened);
        let news = live.model.take_news();
        let tick_due = live.last_tick.is_none_or(|last| last.elapsed() >= TICK);
        let mut messages = Vec::new();
        if news.restarted {
            messages.extend(listened.then(|| encode("snapshot", &dto::snapshot(&live.model, now, stale))));
        } else if news.paths || !news.changed.is_empty() {
            messages.extend(listened.then(|| encode("change", &dto::change(&live.model, &news.changed, now, stale))));
        }
        if tick_due {
            live.last_tick = Some(Instant::now());
            let sampled = live.model.take_sampled();
            messages.extend(listened.then(|| encode("tick", &dto::tick(&live.model, &sampled, now, stale))));
        }
        if tick_due || !messages.is_empty() {
            live.snapshot = None;
        }
        for message in messages {
            // An error says only that nobody listens any more.
            let _ = self.shared.messages.send(message);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.shared.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both clocks; the monotonic one as the teller counts it, so that times of samples translate.
    fn now(&self, live: &Live) -> Now {
        let mono = match live.anchor {
            Some((instant, mono)) => mono.plus(instant.elapsed()),
            None => Mono::ZERO.plus(self.shared.born.elapsed()),
        };
        Now::new(mono, SystemTime::now().into())
    }

    fn is_stale(&self, live: &Live, now: Now) -> bool {
        live.model.is_stale(now, now.mono.minus(self.shared.born.elapsed()))
    }

    fn tell(&self, what: impl FnOnce(&mut Model, Now)) {
        let mut live = self.lock();
        let now = self.now(&live);
        what(&mut live.model, now);
    }
}

impl Default for Dashboard {
    fn default() -> Dashboard {
        Dashboard::new()
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard").field("listeners", &self.shared.messages.receiver_count()).finish_non_exhaustive()
    }
}

#[async_trait]
impl StatusSink for Dashboard {
    async fn start(&self, start: &Start) {
        self.lock().anchor = Some((Instant::now(), start.now.mono));
        self.tell(|model, now| model.start(start, now));
    }

    async fn transitions(&self, changed: &[Transition]) {
        self.tell(|model, now| model.transitions(changed, now));
    }

    async fn samples(&self, samples: &[Sample]) {
        self.tell(|model, now| model.samples(samples, now));
    }

    async fn events(&self, events: &[Event]) {
        self.tell(|model, now| model.events(events, now));
    }
}

/// The model at one instant.
pub(crate) struct View<'a> {
    pub(crate) model: &'a Model,
    pub(crate) now: Now,
    pub(crate) stale: bool,
    pub(crate) uptime: Duration,
    engine: Option<&'a Figures>,
}

impl View<'_> {
    /// The engine's figures; `None` if nobody gives them.
    pub(crate) fn engine(&self) -> Option<BTreeMap<&'static str, Option<u64>>> {
        self.engine.map(|figures| figures().into_iter().collect())
    }
}

/// One server-sent event (HTML Living Standard, 9.2.6).
fn encode(event: &str, data: &impl Serialize) -> Bytes {
    let mut message = format!("event: {event}\ndata: ").into_bytes();
    if let Err(error) = serde_json::to_writer(&mut message, data) {
        tracing::error!(event, %error, "a message of the event stream could not be encoded");
        return Bytes::from_static(b": a message was left out\n\n");
    }
    message.extend_from_slice(b"\n\n");
    message.into()
}
