//! Names through a resolver of our own, which knows how long an answer may be kept: it is asked again when that time is
//! over, so that a device that moved is asked at its new address.
//!
//! One thread with a small runtime asks for all names, some at a time, as resolv.conf(5) and hosts(5) say at that
//! moment: netwatch may be started before either is there. Of a name that has addresses of both families and does not
//! say which, the IPv4 one is taken: the first to answer would change from time to time. For the same reason the IPv6
//! one is asked for only when it is known that there is no other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::RecordType;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::{Found, Name, fits};
use crate::model::Family;

/// How many lookups may be under way.
const LOOKUPS: usize = 64;
/// How often the system's files are looked at, and how long an answer is kept at least: a time to live of zero would
/// have us ask at every check.
const LEAST: Duration = Duration::from_secs(5);
/// How long an answer is kept at most (RFC 8767, 4, and RFC 2308, 5, find longer ones harmful).
const MOST: Duration = Duration::from_secs(24 * 3600);
/// How long "there is no such name" is believed at most. A name that was forgotten and then entered is not to wait for
/// as long as some zones say.
const MOST_NEGATIVE: Duration = Duration::from_secs(15 * 60);
/// The longest wait after a question that nobody answered; it doubles from [`LEAST`].
const MOST_RETRY: Duration = Duration::from_secs(60);

/// Where the configuration of the resolver comes from, as it is now.
type Files = fn() -> Vec<Vec<u8>>;
type Configure = Box<dyn Fn() -> Result<TokioResolver, NetError> + Send>;

/// Starts the thread; it ends when the result is dropped.
pub(super) fn spawn(names: Vec<(usize, Name)>, found: UnboundedSender<Found>) -> io::Result<oneshot::Sender<()>> {
    start(names, found, Asking { configure: Box::new(as_the_system_does), files: system_files, least: LEAST })
}

/// What can be otherwise in a test.
struct Asking {
    configure: Configure,
    files: Files,
    least: Duration,
}

fn start(names: Vec<(usize, Name)>, found: UnboundedSender<Found>, asking: Asking) -> io::Result<oneshot::Sender<()>> {
    let (stop, stopped) = oneshot::channel();
    if names.is_empty() {
        return Ok(stop);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("netwatch-names".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = stopped => {}
                () = ask_all(names, &found, &asking) => {}
            }
        });
        // Whatever is still open need not be waited for.
        runtime.shutdown_background();
    })?;
    Ok(stop)
}

/// The system's resolver configuration; with no name server in it, the one on this machine (resolv.conf(5)).
fn as_the_system_does() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_no_name_server| {
        let here = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![here]);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    });
    without_cache(builder.options_mut());
    builder.build()
}

/// We ask when an answer is over, and not before.
fn without_cache(options: &mut ResolverOpts) {
    options.cache_size = 0;
}

fn system_files() -> Vec<Vec<u8>> {
    ["/etc/resolv.conf", "/etc/hosts"].map(|path| std::fs::read(path).unwrap_or_default()).to_vec()
}

/// What became of a question.
enum Answer {
    /// These addresses, for so long.
    Addresses(Vec<SocketAddr>, Duration),
    /// There is none, for so long.
    Nothing(Duration),
    /// Nobody knows.
    Failed,
}

async fn ask_all(names: Vec<(usize, Name)>, found: &UnboundedSender<Found>, asking: &Asking) {
    let mut files = (asking.files)();
    let mut resolver = (asking.configure)();
    let begun = Instant::now();
    let mut looked = begun;
    let mut failures = vec![0_u32; names.len()];
    let mut due: BinaryHeap<Reverse<(Instant, usize)>> = (0..names.len()).map(|at| Reverse((begun, at))).collect();
    let mut under_way = JoinSet::new();
    loop {
        let now = Instant::now();
        if now.saturating_duration_since(looked) >= asking.least {
            looked = now;
            let present = (asking.files)();
            if present != files {
                files = present;
                resolver = (asking.configure)();
                due = due.drain().map(|Reverse((_, at))| Reverse((now, at))).collect();
            }
        }
        while under_way.len() < LOOKUPS
            && let Some(Reverse((at, place))) = due.peek().copied()
            && at <= now
        {
            due.pop();
            let Some((_, name)) = names.get(place).cloned() else { continue };
            let resolver = resolver.as_ref().ok().cloned();
            under_way.spawn(async move {
                let asked = AssertUnwindSafe(ask(resolver, &name)).catch_unwind().await;
                (place, asked.unwrap_or(Answer::Failed))
            });
        }
        let look = looked.checked_add(asking.least).unwrap_or(looked);
        let next = due.peek().filter(|_| under_way.len() < LOOKUPS).map_or(look, |Reverse((at, _))| look.min(*at));
        tokio::select! {
            Some(ended) = under_way.join_next() => {
                let Ok((place, answer)) = ended else { continue };
                let Some(failed) = failures.get_mut(place) else { continue };
                let wait = match answer {
                    Answer::Addresses(addresses, keep) => {
                        *failed = 0;
                        let Some((name, _)) = names.get(place) else { continue };
                        if found.send(Found { name: *name, addresses }).is_err() {
                            return;
                        }
                        keep.clamp(asking.least, MOST)
                    }
                    Answer::Nothing(keep) => {
                        *failed = 0;
                        keep.clamp(asking.least, MOST_NEGATIVE)
                    }
                    Answer::Failed => {
                        let wait = asking.least.saturating_mul(1 << (*failed).min(8)).min(MOST_RETRY);
                        *failed = failed.saturating_add(1);
                        wait
                    }
                };
                due.push(Reverse((Instant::now().checked_add(wait).unwrap_or(now), place)));
            }
            () = sleep_until(next.into()) => {}
        }
    }
}

/// Asks for the addresses of a name, of IPv4 first if either will do. Of a name whose IPv4 address nobody would tell,
/// nothing is known: it may have both.
async fn ask(resolver: Option<TokioResolver>, name: &Name) -> Answer {
    let Some(resolver) = resolver else {
        sleep(Duration::ZERO).await;
        return Answer::Failed;
    };
    let kinds: &[RecordType] = match name.1 {
        Some(Family::V4) => &[RecordType::A],
        Some(Family::V6) => &[RecordType::AAAA],
        None => &[RecordType::A, RecordType::AAAA],
    };
    let mut nothing: Option<Duration> = None;
    for kind in kinds {
        match resolver.lookup(&*name.0, *kind).await {
            Ok(lookup) => {
                let addresses = lookup.answers().iter().filter_map(|record| record.data.ip_addr());
                let addresses = addresses.map(|ip| SocketAddr::new(ip, 0)).filter(|address| fits(*address, name.1));
                let addresses: Vec<SocketAddr> = addresses.collect();
                if !addresses.is_empty() {
                    return Answer::Addresses(
                        addresses,
                        lookup.valid_until().saturating_duration_since(Instant::now()),
                    );
                }
                nothing = Some(Duration::ZERO);
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(no))) => {
                let keep = Duration::from_secs(u64::from(no.negative_ttl.unwrap_or(0)));
                nothing = Some(nothing.map_or(keep, |other| other.min(keep)));
            }
            Err(error) => {
                tracing::debug!(name = &*name.0, %error, "a name does not resolve");
                return Answer::Failed;
            }
        }
    }
    nothing.map_or(Answer::Failed, Answer::Nothing)
}

#[cfg(test)]
#[path = "dns/tests.rs"]
mod tests;
