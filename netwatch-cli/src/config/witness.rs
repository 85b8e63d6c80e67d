//! `[self] witnesses`: the addresses that tell whether netwatch itself is cut off.

use netwatch_core::{Host, Plan};

use super::address;
use super::names::Devices;
use super::problem::{At, Problems};

/// Stands for the default gateways of this machine.
const GATEWAY: &str = "gateway";

/// What each witness stands for, each address once: the default gateways, a target, an address or a name. The gateway is
/// the one of now; where there is none it is left out, as a machine may be configured before its network is.
pub(super) fn resolve(
    written: &[At<String>],
    devices: &Devices,
    plan: &Plan,
    gateways: &dyn Fn() -> Vec<Host>,
    problems: &mut Problems,
) -> Vec<Host> {
    let mut all: Vec<Host> = Vec::new();
    for witness in written {
        let text = witness.value.trim();
        let found = if text == GATEWAY {
            let found = best(gateways());
            if found.is_empty() {
                let help = "start netwatch again when the machine has its route, or name another witness beside it";
                let title = "this machine has no default gateway";
                problems.warning(witness.place, title, "left out of the witnesses", help);
            }
            found
        } else if let Some(target) = devices.get(text).and_then(|id| plan.target(id)) {
            vec![target.host.clone()]
        } else {
            address::resolve(witness, None, problems).into_iter().collect()
        };
        for host in found {
            if !all.contains(&host) {
                all.push(host);
            }
        }
    }
    all
}

/// The first gateway of each address family: the others are used only when it is gone.
fn best(gateways: Vec<Host>) -> Vec<Host> {
    let is_v6 = |host: &Host| matches!(host, Host::Ip { ip, .. } if ip.is_ipv6());
    let mut best: Vec<Host> = Vec::new();
    for gateway in gateways {
        if !best.iter().any(|one| is_v6(one) == is_v6(&gateway)) {
            best.push(gateway);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use netwatch_core::Target;

    use super::*;

    fn host(text: &str) -> Host {
        Host::Ip { ip: text.parse().unwrap(), zone: None }
    }

    fn witnesses(written: &[&str], gateways: &[&str]) -> (Vec<String>, Problems) {
        let mut problems = Problems::default();
        let source = problems.add_source(Path::new("a.toml"), "witnesses");
        let place = problems.place(source, 0..9);
        let plan = Plan::new(vec![Target::new("core-1", host("192.0.2.1"))]);
        let devices = Devices::find(written.iter().copied(), &plan.targets, &[], true);
        let written: Vec<At<String>> = written.iter().map(|text| At::new((*text).to_owned(), place)).collect();
        let gateways = || gateways.iter().map(|text| host(text)).collect();
        let found = resolve(&written, &devices, &plan, &gateways, &mut problems);
        (found.iter().map(Host::to_string).collect(), problems)
    }

    #[test]
    fn the_gateway_is_the_first_of_each_family() {
        let gateways = ["198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8::2"];
        let (found, problems) = witnesses(&["gateway", "198.51.100.1", "core-1", "ns.example.net"], &gateways);
        assert_eq!(found, ["198.51.100.1", "2001:db8::1", "192.0.2.1", "ns.example.net"]);
        assert_eq!(problems.render(false), "");
    }

    #[test]
    fn one_that_is_missing_is_left_out_and_said_so() {
        let (found, problems) = witnesses(&["gateway", "192.0.2.9"], &[]);
        assert_eq!((found, problems.errors(), problems.warnings()), (vec!["192.0.2.9".to_owned()], 0, 1));
        let (found, problems) = witnesses(&["192.0.2.300"], &[]);
        assert_eq!((found.len(), problems.errors()), (0, 1));
    }
}
