//! Text and HTML that grow side by side, and never beyond the size of a mail.

use super::clean::{html, one_line};
use super::entry::Entry;

/// How many bytes text and HTML may take together. In base64 (4/3, and line ends) and with its header the mail stays
/// under 256 KiB.
pub(super) const CONTENT_BYTES: usize = 180 * 1024;
/// Kept free for headings, sentences and the link, which are few and bounded themselves.
const FRAME_BYTES: usize = 20 * 1024;
/// How many characters of the page's address are written.
pub(super) const URL_CHARS: usize = 500;

/// Lets a program that shows mails on a dark ground do so with its own colours of text and links; all others of ours
/// can be read on either ground.
const DARK: &str = "<meta name=\"color-scheme\" content=\"light dark\">";

/// The words of a mail below its subject.
pub(super) struct Body {
    text: String,
    html: String,
    room: usize,
}

impl Body {
    /// Nothing yet, below this title.
    pub(super) fn new(title: &str) -> Body {
        let html = format!(
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">{DARK}<title>{}</title></head>\n<body style=\"font:15px/1.4 sans-serif;max-width:640px;margin:0;padding:12px\">\n",
            html(title)
        );
        Body { text: String::new(), html, room: CONTENT_BYTES.saturating_sub(FRAME_BYTES) }
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.text.push_str(&format!("{text}\n\n"));
        self.html.push_str(&format!("<h2 style=\"font-size:17px;margin:24px 0 10px\">{}</h2>\n", html(text)));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.text.push_str(&format!("{text}\n\n"));
        self.html.push_str(&format!("<p>{}</p>\n", html(text)));
    }

    /// The last line, which matters least.
    pub(super) fn footer(&mut self, text: &str) {
        self.text.push_str(&format!("{text}\n\n"));
        self.html.push_str(&format!("<p style=\"font-size:13px;color:#777\">{}</p>\n", html(text)));
    }

    pub(super) fn link(&mut self, text: &str, url: &str) {
        let url = one_line(url, URL_CHARS);
        self.text.push_str(&format!("{text}: {url}\n\n"));
        let url = html(&url);
        let shown = if url.starts_with("http://") || url.starts_with("https://") {
            format!("<a href=\"{url}\">{url}</a>")
        } else {
            url
        };
        self.html.push_str(&format!("<p>{}: {shown}</p>\n", html(text)));
    }

    /// Adds the entry, marked with this colour, if there is room; whether there was.
    pub(super) fn entry(&mut self, entry: &Entry, colour: &str) -> bool {
        self.add(&entry.text(), &entry.html(colour))
    }

    /// Adds as many of these short lines as there is room for. Returns how many.
    pub(super) fn list(&mut self, items: impl IntoIterator<Item = String>) -> usize {
        let mut added = 0_usize;
        for item in items {
            let opening = if added == 0 { "<ul>\n" } else { "" };
            if !self.add(&format!("- {item}\n"), &format!("{opening}<li>{}</li>\n", html(&item))) {
                break;
            }
            added = added.saturating_add(1);
        }
        if added > 0 {
            self.text.push('\n');
            self.html.push_str("</ul>\n");
        }
        added
    }

    /// The text and the HTML.
    pub(super) fn finish(mut self) -> (String, String) {
        self.html.push_str("</body></html>\n");
        (self.text.trim_end().to_owned() + "\n", self.html)
    }

    fn add(&mut self, text: &str, html: &str) -> bool {
        let Some(room) = self.room.checked_sub(text.len().saturating_add(html.len())) else { return false };
        self.room = room;
        self.text.push_str(text);
        self.html.push_str(html);
        true
    }
}
