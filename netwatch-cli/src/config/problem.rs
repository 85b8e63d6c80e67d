//! What is wrong with a configuration: every problem has a place and a remedy, and all are shown at once, as rustc
//! would show them.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::source::{Part, Source, Spot};

/// Where something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    source: u16,
    spot: Spot,
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<T> At<T> {
    pub(crate) fn new(value: T, place: Place) -> At<T> {
        At { value, place }
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), place: self.place }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Error,
    Warning,
}

#[derive(Debug)]
struct Problem {
    severity: Severity,
    place: Place,
    title: String,
    label: String,
    help: String,
}

/// The texts that were read, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    sources: Vec<Source>,
    found: Vec<Problem>,
    /// Digests of what was told already.
    known: HashSet<u64>,
    errors: usize,
    warnings: usize,
}

/// More than anybody reads; what is wrong with a hundred thousand lines is mostly one thing.
const MOST_SHOWN: usize = 200;
/// How many errors, and how many warnings, are kept to choose those from; the rest is only counted.
const MOST_KEPT: usize = 2000;

impl Problems {
    /// Takes a text in, so that places can point into it. What looks like a secret in it is masked: it is never shown.
    pub(crate) fn add_source(&mut self, path: &Path, text: &str) -> usize {
        self.add(Source::text(path, text))
    }

    /// Takes in a file of rows, of which only those are read again that must be shown.
    pub(crate) fn add_rows(&mut self, path: &Path, file: File, separator: u8) -> usize {
        self.add(Source::rows(path, file, separator))
    }

    /// Masks what stands at a place: it is a secret.
    pub(crate) fn mask(&mut self, place: Place) {
        if let Some(source) = self.sources.get_mut(usize::from(place.source)) {
            source.mask(place.spot);
        }
    }

    /// The place of this range of a source's bytes, brought within its text.
    pub(crate) fn place(&self, source: usize, range: Range<usize>) -> Place {
        let spot = self.sources.get(source).map_or(Spot::Bytes(0, 0), |source| source.bytes(range));
        Place { source: number(source), spot }
    }

    /// `file:line` of a place, for messages that speak of a second place.
    pub(crate) fn describe(&self, place: Place) -> String {
        let Some(source) = self.sources.get(usize::from(place.source)) else { return String::new() };
        format!("{}:{}", source.name(), source.line(place.spot))
    }

    /// Something that must be changed: what, what is there, and what to write instead.
    pub(crate) fn error(
        &mut self,
        place: Place,
        title: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Error, place, title.into(), label.into(), help.into());
    }

    /// Something that works but probably not as meant.
    pub(crate) fn warning(
        &mut self,
        place: Place,
        title: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Warning, place, title.into(), label.into(), help.into());
    }

    /// How many errors there are.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings there are.
    pub(crate) fn warnings(&self) -> usize {
        self.warnings
    }

    /// Whether there are so many errors that a further one would not be kept.
    pub(crate) fn are_plenty(&self) -> bool {
        self.errors >= MOST_KEPT
    }

    /// The errors that would be shown, each in one line: where, what, and what to write instead.
    pub(crate) fn in_brief(&self) -> Vec<String> {
        let mut errors: Vec<&Problem> =
            self.found.iter().filter(|problem| problem.severity == Severity::Error).collect();
        errors.sort_by_key(|problem| problem.place);
        let line =
            |problem: &&Problem| format!("{}: {} ({})", self.describe(problem.place), problem.title, problem.help);
        errors.iter().take(MOST_SHOWN).map(line).collect()
    }

    /// Everything that was found, in the order of the text, ready to print; empty if there is nothing. If it is more than
    /// anybody reads, errors come first.
    pub(crate) fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut sorted: Vec<&Problem> = self.found.iter().collect();
        let all = self.errors.saturating_add(self.warnings);
        sorted.sort_by_key(|problem| problem.place);
        if all > MOST_SHOWN {
            sorted.sort_by_key(|problem| problem.severity == Severity::Warning);
        }
        let mut out = String::new();
        for problem in sorted.iter().take(MOST_SHOWN) {
            out.push_str(&self.render_one(&renderer, problem));
            out.push_str("\n\n");
        }
        let more = all.saturating_sub(MOST_SHOWN);
        if more > 0 {
            out.push_str(&format!("... and {more} more\n\n"));
        }
        out
    }

    fn render_one(&self, renderer: &Renderer, problem: &Problem) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(problem.title.as_str());
        let Some(source) = self.sources.get(usize::from(problem.place.source)) else {
            return renderer.render(&[title.element(Level::HELP.message(problem.help.as_str()))]);
        };
        let shown = source.shown(problem.place.spot);
        let snippet = Snippet::source(shown.text)
            .line_start(shown.line)
            .path(source.name())
            .annotation(AnnotationKind::Primary.span(shown.span).label(problem.label.as_str()));
        renderer.render(&[title.element(snippet).element(Level::HELP.message(problem.help.as_str()))])
    }

    fn add(&mut self, source: Source) -> usize {
        self.sources.push(source);
        self.sources.len().saturating_sub(1)
    }

    fn push(&mut self, severity: Severity, place: Place, title: String, label: String, help: String) {
        let mut digest = DefaultHasher::new();
        (place, &title).hash(&mut digest);
        if !self.known.insert(digest.finish()) {
            return;
        }
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count = count.saturating_add(1);
        if *count <= MOST_KEPT {
            self.found.push(Problem { severity, place, title, label, help });
        }
    }
}

/// A source has a small number: nobody names 65,536 files.
fn number(source: usize) -> u16 {
    u16::try_from(source).unwrap_or(u16::MAX)
}

/// A row of a source that is read row by row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowPlace {
    source: u16,
    at: u32,
    line: u32,
}

impl RowPlace {
    /// The row that csv found here.
    pub(crate) fn new(source: usize, position: Option<&csv::Position>) -> RowPlace {
        let (at, line) = position.map_or((0, 1), |position| (position.byte(), position.line()));
        let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        RowPlace { source: number(source), at: short(at), line: short(line) }
    }

    /// All of it.
    pub(crate) fn whole(self) -> Place {
        self.part(Part::Whole)
    }

    /// One of its cells.
    pub(crate) fn cell(self, number: usize) -> Place {
        self.part(u16::try_from(number).map_or(Part::Whole, Part::Cell))
    }

    /// What of it is not UTF-8.
    pub(crate) fn not_utf8(self) -> Place {
        self.part(Part::NotUtf8)
    }

    fn part(self, part: Part) -> Place {
        Place { source: self.source, spot: Spot::Row { at: self.at, line: self.line, part } }
    }
}

/// Of `known`, the word that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|candidate| (strsim::osa_distance(&word, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().saturating_add(1) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_outside_the_text_or_inside_a_character_is_brought_back() {
        let mut problems = Problems::default();
        let source = problems.add_source(Path::new("a.toml"), "ñandú");
        let place = problems.place(source, 1..900);
        problems.error(place, "title", "label", "help");
        let shown = problems.render(false);
        assert!(shown.contains("a.toml:1:1"), "{shown}");
    }

    #[test]
    fn no_number_of_warnings_hides_an_error() {
        let mut problems = Problems::default();
        let source = problems.add_source(Path::new("a.toml"), "x = 1");
        for number in 0..MOST_SHOWN {
            problems.warning(problems.place(source, 0..1), format!("warning {number}"), "", "");
        }
        problems.error(problems.place(source, 4..5), "the error", "", "");
        let shown = problems.render(false);
        assert!(shown.starts_with("error: the error") && shown.ends_with("... and 1 more\n\n"), "{shown}");
    }

    #[test]
    fn in_brief_errors_are_a_line_each_in_the_order_of_the_text() {
        let mut problems = Problems::default();
        let source = problems.add_source(Path::new("a.toml"), "x = 1\ny = 2");
        problems.error(problems.place(source, 6..7), "`y` is unknown", "label", "remove it");
        problems.warning(problems.place(source, 0..1), "warning", "", "");
        problems.error(problems.place(source, 0..1), "`x` is unknown", "label", "remove it");
        assert_eq!(
            problems.in_brief(),
            ["a.toml:1: `x` is unknown (remove it)", "a.toml:2: `y` is unknown (remove it)"]
        );
    }

    #[test]
    fn the_same_problem_is_told_once() {
        let mut problems = Problems::default();
        let source = problems.add_source(Path::new("a.toml"), "x = 1");
        let place = problems.place(source, 0..1);
        problems.error(place, "title", "label", "help");
        problems.error(place, "title", "label", "help");
        assert_eq!(problems.errors(), 1);
    }

    #[test]
    fn a_word_nearby_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("tolerence", &["timeout", "tolerance"]), Some("tolerance"));
        assert_eq!(nearest("warn-rtt", &["warn_rtt", "warn_loss"]), Some("warn_rtt"));
        assert_eq!(nearest("colour", &["timeout", "tolerance"]), None);
    }
}
