//! Times and durations as people write them, in the zone of the configuration.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::model::{Locale, Wall};

/// The configured time zone does not exist here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error(
    "unknown time zone {name:?}: {reason}; write a name of the IANA database such as \"America/Asuncion\", and install tzdata if the name is right"
)]
pub struct TimeZoneError {
    /// The name as configured.
    pub name: String,
    /// What the lookup said.
    pub reason: String,
}

/// Tells times in one zone and one language.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    zone: TimeZone,
    locale: Locale,
}

impl Clock {
    /// The zone of this name, or the system's.
    pub(super) fn new(locale: Locale, zone: Option<&str>) -> Result<Clock, TimeZoneError> {
        let zone = match zone {
            None => TimeZone::system(),
            Some(name) => TimeZone::get(name)
                .map_err(|error| TimeZoneError { name: name.to_owned(), reason: error.to_string() })?,
        };
        Ok(Clock { zone, locale })
    }

    /// `03:12:05`, with the date before it if that is not the day of `today`.
    pub(super) fn time(&self, at: Wall, today: Wall) -> String {
        self.format(at, today, "%H:%M:%S")
    }

    /// `03:12`, with the date before it if that is not the day of `today`.
    pub(super) fn minute(&self, at: Wall, today: Wall) -> String {
        self.format(at, today, "%H:%M")
    }

    /// `2026-11-22T03:12:05-03:00` (RFC 3339), in this zone.
    #[cfg(feature = "templates")]
    pub(super) fn rfc3339(&self, at: Wall) -> String {
        self.zoned(at).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// The same zone in the other language.
    #[cfg(feature = "templates")]
    pub(super) fn speaking(&self, locale: Locale) -> Clock {
        Clock { zone: self.zone.clone(), locale }
    }

    /// The zone as a reader knows it: `America/Asuncion (UTC-03:00)`, at that moment.
    pub(super) fn zone_name(&self, at: Wall) -> String {
        let offset = self.zoned(at).strftime("UTC%:z").to_string();
        match self.zone.iana_name() {
            Some(name) if name != "UTC" => format!("{name} ({offset})"),
            _ => offset,
        }
    }

    fn format(&self, at: Wall, today: Wall, time: &str) -> String {
        let (at, today) = (self.zoned(at), self.zoned(today));
        if at.date() == today.date() {
            return at.strftime(time).to_string();
        }
        let date = match self.locale {
            Locale::Es => "%d/%m/%Y",
            Locale::En => "%Y-%m-%d",
        };
        at.strftime(&format!("{date} {time}")).to_string()
    }

    fn zoned(&self, at: Wall) -> Zoned {
        let timestamp = Timestamp::from_nanosecond(i128::from(at.unix_nanos())).unwrap_or(Timestamp::UNIX_EPOCH);
        timestamp.to_zoned(self.zone.clone())
    }
}

/// `47 s`, `2 min 05 s`, `2 h 03 min`, `3 d 04 h`: the two largest units, rounded down.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days} d {:02} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {:02} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {:02} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_its_two_largest_units() {
        let told: Vec<String> = [0, 47, 60, 125, 3_599, 7_380, 86_399, 273_600, 40_000_000]
            .map(|seconds| duration(Duration::from_secs(seconds)))
            .into();
        let expected = [
            "0 s",
            "47 s",
            "1 min 00 s",
            "2 min 05 s",
            "59 min 59 s",
            "2 h 03 min",
            "23 h 59 min",
            "3 d 04 h",
            "462 d 23 h",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn another_day_has_its_date() {
        let clock = |locale| Clock::new(locale, Some("America/Asuncion")).unwrap();
        let today = Wall::from_unix_nanos(1_763_780_400_000_000_000);
        let yesterday = today.minus(Duration::from_secs(1));
        assert_eq!(clock(Locale::Es).time(today, today), "00:00:00");
        assert_eq!(clock(Locale::Es).time(yesterday, today), "21/11/2025 23:59:59");
        assert_eq!(clock(Locale::En).minute(yesterday, today), "2025-11-21 23:59");
        assert_eq!(clock(Locale::En).zone_name(today), "America/Asuncion (UTC-03:00)");
    }

    #[test]
    fn any_instant_can_be_told() {
        let clock = Clock::new(Locale::Es, Some("Asia/Kathmandu")).unwrap();
        for nanos in [i64::MIN, -1, 0, i64::MAX] {
            assert!(!clock.time(Wall::from_unix_nanos(nanos), Wall::default()).is_empty());
        }
    }

    #[test]
    fn an_unknown_zone_is_an_error_that_names_it() {
        let error = Clock::new(Locale::Es, Some("America/Macondo")).unwrap_err();
        assert!(error.to_string().contains("America/Macondo"), "{error}");
    }
}
