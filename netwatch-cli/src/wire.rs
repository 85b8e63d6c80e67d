//! Puts the parts together: from a configuration to a running netwatch. Nothing is decided here.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netwatch_core::{
    BuildError, DirLock, ExecConfigError, ExecNotifier, Family, FileNotifier, Handle, IcmpOptions, IcmpProbe,
    InvalidAddress, LoadError, Locale, LockError, Mono, Netwatch, Notifier, OpenError, Plan, Render, SmtpConfigError,
    SmtpNotifier, SqliteJournal, SqliteLedger, SyslogConfigError, SyslogNotifier, Templates, TextFiles, TimeZoneError,
    WebhookConfigError, WebhookNotifier, Words,
};
use netwatch_http::Dashboard;
use tokio::net::{TcpListener, UnixListener};

use crate::buffers;
use crate::config::{Carrier, Config};
use crate::desk::Desk;
use crate::figures;
use crate::renewal::InForce;

/// The name of the local socket in the data directory.
pub(crate) const SOCKET: &str = "netwatch.sock";

/// The name of the database there.
pub(crate) const DATABASE: &str = "netwatch.db";

/// Why netwatch could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("cannot create the data directory {}: {source}; name another with --data-dir, or set `data_dir`", path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Journal(#[from] LoadError),
    #[error(
        "cannot start the thread that writes the ledger: {0}; let netwatch have more threads (`TasksMax`, `ulimit -u`)"
    )]
    Ledger(#[source] io::Error),
    #[error(transparent)]
    Icmp(#[from] OpenError),
    #[error("notifier \"{name}\": {source}")]
    Smtp { name: Arc<str>, source: SmtpConfigError },
    #[error("notifier \"{name}\": {source}")]
    File { name: Arc<str>, source: InvalidAddress },
    #[error("notifier \"{name}\": {source}")]
    Webhook { name: Arc<str>, source: WebhookConfigError },
    #[error("notifier \"{name}\": {source}")]
    Exec { name: Arc<str>, source: ExecConfigError },
    #[error("notifier \"{name}\": {source}")]
    Syslog { name: Arc<str>, source: SyslogConfigError },
    #[error(transparent)]
    TimeZone(#[from] TimeZoneError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("cannot serve the page on {address}: {source}; stop what listens there, or set `listen` under `[http]`")]
    Page { address: SocketAddr, source: io::Error },
    #[error("cannot open the local socket {}: {source}", path.display())]
    Socket { path: PathBuf, source: io::Error },
}

/// Everything that runs.
pub(crate) struct Parts {
    /// Probing, deciding and telling.
    pub(crate) netwatch: Netwatch,
    /// What asks it for something while it runs.
    pub(crate) handle: Handle,
    /// What the page shows.
    pub(crate) dashboard: Dashboard,
    /// Where the page is served.
    pub(crate) page: TcpListener,
    /// The address of that.
    pub(crate) address: SocketAddr,
    /// Where the command line asks.
    pub(crate) socket: UnixListener,
    /// What asks the devices.
    pub(crate) engine: Arc<IcmpProbe>,
    /// The plan, while it runs.
    pub(crate) in_force: Arc<InForce>,
}

/// Opens everything, in the order in which it is likely to fail; what was opened is closed again if a later step
/// fails. The journal keeps the lock on the directory for as long as netwatch lives. Takes the targets out of the
/// configuration: there may be a million of them.
///
/// # Errors
/// When any of it cannot be had; each error says what to do.
pub(crate) async fn start(config: &mut Config, data_dir: &Path) -> Result<Parts, StartError> {
    let engine = icmp(&config.plan)?;
    create(data_dir)?;
    let lock = DirLock::take(data_dir)?;
    // Whoever holds the lock may replace the socket of a daemon that is gone.
    let address = config.listen;
    let unserved = |source| StartError::Page { address, source };
    let page = TcpListener::bind(address).await.map_err(unserved)?;
    let bound = page.local_addr().map_err(unserved)?;
    let database = data_dir.join(DATABASE);
    let journal = SqliteJournal::open_locked(&database, lock)?.with_reserve();
    let ledger = SqliteLedger::new(&database).map_err(StartError::Ledger)?;
    let dashboard = Dashboard::new();
    dashboard.set_engine(figures::of(&engine));
    let Told { plan, words, notifiers } = told(config, bound, data_dir)?;
    let in_force = Arc::new(InForce::default());
    let mut builder = Netwatch::builder(plan, Box::new(journal))
        .probe("icmp", engine.clone())
        .sink("text files", Arc::new(TextFiles::new(data_dir.to_owned())))
        .sink("page", Arc::new(dashboard.clone()))
        .sink("renewal", in_force.clone())
        .sink("ledger", Arc::new(ledger))
        .render(words);
    for (name, notifier) in notifiers {
        builder = builder.notifier(name, notifier);
    }
    let netwatch = builder.build()?;
    let handle = netwatch.handle();
    dashboard.set_operator(Arc::new(Desk(handle.clone())));
    let path = data_dir.join(SOCKET);
    let socket = local_socket(&path).map_err(|source| StartError::Socket { path, source })?;
    Ok(Parts { netwatch, handle, dashboard, page, address: bound, socket, engine, in_force })
}

/// A notifier under the name of its policy.
pub(crate) type Named = (Arc<str>, Arc<dyn Notifier>);

/// What is watched and who is told, in which words: all of it can be another at a reload.
pub(crate) struct Told {
    pub(crate) plan: Plan,
    pub(crate) words: Arc<dyn Render>,
    /// One for each notifier of the plan, in its order.
    pub(crate) notifiers: Vec<Named>,
}

/// What a configuration says of that, with the page served at `bound`. Takes the targets out of it.
///
/// # Errors
/// When a notifier cannot be made, or the time zone is unknown here.
pub(crate) fn told(config: &mut Config, bound: SocketAddr, data_dir: &Path) -> Result<Told, StartError> {
    let targets = std::mem::take(&mut config.plan.targets);
    let mut plan = config.plan.clone();
    plan.targets = targets;
    plan.page_url = config.page_url(bound);
    let words = Words::new(plan.locale, config.time_zone.as_deref(), plan.page_url.clone())?;
    let words = config.templates.iter().fold(Templates::new(words), |words, (part, source)| words.with(*part, source));
    let notifiers = notifiers(config, data_dir)?;
    Ok(Told { plan, words: Arc::new(words), notifiers })
}

/// What carries the mails: one for each notifier of the plan, in its order, under its name.
///
/// # Errors
/// When one cannot be made.
pub(crate) fn notifiers(config: &Config, data_dir: &Path) -> Result<Vec<Named>, StartError> {
    let locale = config.plan.locale;
    let made = config.plan.notifiers.iter().zip(&config.carriers).map(|(policy, carrier)| {
        let made = notifier(&policy.name, carrier, data_dir, locale, config.time_zone.as_deref())?;
        Ok((Arc::clone(&policy.name), made))
    });
    made.collect()
}

/// The ICMP engine, with buffers for this plan.
///
/// # Errors
/// When no socket for it can be opened; the error says what to permit.
fn icmp(plan: &Plan) -> Result<Arc<IcmpProbe>, OpenError> {
    let rate = plan.echoes_per_second();
    let options = IcmpOptions::default().with_planned_rate(rate).with_targets(plan.targets.len());
    let probe = IcmpProbe::open(options)?;
    buffer_advice(&probe, plan).iter().for_each(|advice| tracing::warn!("{advice}"));
    Ok(Arc::new(probe))
}

/// What to do about the buffers that the kernel granted, if they are too small for this plan.
pub(crate) fn buffer_advice(probe: &IcmpProbe, plan: &Plan) -> Vec<String> {
    let rate = plan.echoes_per_second();
    let wanted = IcmpOptions::default().with_planned_rate(rate).with_targets(plan.targets.len());
    let granted = [Family::V4, Family::V6].into_iter().filter_map(|family| probe.receive_buffer(family)).min();
    let receive = granted.and_then(|granted| buffers::advice(rate, granted, wanted.receive_buffer));
    let granted = [Family::V4, Family::V6].into_iter().filter_map(|family| probe.send_buffer(family)).min();
    let send = granted.and_then(|granted| buffers::send_advice(plan.targets.len(), granted, wanted.send_buffer));
    receive.into_iter().chain(send).collect()
}

/// The monotonic clock as the probes count it.
pub(crate) fn mono_now() -> Mono {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Mono::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// The directory with the mode that lets the group reach the socket in it, and nobody else.
fn create(dir: &Path) -> Result<(), StartError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o750).create(dir);
    made.map_err(|source| StartError::DataDir { path: dir.to_owned(), source })
}

fn notifier(
    name: &Arc<str>,
    carrier: &Carrier,
    data_dir: &Path,
    locale: Locale,
    time_zone: Option<&str>,
) -> Result<Arc<dyn Notifier>, StartError> {
    match carrier {
        Carrier::Smtp(config) => {
            let made = SmtpNotifier::new(config.as_ref().clone());
            Ok(Arc::new(made.map_err(|source| StartError::Smtp { name: Arc::clone(name), source })?))
        }
        Carrier::File { from } => {
            let from = from.clone().unwrap_or_else(default_sender);
            let made = FileNotifier::new(data_dir.join("mail"), &from);
            Ok(Arc::new(made.map_err(|source| StartError::File { name: Arc::clone(name), source })?))
        }
        Carrier::Webhook(config) => {
            let mut config = config.as_ref().clone();
            config.locale = locale;
            let made = WebhookNotifier::new(config);
            Ok(Arc::new(made.map_err(|source| StartError::Webhook { name: Arc::clone(name), source })?))
        }
        Carrier::Exec(config) => {
            let mut config = config.clone();
            config.time_zone = time_zone.map(str::to_owned);
            let made = ExecNotifier::new(config);
            Ok(Arc::new(made.map_err(|source| StartError::Exec { name: Arc::clone(name), source })?))
        }
        Carrier::Syslog(config) => {
            let mut config = config.as_ref().clone();
            config.locale = locale;
            let made = SyslogNotifier::new(config);
            Ok(Arc::new(made.map_err(|source| StartError::Syslog { name: Arc::clone(name), source })?))
        }
    }
}

/// Nobody answers these files, so a sender that is certainly well formed will do.
fn default_sender() -> String {
    "netwatch <netwatch@localhost>".to_owned()
}

/// Binds beside the name and renames, so that the socket never stands there with another mode, and a stale one is
/// replaced in one step. Call it only with the directory locked.
fn local_socket(path: &Path) -> io::Result<UnixListener> {
    let new = path.with_extension("sock.new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o660))?;
    std::fs::rename(&new, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_local_socket_replaces_a_stale_one_and_is_not_for_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = local_socket(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let (accepted, connected) = tokio::join!(listener.accept(), tokio::net::UnixStream::connect(&path));
        accepted.unwrap();
        connected.unwrap();
    }

    #[test]
    fn a_data_directory_that_cannot_be_is_named() {
        let error = create(Path::new("/proc/netwatch")).unwrap_err();
        assert!(error.to_string().contains("/proc/netwatch"), "{error}");
    }
}
