//! The configuration of a machine that has none: watch what this machine itself cannot do without.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use netwatch_core::{Gateway, Host, NotifierPolicy, Plan, Target};

use super::calendar::Calendars;
use super::{Carrier, Config};

/// What is known of this machine.
#[derive(Debug, Default)]
pub(crate) struct ThisMachine {
    /// Its name.
    pub(crate) name: Option<String>,
    /// Its default gateways.
    pub(crate) gateways: Vec<Gateway>,
    /// Its resolvers.
    pub(crate) resolvers: Vec<Host>,
}

impl ThisMachine {
    /// Asks the machine; what it does not say is left out.
    pub(crate) fn ask() -> ThisMachine {
        ThisMachine {
            name: netwatch_core::hostname().ok(),
            gateways: netwatch_core::gateways().unwrap_or_default(),
            resolvers: netwatch_core::resolvers().unwrap_or_default(),
        }
    }
}

/// This host, its gateways and its resolvers, each address once; mails as files; the page on 127.0.0.1:8080.
pub(crate) fn config(machine: &ThisMachine) -> Config {
    let name = machine.name.as_deref().unwrap_or("localhost");
    let mut targets = vec![Target::at(name, IpAddr::V4(Ipv4Addr::LOCALHOST))];
    let gateways = machine.gateways.iter().map(|gateway| ("gateway", &gateway.host));
    let resolvers = machine.resolvers.iter().map(|host| ("resolver", host));
    for (what, host) in gateways.chain(resolvers) {
        if !targets.iter().any(|target| target.host == *host) {
            targets.push(Target::new(format!("{what} {host}"), host.clone()));
        }
    }
    let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
    let plan = Plan::new(targets).with_notifier(NotifierPolicy::new("file"));
    let carriers = vec![Carrier::File { from: None }];
    Config {
        plan,
        calendars: Calendars::default(),
        path: None,
        data_dir: None,
        time_zone: None,
        templates: Vec::new(),
        carriers,
        listen,
        heartbeat: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_watched_once() {
        let host = |text: &str| Host::Ip { ip: text.parse().unwrap(), zone: None };
        let machine = ThisMachine {
            name: Some("noc".to_owned()),
            gateways: Vec::new(),
            resolvers: vec![host("192.0.2.53"), host("127.0.0.1"), host("192.0.2.53")],
        };
        let config = config(&machine);
        let names: Vec<&str> = config.plan.targets.iter().map(|target| &*target.name).collect();
        assert_eq!(names, ["noc", "resolver 192.0.2.53"]);
    }
}
