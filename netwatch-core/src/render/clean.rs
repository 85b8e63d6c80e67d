//! The one place where foreign text is made harmless: a device's name may hold anything.

/// The text as one line of at most `max` characters, without anything that ends a line, hides or reverses text.
///
/// Control characters (Unicode Cc) and the line and paragraph separators become a space, the bidirectional controls
/// (UAX 9, table 4) and the byte order mark vanish, runs of spaces shrink to one, and `…` marks what was cut off.
/// Text of which nothing is left becomes `?`.
pub(super) fn one_line(text: &str, max: usize) -> String {
    let mut line = String::new();
    let mut length = 0_usize;
    let mut space = false;
    for character in text.chars() {
        if is_separator(character) {
            space = length > 0;
            continue;
        }
        if is_invisible_control(character) {
            continue;
        }
        let needed = if space { 2 } else { 1 };
        if length.saturating_add(needed) > max {
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
    if line.is_empty() { "?".to_owned() } else { line }
}

/// The text as HTML character data, fit for an element's content and for a quoted attribute.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn is_separator(character: char) -> bool {
    character.is_control() || character.is_whitespace()
}

pub(super) fn is_invisible_control(character: char) -> bool {
    matches!(character,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_ends_a_line_becomes_one_space() {
        assert_eq!(one_line("a\r\nb\u{2028}c\u{2029}d\0e\u{85}f\tg", 99), "a b c d e f g");
    }

    #[test]
    fn bidirectional_controls_vanish() {
        assert_eq!(one_line("a\u{202E}b\u{2066}c\u{200F}d\u{FEFF}", 99), "abcd");
    }

    #[test]
    fn what_does_not_fit_is_marked() {
        assert_eq!(one_line("abcd", 4), "abcd");
        assert_eq!(one_line("abcde", 4), "abc…");
        assert_eq!(one_line("abc de", 4), "ab…");
        assert_eq!(one_line(&"ñ".repeat(10_000), 60).chars().count(), 60);
    }

    #[test]
    fn nothing_left_is_a_question_mark() {
        assert_eq!(one_line("\r\n\0", 10), "?");
        assert_eq!(one_line("", 10), "?");
    }

    #[test]
    fn markup_becomes_text() {
        assert_eq!(html(r#"<a href="x">'&'</a>"#), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    }
}
