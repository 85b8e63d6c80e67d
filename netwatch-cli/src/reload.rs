//! SIGHUP: the configuration is read again, and put in force if nothing is wrong with it.
//!
//! From time to time the calendars of the plan in force are made anew, too; see [`renewal`].
//!
//! It is read beside everything else. Whatever is wrong with it is said on standard error as `netwatch check` would, and
//! in error_log.txt; the old one then stays in force, unchanged.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use netwatch_core::{Handle, IcmpProbe, Reload, ReloadError, Wall};
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::commands::complain;
use crate::config::{self, Config, Heartbeat, Purpose};
use crate::renewal::{self, InForce};
use crate::supervisor::Supervisor;
use crate::wire::{self, StartError};

/// Who says it in error_log.txt.
const COMPONENT: &str = "config";
/// How often it is looked whether the calendars are still good; a clock that is set may make them useless at any time.
const LOOK: Duration = Duration::from_secs(3600);

/// The new configuration was not put in force.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Unreadable(#[from] config::ReadError),
    #[error("{}", in_brief(.brief, *.errors))]
    Wrong { brief: Vec<String>, errors: usize, rendered: String },
    #[error(transparent)]
    Parts(#[from] StartError),
    #[error(transparent)]
    Reload(#[from] ReloadError),
    #[error("reading it panicked, which is a defect in netwatch: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

fn in_brief(brief: &[String], errors: usize) -> String {
    let more = errors.saturating_sub(brief.len());
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", brief.join("; "))
}

/// Reads the configuration again.
#[derive(Clone)]
pub(crate) struct Reloader {
    /// The netwatch that runs.
    pub(crate) handle: Handle,
    /// The configuration file and the data directory that the command line names.
    pub(crate) asked: (Option<PathBuf>, Option<PathBuf>),
    /// The data directory in use.
    pub(crate) data_dir: PathBuf,
    /// Where the page was to be served at the start, and where it is.
    pub(crate) listen: (SocketAddr, SocketAddr),
    /// What asks the devices.
    pub(crate) engine: Arc<IcmpProbe>,
    /// The plan of the netwatch that runs.
    pub(crate) in_force: Arc<InForce>,
    /// What systemd is told.
    pub(crate) supervisor: Supervisor,
    /// What is called from now on.
    pub(crate) heartbeat: watch::Sender<Option<Heartbeat>>,
}

/// The configuration in force, without its targets, and when its calendars were made.
pub(crate) struct Present {
    pub(crate) config: Config,
    pub(crate) made: Wall,
}

/// A configuration that was read and is fine, with what should be said of it.
struct Read {
    reload: Reload,
    present: Present,
    targets: usize,
    warnings: Vec<String>,
}

impl Reloader {
    /// Reloads at each signal, until there are no more, and renews calendars between them.
    pub(crate) async fn obey(self, mut hangup: Signal, mut present: Present) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                signal = hangup.recv() => {
                    if signal.is_none() {
                        return;
                    }
                    self.supervisor.reloading();
                    match self.reload(&mut present).await {
                        Ok(targets) => {
                            tracing::info!(targets, "the configuration was read again and is in force");
                            self.supervisor.ready(targets);
                        }
                        Err(refusal) => {
                            self.keep(&refusal).await;
                            self.supervisor.kept();
                        }
                    }
                }
                _ = look.tick() => {
                    let now = SystemTime::now().into();
                    if present.config.calendars.run_out() && renewal::is_due(present.made, now) {
                        self.renew(&mut present, now).await;
                    }
                }
            }
        }
    }

    async fn reload(&self, present: &mut Present) -> Result<usize, Refusal> {
        let reloader = self.clone();
        let Read { reload, present: new, targets, warnings } =
            tokio::task::spawn_blocking(move || reloader.read()).await??;
        self.replace(reload).await?;
        self.heartbeat.send_replace(new.config.heartbeat.clone());
        *present = new;
        for warning in warnings {
            tracing::warn!("{warning}");
            self.note(warning).await;
        }
        Ok(targets)
    }

    /// Puts new calendars in force. Where that fails the old ones last for another year, and it is tried again.
    async fn renew(&self, present: &mut Present, now: Wall) {
        // It is unknown while another plan is on its way.
        let Some(plan) = self.in_force.plan() else { return };
        let (mut config, reloader) = (present.config.clone(), self.clone());
        let made = tokio::task::spawn_blocking(move || {
            renewal::renewed(&mut config, &plan, now, reloader.listen.1, &reloader.data_dir)
        });
        let renewed = async { self.replace(made.await??).await };
        match renewed.await {
            Ok(()) => {
                present.made = now;
                tracing::info!("hours, summaries and maintenance are known for another 400 days");
            }
            Err(refusal) => {
                let message =
                    format!("hours, summaries and maintenance were not reckoned for another 400 days: {refusal}");
                tracing::error!("{message}");
                self.note(message).await;
            }
        }
    }

    async fn replace(&self, reload: Reload) -> Result<(), Refusal> {
        let before = self.in_force.take();
        let done = self.handle.reload(reload).await;
        if done.is_err() {
            self.in_force.put_back(before);
        }
        Ok(done?)
    }

    fn read(&self) -> Result<Read, Refusal> {
        let loaded = config::load(self.asked.0.as_deref(), Purpose::Run)?;
        let rendered = loaded.problems.render(false).trim_end().to_owned();
        let errors = loaded.problems.errors();
        if errors > 0 {
            return Err(Refusal::Wrong { brief: loaded.problems.in_brief(), errors, rendered });
        }
        complain(&rendered);
        let (mut config, made) = (loaded.config, SystemTime::now().into());
        let mut warnings = self.unchangeable(&config);
        warnings.extend(wire::buffer_advice(&self.engine, &config.plan).into_iter().map(|advice| {
            format!("{advice}. The buffers are those of the start: restart netwatch to have larger ones")
        }));
        let targets = config.plan.targets.len();
        let told = wire::told(&mut config, self.listen.1, &self.data_dir)?;
        let mut reload = Reload::new(told.plan).with_render(told.words);
        reload.notifiers = told.notifiers;
        Ok(Read { reload, present: Present { config, made }, targets, warnings })
    }

    /// What is otherwise in the new configuration and stays as it is until a restart.
    fn unchangeable(&self, config: &Config) -> Vec<String> {
        let mut warnings = Vec::new();
        let wanted = config::data_dir(self.asked.1.as_deref(), config);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != self.data_dir) {
            let (wanted, present) = (wanted.display(), self.data_dir.display());
            warnings.push(format!("`data_dir` is {wanted} now, but netwatch stays in {present} until it is restarted"));
        }
        let (at_start, _) = self.listen;
        if config.listen != at_start {
            let wanted = config.listen;
            warnings.push(format!(
                "`listen` is {wanted} now, but the page stays at {at_start} until netwatch is restarted"
            ));
        }
        warnings
    }

    /// Says that the old configuration stays, and why.
    async fn keep(&self, refusal: &Refusal) {
        if let Refusal::Wrong { rendered, .. } = refusal {
            complain(rendered);
        }
        let message = format!("the configuration was not reloaded, the old one stays in force: {refusal}");
        tracing::error!("{message}");
        self.note(message).await;
    }

    async fn note(&self, message: String) {
        if let Err(ended) = self.handle.trouble(COMPONENT, message).await {
            tracing::warn!("not written to error_log.txt: {ended}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_beyond_those_that_are_named_are_counted() {
        let brief = vec!["a.toml:3: `x` is unknown".to_owned(), "a.toml:9: `y` is not a time".to_owned()];
        let refusal = |errors| Refusal::Wrong { brief: brief.clone(), errors, rendered: String::new() }.to_string();
        assert_eq!(refusal(2), "a.toml:3: `x` is unknown; a.toml:9: `y` is not a time");
        assert_eq!(refusal(7), "a.toml:3: `x` is unknown; a.toml:9: `y` is not a time; and 5 more");
    }
}
