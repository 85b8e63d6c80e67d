//! What stands in the text files, as pure functions: one event in, one line out.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::TimeZone;

use super::dater::{self, Dater};
use crate::model::{Delivery, DeliveryOutcome, Event, Host, Rtt, Status, Target, Wall};

/// Which log a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    Mail,
    Error,
}

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// `wall` in RFC 3339 with milliseconds and the zone's offset.
pub(super) fn time(zone: &TimeZone, wall: Wall) -> String {
    // Every i64 of nanoseconds lies in the years that jiff knows (1677 to 2262).
    let timestamp = Timestamp::from_nanosecond(i128::from(wall.unix_nanos())).unwrap_or(Timestamp::UNIX_EPOCH);
    PRINTER.timestamp_with_offset_to_string(&timestamp, zone.to_offset(timestamp))
}

/// Appends `text` so that it stays within its field: `\t`, `\n`, `\r`, `\\`, and `\u{..}` for what else is a control
/// character or ends a line.
pub(super) fn escape_into(out: &mut String, text: &str) {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' || byte == b' ';
    if text.bytes().all(is_plain) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
}

/// Appends the line of a target. `dater` writes times in the zone of the file.
pub(super) fn status_into(
    out: &mut String,
    dater: &mut Dater,
    target: &Target,
    status: Status,
    rtt: Option<Rtt>,
    since: Wall,
) {
    escape_into(out, &target.name);
    out.push('\t');
    match &target.host {
        Host::Ip { ip: IpAddr::V4(ip), .. } => {
            for (place, octet) in ip.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push('.');
                }
                dater::number(out, octet.into());
            }
        }
        host => escape_into(out, &host.to_string()),
    }
    out.push('\t');
    out.push_str(status.file_word());
    out.push('\t');
    match rtt.filter(|_| matches!(status, Status::Ok | Status::Warning)) {
        Some(rtt) => {
            let micros = rtt.units().saturating_add(5) / 10;
            dater::number(out, micros / 1000);
            out.push('.');
            dater::digits(out, micros % 1000, 3);
        }
        None => out.push('-'),
    }
    out.push('\t');
    dater.write(out, since);
    out.push('\n');
}

/// The lines that an event is worth.
pub(super) fn of_event(zone: &TimeZone, now: Wall, event: &Event) -> Vec<(Log, String)> {
    match event {
        Event::Delivery(delivery) => of_delivery(zone, delivery),
        Event::Trouble { at, component, message } => {
            vec![(Log::Error, record(&[&time(zone, *at), component, message]))]
        }
        Event::Journal { failing_since: Some(since), error } => {
            let said = error.as_deref().unwrap_or("no reason was given");
            let message = format!("nothing can be committed since {}: {said}", time(zone, *since));
            vec![(Log::Error, record(&[&time(zone, now), "journal", &message]))]
        }
        Event::Journal { failing_since: None, error: Some(warning) } => {
            vec![(Log::Error, record(&[&time(zone, now), "journal", warning]))]
        }
        Event::Journal { failing_since: None, error: None } => {
            vec![(Log::Error, record(&[&time(zone, now), "journal", "commits succeed again"]))]
        }
        _ => Vec::new(),
    }
}

fn of_delivery(zone: &TimeZone, delivery: &Delivery) -> Vec<(Log, String)> {
    let at = time(zone, delivery.at);
    let recipients = join(&delivery.recipients);
    let (word, retry) = match delivery.outcome {
        DeliveryOutcome::Sent => ("SENT", String::new()),
        DeliveryOutcome::Deferred { retry_at } => ("DEFERRED", format!("; next attempt {}", time(zone, retry_at))),
        DeliveryOutcome::Failed => ("FAILED", "; given up for these recipients".to_owned()),
    };
    let mail = record(&[&at, word, &delivery.message_id, &recipients, &delivery.subject]);
    let mut lines = vec![(Log::Mail, mail)];
    if delivery.outcome != DeliveryOutcome::Sent {
        let said = delivery.reason.as_deref().unwrap_or("no reason was given");
        let message = format!("{} to {recipients} {word}: {said}{retry}", delivery.notifier);
        lines.push((Log::Error, record(&[&at, "mail", &message])));
    }
    lines
}

fn join(recipients: &[Arc<str>]) -> String {
    if recipients.is_empty() { "-".to_owned() } else { recipients.join(",") }
}

fn record(fields: &[&str]) -> String {
    let mut line = String::new();
    for (place, field) in fields.iter().enumerate() {
        if place > 0 {
            line.push('\t');
        }
        escape_into(&mut line, field);
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{MailId, Outage, OutageId, TargetId};

    fn asuncion() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(-3))
    }

    /// 2026-11-22T03:12:00.250Z
    const NIGHT: Wall = Wall::from_unix_nanos(1_795_317_120_250_999_999);

    fn delivery(outcome: DeliveryOutcome) -> Event {
        Event::Delivery(Delivery {
            at: NIGHT,
            notifier: "noc".into(),
            mail: MailId::new(1),
            message_id: "<1.abc@netwatch>".into(),
            recipients: vec!["a@example.net".into(), "b@example.net".into()],
            subject: "NO RESPONDE: olt\t1".to_owned(),
            outcome,
            reason: Some("421 too\r\nbusy".to_owned()),
            targets: Vec::new(),
        })
    }

    #[test]
    fn a_time_is_local_with_its_offset() {
        assert_eq!(time(&asuncion(), NIGHT), "2026-11-22T00:12:00.250-03:00");
        assert_eq!(time(&TimeZone::UTC, NIGHT), "2026-11-22T03:12:00.250+00:00");
        for extreme in [i64::MIN, i64::MAX] {
            time(&asuncion(), Wall::from_unix_nanos(extreme));
        }
    }

    #[test]
    fn a_field_never_leaves_its_field() {
        let mut out = String::new();
        escape_into(&mut out, "olt\t\r\n\\ \0\u{7f}\u{85}\u{2028} ñandú");
        assert_eq!(out, "olt\\t\\r\\n\\\\ \\u{0}\\u{7f}\\u{85}\\u{2028} ñandú");
    }

    #[test]
    fn the_rtt_is_shown_while_the_target_answers() {
        let line = |status, rtt| {
            let mut out = String::new();
            let target = Target::at("olt-1", [192, 0, 2, 1].into());
            status_into(&mut out, &mut Dater::new(asuncion()), &target, status, rtt, NIGHT);
            out
        };
        let rtt = Some(Rtt::from_duration(Duration::from_micros(1_234)));
        assert_eq!(line(Status::Ok, rtt), "olt-1\t192.0.2.1\tOK\t1.234\t2026-11-22T00:12:00.250-03:00\n");
        assert_eq!(line(Status::Ok, None), "olt-1\t192.0.2.1\tOK\t-\t2026-11-22T00:12:00.250-03:00\n");
        assert_eq!(line(Status::Down, rtt), "olt-1\t192.0.2.1\tNO RESPONDE\t-\t2026-11-22T00:12:00.250-03:00\n");
        for (status, word) in [
            (Status::Warning, "WARNING\t1.234"),
            (Status::Unreachable, "UNREACHABLE\t-"),
            (Status::Unknown, "UNKNOWN\t-"),
            (Status::Pending, "PENDING\t-"),
        ] {
            assert!(line(status, rtt).contains(word));
        }
    }

    #[test]
    fn an_accepted_mail_is_one_line_of_the_mail_log() {
        let lines = of_event(&asuncion(), NIGHT, &delivery(DeliveryOutcome::Sent));
        let line = "2026-11-22T00:12:00.250-03:00\tSENT\t<1.abc@netwatch>\ta@example.net,b@example.net\t\
                    NO RESPONDE: olt\\t1\n";
        assert_eq!(lines, [(Log::Mail, line.to_owned())]);
    }

    #[test]
    fn a_failed_attempt_stands_in_both_logs() {
        let retry_at = NIGHT.plus(Duration::from_secs(30));
        let lines = of_event(&asuncion(), NIGHT, &delivery(DeliveryOutcome::Deferred { retry_at }));
        assert!(lines[0].1.contains("\tDEFERRED\t"));
        let line = "2026-11-22T00:12:00.250-03:00\tmail\tnoc to a@example.net,b@example.net DEFERRED: 421 too\\r\\nbusy; \
                    next attempt 2026-11-22T00:12:30.250-03:00\n";
        assert_eq!(lines[1], (Log::Error, line.to_owned()));
        let lines = of_event(&asuncion(), NIGHT, &delivery(DeliveryOutcome::Failed));
        assert!(lines[0].1.contains("\tFAILED\t"));
        assert!(lines[1].1.contains("given up"));
    }

    #[test]
    fn what_troubles_netwatch_stands_in_the_error_log() {
        let trouble = Event::Trouble { at: NIGHT, component: "icmp", message: "no\troute".to_owned() };
        let line = "2026-11-22T00:12:00.250-03:00\ticmp\tno\\troute\n";
        assert_eq!(of_event(&asuncion(), NIGHT, &trouble), [(Log::Error, line.to_owned())]);

        let failing = Event::Journal { failing_since: Some(NIGHT), error: Some("disk full".to_owned()) };
        let later = NIGHT.plus(Duration::from_secs(60));
        let line = "2026-11-22T00:13:00.250-03:00\tjournal\tnothing can be committed since \
                    2026-11-22T00:12:00.250-03:00: disk full\n";
        assert_eq!(of_event(&asuncion(), later, &failing), [(Log::Error, line.to_owned())]);
        let again = of_event(&asuncion(), later, &Event::Journal { failing_since: None, error: None });
        assert!(again[0].1.contains("\tjournal\tcommits succeed again\n"));
        let warned = Event::Journal { failing_since: None, error: Some("almost full".to_owned()) };
        assert!(of_event(&asuncion(), later, &warned)[0].1.contains("\tjournal\talmost full\n"));
    }

    #[test]
    fn an_outage_is_no_line_of_a_log() {
        let outage = Outage::open(OutageId::new(1), "olt-1".into(), None, NIGHT);
        assert_eq!(of_event(&asuncion(), NIGHT, &Event::OutageOpened(TargetId::from_index(0), outage)), []);
    }
}
