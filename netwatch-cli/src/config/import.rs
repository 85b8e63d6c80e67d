//! Targets in bulk: a CSV file whose header names any of the keys of a target. A cell is read as the key's value in
//! TOML would be; an empty one is as if the key were not there.

use std::path::Path;

use super::file::{RawTarget, TARGET_LATER, read_target, target_keys};
use super::problem::{At, Place, Problems, nearest};
use super::section::{Section, Value};

/// The targets in the text of a CSV file. The separator is the one of comma, semicolon and tab that the header has.
pub(crate) fn parse(path: &Path, text: &str, problems: &mut Problems) -> Vec<RawTarget> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = problems.add_source(path, text);
    let header_line = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')).unwrap_or("");
    let separator = [b',', b';', b'\t'].into_iter().find(|byte| header_line.as_bytes().contains(byte)).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .delimiter(separator)
        .from_reader(text.as_bytes());
    let mut header: Option<Vec<At<String>>> = None;
    let mut targets = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let at = error.position().map_or(0, |position| offset(position.byte()));
                let place = problems.place(source, at..at);
                problems.error(
                    place,
                    "this is not CSV",
                    error.to_string(),
                    "one line a target, its cells separated by commas",
                );
                continue;
            }
        };
        let begins = record.position().map_or(0, |position| offset(position.byte()));
        let row = Row::new(text, begins, source, problems);
        match &header {
            None => header = Some(read_header(&record, &row, problems)),
            Some(keys) => targets.extend(read_row(keys, &record, row, problems)),
        }
    }
    if header.is_none() {
        let place = problems.place(source, 0..0);
        let help = "begin it with a line that names the columns, such as `name,address,group`";
        problems.error(place, "the file has no header", "nothing is written here", help);
    }
    targets
}

/// A line of the file, to find the places of its cells in.
struct Row<'a> {
    line: &'a str,
    begins: usize,
    source: usize,
    place: Place,
}

impl<'a> Row<'a> {
    /// The row that begins at a byte of the text, without the blank lines and comments that csv counts to it.
    fn new(text: &'a str, from: usize, source: usize, problems: &Problems) -> Row<'a> {
        let mut begins = from;
        let mut line = "";
        for candidate in text.get(from..).unwrap_or("").split_inclusive('\n') {
            line = candidate.trim_end();
            if !line.is_empty() && !line.starts_with('#') {
                break;
            }
            begins = begins.saturating_add(candidate.len());
        }
        let place = problems.place(source, begins..begins.saturating_add(line.len()));
        Row { line, begins, source, place }
    }

    /// The place of a cell at or behind a byte of the line; the whole row if it is not found there as written.
    fn cell(&self, text: &str, from: usize, problems: &Problems) -> (Place, usize) {
        let found = self.line.get(from..).and_then(|rest| rest.find(text)).filter(|_| !text.is_empty());
        let Some(at) = found.map(|at| at.saturating_add(from)) else { return (self.place, from) };
        let ends = at.saturating_add(text.len());
        let place = problems.place(self.source, self.begins.saturating_add(at)..self.begins.saturating_add(ends));
        (place, ends)
    }
}

fn read_header(record: &csv::StringRecord, row: &Row<'_>, problems: &mut Problems) -> Vec<At<String>> {
    let known = target_keys();
    let mut from = 0;
    let mut keys: Vec<At<String>> = Vec::new();
    for name in record {
        let (place, ends) = row.cell(name, from, problems);
        from = ends;
        if keys.iter().any(|key| key.value == name) {
            problems.error(
                place,
                format!("two columns are called `{name}`"),
                "the second",
                "remove or rename one of them",
            );
        }
        if !known.contains(&name) && !TARGET_LATER.contains(&name) {
            let help = match nearest(name, &known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the columns may be: {}", known.join(", ")),
            };
            problems.error(place, format!("unknown column `{name}`"), "not a key of a target", help);
        }
        keys.push(At::new(name.to_owned(), place));
    }
    for needed in ["name", "address"] {
        if !keys.iter().any(|key| key.value == needed) {
            problems.error(
                row.place,
                format!("no column is called `{needed}`"),
                "the header",
                format!("add a column `{needed}`"),
            );
        }
    }
    keys
}

/// A row whose file lacks a column that it cannot be without is not read: that would be said of every row.
fn read_row(
    keys: &[At<String>],
    record: &csv::StringRecord,
    row: Row<'_>,
    problems: &mut Problems,
) -> Option<RawTarget> {
    if record.len() != keys.len() {
        let title = format!("this line has {} cells, and the header {}", record.len(), keys.len());
        problems.error(
            row.place,
            title,
            "too many or too few",
            "write every cell, an empty one where there is nothing to say",
        );
        return None;
    }
    let known = target_keys();
    let mut from = 0;
    let mut cells: Vec<(String, At<String>)> = Vec::with_capacity(keys.len());
    for (key, text) in keys.iter().zip(record) {
        let (place, ends) = row.cell(text, from, problems);
        from = ends;
        let name = &key.value;
        if TARGET_LATER.contains(&name.as_str()) && !Value::Cell(text.to_owned()).asks_for_nothing() {
            // Said of the column, and so once.
            let title = format!("`{name}` is not available in this version");
            problems.error(key.place, title, "netwatch could not do what this column asks for", "remove the column");
        }
        let told_of_in_the_header = !known.contains(&name.as_str()) || cells.iter().any(|(other, _)| other == name);
        if !text.is_empty() && !told_of_in_the_header {
            cells.push((name.clone(), At::new(text.to_owned(), place)));
        }
    }
    for needed in ["name", "address"] {
        if !keys.iter().any(|key| key.value == needed) {
            return None;
        }
    }
    Some(read_target(Section::from_cells(cells, "the row"), row.place, problems))
}

fn offset(byte: u64) -> usize {
    usize::try_from(byte).unwrap_or(usize::MAX)
}
