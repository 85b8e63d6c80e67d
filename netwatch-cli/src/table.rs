//! Columns on a terminal: aligned, and coloured only where somebody sees it.

/// A cell: what stands in it, and its colour as SGR parameters ("" for none).
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    colour: &'static str,
    right: bool,
}

impl Cell {
    /// Text, aligned to the left.
    pub(crate) fn text(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), colour: "", right: false }
    }

    /// A figure, aligned to the right.
    pub(crate) fn figure(text: impl Into<String>) -> Cell {
        Cell { right: true, ..Cell::text(text) }
    }

    /// The same in a colour.
    pub(crate) fn coloured(self, colour: &'static str) -> Cell {
        Cell { colour, ..self }
    }
}

/// The rows as lines, each column as wide as its widest cell, two spaces between columns.
pub(crate) fn render(rows: &[Vec<Cell>], colour: bool) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.text.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = " ".repeat(width.saturating_sub(cell.text.chars().count()));
            let (before, after) = if cell.right { (padding.as_str(), "") } else { ("", padding.as_str()) };
            let (on, off) = if colour && !cell.colour.is_empty() {
                (format!("\u{1b}[{}m", cell.colour), "\u{1b}[0m")
            } else {
                (String::new(), "")
            };
            line.push_str(&format!("{before}{on}{}{off}{after}  ", cell.text));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
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
}
