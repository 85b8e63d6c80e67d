//! The page served apart from the daemon: its own files from here, everything else from the daemon's local socket.
//!
//! The page itself never depends on the daemon, so that a browser opened while it is dead shows the veil and not an
//! error.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;

use crate::assets;
use crate::body::{self, PageBody};
use crate::guard::{self, Changes, Gate, Hosts};
use crate::serve::{self, Limits, ServeError};

/// How long the daemon may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Headers of an answer that concern one connection only (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 4] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, HeaderName::from_static("keep-alive")];

/// Serves the page, with the API of the daemon behind `socket`, until `shutdown` is over. It only shows: changes are made
/// with the daemon itself.
///
/// # Errors
/// When the listener has no address.
pub async fn serve_proxy(
    listener: TcpListener,
    socket: PathBuf,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let hosts = Hosts::of(listener.local_addr().map_err(ServeError::Address)?);
    let (close, _) = watch::channel(false);
    let gate = Gate { hosts, changes: Changes::Nowhere };
    let proxy = Proxy { socket: socket.into(), gate };
    serve::run(listener, proxy, &Limits::default(), close, shutdown).await;
    Ok(())
}

#[derive(Clone)]
struct Proxy {
    socket: Arc<Path>,
    gate: Gate,
}

impl hyper::service::Service<Request<Incoming>> for Proxy {
    type Response = Response<PageBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<PageBody>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let proxy = self.clone();
        Box::pin(async move {
            let mut response = proxy.answer(request).await;
            guard::harden(response.headers_mut());
            Ok(response)
        })
    }
}

impl Proxy {
    async fn answer(&self, request: Request<Incoming>) -> Response<PageBody> {
        if let Some(refusal) = guard::refuse(&request, self.gate) {
            return refusal;
        }
        if let Some(asset) = assets::find(request.uri().path()) {
            return assets::answer(asset, request.headers());
        }
        match tokio::time::timeout(PATIENCE, self.relay(&request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => body::error(StatusCode::BAD_GATEWAY, &error.to_string()),
            Err(_) => {
                body::error(StatusCode::GATEWAY_TIMEOUT, "the daemon does not answer; is it stopped or overloaded?")
            }
        }
    }

    async fn relay(&self, request: &Request<Incoming>) -> Result<Response<PageBody>, RelayError> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|source| RelayError::Connect { socket: self.socket.clone(), source })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(RelayError::Speak)?;
        // Ends with its answer, or as soon as the browser drops the body.
        tokio::spawn(connection);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let mut onward = Request::new(Empty::<Bytes>::new());
        *onward.method_mut() = request.method().clone();
        *onward.uri_mut() = path.parse().map_err(RelayError::Path)?;
        onward.headers_mut().insert(header::HOST, HeaderValue::from_static("netwatch"));
        let mut response = sender.send_request(onward).await.map_err(RelayError::Speak)?.map(PageBody::relayed);
        for name in HOP_BY_HOP {
            response.headers_mut().remove(name);
        }
        Ok(response)
    }
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("cannot reach the daemon at {}: {source}; is netwatch running, and may this user open its socket?", socket.display())]
    Connect { socket: Arc<Path>, source: io::Error },
    #[error("the daemon broke off: {0}; try again")]
    Speak(#[source] hyper::Error),
    #[error("the path of the request cannot be passed on: {0}")]
    Path(#[source] http::uri::InvalidUri),
}
