//! One line of a notification as one sentence, for whatever takes an event at a time: PagerDuty and syslog.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Line, LineKind, Locale, Topic, Trouble, Wall};
use crate::plain;

/// How much of a name is kept.
const NAME_CHARS: usize = 200;
/// How much of a note is kept.
const NOTE_CHARS: usize = 300;

/// What the line says. Times are in UTC: these services show them beside their own.
pub(super) fn sentence(line: &Line, locale: Locale) -> String {
    let spanish = locale == Locale::Es;
    let say = |es: &'static str, en: &'static str| if spanish { es } else { en };
    let who = who(line, spanish);
    let began = time(line.outage.started());
    // An outage may end while its beginning is still being told; a copy of that must stay as it was.
    let ended = line.outage.closed.filter(|_| line.kind != LineKind::Opened);
    let lasted = ended.map(|ended| duration(ended.since(line.outage.started())));
    let lasted = lasted.map_or_else(String::new, |lasted| format!(" ({lasted})"));
    let until = ended.map_or_else(String::new, |ended| format!(" {} {}", say("hasta", "until"), time(ended)));
    let state = match (line.topic, line.kind) {
        (Topic::Outage, LineKind::Opened) => say("NO RESPONDE", "DOWN"),
        (Topic::Outage, LineKind::Closed) if line.outage.removed => say("ya no se vigila", "no longer watched"),
        (Topic::Outage, LineKind::Closed) => "OK",
        (Topic::Outage, LineKind::Missed) => say("estuvo sin responder (se avisa tarde)", "was down (reported late)"),
        (Topic::Flapping, LineKind::Closed) => say("dejó de ser inestable", "no longer flapping"),
        (Topic::Flapping, _) => say("inestable", "flapping"),
        (Topic::Unseen(_), LineKind::Closed) => say("netwatch vuelve a ver", "netwatch sees again"),
        (Topic::Unseen(_), _) => say("netwatch no puede ver", "netwatch cannot see"),
        (Topic::Blind, LineKind::Closed) => say("netwatch ya no está aislado", "netwatch is no longer cut off"),
        (Topic::Blind, _) => say("netwatch está aislado", "netwatch is cut off"),
        (Topic::Trouble(Trouble::ReceiveDrops), _) => say("netwatch pierde respuestas", "netwatch loses replies"),
        (Topic::Trouble(Trouble::Disk), _) => say("netwatch no puede escribir", "netwatch cannot write to its disk"),
        (Topic::Trouble(Trouble::MailPath), _) => {
            say("netwatch no logra entregar por", "netwatch cannot deliver through")
        }
        (Topic::Trouble(Trouble::Clock), _) => say("el reloj de netwatch saltó", "the clock of netwatch jumped"),
        (Topic::Drill, LineKind::Opened) => say("SIMULACRO: NO RESPONDE", "DRILL: DOWN"),
        (Topic::Drill, _) => say("SIMULACRO: OK", "DRILL: OK"),
    };
    let mut sentence = match line.topic {
        Topic::Outage | Topic::Flapping | Topic::Drill => format!("{state}: {who}"),
        Topic::Unseen(_) => format!("{state}: {}", members(line, spanish)),
        Topic::Trouble(Trouble::MailPath) => format!("{state} {}", members(line, spanish)),
        Topic::Blind | Topic::Trouble(_) => state.to_owned(),
    };
    if matches!(line.topic, Topic::Trouble(_)) && line.kind == LineKind::Closed {
        sentence.insert_str(0, say("terminó: ", "over: "));
    }
    sentence.push_str(&format!(", {} {began}{until}{lasted}", say("desde", "since")));
    if let Some(group) = &line.subject.group {
        sentence.push_str(&format!("; {} {}", say("grupo", "group"), plain::line(group, NAME_CHARS)));
    }
    if line.behind.devices > 0 {
        let (devices, customers) = (line.behind.devices, line.behind.customers);
        sentence.push_str(&if spanish {
            format!("; detrás: {devices} equipos, {customers} clientes")
        } else {
            format!("; behind it: {devices} devices, {customers} customers")
        });
    }
    if let Some(note) = &line.subject.note {
        sentence.push_str(&format!("; {}", plain::line(note, NOTE_CHARS)));
    }
    sentence
}

fn who(line: &Line, spanish: bool) -> String {
    let (name, address) = (plain::line(&line.subject.name, NAME_CHARS), plain::line(&line.subject.address, NAME_CHARS));
    match (name.is_empty(), address.is_empty()) {
        (true, true) => if spanish { "un equipo sin nombre" } else { "a device without a name" }.to_owned(),
        (true, false) => address,
        (false, true) => name,
        (false, false) => format!("{name} ({address})"),
    }
}

fn members(line: &Line, spanish: bool) -> String {
    const NAMED: usize = 5;
    let named: Vec<String> = line.members.iter().take(NAMED).map(|member| plain::line(member, NAME_CHARS)).collect();
    let others = line.members.len().saturating_sub(named.len());
    let others = match (others, spanish) {
        (0, _) => String::new(),
        (others, true) => format!(" y {others} más"),
        (others, false) => format!(" and {others} more"),
    };
    format!("{}{others}", named.join(", "))
}

fn time(at: Wall) -> String {
    let at = Timestamp::from_second(at.unix_millis().div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_string()
}

fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, minutes) => format!("{minutes} min {rest} s"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Behind, LineId, Outage, OutageId, Subject};

    fn at(minutes: i64) -> Wall {
        Wall::from_unix_nanos((1_795_330_200 + minutes * 60) * 1_000_000_000)
    }

    fn line(kind: LineKind) -> Line {
        let mut outage = Outage::open(OutageId::new(1), "agg-3".into(), Some(at(0)), at(1));
        if kind != LineKind::Opened {
            outage.closed = Some(at(28));
        }
        let mut subject = Subject::new("agg-3", "10.0.0.3");
        subject.group = Some("AGG".into());
        subject.note = Some("llave\r\nen portería".into());
        let mut line = Line::new(LineId::new(1), kind, subject, outage, at(1));
        line.behind = Behind::new(200, 4800);
        line
    }

    #[test]
    fn a_line_is_a_sentence_in_both_languages() {
        assert_eq!(
            sentence(&line(LineKind::Opened), Locale::Es),
            "NO RESPONDE: agg-3 (10.0.0.3), desde 2026-11-22T06:50:00Z; grupo AGG; detrás: 200 equipos, 4800 clientes; \
             llave en portería"
        );
        assert_eq!(
            sentence(&line(LineKind::Closed), Locale::En),
            "OK: agg-3 (10.0.0.3), since 2026-11-22T06:50:00Z until 2026-11-22T07:18:00Z (28 min 0 s); group AGG; behind \
             it: 200 devices, 4800 customers; llave en portería"
        );
        assert!(
            sentence(&line(LineKind::Missed), Locale::Es).starts_with("estuvo sin responder (se avisa tarde): agg-3")
        );
    }

    #[test]
    fn what_netwatch_tells_of_itself_and_rehearses_is_told_apart_from_an_outage() {
        let about = |topic, kind| Line { topic, members: ["noc".into()].into(), ..line(kind) };
        let said = |topic, kind, locale| sentence(&about(topic, kind), locale);
        let paths = Topic::Trouble(Trouble::MailPath);
        assert!(said(paths, LineKind::Opened, Locale::Es).starts_with("netwatch no logra entregar por noc, desde "));
        assert!(
            said(paths, LineKind::Closed, Locale::En).starts_with("over: netwatch cannot deliver through noc, since ")
        );
        assert!(said(Topic::Drill, LineKind::Opened, Locale::En).starts_with("DRILL: DOWN: agg-3 (10.0.0.3), "));
        assert!(said(Topic::Drill, LineKind::Closed, Locale::Es).starts_with("SIMULACRO: OK: agg-3 (10.0.0.3), "));
    }

    #[test]
    fn only_an_outage_that_lasts_bears_the_word_for_down() {
        for locale in [Locale::Es, Locale::En] {
            for kind in [LineKind::Closed, LineKind::Missed] {
                let said = sentence(&line(kind), locale);
                assert!(!said.contains("NO RESPONDE") && !said.contains("DOWN"), "{said}");
            }
        }
    }
}
