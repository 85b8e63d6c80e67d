//! One part of a mail in the operators' own words: a template that may be replaced in the field, and may be broken,
//! endless or too long.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, escape_formatter};

use super::clean::one_line;
use crate::plain;

/// How many steps a template may take: several times what one takes that says everything of every device.
const FUEL: u64 = 500_000;
/// How deep its macros may call each other; each level takes some of the thread's stack.
const RECURSION: usize = 100;
/// What a template may write before it is stopped: more than any mail holds, since control characters are taken out yet.
const MOST_BYTES: usize = 256 * 1024;
/// How many characters of what is wrong are told.
const REASON_CHARS: usize = 300;

/// A part of a mail that a template can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TemplatePart {
    /// The subject: one line of 200 characters at most. More lines become one.
    Subject,
    /// The plain text. Nothing is escaped in it; what does not fit in a mail is cut off, and that is said.
    Text,
    /// The HTML. Whatever is written into it is escaped; if it does not fit in a mail, the built-in HTML is used.
    Html,
}

impl TemplatePart {
    /// All of them, in this order.
    pub const ALL: [TemplatePart; 3] = [TemplatePart::Subject, TemplatePart::Text, TemplatePart::Html];

    /// A stable name, as it is told in what is wrong: `subject`, `text` or `html`.
    pub const fn code(self) -> &'static str {
        match self {
            TemplatePart::Subject => "subject",
            TemplatePart::Text => "text",
            TemplatePart::Html => "html",
        }
    }
}

/// A template cannot be used, or could not be used for one mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{}{reason}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct TemplateError {
    /// What it makes.
    pub part: TemplatePart,
    /// The line of the template, from 1, where that is known.
    pub line: Option<usize>,
    /// What is wrong, in one line.
    pub reason: String,
}

/// What a template made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// Without control characters but for line ends (LF).
    pub(super) text: String,
    /// Whether it would have written more than any mail holds, and was stopped.
    pub(super) stopped: bool,
}

/// A template that was understood.
pub(super) struct Template {
    part: TemplatePart,
    environment: Environment<'static>,
}

impl Template {
    /// Understands it. It can name no file and no other template.
    pub(super) fn new(part: TemplatePart, source: &str) -> Result<Template, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| {
            if name == TemplatePart::Html.code() { AutoEscape::Html } else { AutoEscape::None }
        });
        // What is not known is written as nothing; what does not exist is an error all the same.
        environment.set_formatter(
            |out, state, value| {
                if value.is_none() { Ok(()) } else { escape_formatter(out, state, value) }
            },
        );
        environment.set_fuel(Some(FUEL));
        // A block on a line of its own leaves no empty line in a mail.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| explain(part, &error))?);
        environment.set_recursion_limit(RECURSION);
        let added = environment.add_template_owned(part.code(), source.to_owned());
        added.map_err(|error| explain(part, &error))?;
        Ok(Template { part, environment })
    }

    /// What it makes of these facts. A template that panics has failed like any other.
    pub(super) fn render(&self, facts: &Value) -> Result<Made, TemplateError> {
        let wrong = |reason: &str| TemplateError { part: self.part, line: None, reason: reason.to_owned() };
        let made = catch_unwind(AssertUnwindSafe(|| self.write(facts)));
        let made = made.unwrap_or_else(|_panic| Err(wrong("it panicked, which is a defect of the template engine")))?;
        if made.text.trim().is_empty() {
            return Err(wrong("it makes nothing"));
        }
        Ok(made)
    }

    fn write(&self, facts: &Value) -> Result<Made, TemplateError> {
        let mut paper = Paper { bytes: Vec::new(), full: false };
        let template = self.environment.get_template(self.part.code()).map_err(|error| explain(self.part, &error))?;
        match template.render_captured_to(facts.clone(), &mut paper) {
            Ok(_) => {}
            Err(_) if paper.full => {}
            Err(error) => return Err(explain(self.part, &error)),
        }
        // Only the last character can be broken: it was cut where the paper ended.
        let text = String::from_utf8_lossy(&paper.bytes);
        let text = text.strip_suffix('\u{FFFD}').filter(|_| paper.full).unwrap_or(&text);
        Ok(Made { text: plain(text), stopped: paper.full })
    }
}

/// Takes what is written until it is full.
struct Paper {
    bytes: Vec<u8>,
    full: bool,
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = MOST_BYTES.saturating_sub(self.bytes.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.bytes.extend_from_slice(taken);
        if taken.len() < bytes.len() {
            self.full = true;
            return Err(io::Error::other("longer than any mail"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Without anything that hides or reverses text, and with no line end but LF.
fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let kept = text.chars().filter(|character| !plain::is_hidden(*character));
    kept.map(|character| match character {
        '\n' => '\n',
        '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' => '\n',
        other if other.is_control() => ' ',
        other => other,
    })
    .collect()
}

fn explain(part: TemplatePart, error: &Error) -> TemplateError {
    let reason = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => format!("it does not end within {FUEL} steps"),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    TemplateError { part, line: error.line(), reason: one_line(&reason, REASON_CHARS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_panics_has_failed() {
        let mut template = Template::new(TemplatePart::Text, "{{ name }} {{ explode() if name == 'b' }}").unwrap();
        template.environment.add_function("explode", || -> String { panic!("a defect") });
        let facts = |name: &str| minijinja::context! { name };
        assert!(template.render(&facts("a")).is_ok());
        assert!(template.render(&facts("b")).unwrap_err().reason.contains("panicked"));
        assert!(template.render(&facts("a")).is_ok(), "and works again");
    }

    #[test]
    fn what_is_longer_than_any_mail_is_stopped_between_two_characters() {
        let template = Template::new(TemplatePart::Text, "a{% for n in range(9000) %}{{ name }}{% endfor %}").unwrap();
        let made = template.render(&minijinja::context! { name => "ñ".repeat(100) }).unwrap();
        assert!(made.stopped && made.text.len() <= MOST_BYTES && made.text.len() > MOST_BYTES - 4);
        assert!(made.text.ends_with('ñ'), "{:?}", made.text.chars().last());
    }

    #[test]
    fn nothing_that_a_template_writes_itself_hides_or_reverses_text() {
        assert_eq!(plain("a\r\nb\rc\u{2028}d\0e\u{202E}f\tg"), "a\nb\nc\nd ef g");
    }
}
