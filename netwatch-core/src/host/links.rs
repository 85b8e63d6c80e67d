//! Whether this machine is linked to others: it has a route, and a link that carries it.
//!
//! Loopback does not count. The kernel's tables name the interfaces that routes use, and `/sys/class/net/X/carrier`
//! (sysfs-class-net) tells of each whether its link is up.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::{HostError, read, routes};

/// How this machine is linked to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    /// A route leads over a link that is up.
    Yes,
    /// There are routes, and every link that they use is down.
    NoCarrier,
    /// There is no route to anybody but itself.
    NoRoute,
}

/// How this machine is linked to others now.
///
/// # Errors
/// When the kernel's tables cannot be read.
pub(crate) fn linked() -> Result<Linked, HostError> {
    const V4: &str = "/proc/net/route";
    const V6: &str = "/proc/net/ipv6_route";
    let mut text = [read("the routes", V4)?, String::new()];
    if Path::new(V6).exists() {
        text[1] = read("the routes", V6)?;
    }
    let [v4, v6] = &text;
    Ok(judge(&routes::interfaces(v4, v6), has_carrier))
}

fn judge(interfaces: &BTreeSet<&str>, has_carrier: impl Fn(&str) -> bool) -> Linked {
    match interfaces.iter().any(|interface| has_carrier(interface)) {
        true => Linked::Yes,
        false if interfaces.is_empty() => Linked::NoRoute,
        false => Linked::NoCarrier,
    }
}

/// Whether the link of this interface is up. Where nobody can tell (no sysfs, or that of another network namespace) it
/// is taken to be: netwatch must not be blind for want of a file.
fn has_carrier(interface: &str) -> bool {
    carrier_of(std::fs::read_to_string(Path::new("/sys/class/net").join(interface).join("carrier")))
}

/// What the file `carrier` says. It cannot be read (EINVAL) while the interface is switched off.
fn carrier_of(file: io::Result<String>) -> bool {
    match file {
        Ok(text) => text.trim() != "0",
        Err(error) => error.kind() != io::ErrorKind::InvalidInput,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces<'a>(names: &[&'a str]) -> BTreeSet<&'a str> {
        names.iter().copied().collect()
    }

    #[test]
    fn one_link_that_is_up_is_enough() {
        assert_eq!(judge(&interfaces(&["eth0", "eth1"]), |name| name == "eth1"), Linked::Yes);
        assert_eq!(judge(&interfaces(&["eth0", "eth1"]), |_| false), Linked::NoCarrier);
        assert_eq!(judge(&interfaces(&[]), |_| true), Linked::NoRoute);
    }

    #[test]
    fn a_link_is_down_only_if_the_kernel_says_so() {
        assert!(carrier_of(Ok("1\n".into())));
        assert!(!carrier_of(Ok("0\n".into())));
        assert!(!carrier_of(Err(io::Error::from_raw_os_error(22))), "EINVAL: switched off");
        for unknown in [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied] {
            assert!(carrier_of(Err(unknown.into())), "{unknown}");
        }
    }

    #[test]
    fn this_machine_can_tell() {
        linked().unwrap();
    }
}
