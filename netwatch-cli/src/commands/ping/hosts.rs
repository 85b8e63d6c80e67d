//! Whom to ask: the hosts of the command line, of a list, or of a network, checked, and each once.

use std::collections::HashSet;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use netwatch_core::Host;

use super::range::{RangeError, generate};
use crate::args;
use crate::config::understand_address;

/// As many hosts as the engine can have under way.
pub(crate) const MOST_HOSTS: usize = 1_000_000;
/// A list of so many bytes is none.
const LONGEST_LIST: u64 = 256 << 20;
/// Of what is wrong with the hosts, so much is shown.
const MOST_SHOWN: usize = 10;

/// A host as it was named, and its address if no lookup is needed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) host: Box<str>,
    pub(crate) address: Option<SocketAddr>,
}

/// Why there is nobody to ask.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostsError {
    #[error("cannot read the hosts from {}: {source}", path.display())]
    List { path: PathBuf, source: std::io::Error },
    #[error("{} is longer than {} MiB: it is no list of hosts", path.display(), LONGEST_LIST >> 20)]
    TooLong { path: PathBuf },
    #[error(transparent)]
    Range(#[from] RangeError),
    #[error("there is no host to ping\n  = help: name some, or write them into the file, one a line")]
    None,
    #[error("{count} hosts are more than {MOST_HOSTS}\n  = help: ask them in parts")]
    TooMany { count: usize },
    #[error("{}", shown(.0))]
    Wrong(Vec<String>),
}

/// The hosts in the order in which they were named.
///
/// # Errors
/// When the list cannot be read, or a host cannot be one; all of them are named, up to a bound.
pub(crate) fn wanted(options: &args::Ping) -> Result<Vec<Wanted>, HostsError> {
    let generated: Vec<String>;
    let words = if options.generate {
        generated = generate(&options.hosts, MOST_HOSTS)?.iter().map(IpAddr::to_string).collect();
        &generated
    } else {
        &options.hosts
    };
    let text = options.file.as_deref().map(read_list).transpose()?.unwrap_or_default();
    let listed = text.lines().filter_map(|line| line.split('#').next()).flat_map(str::split_whitespace);
    let mut seen = HashSet::new();
    let named = words.iter().map(String::as_str).chain(listed).filter(|host| seen.insert(*host));
    let mut wrong = Vec::new();
    let mut wanted = Vec::new();
    for host in named {
        match understand_address(host, None) {
            Ok(Host::Ip { ip, zone: None }) => {
                wanted.push(Wanted { host: host.into(), address: Some((ip, 0).into()) });
            }
            Ok(_) => wanted.push(Wanted { host: host.into(), address: None }),
            Err(_) if host.contains('/') => {
                wrong.push(format!("error: {host:?}: this is a network\n  = help: ask all of it with -g {host}"));
            }
            Err((what, _, help)) => wrong.push(format!("error: {host:?}: {what}\n  = help: {help}")),
        }
    }
    match wanted.len() {
        _ if !wrong.is_empty() => Err(HostsError::Wrong(wrong)),
        0 => Err(HostsError::None),
        count if count > MOST_HOSTS => Err(HostsError::TooMany { count }),
        _ => Ok(wanted),
    }
}

fn read_list(path: &Path) -> Result<String, HostsError> {
    let unread = |source| HostsError::List { path: path.to_owned(), source };
    let list: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(unread)?)
    };
    let mut text = String::new();
    list.take(LONGEST_LIST).read_to_string(&mut text).map_err(unread)?;
    if text.len() as u64 >= LONGEST_LIST {
        return Err(HostsError::TooLong { path: path.to_owned() });
    }
    Ok(text)
}

fn shown(wrong: &[String]) -> String {
    let mut lines: Vec<String> = wrong.iter().take(MOST_SHOWN).cloned().collect();
    let rest = wrong.len().saturating_sub(MOST_SHOWN);
    if rest > 0 {
        lines.push(format!("error: and {rest} more"));
    }
    lines.join("\n").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        ping: args::Ping,
    }

    fn asked(words: &[&str]) -> Result<Vec<String>, HostsError> {
        let options = Line::try_parse_from(["ping"].iter().chain(words)).unwrap().ping;
        Ok(wanted(&options)?.into_iter().map(|wanted| wanted.host.into()).collect())
    }

    #[test]
    fn hosts_come_from_the_file_too_and_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        std::fs::write(path, "192.0.2.2 # the second\n# none\n192.0.2.1\r\n\nolt-1 fe80::1%lo\n").unwrap();
        let hosts = asked(&["192.0.2.1", "-f", path]).unwrap();
        assert_eq!(hosts, ["192.0.2.1", "192.0.2.2", "olt-1", "fe80::1%lo"]);
        assert_eq!(asked(&["-g", "192.0.2.8/31", "192.0.2.9/32"]).unwrap(), ["192.0.2.8", "192.0.2.9"]);
        assert!(matches!(asked(&["-g", "224.0.0.0/30"]), Err(HostsError::Wrong(_))));
        std::fs::write(path, "# none\n").unwrap();
        assert!(matches!(asked(&["-f", path]), Err(HostsError::None)));
        assert!(matches!(asked(&["-f", "/nowhere/list"]), Err(HostsError::List { .. })));
    }

    #[test]
    fn only_a_name_and_a_zone_need_a_lookup() {
        let options = Line::try_parse_from(["ping", "192.0.2.1", "2001:db8::1", "olt-1", "fe80::1%lo"]).unwrap().ping;
        let known: Vec<bool> = wanted(&options).unwrap().iter().map(|wanted| wanted.address.is_some()).collect();
        assert_eq!(known, [true, true, false, false]);
    }

    #[test]
    fn all_that_is_wrong_is_told_but_not_without_end() {
        let error = asked(&["192.0.2.0/24", "192.0.2.256", "192.0.2.1"]).unwrap_err().to_string();
        assert!(error.contains("-g 192.0.2.0/24") && error.contains("192.0.2.256"), "{error}");
        let many: Vec<String> = (0..100).map(|n| format!("192.0.2.{}", 256 + n)).collect();
        let error = asked(&many.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_err().to_string();
        assert!(error.lines().count() == 2 * MOST_SHOWN + 1 && error.ends_with("and 90 more"), "{error}");
    }
}
