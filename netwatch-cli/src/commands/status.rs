//! `netwatch status`: how everything stands, asked of the running daemon over its local socket.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};
use netwatch_core::{Locale, Status};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Exit, ask, colours, complain, daemon, say};
use crate::args;
use crate::table::{self, Cell};
use crate::words;

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    stale: bool,
    last_update: Option<String>,
    targets: Vec<TargetDto>,
}

#[derive(Debug, Deserialize)]
struct TargetDto {
    name: String,
    address: String,
    status: String,
    since: Option<String>,
    rtt_ms: Option<f64>,
    loss: Option<f64>,
    cause: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
}

/// How netwatch itself is.
#[derive(Debug, Default, Deserialize)]
struct Health {
    #[serde(default)]
    mail: Vec<MailDto>,
    #[serde(default)]
    journal: JournalDto,
    blind_since: Option<String>,
    icmp: Option<IcmpDto>,
}

/// How far off the round-trip times are.
#[derive(Debug, Default, Deserialize)]
struct IcmpDto {
    rtt_error_p99_us: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct MailDto {
    notifier: String,
    #[serde(default)]
    waiting: u64,
    failing_since: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct JournalDto {
    failing_since: Option<String>,
    error: Option<String>,
}

impl TargetDto {
    /// A status that this version does not know is one of which nothing can be said.
    fn status(&self) -> Status {
        Status::from_code(&self.status).unwrap_or(Status::Unknown)
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }

    /// Whether a person should look: it does not answer, or netwatch cannot tell although it should.
    fn is_wrong(&self) -> bool {
        match self.status() {
            Status::Down | Status::Unreachable => true,
            Status::Unknown => !self.has("paused"),
            _ => false,
        }
    }
}

/// Asks, shows, and tells by its end whether something is wrong: with a device, or with netwatch itself.
pub(crate) fn status(common: &args::Common, options: &args::Status) -> Exit {
    let (config, socket) = match daemon(common) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let answers = question::<Answer>(&socket, "/api/v1/targets")
        .and_then(|(answer, body)| Ok((answer, body, question::<Health>(&socket, ask::HEALTH)?.0)));
    let (answer, body, health) = match answers {
        Ok(answers) => answers,
        Err(complaint) => {
            complain(&complaint);
            return Exit::Wrong;
        }
    };
    if options.json {
        say(body.trim_end());
    } else {
        let zone =
            config.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(TimeZone::system);
        say(show(&answer, &health, config.plan.locale, &zone, Timestamp::now(), colours()).trim_end());
    }
    if is_wrong(&answer, &health) { Exit::Wrong } else { Exit::Fine }
}

/// What the daemon answers, and the text of it; or the complaint that it does not.
fn question<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<(T, String), String> {
    let body = ask::ask_blocking(socket, path).map_err(|error| ask::complaint(&error))?;
    let answer = serde_json::from_slice(&body).map_err(|error| {
        format!("error: netwatch's answer is not understood: {error}\n  = help: is the daemon of another version?")
    })?;
    Ok((answer, String::from_utf8_lossy(&body).into_owned()))
}

fn is_wrong(answer: &Answer, health: &Health) -> bool {
    answer.stale
        || answer.targets.iter().any(TargetDto::is_wrong)
        || health.mail.iter().any(|path| path.failing_since.is_some())
        || health.journal.failing_since.is_some()
        || health.blind_since.is_some()
}

/// The table, what needs a person first, a line of counts, and what is wrong with netwatch itself.
fn show(answer: &Answer, health: &Health, locale: Locale, zone: &TimeZone, now: Timestamp, colour: bool) -> String {
    let head = [words::state(locale), words::name(locale), words::address(locale)];
    let mut rows: Vec<Vec<Cell>> = vec![head.into_iter().map(Cell::text).collect()];
    if let Some(head) = rows.first_mut() {
        head.extend([words::ping(locale), words::loss(locale)].map(Cell::figure));
        head.push(Cell::text(words::since(locale)));
    }
    let mut counts: BTreeMap<usize, (Status, usize)> = BTreeMap::new();
    for (order, status) in Status::ALL.into_iter().enumerate() {
        for target in answer.targets.iter().filter(|target| target.status() == status) {
            rows.push(row(target, locale, zone, now));
            let count = counts.entry(order).or_insert((status, 0));
            count.1 = count.1.saturating_add(1);
        }
    }
    let counts: Vec<String> =
        counts.values().map(|(status, count)| format!("{count} {}", status.word(locale))).collect();
    let mut out = match answer.targets.len() {
        0 => format!("{}\n", words::no_target(locale)),
        number => {
            let word = if number == 1 { words::target(locale) } else { words::targets(locale) };
            let table = table::render(&rows, colour);
            format!("{table}\n{number} {}: {}\n", word.to_lowercase(), counts.join(", "))
        }
    };
    if answer.stale {
        let since =
            answer.last_update.as_deref().map_or_else(|| words::never(locale).to_owned(), |at| local(at, zone, now).0);
        out.push_str(&format!("{} {since}\n", words::stale(locale)));
    }
    if let Some(micros) = health.icmp.as_ref().and_then(|icmp| icmp.rtt_error_p99_us) {
        let (what, most) = (words::rtt_error(locale), words::rtt_error_of_99(locale));
        out.push_str(&format!("{what}: {most} {micros} µs\n"));
    }
    for line in troubles(health, locale, zone, now) {
        out.push_str(&words::printable(&line));
        out.push('\n');
    }
    out
}

/// A line for each way of telling people that fails, and one for the journal.
fn troubles(health: &Health, locale: Locale, zone: &TimeZone, now: Timestamp) -> Vec<String> {
    let with = |line: String, details: &[Option<&str>]| {
        let details: Vec<&str> = details.iter().copied().flatten().collect();
        if details.is_empty() { line } else { format!("{line} ({})", details.join(": ")) }
    };
    let mail = health.mail.iter().filter_map(|path| {
        let since = clock(path.failing_since.as_deref()?, zone, now);
        let waiting = if path.waiting == 1 { words::one_waiting(locale) } else { words::many_waiting(locale) };
        let line = format!("{} {since} · {} {waiting}", words::no_mail(locale), path.waiting);
        Some(with(line, &[Some(&path.notifier), path.error.as_deref()]))
    });
    let journal = health.journal.failing_since.as_deref().map(|since| {
        let line = format!("{} {}", words::no_journal(locale), clock(since, zone, now));
        with(line, &[health.journal.error.as_deref()])
    });
    let blind = health.blind_since.as_deref();
    let blind = blind.map(|since| format!("{} {}", words::blind(locale), clock(since, zone, now)));
    blind.into_iter().chain(mail).chain(journal).collect()
}

fn row(target: &TargetDto, locale: Locale, zone: &TimeZone, now: Timestamp) -> Vec<Cell> {
    let status = target.status();
    let ping = target.rtt_ms.map_or_else(|| "-".to_owned(), |rtt| format!("{} ms", words::decimal(rtt, 1, locale)));
    let loss = target.loss.map_or_else(|| "-".to_owned(), |loss| format!("{:.0} %", loss * 100.0));
    let mut since = since(target, locale, zone, now);
    if let Some(cause) = &target.cause {
        let shown = words::cause(cause, locale).map_or_else(|| words::printable(cause), str::to_owned);
        since.push_str(&format!("  {shown}"));
    }
    for shown in target.flags.iter().filter_map(|flag| words::flag(flag, locale)) {
        since.push_str(&format!("  {shown}"));
    }
    vec![
        Cell::text(status.word(locale)).coloured(words::colour(status)),
        Cell::text(words::printable(&target.name)),
        Cell::text(words::printable(&target.address)),
        Cell::figure(ping),
        Cell::figure(loss),
        Cell::text(since),
    ]
}

/// Since when it is so; a device that is down and never answered has no last answer to count from.
fn since(target: &TargetDto, locale: Locale, zone: &TimeZone, now: Timestamp) -> String {
    let Some(at) = target.since.as_deref() else { return "-".to_owned() };
    let (at, ago) = local(at, zone, now);
    if target.status() == Status::Down && target.has("never_answered") {
        return format!("{} ({ago})", words::never_answered(locale));
    }
    format!("{at} ({ago})")
}

/// An instant of today as hours and minutes, another with its date.
fn clock(at: &str, zone: &TimeZone, now: Timestamp) -> String {
    let Ok(at) = at.parse::<Timestamp>() else { return words::printable(at) };
    let (at, now) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    at.strftime(if at.date() == now.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
}

/// An instant in local time, and how long ago it was.
fn local(at: &str, zone: &TimeZone, now: Timestamp) -> (String, String) {
    let Ok(at) = at.parse::<Timestamp>() else { return (words::printable(at), "?".to_owned()) };
    let shown = at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let seconds = now.duration_since(at).as_secs().max(0);
    let span = jiff::Span::new().try_seconds(seconds).ok();
    let span = span.and_then(|span| span.round(jiff::SpanRound::new().largest(Unit::Hour).smallest(Unit::Second)).ok());
    (shown, span.map_or_else(|| "?".to_owned(), |span| format!("{span:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_person_comes_first() {
        let body = r#"{"generated_at":"x","stale":true,"last_update":"2026-01-02T03:04:00Z","counts":{},"targets":[
            {"name":"olt-1","address":"192.0.2.1","status":"ok","since":"2026-01-02T03:00:00Z","rtt_ms":1.25,"loss":0.0,"cause":null},
            {"name":"olt\u001b-2","address":"192.0.2.2","status":"down","since":"2026-01-02T01:59:55.5Z","rtt_ms":null,"loss":1.0,"cause":null},
            {"name":"olt-3","address":"192.0.2.3","status":"unknown","since":null,"rtt_ms":null,"loss":null,"cause":"no_route"},
            {"name":"olt-4","address":"192.0.2.4","status":"down","since":"2026-01-02T03:03:59Z","rtt_ms":null,"loss":1.0,
             "cause":null,"flags":["never_answered"]}]}"#;
        let answer: Answer = serde_json::from_str(body).unwrap();
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let health: Health = serde_json::from_str(
            r#"{"mail":[{"notifier":"turno","waiting":4,"failing_since":"2026-01-02T00:10:00Z","error":"refused\u001b"},
                        {"notifier":"jefe","waiting":1,"failing_since":"2026-01-01T23:50:00Z","last_sent":null},
                        {"notifier":"files","waiting":2,"failing_since":null}],
                "journal":{"failing_since":"2026-01-02T03:00:00Z","error":"disk full"},
                "icmp":{"sent":9,"rtt_error_p99_us":12}}"#,
        )
        .unwrap();
        insta::assert_snapshot!(show(&answer, &health, Locale::Es, &TimeZone::UTC, now, false));
        insta::assert_snapshot!(show(&answer, &health, Locale::En, &TimeZone::UTC, now, false));
    }

    fn answer(targets: &str) -> Answer {
        serde_json::from_str(&format!(r#"{{"stale":false,"targets":[{targets}]}}"#)).unwrap()
    }

    #[test]
    fn one_target_is_one_and_none_is_said_to_be_none() {
        let one = answer(r#"{"name":"a","address":"192.0.2.1","status":"pending"}"#);
        let shown = |answer: &Answer, locale| {
            show(answer, &Health::default(), locale, &TimeZone::UTC, Timestamp::UNIX_EPOCH, false)
        };
        assert!(shown(&one, Locale::Es).ends_with("\n1 equipo: 1 PENDIENTE\n"), "{}", shown(&one, Locale::Es));
        assert!(shown(&one, Locale::En).ends_with("\n1 target: 1 PENDING\n"), "{}", shown(&one, Locale::En));
        assert_eq!(shown(&answer(""), Locale::Es), "No se vigila ningún equipo.\n");
        assert_eq!(shown(&answer(""), Locale::En), "No target is watched.\n");
    }

    #[test]
    fn blindness_and_what_a_flag_says_are_shown_in_words() {
        let target = answer(
            r#"{"name":"a","address":"192.0.2.1","status":"down",
                "flags":["due","flapping","maintenance","acknowledged","of another version"]}"#,
        );
        let health: Health = serde_json::from_str(r#"{"blind_since":"1970-01-01T00:00:00Z"}"#).unwrap();
        let shown = |locale| show(&target, &health, locale, &TimeZone::UTC, Timestamp::UNIX_EPOCH, false);
        for (locale, flags, blind) in [
            (Locale::Es, "  inestable  en mantenimiento  atendido\n", "\nnetwatch está a ciegas desde 00:00\n"),
            (Locale::En, "  flapping  in maintenance  acknowledged\n", "\nnetwatch has been blind since 00:00\n"),
        ] {
            let shown = shown(locale);
            assert!(shown.contains(flags) && shown.contains(blind), "{shown}");
            assert!(!shown.contains("another version"), "{shown}");
        }
    }

    #[test]
    fn whatever_needs_a_person_is_wrong_and_nothing_else() {
        let target = |status: &str, flags: &str| {
            answer(&format!(r#"{{"name":"a","address":"192.0.2.1","status":"{status}","flags":[{flags}]}}"#))
        };
        let well = Health::default();
        for status in ["down", "unreachable", "unknown", "a status of another version"] {
            assert!(is_wrong(&target(status, ""), &well), "{status}");
        }
        for (status, flags) in [("ok", ""), ("warning", ""), ("pending", ""), ("unknown", "\"paused\"")] {
            let answer = target(status, flags);
            assert!(!is_wrong(&answer, &well), "{status}");
            for unwell in [
                r#"{"mail":[{"notifier":"a","failing_since":"x"}]}"#,
                r#"{"mail":[],"journal":{"failing_since":"x","error":null}}"#,
                r#"{"blind_since":"x"}"#,
            ] {
                assert!(is_wrong(&answer, &serde_json::from_str(unwell).unwrap()), "{unwell}");
            }
            assert!(is_wrong(&Answer { stale: true, ..answer }, &well));
        }
        let waiting = r#"{"mail":[{"notifier":"a","waiting":3,"failing_since":null}]}"#;
        assert!(!is_wrong(&answer(""), &serde_json::from_str(waiting).unwrap()), "a line may wait for its budget");
    }
}
