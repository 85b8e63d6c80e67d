//! The one place where foreign text is made plain: what a device is called, and what a far side says, may hold anything.

/// How many characters of an answer are quoted.
#[cfg(any(feature = "exec", feature = "syslog", feature = "webhook"))]
const QUOTED_CHARS: usize = 300;

/// The text as one line of at most `most` characters; `…` marks what was cut off.
///
/// Whatever ends a line or moves the cursor (Unicode Cc, U+2028, U+2029) and every run of spaces is one space. What is
/// not seen and changes how the rest is read vanishes: the bidirectional controls (UAX 9, table 4), the byte order mark,
/// zero-width spaces and joiners of words, soft hyphens and the tag characters.
pub(crate) fn line(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut length = 0_usize;
    let mut space = false;
    for character in text.chars() {
        if character.is_control() || character.is_whitespace() {
            space = length > 0;
            continue;
        }
        if is_hidden(character) {
            continue;
        }
        let needed = if space { 2 } else { 1 };
        if length.saturating_add(needed) > most {
            line.pop();
            line.push('…');
            break;
        }
        if space {
            line.push(' ');
            space = false;
        }
        line.push(character);
        length = length.saturating_add(needed);
    }
    line
}

/// The lines of a longer text, each as [`line()`] leaves it but for the spaces it begins with.
#[cfg(any(feature = "exec", feature = "webhook"))]
pub(crate) fn lines(text: &str) -> impl Iterator<Item = String> + '_ {
    /// No renderer writes longer lines; whatever does would push everything else out.
    const LINE_CHARS: usize = 1000;
    text.lines().map(|text| {
        let words = text.trim_start_matches(' ');
        let indent = text.len().saturating_sub(words.len()).min(8);
        let words = line(words, LINE_CHARS);
        if words.is_empty() { words } else { format!("{:indent$}{words}", "") }
    })
}

/// What somebody else said, fit for a log: one bounded line.
#[cfg(any(feature = "exec", feature = "syslog", feature = "webhook"))]
pub(crate) fn quote(text: &str) -> String {
    line(text, QUOTED_CHARS)
}

/// Whether the character is not seen and changes how others are read.
pub(crate) fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{00AD}' | '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_line_or_hides_in_it() {
        assert_eq!(line("a\r\nb\u{2028}c\u{2029}d\0e\u{85}f\tg\u{1b}[31mh", 99), "a b c d e f g [31mh");
        assert_eq!(line("a\u{202E}b\u{2066}c\u{200F}d\u{FEFF}e\u{200B}f\u{E0041}", 99), "abcdef");
        assert_eq!(line(" \r\n\0 ", 99), "");
    }

    #[test]
    fn what_does_not_fit_is_marked() {
        assert_eq!(line("abcd", 4), "abcd");
        assert_eq!(line("abcde", 4), "abc…");
        assert_eq!(line("abc de", 4), "ab…");
        assert_eq!(line(&"ñ".repeat(10_000), 60).chars().count(), 60);
    }

    #[cfg(any(feature = "exec", feature = "syslog", feature = "webhook"))]
    #[test]
    fn what_is_quoted_is_bounded() {
        assert_eq!(quote(&"x".repeat(10_000)).chars().count(), 300);
    }

    #[cfg(any(feature = "exec", feature = "webhook"))]
    #[test]
    fn a_text_keeps_its_lines_and_their_steps() {
        let kept: Vec<String> = lines("a\r\n  b\0c\n\n\u{202E}d").collect();
        assert_eq!(kept, ["a", "  b c", "", "d"]);
    }
}
