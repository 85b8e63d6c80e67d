//! The built-in words: which lines matter most, how they are headed, and what has to be left out.

use std::cmp::Reverse;
use std::sync::Arc;

use super::Render;
use super::clean::{html, one_line};
use super::clock::{Clock, TimeZoneError};
use super::entry::{Entry, end};
use super::lexicon::Lexicon;
use crate::model::{Content, Draft, Line, LineKind, Locale};

/// How many devices are described; the others are counted.
const DESCRIBED: usize = 100;
/// How many bytes text and HTML may take together. In base64 (4/3, and line ends) and with its header the mail stays
/// under 256 KiB.
const CONTENT_BYTES: usize = 180 * 1024;
/// Kept free for the sentences around the descriptions, which are bounded themselves.
const FRAME_BYTES: usize = 12 * 1024;
/// How many characters of a name the subject shows.
const SUBJECT_NAME_CHARS: usize = 60;
/// How many characters of the page's address are written.
const URL_CHARS: usize = 500;
/// The order of the sections.
const KINDS: [LineKind; 3] = [LineKind::Opened, LineKind::Missed, LineKind::Closed];

/// The words that netwatch comes with, in Spanish and English.
#[derive(Debug, Clone)]
pub struct Words {
    words: Lexicon,
    clock: Clock,
    page_url: Option<Arc<str>>,
}

impl Words {
    /// Words in this language, with times in the zone of this IANA name (default: the system's) and a link to the
    /// page, if it can be reached from where the mails are read.
    ///
    /// # Errors
    /// When the zone is unknown here.
    ///
    /// ```
    /// use netwatch_core::{Locale, Words};
    /// let words = Words::new(Locale::Es, Some("America/Asuncion"), None)?;
    /// # Ok::<(), netwatch_core::TimeZoneError>(())
    /// ```
    pub fn new(locale: Locale, time_zone: Option<&str>, page_url: Option<Arc<str>>) -> Result<Words, TimeZoneError> {
        Ok(Words { words: Lexicon(locale), clock: Clock::new(locale, time_zone)?, page_url })
    }

    /// `NO RESPONDE: agg-3 (+200)` if something is down, else `OK: agg-3 (+2)`.
    fn subject(&self, ranked: &[&Line], draft: &Draft) -> String {
        let Some(first) = ranked.first() else {
            return "netwatch".to_owned();
        };
        let name = one_line(&first.subject.name, SUBJECT_NAME_CHARS);
        let down = first.kind == LineKind::Opened;
        let others = if down { count(ranked, LineKind::Opened) } else { ranked.len() }.saturating_sub(1);
        let word = if down { self.words.down() } else { self.words.ok() };
        let more = if others > 0 { format!(" (+{others})") } else { String::new() };
        let missed = if first.kind == LineKind::Missed && count(ranked, LineKind::Missed) == ranked.len() {
            let minute = |wall| self.clock.minute(wall, draft.at);
            let (from, to) = (minute(first.outage.started()), minute(end(first, draft.at)));
            format!(" {}", self.words.missed(&from, &to))
        } else {
            String::new()
        };
        format!("{word}: {name}{missed}{more}")
    }
}

impl Render for Words {
    fn render(&self, draft: &Draft) -> Content {
        let mut ranked: Vec<&Line> = draft.lines.iter().collect();
        ranked.sort_by_cached_key(|line| rank(line, draft));
        let subject = self.subject(&ranked, draft);
        let mut body = Body::new(&subject, CONTENT_BYTES.saturating_sub(FRAME_BYTES));
        for kind in KINDS {
            let (devices, customers) = total(ranked.iter().filter(|line| line.kind == kind));
            if devices > 0 {
                body.paragraph(&self.words.summary(kind, devices, customers));
            }
        }
        if let Some(since) = draft.late_since {
            let time = |wall| self.clock.time(wall, draft.at);
            body.paragraph(&self.words.late(&time(since), &time(draft.at)));
        }
        let mut room = DESCRIBED;
        for kind in KINDS {
            let lines: Vec<&Line> = ranked.iter().copied().filter(|line| line.kind == kind).collect();
            if lines.is_empty() {
                continue;
            }
            body.heading(self.words.heading(kind));
            let fitting = lines
                .iter()
                .take(room)
                .take_while(|line| body.entry(&Entry::new(line, draft.at, self.words, &self.clock)))
                .count();
            room = if fitting < lines.len() { 0 } else { room.saturating_sub(fitting) };
            let (devices, customers) = total(lines.iter().skip(fitting));
            if devices > 0 {
                body.paragraph(&self.words.rest(devices, customers));
            }
        }
        if let Some(url) = &self.page_url {
            body.link(self.words.page(), &one_line(url, URL_CHARS));
        }
        body.paragraph(&self.words.footer(&self.clock.zone_name(draft.at)));
        body.finish(subject)
    }
}

/// Sorts what matters most to the front: what is down, then by customers, then by how long it has lasted.
fn rank(line: &Line, draft: &Draft) -> (usize, Reverse<u32>, Reverse<std::time::Duration>, Arc<str>) {
    let section = KINDS.iter().position(|kind| *kind == line.kind).unwrap_or(KINDS.len());
    let lasted = end(line, draft.at).since(line.outage.started());
    (section, Reverse(line.subject.customers.unwrap_or(0)), Reverse(lasted), Arc::clone(&line.subject.name))
}

fn count(lines: &[&Line], kind: LineKind) -> usize {
    lines.iter().filter(|line| line.kind == kind).count()
}

/// How many devices, and how many customers they serve.
fn total<'a>(lines: impl Iterator<Item = &'a &'a Line>) -> (usize, u64) {
    lines.fold((0, 0), |(devices, customers), line| {
        (devices + 1, customers.saturating_add(u64::from(line.subject.customers.unwrap_or(0))))
    })
}

/// Text and HTML growing side by side, entries only as long as there is room.
struct Body {
    text: String,
    html: String,
    room: usize,
}

impl Body {
    fn new(title: &str, room: usize) -> Body {
        let html = format!(
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{}</title></head>\n<body style=\"font-family:sans-serif\">\n",
            html(title)
        );
        Body { text: String::new(), html, room }
    }

    fn heading(&mut self, text: &str) {
        self.text.push_str(&format!("{text}\n\n"));
        self.html.push_str(&format!("<h2>{}</h2>\n", html(text)));
    }

    fn paragraph(&mut self, text: &str) {
        self.text.push_str(&format!("{text}\n\n"));
        self.html.push_str(&format!("<p>{}</p>\n", html(text)));
    }

    fn link(&mut self, text: &str, url: &str) {
        self.text.push_str(&format!("{text}: {url}\n\n"));
        let url = html(url);
        let shown = if url.starts_with("http://") || url.starts_with("https://") {
            format!("<a href=\"{url}\">{url}</a>")
        } else {
            url
        };
        self.html.push_str(&format!("<p>{}: {shown}</p>\n", html(text)));
    }

    /// Adds the entry if there is room; whether there was.
    fn entry(&mut self, entry: &Entry) -> bool {
        let (text, html) = (entry.text(), entry.html());
        let Some(room) = self.room.checked_sub(text.len().saturating_add(html.len())) else {
            return false;
        };
        self.room = room;
        self.text.push_str(&text);
        self.html.push_str(&html);
        true
    }

    fn finish(mut self, subject: String) -> Content {
        self.html.push_str("</body></html>\n");
        Content::new(subject, self.text.trim_end().to_owned() + "\n", self.html)
    }
}
