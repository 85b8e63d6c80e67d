//! Columns on a terminal: aligned, and coloured only where somebody sees it.

/// A cell: what stands in it, and its colour as SGR parameters ("" for none).
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    colour: &'static str,
    right: bool,
    paint: Option<fn(char) -> &'static str>,
    /// Left out where fewer letters of it fit.
    least: usize,
}

impl Cell {
    /// Text, aligned to the left.
    pub(crate) fn text(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), colour: "", right: false, paint: None, least: 0 }
    }

    /// A figure, aligned to the right.
    pub(crate) fn figure(text: impl Into<String>) -> Cell {
        Cell { right: true, ..Cell::text(text) }
    }

    /// The same in a colour.
    pub(crate) fn coloured(self, colour: &'static str) -> Cell {
        Cell { colour, ..self }
    }

    /// The same, left out where not even this many letters of it fit.
    pub(crate) fn at_least(self, letters: usize) -> Cell {
        Cell { least: letters, ..self }
    }

    /// The same with a colour for each letter.
    pub(crate) fn painted(self, paint: fn(char) -> &'static str) -> Cell {
        Cell { paint: Some(paint), ..self }
    }
}

/// The rows as lines, each column as wide as its widest cell, two spaces between columns.
pub(crate) fn render(rows: &[Vec<Cell>], colour: bool) -> String {
    lines(rows, colour, usize::MAX).concat()
}

/// The same line by line, each with its end, and cut where it is longer than `most` letters.
pub(crate) fn lines(rows: &[Vec<Cell>], colour: bool, most: usize) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.text.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter().map(|row| line(row, &widths, colour, most)).collect()
}

fn line(row: &[Cell], widths: &[usize], colour: bool, most: usize) -> String {
    let mut pen = Pen { line: String::new(), spaces: 0, room: most };
    for (cell, width) in row.iter().zip(widths) {
        let padding = width.saturating_sub(cell.text.chars().count());
        let (before, after) = if cell.right { (padding, 0) } else { (0, padding) };
        pen.spaces = pen.spaces.saturating_add(before);
        if pen.room.saturating_sub(pen.spaces) < cell.least.min(cell.text.chars().count()) {
            continue;
        }
        match cell.paint.filter(|_| colour) {
            Some(paint) => {
                for run in cell.text.chars().collect::<Vec<_>>().chunk_by(|one, other| paint(*one) == paint(*other)) {
                    let colour = run.first().map_or("", |letter| paint(*letter));
                    pen.write(&run.iter().collect::<String>(), colour);
                }
            }
            None => pen.write(&cell.text, if colour { cell.colour } else { "" }),
        }
        pen.spaces = pen.spaces.saturating_add(after).saturating_add(2);
    }
    pen.line.push('\n');
    pen.line
}

/// Writes a line that has room for so many letters, spaces only where something follows them.
struct Pen {
    line: String,
    spaces: usize,
    room: usize,
}

impl Pen {
    fn write(&mut self, text: &str, colour: &str) {
        if text.is_empty() || self.spaces >= self.room {
            return;
        }
        self.line.extend(std::iter::repeat_n(' ', self.spaces));
        self.room = self.room.saturating_sub(self.spaces);
        self.spaces = 0;
        let cut = text.char_indices().nth(self.room).map_or(text, |(end, _)| text.get(..end).unwrap_or(text));
        self.room = self.room.saturating_sub(cut.chars().count());
        if colour.is_empty() {
            self.line.push_str(cut);
        } else {
            self.line.push_str(&format!("\u{1b}[{colour}m{cut}\u{1b}[0m"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_colours() {
        let rows = [
            vec![Cell::text("NAME"), Cell::figure("PING")],
            vec![Cell::text("dslam-ñ").coloured("31"), Cell::figure("1.2 ms")],
        ];
        assert_eq!(render(&rows, false), "NAME       PING\ndslam-ñ  1.2 ms\n");
        assert_eq!(render(&rows, true), "NAME       PING\n\u{1b}[31mdslam-ñ\u{1b}[0m  1.2 ms\n");
    }
    #[test]
    fn a_line_is_cut_by_what_is_seen_of_it() {
        let paint = |letter: char| if letter == 'x' { "31" } else { "" };
        let rows = [vec![Cell::text("ñandú").coloured("32"), Cell::text("..x.").painted(paint)], vec![Cell::text("a")]];
        let cut = |most| lines(&rows, false, most).first().cloned().unwrap();
        assert_eq!([cut(3), cut(6), cut(9), cut(99)], ["ñan\n", "ñandú\n", "ñandú  ..\n", "ñandú  ..x.\n"]);
        let note = [vec![Cell::text("a"), Cell::text("because").at_least(4)]];
        assert_eq!([lines(&note, false, 6).concat(), lines(&note, false, 7).concat()], ["a\n", "a  beca\n"]);
        let coloured = lines(&rows, true, 10);
        assert_eq!(coloured, ["\u{1b}[32mñandú\u{1b}[0m  ..\u{1b}[31mx\u{1b}[0m\n", "a\n"]);
    }
}
