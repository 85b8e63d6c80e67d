//! The terminal of the live table: a screen of its own that is given back as it was.

use std::io::{Write, stdout};

use netwatch_core::Locale;

use super::live::Look;
use crate::commands::colours;

/// Of a terminal that does not tell (POSIX names no size; this is the customary one).
const CUSTOMARY: (usize, usize) = (80, 24);

/// The alternate screen (xterm's private mode 1049), without a cursor (mode 25). Dropping it gives the old one back.
#[derive(Debug)]
pub(crate) struct Screen(());

impl Screen {
    /// Takes the screen.
    pub(crate) fn enter() -> Screen {
        put("\u{1b}[?1049h\u{1b}[?25l");
        Screen(())
    }

    /// Shows these lines and nothing else. All of it is one write, each line is cleared only behind its end, and the terminal
    /// is asked to show it at once (mode 2026), so nothing flickers.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn draw(&mut self, lines: &[String]) -> std::io::Result<()> {
        let body = lines.join("\u{1b}[K\r\n");
        let mut out = stdout().lock();
        write!(out, "\u{1b}[?2026h\u{1b}[H{body}\u{1b}[K\u{1b}[J\u{1b}[?2026l")?;
        out.flush()
    }

    /// What the terminal is like at this moment.
    pub(crate) fn look(locale: Locale) -> Look {
        let size = rustix::termios::tcgetwinsize(stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        let (columns, rows) = size.map_or(CUSTOMARY, |size| (size.ws_col.into(), size.ws_row.into()));
        Look { columns, rows, colour: colours(), unicode: is_unicode(), locale }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        put("\u{1b}[?25h\u{1b}[?1049l");
    }
}

/// A terminal that is gone needs no screen.
fn put(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Whether the terminal's encoding is UTF-8, as locale(7) says it.
fn is_unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
    set.is_some_and(|value| {
        let value = value.to_string_lossy().to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}
