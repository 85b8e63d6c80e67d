//! What can be asked of a netwatch while it runs: the [`Handle`], and how each request can fail.
//!
//! A request travels to the driver by a channel and is answered by another, so that whoever asks may be slow, or gone,
//! without holding anything up.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::BuildError;
use super::vitals::Vitals;
use super::watchdog::Progress;
use crate::model::{DrillRefusal, Maintenance, MaintenanceId, Outage, Plan};
use crate::notify::Notifier;
use crate::render::{Render, TimeZoneError};

/// How many requests wait before those who ask have to.
const QUEUE: usize = 64;

/// netwatch does not run any more, so nothing can be asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("netwatch has ended; start it again")]
pub struct Ended;

/// A new plan was not taken. The old one stays in force, unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The plan, the notifiers given with it and the probes do not fit together.
    #[error("the new plan is not used: {0}")]
    Misfit(#[source] BuildError),
    /// The built-in words need the system's time zone.
    #[error("the new plan is not used, its mails cannot be dated: {0}; give a renderer along with it")]
    TimeZone(#[from] TimeZoneError),
    /// Its names cannot be looked up.
    #[error(
        "the new plan is not used, no thread to look up its names: {0}; is there a limit on processes (ulimit -u)?"
    )]
    Resolver(#[source] std::io::Error),
    /// Preparing it panicked.
    #[error("the new plan is not used, netwatch has a defect: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// netwatch does not run any more.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// An outage was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcknowledgeError {
    /// No target has this name.
    #[error("cannot acknowledge {target:?}: no target has that name; look at the list of targets")]
    NoTarget {
        /// The name.
        target: Arc<str>,
    },
    /// The target has no open outage.
    #[error("cannot acknowledge {target:?}: it has no open outage, so there is nothing to see to")]
    NoOutage {
        /// The target.
        target: Arc<str>,
    },
    /// netwatch does not run any more.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// An outage was not rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DrillError {
    /// It makes no sense as things stand.
    #[error(transparent)]
    Refused(#[from] DrillRefusal),
    /// netwatch does not run any more.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// A maintenance was not entered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaintainError {
    /// It names something that the plan does not have: it would silence nothing, and nobody would know.
    #[error("cannot enter the maintenance: no {kind} has the name {name:?}; correct it")]
    Unknown {
        /// `target`, `group` or `tag`.
        kind: &'static str,
        /// The name.
        name: Arc<str>,
    },
    /// It has no time, or all of its time is over.
    #[error("cannot enter the maintenance: it is over already; name an end that is still to come")]
    Over,
    /// netwatch does not run any more.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// A maintenance was not ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndMaintenanceError {
    /// No maintenance that was entered and is not over has this id.
    #[error("cannot end maintenance {}: there is none of that number; look at the list of maintenances", id.number())]
    NotFound {
        /// The id.
        id: MaintenanceId,
    },
    /// netwatch does not run any more.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// What is to be otherwise from now on.
#[non_exhaustive]
pub struct Reload {
    /// What netwatch is to do. Its probes are those that the builder was given.
    pub plan: Plan,
    /// The notifiers that carry its mails: one for each policy of the plan, under the same name. A mail that an old one
    /// carries at that moment may still arrive.
    pub notifiers: Vec<(Arc<str>, Arc<dyn Notifier>)>,
    /// Finds the words of mails from now on; `None`, the default, keeps the present renderer, and the built-in words
    /// follow the plan's language and page.
    pub render: Option<Arc<dyn Render>>,
}

impl Reload {
    /// This plan, told by nobody, with the present renderer.
    pub fn new(plan: Plan) -> Reload {
        Reload { plan, notifiers: Vec::new(), render: None }
    }

    /// The same with the notifier that carries the mails of the policy of this name.
    #[must_use]
    pub fn with_notifier(mut self, name: impl Into<Arc<str>>, notifier: Arc<dyn Notifier>) -> Reload {
        self.notifiers.push((name.into(), notifier));
        self
    }

    /// The same with this renderer.
    #[must_use]
    pub fn with_render(mut self, render: Arc<dyn Render>) -> Reload {
        self.render = Some(render);
        self
    }
}

/// Where an answer goes. It is dropped unanswered when netwatch ends.
pub(super) type Answer<T, E> = oneshot::Sender<Result<T, E>>;

/// One request.
pub(super) enum Command {
    Reload(Box<Reload>, Answer<(), ReloadError>),
    Acknowledge { target: Arc<str>, by: Arc<str>, note: Arc<str>, answer: Answer<Outage, AcknowledgeError> },
    Drill { target: Arc<str>, by: Arc<str>, answer: Answer<Outage, DrillError> },
    Maintain(Box<Maintenance>, Answer<MaintenanceId, MaintainError>),
    EndMaintenance(MaintenanceId, Answer<(), EndMaintenanceError>),
    Maintenance(Answer<Vec<Maintenance>, Ended>),
    Trouble { component: &'static str, message: String, answer: Answer<(), Ended> },
}

/// Asks a netwatch for something while it runs. Cloning is cheap, and all clones ask the same one.
///
/// Before [`Netwatch::run`](crate::Netwatch::run) requests wait; after its end they are answered with [`Ended`].
///
/// ```
/// use netwatch_core::*;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let netwatch = Netwatch::builder(Plan::default(), Box::new(ForgetfulJournal::new())).build()?;
/// let handle = netwatch.handle();
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let running = tokio::spawn(netwatch.run(async { drop(stopped.await) }));
/// handle.reload(Reload::new(Plan::default())).await?;
/// assert!(matches!(handle.acknowledge("olt-1", "ana", "").await, Err(AcknowledgeError::NoTarget { .. })));
/// drop(stop);
/// running.await??;
/// assert!(handle.maintenance().await.is_err(), "it has ended");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    vitals: Arc<Vitals>,
}

impl Handle {
    /// A handle, and where its requests arrive.
    pub(super) fn new() -> (Handle, mpsc::Receiver<Command>) {
        let (commands, queue) = mpsc::channel(QUEUE);
        (Handle { commands, vitals: Arc::default() }, queue)
    }

    /// Where the parts leave the marks that [`progress`](Handle::progress) reads.
    pub(super) fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
    }

    /// For how long each of netwatch's four parts has stood still although it had work to do.
    ///
    /// It asks nobody: it reads what the parts left behind, so that it can be called from any thread, and from one
    /// outside the runtime it tells of a runtime that is stuck as well. Before [`Netwatch::run`](crate::Netwatch::run) nothing
    /// stands still; after its end the monitor does. A process that was stopped or a machine that was suspended looks stuck for
    /// the moment that its parts need to wake up: ask again before you act on it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use netwatch_core::*;
    ///
    /// fn feed(handle: &Handle) {
    ///     let stuck = handle.progress().stuck(Duration::from_secs(15));
    ///     if stuck.is_empty() { /* pat the watchdog */ } else { eprintln!("no progress: {stuck:?}") }
    /// }
    /// # let netwatch = Netwatch::builder(Plan::default(), Box::new(ForgetfulJournal::new())).build()?;
    /// # feed(&netwatch.handle());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn progress(&self) -> Progress {
        self.vitals.progress()
    }

    /// Puts another plan in force. What did not change keeps its state and its rhythm: because of a reload no check is
    /// more than one interval late. Checks under way go on, save those of devices that are gone, paused or elsewhere now.
    /// Sinks are [started](crate::StatusSink::start) anew. Reloads take effect one after the other.
    ///
    /// # Errors
    /// When the parts do not fit together, or netwatch has ended. Then nothing has changed.
    pub async fn reload(&self, reload: Reload) -> Result<(), ReloadError> {
        self.ask(|answer| Command::Reload(Box::new(reload), answer)).await
    }

    /// Says that `by` sees to the open outage of a target, with a note that may be empty: no reminders and no
    /// escalation until it ends. Gives that outage.
    ///
    /// # Errors
    /// When there is no such target, or it has no open outage, or netwatch has ended.
    pub async fn acknowledge(&self, target: &str, by: &str, note: &str) -> Result<Outage, AcknowledgeError> {
        let (target, by, note) = (target.into(), by.into(), note.into());
        self.ask(|answer| Command::Acknowledge { target, by, note, answer }).await
    }

    /// Rehearses an outage of a target on behalf of `by`: a mail that is marked as a drill goes to everybody whom a real outage
    /// would be told, and another a minute later says that it is over. Nothing of it is recorded as an outage. Gives what
    /// is told.
    ///
    /// # Errors
    /// When there is no such target, nobody would be told of it, the last drill was less than 10 min ago, or netwatch has
    /// ended.
    pub async fn drill(&self, target: &str, by: &str) -> Result<Outage, DrillError> {
        let (target, by) = (target.into(), by.into());
        self.ask(|answer| Command::Drill { target, by, answer }).await
    }

    /// Enters a maintenance; outages that open in it are not told. Gives the id that it gets: one that it bears already
    /// is ignored.
    ///
    /// # Errors
    /// When it names something that the plan does not have, or is over, or netwatch has ended.
    pub async fn maintain(&self, maintenance: Maintenance) -> Result<MaintenanceId, MaintainError> {
        self.ask(|answer| Command::Maintain(Box::new(maintenance), answer)).await
    }

    /// Ends a maintenance that was entered.
    ///
    /// # Errors
    /// When there is none of this id, or netwatch has ended.
    pub async fn end_maintenance(&self, id: MaintenanceId) -> Result<(), EndMaintenanceError> {
        self.ask(|answer| Command::EndMaintenance(id, answer)).await
    }

    /// The maintenances that were entered and are not over; those of the plan are not among them.
    ///
    /// # Errors
    /// When netwatch has ended.
    pub async fn maintenance(&self) -> Result<Vec<Maintenance>, Ended> {
        self.ask(Command::Maintenance).await
    }

    /// Tells the sinks of trouble in a part of the program that netwatch does not know of, as an
    /// [`Event::Trouble`](crate::Event::Trouble). `message` says what happened and what to do.
    ///
    /// # Errors
    /// When netwatch has ended.
    pub async fn trouble(&self, component: &'static str, message: impl Into<String>) -> Result<(), Ended> {
        let message = message.into();
        self.ask(|answer| Command::Trouble { component, message, answer }).await
    }

    async fn ask<T, E: From<Ended>>(&self, command: impl FnOnce(Answer<T, E>) -> Command) -> Result<T, E> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_gone| Ended)?;
        answered.await.map_err(|_gone| Ended)?
    }
}
