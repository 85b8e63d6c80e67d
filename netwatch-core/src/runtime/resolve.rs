//! Where targets are at this moment: names have addresses only while somebody says so, and zones only while their
//! interface exists.
//!
//! Names are looked up by threads of their own through the system (getaddrinfo(3)), which may take half a minute to
//! fail and cannot be cancelled. Neither a check nor the end of the program waits for it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice::name_to_index, socket_with};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::model::{Cause, Family, Host, Mono, Plan, TargetId};

/// How often a name is looked up anew.
const REFRESH: Duration = Duration::from_secs(60);
/// How often a name that has no address yet is tried.
const RETRY: Duration = Duration::from_secs(5);
/// How long a zone's index is taken to be true. An interface that was made anew has another one.
const ZONE_AGE: Duration = Duration::from_secs(2);
/// How many lookups may be under way.
const LOOKUPS: usize = 4;

/// A name, and the family its address must be of.
type Name = (Arc<str>, Option<Family>);

/// Finds the addresses of a name; blocks.
pub(super) type Lookup = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// Asks the system.
pub(super) fn system_lookup(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((name, 0).to_socket_addrs()?.collect())
}

enum Place {
    Fixed(SocketAddr),
    Zoned(Ipv6Addr, Arc<str>),
    Named(usize),
}

/// The present address of every target.
pub(super) struct Addresses {
    places: Vec<Place>,
    names: Vec<(Name, Option<SocketAddr>)>,
    zones: HashMap<Arc<str>, (Mono, Option<u32>)>,
    zone_index: fn(&str) -> Option<u32>,
}

impl Addresses {
    /// The addresses of a plan's targets; no name has one yet.
    pub(super) fn new(plan: &Plan) -> Addresses {
        let mut names: Vec<(Name, Option<SocketAddr>)> = Vec::new();
        let mut places_of_names: HashMap<Name, usize> = HashMap::new();
        let places = plan.targets.iter().map(|target| match &target.host {
            Host::Ip { ip: IpAddr::V6(ip), zone: Some(zone) } => Place::Zoned(*ip, zone.clone()),
            Host::Ip { ip, .. } => Place::Fixed(SocketAddr::new(*ip, 0)),
            Host::Name { name, family } => {
                let name = (name.clone(), *family);
                let place = *places_of_names.entry(name.clone()).or_insert_with(|| {
                    names.push((name, None));
                    names.len().saturating_sub(1)
                });
                Place::Named(place)
            }
        });
        let places = places.collect();
        Addresses { places, names, zones: HashMap::new(), zone_index }
    }

    /// Where a target is, or why nobody can tell.
    pub(super) fn of(&mut self, target: TargetId, now: Mono) -> Result<SocketAddr, Cause> {
        match self.places.get(target.index()) {
            Some(Place::Fixed(address)) => Ok(*address),
            Some(Place::Zoned(ip, zone)) => {
                let zone_index = self.zone_index;
                let fresh = || (now, zone_index(zone));
                let known = self.zones.entry(zone.clone()).or_insert_with(fresh);
                if now.since(known.0) >= ZONE_AGE {
                    *known = fresh();
                }
                let scope = known.1.ok_or(Cause::NoInterface)?;
                Ok(SocketAddrV6::new(*ip, 0, 0, scope).into())
            }
            Some(Place::Named(name)) => {
                self.names.get(*name).and_then(|(_, address)| *address).ok_or(Cause::Unresolved)
            }
            None => Err(Cause::Unresolved),
        }
    }

    /// Takes in what a lookup found.
    pub(super) fn learn(&mut self, found: &Found) {
        if let Some((_, address)) = self.names.get_mut(found.name) {
            *address = Some(found.address);
        }
    }

    /// Begins to look up the names, and goes on for as long as the result is held.
    pub(super) fn resolve(&self, lookup: Lookup) -> io::Result<Resolver> {
        let (found, answers) = unbounded_channel();
        let mut stops = Vec::new();
        let threads = self.names.len().min(LOOKUPS);
        for first in 0..threads {
            let names = self.names.iter().enumerate().skip(first).step_by(threads);
            let names = names.map(|(place, (name, _))| (place, name.clone())).collect();
            let (stop, stopped) = channel();
            let found = found.clone();
            thread::Builder::new()
                .name("netwatch-names".into())
                .spawn(move || look_up(names, lookup, &found, &stopped))?;
            stops.push(stop);
        }
        Ok(Resolver { answers, _stops: stops })
    }
}

/// A name has an address. One that was found once is kept until another is found.
pub(super) struct Found {
    name: usize,
    address: SocketAddr,
}

/// The lookups under way. The threads end with it, each after the lookup it is at.
pub(super) struct Resolver {
    answers: UnboundedReceiver<Found>,
    _stops: Vec<Sender<()>>,
}

impl Resolver {
    /// What was found next; waits for ever if there is nothing to look up.
    pub(super) async fn found(&mut self) -> Found {
        match self.answers.recv().await {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }
}

fn look_up(names: Vec<(usize, Name)>, lookup: Lookup, found: &UnboundedSender<Found>, stopped: &Receiver<()>) {
    let begun = Instant::now();
    let mut due: Vec<(Instant, usize, Name)> = names.into_iter().map(|(place, name)| (begun, place, name)).collect();
    loop {
        for (at, place, name) in &mut due {
            if *at > Instant::now() {
                continue;
            }
            let wait = match one(name, lookup) {
                Some(address) => {
                    if found.send(Found { name: *place, address }).is_err() {
                        return;
                    }
                    REFRESH
                }
                None => RETRY,
            };
            *at = Instant::now().checked_add(wait).unwrap_or(*at);
            if !matches!(stopped.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
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

fn one((name, family): &Name, lookup: Lookup) -> Option<SocketAddr> {
    let addresses = match lookup(name) {
        Ok(addresses) => addresses,
        Err(error) => {
            tracing::debug!(%name, %error, "a name does not resolve");
            return None;
        }
    };
    let mut addresses = addresses.into_iter();
    let mut address = addresses.find(|address| match family {
        Some(Family::V4) => address.is_ipv4(),
        Some(Family::V6) => address.is_ipv6(),
        None => true,
    })?;
    address.set_port(0);
    Some(address)
}

/// The index of an interface (netdevice(7)), in this process's own network namespace. A number is one already.
fn zone_index(zone: &str) -> Option<u32> {
    if let Ok(index) = zone.parse() {
        return Some(index);
    }
    let socket = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    name_to_index(socket, zone).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Target;

    fn named(name: &str, family: Option<Family>) -> Target {
        Target::new(name, Host::Name { name: name.into(), family })
    }

    fn both_families(_name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(vec!["192.0.2.1:7".parse().unwrap(), "[2001:db8::1]:7".parse().unwrap()])
    }

    fn target(index: usize) -> TargetId {
        TargetId::from_index(index)
    }

    #[tokio::test]
    async fn a_name_has_no_address_until_it_resolves_and_then_one_of_its_family() {
        let plan = Plan::new(vec![named("dual", None), named("dual6", Some(Family::V6)), named("dual", None)]);
        let mut addresses = Addresses::new(&plan);
        assert_eq!(addresses.of(target(0), Mono::ZERO), Err(Cause::Unresolved));
        let mut resolver = addresses.resolve(both_families).expect("threads");
        for _ in 0..2 {
            addresses.learn(&resolver.found().await);
        }
        assert_eq!(addresses.of(target(0), Mono::ZERO), Ok("192.0.2.1:0".parse().unwrap()));
        assert_eq!(addresses.of(target(1), Mono::ZERO), Ok("[2001:db8::1]:0".parse().unwrap()));
        assert_eq!(addresses.of(target(2), Mono::ZERO), Ok("192.0.2.1:0".parse().unwrap()), "one name, one lookup");
    }

    #[test]
    fn a_family_that_the_name_does_not_have_is_no_address() {
        let only_v4: Lookup = |_| Ok(vec!["192.0.2.1:0".parse().unwrap()]);
        assert_eq!(one(&("v4".into(), Some(Family::V6)), only_v4), None);
        assert_eq!(one(&("gone".into(), None), |_| Err(io::ErrorKind::NotFound.into())), None);
    }

    #[test]
    fn a_zone_is_found_when_asked_for_and_looked_at_again_later() {
        let host = |zone: &str| Host::Ip { ip: "fe80::1".parse().unwrap(), zone: Some(zone.into()) };
        let plan = Plan::new(vec![Target::new("lo", host("lo")), Target::new("none", host("nosuchif0"))]);
        let mut addresses = Addresses::new(&plan);
        assert_eq!(addresses.of(target(0), Mono::ZERO), Ok("[fe80::1%1]:0".parse().unwrap()));
        assert_eq!(addresses.of(target(1), Mono::ZERO), Err(Cause::NoInterface));
        addresses.zone_index = |_| Some(7);
        assert_eq!(addresses.of(target(1), Mono::ZERO), Err(Cause::NoInterface), "known for a while");
        let later = Mono::ZERO.plus(ZONE_AGE);
        assert_eq!(addresses.of(target(1), later), Ok("[fe80::1%7]:0".parse().unwrap()));
    }
}
