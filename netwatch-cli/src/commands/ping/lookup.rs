//! Names and zones become addresses through the system, some at a time, while the rest is being asked.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use netwatch_core::{Cause, Family};
use tokio::task::JoinSet;

use super::hosts::Wanted;

/// How many lookups are under way at a time; each has a thread while it lasts.
pub(crate) const LOOKUPS: usize = 32;

/// A host that was looked up.
#[derive(Debug)]
pub(crate) struct Name {
    /// Its place in the list.
    pub(crate) host: usize,
    /// Its first address of the wanted family.
    pub(crate) address: Result<SocketAddr, Cause>,
}

/// The lookups that are left.
#[derive(Debug)]
pub(crate) struct Names {
    left: std::vec::IntoIter<(usize, Arc<str>)>,
    family: Option<Family>,
    under_way: JoinSet<Name>,
}

impl Names {
    /// Looks up all hosts that have no address yet.
    pub(crate) fn of(wanted: &[Wanted], family: Option<Family>) -> Names {
        let named = wanted.iter().enumerate().filter(|(_, wanted)| wanted.address.is_none());
        let left: Vec<(usize, Arc<str>)> = named.map(|(host, wanted)| (host, Arc::from(&*wanted.host))).collect();
        Names { left: left.into_iter(), family, under_way: JoinSet::new() }
    }

    /// The next one that is ready; `None` after the last. Nothing is lost if this is dropped.
    pub(crate) async fn next(&mut self) -> Option<Name> {
        loop {
            while self.under_way.len() < LOOKUPS
                && let Some((host, name)) = self.left.next()
            {
                let family = self.family;
                self.under_way.spawn_blocking(move || Name { host, address: look_up(&name, family) });
            }
            if let Ok(name) = self.under_way.join_next().await? {
                return Some(name);
            }
        }
    }
}

fn look_up(name: &str, family: Option<Family>) -> Result<SocketAddr, Cause> {
    let zoned = name.contains('%');
    let cause = if zoned { Cause::NoInterface } else { Cause::Unresolved };
    let found = (name, 0).to_socket_addrs().map_err(|_| cause)?;
    let fits = |address: &SocketAddr| match family {
        Some(Family::V4) => address.is_ipv4(),
        Some(Family::V6) => address.is_ipv6(),
        _ => true,
    };
    { found }.find(|address| zoned || fits(address)).ok_or(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_of_the_family_are_found_and_the_others_have_a_cause() {
        // A label of more than 63 letters never gets as far as a name server.
        let long = "x".repeat(70);
        let wanted = ["127.0.0.1", "localhost", "fe80::1%lo", "fe80::1%nosuch0", &long];
        let wanted = wanted
            .map(|host| Wanted { host: host.into(), address: host.parse().ok().map(|ip| SocketAddr::new(ip, 0)) });
        let mut names = Names::of(&wanted, Some(Family::V4));
        let mut found = Vec::new();
        while let Some(Name { host, address }) = names.next().await {
            found.push((host, address));
        }
        found.sort_by_key(|(host, _)| *host);
        let local = "127.0.0.1:0".parse().unwrap();
        let link = "[fe80::1%1]:0".parse().unwrap();
        let expected = [(1, Ok(local)), (2, Ok(link)), (3, Err(Cause::NoInterface)), (4, Err(Cause::Unresolved))];
        assert_eq!(found, expected);
    }
}
