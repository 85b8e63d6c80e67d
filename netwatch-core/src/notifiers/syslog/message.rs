//! Messages as RFC 5424 writes them, a line of the notification each.
//!
//! Nothing in them comes from a clock or from chance. Written here rather than by the crate `syslog`: that one puts values
//! into structured data as they are, so that a `"]` in a device's name ends it, frames nothing, and knows no TLS.

use super::config::SyslogFacility;
use crate::model::{Line, LineKind, Locale, Notification, Topic, Wall};
use crate::notifiers::phrase;
use crate::plain;
use jiff::Timestamp;

/// RFC 5424 leaves `name@number` to whoever has the number; this one is for whoever has none (RFC 5612).
const SD_ID: &str = "netwatch@32473";
/// How much of a value is kept: five of them, escaped, leave more than half of the smallest message to the text.
const VALUE_BYTES: usize = 64;
/// RFC 5424, 6.4: what a text in UTF-8 begins with.
const BOM: &str = "\u{FEFF}";

const CRITICAL: u8 = 2;
const ERROR: u8 = 3;
const WARNING: u8 = 4;
const NOTICE: u8 = 5;
const INFORMATIONAL: u8 = 6;

/// What is the same in all messages.
pub(super) struct Manner {
    pub(super) facility: SyslogFacility,
    /// Of printable ASCII, or `-`.
    pub(super) hostname: String,
    pub(super) locale: Locale,
    /// What one message may take, in octets.
    pub(super) most: usize,
}

impl Manner {
    /// The messages of a notification: one a line, or one for a notification that only says how everything stands.
    pub(super) fn messages(&self, notification: &Notification) -> Vec<Vec<u8>> {
        if notification.lines.is_empty() {
            let data = element(&[("mail", &notification.message_id)]);
            let said = plain::line(&notification.content.subject, usize::MAX);
            return vec![self.message(INFORMATIONAL, notification.date, "standing", &data, &said)];
        }
        let message = |line: &Line| {
            let mut values = vec![("mail", &*notification.message_id), ("topic", line.topic.code())];
            let outage = line.outage.id.number().to_string();
            values.push(("outage", &outage));
            values.push(("target", &line.subject.name));
            values.push(("address", &line.subject.address));
            values.extend(line.subject.group.as_deref().map(|group| ("group", group)));
            let said = phrase::sentence(line, self.locale);
            self.message(severity(line), notification.date, line.kind.code(), &element(&values), &said)
        };
        notification.lines.iter().map(message).collect()
    }

    fn message(&self, severity: u8, at: Wall, id: &str, data: &str, said: &str) -> Vec<u8> {
        let priority = u16::from(self.facility.number()).saturating_mul(8).saturating_add(u16::from(severity));
        let at = Timestamp::from_millisecond(at.unix_millis()).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut message = format!("<{priority}>1 {at:.3} {} netwatch - {id} {data} {BOM}", self.hostname);
        let room = self.most.saturating_sub(message.len());
        message.push_str(cut(said, room));
        message.into_bytes()
    }
}

fn severity(line: &Line) -> u8 {
    match (line.topic, line.kind) {
        (_, LineKind::Closed) => NOTICE,
        (_, LineKind::Missed) => WARNING,
        (Topic::Outage, LineKind::Opened) if line.critical => CRITICAL,
        (Topic::Outage | Topic::Blind, LineKind::Opened) => ERROR,
        (_, LineKind::Opened) => WARNING,
    }
}

/// Structured data of one element. RFC 5424, 6.3.3: `"`, `\` and `]` are escaped in a value; control characters, which
/// it allows, could still break somebody's framing, and are not in there.
fn element(values: &[(&str, &str)]) -> String {
    let mut element = format!("[{SD_ID}");
    for (name, value) in values {
        element.push_str(&format!(" {name}=\""));
        let mut room = VALUE_BYTES;
        for character in plain::line(value, VALUE_BYTES).chars() {
            let escaped = matches!(character, '"' | '\\' | ']');
            let Some(left) = room.checked_sub(character.len_utf8().saturating_add(usize::from(escaped))) else { break };
            room = left;
            if escaped {
                element.push('\\');
            }
            element.push(character);
        }
        element.push('"');
    }
    element.push(']');
    element
}

/// The first characters that take no more than `most` octets; RFC 5424, 6.1 wants no character cut apart.
fn cut(text: &str, most: usize) -> &str {
    let ends = text.char_indices().map(|(at, character)| at.saturating_add(character.len_utf8()));
    let end = ends.take_while(|end| *end <= most).last().unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A host name as RFC 5424, 6.2.4 has it: 255 printable ASCII characters at most, or `-`.
pub(super) fn hostname(name: &str) -> String {
    let usable = !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic());
    if usable { name.to_owned() } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Content, LineId, MailId, Outage, OutageId, Subject};

    fn manner(most: usize) -> Manner {
        Manner { facility: SyslogFacility::DAEMON, hostname: "mon-1".to_owned(), locale: Locale::Es, most }
    }

    fn notification(lines: Vec<Line>) -> Notification {
        let content = Content::new("Resumen: nada", "", "");
        let date = Wall::from_unix_nanos(1_795_330_200_123_456_789);
        let mut notification = Notification::new(MailId::new(1), "<1@x>", date, content);
        notification.lines = lines.into();
        notification
    }

    fn line(name: &str) -> Line {
        let first_bad = Wall::from_unix_nanos(1_795_330_200_000_000_000);
        let outage = Outage::open(OutageId::new(7), name.into(), None, first_bad);
        Line::new(LineId::new(1), LineKind::Opened, Subject::new(name, "10.0.0.1"), outage, Wall::default())
    }

    fn written(notification: &Notification) -> String {
        String::from_utf8(manner(2048).messages(notification).concat()).unwrap()
    }

    #[test]
    fn a_line_is_a_message_as_the_rfc_writes_it() {
        assert_eq!(
            written(&notification(vec![line("olt-1")])),
            "<27>1 2026-11-22T06:50:00.123Z mon-1 netwatch - opened [netwatch@32473 mail=\"<1@x>\" topic=\"outage\" \
             outage=\"7\" target=\"olt-1\" address=\"10.0.0.1\"] \u{FEFF}NO RESPONDE: olt-1 (10.0.0.1), desde \
             2026-11-22T06:50:00Z"
        );
        assert_eq!(
            written(&notification(Vec::new())),
            "<30>1 2026-11-22T06:50:00.123Z mon-1 netwatch - standing [netwatch@32473 mail=\"<1@x>\"] \u{FEFF}Resumen: nada"
        );
    }

    #[test]
    fn what_is_critical_is_said_to_be() {
        let mut critical = line("a");
        critical.critical = true;
        let mut closed = line("a");
        closed.kind = LineKind::Closed;
        assert!(written(&notification(vec![critical])).starts_with("<26>1 "));
        assert!(written(&notification(vec![closed])).starts_with("<29>1 "));
    }

    #[test]
    fn no_name_leaves_the_place_it_has() {
        let said = written(&notification(vec![line("a\"] x=\"\\\n<14>1 - - - -")]));
        assert!(said.contains(r#"target="a\"\] x=\"\\ <14>1 - - - -" address"#), "{said}");
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_the_message_stays_within_its_octets() {
        for (name, most) in [("ñ".repeat(10_000), 1024), ("\"".repeat(10_000), 1024), ("\u{1F4A5}".repeat(900), 2048)]
        {
            let mut line = line(&name);
            line.subject.group = Some(name.as_str().into());
            line.subject.note = Some(name.as_str().into());
            for message in manner(most).messages(&notification(vec![line])) {
                assert!(message.len() <= most && message.len() > 400, "{}", message.len());
                assert!(String::from_utf8(message).unwrap().contains("] \u{FEFF}NO RESPONDE: "));
            }
        }
    }

    #[test]
    fn a_host_name_that_would_break_the_header_is_none() {
        assert_eq!(hostname("mon-1.example.net"), "mon-1.example.net");
        for wrong in ["", "a b", "ñ", "a\n"] {
            assert_eq!(hostname(wrong), "-", "{wrong:?}");
        }
    }
}
