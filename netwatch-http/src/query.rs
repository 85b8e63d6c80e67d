//! Which targets a request asks for: the query of `/api/v1/targets`, checked. Pure.

use std::collections::BTreeSet;

use netwatch_core::Status;

use crate::model::Row;

const ALLOWED: &str = "status, group, q, limit, offset";

/// What is wrong with a query.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum QueryError {
    #[error("unknown parameter {0:?}; allowed are {ALLOWED}")]
    Unknown(String),
    #[error("parameter {0:?} is given twice; give it once")]
    Twice(String),
    #[error(
        "unknown status {0:?}; allowed are down, unreachable, warning, unknown, pending, ok, or several with commas"
    )]
    Status(String),
    #[error("{name} must be a whole number from 0 to 1000000, not {value:?}")]
    Number { name: &'static str, value: String },
}

/// Which targets are asked for; by default all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    statuses: Vec<Status>,
    group: Option<String>,
    text: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: usize,
}

impl Query {
    /// Reads decoded pairs.
    pub(crate) fn parse(pairs: Vec<(String, String)>) -> Result<Query, QueryError> {
        let mut query = Query::default();
        let mut seen = BTreeSet::new();
        for (name, value) in pairs {
            match name.as_str() {
                "status" => query.statuses = statuses(&value)?,
                "group" => query.group = Some(value),
                "q" => query.text = Some(value.to_lowercase()),
                "limit" => query.limit = Some(number("limit", value)?),
                "offset" => query.offset = number("offset", value)?,
                _ => return Err(QueryError::Unknown(name)),
            }
            if !seen.insert(name.clone()) {
                return Err(QueryError::Twice(name));
            }
        }
        Ok(query)
    }

    /// Whether this target is asked for. `q` is looked for in name, address and group, in any case of letters.
    pub(crate) fn wants(&self, row: Row<'_>) -> bool {
        let status = self.statuses.is_empty() || self.statuses.contains(&row.status);
        let group = self.group.is_none() || row.group.map(|group| &**group) == self.group.as_deref();
        status && group && self.text.as_deref().is_none_or(|text| mentions(row, text))
    }
}

fn mentions(row: Row<'_>, text: &str) -> bool {
    row.name.to_lowercase().contains(text)
        || row.target.host.to_string().to_lowercase().contains(text)
        || row.group.is_some_and(|group| group.to_lowercase().contains(text))
}

fn statuses(value: &str) -> Result<Vec<Status>, QueryError> {
    let code = |code: &str| Status::from_code(code).ok_or_else(|| QueryError::Status(code.into()));
    value.split(',').map(code).collect()
}

fn number(name: &'static str, value: String) -> Result<usize, QueryError> {
    value.parse().ok().filter(|&number| number <= 1_000_000).ok_or(QueryError::Number { name, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Query, QueryError> {
        Query::parse(pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect())
    }

    #[test]
    fn each_mistake_says_what_is_allowed() {
        for (pairs, says) in [
            (vec![("state", "down")], "status, group, q, limit, offset"),
            (vec![("status", "DOWN")], "down, unreachable"),
            (vec![("status", "down,")], "down, unreachable"),
            (vec![("limit", "-1")], "limit must be a whole number"),
            (vec![("offset", "1e3")], "offset must be a whole number"),
            (vec![("limit", "1000001")], "1000000"),
            (vec![("q", "a"), ("q", "b")], "given twice"),
        ] {
            let error = parse(&pairs).unwrap_err().to_string();
            assert!(error.contains(says), "{pairs:?}: {error}");
        }
    }

    #[test]
    fn several_statuses_stand_with_commas() {
        assert_eq!(parse(&[("status", "down,warning")]).unwrap().statuses, [Status::Down, Status::Warning]);
    }
}
