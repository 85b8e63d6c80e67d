//! The body of every answer: a type of our own, so that no other crate's stands in public.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body as AnyBody;
use futures_util::Stream;
use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use serde::Serialize;

use crate::dto::ErrorDto;

/// The body of an answer: a few bytes, or a stream that goes on.
#[derive(Debug)]
pub struct PageBody(AnyBody);

/// The client went away, or the one behind a proxy did.
#[derive(Debug, thiserror::Error)]
#[error("the rest of the answer could not be had: {0}")]
pub struct BodyError(#[source] axum::Error);

impl PageBody {
    pub(crate) fn empty() -> PageBody {
        PageBody(AnyBody::empty())
    }

    pub(crate) fn full(bytes: impl Into<Bytes>) -> PageBody {
        PageBody(AnyBody::from(bytes.into()))
    }

    pub(crate) fn stream(messages: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static) -> PageBody {
        PageBody(AnyBody::from_stream(messages))
    }

    pub(crate) fn relayed(body: hyper::body::Incoming) -> PageBody {
        PageBody(AnyBody::new(body))
    }

    pub(crate) fn from_any(body: AnyBody) -> PageBody {
        PageBody(body)
    }

    pub(crate) fn into_any(self) -> AnyBody {
        self.0
    }
}

impl Body for PageBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.0).poll_frame(context).map_err(BodyError)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// An answer in JSON that is never kept.
pub(crate) fn json(status: StatusCode, data: &impl Serialize) -> Response<PageBody> {
    let (status, text) = match serde_json::to_vec(data) {
        Ok(text) => (status, text),
        Err(error) => {
            tracing::error!(%error, "an answer could not be encoded");
            (StatusCode::INTERNAL_SERVER_ERROR, br#"{"error":"the answer could not be encoded"}"#.to_vec())
        }
    };
    let mut response = Response::new(PageBody::full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An error in JSON.
pub(crate) fn error(status: StatusCode, message: &str) -> Response<PageBody> {
    json(status, &ErrorDto { error: message })
}
