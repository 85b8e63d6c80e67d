//! Mails in the operators' own words, over the built-in ones: whatever is wrong with a template, the mail leaves in time
//! and says the same.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use minijinja::context;
use minijinja::value::{Serde, Value};

use super::body::CONTENT_BYTES;
use super::chapter::{Chapter, chapters};
use super::facts::facts;
use super::samples::samples;
use super::subject::bounded;
use super::template::{Made, Template, TemplateError, TemplatePart};
use super::{Render, Words};
use crate::model::{Content, Draft, Locale, Wall};

/// What is wrong with a part is told no more often than this.
const TOLD_EVERY: Duration = Duration::from_secs(600);
/// What HTML may take. The built-in HTML is shorter, whatever it tells; the text has the rest of a mail.
const HTML_BYTES: usize = 160 * 1024;

/// Mails of which some parts are made by templates, over [`Words`], which make the others.
///
/// Templates are [minijinja](https://docs.rs/minijinja)'s dialect of Jinja2, without files and without other templates. A
/// name that does not exist is an error; what is not known (a device without a note) is written as nothing, and is false.
/// In HTML whatever is written is escaped. docs/OPERATIONS.md lists what a template is told; `builtin.subject`, `builtin.text`, `builtin.html` and
/// `builtin.html_body` are what the mail would be without it.
///
/// A part whose template fails (it is broken, does not end, makes nothing, or its HTML does not fit in a mail) is the
/// built-in one instead, and [`Render::remarks`] says so, at most once in 10 min for each part.
///
/// ```
/// use netwatch_core::{Locale, TemplatePart, Templates, Words};
///
/// let words = Words::new(Locale::Es, Some("America/Asuncion"), None)?;
/// let templates = Templates::new(words).with(TemplatePart::Subject, "[NOC] {{ builtin.subject }}");
/// assert!(templates.broken().is_empty());
/// # Ok::<(), netwatch_core::TimeZoneError>(())
/// ```
pub struct Templates {
    words: Words,
    templates: BTreeMap<TemplatePart, Result<Template, TemplateError>>,
    told: Mutex<Told>,
}

/// What was told, and what is still to be.
#[derive(Default)]
struct Told {
    last: BTreeMap<TemplatePart, Wall>,
    next: Vec<String>,
}

impl Templates {
    /// No template yet: these words.
    pub fn new(words: Words) -> Templates {
        Templates { words, templates: BTreeMap::new(), told: Mutex::default() }
    }

    /// The same with a template for this part, which is tried with a mail of every kind in Spanish and in English. One
    /// that fails for any of them is never used, and stands among [`broken`](Templates::broken).
    #[must_use]
    pub fn with(mut self, part: TemplatePart, source: impl AsRef<str>) -> Templates {
        let template = Template::new(part, source.as_ref()).and_then(|template| {
            for locale in [Locale::Es, Locale::En] {
                let words = Words {
                    words: super::lexicon::Lexicon(locale),
                    clock: self.words.clock.speaking(locale),
                    page_url: self.words.page_url.clone(),
                };
                for draft in samples() {
                    let chapters = chapters(&draft);
                    let made = template.render(&told(&draft, &chapters, &words, &words.render(&draft)))?;
                    fits(part, &made)?;
                }
            }
            Ok(template)
        });
        self.templates.insert(part, template);
        self
    }

    /// The templates that cannot be used, with what is wrong.
    pub fn broken(&self) -> Vec<&TemplateError> {
        self.templates.values().filter_map(|template| template.as_ref().err()).collect()
    }

    /// What the template of this part makes; `None` if there is none, or it fails, which is then to be told.
    fn make(&self, part: TemplatePart, facts: &Value, at: Wall) -> Option<Made> {
        let made = match self.templates.get(&part)? {
            Ok(template) => template.render(facts).and_then(|made| fits(part, &made).map(|()| made)),
            Err(error) => Err(error.clone()),
        };
        made.map_err(|error| self.complain(&error, at)).ok()
    }

    fn complain(&self, error: &TemplateError, at: Wall) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not make it silent.
        let is_due = told.last.get(&error.part).is_none_or(|last| at < *last || at.since(*last) >= TOLD_EVERY);
        if is_due {
            told.last.insert(error.part, at);
            told.next.push(format!(
                "the template for the {} of a mail failed, and the built-in one was used: {error}; `netwatch check` says more",
                error.part.code()
            ));
        }
    }
}

impl Render for Templates {
    fn render(&self, draft: &Draft) -> Content {
        let mut content = self.words.render(draft);
        if self.templates.is_empty() {
            return content;
        }
        let chapters = chapters(draft);
        let facts = told(draft, &chapters, &self.words, &content);
        let make = |part| self.make(part, &facts, draft.at);
        if let Some(made) = make(TemplatePart::Subject) {
            content.subject = bounded(&made.text, &chapters, self.words.words);
        }
        if let Some(made) = make(TemplatePart::Html) {
            content.html = made.text;
        }
        let mut stopped = false;
        if let Some(made) = make(TemplatePart::Text) {
            (content.text, stopped) = (made.text, made.stopped);
        }
        let room = CONTENT_BYTES.saturating_sub(content.html.len());
        if stopped || content.text.len() > room {
            content.text = cut(content.text, room, self.words.words.cut_off());
        }
        content
    }

    fn remarks(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner).next)
    }

    fn may_take_long(&self) -> bool {
        !self.templates.is_empty()
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").field("words", &self.words).field("parts", &self.templates.keys()).finish()
    }
}

/// What a template is told.
fn told(draft: &Draft, chapters: &[Chapter<'_>], words: &Words, builtin: &Content) -> Value {
    let body = builtin.html.split_once("<body").and_then(|(_, rest)| rest.split_once('>')).map_or("", |(_, body)| body);
    let body = body.rsplit_once("</body>").map_or(body, |(body, _)| body);
    let builtin = context! {
        subject => builtin.subject.as_str(),
        text => builtin.text.as_str(),
        html => Value::from_safe_string(builtin.html.clone()),
        html_body => Value::from_safe_string(body.to_owned()),
    };
    context! { builtin, ..Value::from(Serde(facts(draft, chapters, words))) }
}

/// HTML that is cut is no HTML.
fn fits(part: TemplatePart, made: &Made) -> Result<(), TemplateError> {
    if part != TemplatePart::Html || !made.stopped && made.text.len() <= HTML_BYTES {
        return Ok(());
    }
    let reason = format!("it makes more than {} KiB, and does not fit in a mail", HTML_BYTES / 1024);
    Err(TemplateError { part, line: None, reason })
}

/// The text in no more than `room` bytes: whole lines, and that there were more.
fn cut(mut text: String, room: usize, cut_off: &str) -> String {
    let mut end = text.len().min(room.saturating_sub(cut_off.len().saturating_add(2)));
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.truncate(end);
    // A single endless line is cut where it must be.
    if let Some(end) = text.rfind('\n') {
        text.truncate(end);
    }
    format!("{}\n{cut_off}\n", text.trim_end())
}
