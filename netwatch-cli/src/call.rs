//! One GET over HTTP/1.1, with or without TLS, that is made or fails within a time limit.
//!
//! Certificates are judged by what this system trusts, and no redirect is followed: an address that is a secret must not
//! be carried to whoever the other side names.

use std::error::Error;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::USER_AGENT;
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// A call failed. Nothing of it shows the address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("TLS cannot be set up: {0}; install the package ca-certificates")]
    Tls(#[source] std::io::Error),
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("the answer is a redirect ({0}), which is not followed: name the address that it leads to")]
    Redirect(StatusCode),
    #[error("the answer is {0}: is the address right?")]
    Refused(StatusCode),
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("{}", chain(.0))]
    Failed(#[from] hyper_util::client::legacy::Error),
}

/// What makes calls, each over a connection of its own.
pub(crate) struct Caller(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

impl Caller {
    /// With the certificates that this system trusts.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn new() -> Result<Caller, CallError> {
        let provider = rustls::crypto::ring::default_provider();
        let builder = HttpsConnectorBuilder::new().with_provider_and_platform_verifier(provider);
        let connector = builder.map_err(CallError::Tls)?.https_or_http().enable_http1().build();
        Ok(Caller(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)))
    }

    /// Calls, and waits for the head of the answer; what follows it is not read.
    ///
    /// # Errors
    /// When the answer is not a 2xx, or there is none within `limit`.
    pub(crate) async fn get(&self, url: &Uri, limit: Duration) -> Result<(), CallError> {
        let agent = concat!("netwatch/", env!("CARGO_PKG_VERSION"));
        let request = Request::get(url).header(USER_AGENT, agent).body(Empty::new())?;
        let answer = tokio::time::timeout(limit, self.0.request(request)).await;
        let status = answer.map_err(|_elapsed| CallError::Late(limit))??.status();
        match status {
            _ if status.is_success() => Ok(()),
            _ if status.is_redirection() => Err(CallError::Redirect(status)),
            _ => Err(CallError::Refused(status)),
        }
    }
}

/// What went wrong, and why: the client's own words alone say very little.
fn chain(error: &hyper_util::client::legacy::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    words
}
