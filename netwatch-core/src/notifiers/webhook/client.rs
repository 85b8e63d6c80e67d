//! One request to a webhook, bounded in time and in what is read of its answer, and how far it came.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;
use super::redact::Redactor;
use crate::model::{DeliveryError, Stage};

/// What is read of an answer.
const ANSWER_BYTES: usize = 64 * 1024;
/// How long an answer whose body decides nothing may go on.
const REMARKS_LIMIT: Duration = Duration::from_secs(2);
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("netwatch/", env!("CARGO_PKG_VERSION")));

/// What an attempt posts with. Its connections end with it: one that idles until the next outage is one more thing that
/// can be dead.
pub(super) struct Poster<'a> {
    pub(super) client: Client<HttpsConnector<HttpConnector>, Watched>,
    pub(super) uri: &'a Uri,
    pub(super) authorization: Option<&'a HeaderValue>,
    /// Names the far side in errors.
    pub(super) who: &'a str,
    pub(super) redactor: &'a Redactor,
    pub(super) deadline: Instant,
}

/// A client with connections of its own. Proxies of the environment are not asked: a secret would be theirs.
pub(super) fn client(
    tls: &Arc<ClientConfig>,
    secure: bool,
    connect_limit: Duration,
) -> Client<HttpsConnector<HttpConnector>, Watched> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(connect_limit));
    let builder = HttpsConnectorBuilder::new().with_tls_config(ClientConfig::clone(tls));
    let builder = if secure { builder.https_only() } else { builder.https_or_http() };
    let connector = builder.enable_http1().wrap_connector(http);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector)
}

impl Poster<'_> {
    /// Posts this JSON. `body_counts`: the answer's body decides, and so is waited for.
    pub(super) async fn post(&self, body: String, body_counts: bool) -> Result<Answer, DeliveryError> {
        let begun = Arc::new(AtomicBool::new(false));
        let request = self.request(Watched { bytes: Some(body.into()), begun: Arc::clone(&begun) })?;
        let failed = |what: String| {
            let message = format!("{}: {what}", self.who);
            let mut error = DeliveryError::before_content(message);
            if begun.load(Ordering::Acquire) {
                error.stage = Stage::Uncertain;
            }
            error
        };
        let response = match timeout_at(self.deadline, self.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failed(self.redactor.clean(&explain(&error)))),
            Err(_elapsed) if begun.load(Ordering::Acquire) => return Err(failed("no answer in time".to_owned())),
            Err(_elapsed) => return Err(failed("no connection in time".to_owned())),
        };
        Ok(self.read(response, body_counts).await)
    }

    fn request(&self, body: Watched) -> Result<Request<Watched>, DeliveryError> {
        let mut request = Request::post(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/plain;q=0.9, */*;q=0.1")
            .header(header::USER_AGENT, USER_AGENT);
        if let Some(authorization) = self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request.body(body).map_err(|_| DeliveryError::before_content(format!("{}: its address is none", self.who)))
    }

    async fn read(&self, response: Response<Incoming>, body_counts: bool) -> Answer {
        let mut answer = Answer {
            status: response.status().as_u16(),
            retry_after: text(response.headers(), header::RETRY_AFTER),
            date: text(response.headers(), header::DATE),
            location: text(response.headers(), header::LOCATION),
            ..Answer::default()
        };
        let until = if body_counts { self.deadline } else { self.deadline.min(Instant::now() + REMARKS_LIMIT) };
        let mut body = response.into_body();
        let mut bytes = Vec::new();
        loop {
            match timeout_at(until, body.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => {
                    let data = frame.into_data().unwrap_or_default();
                    let room = ANSWER_BYTES.saturating_sub(bytes.len());
                    bytes.extend_from_slice(data.get(..data.len().min(room)).unwrap_or_default());
                    if bytes.len() >= ANSWER_BYTES {
                        break;
                    }
                }
                Ok(Some(Err(_))) | Err(_) => {
                    answer.cut_short = true;
                    break;
                }
            }
        }
        answer.body = String::from_utf8_lossy(&bytes).into_owned();
        answer
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// What went wrong: the outermost error says at what, the innermost why.
fn explain(error: &hyper_util::client::legacy::Error) -> String {
    let mut inner: Option<&(dyn Error + 'static)> = error.source();
    let mut said = if error.is_connect() { "cannot connect".to_owned() } else { "the connection failed".to_owned() };
    let mut last = None;
    while let Some(error) = inner {
        last = Some(error.to_string());
        inner = error.source();
    }
    if let Some(last) = last {
        said = format!("{said}: {last}");
    }
    said
}

/// A body that knows whether it was begun to be sent.
pub(super) struct Watched {
    bytes: Option<Bytes>,
    begun: Arc<AtomicBool>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.begun.store(true, Ordering::Release);
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.bytes.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}
