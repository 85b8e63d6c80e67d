//! `netwatch maintenance`: work on devices is entered, listed and ended, with the running daemon.

use std::path::Path;

use hyper::Method;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use netwatch_core::Locale;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ack::user;
use super::{Exit, ask, colours, complain, daemon, say};
use crate::args::{self, Common, MaintenanceCommand};
use crate::config::{Twice, local_instant};
use crate::table::{self, Cell};
use crate::words;

/// Where the API has them.
const PATH: &str = "/api/v1/maintenance";

#[derive(Debug, Deserialize)]
struct List {
    maintenance: Vec<Entered>,
}

#[derive(Debug, Deserialize)]
struct Entered {
    id: Option<u64>,
    #[serde(default)]
    targets: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    by: String,
}

/// Tells the running daemon, or asks it.
pub(crate) fn maintenance(common: &Common, options: &args::Maintenance) -> Exit {
    let (config, socket) = match daemon(common) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let locale = config.plan.locale;
    let zone = config.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(TimeZone::system);
    match &options.command {
        MaintenanceCommand::Add(options) => add(&socket, options, locale, &zone),
        MaintenanceCommand::List { json } => list(&socket, *json, locale, &zone),
        MaintenanceCommand::End { id } => end(&socket, *id, locale),
    }
}

fn add(socket: &Path, options: &args::Add, locale: Locale, zone: &TimeZone) -> Exit {
    let Some(by) = user(options.by.as_deref()) else { return Exit::Usage };
    let (from, to) = match times(options, zone, Timestamp::now()) {
        Ok(times) => times,
        Err(text) => {
            complain(&format!(
                "error: {text:?} is not a time\n  = help: write 2026-03-01T04:00:00-03:00, or \"2026-03-01 04:00\""
            ));
            return Exit::Usage;
        }
    };
    let scope = &options.scope;
    let body = json!({
        "targets": scope.targets, "groups": scope.groups, "tags": scope.tags, "everything": scope.everything,
        "from": from.to_string(), "to": to.to_string(), "reason": options.reason, "by": by,
    });
    told(socket, &Method::POST, PATH, Some(&body), |answer| {
        if options.json {
            return Some(String::from_utf8_lossy(answer).trim_end().to_owned());
        }
        let id = serde_json::from_slice::<Entered>(answer).ok()?.id?;
        Some(format!("{} {id} {} {}", words::maintenance(locale), words::until(locale), clock(to, zone)))
    })
}

fn list(socket: &Path, json: bool, locale: Locale, zone: &TimeZone) -> Exit {
    told(socket, &Method::GET, PATH, None, |answer| {
        if json {
            return Some(String::from_utf8_lossy(answer).trim_end().to_owned());
        }
        let list: List = serde_json::from_slice(answer).ok()?;
        Some(show(&list.maintenance, locale, zone, colours()).trim_end().to_owned())
    })
}

fn end(socket: &Path, id: u64, locale: Locale) -> Exit {
    let ended = |_: &[u8]| Some(format!("{} {id}: {}", words::maintenance(locale), words::ended(locale)));
    told(socket, &Method::DELETE, &format!("{PATH}/{id}"), None, ended)
}

fn told(
    socket: &Path,
    method: &Method,
    path: &str,
    body: Option<&Value>,
    shown: impl Fn(&[u8]) -> Option<String>,
) -> Exit {
    let answer = match ask::tell_blocking(socket, method, path, body) {
        Ok(answer) => answer,
        Err(error) => {
            complain(&ask::complaint(&error));
            return Exit::Wrong;
        }
    };
    let Some(shown) = shown(&answer) else {
        complain("error: netwatch's answer is not understood\n  = help: is the daemon of another version?");
        return Exit::Wrong;
    };
    say(&shown);
    Exit::Fine
}

/// When it begins and ends; or what is no time.
fn times(options: &args::Add, zone: &TimeZone, now: Timestamp) -> Result<(Timestamp, Timestamp), String> {
    let from = options.from.as_deref().map_or(Ok(now), |text| instant(text, zone, Twice::First))?;
    let to = match (&options.end.until, options.end.lasting) {
        (Some(text), _) => instant(text, zone, Twice::Last)?,
        (None, lasting) => {
            let lasting = SignedDuration::try_from(lasting.unwrap_or_default()).unwrap_or(SignedDuration::ZERO);
            from.checked_add(lasting).unwrap_or(Timestamp::MAX)
        }
    };
    Ok((from, to))
}

/// An instant, or a local time, which is understood as those of the configuration are.
fn instant(text: &str, zone: &TimeZone, twice: Twice) -> Result<Timestamp, String> {
    let local = || local_instant(zone, text.parse::<DateTime>().ok()?, twice);
    text.parse().ok().or_else(local).ok_or_else(|| text.to_owned())
}

fn show(entered: &[Entered], locale: Locale, zone: &TimeZone, colour: bool) -> String {
    if entered.is_empty() {
        return words::no_maintenance(locale).to_owned();
    }
    let head = ["id", words::from(locale), words::until(locale), words::targets(locale)];
    let head = head.into_iter().chain([words::reason(locale), words::by(locale)]);
    let mut rows: Vec<Vec<Cell>> = vec![head.map(|word| Cell::text(word.to_uppercase())).collect()];
    for one in entered {
        let time = |at: &Option<String>| {
            let at = at.as_deref().and_then(|at| at.parse().ok());
            Cell::text(at.map_or_else(|| "-".to_owned(), |at| clock(at, zone)))
        };
        rows.push(vec![
            Cell::text(one.id.map_or_else(|| "-".to_owned(), |id| id.to_string())),
            time(&one.from),
            time(&one.to),
            Cell::text(words::printable(&one.scope(locale))),
            Cell::text(words::printable(&one.reason)),
            Cell::text(words::printable(&one.by)),
        ]);
    }
    table::render(&rows, colour)
}

impl Entered {
    fn scope(&self, locale: Locale) -> String {
        let group = words::group(locale);
        let groups = self.groups.iter().map(|name| format!("{group} {name}"));
        let tags = self.tags.iter().map(|tag| format!("#{tag}"));
        let all: Vec<String> = self.targets.iter().cloned().chain(groups).chain(tags).collect();
        if all.is_empty() { words::everything(locale).to_owned() } else { all.join(", ") }
    }
}

fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> TimeZone {
        TimeZone::get("America/New_York").unwrap()
    }

    #[test]
    fn a_local_time_is_of_the_configurations_zone() {
        for (text, twice, utc) in [
            ("2026-03-01 04:00", Twice::First, "2026-03-01T09:00:00Z"),
            ("2026-03-01T04:00", Twice::Last, "2026-03-01T09:00:00Z"),
            ("2026-03-01T04:00:00-03:00", Twice::Last, "2026-03-01T07:00:00Z"),
            ("2026-03-08 02:30", Twice::First, "2026-03-08T07:00:00Z"),
            ("2026-11-01 01:30", Twice::First, "2026-11-01T05:30:00Z"),
            ("2026-11-01 01:30", Twice::Last, "2026-11-01T06:30:00Z"),
        ] {
            assert_eq!(instant(text, &zone(), twice).unwrap().to_string(), utc, "{text}");
        }
        for text in ["", "04:00", "tomorrow", "2026-02-30 04:00"] {
            assert_eq!(instant(text, &zone(), Twice::Last), Err(text.to_owned()));
        }
    }

    #[test]
    fn the_list_says_what_when_and_why() {
        let body = r#"{"maintenance": [
            {"id": 7, "targets": ["olt-1"], "groups": ["DSLAM"], "tags": ["norte"], "from": "2026-03-01T09:00:00.000Z",
             "to": "2026-03-01T11:00:00.000Z", "reason": "cambio de fibra", "by": "ana"},
            {"id": 8, "everything": true, "from": null, "to": "2026-03-02T11:00:00.000Z", "reason": "x\u001b[1m", "by": "eva"}]}"#;
        let list: List = serde_json::from_str(body).unwrap();
        let shown = show(&list.maintenance, Locale::Es, &zone(), false);
        let lines: Vec<Vec<&str>> =
            shown.lines().map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect()).collect();
        assert_eq!(lines[0], ["ID", "DESDE", "HASTA", "EQUIPOS", "MOTIVO", "POR"]);
        let first =
            ["7", "2026-03-01 04:00", "2026-03-01 06:00", "olt-1, grupo DSLAM, #norte", "cambio de fibra", "ana"];
        assert_eq!(lines[1], first);
        assert_eq!(lines[2], ["8", "-", "2026-03-02 06:00", "todos", "x\\u{1b}[1m", "eva"]);
        assert_eq!(show(&[], Locale::En, &zone(), false), "No maintenance has been entered.");
    }
}
