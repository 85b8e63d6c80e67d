//! What is refused before anything is looked up, and the headers that every answer bears. Pure.
//!
//! A page on another site can make a browser resolve its own name to 127.0.0.1 and then read what listens there (DNS
//! rebinding). The browser still sends that name as Host, so on a loopback address only names of this machine are
//! answered.

use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Body;

use crate::body::{self, PageBody};

/// Under which names a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hosts {
    /// Any.
    Any,
    /// `localhost`, 127.0.0.1, `[::1]` and this address, at whatever port.
    Loopback(IpAddr),
}

impl Hosts {
    /// What suits a listener at this address.
    pub(crate) fn of(listen: SocketAddr) -> Hosts {
        if listen.ip().to_canonical().is_loopback() { Hosts::Loopback(listen.ip()) } else { Hosts::Any }
    }

    fn allow(self, host: &str) -> bool {
        let Hosts::Loopback(own) = self else { return true };
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        match name.parse::<IpAddr>() {
            Ok(ip) => ip == own || ip.is_loopback(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// The answer to a request that is not even looked at; `None` if it may go on.
pub(crate) fn refuse<B: Body>(request: &Request<B>, hosts: Hosts) -> Option<Response<PageBody>> {
    if !host_of(request).is_some_and(|host| hosts.allow(host)) && hosts != Hosts::Any {
        let say = "this server answers only as localhost, 127.0.0.1 or [::1]";
        return Some(body::error(StatusCode::MISDIRECTED_REQUEST, say));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = body::error(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed");
        refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(refusal);
    }
    if !request.body().is_end_stream() {
        let mut refusal = body::error(StatusCode::PAYLOAD_TOO_LARGE, "a request here has no body");
        refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return Some(refusal);
    }
    None
}

/// Puts the headers on that every answer bears.
pub(crate) fn harden(headers: &mut HeaderMap) {
    const ALL: [(HeaderName, &str); 5] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in ALL {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn host_of<B>(request: &Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST)?.to_str().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_names_of_this_machine_are_answered() {
        let hosts = Hosts::of("127.0.0.1:8080".parse().unwrap());
        for host in ["localhost", "LOCALHOST:9090", "127.0.0.1:8080", "[::1]:80", "127.0.0.2"] {
            assert!(hosts.allow(host), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "192.0.2.1", "", "[::1"] {
            assert!(!hosts.allow(host), "{host}");
        }
    }

    #[test]
    fn elsewhere_any_name_is() {
        assert_eq!(Hosts::of("192.0.2.1:80".parse().unwrap()), Hosts::Any);
        assert_eq!(
            Hosts::of("[::ffff:127.0.0.1]:80".parse().unwrap()),
            Hosts::of("[::ffff:127.0.0.1]:80".parse().unwrap())
        );
        assert!(matches!(Hosts::of("[::1]:80".parse().unwrap()), Hosts::Loopback(_)));
    }
}
