//! `netwatch run`: the daemon, from its start to its last commit.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use netwatch_core::{Handle, RunError};
use netwatch_http::{ServeError, serve_tcp, serve_unix};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{Exit, complain, configured, say};
use crate::args::Common;
use crate::config::{self, Carrier, Config, Purpose};
use crate::crew::Crew;
use crate::heartbeat;
use crate::panics;
use crate::reload::{Present, Reloader};
use crate::supervisor::Supervisor;
use crate::wire::{self, Parts, StartError};
use crate::words;

/// Why the daemon ended otherwise than it was told to.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot start: {0}")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the ICMP engine stopped, which is a defect in netwatch; what was known is saved: start netwatch again")]
    Engine,
    #[error("a thread panicked, which is a defect in netwatch; what could be saved is saved: start netwatch again")]
    Panic,
    #[error("{0} ended, which is a defect in netwatch; what was known is saved: start netwatch again")]
    Lost(&'static str),
}

/// How often the engine is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT; a second one ends it at once. SIGHUP has the configuration read again.
pub(crate) fn run(common: &Common) -> Exit {
    let (mut config, _) = match configured(common, Purpose::Run) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let Some(data_dir) = config::data_dir(common.data_dir.as_deref(), &config) else {
        complain("error: no data directory is known\n  = help: name it with --data-dir, or set `data_dir`");
        return Exit::Usage;
    };
    log_to_stderr(common);
    match serve(&mut config, &data_dir, common) {
        Ok(()) => {
            say(words::stopped(config.plan.locale));
            Exit::Fine
        }
        Err(failure) => {
            complain(&format!("error: {failure}"));
            Exit::Wrong
        }
    }
}

fn serve(config: &mut Config, data_dir: &Path, common: &Common) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name(panics::WORKER)
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let ended = runtime.block_on(watch_until_told(config, data_dir, common));
    // A lookup that hangs in the C library must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn watch_until_told(config: &mut Config, data_dir: &Path, common: &Common) -> Result<(), Failure> {
    let terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
    let hangup = signal(SignalKind::hangup()).map_err(Failure::Signals)?;
    let (targets, made) = (config.plan.targets.len(), SystemTime::now().into());
    let Parts { netwatch, handle, dashboard, page, address, socket, engine, in_force } =
        wire::start(config, data_dir).await?;
    say(&banner(config, targets, address, data_dir));
    let (stop, stopped) = watch::channel(false);
    panics::end_on_panic(stop.clone());
    let supervisor = Supervisor::begin(handle.clone(), config.plan.locale).map_err(Failure::Runtime)?;
    let (heartbeat, wanted) = watch::channel(config.heartbeat.clone());
    let reloader = Reloader {
        handle: handle.clone(),
        asked: (common.config.clone(), common.data_dir.clone()),
        data_dir: data_dir.to_owned(),
        listen: (config.listen, address),
        engine: engine.clone(),
        in_force,
        supervisor: supervisor.clone(),
        heartbeat,
    };
    // Its targets were taken out of it: what is left is small, and is what new calendars are made from.
    let present = Present { config: config.clone(), made };
    let mut crew = Crew::default();
    crew.spawn("the part that reloads", reloader.obey(hangup, present));
    crew.spawn("the part that hears signals", obey(terminate, interrupt, stop.clone(), supervisor.clone()));
    let watched = engine.clone();
    crew.spawn("the ICMP engine", end_with(move || watched.is_alive()));
    crew.spawn("the heartbeat", heartbeat::beat(handle.clone(), wanted));
    crew.spawn("the part that tells systemd", ready(handle, targets, supervisor.clone()));
    crew.spawn_ending("the page", served(serve_tcp(page, dashboard.clone(), told(stopped.clone()))));
    crew.spawn_ending("the local socket", served(serve_unix(socket, dashboard, told(stopped.clone()))));
    let (ended, lost) = crew.stand_by(netwatch.run(told(stopped.clone())), &stop, stopped).await;
    let _ = std::fs::remove_file(data_dir.join(wire::SOCKET));
    ended?;
    match lost {
        _ if !engine.is_alive() => Err(Failure::Engine),
        _ if panics::have_happened() => Err(Failure::Panic),
        Some(name) => Err(Failure::Lost(name)),
        None => Ok(()),
    }
}

/// Says that netwatch is ready once it answers, and then nothing more.
async fn ready(handle: Handle, targets: usize, supervisor: Supervisor) {
    if handle.maintenance().await.is_ok() {
        supervisor.ready(targets);
    }
    std::future::pending().await
}

/// Ends when the engine is gone: a netwatch that can ask nobody would watch over nothing, and look alive.
async fn end_with(is_alive: impl Fn() -> bool) {
    while is_alive() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Ends when netwatch is to end.
async fn told(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// The first signal asks for an end with everything saved; the second does not wait for it.
async fn obey(mut terminate: Signal, mut interrupt: Signal, stop: watch::Sender<bool>, supervisor: Supervisor) {
    either(&mut terminate, &mut interrupt).await;
    supervisor.stopping();
    tracing::info!("stopping; a second signal ends netwatch at once");
    let _ = stop.send(true);
    either(&mut terminate, &mut interrupt).await;
    std::process::exit(1);
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// Serves until the end.
async fn served(serving: impl Future<Output = Result<(), ServeError>>) {
    if let Err(error) = serving.await {
        tracing::error!(%error, "the page was not served");
    }
}

/// Where to look; the page is served at `address`.
fn banner(config: &Config, targets: usize, address: SocketAddr, data_dir: &Path) -> String {
    let locale = config.plan.locale;
    let dir = data_dir.display();
    let source =
        config.path.as_ref().map_or_else(|| words::built_in(locale).to_owned(), |path| path.display().to_string());
    let mut lines = vec![
        (words::configuration(locale), source),
        (words::targets(locale), targets.to_string()),
        (words::page(locale), format!("http://{address}/")),
        (words::data(locale), format!("{dir}/ (server_status.txt, mail_log.txt, error_log.txt)")),
    ];
    for (policy, carrier) in config.plan.notifiers.iter().zip(&config.carriers) {
        let way = match carrier {
            Carrier::File { .. } => format!("{dir}/mail/*.eml"),
            Carrier::Smtp(smtp) => {
                let to: Vec<&str> = policy.recipients.iter().map(|to| &**to).collect();
                let (through, to_word) = (words::through(locale), words::to(locale));
                format!("{through} {}:{} {to_word} {}", smtp.server, smtp.port, to.join(", "))
            }
            // Of an address that may be a secret, and of a command that may hold one, only so much is shown.
            Carrier::Webhook(webhook) => {
                format!("webhook {} {}", webhook.format.code(), webhook.host().unwrap_or_default())
            }
            Carrier::Exec(exec) => format!("exec {}", exec.command.first().map_or("", String::as_str)),
            Carrier::Syslog(syslog) => {
                format!("syslog {} {}:{}", syslog.transport.code(), syslog.server, syslog.port)
            }
        };
        lines.push((words::mails(locale), format!("{}: {way}", policy.name)));
    }
    let width = lines.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
    let mut text = format!("netwatch {}\n", env!("CARGO_PKG_VERSION"));
    for (what, value) in lines {
        let padding = " ".repeat(width.saturating_sub(what.chars().count()));
        text.push_str(&format!("  {what}{padding}  {}\n", words::printable(&value)));
    }
    if config.path.is_none() {
        text.push_str(&format!("  ({})\n", words::own_file(locale)));
    }
    text.trim_end().to_owned()
}

fn log_to_stderr(common: &Common) {
    use std::io::IsTerminal;
    use tracing_subscriber::filter::{EnvFilter, LevelFilter};
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let filter = match common.log_level {
        Some(level) => EnvFilter::default().add_directive(level.into()),
        None => builder.from_env_lossy(),
    };
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn netwatch_ends_when_the_engine_is_gone() {
        let (stop, stopped) = watch::channel(false);
        let looks = std::sync::atomic::AtomicUsize::new(0);
        let is_alive = move || looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 1;
        let mut crew = Crew::default();
        crew.spawn("the engine", end_with(is_alive));
        assert!(!*stopped.borrow(), "it lives at first");
        let lost = tokio::time::timeout(LOOK * 10, crew.watch(&stop, stopped.clone())).await.unwrap();
        assert_eq!((lost, *stopped.borrow()), (Some("the engine"), true));
    }

    #[test]
    fn the_banner_says_where_to_look() {
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/original.toml"));
        let mut config = config::load(Some(file), Purpose::Look).unwrap().config;
        config.path = Some("/etc/netwatch/netwatch.toml".into());
        insta::assert_snapshot!(banner(
            &config,
            config.plan.targets.len(),
            config.listen,
            Path::new("/var/lib/netwatch")
        ));
        config.path = None;
        config.carriers = vec![Carrier::File { from: None }];
        config.plan.locale = netwatch_core::Locale::En;
        insta::assert_snapshot!(banner(
            &config,
            config.plan.targets.len(),
            config.listen,
            Path::new("/var/lib/netwatch")
        ));
    }
}
