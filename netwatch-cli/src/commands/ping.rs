//! `netwatch ping`: fping's job with netwatch's own engine. Every host is asked at once, a line for each echo as its
//! fate is known, then a table.

mod tally;

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{Check, CheckId, Host, Locale, Mono, Probe, Report, Sample, Settings, TargetId};
use tokio::sync::mpsc;

use self::tally::Tally;
use super::{Exit, colours, complain, say};
use crate::args;
use crate::config::understand_address;
use crate::{table, wire, words};

/// How far ahead of its time a check is handed over, as the trait asks.
const AHEAD: Duration = Duration::from_millis(50);

/// A list of hosts could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the hosts from {}: {source}", path.display())]
struct ListError {
    path: PathBuf,
    source: std::io::Error,
}

/// Pings, shows, and tells by its end whether every host answered.
pub(crate) fn ping(options: &args::Ping) -> Exit {
    let hosts = match hosts(options) {
        Ok(hosts) if !hosts.is_empty() => hosts,
        Ok(_) => {
            complain("error: there is no host to ping\n  = help: name some, or write them into the file, one a line");
            return Exit::Usage;
        }
        Err(error) => {
            complain(&format!("error: {error}"));
            return Exit::Usage;
        }
    };
    let wrong: Vec<String> = hosts
        .iter()
        .filter_map(|host| {
            understand_address(host, None)
                .err()
                .map(|(what, _, help)| format!("error: {host:?}: {what}\n  = help: {help}"))
        })
        .collect();
    if !wrong.is_empty() {
        complain(&wrong.join("\n"));
        return Exit::Usage;
    }
    let probe = match wire::icmp() {
        Ok(probe) => probe,
        Err(error) => {
            complain(&format!("error: {error}"));
            return Exit::Wrong;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("error: cannot start: {error}"));
            return Exit::Wrong;
        }
    };
    let locale = words::locale_of_terminal(&|name| std::env::var(name).ok());
    let tallies = runtime.block_on(ask_all(&hosts, probe, options, locale));
    if options.json {
        tallies.iter().for_each(|tally| say(&tally.json()));
    } else {
        say(&format!("\n{}", table::render(&tally::table(&tallies, locale), colours()).trim_end()));
    }
    if tallies.iter().all(Tally::answered) { Exit::Fine } else { Exit::Wrong }
}

/// The hosts named, each once, those of the file after those of the command line.
fn hosts(options: &args::Ping) -> Result<Vec<String>, ListError> {
    let mut all = options.hosts.clone();
    if let Some(path) = &options.file {
        let text = read_list(path).map_err(|source| ListError { path: path.clone(), source })?;
        let words = text.lines().filter_map(|line| line.split('#').next()).flat_map(str::split_whitespace);
        all.extend(words.map(str::to_owned));
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|host| seen.insert(host.clone()));
    Ok(all)
}

fn read_list(path: &Path) -> std::io::Result<String> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

/// Puts what the probe found where the lines are written.
struct Channel(mpsc::UnboundedSender<(CheckId, Sample)>);

impl Report for Channel {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        for sample in samples {
            let _ = self.0.send(sample.clone());
        }
    }
}

async fn ask_all(hosts: &[String], probe: Arc<dyn Probe>, options: &args::Ping, locale: Locale) -> Vec<Tally> {
    let mut tallies = Vec::with_capacity(hosts.len());
    for host in hosts {
        tallies.push(Tally::new(host, lookup(host, options).await));
    }
    let (sender, mut found) = mpsc::unbounded_channel();
    let width = hosts.len() as u64;
    let asking = ask(addresses(&tallies), width, probe, options.count, settings(options), Channel(sender));
    let asking = tokio::spawn(asking);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let (id, sample) = tokio::select! {
            found = found.recv() => match found {
                Some(found) => found,
                None => break,
            },
            _ = &mut interrupted => break,
        };
        let Some(tally) = tallies.get_mut(sample.target.index()) else { continue };
        let round = id.number().checked_div(width).unwrap_or(0);
        tally.add(&sample);
        if !options.quiet && !options.json {
            say(&tally::line(tally, round.saturating_add(1), &sample, locale));
        }
    }
    asking.abort();
    tallies
}

fn settings(options: &args::Ping) -> Arc<Settings> {
    let mut settings = Settings::default();
    settings.pings = 1;
    settings.interval = options.interval;
    settings.timeout = options.timeout;
    Arc::new(settings)
}

fn addresses(tallies: &[Tally]) -> Vec<(TargetId, Arc<str>, SocketAddr)> {
    let known = |(index, tally): (usize, &Tally)| {
        Some((TargetId::from_index(index), tally.host.as_str().into(), tally.address?))
    };
    tallies.iter().enumerate().filter_map(known).collect()
}

/// Asks in rounds that begin an interval apart, whether or not the last is over, and ends when all are. Checks are
/// numbered through, `width` to a round.
async fn ask(
    targets: Vec<(TargetId, Arc<str>, SocketAddr)>,
    width: u64,
    probe: Arc<dyn Probe>,
    count: u32,
    settings: Arc<Settings>,
    out: Channel,
) {
    let out = Arc::new(out);
    let begin = wire::mono_now().plus(AHEAD);
    let mut rounds = tokio::task::JoinSet::new();
    for round in 0..count {
        let at: Mono = begin.plus(settings.interval.saturating_mul(round));
        tokio::time::sleep(at.since(wire::mono_now()).saturating_sub(AHEAD)).await;
        let number = |id: TargetId| u64::from(round).saturating_mul(width).saturating_add(id.index() as u64);
        let check = |(id, name, address): &(TargetId, Arc<str>, SocketAddr)| {
            Check::new(CheckId::new(number(*id)), *id, Arc::clone(name), *address, at, Arc::clone(&settings))
        };
        let due: Vec<Check> = targets.iter().map(check).collect();
        let (probe, out) = (Arc::clone(&probe), Arc::clone(&out));
        rounds.spawn(async move { probe.check_many(&due, &*out).await });
    }
    while rounds.join_next().await.is_some() {}
}

/// The first address of a host in the wanted family.
async fn lookup(host: &str, options: &args::Ping) -> Option<SocketAddr> {
    let literal = matches!(understand_address(host, None), Ok(Host::Ip { .. }));
    let wanted =
        |address: &SocketAddr| literal || (!options.v4 || address.is_ipv4()) && (!options.v6 || address.is_ipv6());
    tokio::net::lookup_host((host, 0)).await.ok()?.find(wanted)
}

#[cfg(test)]
mod tests {
    use netwatch_core::{Echo, Loss, Rtt, async_trait};

    use super::*;

    struct EvenAnswer;

    #[async_trait]
    impl Probe for EvenAnswer {
        async fn check(&self, check: &Check) -> Sample {
            let rtt = Rtt::from_duration(Duration::from_micros(1500));
            let echo =
                if check.target.index().is_multiple_of(2) { Echo::Reply(rtt) } else { Echo::Lost(Loss::NoReply) };
            Sample::new(check.target, check.at, check.at, [echo].into_iter().collect())
        }
    }

    fn options(hosts: &[&str]) -> args::Ping {
        args::Ping {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            count: 3,
            interval: Duration::from_millis(10),
            timeout: Duration::from_millis(100),
            v4: false,
            v6: false,
            file: None,
            json: true,
            quiet: false,
        }
    }

    #[tokio::test]
    async fn every_host_gets_as_many_echoes_as_were_asked_for() {
        let hosts = ["192.0.2.1".to_owned(), "192.0.2.2".to_owned()];
        let tallies = ask_all(&hosts, Arc::new(EvenAnswer), &options(&[]), Locale::En).await;
        let json: Vec<serde_json::Value> =
            tallies.iter().map(|tally| serde_json::from_str(&tally.json()).unwrap()).collect();
        assert_eq!(
            (&json[0]["sent"], &json[0]["answered"], &json[0]["rtt_median_ms"]),
            (&3.into(), &3.into(), &1.5.into())
        );
        assert_eq!((&json[1]["sent"], &json[1]["answered"], &json[1]["loss"]), (&3.into(), &0.into(), &1.0.into()));
        assert!(tallies[0].answered() && !tallies[1].answered());
    }

    #[test]
    fn hosts_come_from_the_file_too_and_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "192.0.2.2 # the second\n# none\n192.0.2.1\n\n").unwrap();
        let options = args::Ping { file: Some(file.path().to_owned()), ..options(&["192.0.2.1"]) };
        assert_eq!(hosts(&options).unwrap(), ["192.0.2.1", "192.0.2.2"]);
    }
}
