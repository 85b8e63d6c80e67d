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

/// Whether a server takes changes: acknowledgements, drills and maintenances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes {
    /// It does: nobody reaches it who may not.
    Taken,
    /// It would, but anybody may reach it, and nobody signs in.
    NotHere,
    /// It only shows.
    Nowhere,
}

/// Who is let in, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gate {
    pub(crate) hosts: Hosts,
    pub(crate) changes: Changes,
}

impl Gate {
    /// What suits a listener at this address: only on a loopback address is everybody who asks on this machine.
    pub(crate) fn of(listen: SocketAddr) -> Gate {
        let hosts = Hosts::of(listen);
        Gate { hosts, changes: if hosts == Hosts::Any { Changes::NotHere } else { Changes::Taken } }
    }
}

/// The longest body of a request.
pub(crate) const MOST_BODY: usize = 64 * 1024;

/// The answer to a request that is not even looked at; `None` if it may go on.
pub(crate) fn refuse<B: Body>(request: &Request<B>, gate: Gate) -> Option<Response<PageBody>> {
    let host = host_of(request);
    if !host.is_some_and(|host| gate.hosts.allow(host)) && gate.hosts != Hosts::Any {
        let say = "this server answers only as localhost, 127.0.0.1 or [::1]";
        return Some(body::error(StatusCode::MISDIRECTED_REQUEST, say));
    }
    if gate.changes != Changes::Nowhere && is_change(request.method(), request.uri().path()) {
        let length = request.body().size_hint().lower();
        return refuse_change(request.method(), request.headers(), host, gate.changes, length);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = body::error(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed");
        refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(refusal);
    }
    if !request.body().is_end_stream() {
        return Some(closing(StatusCode::PAYLOAD_TOO_LARGE, "a request here has no body"));
    }
    None
}

fn is_change(method: &Method, path: &str) -> bool {
    match *method {
        Method::POST => path == "/api/v1/maintenance" || is_of_target(path),
        Method::DELETE => path.starts_with("/api/v1/maintenance/"),
        _ => false,
    }
}

fn is_of_target(path: &str) -> bool {
    path.starts_with("/api/v1/targets/") && ["/ack", "/drill"].iter().any(|end| path.ends_with(end))
}

/// A page on another site can make a technician's browser send a request here. It cannot hide where it is from, and
/// without leave, which is never given, it cannot send JSON.
fn refuse_change(
    method: &Method,
    headers: &HeaderMap,
    host: Option<&str>,
    changes: Changes,
    length: u64,
) -> Option<Response<PageBody>> {
    if changes == Changes::NotHere {
        let say =
            "nobody signs in here, so changes are taken only on a loopback address and on netwatch's local socket";
        return Some(closing(StatusCode::FORBIDDEN, say));
    }
    if !is_same_site(headers, host) {
        let say = "changes are taken only from this page itself, not from one of another site";
        return Some(closing(StatusCode::FORBIDDEN, say));
    }
    if *method == Method::POST && !is_json(headers) {
        let say = "the body must be JSON: send it with `Content-Type: application/json`";
        return Some(closing(StatusCode::UNSUPPORTED_MEDIA_TYPE, say));
    }
    if length > MOST_BODY as u64 {
        return Some(closing(StatusCode::PAYLOAD_TOO_LARGE, "a body here is 64 KiB at most"));
    }
    None
}

/// Whether a browser says that this page itself asks; what is no browser says nothing (Fetch Standard, 3.2; Fetch
/// Metadata, 2.3).
fn is_same_site(headers: &HeaderMap, host: Option<&str>) -> bool {
    let site = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none");
    let origin = headers.get(header::ORIGIN).is_none_or(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
    });
    site && origin
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// A refusal after which nothing more is read from the connection: there may be a body, however long.
fn closing(status: StatusCode, say: &str) -> Response<PageBody> {
    let mut refusal = body::error(status, say);
    refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    refusal
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

    fn status(gate: Gate, method: &Method, path: &str, headers: &[(&'static str, &str)]) -> Option<u16> {
        let mut request = Request::new(http_body_util::Full::new(hyper::body::Bytes::from_static(b"{}")));
        *request.method_mut() = method.clone();
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert("host", HeaderValue::from_static("localhost:8080"));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        refuse(&request, gate).map(|refusal| refusal.status().as_u16())
    }

    const ACK: &str = "/api/v1/targets/olt-1/ack";
    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let gate = Gate::of("127.0.0.1:8080".parse().unwrap());
        let post = |headers: &[(&'static str, &str)]| status(gate, &Method::POST, ACK, headers);
        assert_eq!(post(&[JSON]), None, "what is no browser");
        assert_eq!(post(&[("content-type", "application/json; charset=utf-8")]), None);
        assert_eq!(post(&[JSON, ("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")]), None);
        for origin in ["http://evil.example", "null", "http://localhost:9090", "localhost:8080", "file://", ""] {
            assert_eq!(post(&[JSON, ("origin", origin)]), Some(403), "{origin}");
            assert_eq!(status(gate, &Method::DELETE, "/api/v1/maintenance/1", &[("origin", origin)]), Some(403));
        }
        for site in ["cross-site", "same-site"] {
            assert_eq!(post(&[JSON, ("sec-fetch-site", site)]), Some(403), "{site}");
        }
        for form in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"] {
            assert_eq!(post(&[("content-type", form)]), Some(415), "{form}: what a form can send without leave");
        }
        assert_eq!(post(&[]), Some(415));
        let drill = [JSON, ("origin", "http://evil.example")];
        assert_eq!(status(gate, &Method::POST, "/api/v1/targets/olt-1/drill", &drill), Some(403));
    }

    #[test]
    fn where_anybody_may_ask_and_nobody_signs_in_nothing_is_changed() {
        for (gate, refusal) in [
            (Gate::of("192.0.2.1:80".parse().unwrap()), 403),
            (Gate::of("0.0.0.0:80".parse().unwrap()), 403),
            (Gate { hosts: Hosts::Any, changes: Changes::Nowhere }, 405),
        ] {
            assert_eq!(status(gate, &Method::POST, ACK, &[JSON]), Some(refusal), "{gate:?}");
        }
    }

    #[test]
    fn nothing_else_is_changed_at_all() {
        let gate = Gate::of("127.0.0.1:8080".parse().unwrap());
        for (method, path) in [
            (Method::POST, "/api/v1/targets"),
            (Method::PUT, ACK),
            (Method::DELETE, ACK),
            (Method::DELETE, "/api/v1/maintenance"),
            (Method::OPTIONS, ACK),
            (Method::PATCH, "/api/v1/maintenance/1"),
        ] {
            assert_eq!(status(gate, &method, path, &[JSON]), Some(405), "{method} {path}");
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
