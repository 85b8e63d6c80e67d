//! What is wrong with a configuration: every problem has a place and a remedy, and all are shown at once, as rustc
//! would show them.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Where something was written: a source of [`Problems`] and a range of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    source: usize,
    start: usize,
    end: usize,
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

/// A text that places point into.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Source {
    /// The number of the line, from 1, in which a byte stands.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|begins| *begins <= at)
    }

    /// The lines that hold a range, and where they begin.
    fn lines_of(&self, range: Range<usize>) -> (usize, &str) {
        let begins = self.lines.get(self.line(range.start).saturating_sub(1)).copied().unwrap_or(0);
        let ends = self.lines.get(self.line(range.end)).copied().unwrap_or(self.text.len());
        (begins, self.text.get(begins..ends).unwrap_or(""))
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
    known: HashSet<(Place, String)>,
}

/// More than anybody reads; what is wrong with a hundred thousand lines is mostly one thing.
const MOST_SHOWN: usize = 200;

impl Problems {
    /// Takes a text in, so that places can point into it. What looks like a secret in it is masked: it is never shown.
    pub(crate) fn add_source(&mut self, path: &Path, text: &str) -> usize {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at.saturating_add(1))).collect();
        self.sources.push(Source { path: path.to_owned(), text: without_secrets(text), lines });
        self.sources.len().saturating_sub(1)
    }

    /// Masks what stands at a place: it is a secret.
    pub(crate) fn mask(&mut self, place: Place) {
        if let Some(source) = self.sources.get_mut(place.source) {
            source.text = masked(&source.text, place.start..place.end);
        }
    }

    /// The place of this range of a source's bytes, brought within its text.
    pub(crate) fn place(&self, source: usize, range: Range<usize>) -> Place {
        let text = self.sources.get(source).map_or("", |source| source.text.as_str());
        let Range { start, end } = whole_characters(text, range);
        Place { source, start, end }
    }

    /// `file:line` of a place, for messages that speak of a second place.
    pub(crate) fn describe(&self, place: Place) -> String {
        let Some(source) = self.sources.get(place.source) else { return String::new() };
        let line = source.line(place.start);
        format!("{}:{line}", source.path.display())
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
        self.found.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// How many warnings there are.
    pub(crate) fn warnings(&self) -> usize {
        self.found.len().saturating_sub(self.errors())
    }

    /// Everything that was found, in the order of the text, ready to print; empty if there is nothing. If it is more than
    /// anybody reads, errors come first.
    pub(crate) fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut sorted: Vec<&Problem> = self.found.iter().collect();
        sorted.sort_by_key(|problem| problem.place);
        if sorted.len() > MOST_SHOWN {
            sorted.sort_by_key(|problem| problem.severity == Severity::Warning);
        }
        let mut out = String::new();
        for problem in sorted.iter().take(MOST_SHOWN) {
            out.push_str(&self.render_one(&renderer, problem));
            out.push_str("\n\n");
        }
        let more = sorted.len().saturating_sub(MOST_SHOWN);
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
        let Some(source) = self.sources.get(problem.place.source) else {
            return renderer.render(&[title.element(Level::HELP.message(problem.help.as_str()))]);
        };
        let Place { start, end, .. } = problem.place;
        let (begins, lines) = source.lines_of(start..end);
        let span = start.saturating_sub(begins)..end.saturating_sub(begins);
        let snippet = Snippet::source(lines)
            .line_start(source.line(start))
            .path(source.path.display().to_string())
            .annotation(AnnotationKind::Primary.span(span).label(problem.label.as_str()));
        renderer.render(&[title.element(snippet).element(Level::HELP.message(problem.help.as_str()))])
    }

    fn push(&mut self, severity: Severity, place: Place, title: String, label: String, help: String) {
        if self.known.insert((place, title.clone())) {
            self.found.push(Problem { severity, place, title, label, help });
        }
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

/// The range brought within the text, and widened to the borders of characters.
fn whole_characters(text: &str, range: Range<usize>) -> Range<usize> {
    let mut start = range.start.min(text.len());
    while !text.is_char_boundary(start) {
        start = start.saturating_sub(1);
    }
    let mut end = range.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_add(1);
    }
    start..end
}

/// The text with everything masked that is assigned to something called a password, to the end of its line. Works on
/// text that is not TOML, too: a slip of syntax beside a password must not show it.
fn without_secrets(text: &str) -> String {
    const NAMES: [&str; 4] = ["password", "passwd", "secret", "token"];
    let mut out = text.to_owned();
    let mut start = 0_usize;
    for line in text.split_inclusive('\n') {
        let end = start.saturating_add(line.trim_end().len());
        let lower = line.to_ascii_lowercase();
        for name in NAMES {
            for (at, _) in lower.match_indices(name) {
                let behind = at.saturating_add(name.len());
                let rest = lower.get(behind..).unwrap_or("");
                let value = rest.trim_start_matches(['"', '\'', ' ', '\t']);
                if let Some(value) = value.strip_prefix('=') {
                    let skipped = rest.len().saturating_sub(value.trim_start().len());
                    out = masked(&out, start.saturating_add(behind).saturating_add(skipped)..end);
                }
            }
        }
        start = start.saturating_add(line.len());
    }
    out
}

/// The text with this range of its bytes replaced by asterisks, as many as there were bytes; line ends stay.
fn masked(text: &str, range: Range<usize>) -> String {
    let Range { start, end } = whole_characters(text, range);
    let (Some(before), Some(secret), Some(after)) = (text.get(..start), text.get(start..end), text.get(end..)) else {
        return String::new();
    };
    let stars: String =
        secret.bytes().map(|byte| if byte == b'\n' || byte == b'\r' { char::from(byte) } else { '*' }).collect();
    format!("{before}{stars}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_assigned_to_a_password_is_never_kept() {
        for text in [
            "password = hünter2",
            "x = { \"Password\"='hünter2' }\r\ny",
            "smtp_password=hünter2",
            "a\nauth_token = 'hünter2'",
        ] {
            let kept = without_secrets(text);
            assert!(!kept.contains("nter2"), "{kept}");
            assert_eq!(kept.len(), text.len());
        }
        let harmless = "password_file = \"/etc/netwatch/password\"\n# the password = see above is in a file";
        assert!(without_secrets(harmless).starts_with("password_file = \"/etc/netwatch/password\"\n"));
    }

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
