//! The accept loop: connections with limits on their number, their headers' time and their patience with slow readers.
//!
//! HTTP/1.1 only and chosen outright: hyper-util's `auto` builder sniffs the protocol without a time limit. hyper's
//! header limit needs a timer to work at all, and with one it also ends idle connections.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::api::{PageService, Site};
use crate::body::PageBody;
use crate::dashboard::Dashboard;
use crate::guard::{Changes, Gate, Hosts};
use crate::stall::StallGuard;

/// How much a server puts up with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time; more wait to be accepted. Default 1024.
    pub connections: usize,
    /// Event streams at a time; more are answered 503. Default 256.
    pub streams: usize,
    /// How long the header of a request may take, and how long a connection may be idle. Default 10 s.
    pub header: Duration,
    /// How long a client may not read what is sent to it. Default 20 s.
    pub stall: Duration,
    /// How long answers may take to end at the shutdown. Default 1.5 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 1024,
            streams: 256,
            header: Duration::from_secs(10),
            stall: Duration::from_secs(20),
            drain: Duration::from_millis(1500),
        }
    }
}

/// Why serving could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The listener does not know its own address.
    #[error("cannot serve the page: the listener has no address ({0}); bind it first")]
    Address(#[source] io::Error),
}

/// Serves the page and the API of `dashboard` until `shutdown` is over, with default [`Limits`].
///
/// On a loopback address only requests for `localhost`, 127.0.0.1, `[::1]` or that address are answered. On any other
/// nobody can acknowledge or enter a maintenance, because nobody signs in.
/// Returns within 2 s of the shutdown, whatever clients do.
///
/// # Errors
/// When the listener has no address.
pub async fn serve_tcp(
    listener: TcpListener,
    dashboard: Dashboard,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    Server::new(dashboard).serve_tcp(listener, shutdown).await
}

/// Serves the same on a local socket, until `shutdown` is over. Whoever may open the socket may read,
/// acknowledge, and enter and end maintenances.
///
/// # Errors
/// None at present.
pub async fn serve_unix(
    listener: UnixListener,
    dashboard: Dashboard,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    Server::new(dashboard).serve_unix(listener, shutdown).await
}

/// The page and the API of `dashboard` as a service, to be mounted in a server of one's own.
///
/// It answers under every host name, and its streams end only with their connections: whoever serves it guards both,
/// and runs [`Dashboard::tick`] beside it. Since it cannot know who asks, it takes no changes.
pub fn service(dashboard: Dashboard) -> PageService {
    let (_, closing) = watch::channel(false);
    let streams = Arc::new(Semaphore::new(Limits::default().streams));
    PageService::new(Site { dashboard, streams, closing }, Gate { hosts: Hosts::Any, changes: Changes::NotHere })
}

/// A server with limits of its own.
#[derive(Debug, Clone)]
pub struct Server {
    dashboard: Dashboard,
    limits: Limits,
}

impl Server {
    /// A server of this dashboard with default limits.
    pub fn new(dashboard: Dashboard) -> Server {
        Server { dashboard, limits: Limits::default() }
    }

    /// The same with these limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Server {
        self.limits = limits;
        self
    }

    /// See [`serve_tcp`](fn@crate::serve_tcp).
    ///
    /// # Errors
    /// When the listener has no address.
    pub async fn serve_tcp(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let gate = Gate::of(listener.local_addr().map_err(ServeError::Address)?);
        self.serve(listener, gate, shutdown).await;
        Ok(())
    }

    /// See [`serve_unix`](fn@crate::serve_unix).
    ///
    /// # Errors
    /// None at present.
    pub async fn serve_unix(
        self,
        listener: UnixListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        self.serve(listener, Gate { hosts: Hosts::Any, changes: Changes::Taken }, shutdown).await;
        Ok(())
    }

    async fn serve(self, listener: impl Listen, gate: Gate, shutdown: impl Future<Output = ()> + Send) {
        let (close, closing) = watch::channel(false);
        let streams = Arc::new(Semaphore::new(self.limits.streams));
        let site = Site { dashboard: self.dashboard.clone(), streams, closing };
        let service = PageService::new(site, gate);
        tokio::select! {
            () = run(listener, service, &self.limits, close, shutdown) => {}
            () = self.dashboard.tick() => {}
        }
    }
}

/// Ends when streams and idle connections are to end; never if nobody can say so any more.
pub(crate) async fn closed(closing: &mut watch::Receiver<bool>) {
    if closing.wait_for(|closing| *closing).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What hands out connections.
pub(crate) trait Listen: Send {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        // Messages are small and must not wait for one another.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

impl Listen for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

/// Serves connections until `shutdown` is over, then lets them end for `limits.drain`.
pub(crate) async fn run<S>(
    listener: impl Listen,
    service: S,
    limits: &Limits,
    close: watch::Sender<bool>,
    shutdown: impl Future<Output = ()> + Send,
) where
    S: hyper::service::Service<Request<Incoming>, Response = Response<PageBody>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            stream = accept(&listener, &places) => stream,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, place) = match stream {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Out of file descriptors, most likely: to try again at once would only burn time.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let served = connection(stream, service.clone(), limits.clone(), close.subscribe());
        connections.spawn(async move {
            served.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = close.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        connections.shutdown().await;
    }
}

async fn accept<L: Listen>(
    listener: &L,
    places: &Arc<Semaphore>,
) -> io::Result<(L::Stream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    Ok((listener.next().await?, place))
}

async fn connection<T, S>(stream: T, service: S, limits: Limits, mut closing: watch::Receiver<bool>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: hyper::service::Service<Request<Incoming>, Response = Response<PageBody>, Error = Infallible>,
    S::Future: Send,
{
    let guarded = TokioIo::new(StallGuard::new(stream, limits.stall));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(64 * 1024)
        .serve_connection(guarded, service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
