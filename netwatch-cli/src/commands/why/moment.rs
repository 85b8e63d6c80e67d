//! The time that somebody asks about, in any of the ways in which people say it.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// The instant meant by RFC 3339, `YYYY-MM-DD HH:MM`, or `HH:MM`, which is the last time that it was so late. Seconds
/// may follow. A local time that comes twice is the first; one that does not exist is as much later as was skipped.
pub(super) fn moment(text: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let local = |time: DateTime| Some(time.to_zoned(zone.clone()).ok()?.timestamp());
    if let Some(time) =
        ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"].iter().find_map(|way| DateTime::strptime(way, text).ok())
    {
        return local(time);
    }
    let time = ["%H:%M", "%H:%M:%S"].iter().find_map(|way| Time::strptime(way, text).ok())?;
    let today = now.to_zoned(zone.clone()).date();
    let instant = local(today.to_datetime(time))?;
    if instant <= now { Some(instant) } else { local(today.checked_sub(1.day()).ok()?.to_datetime(time)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(text: &str) -> Option<String> {
        let zone = TimeZone::get("America/New_York").unwrap();
        let now = "2026-11-25T14:00:00Z".parse().unwrap();
        moment(text, &zone, now).map(|instant| instant.to_string())
    }

    #[test]
    fn a_time_is_understood_in_every_way_it_is_said() {
        for (text, expected) in [
            ("2026-11-20T03:12:00-05:00", "2026-11-20T08:12:00Z"),
            ("2026-11-20T03:12:00Z", "2026-11-20T03:12:00Z"),
            ("2026-11-20 03:12", "2026-11-20T08:12:00Z"),
            ("2026-11-20 03:12:30", "2026-11-20T08:12:30Z"),
            ("08:59", "2026-11-25T13:59:00Z"),
            ("09:00:01", "2026-11-24T14:00:01Z"),
            ("23:30", "2026-11-25T04:30:00Z"),
            // The hour that comes twice, and the one that does not come.
            ("2026-11-01 01:30", "2026-11-01T05:30:00Z"),
            ("2026-03-08 02:30", "2026-03-08T07:30:00Z"),
        ] {
            assert_eq!(meant(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_not_taken_for_one() {
        let nonsense = [
            "",
            "yesterday",
            "25:00",
            "12",
            "12:60",
            "12:00x",
            "2026-11-31 10:00",
            "2026-13-01 10:00",
            "2026-11-20",
            "2026-11-20T10:00:00",
            "99999-01-01 00:00",
            "\u{1b}[2J",
            "-1:00",
            "2026-11-20 10:00 -05:00 x",
        ];
        for text in nonsense {
            assert_eq!(meant(text), None, "{text:?}");
        }
    }
}
