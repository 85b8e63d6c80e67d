//! The nested records as JSON: the only place where the journal knows serde.
//!
//! The model's types carry no serde, so a change of theirs cannot silently change what old files mean: it must pass
//! through here. Fields that are absent are `null`; unknown fields are refused by the schema's version, not here.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{Line, LineId, LineKind, Outage, OutageId, Subject, Wall};

/// A record that could not be turned into JSON or back.
#[derive(Debug, thiserror::Error)]
pub(super) enum DtoError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("unknown kind of line `{0}`")]
    LineKind(String),
}

pub(super) fn outage_to_json(outage: &Outage) -> Result<String, DtoError> {
    to_json(&OutageDto::from(outage))
}

pub(super) fn outage_from_json(json: &str) -> Result<Outage, DtoError> {
    Ok(from_json::<OutageDto>(json)?.into())
}

pub(super) fn subject_to_json(subject: &Subject) -> Result<String, DtoError> {
    to_json(&SubjectDto::from(subject))
}

pub(super) fn subject_from_json(json: &str) -> Result<Subject, DtoError> {
    Ok(from_json::<SubjectDto>(json)?.into())
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
}

impl From<&Line> for LineDto {
    fn from(line: &Line) -> LineDto {
        LineDto {
            id: line.id.number(),
            kind: line.kind.code().to_owned(),
            subject: SubjectDto::from(&line.subject),
            outage: OutageDto::from(&line.outage),
            owed_at: line.owed_at.unix_nanos(),
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
        })
    }
}
