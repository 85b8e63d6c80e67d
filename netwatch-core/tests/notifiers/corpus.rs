//! Names that try to be more than names, and the notifications that bear them.

use netwatch_core::{Content, LineKind, Notification};

use crate::{line, told, with_words};

/// What a device, a group or a note may be called.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "olt\r-1",
        "olt\n-1",
        "olt\0-1",
        "olt\u{2028}-1\u{2029}",
        "\u{202E}1-tlo\u{202C} \u{2066}x\u{2069} \u{200F}",
        "a\r\n.\r\nb",
        "a\r\nContent-Length: 0\r\n\r\nPOST / HTTP/1.1\r\n",
        "{{7*7}}",
        "{% for x in range(9) %}49{% endfor %}",
        "-i",
        "--help",
        "$(id)",
        "`id`; touch /tmp/x | cat && true",
        "<script>alert(1)</script>",
        "<!channel> <@U024BE7LH> <https://evil.example|ok>",
        "@everyone @here @channel",
        "*b* _i_ ~s~ `c` [a](https://evil.example)",
        "\"}, {\"x\": \"",
        "a\"] b=\"\\",
        "\\u0000\\n\\",
        "12 <14>1 - - - - - - x",
        "ñandú €\u{1F4A5}",
        "\u{1b}[2J\u{7}",
        "../../etc/passwd",
        "%s%n%x",
        "",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("x".repeat(10_000));
    names.push("\"\\]&<@\n".repeat(1_500));
    names.push("\u{1F4A5}".repeat(2_500));
    names
}

/// Each name in each kind of line, in netwatch's own words and in those of a renderer that cleans nothing.
pub(crate) fn notifications() -> Vec<(String, Notification)> {
    let mut all = Vec::new();
    for name in names() {
        let lines = || [LineKind::Opened, LineKind::Closed, LineKind::Missed].map(|kind| line(7, &name, kind)).to_vec();
        all.push((name.clone(), told(lines())));
        let content = Content::new(format!("NO RESPONDE: {name}"), format!("hola\n{name}\n"), name.clone());
        all.push((name.clone(), with_words(lines(), content)));
    }
    all
}

/// Whether a text could move a cursor, end a line early, or read in another direction than it is written.
pub(crate) fn is_tame(text: &str) -> bool {
    !text.chars().any(|character| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    })
}

/// Every text in a JSON value, keys included.
pub(crate) fn texts(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::String(text) => vec![text.clone()],
        serde_json::Value::Array(values) => values.iter().flat_map(texts).collect(),
        serde_json::Value::Object(map) => {
            map.iter().flat_map(|(key, value)| [vec![key.clone()], texts(value)].concat()).collect()
        }
        _ => Vec::new(),
    }
}
