//! The heartbeat of `[self]`: the address that is called while netwatch watches, so that somebody else notices when it
//! does not.
//!
//! Whoever knows the address can keep a dead netwatch looking alive, so its path is treated as a secret.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use hyper::Uri;

use super::Purpose;
use super::problem::{At, Place, Problems};
use super::resolve::Surroundings;
use super::secret::{self, SecretKey, Written};
use super::section::Section;

/// The keys of `[self]` that are about it.
pub(crate) const KEYS: [&str; 5] =
    ["heartbeat_url", "heartbeat_url_file", "heartbeat_url_env", "heartbeat_interval", "heartbeat_allow_insecure"];

/// How often it is called.
const EVERY: Duration = Duration::from_secs(60);

const URL: SecretKey = SecretKey {
    key: "heartbeat_url",
    what: "address",
    here: true,
    example: ("/etc/netwatch/heartbeat-url", "HEARTBEAT_URL"),
};

/// What is called, and how often.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// An address of http or https.
    pub(crate) url: Uri,
    /// From one call to the next.
    pub(crate) every: Duration,
}

impl Heartbeat {
    /// The address without what is secret about it.
    pub(crate) fn site(&self) -> String {
        let (scheme, host) = (self.url.scheme_str().unwrap_or("http"), self.url.host().unwrap_or(""));
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{host}{port}/...")
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("url", &self.site()).field("every", &self.every).finish()
    }
}

/// What the file says of it.
#[derive(Debug, Default)]
pub(crate) struct RawHeartbeat {
    url: Option<Written>,
    every: Option<At<Duration>>,
    insecure: Option<At<bool>>,
}

impl RawHeartbeat {
    /// Reads the keys in `[self]`.
    pub(crate) fn read(section: &mut Section, problems: &mut Problems) -> RawHeartbeat {
        let url = secret::named(section, &URL, problems);
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(3600));
        let every = section.duration("heartbeat_interval", least, most, problems);
        let insecure = section.boolean("heartbeat_allow_insecure", problems);
        RawHeartbeat { url, every, insecure }
    }

    /// What it means; `None` if nothing is to be called.
    pub(crate) fn resolve(&self, around: &Surroundings<'_>, problems: &mut Problems) -> Option<Heartbeat> {
        let Some(written) = &self.url else {
            let help = "add `heartbeat_url = \"https://...\"`, or remove this";
            let alone = [self.every.as_ref().map(|every| every.place), self.insecure.as_ref().map(|flag| flag.place)];
            for place in alone.into_iter().flatten() {
                problems.error(place, "there is no heartbeat that this is about", "nothing is called", help);
            }
            return None;
        };
        if around.purpose == Purpose::Look && !written.is_here() {
            return None;
        }
        let needed = around.purpose == Purpose::Run;
        let text = secret::read(written, around.base, around.environment, needed, problems)?;
        let insecure = self.insecure.as_ref().is_some_and(|insecure| insecure.value);
        let url = understand(text.reveal().trim(), insecure, written.at.place, problems)?;
        Some(Heartbeat { url, every: self.every.as_ref().map_or(EVERY, |every| every.value) })
    }
}

/// The address, if it may be called. What is said of it does not show it.
fn understand(text: &str, insecure: bool, place: Place, problems: &mut Problems) -> Option<Uri> {
    let mut refuse = |title: &str, label: &str, help: &str| {
        problems.error(place, title, label, help);
        None
    };
    let url = text.parse::<Uri>().ok().filter(|url| url.host().is_some_and(|host| !host.is_empty()));
    let Some(url) = url else {
        return refuse("this is not an address to call", "not understood", "write it like `https://hc-ping.com/...`");
    };
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        let help = "name an address whose path is the secret, as dead man's switches give them out";
        return refuse("an address to call has no login in it", "it would not be sent", help);
    }
    match url.scheme_str() {
        Some("https") => Some(url),
        Some("http") if insecure || url.host().is_some_and(is_loopback) => Some(url),
        Some("http") => {
            let help = "write `https://`, or `heartbeat_allow_insecure = true` if the way there can be trusted";
            refuse("the heartbeat would be sent in the clear", "anybody on the way could read and forge it", help)
        }
        _ => {
            refuse("the heartbeat can only be http or https", "not a scheme that netwatch can call", "write `https://`")
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_an_address_is_not_its_secret() {
        let heartbeat = Heartbeat { url: "https://hc.example:8443/s3cret?k=s3cret".parse().unwrap(), every: EVERY };
        assert_eq!(heartbeat.site(), "https://hc.example:8443/...");
        assert!(!format!("{heartbeat:?}").contains("s3cret"));
    }

    #[test]
    fn loopback_is_what_never_leaves_this_machine() {
        assert!(["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"].into_iter().all(is_loopback));
        assert!(!["localhost.example.net", "10.0.0.1", "[fe80::1]", "example.net"].into_iter().any(is_loopback));
    }
}
