//! Puts the parts together: [`Netwatch`], its [`Builder`], and how it runs and ends.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use super::checks::{Batch, Checks, Inbox};
use super::clock::Clock;
use super::delivery::Deliveries;
use super::driver::{Driver, Prober};
use super::handle::{Command, Handle};
use super::journal::JournalThread;
use super::links::Links;
use super::parts::{fit, unique};
use super::reload::Reloads;
use super::resolve::{Addresses, Lookup};
use super::sinks::Sinks;
use super::slices::Slices;
use super::vitals::Running;
use super::watchdog::Returns;
use super::witnesses::{Asking, Witnesses, prober};
use crate::host;
use crate::journal::{Journal, LoadError};
use crate::logic::{Monitor, MonitorOptions, Schedule};
#[cfg(any(test, feature = "test-util"))]
use crate::model::Now;
use crate::model::{Plan, Saved};
use crate::notify::Notifier;
use crate::probe::Probe;
use crate::render::{Render, TimeZoneError, Words};
use crate::sink::StatusSink;

/// An attempt to deliver ends after this time, whatever the notifier does, unless the builder is told otherwise. A
/// second more than netwatch's own notifiers give themselves: they know how far they came, this limit does not.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(61);
/// From the wish to end to the end.
const STOP_LIMIT: Duration = Duration::from_millis(1950);
/// How many samples may wait for a sink: this many for each target, and
const BACKLOG_PER_TARGET: usize = 4;
/// this many more.
const BACKLOG: usize = 4096;

/// The parts do not fit together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A target names a probe that was not given.
    #[error("target {target:?} is to be asked by the probe {probe:?}, which does not exist: add it to the builder")]
    NoProbe {
        /// The target.
        target: Arc<str>,
        /// The probe it names.
        probe: Arc<str>,
    },
    /// The plan has a notifier that was not given.
    #[error("the plan tells the notifier {notifier:?}, which does not exist: give it along with the plan")]
    NoNotifier {
        /// Its name.
        notifier: Arc<str>,
    },
    /// A notifier was given that the plan does not have: it would never be told anything.
    #[error("the notifier {notifier:?} is not in the plan and would never be told: add its policy to the plan")]
    NotInPlan {
        /// Its name.
        notifier: Arc<str>,
    },
    /// Two parts of one kind, or two targets, have the same name.
    #[error("two {kind}s are named {name:?}: rename one")]
    SameName {
        /// What they are.
        kind: &'static str,
        /// Their name.
        name: Arc<str>,
    },
    /// The journal cannot be read. Nothing was changed in it.
    #[error(transparent)]
    Journal(#[from] LoadError),
    /// The built-in words need the system's time zone.
    #[error("the built-in mails cannot be dated: {0}; give the builder a renderer with a time zone")]
    TimeZone(#[from] TimeZoneError),
}

/// A run ended otherwise than it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A thread could not be started.
    #[error("cannot start a thread: {source}; is there a limit on processes (ulimit -u, TasksMax)?")]
    Thread {
        /// Why not.
        #[from]
        source: io::Error,
    },
    /// The driver panicked, or a part that it cannot do without: the journal, or what tells whether netwatch itself is
    /// cut off. What was committed before is in the journal.
    #[error("netwatch has a defect and stopped: {message}; start it again, it goes on from the journal")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// What happened last could not be committed. The next start goes on from the last commit that took effect.
    #[error("ended without saving what happened last: {reason}")]
    NotSaved {
        /// Why not.
        reason: String,
    },
}

/// Collects the parts; see [`Netwatch::builder`].
pub struct Builder {
    plan: Plan,
    journal: Box<dyn Journal>,
    probes: Vec<(Arc<str>, Arc<dyn Probe>)>,
    notifiers: Vec<(Arc<str>, Arc<dyn Notifier>)>,
    sinks: Vec<(&'static str, Arc<dyn StatusSink>)>,
    render: Option<Arc<dyn Render>>,
    attempt_limit: Duration,
    domain: Option<Arc<str>>,
    lookup: Lookup,
    #[cfg(any(test, feature = "test-util"))]
    virtual_start: Option<Now>,
}

impl Builder {
    /// Adds a probe. Targets whose [`probe`](crate::Target::probe) has this name are asked by it.
    #[must_use]
    pub fn probe(mut self, name: impl Into<Arc<str>>, probe: Arc<dyn Probe>) -> Builder {
        self.probes.push((name.into(), probe));
        self
    }

    /// Adds the notifier that carries the mails of the [`NotifierPolicy`](crate::NotifierPolicy) of this name.
    #[must_use]
    pub fn notifier(mut self, name: impl Into<Arc<str>>, notifier: Arc<dyn Notifier>) -> Builder {
        self.notifiers.push((name.into(), notifier));
        self
    }

    /// Adds a sink. The name appears where its failings are told.
    #[must_use]
    pub fn sink(mut self, name: &'static str, sink: Arc<dyn StatusSink>) -> Builder {
        self.sinks.push((name, sink));
        self
    }

    /// Finds the words of mails; default: the built-in ones in the plan's language and the system's time zone.
    #[must_use]
    pub fn render(mut self, render: Arc<dyn Render>) -> Builder {
        self.render = Some(render);
        self
    }

    /// When an attempt to deliver ends, whatever the notifier does; default 61 s.
    #[must_use]
    pub fn attempt_limit(mut self, limit: Duration) -> Builder {
        self.attempt_limit = limit;
        self
    }

    /// The right side of Message-IDs (RFC 5322, 3.6.4); default: this host's name.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<Arc<str>>) -> Builder {
        self.domain = Some(domain.into());
        self
    }

    /// Runs on tokio's clock, which a test can pause, and begins at `start`; commits take no time. Needs the feature
    /// `test-util`.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub fn virtual_clock(mut self, start: Now) -> Builder {
        self.virtual_start = Some(start);
        self
    }

    /// Looks names up this way, rather than through the system.
    #[cfg(test)]
    pub(super) fn lookup(mut self, lookup: fn(&str) -> io::Result<Vec<std::net::SocketAddr>>) -> Builder {
        self.lookup = Lookup::Blocking(lookup);
        self
    }

    /// Checks that the parts fit together, and loads the journal (this blocks).
    ///
    /// # Errors
    /// When names are missing, superfluous or used twice, or the journal cannot be loaded.
    pub fn build(mut self) -> Result<Netwatch, BuildError> {
        let sinks: Vec<Arc<str>> = self.sinks.iter().map(|(name, _)| Arc::from(*name)).collect();
        unique("sink", sinks.iter())?;
        let probes: Vec<Arc<str>> = self.probes.iter().map(|(name, _)| name.clone()).collect();
        let notifiers: Vec<Arc<str>> = self.notifiers.iter().map(|(name, _)| name.clone()).collect();
        let prober_of = fit(&self.plan, &probes, &notifiers)?;
        let built_in_words = self.render.is_none();
        let render = match self.render.take() {
            Some(render) => render,
            None => Arc::new(Words::new(self.plan.locale, None, self.plan.page_url.clone())?),
        };
        let saved = self.journal.load()?;
        let notices = self.journal.notices();
        let (handle, commands) = Handle::new();
        Ok(Netwatch { parts: self, render, built_in_words, prober_of, saved, notices, handle, commands })
    }
}

/// Everything put together, ready to run.
pub struct Netwatch {
    parts: Builder,
    render: Arc<dyn Render>,
    built_in_words: bool,
    prober_of: Vec<usize>,
    saved: Saved,
    notices: Vec<String>,
    handle: Handle,
    commands: mpsc::Receiver<Command>,
}

impl Netwatch {
    /// Begins to collect the parts for a plan. What must survive a crash goes into `journal`.
    pub fn builder(plan: Plan, journal: Box<dyn Journal>) -> Builder {
        Builder {
            plan,
            journal,
            probes: Vec::new(),
            notifiers: Vec::new(),
            sinks: Vec::new(),
            render: None,
            attempt_limit: ATTEMPT_LIMIT,
            domain: None,
            lookup: Lookup::best(),
            #[cfg(any(test, feature = "test-util"))]
            virtual_start: None,
        }
    }

    /// What asks this netwatch for something while it runs. Take it before [`run`](Netwatch::run).
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Watches and tells until `shutdown` is ready, then returns within 2 s with everything saved.
    ///
    /// Checks under way are dropped and tell nothing. A mail under way that does not end in time stays in the journal
    /// as it is, and goes out again after the next start with the same Message-ID. Must run in a tokio runtime with
    /// its time driver enabled. Dropping the future stops at once, without a last commit.
    ///
    /// # Errors
    /// When a thread cannot be started, the driver panicked, or the last commit did not take effect.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), RunError> {
        let driver = self.driver()?;
        let (stop, stopped) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(driver.run(stopped));
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            ended = task.join_next() => return outcome(ended),
            () = &mut shutdown => {}
        }
        drop(stop);
        match timeout(STOP_LIMIT, task.join_next()).await {
            Ok(ended) => outcome(ended),
            Err(_elapsed) => Err(RunError::NotSaved { reason: "the driver did not come to its end".into() }),
        }
    }

    fn driver(self) -> Result<Driver, RunError> {
        let Netwatch { parts, render, built_in_words, prober_of, saved, notices, commands, handle } = self;
        let vitals = handle.vitals().clone();
        let clock = parts.clock();
        let now = clock.now();
        vitals.start(clock, parts.probes.iter().map(|(_, probe)| probe));
        let running = Running(vitals.clone());
        let journal = match clock {
            Clock::System => JournalThread::spawn(parts.journal, vitals.clone())?,
            #[cfg(any(test, feature = "test-util"))]
            Clock::Tokio { .. } => JournalThread::here(parts.journal),
        };
        let plan = Arc::new(parts.plan);
        let domain = parts.domain.unwrap_or_else(this_host);
        let addresses = Addresses::new(&plan);
        let inbox = Arc::new(Inbox::default());
        let probers = parts.probes.into_iter().map(|(name, probe)| Prober {
            name,
            probe,
            complained: None,
            returns: Returns::default(),
        });
        let probers: Vec<Prober> = probers.collect();
        let (key, lookup) = (random(), parts.lookup);
        let asking = Asking { clock, lookup, inbox: inbox.clone(), probe: prober(&probers) };
        let links = match clock {
            Clock::System => Links::spawn()?,
            #[cfg(any(test, feature = "test-util"))]
            Clock::Tokio { .. } => Links::unwatched(),
        };
        Ok(Driver {
            clock,
            monitor: Monitor::new(plan.clone(), &saved, now, MonitorOptions::new(random(), domain)),
            schedule: Schedule::new(&plan, key, now.mono),
            key,
            origin: now.mono,
            probers,
            prober_of,
            resolver: addresses.resolve(lookup)?,
            lookup,
            addresses,
            notices,
            warning: None,
            checks: Checks::new(plan.targets.len()),
            slices: Slices::new(inbox.clone()),
            inbox,
            spare: Batch::default(),
            journal,
            deliveries: Deliveries::new(parts.notifiers, render, parts.attempt_limit, vitals),
            built_in_words,
            sinks: Sinks::spawn(parts.sinks, backlog(plan.targets.len())),
            witnesses: Witnesses::spawn(&plan.witnesses, asking)?,
            links,
            commands,
            reloads: Reloads::default(),
            running,
            plan,
        })
    }
}

/// How many samples may wait for a sink, with so many targets.
pub(super) fn backlog(targets: usize) -> usize {
    targets.saturating_mul(BACKLOG_PER_TARGET).saturating_add(BACKLOG)
}

impl Builder {
    #[cfg(any(test, feature = "test-util"))]
    fn clock(&self) -> Clock {
        self.virtual_start.map_or(Clock::System, Clock::following_tokio)
    }

    #[cfg(not(any(test, feature = "test-util")))]
    fn clock(&self) -> Clock {
        Clock::System
    }
}

fn outcome(ended: Option<Result<Result<(), RunError>, JoinError>>) -> Result<(), RunError> {
    match ended {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(RunError::Panicked { message: error.to_string() }),
        None => Err(RunError::Panicked { message: "the driver is gone".into() }),
    }
}

/// This host's name as the domain of a Message-ID: letters, digits, dots and hyphens (RFC 5322 dot-atom, the part of
/// it that no mail server minds).
fn this_host() -> Arc<str> {
    let name = host::hostname().unwrap_or_default();
    let fit = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '.';
    let name: String = name.chars().filter(fit).collect();
    let labels: Vec<&str> = name.split('.').filter(|label| !label.is_empty()).collect();
    if labels.is_empty() { "localhost".into() } else { labels.join(".").into() }
}

/// Sixteen bytes that nobody can guess, from the random keys that std gives its hash maps.
fn random() -> [u8; 16] {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    (half() << 64 | half()).to_be_bytes()
}
