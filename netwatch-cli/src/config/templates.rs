//! `templates`: the directory with what the operators made of the mails. One that is broken must not keep netwatch from
//! watching: the built-in words are used for it.

use std::path::{Path, PathBuf};

use netwatch_core::{Locale, TemplateError, TemplatePart, Templates, Words};

use super::Purpose;
use super::problem::{At, Place, Problems};
use super::resolve::Surroundings;
use super::text::{self, TextError};

const HELP: &str = "see the section on templates in docs/OPERATIONS.md for what a template is given";
const INSTEAD: &str = "the built-in words are used instead";

/// The file that makes this part.
fn file_name(part: TemplatePart) -> &'static str {
    match part {
        TemplatePart::Subject => "subject.txt",
        TemplatePart::Html => "mail.html",
        _ => "mail.txt",
    }
}

/// The templates of the directory. Those that cannot be used are among them, so that netwatch tells of them when they
/// would have been needed, too.
pub(super) fn read(
    written: Option<&At<PathBuf>>,
    time_zone: Option<&str>,
    around: &Surroundings<'_>,
    problems: &mut Problems,
) -> Vec<(TemplatePart, String)> {
    let Some(written) = written.filter(|_| around.purpose != Purpose::Look) else { return Vec::new() };
    let tell = Teller { purpose: around.purpose, named: written.place };
    let directory = around.base.join(&written.value);
    if let Err(error) = std::fs::read_dir(&directory) {
        let title = format!("cannot read the directory {}: {error}", directory.display());
        tell.of(written.place, title, "write the path of a directory; a relative one begins at this file's", problems);
        return Vec::new();
    }
    let before = problems.errors().saturating_add(problems.warnings());
    let read = TemplatePart::ALL.into_iter().filter_map(|part| {
        let path = directory.join(file_name(part));
        let source = tell.read(&path, problems)?;
        try_out(part, &path, &source, time_zone, &tell, problems);
        Some((part, source))
    });
    let found: Vec<_> = read.collect();
    if found.is_empty() && before == problems.errors().saturating_add(problems.warnings()) {
        let title = format!("there is no template in {}", directory.display());
        tell.of(
            written.place,
            title,
            "write subject.txt, mail.txt or mail.html there, or remove `templates`",
            problems,
        );
    }
    found
}

/// Renders a mail of every kind with it, and shows the line at which that fails.
fn try_out(
    part: TemplatePart,
    path: &Path,
    source: &str,
    time_zone: Option<&str>,
    tell: &Teller,
    problems: &mut Problems,
) {
    // A zone that does not exist is told of elsewhere.
    let words =
        Words::new(Locale::default(), time_zone, None).or_else(|_| Words::new(Locale::default(), Some("UTC"), None));
    let Ok(words) = words else { return };
    let templates = Templates::new(words).with(part, source);
    for TemplateError { line, reason, .. } in templates.broken() {
        let shown = problems.add_source(path, source);
        let place = problems.place(shown, line_of(source, line.unwrap_or(1)));
        tell.of(place, format!("the template for the {} of mails is broken: {reason}", part.code()), HELP, problems);
    }
}

/// What stands in a line, counted from 1.
fn line_of(text: &str, number: usize) -> std::ops::Range<usize> {
    let mut start = 0_usize;
    for line in text.split_inclusive('\n').take(number.saturating_sub(1)) {
        start = start.saturating_add(line.len());
    }
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    start..start.saturating_add(line.len())
}

/// Says what is wrong: `netwatch check` refuses it, a netwatch that is to watch goes on.
struct Teller {
    purpose: Purpose,
    named: Place,
}

impl Teller {
    fn of(&self, place: Place, title: String, help: &str, problems: &mut Problems) {
        match self.purpose {
            Purpose::Run => problems.warning(place, title, INSTEAD, help),
            _ => problems.error(place, title, "this would make no mail", help),
        }
    }

    /// The text of a file; `None` if there is none, which is nothing to tell of, or it cannot be read, which is.
    fn read(&self, path: &Path, problems: &mut Problems) -> Option<String> {
        match text::read(path) {
            Ok(source) => Some(source),
            Err(TextError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                let title = format!("the template {} cannot be used: {error}", path.display());
                self.of(
                    self.named,
                    title,
                    "put a text file that netwatch may read in its place, or remove it",
                    problems,
                );
                None
            }
        }
    }
}
