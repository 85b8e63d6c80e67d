//! Writes times for a file of a million lines: most of them lie in the same minute as the one before, and a time zone is
//! asked once for each minute.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::line;
use crate::model::Wall;

const MINUTE: i64 = 60_000_000_000;
/// How many minutes are remembered, each in a place of its own.
const MINUTES: usize = 16;

/// Writes times in one zone.
#[derive(Debug)]
pub(super) struct Dater {
    zone: TimeZone,
    minutes: [Option<Minute>; MINUTES],
}

/// A minute that was written lately.
#[derive(Debug)]
struct Minute {
    /// Counted from the epoch.
    number: i64,
    /// What stands before and behind the seconds in it.
    before: String,
    behind: String,
}

impl Dater {
    pub(super) fn new(zone: TimeZone) -> Dater {
        Dater { zone, minutes: [const { None }; MINUTES] }
    }

    /// Appends what [`line::time`] gives.
    pub(super) fn write(&mut self, out: &mut String, wall: Wall) {
        let (number, rest) = (wall.unix_nanos().div_euclid(MINUTE), wall.unix_nanos().rem_euclid(MINUTE));
        let place = usize::try_from(number.rem_euclid(MINUTES as i64)).unwrap_or(0);
        let Some(place) = self.minutes.get_mut(place) else { return };
        if place.as_ref().is_none_or(|minute| minute.number != number) {
            *place = minute(&self.zone, number, wall, rest);
        }
        let Some(minute) = place else {
            out.push_str(&line::time(&self.zone, wall));
            return;
        };
        let millis = u32::try_from(rest / 1_000_000).unwrap_or(0);
        out.push_str(&minute.before);
        digits(out, millis / 1000, 2);
        out.push('.');
        digits(out, millis % 1000, 3);
        out.push_str(&minute.behind);
    }
}

/// The minute in which `wall` lies, `rest` after its beginning. `None` if the zone's offset has seconds, or changes
/// within it.
fn minute(zone: &TimeZone, number: i64, wall: Wall, rest: i64) -> Option<Minute> {
    let first = line::time(zone, wall.minus(nanos(rest)));
    let last = line::time(zone, wall.plus(nanos(MINUTE - 1 - rest)));
    let (before, behind) = (first.get(..17)?, first.get(23..)?);
    let is_regular = first.get(17..23) == Some("00.000") && last == format!("{before}59.999{behind}");
    is_regular.then(|| Minute { number, before: before.to_owned(), behind: behind.to_owned() })
}

/// Appends a number.
pub(super) fn number(out: &mut String, number: u32) {
    match number {
        0..10 => digits(out, number, 1),
        10..100 => digits(out, number, 2),
        100..1000 => digits(out, number, 3),
        _ => {
            self::number(out, number / 1000);
            digits(out, number % 1000, 3);
        }
    }
}

/// Appends the last `places` digits of a number below 1000.
pub(super) fn digits(out: &mut String, number: u32, places: u32) {
    let digit = |of: u32| char::from(b'0' + (of % 10) as u8);
    if places > 2 {
        out.push(digit(number / 100));
    }
    if places > 1 {
        out.push(digit(number / 10));
    }
    out.push(digit(number));
}

fn nanos(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_written_as_everywhere_else(
            zone in prop::sample::select(vec!["America/Asuncion", "Africa/Monrovia", "Asia/Kathmandu", "UTC"]),
            times in prop::collection::vec((any::<i32>(), 0_i64..200_000_000_000), 1..20),
        ) {
            let zone = TimeZone::get(zone).unwrap();
            let mut dater = Dater::new(zone.clone());
            for (seconds, nanos) in times {
                for nanos in [0, nanos] {
                    let wall = Wall::from_unix_nanos(i64::from(seconds) * 1_000_000_000 + nanos);
                    let mut written = String::new();
                    dater.write(&mut written, wall);
                    prop_assert_eq!(written, line::time(&zone, wall));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_number_is_written_as_everywhere_else(wanted: u32) {
            let mut written = String::new();
            number(&mut written, wanted);
            prop_assert_eq!(written, wanted.to_string());
        }
    }

    #[test]
    fn the_ends_of_time_are_written_too() {
        for nanos in [i64::MIN, i64::MAX] {
            let mut written = String::new();
            Dater::new(TimeZone::UTC).write(&mut written, Wall::from_unix_nanos(nanos));
            assert_eq!(written, line::time(&TimeZone::UTC, Wall::from_unix_nanos(nanos)));
        }
    }
}
