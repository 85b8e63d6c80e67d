//! The built-in words: a mail from its subject to its last line, in Spanish or English.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use super::Render;
use super::body::Body;
use super::chapter::{Chapter, DESCRIBED, Total, chapters};
use super::clean::one_line;
use super::clock::{Clock, TimeZoneError};
use super::entry::{Entry, list, short, shortest};
use super::lexicon::Lexicon;
use super::subject::subject;
use crate::model::{Content, Draft, Hold, Line, Locale, OutageId, Standing, StandingKind, Wall};

/// How many groups are counted.
const GROUPS: usize = 20;
/// How many characters of a group's name are shown.
const GROUP_CHARS: usize = 100;
/// How many of the devices that were held back for the same reason are named.
const HELD_NAMES: usize = 10;

/// The words that netwatch comes with, in Spanish and English.
#[derive(Debug, Clone)]
pub struct Words {
    pub(super) words: Lexicon,
    pub(super) clock: Clock,
    pub(super) page_url: Option<Arc<str>>,
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

    /// What happened and to how many, in a sentence for each chapter.
    fn introduce(&self, body: &mut Body, draft: &Draft, chapters: &[Chapter<'_>]) {
        if draft.core {
            body.heading(self.words.core());
            body.paragraph(self.words.core_because());
        }
        for chapter in chapters {
            body.paragraph(&self.words.summary(chapter.section, chapter.total));
            if chapter.total.behind.devices > 0 {
                body.paragraph(&self.words.behind_sentence(chapter.total.behind));
            }
        }
        if let Some(since) = draft.late_since {
            let time = |wall| self.clock.time(wall, draft.at);
            body.paragraph(&self.words.late(&time(since), &time(draft.at)));
        }
        self.count_groups(body, draft);
    }

    fn count_groups(&self, body: &mut Body, draft: &Draft) {
        let mut groups: Vec<_> = draft.groups.iter().filter(|group| group.down > 0).collect();
        groups.sort_by_key(|group| Reverse(group.down));
        let more = groups.len().saturating_sub(GROUPS);
        if groups.is_empty() {
            return;
        }
        body.paragraph(self.words.groups());
        let count = groups
            .iter()
            .take(GROUPS)
            .map(|group| self.words.group_count(group.down, group.total, &one_line(&group.name, GROUP_CHARS)));
        body.list(count.chain((more > 0).then(|| self.words.more(more))));
    }

    /// The devices of a chapter, `room` of them at most, and how many are left out. Returns how much room is left.
    fn describe(&self, body: &mut Body, at: Wall, chapter: &Chapter<'_>, room: usize) -> usize {
        body.heading(self.words.heading(chapter.section));
        let described = chapter
            .lines
            .iter()
            .take(room)
            .take_while(|line| body.entry(&Entry::new(line, at, self.words, &self.clock), chapter.section.colour()))
            .count();
        let left = chapter.total.without(Total::of(chapter.lines.iter().take(described).copied()));
        if described == chapter.count {
            return room.saturating_sub(described);
        }
        body.paragraph(&self.words.rest(left.devices, left.customers));
        0
    }

    /// How everything stands, without describing again what the mail has described.
    fn stand(&self, body: &mut Body, draft: &Draft, standing: &Standing, (old, still_open): (&[&Line], usize)) {
        let counted = match standing.kind {
            StandingKind::Reminder if still_open == 0 => return,
            StandingKind::Reminder => still_open,
            StandingKind::Summary => standing.open_total,
        };
        body.heading(self.words.standing(standing.kind, counted));
        body.paragraph(&self.words.open(standing.kind, counted));
        let shown = body.list(old.iter().map(|line| short(line, draft.at, self.words)));
        self.leave_out(body, still_open.saturating_sub(shown));
        if standing.kind == StandingKind::Summary {
            body.paragraph(&self.words.warnings(standing.warnings_total));
            let shown = body.list(standing.warnings.iter().map(|subject| shortest(subject, self.words)));
            self.leave_out(body, standing.warnings_total.saturating_sub(shown));
        }
    }

    fn leave_out(&self, body: &mut Body, devices: usize) {
        if devices > 0 {
            body.paragraph(&self.words.rest(devices, 0));
        }
    }

    /// What was held back, and why.
    fn explain_delay(&self, body: &mut Body, draft: &Draft) {
        let mut reasons: Vec<(Hold, Wall, Vec<&str>)> = Vec::new();
        for held in &draft.held {
            match reasons.iter_mut().find(|(hold, ..)| *hold == held.hold) {
                Some((_, since, names)) => {
                    *since = held.since.min(*since);
                    names.push(&held.target);
                }
                None => reasons.push((held.hold, held.since, vec![&held.target])),
            }
        }
        if reasons.is_empty() {
            return;
        }
        body.heading(self.words.held());
        body.list(reasons.iter().map(|(hold, since, names)| {
            let names: Vec<&str> = names.iter().map(|name| if name.is_empty() { "netwatch" } else { name }).collect();
            let since = self.clock.time(*since, draft.at);
            self.words.held_since(&list(&names, HELD_NAMES, self.words), self.words.hold(*hold), &since)
        }));
    }
}

impl Render for Words {
    fn render(&self, draft: &Draft) -> Content {
        let chapters = chapters(draft);
        let old = draft.standing.as_ref().map_or_else(Vec::new, |standing| old(draft, standing));
        let still_open = draft
            .standing
            .as_ref()
            .map_or(0, |standing| standing.open_total.saturating_sub(standing.open.len().saturating_sub(old.len())));
        let subject = subject(draft, &chapters, still_open, self.words, &self.clock);
        let mut body = Body::new(&subject);
        self.introduce(&mut body, draft, &chapters);
        let mut room = DESCRIBED;
        for chapter in &chapters {
            room = self.describe(&mut body, draft.at, chapter, room);
        }
        if let Some(standing) = &draft.standing {
            self.stand(&mut body, draft, standing, (&old, still_open));
        }
        self.explain_delay(&mut body, draft);
        if let Some(url) = &self.page_url {
            body.link(self.words.page(), url);
        }
        body.footer(&self.words.footer(&self.clock.zone_name(draft.at)));
        let (text, html) = body.finish();
        Content::new(subject, text, html)
    }
}

/// The open outages of a standing that the lines of the mail do not bring.
fn old<'a>(draft: &'a Draft, standing: &'a Standing) -> Vec<&'a Line> {
    let open: HashSet<OutageId> = standing.open.iter().map(|line| line.outage.id).collect();
    let brought: HashSet<OutageId> =
        draft.lines.iter().map(|line| line.outage.id).filter(|outage| open.contains(outage)).collect();
    standing.open.iter().filter(|line| !brought.contains(&line.outage.id)).collect()
}
