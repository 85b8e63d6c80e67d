//! Asks the running daemon over its local socket, in HTTP.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

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
    Refused { path: PathBuf, status: hyper::StatusCode },
}

/// The answer to one question.
///
/// # Errors
/// When there is no daemon, or no answer of it in time.
pub(crate) fn ask_blocking(socket: &Path, path: &str) -> Result<Bytes, AskError> {
    let failed = |source| AskError::Connect { path: socket.to_owned(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let late = |_| AskError::Late { path: socket.to_owned() };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(socket, path)).await.map_err(late)? })
}

async fn ask(socket: &Path, path: &str) -> Result<Bytes, AskError> {
    let place = || socket.to_owned();
    let http = |source| AskError::Http { path: place(), source };
    let stream = UnixStream::connect(socket).await.map_err(|source| AskError::Connect { path: place(), source })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    let connection = tokio::spawn(connection);
    let mut request = hyper::Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.headers_mut().insert(hyper::header::HOST, hyper::header::HeaderValue::from_static("localhost"));
    let response = sender.send_request(request).await.map_err(http)?;
    let status = response.status();
    let unwell = path == HEALTH && status == hyper::StatusCode::SERVICE_UNAVAILABLE;
    if !status.is_success() && !unwell {
        return Err(AskError::Refused { path: place(), status });
    }
    let body = Limited::new(response.into_body(), MOST).collect().await;
    let body = body.map_err(|error| AskError::Body { path: place(), reason: error.to_string() })?;
    connection.abort();
    Ok(body.to_bytes())
}

/// What to do about it.
pub(crate) fn remedy(error: &AskError) -> &'static str {
    match error {
        AskError::Connect { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            "you must be the user that netwatch runs as, or in its group"
        }
        AskError::Connect { .. } => "start it with `netwatch run`, or name its directory with --data-dir",
        _ => "look at its log; try again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_is_not_there_is_said_to_be() {
        let error = ask_blocking(Path::new("/nowhere/netwatch.sock"), "/").unwrap_err();
        assert!(error.to_string().contains("does not seem to run"), "{error}");
        assert!(remedy(&error).contains("netwatch run"));
    }
}
