//! From rules of local time ("sun 02:00-04:00") to stretches of UTC, which are all that the deciding half knows.
//!
//! A local time that does not exist is the next that does; of one that comes twice a stretch begins with the first and
//! ends with the last. Rules have no end and calendars do, so they are made anew from time to time: see [`Calendars`].

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use netwatch_core::{Calendar, Period, Plan, Wall};

/// How far ahead of its making a calendar reaches, in days: more than a year of forgetting to make a new one.
const DAYS_AHEAD: i64 = 400;
/// How far back, for what is going on already.
const DAYS_BACK: i64 = 1;

/// From one time of day to another: on the next day if that is not later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hours {
    /// The first instant.
    pub(super) from: Time,
    /// The first instant after it.
    pub(super) to: Time,
}

/// When something holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    /// Beginning on each of these days of the week.
    On(Vec<Weekday>, Hours),
    /// Beginning every day.
    Daily(Hours),
    /// Once.
    Once(Period),
}

impl Rule {
    /// What it comes to in UTC, from a day before `now` to 400 days after it.
    pub(super) fn calendar(&self, zone: &TimeZone, now: Wall) -> Calendar {
        let (hours, days) = match self {
            Rule::Once(period) => return Calendar::new([*period]),
            Rule::Daily(hours) => (hours, None),
            Rule::On(days, hours) => (hours, Some(days)),
        };
        let wanted = |date: &Date| days.is_none_or(|days| days.contains(&date.weekday()));
        let period = |date: Date| {
            let until = if hours.to <= hours.from { date.tomorrow().ok()? } else { date };
            let from = local_instant(zone, date.to_datetime(hours.from), Twice::First)?;
            let to = local_instant(zone, until.to_datetime(hours.to), Twice::Last)?;
            Some(Period::new(wall(from), wall(to)))
        };
        let (start, end) = reach(now);
        let all = dates(zone, now).filter(wanted).filter_map(period);
        Calendar::new(all.filter(|period| period.to > start && period.from < end))
    }
}

/// The instants at which it is this time of day, from a day before `now` to 400 days after it.
pub(super) fn every_day_at(time: Time, zone: &TimeZone, now: Wall) -> Arc<[Wall]> {
    let (start, end) = reach(now);
    let all = dates(zone, now).filter_map(|date| local_instant(zone, date.to_datetime(time), Twice::First));
    let mut all: Vec<Wall> = all.map(wall).filter(|at| (start..end).contains(at)).collect();
    // Where a whole day does not exist, its time of day may be the next one's.
    all.sort_unstable();
    all.dedup();
    all.into()
}

/// Everything in a plan that follows a calendar, as rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calendars {
    zone: Option<TimeZone>,
    /// For each maintenance of the plan, in its order.
    maintenance: Vec<Rule>,
    /// For each notifier of the plan, in its order.
    notifiers: Vec<Spoken>,
}

/// When a notifier may speak, and when it says how everything stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Spoken {
    pub(super) hours: Option<Hours>,
    pub(super) summary: Option<Time>,
}

impl Calendars {
    /// None yet; local times are those of this zone.
    pub(super) fn new(zone: TimeZone) -> Calendars {
        Calendars { zone: Some(zone), ..Calendars::default() }
    }

    /// The next maintenance follows this rule.
    pub(super) fn push_maintenance(&mut self, rule: Rule) {
        self.maintenance.push(rule);
    }

    /// The next notifier follows these.
    pub(super) fn push_notifier(&mut self, spoken: Spoken) {
        self.notifiers.push(spoken);
    }

    /// Whether any of them goes on without end, so that its calendar has to be made anew one day.
    pub(crate) fn run_out(&self) -> bool {
        let speaks = |spoken: &Spoken| spoken.hours.is_some() || spoken.summary.is_some();
        self.maintenance.iter().any(|rule| !matches!(rule, Rule::Once(_))) || self.notifiers.iter().any(speaks)
    }

    /// Fills in the calendars of the plan that these rules were read with, as of `now`. Notifiers and maintenance stand
    /// in it in their order; maintenance beyond that is not of the configuration, and stays as it is.
    pub(crate) fn renew(&self, plan: &mut Plan, now: Wall) {
        let zone = &self.zone.clone().unwrap_or(TimeZone::UTC);
        for (maintenance, rule) in plan.maintenance.iter_mut().zip(&self.maintenance) {
            maintenance.calendar = rule.calendar(zone, now);
        }
        for (policy, spoken) in plan.notifiers.iter_mut().zip(&self.notifiers) {
            policy.hours = spoken.hours.map(|hours| Rule::Daily(hours).calendar(zone, now));
            policy.summaries = spoken.summary.map_or_else(Arc::default, |time| every_day_at(time, zone, now));
        }
    }
}

/// The first and the last instant that are wanted.
fn reach(now: Wall) -> (Wall, Wall) {
    const DAY: u64 = 24 * 3600;
    let days = |days: i64| Duration::from_secs(days.unsigned_abs().saturating_mul(DAY));
    (now.minus(days(DAYS_BACK)), now.plus(days(DAYS_AHEAD)))
}

/// The dates on which something may begin that is wanted.
fn dates(zone: &TimeZone, now: Wall) -> impl Iterator<Item = Date> {
    let today = Timestamp::from_nanosecond(i128::from(now.unix_nanos())).unwrap_or_default();
    let today = today.to_zoned(zone.clone()).date();
    // What is over midnight began a day earlier, and a zone may have a date of its own.
    let first = today.saturating_sub(DAYS_BACK.saturating_add(2).days());
    let last = today.saturating_add(DAYS_AHEAD.saturating_add(1).days());
    first.series(1.day()).take_while(move |date| *date <= last)
}

/// Which of two instants that bear the same local time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Twice {
    /// The earlier one, for a beginning.
    First,
    /// The later one, for an end.
    Last,
}

/// When it is this local time, or the next that exists; `None` beyond the years that can be told.
pub(crate) fn local_instant(zone: &TimeZone, local: DateTime, twice: Twice) -> Option<Timestamp> {
    match (zone.to_ambiguous_timestamp(local).offset(), twice) {
        (AmbiguousOffset::Unambiguous { offset }, _)
        | (AmbiguousOffset::Fold { before: offset, .. }, Twice::First)
        | (AmbiguousOffset::Fold { after: offset, .. }, Twice::Last) => offset.to_timestamp(local).ok(),
        (AmbiguousOffset::Gap { after, .. }, _) => {
            // By the clock of after the change this is before it: the change is the next that follows.
            let before = after.to_timestamp(local).ok()?;
            zone.following(before).find(|change| change.offset() == after).map(|change| change.timestamp())
        }
    }
}

/// The same instant; one outside the years 1678 to 2262 becomes the nearest inside.
pub(super) fn wall(at: Timestamp) -> Wall {
    let nanos = at.as_nanosecond();
    Wall::from_unix_nanos(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::time;

    fn at(text: &str) -> Wall {
        wall(text.parse().unwrap())
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn hours(from: (i8, i8), to: (i8, i8)) -> Hours {
        Hours { from: time(from.0, from.1, 0, 0), to: time(to.0, to.1, 0, 0) }
    }

    /// What of the rule lies within a day and a half of `now`.
    fn around(rule: &Rule, zone_name: &str, now: &str) -> Vec<(Wall, Wall)> {
        let near = Duration::from_secs(36 * 3600);
        let now = at(now);
        let calendar = rule.calendar(&zone(zone_name), now);
        let periods = calendar.periods().iter().filter(|it| it.to > now.minus(near) && it.from < now.plus(near));
        periods.map(|period| (period.from, period.to)).collect()
    }

    /// The one period of a night, as (zone, the hours, the night's noon before, from, to).
    type Night = (&'static str, Hours, &'static str, &'static str, &'static str);

    #[test]
    fn a_night_is_as_long_as_the_clock_makes_it() {
        let nights: &[Night] = &[
            // Spring in Madrid: 02:00 becomes 03:00.
            ("Europe/Madrid", hours((2, 30), (4, 0)), "2026-03-29T00:00Z", "2026-03-29T01:00Z", "2026-03-29T02:00Z"),
            ("Europe/Madrid", hours((1, 0), (2, 30)), "2026-03-29T00:00Z", "2026-03-29T00:00Z", "2026-03-29T01:00Z"),
            ("Europe/Madrid", hours((22, 0), (7, 0)), "2026-03-28T12:00Z", "2026-03-28T21:00Z", "2026-03-29T05:00Z"),
            // Autumn: 03:00 becomes 02:00, and 02:30 comes twice.
            ("Europe/Madrid", hours((2, 30), (4, 0)), "2026-10-25T00:00Z", "2026-10-25T00:30Z", "2026-10-25T03:00Z"),
            ("Europe/Madrid", hours((1, 0), (2, 30)), "2026-10-25T00:00Z", "2026-10-24T23:00Z", "2026-10-25T01:30Z"),
            ("Europe/Madrid", hours((2, 15), (2, 45)), "2026-10-25T00:00Z", "2026-10-25T00:15Z", "2026-10-25T01:45Z"),
            // Santiago changes at midnight: 00:00 becomes 01:00 on 2026-09-06, and 23:00 comes twice on 2026-04-04.
            ("America/Santiago", hours((0, 0), (2, 0)), "2026-09-06T05:00Z", "2026-09-06T04:00Z", "2026-09-06T05:00Z"),
            ("America/Santiago", hours((0, 30), (2, 0)), "2026-09-06T05:00Z", "2026-09-06T04:00Z", "2026-09-06T05:00Z"),
            ("America/Santiago", hours((23, 0), (1, 0)), "2026-04-05T03:00Z", "2026-04-05T02:00Z", "2026-04-05T05:00Z"),
            // So did Asuncion, and a window that ends at a midnight that does not exist is no longer for it.
            ("America/Asuncion", hours((22, 0), (0, 0)), "2023-10-01T00:00Z", "2023-10-01T02:00Z", "2023-10-01T04:00Z"),
            ("America/Asuncion", hours((0, 15), (3, 0)), "2023-10-01T05:00Z", "2023-10-01T04:00Z", "2023-10-01T06:00Z"),
            ("America/Havana", hours((0, 30), (1, 30)), "2026-03-08T05:00Z", "2026-03-08T05:00Z", "2026-03-08T05:30Z"),
            ("America/Havana", hours((0, 30), (1, 30)), "2026-11-01T05:00Z", "2026-11-01T04:30Z", "2026-11-01T06:30Z"),
        ];
        for (name, hours, now, from, to) in nights {
            let found = around(&Rule::Daily(*hours), name, now);
            assert!(found.contains(&(at(from), at(to))), "{name} {hours:?}: {found:?} lacks {from} to {to}");
        }
    }

    #[test]
    fn a_window_of_which_no_minute_exists_does_not_happen() {
        let rule = Rule::Daily(hours((2, 15), (2, 45)));
        let found = around(&rule, "Europe/Madrid", "2026-03-29T00:00Z");
        assert_eq!(found.len(), 2, "yesterday and tomorrow: {found:?}");
        let rule = Rule::Daily(hours((2, 0), (4, 0)));
        let found = around(&rule, "Pacific/Apia", "2011-12-30T10:00Z");
        assert_eq!(found.len(), 3, "Samoa had no 30th: {found:?}");
        assert!(found.iter().all(|(from, to)| to.since(*from) == Duration::from_secs(7200)), "{found:?}");
    }

    #[test]
    fn a_weekly_window_over_midnight_ends_on_the_day_after() {
        let rule = Rule::On(vec![Weekday::Saturday, Weekday::Sunday], hours((23, 0), (1, 30)));
        let calendar = rule.calendar(&zone("America/Asuncion"), at("2026-06-10T12:00Z"));
        let first: Vec<_> = calendar.periods().iter().take(2).map(|period| (period.from, period.to)).collect();
        let saturday = (at("2026-06-14T02:00Z"), at("2026-06-14T04:30Z"));
        assert_eq!(first, [saturday, (at("2026-06-15T02:00Z"), at("2026-06-15T04:30Z"))]);
        assert_eq!(calendar.periods().len(), 2 * 57, "a little more than a year of them");
        let during = rule.calendar(&zone("America/Asuncion"), at("2026-06-14T03:00Z"));
        assert!(during.contains(at("2026-06-14T03:00Z")), "the one that is going on is not forgotten");
    }

    #[test]
    fn the_29th_of_february_is_a_day_as_any_other() {
        let daily = Rule::Daily(hours((2, 0), (4, 0))).calendar(&TimeZone::UTC, at("2028-02-28T00:00Z"));
        assert!(daily.contains(at("2028-02-29T03:00Z")) && daily.contains(at("2028-03-01T03:00Z")));
        let tuesdays = Rule::On(vec![Weekday::Tuesday], hours((22, 0), (2, 0)));
        let tuesdays = tuesdays.calendar(&TimeZone::UTC, at("2028-02-28T00:00Z"));
        let first = tuesdays.periods()[0];
        assert_eq!((first.from, first.to), (at("2028-02-29T22:00Z"), at("2028-03-01T02:00Z")));
    }

    #[test]
    fn it_reaches_from_yesterday_to_four_hundred_days_ahead() {
        let now = at("2026-06-10T12:00Z");
        let calendar = Rule::Daily(hours((2, 0), (4, 0))).calendar(&TimeZone::UTC, now);
        assert_eq!(calendar.periods().len(), 401);
        let all_day = Rule::Daily(hours((0, 0), (0, 0))).calendar(&zone("Europe/Madrid"), now);
        assert_eq!(all_day.periods().len(), 1, "days that touch are one");
        assert!(all_day.contains(now.minus(Duration::from_secs(24 * 3600))));
        assert!(all_day.contains(now.plus(Duration::from_secs(399 * 24 * 3600))));
    }

    #[test]
    fn a_summary_is_made_once_a_day() {
        let at_0230 = |now: &str| every_day_at(time(2, 30, 0, 0), &zone("Europe/Madrid"), at(now));
        let spring = at_0230("2026-03-29T00:00Z");
        assert_eq!(spring[..2], [at("2026-03-28T01:30Z"), at("2026-03-29T01:00Z")]);
        let autumn = at_0230("2026-10-25T00:00Z");
        assert_eq!(autumn[..3], [at("2026-10-24T00:30Z"), at("2026-10-25T00:30Z"), at("2026-10-26T01:30Z")]);
        assert_eq!(autumn.len(), 401);
    }

    #[test]
    fn the_ends_of_time_are_borne() {
        for nanos in [i64::MIN, i64::MAX] {
            let now = Wall::from_unix_nanos(nanos);
            Rule::Daily(hours((22, 0), (7, 0))).calendar(&zone("America/Santiago"), now);
            every_day_at(time(7, 0, 0, 0), &zone("America/Santiago"), now);
        }
    }
}
