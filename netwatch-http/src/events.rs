//! `/api/v1/events`: how things stand, and then every change, as server-sent events.
//!
//! A reader gets `snapshot` first, `change` when more than a measurement is new, and `tick` once a second. Messages are
//! encoded once and shared; one who falls behind gets a new snapshot instead of what was missed, so that no reader
//! costs more than a few messages. Streams end when the server closes: an open one would hold up a graceful shutdown
//! for ever (hyper issue 2787).

use std::collections::VecDeque;
use std::convert::Infallible;

use futures_util::stream;
use http::{HeaderValue, Response, header};
use hyper::body::Bytes;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::body::PageBody;
use crate::dashboard::Dashboard;
use crate::serve::closed;

/// How soon a browser tries again, in milliseconds.
const RETRY: Bytes = Bytes::from_static(b"retry: 1000\n\n");

/// The answer that goes on until the server closes or the reader leaves. It keeps its permit as long.
pub(crate) fn answer(
    dashboard: Dashboard,
    closing: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) -> Response<PageBody> {
    let (snapshot, messages) = dashboard.subscribe();
    let first = VecDeque::from([RETRY, snapshot]);
    let reader = Reader { dashboard, closing, messages, first, _permit: permit };
    let stream = stream::unfold(reader, |mut reader| async move {
        let message = reader.next().await?;
        Some((Ok::<_, Infallible>(message), reader))
    });
    let mut response = Response::new(PageBody::stream(stream));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would gather messages otherwise (ngx_http_proxy_module, X-Accel-Buffering).
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct Reader {
    dashboard: Dashboard,
    closing: watch::Receiver<bool>,
    messages: Receiver<Bytes>,
    first: VecDeque<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(message) = self.first.pop_front() {
            return Some(message);
        }
        tokio::select! {
            biased;
            () = closed(&mut self.closing) => None,
            message = self.messages.recv() => match message {
                Ok(message) => Some(message),
                Err(RecvError::Lagged(_)) => {
                    let (snapshot, messages) = self.dashboard.subscribe();
                    self.messages = messages;
                    Some(snapshot)
                }
                Err(RecvError::Closed) => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use netwatch_core::{Mono, Now, Plan, Start, StatusSink, Wall};
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn one_who_falls_behind_gets_a_snapshot_instead_of_what_was_missed() {
        let dashboard = Dashboard::new();
        let (_close, closing) = watch::channel(false);
        let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let (snapshot, messages) = dashboard.subscribe();
        let first = VecDeque::from([snapshot]);
        let mut reader = Reader { dashboard: dashboard.clone(), closing, messages, first, _permit: permit };
        let start = Start::new(Now::new(Mono::ZERO, Wall::default()), Arc::new(Plan::default()), Vec::new());
        for _ in 0..100 {
            dashboard.start(&start).await;
            dashboard.gather();
        }
        let begins = |message: Option<Bytes>| message.unwrap().starts_with(b"event: snapshot");
        assert!(begins(reader.next().await), "the one it was given");
        assert!(begins(reader.next().await), "the one that makes up for the rest");
        assert!(reader.messages.is_empty(), "nothing old is behind it");
    }
}
