//! Asks the running daemon over its local socket, in HTTP, and tells it what a technician wants.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::words;

/// Where the API tells of the daemon itself. It answers with 503 when that makes no progress.
pub(crate) const HEALTH: &str = "/healthz";
/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Far more than the answer about a hundred thousand devices.
const MOST: usize = 256 << 20;

/// Why the daemon's answer could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("netwatch does not seem to run: cannot connect to {}: {source}", path.display())]
    Connect { path: PathBuf, source: std::io::Error },
    #[error("netwatch did not answer on {} within {PATIENCE:?}", path.display())]
    Late { path: PathBuf },
    #[error("asking netwatch on {} failed: {source}", path.display())]
    Http { path: PathBuf, source: hyper::Error },
    #[error("netwatch's answer on {} broke off: {reason}", path.display())]
    Body { path: PathBuf, reason: String },
    #[error("netwatch answered on {} with status {status}", path.display())]
    Status { path: PathBuf, status: StatusCode },
    #[error("{reason}")]
    Refused { status: StatusCode, reason: String },
}

/// What the API says of an error.
#[derive(serde::Deserialize)]
struct ErrorDto {
    error: String,
}

/// The answer to one question.
///
/// # Errors
/// When there is no daemon, or no answer of it in time.
pub(crate) fn ask_blocking(socket: &Path, path: &str) -> Result<Bytes, AskError> {
    tell_blocking(socket, &Method::GET, path, None)
}

/// The answer to a request with this JSON for its body.
///
/// # Errors
/// When there is no daemon, or no answer of it in time, or it does not do what it is told.
pub(crate) fn tell_blocking(
    socket: &Path,
    method: &Method,
    path: &str,
    body: Option<&serde_json::Value>,
) -> Result<Bytes, AskError> {
    let failed = |source| AskError::Connect { path: socket.to_owned(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let late = |_| AskError::Late { path: socket.to_owned() };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, tell(socket, method, path, body)).await.map_err(late)? })
}

async fn tell(socket: &Path, method: &Method, path: &str, body: Option<&serde_json::Value>) -> Result<Bytes, AskError> {
    let place = || socket.to_owned();
    let http = |source| AskError::Http { path: place(), source };
    let stream = UnixStream::connect(socket).await.map_err(|source| AskError::Connect { path: place(), source })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    let connection = tokio::spawn(connection);
    let text = body.map(serde_json::Value::to_string).unwrap_or_default();
    let mut request = Request::new(Full::new(Bytes::from(text)));
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    if body.is_some() {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let response = sender.send_request(request).await.map_err(http)?;
    let status = response.status();
    let unwell = path == HEALTH && status == StatusCode::SERVICE_UNAVAILABLE;
    let body = Limited::new(response.into_body(), MOST).collect().await;
    let body = body.map_err(|error| AskError::Body { path: place(), reason: error.to_string() })?;
    connection.abort();
    let body = body.to_bytes();
    if status.is_success() || unwell {
        return Ok(body);
    }
    Err(match serde_json::from_slice(&body) {
        Ok(ErrorDto { error }) => AskError::Refused { status, reason: error },
        Err(_) => AskError::Status { path: place(), status },
    })
}

/// What is said of it, and what to do.
pub(crate) fn complaint(error: &AskError) -> String {
    let help = remedy(error).map(|help| format!("\n  = help: {help}")).unwrap_or_default();
    format!("error: {}{help}", words::printable(&error.to_string()))
}

/// A name as a part of a path (RFC 3986, 2.3).
pub(crate) fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// What to do about it, unless it says so itself.
fn remedy(error: &AskError) -> Option<&'static str> {
    Some(match error {
        AskError::Refused { status, .. } if *status != StatusCode::NOT_IMPLEMENTED => return None,
        AskError::Connect { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            "you must be the user that netwatch runs as, or in its group"
        }
        AskError::Connect { .. } => "start it with `netwatch run`, or name its directory with --data-dir",
        _ => "look at its log; try again",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_is_not_there_is_said_to_be() {
        let error = ask_blocking(Path::new("/nowhere/netwatch.sock"), "/").unwrap_err();
        assert!(error.to_string().contains("does not seem to run"), "{error}");
        assert!(complaint(&error).contains("netwatch run"));
    }

    #[test]
    fn a_name_is_one_part_of_a_path_whatever_is_in_it() {
        assert_eq!(encoded("calle/esquina %25?#ñ"), "calle%2Fesquina%20%2525%3F%23%C3%B1");
        assert_eq!(encoded("OLT-1.a_b~c"), "OLT-1.a_b~c");
    }
}
