//! Hours, days and instants as people write them: `"07:00-22:00"`, `"sat,sun 02:00-04:00"`, RFC 3339.

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use netwatch_core::{Period, Wall};

use super::calendar::{Hours, Rule, wall};
use super::problem::{At, Place, Problems};
use super::section::{Section, Value};

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Why a text is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// It is written in another way.
    Form,
    /// It begins when it ends.
    Empty,
    /// It names a day that is none.
    Day,
}

/// `key = "07:00-22:00"`: over midnight if the second time is the earlier one; until `24:00` is until the day ends.
pub(super) fn read_hours(
    section: &mut Section,
    key: &str,
    example: &str,
    problems: &mut Problems,
) -> Option<At<Hours>> {
    let written = section.words(key, problems)?;
    match parse_hours(&written.value) {
        Ok(hours) => Some(At::new(hours, written.place)),
        Err(wrong) => {
            refuse(key, example, wrong, written.place, problems);
            None
        }
    }
}

/// `key = "07:00"`.
pub(super) fn read_time(section: &mut Section, key: &str, problems: &mut Problems) -> Option<Time> {
    let written = section.words(key, problems)?;
    let time = parse_time(written.value.trim());
    if time.is_none() {
        let title = format!("`{key}` is not a time of day");
        let help = format!("write hours and minutes: `{key} = \"07:00\"`");
        problems.error(written.place, title, "not understood", help);
    }
    time
}

/// `key = "sat,sun 02:00-04:00"`: the days are those on which it begins.
pub(super) fn read_weekly(section: &mut Section, key: &str, problems: &mut Problems) -> Option<Rule> {
    let written = section.words(key, problems)?;
    match parse_weekly(&written.value) {
        Ok(rule) => Some(rule),
        Err(wrong) => {
            refuse(key, "sun 02:00-04:00", wrong, written.place, problems);
            None
        }
    }
}

/// `from = ...` and `to = ...`, each a date with a time and an offset, in quotes or without.
pub(super) fn read_once(section: &mut Section, place: Place, problems: &mut Problems) -> Option<Rule> {
    let (begins, ends) = (section.key("from"), section.key("to"));
    let from = read_instant(section, "from", problems);
    let to = read_instant(section, "to", problems);
    for (missing, there) in [("from", begins.is_none()), ("to", ends.is_none())] {
        if there {
            let help = format!("add it, like `{missing} = \"2026-12-01T04:00:00-03:00\"`");
            problems.error(begins.or(ends).unwrap_or(place), format!("`{missing}` is missing"), "one end only", help);
        }
    }
    let (from, to) = (from?, to?);
    if to.value <= from.value {
        let help = "write in `to` an instant after `from`";
        problems.error(to.place, "this ends before it begins", "not later than `from`", help);
        return None;
    }
    Some(Rule::Once(Period::new(from.value, to.value)))
}

fn read_instant(section: &mut Section, key: &str, problems: &mut Problems) -> Option<At<Wall>> {
    let At { value, place } = section.take(key)?;
    let text = match &value {
        Value::Text(text) | Value::Date(text) => text.trim(),
        _ => "",
    };
    let Ok(instant) = text.parse::<Timestamp>() else {
        let title = format!("`{key}` is not an instant");
        let help = format!(
            "write date, time and offset as RFC 3339 has them: `{key} = \"2026-12-01T02:00:00-03:00\"`, or Z for UTC"
        );
        problems.error(place, title, "not understood", help);
        return None;
    };
    Some(At::new(wall(instant), place))
}

fn refuse(key: &str, example: &str, wrong: Wrong, place: Place, problems: &mut Problems) {
    let days: Vec<&str> = DAYS.iter().map(|(word, _)| *word).collect();
    let (title, label, help) = match wrong {
        Wrong::Form => ("is not understood", "not hours and minutes", format!("write it like `{key} = \"{example}\"`")),
        Wrong::Empty => (
            "begins when it ends",
            "no time is in it",
            "write two different times, or \"00:00-24:00\" for the whole day".to_owned(),
        ),
        Wrong::Day => (
            "names a day that is none",
            "not a day",
            format!("the days are {}, with commas between them", days.join(", ")),
        ),
    };
    problems.error(place, format!("`{key}` {title}"), label, help);
}

fn parse_weekly(text: &str) -> Result<Rule, Wrong> {
    let (days, hours) = text.trim().rsplit_once(char::is_whitespace).ok_or(Wrong::Form)?;
    let hours = parse_hours(hours)?;
    let day = |word: &str| {
        let word = word.trim().to_ascii_lowercase();
        DAYS.iter().find(|(known, _)| *known == word).map(|(_, day)| *day).ok_or(Wrong::Day)
    };
    Ok(Rule::On(days.split(',').map(day).collect::<Result<_, _>>()?, hours))
}

fn parse_hours(text: &str) -> Result<Hours, Wrong> {
    let (from, to) = text.split_once('-').ok_or(Wrong::Form)?;
    let (from, to) = (from.trim(), to.trim());
    let begins = parse_time(from).ok_or(Wrong::Form)?;
    let ends = if to == "24:00" { Time::midnight() } else { parse_time(to).ok_or(Wrong::Form)? };
    if begins == ends && to != "24:00" {
        return Err(Wrong::Empty);
    }
    Ok(Hours { from: begins, to: ends })
}

/// Hours and minutes, as in `07:00`.
fn parse_time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| -> Option<i8> {
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    Time::new(number(hour)?, number(minute).filter(|_| minute.len() == 2)?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::time;

    #[test]
    fn hours_are_read_and_what_is_none_is_not() {
        let hours = |from: i8, to: i8| Ok(Hours { from: time(from, 0, 0, 0), to: time(to, 0, 0, 0) });
        assert_eq!(parse_hours("07:00-22:00"), hours(7, 22));
        assert_eq!(parse_hours("22:00 - 7:00"), hours(22, 7));
        assert_eq!(parse_hours("00:00-24:00"), hours(0, 0));
        assert_eq!(parse_hours("07:00-07:00"), Err(Wrong::Empty));
        assert_eq!(parse_hours("00:00-00:00"), Err(Wrong::Empty));
        for text in ["", "-", "7-22", "07:00", "07:00-25:00", "07:60-08:00", "24:00-07:00", "+7:00-22:00", "07:0-22:00"]
        {
            assert_eq!(parse_hours(text), Err(Wrong::Form), "{text}");
        }
    }

    #[test]
    fn days_are_read_and_what_is_none_is_not() {
        let hours = Hours { from: time(2, 0, 0, 0), to: time(4, 0, 0, 0) };
        assert_eq!(parse_weekly("sun 02:00-04:00"), Ok(Rule::On(vec![Weekday::Sunday], hours)));
        let both = Ok(Rule::On(vec![Weekday::Saturday, Weekday::Sunday], hours));
        assert_eq!(parse_weekly("Sat,sun 02:00-04:00"), both);
        assert_eq!(parse_weekly("sat, sun  02:00-04:00"), both);
        for (text, wrong) in [
            ("dom 02:00-04:00", Wrong::Day),
            ("sat,,sun 02:00-04:00", Wrong::Day),
            ("sun", Wrong::Form),
            ("02:00-04:00", Wrong::Form),
            ("sun 02:00", Wrong::Form),
            ("sun 02:00-02:00", Wrong::Empty),
        ] {
            assert_eq!(parse_weekly(text), Err(wrong), "{text}");
        }
    }
}
