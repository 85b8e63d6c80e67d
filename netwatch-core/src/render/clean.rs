//! Foreign text as a mail may show it: a device's name may hold anything.

use crate::plain;

/// The text as one [plain line](plain::line) of at most `max` characters. Text of which nothing is left becomes `?`.
pub(super) fn one_line(text: &str, max: usize) -> String {
    let line = plain::line(text, max);
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

#[cfg(test)]
mod tests {
    use super::*;

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
