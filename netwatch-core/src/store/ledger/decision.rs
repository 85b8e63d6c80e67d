//! A decision as a row has it: its code, and what else is to be said of it as JSON.
//!
//! One flat record serves all decisions, so that whoever reads the table finds the same thing under the same name.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Cause, Decision, Hold, Wall};

/// A row that says nothing that this version understands.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecisionError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("unknown decision `{0}`")]
    Decision(String),
    #[error("`{decision}` without `{key}`")]
    Missing { decision: String, key: &'static str },
    #[error("unknown {what} `{code}`")]
    Code { what: &'static str, code: String },
}

/// Durations and instants are nanoseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Detail {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tolerance: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    silent_for: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// The error number of a failed send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

/// The JSON that stands beside the decision's [`code`](Decision::code).
pub(super) fn detail(decision: &Decision) -> Result<String, DecisionError> {
    let mut detail = Detail::default();
    match decision {
        Decision::Opened { tolerance } | Decision::ParentReturned { tolerance } => {
            detail.tolerance = Some(nanos(*tolerance));
        }
        Decision::TooShort { silent_for, tolerance } => {
            (detail.silent_for, detail.tolerance) = (Some(nanos(*silent_for)), Some(nanos(*tolerance)));
        }
        Decision::Explained { parent } | Decision::AwaitsParent { parent } => detail.parent = Some(text(parent)),
        Decision::InMaintenance { reason, until } => {
            (detail.reason, detail.until) = (Some(text(reason)), Some(until.unix_nanos()));
        }
        Decision::Unknown { cause } => {
            detail.cause = Some(text(cause.code()));
            detail.errno = match cause {
                Cause::SendFailed(number) => Some(*number),
                _ => None,
            };
        }
        Decision::Held { hold, until } => {
            (detail.hold, detail.until) = (Some(text(hold.code())), until.map(Wall::unix_nanos));
        }
        Decision::Sent { message_id } => detail.message_id = Some(text(message_id)),
        Decision::NotAccepted { reason } => detail.reason = Some(reason.clone()),
        Decision::Acknowledged { by } | Decision::Drill { by } => detail.by = Some(text(by)),
        Decision::Flapping { changes } | Decision::Settled { changes } => detail.changes = Some(*changes),
        Decision::Renamed { from } => detail.from = Some(text(from)),
        Decision::Due
        | Decision::Answers
        | Decision::Closed
        | Decision::Owed
        | Decision::OutOfScope
        | Decision::NoRecovery
        | Decision::ToldAtOnce
        | Decision::Folded
        | Decision::Escalated
        | Decision::Moot
        | Decision::Removed => {}
    }
    Ok(serde_json::to_string(&detail)?)
}

/// The decision of this code with these details.
pub(super) fn decision(code: &str, json: &str) -> Result<Decision, DecisionError> {
    let detail: Detail = serde_json::from_str(json)?;
    let missing = |key| DecisionError::Missing { decision: code.to_owned(), key };
    let tolerance = || detail.tolerance.map(Duration::from_nanos).ok_or_else(|| missing("tolerance"));
    let parent = || detail.parent.as_deref().map(Into::into).ok_or_else(|| missing("parent"));
    let changes = || detail.changes.ok_or_else(|| missing("changes"));
    let until = detail.until.map(Wall::from_unix_nanos);
    Ok(match code {
        "opened" => Decision::Opened { tolerance: tolerance()? },
        "too_short" => {
            let silent_for = detail.silent_for.map(Duration::from_nanos).ok_or_else(|| missing("silent_for"))?;
            Decision::TooShort { silent_for, tolerance: tolerance()? }
        }
        "due" => Decision::Due,
        "explained" => Decision::Explained { parent: parent()? },
        "awaits_parent" => Decision::AwaitsParent { parent: parent()? },
        "parent_returned" => Decision::ParentReturned { tolerance: tolerance()? },
        "in_maintenance" => Decision::InMaintenance {
            reason: detail.reason.ok_or_else(|| missing("reason"))?.into(),
            until: until.ok_or_else(|| missing("until"))?,
        },
        "unknown" => Decision::Unknown { cause: cause(&detail.cause.ok_or_else(|| missing("cause"))?, detail.errno)? },
        "answers" => Decision::Answers,
        "closed" => Decision::Closed,
        "owed" => Decision::Owed,
        "out_of_scope" => Decision::OutOfScope,
        "no_recovery" => Decision::NoRecovery,
        "held" => Decision::Held { hold: hold(&detail.hold.ok_or_else(|| missing("hold"))?)?, until },
        "told_at_once" => Decision::ToldAtOnce,
        "folded" => Decision::Folded,
        "sent" => Decision::Sent { message_id: detail.message_id.ok_or_else(|| missing("message_id"))?.into() },
        "not_accepted" => Decision::NotAccepted { reason: detail.reason.ok_or_else(|| missing("reason"))? },
        "escalated" => Decision::Escalated,
        "acknowledged" => Decision::Acknowledged { by: detail.by.ok_or_else(|| missing("by"))?.into() },
        "flapping" => Decision::Flapping { changes: changes()? },
        "settled" => Decision::Settled { changes: changes()? },
        "drill" => Decision::Drill { by: detail.by.ok_or_else(|| missing("by"))?.into() },
        "moot" => Decision::Moot,
        "removed" => Decision::Removed,
        "renamed" => Decision::Renamed { from: detail.from.ok_or_else(|| missing("from"))?.into() },
        unknown => return Err(DecisionError::Decision(unknown.to_owned())),
    })
}

fn cause(code: &str, errno: Option<i32>) -> Result<Cause, DecisionError> {
    match Cause::from_code(code) {
        Some(Cause::SendFailed(_)) => Ok(Cause::SendFailed(errno.unwrap_or(0))),
        Some(cause) => Ok(cause),
        None => Err(DecisionError::Code { what: "cause", code: code.to_owned() }),
    }
}

fn hold(code: &str) -> Result<Hold, DecisionError> {
    let all =
        [Hold::GroupWait, Hold::GroupInterval, Hold::Budget, Hold::Hours, Hold::Retry, Hold::Flapping, Hold::Rationed];
    let known = all.into_iter().find(|hold| hold.code() == code);
    known.ok_or_else(|| DecisionError::Code { what: "hold", code: code.to_owned() })
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// The longest that fits is 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::mem::{Discriminant, discriminant};
    use std::sync::Arc;

    use proptest::prelude::*;
    use proptest::strategy::Union;

    use super::*;

    fn words() -> impl Strategy<Value = String> {
        prop_oneof![Just("agg-3".to_owned()), Just("ñandú\t\"x\"\n\u{0}".to_owned()), ".*"]
    }

    fn name() -> impl Strategy<Value = Arc<str>> {
        words().prop_map(Arc::from)
    }

    fn duration() -> impl Strategy<Value = Duration> {
        any::<u64>().prop_map(Duration::from_nanos)
    }

    fn instant() -> impl Strategy<Value = Wall> {
        any::<i64>().prop_map(Wall::from_unix_nanos)
    }

    fn any_cause() -> impl Strategy<Value = Cause> {
        let cause = |code: &str| Cause::from_code(code).unwrap();
        let known = ["blind", "paused", "no_route", "receive_overflow", "probe_failed"].map(cause);
        prop_oneof![prop::sample::select(known.to_vec()), any::<i32>().prop_map(Cause::SendFailed)]
    }

    fn any_hold() -> impl Strategy<Value = Hold> {
        let codes = ["group_wait", "group_interval", "budget", "hours", "retry", "flapping", "rationed"];
        prop::sample::select(codes.map(|code| hold(code).unwrap()).to_vec())
    }

    /// One strategy for each decision there is.
    fn every() -> Vec<BoxedStrategy<Decision>> {
        vec![
            duration().prop_map(|tolerance| Decision::Opened { tolerance }).boxed(),
            (duration(), duration())
                .prop_map(|(silent_for, tolerance)| Decision::TooShort { silent_for, tolerance })
                .boxed(),
            Just(Decision::Due).boxed(),
            name().prop_map(|parent| Decision::Explained { parent }).boxed(),
            name().prop_map(|parent| Decision::AwaitsParent { parent }).boxed(),
            duration().prop_map(|tolerance| Decision::ParentReturned { tolerance }).boxed(),
            (name(), instant()).prop_map(|(reason, until)| Decision::InMaintenance { reason, until }).boxed(),
            any_cause().prop_map(|cause| Decision::Unknown { cause }).boxed(),
            Just(Decision::Answers).boxed(),
            Just(Decision::Closed).boxed(),
            Just(Decision::Owed).boxed(),
            Just(Decision::OutOfScope).boxed(),
            Just(Decision::NoRecovery).boxed(),
            (any_hold(), prop::option::of(instant())).prop_map(|(hold, until)| Decision::Held { hold, until }).boxed(),
            Just(Decision::ToldAtOnce).boxed(),
            Just(Decision::Folded).boxed(),
            name().prop_map(|message_id| Decision::Sent { message_id }).boxed(),
            words().prop_map(|reason| Decision::NotAccepted { reason }).boxed(),
            Just(Decision::Escalated).boxed(),
            name().prop_map(|by| Decision::Acknowledged { by }).boxed(),
            any::<u32>().prop_map(|changes| Decision::Flapping { changes }).boxed(),
            any::<u32>().prop_map(|changes| Decision::Settled { changes }).boxed(),
            name().prop_map(|by| Decision::Drill { by }).boxed(),
            Just(Decision::Moot).boxed(),
            Just(Decision::Removed).boxed(),
            name().prop_map(|from| Decision::Renamed { from }).boxed(),
        ]
    }

    proptest! {
        #[test]
        fn a_decision_comes_back_as_it_was(wanted in Union::new(every())) {
            prop_assert_eq!(decision(wanted.code(), &detail(&wanted).unwrap()).unwrap(), wanted);
        }
    }

    #[test]
    fn every_decision_is_among_those_that_are_tried() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut tried: Vec<Discriminant<Decision>> = Vec::new();
        for strategy in every() {
            let decision = strategy.new_tree(&mut runner).unwrap().current();
            assert!(!tried.contains(&discriminant(&decision)), "{} twice", decision.code());
            tried.push(discriminant(&decision));
        }
        assert_eq!(tried.len(), 26, "a new decision needs a strategy");
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let said = |code, json| decision(code, json).unwrap_err().to_string();
        assert_eq!(said("guessed", "{}"), "unknown decision `guessed`");
        assert_eq!(said("explained", "{}"), "`explained` without `parent`");
        assert_eq!(said("too_short", r#"{"tolerance":1}"#), "`too_short` without `silent_for`");
        assert_eq!(said("in_maintenance", r#"{"reason":""}"#), "`in_maintenance` without `until`");
        assert_eq!(said("held", r#"{"hold":"mood"}"#), "unknown hold `mood`");
        assert_eq!(said("unknown", r#"{"cause":"moon"}"#), "unknown cause `moon`");
        for json in ["", "[]x", r#"{"tolerance":-1}"#, r#"{"tolerance":"1"}"#] {
            assert!(matches!(decision("opened", json), Err(DecisionError::Json(_))), "{json}");
        }
    }
}
