//! The subject of a mail: all that a locked phone shows.
//!
//! It begins with what needs a person first. Only a mail that brings an outage which is still open, or rehearses one, holds the
//! word of [`Status::Down`], so that a filter on it catches outages alone: in every other subject that word is taken out, even where it is
//! part of a device's name.

use super::chapter::{Chapter, Section, end};
use super::clean::one_line;
use super::clock::Clock;
use super::entry::plus;
use super::lexicon::Lexicon;
use crate::model::{Draft, Line, Locale, Standing, StandingKind, Status, Topic};

/// How many characters a subject has at most.
const SUBJECT_CHARS: usize = 200;
/// How many characters of a name are shown if it stands alone.
const NAME_CHARS: usize = 60;
/// How many characters of each of several names are shown.
const NAME_OF_MANY_CHARS: usize = 40;
/// Up to so many names are all shown.
const NAMES: usize = 3;
/// So many are shown if there are more.
const NAMES_OF_MANY: usize = 2;

/// The subject of this draft with these chapters. `still_open` counts the outages of its standing that its lines do not bring.
pub(super) fn subject(
    draft: &Draft,
    chapters: &[Chapter<'_>],
    still_open: usize,
    words: Lexicon,
    clock: &Clock,
) -> String {
    let standing = draft.standing.as_ref();
    let subject = match (chapters.first(), standing) {
        (None, None) => "netwatch".to_owned(),
        (None, Some(standing)) => words.standing_alone(standing),
        (Some(first), standing) => {
            let lines = leading(draft, first, chapters, words, clock);
            standing.map_or(lines.clone(), |standing| lines + &words.standing_too(standing, still_open))
        }
    };
    bounded(&subject, chapters, words)
}

/// As one line, without the word of [`Status::Down`] unless the mail brings or rehearses an outage.
pub(super) fn bounded(subject: &str, chapters: &[Chapter<'_>], words: Lexicon) -> String {
    let is_outage = chapters.first().is_some_and(|first| matches!(first.section, Section::Down | Section::Drill));
    // One line first: the word may stand in two.
    let subject = one_line(subject, usize::MAX);
    let subject = if is_outage { subject } else { subject.replace(Status::Down.word(words.0), "…") };
    one_line(&subject, SUBJECT_CHARS)
}

/// What the most important chapter says.
fn leading(draft: &Draft, first: &Chapter<'_>, chapters: &[Chapter<'_>], words: Lexicon, clock: &Clock) -> String {
    let named = |word: &str| format!("{word}: {}", words.name_some(first.lines.iter().copied(), first.count));
    let times = |line: &Line| {
        let minute = |wall| clock.minute(wall, draft.at);
        (minute(line.outage.started()), minute(end(line, draft.at)))
    };
    let ok = Status::Ok.word(words.0);
    match first.section {
        Section::Down => named(Status::Down.word(words.0)),
        Section::Flapping => named(words.pick("INESTABLE", "FLAPPING")),
        Section::Settled => named(words.pick("ESTABLE", "STABLE")),
        Section::Removed => named(words.pick("YA NO SE VIGILA", "NO LONGER WATCHED")),
        Section::Blind => words.pick("netwatch quedó sin red", "netwatch is cut off").to_owned(),
        Section::Alert => words.alert(first),
        Section::Unseen => words.unseen(first),
        Section::Seen => {
            format!("{} {}", words.pick("netwatch ve de nuevo", "netwatch sees again:"), words.seen(first))
        }
        Section::Sighted => match first.lines.as_slice() {
            [line] => {
                let (from, to) = times(line);
                words.sighted(&from, &to)
            }
            _ => words.pick("netwatch volvió a tener red", "netwatch is connected again").to_owned(),
        },
        Section::Mended => words.pick("netwatch: terminó un problema propio", "netwatch: a problem is over").to_owned(),
        Section::Drill => drill(&named(Status::Down.word(words.0)), words),
        Section::Drilled => drill(&named(ok), words),
        Section::Late => {
            let back = chapters.iter().find(|chapter| chapter.section == Section::Back);
            let both = first.lines.iter().chain(back.iter().flat_map(|back| &back.lines)).copied();
            let count = first.count.saturating_add(back.map_or(0, |back| back.count));
            let late = match (back, first.lines.as_slice()) {
                (None, [line]) => {
                    let (from, to) = times(line);
                    words.missed(&from, &to)
                }
                (None, _) => words.pick(" (avisado tarde)", " (reported late)").to_owned(),
                (Some(_), _) => String::new(),
            };
            format!("{ok}: {}{late}", words.name_some(both, count))
        }
        Section::Back => named(ok),
    }
}

/// Marks what is rehearsed.
fn drill(subject: &str, words: Lexicon) -> String {
    format!("{}: {subject}", words.pick("SIMULACRO", "DRILL"))
}

impl Lexicon {
    /// `netwatch: no puede escribir en el disco`.
    fn alert(self, chapter: &Chapter<'_>) -> String {
        let first = chapter.lines.first().and_then(|line| match line.topic {
            Topic::Trouble(trouble) => {
                let notifier = line.members.first().map(|name| one_line(name, NAME_OF_MANY_CHARS)).unwrap_or_default();
                Some(self.trouble(trouble, &notifier))
            }
            _ => None,
        });
        let others = match chapter.count.saturating_sub(1) {
            0 => String::new(),
            others => format!(", {}", self.more(others)),
        };
        format!("netwatch: {}{others}", first.unwrap_or_default())
    }

    /// `agg-3 (+200), olt-7, 4 más`: devices by name, of `count` in all.
    fn name_some<'a>(self, lines: impl Iterator<Item = &'a Line>, count: usize) -> String {
        let shown = if count > NAMES { NAMES_OF_MANY } else { NAMES };
        let chars = if count > 1 { NAME_OF_MANY_CHARS } else { NAME_CHARS };
        let name = |line: &Line| format!("{}{}", one_line(&line.subject.name, chars), plus(line.behind, self));
        let mut names: Vec<String> = lines.take(shown).map(name).collect();
        let more = count.saturating_sub(names.len());
        if more > 0 {
            names.push(self.more(more));
        }
        names.join(", ")
    }

    /// When an outage was that is over, and that it is told late.
    fn missed(self, from: &str, to: &str) -> String {
        match self.0 {
            Locale::Es => format!(" (sin respuesta {from}-{to}, avisado tarde)"),
            Locale::En => format!(" (no answer {from}-{to}, reported late)"),
        }
    }

    /// When netwatch was cut off.
    fn sighted(self, from: &str, to: &str) -> String {
        match self.0 {
            Locale::Es => format!("netwatch volvió a tener red (sin red {from}-{to})"),
            Locale::En => format!("netwatch is connected again (cut off {from}-{to})"),
        }
    }

    /// `netwatch no ve 12 equipos: sin ruta`.
    fn unseen(self, chapter: &Chapter<'_>) -> String {
        let cause = chapter.lines.first().map_or_else(String::new, |line| match line.topic {
            Topic::Unseen(cause) => self.cause(cause),
            _ => String::new(),
        });
        let others = match chapter.count.saturating_sub(1) {
            0 => String::new(),
            1 => format!(", {}", self.pick("y otra causa", "and another cause")),
            others => format!(", {} {}", self.number(others as u64), self.pick("causas más", "more causes")),
        };
        format!("{} {}: {cause}{others}", self.pick("netwatch no ve", "netwatch cannot see"), self.seen(chapter))
    }

    /// The device if it is one, else how many.
    fn seen(self, chapter: &Chapter<'_>) -> String {
        let names: Vec<_> = chapter.lines.iter().flat_map(|line| line.members.iter()).take(2).collect();
        match (chapter.total.devices, names.as_slice()) {
            (1, [name]) => one_line(name, NAME_CHARS),
            (devices, _) => self.devices(devices),
        }
    }

    /// The subject of a mail that says nothing but how everything stands.
    fn standing_alone(self, standing: &Standing) -> String {
        match standing.kind {
            StandingKind::Summary => format!("{}: {}", self.pick("Resumen", "Summary"), self.counts(standing)),
            StandingKind::Reminder => {
                let word = self.still_open(standing.open_total);
                format!("{word}: {}", self.name_some(standing.open.iter(), standing.open_total))
            }
        }
    }

    /// What follows in the subject of a mail that has lines too.
    fn standing_too(self, standing: &Standing, still_open: usize) -> String {
        let count = self.number(still_open as u64);
        match (standing.kind, still_open, self.0) {
            (StandingKind::Summary, _, Locale::Es) => format!("; resumen: {}", self.counts(standing)),
            (StandingKind::Summary, _, Locale::En) => format!("; summary: {}", self.counts(standing)),
            (StandingKind::Reminder, 0, _) => String::new(),
            (StandingKind::Reminder, 1, Locale::Es) => "; 1 más sigue sin responder".to_owned(),
            (StandingKind::Reminder, _, Locale::Es) => format!("; {count} más siguen sin responder"),
            (StandingKind::Reminder, _, Locale::En) => format!("; {count} more still not answering"),
        }
    }

    /// `3 sin responder, 2 lentos`.
    fn counts(self, standing: &Standing) -> String {
        let number = |count: usize| self.number(count as u64);
        let mut counts = Vec::new();
        if standing.open_total > 0 {
            counts.push(format!("{} {}", number(standing.open_total), self.pick("sin responder", "not answering")));
        }
        match (standing.warnings_total, self.0) {
            (0, _) => {}
            (1, Locale::Es) => counts.push("1 lento".to_owned()),
            (_, Locale::Es) => counts.push(format!("{} lentos", number(standing.warnings_total))),
            (_, Locale::En) => counts.push(format!("{} slow", number(standing.warnings_total))),
        }
        if counts.is_empty() { self.pick("sin cortes", "no outages").to_owned() } else { counts.join(", ") }
    }
}
