//! Writes times for a file of a million lines: most of them lie in the same minute as the one before, and a time zone is
//! asked once for each minute.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::line;
use crate::model::Wall;

const MINUTE: i64 = 60_000_000_000;

/// Writes times in one zone.
#[derive(Debug)]
pub(super) struct Dater {
    zone: TimeZone,
    /// The minute since the epoch that was written last.
    minute: Option<i64>,
    /// What stands before and behind the seconds in it.
    before: String,
    behind: String,
}

impl Dater {
    pub(super) fn new(zone: TimeZone) -> Dater {
        Dater { zone, minute: None, before: String::new(), behind: String::new() }
    }

    /// Appends what [`line::time`] gives.
    pub(super) fn write(&mut self, out: &mut String, wall: Wall) {
        let (minute, rest) = (wall.unix_nanos().div_euclid(MINUTE), wall.unix_nanos().rem_euclid(MINUTE));
        if self.minute != Some(minute) {
            let (first, last) = (wall.minus(nanos(rest)), wall.plus(nanos(MINUTE - 1 - rest)));
            let (first, last) = (line::time(&self.zone, first), line::time(&self.zone, last));
            // Not so if the zone's offset has seconds, or changes within the minute.
            let (Some(before), Some(behind)) = (first.get(..17), first.get(23..)) else { return };
            if first.get(17..23) != Some("00.000") || last != format!("{before}59.999{behind}") {
                out.push_str(&line::time(&self.zone, wall));
                return;
            }
            (self.before, self.behind) = (before.to_owned(), behind.to_owned());
            self.minute = Some(minute);
        }
        let millis = u32::try_from(rest / 1_000_000).unwrap_or(0);
        out.push_str(&self.before);
        digits(out, millis / 1000, 2);
        out.push('.');
        digits(out, millis % 1000, 3);
        out.push_str(&self.behind);
    }
}

/// Appends the last `places` digits of `number`, of which there are three at most.
pub(super) fn digits(out: &mut String, number: u32, places: usize) {
    let all = [number / 100, number / 10, number].map(|rest| char::from(b'0' + (rest % 10) as u8));
    out.extend(all.iter().skip(all.len().saturating_sub(places)));
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

    #[test]
    fn the_ends_of_time_are_written_too() {
        for nanos in [i64::MIN, i64::MAX] {
            let mut written = String::new();
            Dater::new(TimeZone::UTC).write(&mut written, Wall::from_unix_nanos(nanos));
            assert_eq!(written, line::time(&TimeZone::UTC, Wall::from_unix_nanos(nanos)));
        }
    }
}
