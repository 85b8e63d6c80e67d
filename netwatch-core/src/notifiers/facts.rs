//! The facts of a notification as JSON: what a webhook sends by itself, what a template is rendered with, and what a
//! command reads on its standard input. Its keys are a contract, written down in docs/OPERATIONS.md.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::model::{Line, LineKind, Notification, Topic, Wall};
use crate::plain;

/// What the whole may take: as much as a mail.
const MOST_BYTES: usize = 256 * 1024;
/// What the text may take of it.
const TEXT_BYTES: usize = 96 * 1024;
/// How much of a name is kept.
const NAME_CHARS: usize = 200;
/// How much of a note is kept.
const NOTE_CHARS: usize = 1000;
/// How many of the devices that netwatch cannot see are named.
const MEMBERS: usize = 100;

/// What the notification is about, in one word: the code of its gravest line, or `standing` if it only says how
/// everything stands.
pub(super) fn kind(notification: &Notification) -> &'static str {
    let has = |kind: LineKind| notification.lines.iter().any(|line| line.kind == kind);
    let gravest = [LineKind::Opened, LineKind::Missed, LineKind::Closed].into_iter().find(|kind| has(*kind));
    gravest.map_or("standing", LineKind::code)
}

/// The subject as one line.
pub(super) fn subject(notification: &Notification) -> String {
    plain::line(&notification.content.subject, NAME_CHARS)
}

/// Everything, in at most 256 KiB: of more lines those that matter most, in the order in which they were owed.
pub(super) fn facts(notification: &Notification) -> Value {
    let text = text(&notification.content.text);
    let mut facts = json!({
        "message_id": plain::line(&notification.message_id, NOTE_CHARS),
        "in_reply_to": notification.in_reply_to.as_ref().map(|answered| plain::line(answered, NOTE_CHARS)),
        "notifier": plain::line(&notification.notifier, NAME_CHARS),
        "date": rfc3339(notification.date),
        "kind": kind(notification),
        "subject": subject(notification),
        "text": text,
        "targets": notification.lines.len(),
        "lines_left_out": notification.lines.len(),
        "lines": [],
    });
    let mut room = MOST_BYTES.saturating_sub(facts.to_string().len());
    let mut kept = Vec::new();
    for place in most_important_first(&notification.lines) {
        let Some(line) = notification.lines.get(place) else { continue };
        let line = line_facts(line);
        let bytes = line.to_string().len().saturating_add(1);
        if bytes > room {
            break;
        }
        room = room.saturating_sub(bytes);
        kept.push((place, line));
    }
    kept.sort_by_key(|(place, _)| *place);
    if let Value::Object(facts) = &mut facts {
        facts.insert("lines_left_out".to_owned(), notification.lines.len().saturating_sub(kept.len()).into());
        facts.insert("lines".to_owned(), kept.into_iter().map(|(_, line)| line).collect());
    }
    facts
}

/// The places of the lines: what is critical first, then what cuts off the most customers.
pub(super) fn most_important_first(lines: &[Line]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..lines.len()).collect();
    places.sort_by_key(|place| {
        let line = lines.get(*place);
        let customers =
            line.map_or(0, |line| line.behind.customers.saturating_add(line.subject.customers.map_or(0, u64::from)));
        (line.is_none_or(|line| !line.critical), std::cmp::Reverse(customers))
    });
    places
}

/// A time as RFC 3339 has it, in UTC, to the millisecond.
pub(super) fn rfc3339(at: Wall) -> String {
    let at = Timestamp::from_millisecond(at.unix_millis()).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

fn text(text: &str) -> String {
    let mut kept = String::new();
    for line in plain::lines(text) {
        if kept.len().saturating_add(line.len()) > TEXT_BYTES {
            kept.push('…');
            break;
        }
        kept.push_str(&line);
        kept.push('\n');
    }
    kept
}

fn line_facts(line: &Line) -> Value {
    let outage = &line.outage;
    let name = |text: &str| plain::line(text, NAME_CHARS);
    let cause = match line.topic {
        Topic::Unseen(cause) => Some(cause.code()),
        _ => None,
    };
    // An outage may end while its beginning is still being told; a copy of that must stay as it was.
    let ended = (line.kind != LineKind::Opened).then_some(outage);
    let closed = ended.and_then(|outage| outage.closed);
    let seconds = closed.map(|closed| closed.since(outage.started()).as_secs());
    let mut facts = Map::new();
    let mut put = |key: &str, value: Value| facts.insert(key.to_owned(), value);
    put("id", line.id.number().into());
    put("kind", line.kind.code().into());
    put("topic", line.topic.code().into());
    put("cause", cause.into());
    put("target", name(&line.subject.name).into());
    put("address", name(&line.subject.address).into());
    put("group", line.subject.group.as_deref().map(name).into());
    put("note", line.subject.note.as_deref().map(|note| plain::line(note, NOTE_CHARS)).into());
    put("customers", line.subject.customers.into());
    put("critical", line.critical.into());
    put("escalated", line.escalated.into());
    put("outage", outage.id.number().into());
    put("last_good", outage.last_good.map(rfc3339).into());
    put("first_bad", rfc3339(outage.first_bad).into());
    put("closed", closed.map(rfc3339).into());
    put("removed", ended.is_some_and(|outage| outage.removed).into());
    put("seconds", seconds.into());
    put("changes", line.changes.into());
    put("members", line.members.iter().take(MEMBERS).map(|member| name(member)).collect::<Vec<_>>().into());
    put("members_total", line.members.len().into());
    put("devices_behind", line.behind.devices.into());
    put("customers_behind", line.behind.customers.into());
    Value::Object(facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Content, LineId, MailId, Outage, OutageId, Subject};

    fn notification(lines: Vec<Line>) -> Notification {
        let content = Content::new("NO RESPONDE: a", "a\n", "");
        let date = Wall::from_unix_nanos(1_795_330_200_123_456_789);
        let mut notification = Notification::new(MailId::new(1), "<1@x>", date, content);
        notification.lines = lines.into();
        notification
    }

    fn line(number: u64, name: &str) -> Line {
        let outage = Outage::open(OutageId::new(number), name.into(), None, Wall::default());
        Line::new(LineId::new(number), LineKind::Opened, Subject::new(name, "10.0.0.1"), outage, Wall::default())
    }

    #[test]
    fn a_hundred_thousand_lines_fit_and_the_critical_one_is_among_them() {
        let mut lines: Vec<Line> = (0..100_000).map(|n| line(n, &format!("olt-{n}"))).collect();
        if let Some(last) = lines.last_mut() {
            last.critical = true;
        }
        let facts = facts(&notification(lines));
        assert!(facts.to_string().len() <= MOST_BYTES);
        let kept = facts["lines"].as_array().map_or(0, Vec::len);
        assert!(kept > 100, "{kept}");
        assert_eq!(facts["lines_left_out"], 100_000 - kept);
        assert_eq!(facts["targets"], 100_000);
        assert_eq!(facts["lines"][kept - 1]["target"], "olt-99999");
        assert_eq!(facts["lines"][0]["target"], "olt-0");
    }

    #[test]
    fn times_are_of_the_notification_and_not_of_a_clock() {
        assert_eq!(facts(&notification(vec![]))["date"], "2026-11-22T06:50:00.123Z");
        assert_eq!(facts(&notification(vec![]))["kind"], "standing");
        assert_eq!(facts(&notification(vec![line(1, "a")]))["kind"], "opened");
    }
}
