//! Targets in bulk: a CSV file whose header names any of the keys of a target. A cell is read as the key's value in
//! TOML would be; an empty one is as if the key were not there. The file is read row by row, however long it is.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;

use super::file::{RawTarget, TARGET_KEYS, TARGET_LATER, read_target};
use super::problem::{At, Problems, RowPlace, nearest};
use super::section::{Section, Value};
use super::text::SAVE_AS_UTF8;

/// Longer than a list of ten million devices.
const MOST: u64 = 1 << 30;
/// How much is read to find the header behind the comments.
const MOST_BEFORE_HEADER: u64 = 1 << 20;

/// Hands each target of a CSV file to `take`, and says whether none was lost because it could not be read. The
/// separator is the one of comma, semicolon and tab that the header has.
pub(crate) fn read(
    path: &Path,
    file: File,
    problems: &mut Problems,
    take: &mut dyn FnMut(&RawTarget, &mut Problems),
) -> std::io::Result<bool> {
    let length = file.metadata()?.len();
    let separator = separator(&file)?;
    let mut reader = reader(separator, BufReader::new(file.try_clone()?));
    let source = problems.add_rows(path, file, separator);
    if length >= MOST {
        let help = "split it into several files, each with its own `[[targets_from]]`";
        problems.error(problems.place(source, 0..0), "the file is longer than 1 GiB", "too long", help);
        return Ok(false);
    }
    let mut columns: Option<Vec<Column>> = None;
    let mut complete = true;
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                unreadable(&error, source, problems);
                return Ok(false);
            }
        }
        let row = RowPlace::new(source, record.position());
        match &columns {
            None => columns = Some(read_header(&record, row, problems)),
            Some(columns) => {
                let target = read_row(columns, &record, row, problems);
                complete &= target.is_some();
                if let Some(target) = target {
                    take(&target, problems);
                }
            }
        }
    }
    if columns.is_none() {
        let place = problems.place(source, 0..0);
        let help = "begin it with a line that names the columns, such as `name,address,group`";
        problems.error(place, "the file has no header", "nothing is written here", help);
        complete = false;
    }
    Ok(complete)
}

/// How the rows of our CSV files are read.
pub(super) fn reader<R: Read>(separator: u8, from: R) -> csv::Reader<R> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .delimiter(separator)
        .from_reader(from)
}

/// The separator of the first line that is neither blank nor a comment.
fn separator(file: &File) -> std::io::Result<u8> {
    let mut lines = BufReader::new(file.try_clone()?.take(MOST_BEFORE_HEADER));
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line).trim_ascii();
        if !text.is_empty() && !text.starts_with(b"#") {
            break;
        }
        line.clear();
    }
    let mut file = file;
    file.rewind()?;
    Ok([b',', b';', b'\t'].into_iter().find(|byte| line.contains(byte)).unwrap_or(b','))
}

/// Says why no more rows can be read.
fn unreadable(error: &csv::Error, source: usize, problems: &mut Problems) {
    let row = RowPlace::new(source, error.position());
    if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) {
        problems.error(row.not_utf8(), "this file is not UTF-8", "not a character in UTF-8", SAVE_AS_UTF8);
    } else {
        let help = "one line a target, its cells separated by commas";
        problems.error(row.whole(), "this is not CSV", error.to_string(), help);
    }
}

/// A column of the file.
struct Column {
    /// Its name as written.
    name: At<String>,
    /// The key of a target that it gives, unless it is none, or an earlier column gives it.
    key: Option<&'static str>,
    /// Whether it is a key of which this version knows only the name.
    later: bool,
}

fn read_header(record: &csv::StringRecord, row: RowPlace, problems: &mut Problems) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for (number, name) in record.iter().enumerate() {
        let place = row.cell(number);
        let twice = columns.iter().any(|column| column.name.value == name);
        if twice {
            let title = format!("two columns are called `{name}`");
            problems.error(place, title, "the second", "remove or rename one of them");
        }
        let key = TARGET_KEYS.iter().copied().find(|key| *key == name);
        let later = TARGET_LATER.contains(&name);
        if key.is_none() && !later {
            let help = match nearest(name, &TARGET_KEYS) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the columns may be: {}", TARGET_KEYS.join(", ")),
            };
            problems.error(place, format!("unknown column `{name}`"), "not a key of a target", help);
        }
        columns.push(Column { name: At::new(name.to_owned(), place), key: key.filter(|_| !twice), later });
    }
    for needed in NEEDED {
        if !columns.iter().any(|column| column.key == Some(needed)) {
            let title = format!("no column is called `{needed}`");
            problems.error(row.whole(), title, "the header", format!("add a column `{needed}`"));
        }
    }
    columns
}

/// What no target can be without.
const NEEDED: [&str; 2] = ["name", "address"];

/// A row whose file lacks a column that it cannot be without is not read: that would be said of every row.
fn read_row(
    columns: &[Column],
    record: &csv::StringRecord,
    row: RowPlace,
    problems: &mut Problems,
) -> Option<RawTarget> {
    if record.len() != columns.len() {
        let title = format!("this line has {} cells, and the header {}", record.len(), columns.len());
        let help = "write every cell, an empty one where there is nothing to say";
        problems.error(row.whole(), title, "too many or too few", help);
        return None;
    }
    let mut cells: Vec<(&'static str, At<String>)> = Vec::with_capacity(columns.len());
    for (number, (column, text)) in columns.iter().zip(record).enumerate() {
        if column.later && !Value::Cell(text.to_owned()).asks_for_nothing() {
            // Said of the column, and so once.
            let title = format!("`{}` is not available in this version", column.name.value);
            let label = "netwatch could not do what this column asks for";
            problems.error(column.name.place, title, label, "remove the column");
        }
        if let Some(key) = column.key.filter(|_| !text.is_empty()) {
            cells.push((key, At::new(text.to_owned(), row.cell(number))));
        }
    }
    for needed in NEEDED {
        if !columns.iter().any(|column| column.key == Some(needed)) {
            return None;
        }
    }
    Some(read_target(Section::from_cells(cells, "the row"), row.whole(), problems))
}
