//! Where targets are at this moment: names have addresses only while somebody says so, and zones only while their
//! interface exists.
//!
//! Names are looked up beside everything else: neither a check nor the end of the program waits for it. A name has no
//! address until one is found; then it keeps it until another is found, without end, whatever becomes of the name
//! server: what it serves is not its devices' health. That is so even when the answer is that there is no such name:
//! where names follow leases, a dead device loses its name some time after it fell silent, and must not become UNKNOWN
//! for that.

#[cfg(feature = "resolver")]
mod dns;
#[cfg(any(test, not(feature = "resolver")))]
mod system;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice::name_to_index, socket_with};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::model::{Cause, Family, Host, Mono, Plan, TargetId};

/// How long a zone's index is taken to be true. An interface that was made anew has another one.
const ZONE_AGE: Duration = Duration::from_secs(2);

/// A name, and the family its address must be of.
pub(super) type Name = (Arc<str>, Option<Family>);

/// How names are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lookup {
    /// By a function that blocks until it has all addresses of a name, as getaddrinfo(3) does.
    #[cfg(any(test, not(feature = "resolver")))]
    Blocking(fn(&str) -> io::Result<Vec<SocketAddr>>),
    /// By a resolver of our own, which knows how long an answer may be kept.
    #[cfg(feature = "resolver")]
    Dns,
}

impl Lookup {
    /// The best way there is.
    pub(super) fn best() -> Lookup {
        #[cfg(feature = "resolver")]
        return Lookup::Dns;
        #[cfg(not(feature = "resolver"))]
        return Lookup::Blocking(system::addresses);
    }
}

/// The present address of every target.
pub(super) struct Addresses {
    plan: Arc<Plan>,
    /// The targets that have a name for an address, in order, and its place in `names`.
    named: Vec<(TargetId, usize)>,
    names: Vec<(Name, Option<SocketAddr>)>,
    zones: HashMap<Arc<str>, (Mono, Option<u32>)>,
    zone_index: fn(&str) -> Option<u32>,
}

impl Addresses {
    /// The addresses of a plan's targets; no name has one yet.
    pub(super) fn new(plan: &Arc<Plan>) -> Addresses {
        let mut names: Vec<(Name, Option<SocketAddr>)> = Vec::new();
        let mut places: HashMap<Name, usize> = HashMap::new();
        let mut named = Vec::new();
        for (index, target) in plan.targets.iter().enumerate() {
            let Host::Name { name, family } = &target.host else { continue };
            let name = (name.clone(), *family);
            let place = *places.entry(name.clone()).or_insert_with(|| {
                names.push((name, None));
                names.len().saturating_sub(1)
            });
            named.push((TargetId::from_index(index), place));
        }
        Addresses { plan: plan.clone(), named, names, zones: HashMap::new(), zone_index }
    }

    /// The names that are looked up, in the order in which they are.
    pub(super) fn names(&self) -> Vec<Name> {
        self.names.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Takes over what `old` knows of the same names.
    pub(super) fn inherit(&mut self, old: &Addresses) {
        let known: HashMap<&Name, SocketAddr> =
            old.names.iter().filter_map(|(name, address)| Some((name, (*address)?))).collect();
        for (name, address) in &mut self.names {
            *address = known.get(name).copied();
        }
    }

    /// Where a target is, or why nobody can tell.
    pub(super) fn of(&mut self, target: TargetId, now: Mono) -> Result<SocketAddr, Cause> {
        match &self.plan.target(target).ok_or(Cause::Unresolved)?.host {
            Host::Ip { ip: IpAddr::V6(ip), zone: Some(zone) } => {
                let zone_index = self.zone_index;
                let fresh = || (now, zone_index(zone));
                let known = self.zones.entry(zone.clone()).or_insert_with(fresh);
                if now.since(known.0) >= ZONE_AGE {
                    *known = fresh();
                }
                let scope = known.1.ok_or(Cause::NoInterface)?;
                Ok(SocketAddrV6::new(*ip, 0, 0, scope).into())
            }
            Host::Ip { ip, .. } => Ok(SocketAddr::new(*ip, 0)),
            Host::Name { .. } => {
                let place = self.named.binary_search_by_key(&target, |(named, _)| *named);
                let place = place.ok().and_then(|place| self.named.get(place));
                let name = place.and_then(|(_, name)| self.names.get(*name));
                name.and_then(|(_, address)| *address).ok_or(Cause::Unresolved)
            }
        }
    }

    /// Takes in what a lookup found. Of several addresses the present one stays: they may come in any order.
    pub(super) fn learn(&mut self, found: &Found) {
        let Some((name, present)) = self.names.get_mut(found.name) else { return };
        let mut fit = found.addresses.iter().filter(|address| fits(**address, name.1));
        let Some(first) = fit.next() else { return };
        if present.is_none_or(|present| present != *first && !fit.any(|address| *address == present)) {
            tracing::info!(name = &*name.0, address = %first, was = ?*present, "a name has an address");
            *present = Some(*first);
        }
    }

    /// Begins to look up the names, and goes on for as long as the result is held.
    pub(super) fn resolve(&self, lookup: Lookup) -> io::Result<Resolver> {
        let (found, answers) = unbounded_channel();
        let names = self.names.iter().map(|(name, _)| name.clone()).enumerate();
        let held: Box<dyn Send> = match lookup {
            #[cfg(any(test, not(feature = "resolver")))]
            Lookup::Blocking(lookup) => Box::new(system::spawn(names.collect(), lookup, &found)?),
            #[cfg(feature = "resolver")]
            Lookup::Dns => Box::new(dns::spawn(names.collect(), found)?),
        };
        Ok(Resolver { answers, asks: !self.names.is_empty(), _held: held })
    }
}

/// The addresses that a name has now; at least one.
#[derive(Debug)]
pub(super) struct Found {
    name: usize,
    addresses: Vec<SocketAddr>,
}

/// The lookups under way. They end with it, each after the question it is at.
pub(super) struct Resolver {
    answers: UnboundedReceiver<Found>,
    /// Whether there is anything to look up.
    asks: bool,
    _held: Box<dyn Send>,
}

impl Resolver {
    /// What was found next; waits for ever if there is nothing to look up. `None` if those who looked are gone: they
    /// panicked.
    pub(super) async fn found(&mut self) -> Option<Found> {
        match self.answers.recv().await {
            Some(found) => Some(found),
            None if self.asks => None,
            None => std::future::pending().await,
        }
    }
}

fn fits(address: SocketAddr, family: Option<Family>) -> bool {
    match family {
        Some(Family::V4) => address.is_ipv4(),
        Some(Family::V6) => address.is_ipv6(),
        None => true,
    }
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
        Ok(vec!["192.0.2.1:0".parse().unwrap(), "[2001:db8::1]:0".parse().unwrap()])
    }

    fn target(index: usize) -> TargetId {
        TargetId::from_index(index)
    }

    fn addresses(targets: Vec<Target>) -> Addresses {
        Addresses::new(&Arc::new(Plan::new(targets)))
    }

    #[tokio::test]
    async fn a_name_has_no_address_until_it_resolves_and_then_one_of_its_family() {
        let plain = Target::at("plain", [192, 0, 2, 7].into());
        let names = [named("dual", None), plain, named("dual6", Some(Family::V6)), named("dual", None)];
        let mut addresses = addresses(names.to_vec());
        assert_eq!(addresses.of(target(0), Mono::ZERO), Err(Cause::Unresolved));
        let mut resolver = addresses.resolve(Lookup::Blocking(both_families)).expect("threads");
        for _ in 0..2 {
            addresses.learn(&resolver.found().await.expect("somebody looks"));
        }
        assert_eq!(addresses.of(target(0), Mono::ZERO), Ok("192.0.2.1:0".parse().unwrap()));
        assert_eq!(addresses.of(target(1), Mono::ZERO), Ok("192.0.2.7:0".parse().unwrap()));
        assert_eq!(addresses.of(target(2), Mono::ZERO), Ok("[2001:db8::1]:0".parse().unwrap()));
        assert_eq!(addresses.of(target(3), Mono::ZERO), Ok("192.0.2.1:0".parse().unwrap()), "one name, one lookup");
    }

    #[test]
    fn a_name_keeps_its_address_while_it_is_among_those_found_and_until_another_is() {
        let mut addresses = addresses(vec![named("a", Some(Family::V4))]);
        let mut learn = |found: &[&str]| {
            let found = found.iter().map(|address| address.parse().unwrap()).collect();
            addresses.learn(&Found { name: 0, addresses: found });
            addresses.of(target(0), Mono::ZERO).map(|address| address.to_string())
        };
        assert_eq!(learn(&["[2001:db8::1]:0"]), Err(Cause::Unresolved), "of another family");
        assert_eq!(learn(&["192.0.2.1:0", "192.0.2.2:0"]).as_deref(), Ok("192.0.2.1:0"));
        assert_eq!(learn(&["192.0.2.2:0", "192.0.2.1:0"]).as_deref(), Ok("192.0.2.1:0"), "merely in another order");
        assert_eq!(learn(&["[2001:db8::1]:0"]).as_deref(), Ok("192.0.2.1:0"), "nothing better is known");
        assert_eq!(learn(&["192.0.2.2:0"]).as_deref(), Ok("192.0.2.2:0"));
    }

    #[test]
    fn names_keep_their_addresses_under_another_plan() {
        let mut old = addresses(vec![named("a", None), named("b", None)]);
        old.learn(&Found { name: 1, addresses: vec!["192.0.2.2:0".parse().unwrap()] });
        let mut new = addresses(vec![named("b", Some(Family::V4)), named("c", None), named("b", None)]);
        new.inherit(&old);
        assert_eq!(new.of(target(2), Mono::ZERO), Ok("192.0.2.2:0".parse().unwrap()));
        assert_eq!(new.of(target(0), Mono::ZERO), Err(Cause::Unresolved), "it may be of another family");
        assert_eq!(new.of(target(1), Mono::ZERO), Err(Cause::Unresolved));
    }

    #[test]
    fn a_zone_is_found_when_asked_for_and_looked_at_again_later() {
        let host = |zone: &str| Host::Ip { ip: "fe80::1".parse().unwrap(), zone: Some(zone.into()) };
        let mut addresses = addresses(vec![Target::new("lo", host("lo")), Target::new("none", host("nosuchif0"))]);
        assert_eq!(addresses.of(target(0), Mono::ZERO), Ok("[fe80::1%1]:0".parse().unwrap()));
        assert_eq!(addresses.of(target(1), Mono::ZERO), Err(Cause::NoInterface));
        addresses.zone_index = |_| Some(7);
        assert_eq!(addresses.of(target(1), Mono::ZERO), Err(Cause::NoInterface), "known for a while");
        let later = Mono::ZERO.plus(ZONE_AGE);
        assert_eq!(addresses.of(target(1), later), Ok("[fe80::1%7]:0".parse().unwrap()));
    }
}
