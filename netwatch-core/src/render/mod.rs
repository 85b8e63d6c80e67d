//! Mails and words: the facts of a [`Draft`] become what a technician reads at three in the morning.

mod body;
mod chapter;
mod clean;
mod clock;
mod entry;
#[cfg(feature = "templates")]
mod facts;
mod lexicon;
mod phrases;
mod reasons;
#[cfg(feature = "templates")]
mod samples;
mod subject;
#[cfg(feature = "templates")]
mod template;
#[cfg(feature = "templates")]
mod templates;
mod troubles;
mod words;

#[cfg(test)]
mod tests;

use crate::model::{Content, Draft};

pub use clock::TimeZoneError;
#[cfg(feature = "templates")]
pub use template::{TemplateError, TemplatePart};
#[cfg(feature = "templates")]
pub use templates::Templates;
pub use words::Words;

/// Puts a draft into words.
///
/// The caller renders a mail anew at each attempt until its content is under way, and freezes what it got then.
///
/// The implementer does not block, gives the same words for the same draft, writes a subject of one line, and keeps
/// the mail under 256 KiB however many lines there are: text and HTML may take 180 KiB together, since base64 makes a
/// third more of them. Names and notes may hold anything: it escapes them.
///
/// ```
/// use netwatch_core::{Content, Draft, Render};
///
/// struct Terse;
///
/// impl Render for Terse {
///     fn render(&self, draft: &Draft) -> Content {
///         let text = format!("{} line(s)", draft.lines.len());
///         Content::new("netwatch", text.clone(), text)
///     }
/// }
/// ```
pub trait Render: Send + Sync {
    /// The words of this mail.
    fn render(&self, draft: &Draft) -> Content;

    /// What somebody should put right about the words of the mails so far, without what was returned before: it is
    /// asked after each mail, and told of as [`Event::Trouble`](crate::Event::Trouble). Nothing by default.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether it may take longer than a moment to find the words of a short draft, too. They are then found beside
    /// the driver, as those of a long one are. `false` by default.
    fn may_take_long(&self) -> bool {
        false
    }
}
