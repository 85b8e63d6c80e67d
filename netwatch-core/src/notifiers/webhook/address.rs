//! A webhook's address: what may be shown of it, and what may not.

use std::net::IpAddr;

use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};

use super::config::{WebhookConfig, WebhookConfigError, WebhookFormat};

/// Parts of addresses that are the same for everybody, and so no secret.
const PUBLIC: [&str; 17] = [
    "services",
    "workflows",
    "triggers",
    "manual",
    "paths",
    "invoke",
    "powerautomate",
    "automations",
    "direct",
    "sendMessage",
    "enqueue",
    "webhook",
    "webhooks",
    "webhookb2",
    "IncomingWebhook",
    "publish",
    "hooks",
];

/// Where to post.
#[derive(Clone)]
pub(super) struct Address {
    /// What is posted to.
    pub(super) uri: Uri,
    /// The host, with the port if that is not the usual one. The only part that is ever shown.
    pub(super) host: String,
    /// Whether TLS protects it.
    pub(super) secure: bool,
    /// The topic of ntfy.
    pub(super) topic: Option<String>,
}

impl Address {
    pub(super) fn read(config: &WebhookConfig) -> Result<Address, WebhookConfigError> {
        use WebhookConfigError::Address as Wrong;
        let uri: Uri = config.url.reveal().trim().parse().map_err(|_| Wrong("it is not an address"))?;
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(Wrong("it begins with neither https:// nor http://")),
        };
        let authority = uri.authority().ok_or(Wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(Wrong("a user name and a password in it are never sent"));
        }
        let host = authority.host();
        if host.is_empty() || (authority.port().is_some() && authority.port_u16().is_none_or(|port| port == 0)) {
            return Err(Wrong("it names no host, or no port where it should"));
        }
        if !secure && !config.allow_insecure && !is_loopback(host) {
            return Err(WebhookConfigError::Insecure { host: shown(authority, secure) });
        }
        let host = shown(authority, secure);
        if config.format == WebhookFormat::Ntfy {
            let (uri, topic) = topic(&uri).ok_or(Wrong("its path names no topic"))?;
            return Ok(Address { uri, host, secure, topic: Some(topic) });
        }
        Ok(Address { uri, host, secure, topic: None })
    }
}

/// The host alone, as a name or an address.
pub(super) fn host(url: &str) -> Option<String> {
    let uri: Uri = url.trim().parse().ok()?;
    let host = uri.authority()?.host();
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

/// What of a configured address must not be shown, in each form in which somebody may echo it.
pub(super) fn secrets(url: &str) -> Vec<String> {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = path.split_once('/').map_or("", |(_, path)| path);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let values = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    let parts = path.split('/').chain(values).filter(|part| !PUBLIC.contains(part));
    parts.flat_map(|part| [part.to_owned(), percent_decoded(part)]).collect()
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0_usize;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes.get(at.saturating_add(1)..at.saturating_add(3)).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| *byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at = at.saturating_add(3);
            }
            None => {
                decoded.push(*byte);
                at = at.saturating_add(1);
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn shown(authority: &Authority, secure: bool) -> String {
    let usual = if secure { 443 } else { 80 };
    match authority.port_u16().filter(|port| *port != usual) {
        Some(port) => format!("{}:{port}", authority.host()),
        None => authority.host().to_owned(),
    }
}

/// Whether packets to this host stay on this machine. Names are not looked up, but for the one that is reserved for it
/// (RFC 6761, 6.3).
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// ntfy takes JSON at its root, and the topic in it.
fn topic(uri: &Uri) -> Option<(Uri, String)> {
    let path = uri.path().trim_end_matches('/');
    let (root, topic) = path.rsplit_once('/')?;
    if topic.is_empty() {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{root}/").parse().ok()?);
    Some((Uri::from_parts(parts).ok()?, percent_decoded(topic)))
}

/// The host that a redirect leads to, without anything more of it.
pub(super) fn redirect_host(location: &str) -> Option<String> {
    let uri: Uri = location.trim().parse().ok()?;
    let secure = uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTPS);
    uri.authority().map(|authority| shown(authority, secure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifiers::Secret;

    fn read(url: &str, format: WebhookFormat) -> Result<Address, WebhookConfigError> {
        Address::read(&WebhookConfig::new(Secret::new(url)).with_format(format))
    }

    #[test]
    fn only_this_machine_is_called_without_tls() {
        for url in ["http://127.0.0.1:8080/a", "http://[::1]/a", "http://localhost/a", "https://example.net/a"] {
            assert!(read(url, WebhookFormat::Json).is_ok(), "{url}");
        }
        for url in
            ["http://example.net/a", "http://192.0.2.1/a", "http://localhost.example.net/a", "http://127.0.0.1.nip.io/"]
        {
            let error = read(url, WebhookFormat::Json).err();
            assert!(matches!(error, Some(WebhookConfigError::Insecure { .. })), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_it() {
        for url in [
            "",
            "canary",
            "/canary",
            "ftp://h/canary",
            "https://",
            "https:///canary",
            "https://u:canary@h/",
            "https://h:0/canary",
            "https://h/ca nary",
            "https://ñ/canary",
        ] {
            let error = read(url, WebhookFormat::Json).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| !error.contains("canary")), "{url}: {error:?}");
        }
    }

    #[test]
    fn the_topic_is_the_last_part_of_the_path() {
        let address = read("https://ntfy.example.net:8443/push/noc%2Dcore", WebhookFormat::Ntfy).ok();
        let address = address.map(|address| (address.uri.to_string(), address.topic, address.host));
        let expected = (
            "https://ntfy.example.net:8443/push/".to_owned(),
            Some("noc-core".to_owned()),
            "ntfy.example.net:8443".to_owned(),
        );
        assert_eq!(address, Some(expected));
        assert!(read("https://ntfy.sh/", WebhookFormat::Ntfy).is_err());
    }

    #[test]
    fn a_redirect_is_shown_by_its_host() {
        assert_eq!(redirect_host("https://evil.example/canary?x=canary").as_deref(), Some("evil.example"));
        assert_eq!(redirect_host("/login"), None);
    }
}
