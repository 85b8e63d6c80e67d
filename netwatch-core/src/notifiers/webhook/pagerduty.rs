//! PagerDuty takes one event after the other: a line of a notification triggers an alert or resolves it.
//!
//! <https://developer.pagerduty.com/docs/send-alert-event>

use serde_json::{Value, json};

use crate::model::{Line, LineKind, Locale, Notification, Topic};
use crate::notifiers::{facts, phrase};
use crate::plain;

/// A summary may have 1024 characters.
const SUMMARY_CHARS: usize = 1024;

/// The events of a notification, what is critical first.
///
/// What ended before anybody was told, and a notification that only says how everything stands, triggers and resolves at
/// once: it is told, and nothing stays open.
pub(super) fn events(notification: &Notification, routing_key: &str, locale: Locale) -> Vec<Value> {
    let mut events = Vec::new();
    for place in facts::most_important_first(&notification.lines) {
        let Some(line) = notification.lines.get(place) else { continue };
        let key = key(line);
        if line.kind.brings_outage() {
            events.push(trigger(notification, line, routing_key, &key, locale));
        }
        if line.kind != LineKind::Opened {
            events.push(resolve(routing_key, &key));
        }
    }
    if notification.lines.is_empty() {
        let key = plain::line(&notification.message_id, 200);
        let summary = plain::line(&notification.content.subject, SUMMARY_CHARS);
        let details = json!({ "text": facts::facts(notification)["text"] });
        events.push(event(
            notification,
            routing_key,
            &key,
            json!({
                "summary": if summary.is_empty() { "netwatch" } else { &summary },
                "source": "netwatch",
                "severity": "info",
                "custom_details": details,
            }),
        ));
        events.push(resolve(routing_key, &key));
    }
    events
}

/// The same for every event of an outage, on every machine that goes on with its journal, whatever the device is called
/// meanwhile; and no other netwatch's.
fn key(line: &Line) -> String {
    format!("netwatch-{}-{}", line.outage.id.number(), line.outage.first_bad.unix_millis())
}

fn trigger(notification: &Notification, line: &Line, routing_key: &str, key: &str, locale: Locale) -> Value {
    let name = |text: &str| plain::line(text, 200);
    let source = [&line.subject.name, &line.subject.address].map(|text| name(text)).into_iter().find(|s| !s.is_empty());
    let severity = match (line.topic, line.kind) {
        (_, LineKind::Missed) => "info",
        (Topic::Outage | Topic::Blind, _) if line.critical => "critical",
        (Topic::Outage | Topic::Blind, _) => "error",
        _ => "warning",
    };
    event(
        notification,
        routing_key,
        key,
        json!({
            "summary": plain::line(&phrase::sentence(line, locale), SUMMARY_CHARS),
            "source": source.unwrap_or_else(|| "netwatch".to_owned()),
            "severity": severity,
            "timestamp": facts::rfc3339(line.outage.first_bad),
            "group": line.subject.group.as_deref().map(name),
            "class": line.topic.code(),
            "custom_details": {
                "address": name(&line.subject.address),
                "note": line.subject.note.as_deref().map(|note| plain::line(note, 1000)),
                "customers": line.subject.customers,
                "devices_behind": line.behind.devices,
                "customers_behind": line.behind.customers,
            },
        }),
    )
}

fn event(notification: &Notification, routing_key: &str, key: &str, payload: Value) -> Value {
    json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": key,
        "client": format!("netwatch {}", plain::line(&notification.notifier, 200)),
        "payload": payload,
    })
}

fn resolve(routing_key: &str, key: &str) -> Value {
    json!({ "routing_key": routing_key, "event_action": "resolve", "dedup_key": key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Content, LineId, MailId, Outage, OutageId, Subject, Wall};

    fn line(number: u64, kind: LineKind) -> Line {
        let first_bad = Wall::from_unix_nanos(1_795_330_200_000_000_000);
        let outage = Outage::open(OutageId::new(number), "a".into(), None, first_bad);
        Line::new(LineId::new(number), kind, Subject::new("a", "10.0.0.1"), outage, Wall::default())
    }

    fn told(lines: Vec<Line>) -> Vec<(String, String)> {
        let content = Content::new("OK: a", "", "");
        let mut notification = Notification::new(MailId::new(1), "<1@x>", Wall::default(), content);
        notification.lines = lines.into();
        let words = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
        let events = events(&notification, "key", Locale::Es);
        events.iter().map(|event| (words(event, "event_action"), words(event, "dedup_key"))).collect()
    }

    #[test]
    fn an_outage_is_one_alert_from_its_beginning_to_its_end() {
        let key = "netwatch-7-1795330200000".to_owned();
        let (trigger, resolve) = (("trigger".to_owned(), key.clone()), ("resolve".to_owned(), key));
        assert_eq!(told(vec![line(7, LineKind::Opened)]), std::slice::from_ref(&trigger));
        assert_eq!(told(vec![line(7, LineKind::Closed)]), std::slice::from_ref(&resolve));
        assert_eq!(told(vec![line(7, LineKind::Missed)]), [trigger, resolve]);
    }

    #[test]
    fn what_is_critical_comes_first_and_a_summary_leaves_nothing_open() {
        let mut critical = line(9, LineKind::Opened);
        critical.critical = true;
        assert!(told(vec![line(7, LineKind::Opened), critical])[0].1.starts_with("netwatch-9-"));
        let standing = told(Vec::new());
        let actions: Vec<&str> = standing.iter().map(|(action, _)| action.as_str()).collect();
        assert_eq!(actions, ["trigger", "resolve"]);
    }
}
