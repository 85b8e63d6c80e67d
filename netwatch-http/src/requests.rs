//! What a technician writes to the API: the bodies of acknowledgements, drills and maintenances, checked, and how they are
//! answered. Pure; serde stops here.

use std::sync::Arc;

use jiff::Timestamp;
use netwatch_core::{Calendar, Maintenance, MaintenanceId, Outage, Period, Scope, Wall};
use serde::{Deserialize, Serialize};

use crate::dto::rfc3339;

/// The longest name of a person.
const MOST_BY: usize = 100;
/// The longest note or reason.
const MOST_NOTE: usize = 1000;

/// What is wrong with a body.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum RequestError {
    #[error("the body is not what is expected here: {0}")]
    Json(String),
    #[error("`{0}` is missing or empty; say it in a few words")]
    Empty(&'static str),
    #[error("`{name}` is too long; {most} characters at most")]
    Long { name: &'static str, most: usize },
    #[error("`{0}` has control characters in it; write it in one line")]
    Control(&'static str),
    #[error("`{name}` must be a time like 2026-03-01T02:00:00-03:00 (RFC 3339), not {value:?}")]
    Time { name: &'static str, value: String },
    #[error("`to` must be later than `from`")]
    Backwards,
    #[error("name `targets`, `groups` or `tags`, or say `\"everything\": true`")]
    Nobody,
    #[error("`everything` stands alone, without `targets`, `groups` and `tags`")]
    Everybody,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AckBody {
    #[serde(default)]
    by: String,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrillBody {
    #[serde(default)]
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaintenanceBody {
    #[serde(default)]
    targets: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    everything: bool,
    from: Option<String>,
    to: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    by: String,
}

/// Who sees to an outage, and their note.
pub(crate) fn acknowledgement(body: &[u8]) -> Result<(String, String), RequestError> {
    let AckBody { by, note } = parse(body)?;
    Ok((said("by", by, MOST_BY)?, sound("note", note, MOST_NOTE)?))
}

/// Who holds a drill.
pub(crate) fn drill(body: &[u8]) -> Result<String, RequestError> {
    let DrillBody { by } = parse(body)?;
    said("by", by, MOST_BY)
}

/// A maintenance; it begins now unless its body says otherwise.
pub(crate) fn maintenance(body: &[u8], now: Wall) -> Result<Maintenance, RequestError> {
    let MaintenanceBody { targets, groups, tags, everything, from, to, reason, by } = parse(body)?;
    let mut scope = Scope::everything();
    (scope.targets, scope.groups, scope.tags) = (names(targets), names(groups), names(tags));
    match (scope.is_everything(), everything) {
        (true, false) => return Err(RequestError::Nobody),
        (false, true) => return Err(RequestError::Everybody),
        _ => {}
    }
    let from = from.map_or(Ok(now), |from| time("from", from))?;
    let to = time("to", to)?;
    if to <= from {
        return Err(RequestError::Backwards);
    }
    let mut maintenance = Maintenance::new(scope, Calendar::new([Period::new(from, to)]));
    maintenance.reason = said("reason", reason, MOST_NOTE)?.into();
    maintenance.by = said("by", by, MOST_BY)?.into();
    Ok(maintenance)
}

fn names(names: Vec<String>) -> Vec<Arc<str>> {
    names.into_iter().map(Into::into).collect()
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, RequestError> {
    serde_json::from_slice(body).map_err(|error| RequestError::Json(error.to_string()))
}

fn said(name: &'static str, text: String, most: usize) -> Result<String, RequestError> {
    let text = sound(name, text, most)?;
    if text.is_empty() { Err(RequestError::Empty(name)) } else { Ok(text) }
}

fn sound(name: &'static str, text: String, most: usize) -> Result<String, RequestError> {
    if text.chars().any(char::is_control) {
        return Err(RequestError::Control(name));
    }
    let text = text.trim().to_owned();
    if text.chars().count() > most { Err(RequestError::Long { name, most }) } else { Ok(text) }
}

fn time(name: &'static str, value: String) -> Result<Wall, RequestError> {
    let nanos = value.parse::<Timestamp>().ok().and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    nanos.map(Wall::from_unix_nanos).ok_or(RequestError::Time { name, value })
}

/// An outage that was acknowledged.
#[derive(Debug, Serialize)]
pub(crate) struct AcknowledgedDto<'a> {
    target: &'a str,
    outage: u64,
    first_bad: String,
    due: Option<String>,
    acknowledged: Option<AckDto<'a>>,
}

#[derive(Debug, Serialize)]
struct AckDto<'a> {
    at: String,
    by: &'a str,
    note: &'a str,
}

pub(crate) fn acknowledged(outage: &Outage) -> AcknowledgedDto<'_> {
    AcknowledgedDto {
        target: &outage.target,
        outage: outage.id.number(),
        first_bad: rfc3339(outage.first_bad),
        due: outage.due.map(rfc3339),
        acknowledged: outage.ack.as_ref().map(|ack| AckDto { at: rfc3339(ack.at), by: &ack.by, note: &ack.note }),
    }
}

/// A drill that was begun.
#[derive(Debug, Serialize)]
pub(crate) struct DrilledDto<'a> {
    target: &'a str,
    drill: u64,
    begun: String,
}

pub(crate) fn drilled(rehearsed: &Outage) -> DrilledDto<'_> {
    DrilledDto { target: &rehearsed.target, drill: rehearsed.id.number(), begun: rfc3339(rehearsed.first_bad) }
}

/// The answer of `/api/v1/maintenance`.
#[derive(Debug, Serialize)]
pub(crate) struct MaintenancesDto<'a> {
    pub(crate) maintenance: Vec<MaintenanceDto<'a>>,
}

/// A maintenance that was entered.
#[derive(Debug, Serialize)]
pub(crate) struct MaintenanceDto<'a> {
    id: Option<u64>,
    targets: Vec<&'a str>,
    groups: Vec<&'a str>,
    tags: Vec<&'a str>,
    everything: bool,
    from: Option<String>,
    to: Option<String>,
    reason: &'a str,
    by: &'a str,
}

pub(crate) fn entered(maintenance: &Maintenance, id: Option<MaintenanceId>) -> MaintenanceDto<'_> {
    let Maintenance { scope, calendar, .. } = maintenance;
    MaintenanceDto {
        id: id.map(MaintenanceId::number),
        targets: shown(&scope.targets),
        groups: shown(&scope.groups),
        tags: shown(&scope.tags),
        everything: scope.is_everything(),
        from: calendar.periods().first().map(|period| rfc3339(period.from)),
        to: calendar.periods().last().map(|period| rfc3339(period.to)),
        reason: &maintenance.reason,
        by: &maintenance.by,
    }
}

fn shown(names: &[Arc<str>]) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Wall {
        Wall::from_unix_nanos(1_700_000_000_000_000_000)
    }

    #[test]
    fn a_maintenance_begins_now_unless_it_says_when() {
        let body = r#"{"groups": ["DSLAM"], "to": "2024-01-01T00:00:00-03:00", "reason": " fibra ", "by": "ana"}"#;
        let read = maintenance(body.as_bytes(), now()).unwrap();
        let expected = Period::new(now(), Wall::from_unix_nanos(1_704_078_000_000_000_000));
        assert_eq!((read.calendar.periods(), &*read.reason, &*read.by), ([expected].as_slice(), "fibra", "ana"));
        assert_eq!(read.scope, Scope::groups(["DSLAM"]));
    }

    #[test]
    fn each_mistake_says_what_is_right() {
        let to = r#""to": "2024-01-01T00:00:00Z", "reason": "x", "by": "y""#;
        for (body, says) in [
            (format!("{{{to}}}"), "\"everything\": true"),
            (format!(r#"{{"everything": true, "tags": ["a"], {to}}}"#), "stands alone"),
            (format!(r#"{{"everything": true, "from": "2024-01-01T00:00:00Z", {to}}}"#), "later than `from`"),
            (format!(r#"{{"everything": true, "from": "tomorrow", {to}}}"#), "RFC 3339"),
            (format!(r#"{{"everything": true, "tag": ["a"], {to}}}"#), "unknown field `tag`"),
            (r#"{"everything": true, "by": "y", "reason": "x"}"#.into(), "missing field `to`"),
            (r#"{"everything": true, "to": "2024-01-01T00:00:00Z", "by": "y"}"#.into(), "`reason` is missing"),
            (
                r#"{"everything": true, "to": "2024-01-01T00:00:00Z", "reason": "x", "by": " "}"#.into(),
                "`by` is missing",
            ),
            ("[".into(), "not what is expected"),
        ] {
            let error = maintenance(body.as_bytes(), now()).unwrap_err().to_string();
            assert!(error.contains(says), "{body}: {error}");
        }
    }

    #[test]
    fn an_acknowledgement_says_who() {
        let ok = acknowledgement(r#"{"by": "ana", "note": "va la cuadrilla"}"#.as_bytes());
        assert_eq!(ok, Ok(("ana".into(), "va la cuadrilla".into())));
        assert_eq!(acknowledgement(b"{}"), Err(RequestError::Empty("by")));
        assert_eq!(acknowledgement(br#"{"by": "a\tb"}"#), Err(RequestError::Control("by")));
        let long = format!(r#"{{"by": "ana", "note": "{}"}}"#, "ñ".repeat(1001));
        assert_eq!(acknowledgement(long.as_bytes()), Err(RequestError::Long { name: "note", most: 1000 }));
        assert!(acknowledgement(b"\xff").is_err());
    }

    #[test]
    fn a_drill_says_who() {
        assert_eq!(drill(br#"{"by": "ana"}"#), Ok("ana".into()));
        assert_eq!(drill(b"{}"), Err(RequestError::Empty("by")));
        assert!(drill(br#"{"by": "ana", "note": "x"}"#).is_err());
    }
}
