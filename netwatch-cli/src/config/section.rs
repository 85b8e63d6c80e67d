//! A table of the configuration, read key by key: a wrong type is a problem with its place, and what nobody asked for
//! is one, too. A row of a CSV file is such a table, whose values are all text.

use std::borrow::Cow;
use std::time::Duration;

use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{At, Place, Problems, nearest};

/// A value as it was written.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Text, from TOML.
    Text(String),
    /// A whole number; one that fits no `i64` is the nearest that does.
    Integer(i64),
    /// A number with a point.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date or a time, as TOML writes it.
    Date(String),
    /// `[...]`
    List(Vec<At<Value>>),
    /// `[table]` or `{...}`
    Table(Section),
    /// A cell of a CSV file, which may stand for anything.
    Cell(String),
}

impl Value {
    fn from_toml(value: &DeValue<'_>, what: &'static str, source: usize, problems: &Problems) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                let limit = if number.as_str().starts_with('-') { i64::MIN } else { i64::MAX };
                Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(limit))
            }
            DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(date) => Value::Date(date.to_string()),
            DeValue::Array(values) => {
                let one = |value: &Spanned<DeValue<'_>>| {
                    let place = problems.place(source, value.span());
                    At::new(Value::from_toml(value.get_ref(), what, source, problems), place)
                };
                Value::List(values.iter().map(one).collect())
            }
            DeValue::Table(table) => Value::Table(Section::from_toml(table, what, source, problems)),
        }
    }

    /// Whether this is what a key means that is not there: `false`, an empty list or text, a table of nothing else.
    pub(crate) fn asks_for_nothing(&self) -> bool {
        match self {
            Value::Boolean(value) => !value,
            Value::List(values) => values.is_empty(),
            Value::Text(text) => text.trim().is_empty(),
            Value::Cell(text) => text.trim().is_empty() || text.trim().eq_ignore_ascii_case("false"),
            Value::Table(section) => section.entries.iter().all(|entry| entry.value.value.asks_for_nothing()),
            Value::Integer(_) | Value::Float(_) | Value::Date(_) => false,
        }
    }

    fn is(&self) -> &'static str {
        match self {
            Value::Text(_) | Value::Cell(_) => "a string",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Boolean(_) => "a boolean",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

#[derive(Debug, Clone)]
struct Entry {
    key: At<Cow<'static, str>>,
    value: At<Value>,
}

/// What is left to be read of a table.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    what: &'static str,
    entries: Vec<Entry>,
}

impl Section {
    /// The keys and values of a TOML table; `what` names it in messages, as in "`[[target]]`".
    pub(crate) fn from_toml(table: &DeTable<'_>, what: &'static str, source: usize, problems: &Problems) -> Section {
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let name: &Cow<'_, str> = key.get_ref();
            Entry {
                key: At::new(Cow::Owned(name.to_string()), problems.place(source, key.span())),
                value: At::new(
                    Value::from_toml(value.get_ref(), what, source, problems),
                    problems.place(source, value.span()),
                ),
            }
        };
        Section { what, entries: table.iter().map(entry).collect() }
    }

    /// A row of a CSV file: cells with their keys.
    pub(crate) fn from_cells(cells: Vec<(&'static str, At<String>)>, what: &'static str) -> Section {
        let entry = |(key, cell): (&'static str, At<String>)| Entry {
            key: At::new(Cow::Borrowed(key), cell.place),
            value: cell.map(Value::Cell),
        };
        Section { what, entries: cells.into_iter().map(entry).collect() }
    }

    /// The value of a key, which is then no longer in the section.
    pub(crate) fn take(&mut self, key: &str) -> Option<At<Value>> {
        let at = self.entries.iter().position(|entry| entry.key.value == key)?;
        Some(self.entries.remove(at).value)
    }

    /// Where a key stands.
    pub(crate) fn key(&self, key: &str) -> Option<Place> {
        self.entries.iter().find(|entry| entry.key.value == key).map(|entry| entry.key.place)
    }

    /// Whether a key is absent, or an empty list.
    pub(crate) fn is_without(&self, key: &str) -> bool {
        let found = self.entries.iter().find(|entry| entry.key.value == key);
        found.is_none_or(|entry| matches!(&entry.value.value, Value::List(values) if values.is_empty()))
    }

    /// Text.
    pub(crate) fn text(&mut self, key: &str, problems: &mut Problems) -> Option<At<String>> {
        let found = self.take(key)?;
        match found.value {
            Value::Text(text) | Value::Cell(text) => Some(At::new(text, found.place)),
            other => wrong_type(key, "a string", &other, &format!("write `{key} = \"...\"`"), found.place, problems),
        }
    }

    /// Text that is not empty.
    pub(crate) fn words(&mut self, key: &str, problems: &mut Problems) -> Option<At<String>> {
        let found = self.text(key, problems)?;
        if found.value.trim().is_empty() {
            problems.error(
                found.place,
                format!("`{key}` is empty"),
                "nothing is written here",
                format!("write a value, or remove `{key}`"),
            );
            return None;
        }
        Some(found)
    }

    /// A time such as "10s", "1m30s" or "500ms", from `least` to `most`.
    pub(crate) fn duration(
        &mut self,
        key: &str,
        least: Duration,
        most: Duration,
        problems: &mut Problems,
    ) -> Option<At<Duration>> {
        let help = "write a time with its unit, such as \"500ms\", \"10s\", \"1m30s\" or \"2h\"";
        let found = self.take(key)?;
        let text = match found.value {
            Value::Text(text) | Value::Cell(text) => text,
            Value::Integer(number) if number >= 0 => {
                let help = format!("write the unit: `{key} = \"{number}s\"` for seconds");
                problems.error(found.place, format!("`{key}` has no unit"), "a number alone", help);
                return None;
            }
            other => return wrong_type(key, "a time", &other, help, found.place, problems),
        };
        let Some(value) = parse_time(text.trim()) else {
            problems.error(found.place, format!("`{key}` is not a time"), "not understood", help);
            return None;
        };
        if value < least || value > most {
            let help = format!("write a time from {} to {}", short(least), short(most));
            problems.error(found.place, format!("`{key}` is out of range"), "too small or too large", help);
            return None;
        }
        Some(At::new(value, found.place))
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn integer(&mut self, key: &str, least: i64, most: i64, problems: &mut Problems) -> Option<At<i64>> {
        let help = format!("write a whole number from {least} to {most}");
        let found = self.take(key)?;
        let number = match &found.value {
            Value::Integer(number) => Some(*number),
            Value::Cell(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            None => wrong_type(key, "a whole number", &found.value, &help, found.place, problems),
            Some(number) if (least..=most).contains(&number) => Some(At::new(number, found.place)),
            Some(_) => {
                problems.error(found.place, format!("`{key}` is out of range"), "too small or too large", help);
                None
            }
        }
    }

    /// A share from 0 to 1, or as a percentage such as "20%".
    pub(crate) fn share(&mut self, key: &str, problems: &mut Problems) -> Option<At<f64>> {
        let help = format!("write a share from 0 to 1, as `{key} = 0.2`, or a percentage, as `{key} = \"20%\"`");
        let found = self.take(key)?;
        let share = match &found.value {
            Value::Integer(number) => i32::try_from(*number).ok().map(f64::from),
            Value::Float(number) => Some(*number),
            Value::Text(text) | Value::Cell(text) => match text.trim().strip_suffix('%') {
                Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
                None if matches!(found.value, Value::Cell(_)) => text.trim().parse().ok(),
                None => None,
            },
            _ => None,
        };
        match share {
            Some(share) if (0.0..=1.0).contains(&share) => Some(At::new(share, found.place)),
            Some(_) => {
                problems.error(found.place, format!("`{key}` is out of range"), "too small or too large", help);
                None
            }
            None => wrong_type(key, "a share", &found.value, &help, found.place, problems),
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, key: &str, problems: &mut Problems) -> Option<At<bool>> {
        let found = self.take(key)?;
        let value = match &found.value {
            Value::Boolean(value) => Some(*value),
            Value::Cell(text) => text.trim().to_ascii_lowercase().parse().ok(),
            _ => None,
        };
        match value {
            Some(value) => Some(At::new(value, found.place)),
            None => {
                let help = format!("write `{key} = true` or `{key} = false`, without quotes");
                wrong_type(key, "a boolean", &found.value, &help, found.place, problems)
            }
        }
    }

    /// A list of texts that are not empty; in a CSV cell they are separated by semicolons.
    pub(crate) fn list(&mut self, key: &str, problems: &mut Problems) -> Option<At<Vec<At<String>>>> {
        let help = format!("write a list of strings: `{key} = [\"...\"]`");
        let found = self.take(key)?;
        let values = match found.value {
            Value::List(values) => values,
            Value::Cell(text) => {
                let words = text.split(';').map(str::trim).filter(|word| !word.is_empty());
                let words = words.map(|word| At::new(word.to_owned(), found.place)).collect();
                return Some(At::new(words, found.place));
            }
            other => return wrong_type(key, "a list", &other, &help, found.place, problems),
        };
        let mut all = Vec::with_capacity(values.len());
        for value in values {
            match value.value {
                Value::Text(text) if !text.trim().is_empty() => all.push(At::new(text, value.place)),
                Value::Text(_) => problems.error(
                    value.place,
                    format!("an entry of `{key}` is empty"),
                    "nothing is written here",
                    "remove it",
                ),
                other => return wrong_type(key, "a list of strings", &other, &help, value.place, problems),
            }
        }
        Some(At::new(all, found.place))
    }

    /// One of a few words, and what each stands for.
    pub(crate) fn choice<T: Copy>(&mut self, key: &str, words: &[(&str, T)], problems: &mut Problems) -> Option<At<T>> {
        let found = self.text(key, problems)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == found.value.trim()) {
            return Some(At::new(*value, found.place));
        }
        let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let help = format!("write {}", all.join(" or "));
        problems.error(
            found.place,
            format!("`{key}` cannot be \"{}\"", found.value),
            "not one of the words it may be",
            help,
        );
        None
    }

    /// The tables of `[[key]]`.
    pub(crate) fn tables(&mut self, key: &str, what: &'static str, problems: &mut Problems) -> Vec<At<Section>> {
        let Some(found) = self.take(key) else { return Vec::new() };
        let help = format!("write `[[{key}]]`, once for each, and its keys below it");
        let values = match found.value {
            Value::List(values) => values,
            other => {
                wrong_type::<()>(key, "a list of tables", &other, &help, found.place, problems);
                return Vec::new();
            }
        };
        let mut all = Vec::with_capacity(values.len());
        for value in values {
            match value.value {
                Value::Table(section) => all.push(At::new(section.called(what), value.place)),
                other => {
                    wrong_type::<()>(key, "a list of tables", &other, &help, value.place, problems);
                }
            }
        }
        all
    }

    /// The table of `[key]`.
    pub(crate) fn table(&mut self, key: &str, what: &'static str, problems: &mut Problems) -> Option<Section> {
        let found = self.take(key)?;
        match found.value {
            Value::Table(section) => Some(section.called(what)),
            other => {
                let help = format!("write `[{key}]` and its keys below it");
                wrong_type(key, "a table", &other, &help, found.place, problems)
            }
        }
    }

    /// Whatever nobody took is a problem: `later` are keys of which this version knows only the name, `known` are
    /// those that it can read. A later key that asks for nothing is none.
    pub(crate) fn finish(self, known: &[&str], later: &[&str], problems: &mut Problems) {
        for Entry { key, value } in self.entries {
            let name = &key.value;
            if later.contains(&name.as_ref()) {
                if value.value.asks_for_nothing() {
                    continue;
                }
                problems.error(
                    key.place,
                    format!("`{name}` is not available in this version"),
                    "netwatch could not do what this asks for",
                    format!("remove `{name}`, or update netwatch to a version that has it"),
                );
                continue;
            }
            let all: Vec<&str> = known.iter().chain(later).copied().collect();
            let help = match nearest(name, &all) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the keys of {} are: {}", self.what, known.join(", ")),
            };
            problems.error(
                key.place,
                format!("unknown key `{name}` in {}", self.what),
                "not a key that netwatch knows",
                help,
            );
        }
    }

    fn called(self, what: &'static str) -> Section {
        Section { what, ..self }
    }
}

/// A time as it is written in the configuration. A day is 24 hours: what is measured by it follows no calendar.
fn parse_time(text: &str) -> Option<Duration> {
    let parser = SpanParser::new();
    parser.parse_unsigned_duration(text).ok().or_else(|| {
        let span = parser.parse_span(text).ok()?;
        span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?.try_into().ok()
    })
}

/// A time in the way it is written in the configuration.
pub(crate) fn short(time: Duration) -> String {
    use jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};
    SpanPrinter::new().designator(Designator::Compact).spacing(Spacing::None).unsigned_duration_to_string(&time)
}

fn wrong_type<T>(
    key: &str,
    wanted: &str,
    found: &Value,
    help: &str,
    place: Place,
    problems: &mut Problems,
) -> Option<T> {
    problems.error(place, format!("`{key}` must be {wanted}"), format!("this is {}", found.is()), help);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_be_in_days_but_not_in_what_has_no_fixed_length() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        for (text, time) in [
            ("14d", hours(14 * 24)),
            ("1d 2h", hours(26)),
            ("1w", hours(7 * 24)),
            ("90m", hours(3).map(|time| time / 2)),
        ] {
            assert_eq!(parse_time(text), time, "{text}");
        }
        for text in ["-1d", "1mo", "1y", "1d ago", "d", "99999999999999999999d"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
