//! A file that people wrote, read whole: a regular file of a size that people write, in UTF-8. Whatever it is instead
//! is said as that.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::problem::Problems;

/// Far more than anybody writes by hand; devices in bulk are in files of rows, which have no such limit.
const MOST: u64 = 64 << 20;

/// Why a file has no text for us.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TextError {
    #[error("cannot read it: {0}")]
    Io(#[from] std::io::Error),
    #[error("it is a directory: name a file in it")]
    Directory,
    #[error("it is not a regular file: name a file on a disk")]
    Special,
    #[error("it is longer than {} MiB, the most that is read: split it, or name another", MOST >> 20)]
    TooLong,
    #[error("it is not UTF-8: save the file as UTF-8")]
    NotUtf8 {
        /// The text with the replacement character for what is not UTF-8.
        text: String,
        /// Where the first such byte stands, in the file and in `text`.
        at: usize,
    },
}

/// The text of a file.
///
/// # Errors
/// When it is not a regular file, is longer than 64 MiB, is not UTF-8, or cannot be read.
pub(crate) fn read(path: &Path) -> Result<String, TextError> {
    let mut bytes = Vec::new();
    // What grows while it is read, or does not say its length, is bounded all the same.
    open(path)?.take(MOST.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(TextError::TooLong);
    }
    understand(bytes)
}

/// A regular file, to be read as it comes.
///
/// # Errors
/// When it is not one, or cannot be opened.
pub(crate) fn open(path: &Path) -> Result<File, TextError> {
    // Asked before it is opened: opening a FIFO would wait for its writer.
    let kind = std::fs::metadata(path)?;
    if kind.is_dir() {
        return Err(TextError::Directory);
    }
    if !kind.is_file() {
        return Err(TextError::Special);
    }
    Ok(File::open(path)?)
}

/// How to save a file that is not UTF-8.
pub(crate) const SAVE_AS_UTF8: &str =
    "save the file as UTF-8 (in Excel: \"CSV UTF-8\"; in a shell: `iconv -f LATIN1 -t UTF-8`)";

/// Tells of a text that is not UTF-8, at its place in the file.
pub(crate) fn not_utf8(path: &Path, text: &str, at: usize, problems: &mut Problems) {
    let source = problems.add_source(path, text);
    let place = problems.place(source, at..at.saturating_add(char::REPLACEMENT_CHARACTER.len_utf8()));
    problems.error(place, "this file is not UTF-8", "not a character in UTF-8", SAVE_AS_UTF8);
}

fn understand(bytes: Vec<u8>) -> Result<String, TextError> {
    String::from_utf8(bytes).map_err(|error| TextError::NotUtf8 {
        at: error.utf8_error().valid_up_to(),
        text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_of_bounded_length_is_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read(dir.path()), Err(TextError::Directory)));
        assert!(matches!(read(Path::new("/dev/null")), Err(TextError::Special)));
        assert!(matches!(read(&dir.path().join("none")), Err(TextError::Io(_))));
        let path = dir.path().join("a.csv");
        let file = File::create(&path).unwrap();
        file.set_len(MOST).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, MOST);
        file.set_len(MOST + 1).unwrap();
        assert!(matches!(read(&path), Err(TextError::TooLong)));
    }

    #[test]
    fn what_is_not_utf8_is_placed_at_its_first_byte() {
        let Err(TextError::NotUtf8 { text, at }) = understand(b"name\nca\xf1ada \xff".to_vec()) else { panic!() };
        assert_eq!((text.as_str(), at), ("name\nca\u{fffd}ada \u{fffd}", 7));
        let mut problems = Problems::default();
        not_utf8(Path::new("a.csv"), &text, at, &mut problems);
        let shown = problems.render(false);
        assert!(shown.contains("a.csv:2:3") && shown.contains("as UTF-8"), "{shown}");
    }
}
