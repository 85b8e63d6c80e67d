//! What this machine knows of itself: its name, its default gateways, its resolvers, and whether it is linked to others.
//!
//! The parsers are pure and take text; the readers beside them only fetch it. Nothing here changes anything.

mod links;
mod resolv;
mod routes;

use std::io::Read;
use std::path::Path;

pub(crate) use links::{Linked, linked};
pub use routes::Gateway;

use crate::model::Host;

/// Far more than any of the files read here ever holds; what lies beyond is not read.
const MOST: u64 = 4 << 20;

/// What this machine knows of itself could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("cannot read {what} from {path}: {source}")]
pub struct HostError {
    /// What was looked for.
    pub what: &'static str,
    /// Where.
    pub path: &'static str,
    /// Why not.
    pub source: std::io::Error,
}

/// The default gateways, those of IPv4 first, in each family the one of the lowest metric first, each address once.
///
/// Read from `/proc/net/route` and `/proc/net/ipv6_route` (proc(5)); a machine without IPv6 has no second one. The
/// gateway of a link-local address carries its interface as zone.
///
/// # Errors
/// When `/proc/net/route` cannot be read, or `/proc/net/ipv6_route` exists and cannot.
pub fn gateways() -> Result<Vec<Gateway>, HostError> {
    const V4: &str = "/proc/net/route";
    const V6: &str = "/proc/net/ipv6_route";
    let mut found = routes::v4(&read("the gateways", V4)?);
    if Path::new(V6).exists() {
        found.extend(routes::v6(&read("the gateways", V6)?));
    }
    Ok(found)
}

/// The name servers that this machine asks, in order, each once, from `/etc/resolv.conf` (resolv.conf(5)).
///
/// # Errors
/// When the file cannot be read.
pub fn resolvers() -> Result<Vec<Host>, HostError> {
    Ok(resolv::nameservers(&read("the resolvers", "/etc/resolv.conf")?))
}

/// The name of this machine, from `/proc/sys/kernel/hostname` (hostname(7)).
///
/// # Errors
/// When it cannot be read, or is empty.
pub fn hostname() -> Result<String, HostError> {
    const PATH: &str = "/proc/sys/kernel/hostname";
    let what = "the host name";
    let name = read(what, PATH)?.trim().to_owned();
    if name.is_empty() {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "it is empty");
        return Err(HostError { what, path: PATH, source });
    }
    Ok(name)
}

fn read(what: &'static str, path: &'static str) -> Result<String, HostError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes)).map_err(|source| HostError {
        what,
        path,
        source,
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name_and_readable_routes() {
        assert!(!hostname().unwrap().is_empty());
        gateways().unwrap();
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = read("the resolvers", "/nowhere/resolv.conf").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("cannot read the resolvers from /nowhere/resolv.conf: "), "{text}");
    }
}
