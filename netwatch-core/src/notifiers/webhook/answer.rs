//! What an answer means: accepted, not now, or never.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;

use super::address;
use super::config::WebhookFormat;
use super::redact::Redactor;
use crate::model::{DeliveryError, Stage};

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The header `Retry-After`, as it was sent.
    pub(super) retry_after: Option<String>,
    /// The header `Date`, as it was sent.
    pub(super) date: Option<String>,
    /// The header `Location`, as it was sent.
    pub(super) location: Option<String>,
    /// The body, or its beginning.
    pub(super) body: String,
    /// Whether the body broke off, or never came.
    pub(super) cut_short: bool,
}

/// Errors of Slack's and Telegram's that pass by themselves.
const PASSING: [&str; 7] = [
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
];

/// Whether the body counts: these services refuse with 200 and `"ok":false`, too.
pub(super) fn body_counts(format: WebhookFormat) -> bool {
    matches!(format, WebhookFormat::Slack | WebhookFormat::Telegram)
}

/// `Ok` if the far side took it. `who` names it.
pub(super) fn judge(
    answer: &Answer,
    format: WebhookFormat,
    who: &str,
    redactor: &Redactor,
) -> Result<(), DeliveryError> {
    let json: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let said = redactor.clean(&answer.body);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    match answer.status {
        200..=299 if !body_counts(format) => Ok(()),
        200..=299 if answer.cut_short => {
            let message =
                format!("{who}: the answer {} broke off before it said whether it was taken{said}", answer.status);
            Err(DeliveryError::uncertain(message))
        }
        200..=299 => match json["ok"].as_bool() {
            Some(false) => Err(refused(answer, &json, format!("{who}: refused{said}"))),
            _ => Ok(()),
        },
        300..=399 => {
            let host = answer.location.as_deref().and_then(address::redirect_host);
            let host = host.map_or_else(|| "another address".to_owned(), |host| redactor.clean(&host));
            let message = format!(
                "{who}: answer {}: it redirects to {host}, and redirects are not followed: configure the address that it \
                 leads to",
                answer.status
            );
            Err(DeliveryError::before_content(message))
        }
        status => {
            let message = format!("{who}: answer {status}{said}");
            let passing = matches!(status, 408 | 409 | 425 | 429);
            let mut error = if (400..=499).contains(&status) && !passing {
                DeliveryError::permanent(message)
            } else {
                DeliveryError::before_content(message)
            };
            // A gateway speaks for somebody else, who may have got it.
            if matches!(status, 502 | 504) {
                error.stage = Stage::Uncertain;
            }
            let wait = if error.permanent { None } else { put_off(answer, &json, SystemTime::now()) };
            Err(error.with_retry_after(wait))
        }
    }
}

fn refused(answer: &Answer, json: &Value, message: String) -> DeliveryError {
    let named = json["error"].as_str().is_some_and(|error| PASSING.contains(&error));
    let code = json["error_code"].as_u64();
    if named || code.is_some_and(|code| code == 429 || code >= 500) {
        DeliveryError::before_content(message).with_retry_after(put_off(answer, json, SystemTime::now()))
    } else {
        DeliveryError::permanent(message)
    }
}

/// When to come again: the header (RFC 9110, 10.2.3), in seconds or as a date, or Telegram's `retry_after`.
///
/// A date is compared with the answer's own, so that it does not matter whether this machine's clock is right.
fn put_off(answer: &Answer, json: &Value, now: SystemTime) -> Option<Duration> {
    let header = answer.retry_after.as_deref().map(str::trim);
    let from_header = header.and_then(|header| {
        if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
        }
        let now = answer.date.as_deref().and_then(date).or_else(|| Timestamp::try_from(now).ok())?;
        let wait = date(header)?.duration_since(now);
        Some(Duration::try_from(wait).unwrap_or_default())
    });
    from_header.or_else(|| json["parameters"]["retry_after"].as_u64().map(Duration::from_secs))
}

/// An HTTP-date in the form that everybody sends (RFC 9110, 5.6.7: IMF-fixdate).
fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.to_owned(), ..Answer::default() }
    }

    fn verdict(status: u16, body: &str, format: WebhookFormat) -> Result<(), (Stage, bool)> {
        judge(&answer(status, body), format, "webhook h", &Redactor::default())
            .map_err(|error| (error.stage, error.permanent))
    }

    #[test]
    fn only_a_definite_refusal_is_one_for_good() {
        use WebhookFormat::{Json, Slack, Telegram};
        let (later, never, uncertain) =
            (Err((Stage::BeforeContent, false)), Err((Stage::BeforeContent, true)), Err((Stage::Uncertain, false)));
        for status in [200, 202, 204] {
            assert_eq!(verdict(status, "", Json), Ok(()));
        }
        for status in [301, 302, 307, 408, 409, 425, 429, 500, 503] {
            assert_eq!(verdict(status, "", Json), later, "{status}");
        }
        for status in [400, 401, 403, 404, 410, 413] {
            assert_eq!(verdict(status, "", Json), never, "{status}");
        }
        for status in [502, 504] {
            assert_eq!(verdict(status, "", Json), uncertain, "{status}");
        }
        assert_eq!(verdict(200, "ok", Slack), Ok(()));
        assert_eq!(verdict(200, r#"{"ok":true}"#, Telegram), Ok(()));
        assert_eq!(verdict(200, r#"{"ok":false,"error":"channel_not_found"}"#, Slack), never);
        assert_eq!(verdict(200, r#"{"ok":false,"error":"ratelimited"}"#, Slack), later);
        assert_eq!(verdict(200, r#"{"ok":false,"error_code":400}"#, Telegram), never);
        assert_eq!(verdict(200, r#"{"ok":false}"#, Json), Ok(()));
        let cut = Answer { status: 200, cut_short: true, ..Answer::default() };
        let error = judge(&cut, Slack, "webhook h", &Redactor::default()).unwrap_err();
        assert_eq!(error.stage, Stage::Uncertain);
    }

    #[test]
    fn when_to_come_again_is_understood_in_each_form() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_330_200);
        let wait = |retry_after: &str, date: Option<&str>, body: &str| {
            let mut answer = answer(429, body);
            answer.retry_after = Some(retry_after.to_owned());
            answer.date = date.map(str::to_owned);
            let json = serde_json::from_str(body).unwrap_or_default();
            put_off(&answer, &json, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("120", None, ""), Some(120));
        assert_eq!(wait(" 0 ", None, ""), Some(0));
        assert_eq!(wait("99999999999999999999999", None, ""), Some(u64::MAX));
        assert_eq!(wait("Sun, 22 Nov 2026 06:52:00 GMT", None, ""), Some(120));
        assert_eq!(wait("Sun, 22 Nov 2026 06:52:00 GMT", Some("Sun, 22 Nov 2026 06:51:30 GMT"), ""), Some(30));
        assert_eq!(wait("Sun, 22 Nov 2020 06:52:00 GMT", None, ""), Some(0));
        for wrong in ["", "-5", "+5", "soon", "1.5", "Sun, 99 Nov 2026 06:52:00 GMT"] {
            assert_eq!(wait(wrong, None, ""), None, "{wrong}");
        }
        assert_eq!(wait("soon", None, r#"{"parameters":{"retry_after":7}}"#), Some(7));
    }

    #[test]
    fn a_redirect_shows_the_host_it_leads_to_and_no_more() {
        let mut answer = answer(302, "");
        answer.location = Some("https://evil.example/canary?x=canary".to_owned());
        let error = judge(&answer, WebhookFormat::Json, "webhook h", &Redactor::default()).unwrap_err();
        assert!(error.message.contains("evil.example") && !error.message.contains("canary"), "{error}");
    }
}
