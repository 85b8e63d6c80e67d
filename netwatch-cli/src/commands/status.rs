//! `netwatch status`: how everything stands, asked of the running daemon over its local socket.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};
use netwatch_core::{Locale, Status};
use serde::Deserialize;
use tokio::net::UnixStream;

use super::{Exit, colours, complain, configured, say};
use crate::args;
use crate::config::{self, Purpose};
use crate::table::{self, Cell};
use crate::words;

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Far more than the answer about a hundred thousand devices.
const MOST: usize = 256 << 20;

/// Why the daemon's answer could not be had.
#[derive(Debug, thiserror::Error)]
enum AskError {
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

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    stale: bool,
    last_update: Option<String>,
    targets: Vec<TargetDto>,
}

#[derive(Debug, Deserialize)]
struct TargetDto {
    name: String,
    address: String,
    status: String,
    since: Option<String>,
    rtt_ms: Option<f64>,
    loss: Option<f64>,
    cause: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
}

impl TargetDto {
    /// A status that this version does not know is one of which nothing can be said.
    fn status(&self) -> Status {
        Status::from_code(&self.status).unwrap_or(Status::Unknown)
    }
}

/// Asks, shows, and tells by its end whether something is down.
pub(crate) fn status(common: &args::Common, options: &args::Status) -> Exit {
    let (config, _) = match configured(common, Purpose::Look) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let Some(dir) = config::data_dir(common.data_dir.as_deref(), &config) else {
        complain("error: no data directory is known\n  = help: name it with --data-dir, or set `data_dir`");
        return Exit::Usage;
    };
    let socket = dir.join("netwatch.sock");
    let body = match ask_blocking(&socket, "/api/v1/targets") {
        Ok(body) => body,
        Err(error) => {
            complain(&format!("error: {error}\n  = help: {}", remedy(&error)));
            return Exit::Wrong;
        }
    };
    let answer: Answer = match serde_json::from_slice(&body) {
        Ok(answer) => answer,
        Err(error) => {
            complain(&format!(
                "error: netwatch's answer is not understood: {error}\n  = help: is the daemon of another version?"
            ));
            return Exit::Wrong;
        }
    };
    if options.json {
        say(String::from_utf8_lossy(&body).trim_end());
    } else {
        let zone =
            config.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(TimeZone::system);
        say(show(&answer, config.plan.locale, &zone, Timestamp::now(), colours()).trim_end());
    }
    let down = answer.targets.iter().any(|target| matches!(target.status(), Status::Down | Status::Unreachable));
    if down || answer.stale { Exit::Wrong } else { Exit::Fine }
}

fn remedy(error: &AskError) -> &'static str {
    match error {
        AskError::Connect { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            "you must be the user that netwatch runs as, or in its group"
        }
        AskError::Connect { .. } => "start it with `netwatch run`, or name its directory with --data-dir",
        _ => "look at its log; try again",
    }
}

fn ask_blocking(socket: &Path, path: &str) -> Result<Bytes, AskError> {
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
    if !response.status().is_success() {
        return Err(AskError::Refused { path: place(), status: response.status() });
    }
    let body = Limited::new(response.into_body(), MOST).collect().await;
    let body = body.map_err(|error| AskError::Body { path: place(), reason: error.to_string() })?;
    connection.abort();
    Ok(body.to_bytes())
}

/// The table, what needs a person first, and a line of counts.
fn show(answer: &Answer, locale: Locale, zone: &TimeZone, now: Timestamp, colour: bool) -> String {
    let head = [words::state(locale), words::name(locale), words::address(locale)];
    let mut rows: Vec<Vec<Cell>> = vec![head.into_iter().map(Cell::text).collect()];
    if let Some(head) = rows.first_mut() {
        head.extend([words::ping(locale), words::loss(locale)].map(Cell::figure));
        head.push(Cell::text(words::since(locale)));
    }
    let mut counts: BTreeMap<usize, (Status, usize)> = BTreeMap::new();
    for (order, status) in Status::ALL.into_iter().enumerate() {
        for target in answer.targets.iter().filter(|target| target.status() == status) {
            rows.push(row(target, locale, zone, now));
            let count = counts.entry(order).or_insert((status, 0));
            count.1 = count.1.saturating_add(1);
        }
    }
    let counts: Vec<String> =
        counts.values().map(|(status, count)| format!("{count} {}", status.word(locale))).collect();
    let mut out = table::render(&rows, colour);
    out.push_str(&format!(
        "\n{} {}: {}\n",
        answer.targets.len(),
        words::targets(locale).to_lowercase(),
        counts.join(", ")
    ));
    if answer.stale {
        let since =
            answer.last_update.as_deref().map_or_else(|| words::never(locale).to_owned(), |at| local(at, zone, now).0);
        out.push_str(&format!("{} {since}\n", words::stale(locale)));
    }
    out
}

fn row(target: &TargetDto, locale: Locale, zone: &TimeZone, now: Timestamp) -> Vec<Cell> {
    let status = target.status();
    let ping = target.rtt_ms.map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.1} ms"));
    let loss = target.loss.map_or_else(|| "-".to_owned(), |loss| format!("{:.0} %", loss * 100.0));
    let mut since = since(target, locale, zone, now);
    if let Some(cause) = &target.cause {
        since.push_str(&format!("  {}", words::printable(cause)));
    }
    vec![
        Cell::text(status.word(locale)).coloured(words::colour(status)),
        Cell::text(words::printable(&target.name)),
        Cell::text(words::printable(&target.address)),
        Cell::figure(ping),
        Cell::figure(loss),
        Cell::text(since),
    ]
}

/// Since when it is so; a device that is down and never answered has no last answer to count from.
fn since(target: &TargetDto, locale: Locale, zone: &TimeZone, now: Timestamp) -> String {
    let Some(at) = target.since.as_deref() else { return "-".to_owned() };
    let (at, ago) = local(at, zone, now);
    if target.status() == Status::Down && target.flags.iter().any(|flag| flag == "never_answered") {
        return format!("{} ({ago})", words::never_answered(locale));
    }
    format!("{at} ({ago})")
}

/// An instant in local time, and how long ago it was.
fn local(at: &str, zone: &TimeZone, now: Timestamp) -> (String, String) {
    let Ok(at) = at.parse::<Timestamp>() else { return (words::printable(at), "?".to_owned()) };
    let shown = at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let seconds = now.duration_since(at).as_secs().max(0);
    let span = jiff::Span::new().try_seconds(seconds).ok();
    let span = span.and_then(|span| span.round(jiff::SpanRound::new().largest(Unit::Hour).smallest(Unit::Second)).ok());
    (shown, span.map_or_else(|| "?".to_owned(), |span| format!("{span:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_person_comes_first() {
        let body = r#"{"generated_at":"x","stale":true,"last_update":"2026-01-02T03:04:00Z","counts":{},"targets":[
            {"name":"olt-1","address":"192.0.2.1","status":"ok","since":"2026-01-02T03:00:00Z","rtt_ms":1.25,"loss":0.0,"cause":null},
            {"name":"olt\u001b-2","address":"192.0.2.2","status":"down","since":"2026-01-02T01:59:55.5Z","rtt_ms":null,"loss":1.0,"cause":null},
            {"name":"olt-3","address":"192.0.2.3","status":"unknown","since":null,"rtt_ms":null,"loss":null,"cause":"no_route"},
            {"name":"olt-4","address":"192.0.2.4","status":"down","since":"2026-01-02T03:03:59Z","rtt_ms":null,"loss":1.0,
             "cause":null,"flags":["never_answered"]}]}"#;
        let answer: Answer = serde_json::from_str(body).unwrap();
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        insta::assert_snapshot!(show(&answer, Locale::Es, &TimeZone::UTC, now, false));
    }

    #[test]
    fn a_daemon_that_is_not_there_is_said_to_be() {
        let error = ask_blocking(Path::new("/nowhere/netwatch.sock"), "/").unwrap_err();
        assert!(error.to_string().contains("does not seem to run"), "{error}");
        assert!(remedy(&error).contains("netwatch run"));
    }
}
