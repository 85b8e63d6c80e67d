//! The two nights of the year on which a clock on the wall lies, from the configuration to the mails: what a maintenance, the
//! hours of a notifier and a summary mean on them. Spring has no 02:30, autumn has it twice.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use netwatch_core::{
    Due, Echo, Event, Loss, Monitor, MonitorOptions, Mono, Now, Output, Receipt, Render, Rtt, Sample, Saved, Schedule,
    Wall, Words,
};

use super::tests::config;

const ZONE: &str = "Europe/Madrid";

/// In a night from midnight to eight, so many hours of UTC long.
struct Night {
    begin: Wall,
    hours: u64,
}

impl Night {
    fn of(midnight: &str, hours: u64) -> Night {
        let midnight: Timestamp = midnight.parse().unwrap();
        Night { begin: Wall::from_unix_nanos(i64::try_from(midnight.as_nanosecond()).unwrap()), hours }
    }

    fn at(&self, second: u64) -> Now {
        let passed = Duration::from_secs(second);
        Now::new(Mono::ZERO.plus(passed), self.begin.plus(passed))
    }

    /// The clock on the wall, with how far it is from UTC.
    fn clock(&self, second: u64) -> String {
        let at = Timestamp::from_nanosecond(self.at(second).wall.unix_nanos().into()).unwrap();
        let zoned = at.in_tz(ZONE).unwrap();
        let civil: DateTime = zoned.datetime();
        format!("{:02}:{:02}:{:02} UTC{}", civil.hour(), civil.minute(), civil.second(), zoned.offset())
    }

    /// What is told while each of these devices is silent at these seconds of the night, and when its maintenance is.
    fn story(&self, silent: &[(&str, Range<u64>)]) -> String {
        let mut config = config(
            r#"
            locale = "es"
            time_zone = "Europe/Madrid"
            [[target]]
            name = "olt-1"
            address = "192.0.2.1"
            [[target]]
            name = "olt-2"
            address = "192.0.2.2"
            [[notifier]]
            name = "turno"
            kind = "file"
            [[notifier]]
            name = "oficina"
            kind = "file"
            hours = "02:30-22:00"
            summary = "02:30"
            [[maintenance]]
            targets = ["olt-1"]
            daily = "02:30-02:45"
            reason = "cambio de placa"
            "#,
        );
        config.calendars.renew(&mut config.plan, self.begin);
        let plan = Arc::new(config.plan);
        let words = Words::new(plan.locale, Some(ZONE), None).unwrap();
        let (now, options) = (self.at(0), MonitorOptions::new([5; 16], "noc.example.net"));
        let mut monitor = Monitor::new(plan.clone(), &Saved::default(), now, options);
        let mut schedule = Schedule::new(&plan, [6; 16], now.mono);
        let (mut story, mut due) = (String::new(), Vec::new());
        for second in 0..self.hours * 3600 {
            let now = self.at(second);
            schedule.poll_due(now.mono, &mut due);
            let samples = due.drain(..).map(|Due { target, at, .. }| {
                let name = &*plan.target(target).unwrap().name;
                let is_silent = silent.iter().any(|(who, when)| *who == name && when.contains(&second));
                let echo = if is_silent {
                    Echo::Lost(Loss::NoReply)
                } else {
                    Echo::Reply(Rtt::from_duration(Duration::from_millis(2)))
                };
                Sample::new(target, at, now.mono, [echo].into_iter().collect())
            });
            let samples: Vec<Sample> = samples.collect();
            if !samples.is_empty() {
                monitor.handle_samples(now, &samples);
            }
            if monitor.poll_timeout().is_some_and(|at| at <= now.mono) {
                monitor.handle_timeout(now);
            }
            while let Some(output) = monitor.poll_output() {
                match output {
                    Output::Commit(commit) => monitor.handle_committed(now, commit.seq),
                    Output::Compose(draft) => monitor.handle_composed(now, draft.id, words.render(&draft)),
                    Output::Deliver(mail) => {
                        let text = mail.content.text.trim_end().replace('\n', "\n  | ");
                        let (at, to, subject) = (self.clock(second), &mail.notifier, &mail.content.subject);
                        write!(story, "{at}  correo a {to}: {subject}\n  | {text}\n").unwrap();
                        monitor.handle_delivered(now, mail.id, Ok(Receipt::accepted(&mail.recipients)));
                    }
                    Output::Event(Event::Maintenance { target, maintenance }) => {
                        let name = &plan.target(target).unwrap().name;
                        let word = if maintenance.is_some() { "en mantenimiento" } else { "fuera de mantenimiento" };
                        writeln!(story, "{}  {name}: {word}", self.clock(second)).unwrap();
                    }
                    _ => {}
                }
            }
        }
        story
    }
}

#[test]
fn a_night_without_half_past_two() {
    // 01:20 to 01:50; 01:55 to 03:20, which is 25 minutes later.
    let night = Night::of("2027-03-27T23:00:00Z", 5);
    insta::assert_snapshot!(night.story(&[("olt-2", 4800..6600), ("olt-1", 6900..8400)]));
}

#[test]
fn a_night_with_two_of_them() {
    // 01:20 to 01:50; 02:35 before the clock goes back to 02:35 after it did.
    let night = Night::of("2027-10-30T22:00:00Z", 6);
    insta::assert_snapshot!(night.story(&[("olt-2", 4800..6600), ("olt-1", 9300..12_900)]));
}
