//! What the ledger says of a device, as people read it: outage by outage, with a conclusion; and as programs do.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use netwatch_core::{Cause, Decision, LedgerEntry, Locale, OutageId, Wall};
use serde_json::{Map, Value};

use crate::words::{self, why};

/// How times and words are shown.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) locale: Locale,
    pub(super) zone: TimeZone,
}

impl View {
    fn date(&self, at: Wall) -> Date {
        instant(at).to_zoned(self.zone.clone()).date()
    }

    /// An instant as hours, minutes and seconds, with its date if that is not `day`.
    fn clock(&self, at: Wall, day: Date) -> String {
        let at = instant(at).to_zoned(self.zone.clone());
        at.strftime(if at.date() == day { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" }).to_string()
    }
}

/// The entries, which are in the order of time, in lines: one a decision, outage by outage.
pub(super) fn show(target: &str, entries: &[LedgerEntry], view: &View) -> String {
    let name = if target.is_empty() { "netwatch".to_owned() } else { words::printable(target) };
    let outages = by_outage(entries);
    let stories: Vec<String> = outages.iter().map(|(outage, entries)| story(&name, *outage, entries, view)).collect();
    stories.join("\n")
}

fn story(name: &str, outage: Option<OutageId>, entries: &[&LedgerEntry], view: &View) -> String {
    let locale = view.locale;
    let day = entries.first().map(|entry| view.date(entry.at)).unwrap_or_default();
    let what = match outage {
        Some(outage) => format!("{} {}", words::outage(locale), outage.number()),
        None => words::no_outage(locale).to_owned(),
    };
    let mut out = format!("{name} · {what} · {day}\n");
    for entry in entries {
        let said = why::sentence(entry, locale, &|at| view.clock(at, day));
        out.push_str(&format!("{}  {said}\n", view.clock(entry.at, day)));
    }
    if outage.is_some() || entries.iter().any(|entry| matches!(entry.decision, Decision::Sent { .. })) {
        out.push_str(&format!("{}: {}.\n", words::conclusion(locale), conclusion(entries, day, view)));
    }
    out
}

/// In one sentence: to whom it was told and when, and for the others the last reason why not.
fn conclusion(entries: &[&LedgerEntry], day: Date, view: &View) -> String {
    let mut notifiers: Vec<&Arc<str>> = Vec::new();
    for notifier in entries.iter().filter_map(|entry| entry.notifier.as_ref()) {
        if !notifiers.contains(&notifier) {
            notifiers.push(notifier);
        }
    }
    let clock = |at| view.clock(at, day);
    let outcome = |entry: &&LedgerEntry| why::outcome(entry, &clock(entry.at), view.locale, &clock);
    let is_told = |entry: &&&LedgerEntry| matches!(entry.decision, Decision::Sent { .. });
    let mut parts: Vec<String> = Vec::new();
    for notifier in notifiers {
        let theirs = || entries.iter().filter(|entry| entry.notifier.as_ref() == Some(notifier));
        parts.extend(theirs().find(is_told).map_or_else(|| theirs().rev().find_map(outcome), outcome));
    }
    // What concerns everybody and came last is why the others were not told, either.
    let last = entries.iter().rev().find(|entry| outcome(entry).is_some());
    if let Some(last) = last.filter(|last| last.notifier.is_none() && !entries.iter().any(|entry| is_told(&entry))) {
        parts.extend(outcome(last));
    }
    if parts.is_empty() { words::no_decision(view.locale).to_owned() } else { parts.join("; ") }
}

/// The entries of each outage together, in the order in which the outages begin.
fn by_outage(entries: &[LedgerEntry]) -> Vec<(Option<OutageId>, Vec<&LedgerEntry>)> {
    let mut places = std::collections::HashMap::new();
    let mut outages: Vec<(Option<OutageId>, Vec<&LedgerEntry>)> = Vec::new();
    for entry in entries {
        let place = *places.entry(entry.outage).or_insert(outages.len());
        match outages.get_mut(place) {
            Some((_, entries)) => entries.push(entry),
            None => outages.push((entry.outage, vec![entry])),
        }
    }
    outages
}

/// The entries as an array of objects; durations in seconds.
pub(super) fn json(entries: &[LedgerEntry]) -> Value {
    entries.iter().map(object).collect()
}

fn object(entry: &LedgerEntry) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
    let time = |at: Wall| Value::from(instant(at).to_string());
    put("at", time(entry.at));
    put("target", Value::from(&*entry.target));
    put("outage", entry.outage.map(OutageId::number).into());
    put("notifier", entry.notifier.as_deref().into());
    put("decision", entry.decision.code().into());
    match &entry.decision {
        Decision::Opened { tolerance } | Decision::ParentReturned { tolerance } => {
            put("tolerance", tolerance.as_secs_f64().into());
        }
        Decision::TooShort { silent_for, tolerance } => {
            put("silent_for", silent_for.as_secs_f64().into());
            put("tolerance", tolerance.as_secs_f64().into());
        }
        Decision::Explained { parent } | Decision::AwaitsParent { parent } => put("parent", (&**parent).into()),
        Decision::InMaintenance { reason, until } => {
            put("reason", (&**reason).into());
            put("until", time(*until));
        }
        Decision::Unknown { cause } => {
            put("cause", cause.code().into());
            if let Cause::SendFailed(number) = cause {
                put("errno", (*number).into());
            }
        }
        Decision::Held { hold, until } => {
            put("hold", hold.code().into());
            put("until", until.map_or(Value::Null, time));
        }
        Decision::Sent { message_id } => put("message_id", (&**message_id).into()),
        Decision::NotAccepted { reason } => put("reason", reason.as_str().into()),
        Decision::Acknowledged { by } => put("by", (&**by).into()),
        Decision::Flapping { changes } | Decision::Settled { changes } => put("changes", (*changes).into()),
        Decision::Renamed { from } => put("from", (&**from).into()),
        _ => {}
    }
    Value::Object(object)
}

/// Every instant that a [`Wall`] can hold is one that jiff knows.
fn instant(at: Wall) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(at.unix_nanos())).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use netwatch_core::Hold;

    use super::*;

    fn at(seconds: u64) -> Wall {
        // 2026-11-25T03:12:00Z
        Wall::from_unix_nanos(1_795_576_320_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn all(seconds: u64, outage: u64, decision: Decision) -> LedgerEntry {
        LedgerEntry::new(at(seconds), "olt\u{1b}-7".into(), Some(OutageId::new(outage)), decision)
    }

    fn noc(seconds: u64, outage: u64, decision: Decision) -> LedgerEntry {
        all(seconds, outage, decision).for_notifier("noc".into())
    }

    fn jefe(seconds: u64, outage: u64, decision: Decision) -> LedgerEntry {
        all(seconds, outage, decision).for_notifier("jefe\u{7}".into())
    }

    fn tolerance() -> Duration {
        Duration::from_secs(30)
    }

    fn sent(id: &str) -> Decision {
        Decision::Sent { message_id: id.into() }
    }

    /// A blip, an outage behind a parent, one that is told, and one that waits.
    fn a_bad_night() -> Vec<LedgerEntry> {
        vec![
            all(0, 17, Decision::Opened { tolerance: tolerance() }),
            all(12, 17, Decision::Answers),
            all(72, 17, Decision::TooShort { silent_for: Duration::from_millis(12_400), tolerance: tolerance() }),
            all(100, 18, Decision::Opened { tolerance: tolerance() }),
            all(130, 18, Decision::AwaitsParent { parent: "agg-3".into() }),
            all(132, 18, Decision::Explained { parent: "agg\u{1b}[2J-3".into() }),
            all(400, 18, Decision::ParentReturned { tolerance: Duration::from_secs(60) }),
            all(410, 18, Decision::Closed),
            all(1000, 19, Decision::Opened { tolerance: tolerance() }),
            all(1030, 19, Decision::Unknown { cause: Cause::Blind }),
            all(1060, 19, Decision::InMaintenance { reason: "poda".into(), until: at(3600) }),
            all(3640, 19, Decision::Due),
            jefe(3640, 19, Decision::OutOfScope),
            noc(3640, 19, Decision::Owed),
            noc(3640, 19, Decision::Held { hold: Hold::GroupWait, until: Some(at(3650)) }),
            noc(3651, 19, Decision::NotAccepted { reason: "421 busy\u{1b}".into() }),
            noc(3651, 19, Decision::Held { hold: Hold::Retry, until: Some(at(3681)) }),
            noc(3682, 19, sent("<19@nw>")),
            all(4000, 19, Decision::Acknowledged { by: "Ana".into() }),
            all(90_000, 19, Decision::Answers),
            all(90_060, 19, Decision::Closed),
            noc(90_070, 19, sent("<20@nw>")),
            LedgerEntry::new(at(90_100), "olt\u{1b}-7".into(), None, Decision::Renamed { from: "olt-6".into() }),
            all(90_200, 21, Decision::Opened { tolerance: tolerance() }),
            all(90_240, 21, Decision::Due),
            noc(90_240, 21, Decision::Held { hold: Hold::Budget, until: Some(at(93_670)) }),
            noc(90_300, 21, Decision::Held { hold: Hold::Flapping, until: None }),
            all(90_300, 21, Decision::Flapping { changes: 6 }),
        ]
    }

    #[test]
    fn a_night_reads_like_a_story_in_both_languages() {
        for locale in [Locale::Es, Locale::En] {
            let view = View { locale, zone: TimeZone::get("America/Asuncion").unwrap() };
            insta::assert_snapshot!(show("olt\u{1b}-7", &a_bad_night(), &view));
        }
    }

    #[test]
    fn every_decision_has_words_of_its_own_and_commands_no_terminal() {
        let name = || Arc::<str>::from("x\u{1b}[2J");
        let hold = |hold| Decision::Held { hold, until: None };
        let decisions = [
            Decision::NoRecovery,
            Decision::ToldAtOnce,
            Decision::Folded,
            Decision::Escalated,
            Decision::Drill { by: "ana".into() },
            Decision::Moot,
            Decision::Settled { changes: 9 },
            Decision::Removed,
            Decision::Renamed { from: name() },
            Decision::Acknowledged { by: name() },
            Decision::InMaintenance { reason: name(), until: at(0) },
            Decision::NotAccepted { reason: name().to_string() },
            Decision::AwaitsParent { parent: name() },
            Decision::Unknown { cause: Cause::SendFailed(5) },
            sent("x\u{1b}[2J"),
            hold(Hold::GroupInterval),
            hold(Hold::Hours),
            hold(Hold::Rationed),
        ];
        for locale in [Locale::Es, Locale::En] {
            let view = View { locale, zone: TimeZone::UTC };
            let entries = decisions.clone().map(|decision| noc(1, 1, decision).for_notifier(name()));
            let shown = show("olt", &entries, &view);
            assert!(!shown.contains('\u{1b}'), "{shown}");
            insta::assert_snapshot!(shown);
        }
    }

    #[test]
    fn a_story_without_a_decision_about_a_mail_says_so() {
        let view = View { locale: Locale::Es, zone: TimeZone::UTC };
        let shown = show("", &[all(0, 1, Decision::Answers)], &view);
        assert!(shown.starts_with("netwatch · corte 1 · 2026-11-25\n"), "{shown}");
        assert!(shown.ends_with("Conclusión: no consta ninguna decisión sobre un correo.\n"), "{shown}");
    }

    #[test]
    fn programs_find_every_detail() {
        let shown = json(&a_bad_night());
        assert_eq!(shown.as_array().unwrap().len(), a_bad_night().len());
        let of = |place: usize| shown[place].to_string();
        assert_eq!(
            of(2),
            r#"{"at":"2026-11-25T03:13:12Z","decision":"too_short","notifier":null,"outage":17,"silent_for":12.4,"target":"olt\u001b-7","tolerance":30.0}"#
        );
        assert_eq!(shown[10]["until"], "2026-11-25T04:12:00Z");
        assert_eq!(shown[14]["hold"], "group_wait");
        assert_eq!(shown[26]["until"], Value::Null);
        assert_eq!(shown[17]["message_id"], "<19@nw>");
        assert_eq!(shown[22]["outage"], Value::Null);
        let failed = json(&[all(0, 1, Decision::Unknown { cause: Cause::SendFailed(5) })]);
        assert_eq!((&failed[0]["cause"], &failed[0]["errno"]), (&"send_failed".into(), &5.into()));
    }
}
