//! The texts that a configuration is read from, kept so that a problem can be shown where it is. A file of a million
//! rows is not kept: its rows are read again, should one of them have to be shown.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::import;

/// More of a row than anybody reads of it.
const MOST_OF_A_ROW: usize = 1 << 13;

/// What a place points at: bytes of a text, or a cell of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Spot {
    /// From one byte to another.
    Bytes(u32, u32),
    /// In the row that csv found at this byte, and at this line, both without the comments before it.
    Row {
        /// Where csv began to read it.
        at: u32,
        /// The line there, from 1.
        line: u32,
        /// What of it.
        part: Part,
    },
}

/// A part of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// The cell of this number, from 0.
    Cell(u16),
    /// What is not UTF-8 in it.
    NotUtf8,
}

/// Lines to be shown: the number of the first, their text, and what of it is meant.
pub(super) struct Shown {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

/// A text that places point into.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Text {
        text: String,
        /// Where each line begins.
        lines: Vec<usize>,
    },
    Rows {
        file: File,
        separator: u8,
    },
}

impl Source {
    /// A text that is kept, but for what looks like a secret in it.
    pub(super) fn text(path: &Path, text: &str) -> Source {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at.saturating_add(1))).collect();
        Source { path: path.to_owned(), content: Content::Text { text: without_secrets(text), lines } }
    }

    /// A file of rows that is read again if need be.
    pub(super) fn rows(path: &Path, file: File, separator: u8) -> Source {
        Source { path: path.to_owned(), content: Content::Rows { file, separator } }
    }

    /// The file's name as it was given.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Masks a range of a text: it is a secret.
    pub(super) fn mask(&mut self, spot: Spot) {
        if let (Content::Text { text, .. }, Spot::Bytes(start, end)) = (&mut self.content, spot) {
            *text = masked(text, start as usize..end as usize);
        }
    }

    /// A range brought within the text, and to the borders of characters.
    pub(super) fn bytes(&self, range: Range<usize>) -> Spot {
        let text = match &self.content {
            Content::Text { text, .. } => text.as_str(),
            Content::Rows { .. } => "",
        };
        let Range { start, end } = whole_characters(text, range);
        let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Spot::Bytes(short(start), short(end))
    }

    /// The number of the line in which something is, from 1.
    pub(super) fn line(&self, spot: Spot) -> usize {
        match (&self.content, spot) {
            (Content::Text { lines, .. }, Spot::Bytes(start, _)) => line_of(lines, start as usize),
            (_, Spot::Row { line, .. }) => self.row(spot).map_or(line as usize, |row| row.line),
            (Content::Rows { .. }, Spot::Bytes(..)) => 1,
        }
    }

    /// What is to be shown of a place.
    pub(super) fn shown(&self, spot: Spot) -> Shown {
        match (&self.content, spot) {
            (Content::Text { text, lines }, Spot::Bytes(start, end)) => {
                let (start, end) = (start as usize, end as usize);
                let begins = lines.get(line_of(lines, start).saturating_sub(1)).copied().unwrap_or(0);
                let ends = lines.get(line_of(lines, end)).copied().unwrap_or(text.len());
                Shown {
                    line: line_of(lines, start),
                    text: text.get(begins..ends).unwrap_or("").to_owned(),
                    span: start.saturating_sub(begins)..end.saturating_sub(begins),
                }
            }
            (_, Spot::Row { line, .. }) => {
                self.row(spot).unwrap_or(Shown { line: line as usize, text: String::new(), span: 0..0 })
            }
            (Content::Rows { .. }, Spot::Bytes(..)) => Shown { line: 1, text: String::new(), span: 0..0 },
        }
    }

    /// Reads a row again, without the blank lines and comments that csv counts to it. `None` if it is no longer there.
    fn row(&self, spot: Spot) -> Option<Shown> {
        let (Content::Rows { file, separator }, Spot::Row { at, line, part }) = (&self.content, spot) else {
            return None;
        };
        let mut chunk = vec![0; MOST_OF_A_ROW];
        let mut begins = u64::from(at);
        let mut line = line as usize;
        loop {
            let got = file.read_at(&mut chunk, begins).ok().filter(|got| *got > 0)?;
            let bytes = chunk.get(..got).unwrap_or(&[]);
            let length = bytes.iter().position(|byte| *byte == b'\n').map_or(got, |end| end.saturating_add(1));
            let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or(bytes));
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let row = text.trim_end();
            if !row.is_empty() && !row.starts_with('#') {
                let all = String::from_utf8_lossy(bytes);
                let span = part_of(row, all.strip_prefix('\u{feff}').unwrap_or(&all), part, *separator);
                return Some(Shown { line, text: without_secrets(row), span });
            }
            begins = begins.saturating_add(length as u64);
            line = line.saturating_add(1);
        }
    }
}

/// Where a part of a row is in its first line; all of it if it is not found there as written.
fn part_of(line: &str, text: &str, part: Part, separator: u8) -> Range<usize> {
    let whole = 0..line.len();
    let wanted = match part {
        Part::Whole => return whole,
        Part::NotUtf8 => {
            let character = char::REPLACEMENT_CHARACTER;
            return line.find(character).map_or(whole, |at| at..at.saturating_add(character.len_utf8()));
        }
        Part::Cell(cell) => usize::from(cell),
    };
    let mut record = csv::StringRecord::new();
    if !matches!(import::reader(separator, text.as_bytes()).read_record(&mut record), Ok(true)) {
        return whole;
    }
    let mut from = 0_usize;
    for (number, cell) in record.iter().enumerate().take(wanted.saturating_add(1)) {
        let found = line.get(from..).and_then(|rest| rest.find(cell)).filter(|_| !cell.is_empty());
        let at = found.map(|at| at.saturating_add(from));
        let ends = at.map(|at| at.saturating_add(cell.len()));
        if number == wanted {
            return at.zip(ends).map_or(whole, |(at, ends)| at..ends);
        }
        from = ends.unwrap_or(from);
    }
    whole
}

/// The number of the line, from 1, in which a byte stands.
fn line_of(lines: &[usize], at: usize) -> usize {
    lines.partition_point(|begins| *begins <= at)
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

/// The text with everything masked that is assigned to something called a password, or to an address that may be as good
/// as one, to the end of its line. Works on
/// text that is not TOML, too: a slip of syntax beside a password must not show it.
fn without_secrets(text: &str) -> String {
    const NAMES: [&str; 7] = ["password", "passwd", "secret", "token", "routing_key", "chat_id", "url"];
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
            "heartbeat_url = \"https://hc.example/hünter2\"",
        ] {
            let kept = without_secrets(text);
            assert!(!kept.contains("nter2"), "{kept}");
            assert_eq!(kept.len(), text.len());
        }
        let harmless = "password_file = \"/etc/netwatch/password\"\n# the password = see above is in a file";
        assert!(without_secrets(harmless).starts_with("password_file = \"/etc/netwatch/password\"\n"));
    }
}
