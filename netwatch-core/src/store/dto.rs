//! The nested records as JSON: the only place where the journal knows serde.
//!
//! The model's types carry no serde, so a change of theirs cannot silently change what old files mean: it must pass
//! through here. Fields that are absent are `null`, or missing where version 1 of the schema did not know them; unknown
//! fields are refused by the schema's version, not here.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{
    Ack, Behind, Calendar, Cause, Incident, Line, LineId, LineKind, Maintenance, MaintenanceId, Outage, OutageId,
    Period, Scope, Subject, Topic, Wall,
};

/// A record that could not be turned into JSON or back.
#[derive(Debug, thiserror::Error)]
pub(super) enum DtoError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("unknown kind of line `{0}`")]
    LineKind(String),
    #[error("unknown topic `{0}`")]
    Topic(String),
    #[error("unknown cause `{0}`")]
    Cause(String),
}

pub(super) fn outage_to_json(outage: &Outage) -> Result<String, DtoError> {
    to_json(&OutageDto::from(outage))
}

pub(super) fn outage_from_json(json: &str) -> Result<Outage, DtoError> {
    Ok(from_json::<OutageDto>(json)?.into())
}

pub(super) fn line_to_json(line: &Line) -> Result<String, DtoError> {
    to_json(&LineDto::from(line))
}

pub(super) fn line_from_json(json: &str) -> Result<Line, DtoError> {
    from_json::<LineDto>(json)?.try_into()
}

pub(super) fn incident_to_json(incident: &Incident) -> Result<String, DtoError> {
    to_json(&IncidentDto::from(incident))
}

pub(super) fn incident_from_json(json: &str) -> Result<Incident, DtoError> {
    from_json::<IncidentDto>(json)?.try_into()
}

pub(super) fn maintenance_to_json(maintenance: &Maintenance) -> Result<String, DtoError> {
    to_json(&MaintenanceDto::from(maintenance))
}

pub(super) fn maintenance_from_json(json: &str) -> Result<Maintenance, DtoError> {
    Ok(from_json::<MaintenanceDto>(json)?.into())
}

pub(super) fn ack_to_json(ack: &Ack) -> Result<String, DtoError> {
    to_json(&AckDto::from(ack))
}

pub(super) fn ack_from_json(json: &str) -> Result<Ack, DtoError> {
    Ok(from_json::<AckDto>(json)?.into())
}

pub(super) fn lines_to_json(lines: &[Line]) -> Result<String, DtoError> {
    to_json(&lines.iter().map(LineDto::from).collect::<Vec<_>>())
}

pub(super) fn lines_from_json(json: &str) -> Result<Vec<Line>, DtoError> {
    from_json::<Vec<LineDto>>(json)?.into_iter().map(Line::try_from).collect()
}

pub(super) fn names_to_json(names: &[Arc<str>]) -> Result<String, DtoError> {
    to_json(&names.iter().map(AsRef::as_ref).collect::<Vec<&str>>())
}

pub(super) fn names_from_json(json: &str) -> Result<Vec<Arc<str>>, DtoError> {
    Ok(from_json::<Vec<String>>(json)?.into_iter().map(Arc::from).collect())
}

fn to_json<T: Serialize>(value: &T) -> Result<String, DtoError> {
    Ok(serde_json::to_string(value)?)
}

fn from_json<T: DeserializeOwned>(json: &str) -> Result<T, DtoError> {
    Ok(serde_json::from_str(json)?)
}

#[derive(Serialize, Deserialize)]
struct OutageDto {
    id: u64,
    target: String,
    last_good: Option<i64>,
    first_bad: i64,
    due: Option<i64>,
    closed: Option<i64>,
    #[serde(default)]
    removed: bool,
    #[serde(default)]
    ack: Option<AckDto>,
}

#[derive(Serialize, Deserialize)]
struct AckDto {
    at: i64,
    by: String,
    note: String,
}

impl From<&Ack> for AckDto {
    fn from(ack: &Ack) -> AckDto {
        AckDto { at: ack.at.unix_nanos(), by: ack.by.as_ref().to_owned(), note: ack.note.as_ref().to_owned() }
    }
}

impl From<AckDto> for Ack {
    fn from(dto: AckDto) -> Ack {
        Ack::new(Wall::from_unix_nanos(dto.at), dto.by, dto.note)
    }
}

impl From<&Outage> for OutageDto {
    fn from(outage: &Outage) -> OutageDto {
        OutageDto {
            id: outage.id.number(),
            target: outage.target.as_ref().to_owned(),
            last_good: outage.last_good.map(Wall::unix_nanos),
            first_bad: outage.first_bad.unix_nanos(),
            due: outage.due.map(Wall::unix_nanos),
            closed: outage.closed.map(Wall::unix_nanos),
            removed: outage.removed,
            ack: outage.ack.as_deref().map(AckDto::from),
        }
    }
}

impl From<OutageDto> for Outage {
    fn from(dto: OutageDto) -> Outage {
        Outage {
            id: OutageId::new(dto.id),
            target: dto.target.into(),
            last_good: dto.last_good.map(Wall::from_unix_nanos),
            first_bad: Wall::from_unix_nanos(dto.first_bad),
            due: dto.due.map(Wall::from_unix_nanos),
            closed: dto.closed.map(Wall::from_unix_nanos),
            removed: dto.removed,
            ack: dto.ack.map(|ack| Arc::new(ack.into())),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct SubjectDto {
    name: String,
    address: String,
    group: Option<String>,
    note: Option<String>,
    customers: Option<u32>,
}

impl From<&Subject> for SubjectDto {
    fn from(subject: &Subject) -> SubjectDto {
        SubjectDto {
            name: subject.name.as_ref().to_owned(),
            address: subject.address.as_ref().to_owned(),
            group: subject.group.as_deref().map(str::to_owned),
            note: subject.note.as_deref().map(str::to_owned),
            customers: subject.customers,
        }
    }
}

impl From<SubjectDto> for Subject {
    fn from(dto: SubjectDto) -> Subject {
        Subject {
            name: dto.name.into(),
            address: dto.address.into(),
            group: dto.group.map(Arc::from),
            note: dto.note.map(Arc::from),
            customers: dto.customers,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct LineDto {
    id: u64,
    kind: String,
    subject: SubjectDto,
    outage: OutageDto,
    owed_at: i64,
    #[serde(default = "outage")]
    topic: String,
    #[serde(default)]
    cause: Option<String>,
    #[serde(default)]
    critical: bool,
    #[serde(default)]
    escalated: bool,
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    changes: u32,
    #[serde(default)]
    behind: (u32, u64),
}

fn outage() -> String {
    Topic::Outage.code().to_owned()
}

fn cause_of(topic: Topic) -> Option<String> {
    match topic {
        Topic::Unseen(cause) => Some(cause.code().to_owned()),
        _ => None,
    }
}

fn topic_from(code: String, cause: Option<&str>) -> Result<Topic, DtoError> {
    let known = cause.map(|code| Cause::from_code(code).ok_or_else(|| DtoError::Cause(code.to_owned())));
    Topic::from_code(&code, known.transpose()?).ok_or(DtoError::Topic(code))
}

fn names(names: &[Arc<str>]) -> Vec<String> {
    names.iter().map(|name| name.as_ref().to_owned()).collect()
}

impl From<&Line> for LineDto {
    fn from(line: &Line) -> LineDto {
        LineDto {
            id: line.id.number(),
            kind: line.kind.code().to_owned(),
            subject: SubjectDto::from(&line.subject),
            outage: OutageDto::from(&line.outage),
            owed_at: line.owed_at.unix_nanos(),
            topic: line.topic.code().to_owned(),
            cause: cause_of(line.topic),
            critical: line.critical,
            escalated: line.escalated,
            members: names(&line.members),
            changes: line.changes,
            behind: (line.behind.devices, line.behind.customers),
        }
    }
}

impl TryFrom<LineDto> for Line {
    type Error = DtoError;

    fn try_from(dto: LineDto) -> Result<Line, DtoError> {
        Ok(Line {
            id: LineId::new(dto.id),
            kind: LineKind::from_code(&dto.kind).ok_or(DtoError::LineKind(dto.kind))?,
            subject: dto.subject.into(),
            outage: dto.outage.into(),
            owed_at: Wall::from_unix_nanos(dto.owed_at),
            topic: topic_from(dto.topic, dto.cause.as_deref())?,
            critical: dto.critical,
            escalated: dto.escalated,
            members: dto.members.into_iter().map(Arc::from).collect(),
            changes: dto.changes,
            behind: Behind::new(dto.behind.0, dto.behind.1),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct IncidentDto {
    topic: String,
    cause: Option<String>,
    outage: OutageDto,
    members: Vec<String>,
    changes: u32,
}

impl From<&Incident> for IncidentDto {
    fn from(incident: &Incident) -> IncidentDto {
        IncidentDto {
            topic: incident.topic.code().to_owned(),
            cause: cause_of(incident.topic),
            outage: OutageDto::from(&incident.outage),
            members: names(&incident.members),
            changes: incident.changes,
        }
    }
}

impl TryFrom<IncidentDto> for Incident {
    type Error = DtoError;

    fn try_from(dto: IncidentDto) -> Result<Incident, DtoError> {
        let mut incident = Incident::new(topic_from(dto.topic, dto.cause.as_deref())?, dto.outage.into());
        incident.members = dto.members.into_iter().map(Arc::from).collect();
        incident.changes = dto.changes;
        Ok(incident)
    }
}

#[derive(Serialize, Deserialize)]
struct MaintenanceDto {
    id: Option<u64>,
    groups: Vec<String>,
    targets: Vec<String>,
    tags: Vec<String>,
    periods: Vec<(i64, i64)>,
    reason: String,
    by: String,
}

impl From<&Maintenance> for MaintenanceDto {
    fn from(maintenance: &Maintenance) -> MaintenanceDto {
        let scope = &maintenance.scope;
        let periods = maintenance.calendar.periods().iter();
        MaintenanceDto {
            id: maintenance.id.map(MaintenanceId::number),
            groups: names(&scope.groups),
            targets: names(&scope.targets),
            tags: names(&scope.tags),
            periods: periods.map(|period| (period.from.unix_nanos(), period.to.unix_nanos())).collect(),
            reason: maintenance.reason.as_ref().to_owned(),
            by: maintenance.by.as_ref().to_owned(),
        }
    }
}

impl From<MaintenanceDto> for Maintenance {
    fn from(dto: MaintenanceDto) -> Maintenance {
        let arcs = |names: Vec<String>| names.into_iter().map(Arc::from).collect();
        let scope = Scope { groups: arcs(dto.groups), targets: arcs(dto.targets), tags: arcs(dto.tags) };
        let wall = Wall::from_unix_nanos;
        let periods = dto.periods.into_iter().map(|(from, to)| Period::new(wall(from), wall(to)));
        let mut maintenance = Maintenance::new(scope, Calendar::new(periods));
        maintenance.id = dto.id.map(MaintenanceId::new);
        (maintenance.reason, maintenance.by) = (dto.reason.into(), dto.by.into());
        maintenance
    }
}
