//! One device in a mail: its facts once, written down twice, as text and as HTML.

use super::clean::{html, one_line};
use super::clock::{Clock, duration};
use super::lexicon::Lexicon;
use crate::model::{Line, LineKind, Wall};

/// How many characters of a name, an address or a group are shown.
const NAME_CHARS: usize = 100;
/// How many characters of a note are shown.
const NOTE_CHARS: usize = 400;

/// What a mail says of one device.
pub(super) struct Entry {
    name: String,
    facts: Vec<(&'static str, String)>,
}

impl Entry {
    /// The facts of this line, told at `at`.
    pub(super) fn new(line: &Line, at: Wall, words: Lexicon, clock: &Clock) -> Entry {
        let Line { kind, subject, outage, .. } = line;
        let time = |wall| clock.time(wall, at);
        let mut facts = vec![(words.address(), one_line(&subject.address, NAME_CHARS))];
        if let Some(group) = &subject.group {
            facts.push((words.group(), one_line(group, NAME_CHARS)));
        }
        if let Some(customers) = subject.customers {
            facts.push((words.customers_label(), words.number(customers.into())));
        }
        let lasted = duration(end(line, at).since(outage.started()));
        let last_good = outage.last_good.map(time);
        match kind {
            LineKind::Opened => {
                facts.push((words.silent_for(), lasted));
                facts.push((words.last_good(), last_good.unwrap_or_else(|| words.never().to_owned())));
                facts.push((words.first_bad(), time(outage.first_bad)));
            }
            LineKind::Closed | LineKind::Missed => {
                facts.push((words.was_silent_for(), lasted));
                facts.push((words.last_good(), last_good.unwrap_or_else(|| words.never_before().to_owned())));
                facts.push((words.first_bad(), time(outage.first_bad)));
                if let Some(closed) = outage.closed {
                    facts.push((words.answered_again(), time(closed)));
                }
            }
        }
        if let Some(note) = &subject.note {
            facts.push((words.note(), one_line(note, NOTE_CHARS)));
        }
        Entry { name: one_line(&subject.name, NAME_CHARS), facts }
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

    /// As a small table that fits a phone.
    pub(super) fn html(&self) -> String {
        let mut page = format!("<p><b>{}</b></p>\n<table>\n", html(&self.name));
        for (label, value) in &self.facts {
            page.push_str(&format!("<tr><td>{}:</td><td>{}</td></tr>\n", html(label), html(value)));
        }
        page.push_str("</table>\n");
        page
    }
}

/// When the outage ended; `at` if it has not.
pub(super) fn end(line: &Line, at: Wall) -> Wall {
    line.outage.closed.unwrap_or(at)
}
