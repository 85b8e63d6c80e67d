//! One device in a mail: its facts once, written down twice, as text and as HTML.

use super::chapter::end;
use super::clean::{html, one_line};
use super::clock::{Clock, duration};
use super::lexicon::Lexicon;
use crate::model::{Behind, Line, LineKind, Subject, Topic, Trouble, Wall};

/// How many characters of a name, an address or a group are shown.
pub(super) const NAME_CHARS: usize = 100;
/// How many characters of a note are shown.
pub(super) const NOTE_CHARS: usize = 400;
/// How many of the devices that netwatch cannot see are named.
const MEMBERS: usize = 20;
/// Lets a name that is wider than a phone end there and go on in the next line.
const BREAKS: &str = "overflow-wrap:anywhere";

/// What a mail says of one device.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) facts: Vec<(&'static str, String)>,
}

impl Entry {
    /// The facts of this line, told at `at`.
    pub(super) fn new(line: &Line, at: Wall, words: Lexicon, clock: &Clock) -> Entry {
        let mut entry = Entry { name: String::new(), facts: Vec::new() };
        match line.topic {
            Topic::Outage => {
                entry.device(line, words);
                entry.silence(line, at, words, clock);
            }
            Topic::Flapping => {
                entry.device(line, words);
                if line.changes > 0 {
                    let changes = match line.kind {
                        LineKind::Opened => words.within_an_hour(line.changes),
                        _ => words.number(line.changes.into()),
                    };
                    entry.fact(words.changes(), changes);
                }
                entry.span(line, at, words, clock);
            }
            Topic::Unseen(cause) => {
                entry.name = words.devices(line.members.len());
                entry.fact(words.cause_label(), words.cause(cause));
                entry.span(line, at, words, clock);
                let names: Vec<&str> = line.members.iter().map(|name| &**name).collect();
                if !names.is_empty() {
                    entry.fact(words.names(), list(&names, MEMBERS, words));
                }
            }
            Topic::Blind => {
                entry.name = "netwatch".to_owned();
                entry.span(line, at, words, clock);
            }
            Topic::Trouble(trouble) => entry.trouble(trouble, line, at, words, clock),
            Topic::Drill => {
                entry.device(line, words);
                entry.span(line, at, words, clock);
            }
        }
        if let Some(ack) = &line.outage.ack {
            let note =
                if ack.note.is_empty() { String::new() } else { format!(": {}", one_line(&ack.note, NOTE_CHARS)) };
            entry.fact(
                words.acknowledged(),
                format!("{} ({}){note}", one_line(&ack.by, NAME_CHARS), clock.time(ack.at, at)),
            );
        }
        if line.escalated {
            entry.fact(words.escalated(), words.escalated_because().to_owned());
        }
        if let Some(note) = &line.subject.note {
            entry.fact(words.note(), one_line(note, NOTE_CHARS));
        }
        entry
    }

    /// As a paragraph of plain text.
    pub(super) fn text(&self) -> String {
        let mut text = format!("* {}\n", self.name);
        for (label, value) in &self.facts {
            text.push_str(&format!("  {label}: {value}\n"));
        }
        text.push('\n');
        text
    }

    /// As a small table that fits a phone, with a bar of this colour beside it. The words tell all that the colour does.
    pub(super) fn html(&self, colour: &str) -> String {
        let mut page = format!(
            "<table cellpadding=\"2\" style=\"border-left:4px solid {colour};margin:0 0 16px;padding-left:8px\"><col width=\"170\">\n<tr><td colspan=\"2\" style=\"{BREAKS}\"><b>{}</b></td></tr>\n",
            html(&self.name)
        );
        for (label, value) in &self.facts {
            page.push_str(&format!(
                "<tr valign=\"top\"><td>{}:</td><td style=\"{BREAKS}\">{}</td></tr>\n",
                html(label),
                html(value)
            ));
        }
        page.push_str("</table>\n");
        page
    }

    fn fact(&mut self, label: &'static str, value: String) {
        self.facts.push((label, value));
    }

    /// Which device, where, for whom, and what lies behind it.
    fn device(&mut self, line: &Line, words: Lexicon) {
        let Line { subject, behind, .. } = line;
        self.name = one_line(&subject.name, NAME_CHARS);
        if line.critical {
            self.name.push_str(&format!(" ({})", words.critical()));
        }
        self.fact(words.address(), one_line(&subject.address, NAME_CHARS));
        if let Some(group) = &subject.group {
            self.fact(words.group(), one_line(group, NAME_CHARS));
        }
        if let Some(customers) = subject.customers {
            self.fact(words.customers_label(), words.number(customers.into()));
        }
        if behind.devices > 0 {
            self.fact(words.behind_label(), words.behind(*behind));
        }
    }

    /// Since when a device is or was silent, and for how long.
    fn silence(&mut self, line: &Line, at: Wall, words: Lexicon, clock: &Clock) {
        let Line { kind, outage, .. } = line;
        let is_open = *kind == LineKind::Opened;
        let lasted = duration(end(line, at).since(outage.started()));
        let (label, never) =
            if is_open { (words.silent_for(), words.never()) } else { (words.was_silent_for(), words.never_before()) };
        self.fact(label, lasted);
        self.fact(words.last_good(), outage.last_good.map_or_else(|| never.to_owned(), |wall| clock.time(wall, at)));
        self.fact(words.first_bad(), clock.time(outage.first_bad, at));
        if let Some(closed) = outage.closed.filter(|_| !is_open) {
            let label = if outage.removed { words.removed_at() } else { words.answered_again() };
            self.fact(label, clock.time(closed, at));
        }
    }

    /// What is wrong with netwatch, since when, and what to do.
    fn trouble(&mut self, trouble: Trouble, line: &Line, at: Wall, words: Lexicon, clock: &Clock) {
        let notifier = line.members.first().map(|name| one_line(name, NAME_CHARS)).unwrap_or_default();
        let wrong = words.trouble(trouble, &notifier);
        self.name = if trouble == Trouble::Clock { wrong } else { format!("netwatch {wrong}") };
        if trouble == Trouble::Clock {
            self.fact(words.expected(), clock.time(line.outage.first_bad, at));
            self.fact(words.found(), clock.time(end(line, at), at));
        } else {
            self.span(line, at, words, clock);
        }
        if trouble == Trouble::Clock || line.kind == LineKind::Opened {
            self.fact(words.remedy_label(), words.remedy(trouble).to_owned());
        }
    }

    /// Since when something goes on or until when it went on, and for how long.
    fn span(&mut self, line: &Line, at: Wall, words: Lexicon, clock: &Clock) {
        let Line { kind, outage, .. } = line;
        let lasted = duration(end(line, at).since(outage.started()));
        self.fact(words.since(), clock.time(outage.started(), at));
        if *kind == LineKind::Opened {
            self.fact(words.lasts(), lasted);
        } else {
            self.fact(words.until(), clock.time(end(line, at), at));
            self.fact(words.lasted(), lasted);
        }
    }
}

/// A device that is still down, in one line: `agg-3 (+200) · 192.168.10.2 · DSLAM · lleva 2 h 03 min`.
pub(super) fn short(line: &Line, at: Wall, words: Lexicon) -> String {
    let mut facts = vec![format!("{}{}", one_line(&line.subject.name, NAME_CHARS), plus(line.behind, words))];
    facts.extend(place(&line.subject, words));
    facts.push(words.silent(&duration(end(line, at).since(line.outage.started()))));
    if let Some(ack) = &line.outage.ack {
        facts.push(words.acknowledged_by(&one_line(&ack.by, NAME_CHARS)));
    }
    facts.join(" · ")
}

/// A device of which nothing but its place is to be told, in one line.
pub(super) fn shortest(subject: &Subject, words: Lexicon) -> String {
    let mut facts = vec![one_line(&subject.name, NAME_CHARS)];
    facts.extend(place(subject, words));
    facts.join(" · ")
}

/// ` (+200)`: how many devices are cut off behind one; nothing if there are none.
pub(super) fn plus(behind: Behind, words: Lexicon) -> String {
    match behind.devices {
        0 => String::new(),
        devices => format!(" (+{})", words.number(devices.into())),
    }
}

/// These names, no more than `most` of them, and how many more there are.
pub(super) fn list(names: &[&str], most: usize, words: Lexicon) -> String {
    let mut shown: Vec<String> = names.iter().take(most).map(|name| one_line(name, NAME_CHARS)).collect();
    let more = names.len().saturating_sub(most);
    if more > 0 {
        shown.push(words.more(more));
    }
    shown.join(", ")
}

fn place(subject: &Subject, words: Lexicon) -> Vec<String> {
    let mut facts = vec![one_line(&subject.address, NAME_CHARS)];
    facts.extend(subject.group.iter().map(|group| one_line(group, NAME_CHARS)));
    facts.extend(subject.customers.map(|customers| words.customers(customers.into())));
    facts
}
