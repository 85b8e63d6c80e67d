//! A table for people: printed, and put between its markers in docs/PERFORMANCE.md with the date and the machine.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// A table being put together.
#[derive(Debug)]
pub(crate) struct Report {
    name: String,
    how: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    remarks: Vec<String>,
    load: String,
}

impl Report {
    /// The table of this block, with its column heads. What the machine did before is looked at now.
    pub(crate) fn new(name: &str, head: &[&str]) -> Report {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().next().unwrap_or("?").to_owned();
        let how: Vec<_> = std::env::args().skip(1).filter(|word| word != "--write").collect();
        let head = head.iter().map(|word| (*word).to_owned()).collect();
        Report { name: name.to_owned(), how: how.join(" "), head, rows: Vec::new(), remarks: Vec::new(), load }
    }

    /// Adds a line, and shows at once what it says.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.head.len(), "a cell for every column");
        eprintln!("{}", cells.join(" | "));
        self.rows.push(cells.into());
    }

    /// Adds a sentence below the table.
    pub(crate) fn remark(&mut self, sentence: impl Into<String>) {
        self.remarks.push(sentence.into());
    }

    /// Prints it, and writes it down if asked to.
    pub(crate) fn finish(&self, write: bool) {
        let text = self.text();
        println!("{text}");
        if write {
            let path = performance();
            let before = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let after = replaced(&before, &self.name, &text)
                .unwrap_or_else(|| panic!("{} has no block {}", path.display(), self.name));
            fs::write(&path, after).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }

    fn text(&self) -> String {
        let mut text = format!("Taken {} with `netwatch-bench {}`, on {}.\n\n", today(), self.how, machine());
        if self.load.parse::<f64>().is_ok_and(|load| load > 0.5) {
            let _ = writeln!(text, "**The machine was busy before it began (load {}): ratios only.**\n", self.load);
        }
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        text += &line(&self.head);
        text += &line(&vec!["---".to_owned(); self.head.len()]);
        self.rows.iter().for_each(|row| text += &line(row));
        for remark in &self.remarks {
            let _ = write!(text, "\n{remark}\n");
        }
        text
    }
}

/// The directory of the sources.
pub(crate) fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn performance() -> PathBuf {
    sources().join("../docs/PERFORMANCE.md")
}

/// `before` with other text between the markers of the block; `None` if they are not there.
fn replaced(before: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- measured: {name} -->"), format!("<!-- end: {name} -->"));
    let (head, rest) = before.split_once(&begin)?;
    let (_, tail) = rest.split_once(&end)?;
    Some(format!("{head}{begin}\n{}\n{end}{tail}", text.trim_end()))
}

fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} ({cores} cores), Linux {}", model.unwrap_or("an unknown CPU"), kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let before = "a\n<!-- measured: x -->\nold\n<!-- end: x -->\nb\n";
        assert_eq!(replaced(before, "x", "new\n").unwrap(), "a\n<!-- measured: x -->\nnew\n<!-- end: x -->\nb\n");
        assert_eq!(replaced(before, "y", "new"), None);
    }
}
