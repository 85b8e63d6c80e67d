//! The facts of a draft as plain values: what a template of a mail is rendered with. Its keys are a contract, written
//! down in docs/OPERATIONS.md. Foreign text comes in as one bounded line each, so that no template has to clean it.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

use super::body::URL_CHARS;
use super::chapter::{Chapter, DESCRIBED, Section, Total, end};
use super::clean::one_line;
use super::clock::duration;
use super::entry::{Entry, NAME_CHARS, NOTE_CHARS};
use super::words::Words;
use crate::model::{Draft, GroupCount, Held, Line, LineKind, Standing, StandingKind, Subject, Topic, Wall};

/// How many devices of a list are given; the rest is counted.
const MOST: usize = 100;

/// Everything that a template is told but for the built-in words.
pub(super) fn facts(draft: &Draft, chapters: &[Chapter<'_>], words: &Words) -> Value {
    let teller = Teller { at: draft.at, words };
    let mut room = DESCRIBED;
    let mut sections = Vec::new();
    let mut lines = Vec::new();
    for chapter in chapters {
        let described = chapter.lines.get(..chapter.lines.len().min(room)).unwrap_or_default();
        room = room.saturating_sub(described.len());
        let of_chapter: Vec<Value> = described.iter().map(|line| teller.line(line, Some(chapter.section))).collect();
        lines.extend(of_chapter.iter().cloned());
        sections.push(section(chapter, of_chapter, words));
    }
    let mut facts = Map::new();
    let mut put = |key: &str, value: Value| facts.insert(key.to_owned(), value);
    put("locale", words.words.0.code().into());
    put("notifier", name(&draft.notifier).into());
    put("zone", words.clock.zone_name(draft.at).into());
    put("page_url", words.page_url.as_deref().map(|url| one_line(url, URL_CHARS)).into());
    put("core", draft.core.into());
    put("lines_total", draft.lines.len().into());
    put("lines_left_out", draft.lines.len().saturating_sub(lines.len()).into());
    put("sections", sections.into());
    put("lines", lines.into());
    put("groups", groups(&draft.groups));
    put("held_total", draft.held.len().into());
    put("held", draft.held.iter().take(MOST).map(|held| teller.held(held)).collect());
    put("standing", draft.standing.as_ref().map(|standing| teller.standing(standing)).into());
    teller.put_time(&mut facts, "at", Some(draft.at));
    teller.put_time(&mut facts, "late_since", draft.late_since);
    Value::Object(facts)
}

fn section(chapter: &Chapter<'_>, lines: Vec<Value>, words: &Words) -> Value {
    let Total { devices, customers, behind } = chapter.total;
    json!({
        "code": chapter.section.code(),
        "heading": words.words.heading(chapter.section),
        "sentence": words.words.summary(chapter.section, chapter.total),
        "devices": devices,
        "customers": customers,
        "devices_behind": behind.devices,
        "customers_behind": behind.customers,
        "lines_total": chapter.count,
        "lines_left_out": chapter.count.saturating_sub(lines.len()),
        "lines": lines,
    })
}

/// The groups in which something is down, the worst first.
fn groups(all: &[GroupCount]) -> Value {
    let mut groups: Vec<&GroupCount> = all.iter().filter(|group| group.down > 0).collect();
    groups.sort_by_key(|group| Reverse(group.down));
    let value = |group: &&GroupCount| json!({ "name": name(&group.name), "down": group.down, "total": group.total });
    groups.iter().take(MOST).map(value).collect()
}

fn name(text: &str) -> String {
    // The name of what has none is empty rather than a question mark.
    if text.is_empty() { String::new() } else { one_line(text, NAME_CHARS) }
}

fn note(text: &str) -> String {
    if text.is_empty() { String::new() } else { one_line(text, NOTE_CHARS) }
}

/// Tells what happened as of a moment, in the words of a language and a zone.
struct Teller<'a> {
    at: Wall,
    words: &'a Words,
}

impl Teller<'_> {
    /// A time as people write it under `key`, and as RFC 3339 under `key_rfc3339`.
    fn put_time(&self, facts: &mut Map<String, Value>, key: &str, time: Option<Wall>) {
        facts.insert(key.to_owned(), time.map(|time| self.words.clock.time(time, self.at)).into());
        facts.insert(format!("{key}_rfc3339"), time.map(|time| self.words.clock.rfc3339(time)).into());
    }

    fn line(&self, line: &Line, section: Option<Section>) -> Value {
        let Line { subject, outage, behind, .. } = line;
        let lexicon = self.words.words;
        let entry = Entry::new(line, self.at, lexicon, &self.words.clock);
        let cause = match line.topic {
            Topic::Unseen(cause) => Some(cause),
            _ => None,
        };
        let lasted = end(line, self.at).since(outage.started());
        let label = |(label, value): &(&'static str, String)| json!({ "label": label, "value": value });
        let mut facts = Map::new();
        let mut put = |key: &str, value: Value| facts.insert(key.to_owned(), value);
        put("section", section.map(Section::code).into());
        put("kind", line.kind.code().into());
        put("topic", line.topic.code().into());
        put("cause", cause.map(|cause| lexicon.cause(cause)).into());
        put("cause_code", cause.map(|cause| cause.code()).into());
        put("title", entry.name.as_str().into());
        put("facts", entry.facts.iter().map(label).collect());
        put("critical", line.critical.into());
        put("escalated", line.escalated.into());
        put("outage", outage.id.number().into());
        put("removed", outage.removed.into());
        put("seconds", lasted.as_secs().into());
        put("duration", duration(lasted).into());
        put("devices_behind", behind.devices.into());
        put("customers_behind", behind.customers.into());
        put("changes", line.changes.into());
        put("members", line.members.iter().take(MOST).map(|member| name(member)).collect());
        put("members_total", line.members.len().into());
        put("ack", outage.ack.as_ref().map(|ack| self.ack(ack)).into());
        self.put_subject(&mut facts, subject);
        self.put_time(&mut facts, "since", Some(outage.started()));
        self.put_time(&mut facts, "last_good", outage.last_good);
        self.put_time(&mut facts, "first_bad", Some(outage.first_bad));
        self.put_time(&mut facts, "closed", outage.closed.filter(|_| line.kind != LineKind::Opened));
        Value::Object(facts)
    }

    fn put_subject(&self, facts: &mut Map<String, Value>, subject: &Subject) {
        let mut put = |key: &str, value: Value| facts.insert(key.to_owned(), value);
        put("name", name(&subject.name).into());
        put("address", name(&subject.address).into());
        put("group", subject.group.as_deref().map(name).into());
        put("note", subject.note.as_deref().map(note).into());
        put("customers", subject.customers.into());
    }

    fn ack(&self, ack: &crate::model::Ack) -> Value {
        let mut facts = Map::new();
        facts.insert("by".to_owned(), name(&ack.by).into());
        facts.insert("note".to_owned(), note(&ack.note).into());
        self.put_time(&mut facts, "at", Some(ack.at));
        Value::Object(facts)
    }

    fn held(&self, held: &Held) -> Value {
        let mut facts = Map::new();
        facts.insert(
            "name".to_owned(),
            if held.target.is_empty() { "netwatch".into() } else { name(&held.target).into() },
        );
        facts.insert("hold".to_owned(), held.hold.code().into());
        facts.insert("reason".to_owned(), self.words.words.hold(held.hold).into());
        self.put_time(&mut facts, "since", Some(held.since));
        Value::Object(facts)
    }

    fn standing(&self, standing: &Standing) -> Value {
        let kind = match standing.kind {
            StandingKind::Reminder => "reminder",
            StandingKind::Summary => "summary",
        };
        let slow = |subject: &Subject| {
            let mut facts = Map::new();
            self.put_subject(&mut facts, subject);
            Value::Object(facts)
        };
        json!({
            "kind": kind,
            "open": standing.open.iter().take(MOST).map(|line| self.line(line, None)).collect::<Vec<_>>(),
            "open_total": standing.open_total,
            "warnings": standing.warnings.iter().take(MOST).map(slow).collect::<Vec<_>>(),
            "warnings_total": standing.warnings_total,
        })
    }
}
