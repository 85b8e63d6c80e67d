//! Names through the system (getaddrinfo(3)), by threads of their own: it may take half a minute to fail, cannot be
//! cancelled, and does not say how long an answer may be kept.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::{Found, Name};

/// How often a name is looked up anew.
const REFRESH: Duration = Duration::from_secs(60);
/// How often a name that has no address yet is tried.
const RETRY: Duration = Duration::from_secs(5);
/// How many lookups may be under way.
const LOOKUPS: usize = 4;

type Blocking = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// Asks the system.
#[cfg(not(feature = "resolver"))]
pub(super) fn addresses(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(std::net::ToSocketAddrs::to_socket_addrs(&(name, 0))?.collect())
}

/// Starts the threads; they end when the result is dropped, each after the lookup it is at.
pub(super) fn spawn(
    names: Vec<(usize, Name)>,
    lookup: Blocking,
    found: &UnboundedSender<Found>,
) -> io::Result<Vec<Sender<()>>> {
    let threads = names.len().min(LOOKUPS);
    let mut stops = Vec::new();
    for first in 0..threads {
        let names = names.iter().skip(first).step_by(threads).cloned().collect();
        let (stop, stopped) = channel();
        let found = found.clone();
        thread::Builder::new().name("netwatch-names".into()).spawn(move || look_up(names, lookup, &found, &stopped))?;
        stops.push(stop);
    }
    Ok(stops)
}

fn look_up(names: Vec<(usize, Name)>, lookup: Blocking, found: &UnboundedSender<Found>, stopped: &Receiver<()>) {
    let begun = Instant::now();
    let mut due: Vec<(Instant, usize, Name)> = names.into_iter().map(|(place, name)| (begun, place, name)).collect();
    loop {
        for (at, place, (name, _)) in &mut due {
            if *at > Instant::now() {
                continue;
            }
            let wait = match lookup(name) {
                Ok(addresses) if !addresses.is_empty() => {
                    if found.send(Found { name: *place, addresses }).is_err() {
                        return;
                    }
                    REFRESH
                }
                Ok(_) => RETRY,
                Err(error) => {
                    tracing::debug!(%name, %error, "a name does not resolve");
                    RETRY
                }
            };
            *at = Instant::now().checked_add(wait).unwrap_or(*at);
            if !matches!(stopped.try_recv(), Err(TryRecvError::Empty)) {
                return;
            }
        }
        let Some(next) = due.iter().map(|(at, ..)| *at).min() else { return };
        let wait = next.saturating_duration_since(Instant::now());
        if !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
            return;
        }
    }
}
