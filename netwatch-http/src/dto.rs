//! What stands in JSON: the shapes of the API, borrowed from the read model. Serde stops here.
//!
//! Times are RFC 3339 in UTC with milliseconds, durations are seconds, RTTs milliseconds; what is absent is null.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use netwatch_core::{Cause, Now, Status, Wall};
use serde::Serialize;

use crate::model::{Model, Refusal, Row};

/// A target as `/api/v1/targets` lists it.
#[derive(Debug, Serialize)]
pub(crate) struct TargetDto<'a> {
    name: &'a str,
    address: String,
    group: Option<&'a str>,
    status: &'static str,
    since: String,
    rtt_ms: Option<f64>,
    loss: Option<f64>,
    jitter_ms: Option<f64>,
    last_reply: Option<String>,
    parents: Vec<&'a str>,
    flags: Vec<&'static str>,
    cause: Option<&'static str>,
}

/// A target with everything that is known of it.
#[derive(Debug, Serialize)]
pub(crate) struct DetailDto<'a> {
    #[serde(flatten)]
    target: TargetDto<'a>,
    note: Option<&'a str>,
    customers: Option<u32>,
    interval: f64,
    tolerance: f64,
    warn_rtt_ms: f64,
    warn_loss: f64,
    /// When its maintenance ends, as far as is known.
    maintenance_until: Option<String>,
    outage: Option<OutageDto<'a>>,
}

#[derive(Debug, Serialize)]
struct OutageDto<'a> {
    first_bad: String,
    due: Option<String>,
    told: Option<String>,
    told_to: Vec<&'a str>,
    ack: Option<AckDto<'a>>,
}

/// Somebody sees to an outage.
#[derive(Debug, Serialize)]
struct AckDto<'a> {
    at: String,
    by: &'a str,
    note: &'a str,
}

/// The answer of `/api/v1/targets`.
#[derive(Debug, Serialize)]
pub(crate) struct ListDto<'a> {
    pub(crate) generated_at: String,
    pub(crate) last_update: Option<String>,
    pub(crate) stale: bool,
    pub(crate) counts: BTreeMap<&'static str, usize>,
    /// How many targets the filters let through, before `limit` and `offset`.
    pub(crate) matched: usize,
    pub(crate) targets: Vec<TargetDto<'a>>,
}

/// What every message of the event stream begins with.
#[derive(Debug, Serialize)]
pub(crate) struct HeadDto {
    generated_at: String,
    last_update: Option<String>,
    stale: bool,
    counts: BTreeMap<&'static str, usize>,
}

/// The event `snapshot`.
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotDto<'a> {
    #[serde(flatten)]
    head: HeadDto,
    locale: &'static str,
    groups: Vec<&'a str>,
    #[serde(flatten)]
    paths: PathsDto<'a>,
    targets: Vec<DetailDto<'a>>,
}

/// The event `change`.
#[derive(Debug, Serialize)]
pub(crate) struct ChangeDto<'a> {
    #[serde(flatten)]
    head: HeadDto,
    #[serde(flatten)]
    paths: PathsDto<'a>,
    targets: Vec<DetailDto<'a>>,
}

/// The event `tick`. A sample is `[name, rtt_ms, loss, jitter_ms, last_reply]`.
#[derive(Debug, Serialize)]
pub(crate) struct TickDto<'a> {
    #[serde(flatten)]
    head: HeadDto,
    samples: Vec<SampleDto<'a>>,
}

/// `name, rtt_ms, loss, jitter_ms, last_reply`
type SampleDto<'a> = (&'a str, Option<f64>, Option<f64>, Option<f64>, Option<String>);

/// How mail, journal and netwatch's own sight stand.
#[derive(Debug, Serialize)]
pub(crate) struct PathsDto<'a> {
    /// Since when netwatch itself is cut off.
    blind_since: Option<String>,
    mail: Vec<MailDto<'a>>,
    journal: JournalDto<'a>,
}

#[derive(Debug, Serialize)]
struct MailDto<'a> {
    notifier: &'a str,
    waiting: usize,
    failing_since: Option<String>,
    last_sent: Option<String>,
    error: Option<&'a str>,
    refused: Vec<RefusedDto<'a>>,
}

/// A recipient whose mail the server refused for good.
#[derive(Debug, Serialize)]
struct RefusedDto<'a> {
    recipient: &'a str,
    reason: Option<&'a str>,
    at: String,
}

#[derive(Debug, Serialize)]
struct JournalDto<'a> {
    failing_since: Option<String>,
    error: Option<&'a str>,
    /// Only where something was damaged at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'a str>,
}

/// The answer of `/healthz`.
#[derive(Debug, Serialize)]
pub(crate) struct HealthDto<'a> {
    pub(crate) status: &'static str,
    pub(crate) generated_at: String,
    pub(crate) uptime: f64,
    pub(crate) last_update: Option<String>,
    pub(crate) last_sample_age: Option<f64>,
    pub(crate) targets: usize,
    #[serde(flatten)]
    pub(crate) paths: PathsDto<'a>,
    pub(crate) dropped_samples: Option<u64>,
    pub(crate) icmp: Option<BTreeMap<&'static str, Option<u64>>>,
}

/// An error as the API tells it.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorDto<'a> {
    /// What is wrong and what would be right.
    pub(crate) error: &'a str,
}

/// An instant as RFC 3339.
pub(crate) fn rfc3339(wall: Wall) -> String {
    let time = Timestamp::from_nanosecond(i128::from(wall.unix_nanos())).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

/// How many targets have each status, and `total`.
pub(crate) fn counts(model: &Model) -> BTreeMap<&'static str, usize> {
    let mut counts: BTreeMap<&'static str, usize> =
        Status::ALL.into_iter().map(|status| (status.code(), model.count(status))).collect();
    counts.insert("total", model.len());
    counts
}

pub(crate) fn target(row: Row<'_>) -> TargetDto<'_> {
    TargetDto {
        name: row.name,
        address: row.target.host.to_string(),
        group: row.group.map(|group| &**group),
        status: row.status.code(),
        since: rfc3339(row.since),
        rtt_ms: rtt_ms(row),
        loss: row.window.loss().map(|loss| rounded(loss, 1e4)),
        jitter_ms: row.window.jitter().map(millis),
        last_reply: row.last_reply.map(rfc3339),
        parents: row.target.parents().iter().filter_map(|id| Some(&*row.plan.target(*id)?.name)).collect(),
        flags: row.flags(),
        cause: row.cause.map(Cause::code),
    }
}

pub(crate) fn detail(row: Row<'_>) -> DetailDto<'_> {
    let settings = &row.target.settings;
    DetailDto {
        target: target(row),
        note: row.target.note().map(|note| &**note),
        customers: row.target.customers,
        interval: settings.interval.as_secs_f64(),
        tolerance: settings.tolerance.as_secs_f64(),
        warn_rtt_ms: millis(settings.warn_rtt),
        warn_loss: settings.warn_loss,
        maintenance_until: row.maintenance_until.map(rfc3339),
        outage: row.outage.map(|outage| OutageDto {
            first_bad: rfc3339(outage.first_bad),
            due: outage.due.map(rfc3339),
            told: row.told.map(|told| rfc3339(told.at)),
            told_to: row.told.iter().flat_map(|told| told.to.iter().map(|to| &**to)).collect(),
            ack: outage.ack.as_ref().map(|ack| AckDto { at: rfc3339(ack.at), by: &ack.by, note: &ack.note }),
        }),
    }
}

pub(crate) fn head(model: &Model, now: Now, stale: bool) -> HeadDto {
    HeadDto { generated_at: rfc3339(now.wall), last_update: last_update(model), stale, counts: counts(model) }
}

pub(crate) fn snapshot(model: &Model, now: Now, stale: bool) -> SnapshotDto<'_> {
    SnapshotDto {
        head: head(model, now, stale),
        locale: model.plan.locale.code(),
        groups: model.plan.groups.iter().map(|group| &*group.name).collect(),
        paths: paths(model),
        targets: model.rows().map(detail).collect(),
    }
}

pub(crate) fn change<'a>(model: &'a Model, changed: &[usize], now: Now, stale: bool) -> ChangeDto<'a> {
    let targets = changed.iter().filter_map(|&at| model.row_at(at)).map(detail).collect();
    ChangeDto { head: head(model, now, stale), paths: paths(model), targets }
}

pub(crate) fn tick<'a>(model: &'a Model, sampled: &[u32], now: Now, stale: bool) -> TickDto<'a> {
    let sample = |row: Row<'a>| {
        let loss = row.window.loss().map(|loss| rounded(loss, 1e4));
        (&**row.name, rtt_ms(row), loss, row.window.jitter().map(millis), row.last_reply.map(rfc3339))
    };
    let samples = sampled.iter().filter_map(|&at| model.row_at(at as usize)).map(sample).collect();
    TickDto { head: head(model, now, stale), samples }
}

pub(crate) fn paths(model: &Model) -> PathsDto<'_> {
    let mail = model.mail.iter().map(|(name, path)| MailDto {
        notifier: name,
        waiting: path.waiting,
        failing_since: path.failing_since.map(rfc3339),
        last_sent: path.last_sent.map(rfc3339),
        error: path.error.as_deref(),
        refused: path.refused.iter().map(refused).collect(),
    });
    let journal = JournalDto {
        failing_since: model.journal.failing_since.map(rfc3339),
        error: model.journal.error.as_deref(),
        notice: model.journal.notice.as_deref(),
    };
    PathsDto { blind_since: model.blind_since.map(rfc3339), mail: mail.collect(), journal }
}

fn refused<'a>((recipient, refusal): (&'a Arc<str>, &'a Refusal)) -> RefusedDto<'a> {
    RefusedDto { recipient, reason: refusal.reason.as_deref(), at: rfc3339(refusal.at) }
}

pub(crate) fn last_update(model: &Model) -> Option<String> {
    model.heard.map(|heard| rfc3339(heard.wall))
}

/// The ping of a target that answers: what a silent or unseen one answered before is no ping of now.
fn rtt_ms(row: Row<'_>) -> Option<f64> {
    matches!(row.status, Status::Ok | Status::Warning).then(|| row.window.ping())?.map(|rtt| millis(rtt.as_duration()))
}

fn millis(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1e3, 1e3)
}

fn rounded(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        assert_eq!(rfc3339(Wall::from_unix_nanos(1_000_000_000_123_456_789)), "2001-09-09T01:46:40.123Z");
        assert_eq!(rfc3339(Wall::from_unix_nanos(0)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn figures_keep_three_decimals() {
        assert_eq!(millis(Duration::from_nanos(1_234_567)), 1.235);
    }
}
