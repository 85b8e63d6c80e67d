//! What is held back and what is not: flapping, rations, hours of the day and the clock, and that a mail says why a line waited.

#![allow(clippy::expect_used, clippy::panic)]

mod field;

use std::sync::Arc;
use std::time::Duration;

use field::{Field, at, plan, policy, targets, wall};
use netwatch_core::{
    Budget, Content, Draft, Event, Host, Input, LineKind, Monitor, MonitorOptions, Now, Output, Plan, Receipt, Saved,
    Scope, Settings, StandingKind, Status, TargetId, Topic,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// `down a`, `up a`, `was a`; `drill was a` of what is no outage; `(b group_interval)` for what was held back.
fn words(draft: &Draft) -> Content {
    let lines = draft.lines.iter().map(|line| {
        let kind = match line.kind {
            LineKind::Opened => "down",
            LineKind::Closed => "up",
            _ => "was",
        };
        let topic = if line.topic == Topic::Outage { "" } else { line.topic.code() };
        format!("{topic} {kind} {}", line.subject.name).trim().to_owned()
    });
    let held = draft.held.iter().map(|held| format!("({} {})", held.target, held.hold.code()));
    let standing = draft.standing.iter().map(|standing| match standing.kind {
        StandingKind::Reminder => format!("still {}", standing.open_total),
        _ => "summary".to_owned(),
    });
    Content::new(lines.chain(standing).chain(held).collect::<Vec<_>>().join(" "), "", "")
}

fn field(plan: Plan) -> Field {
    Field::with_words(plan, Box::new(words))
}

/// What a notifier was told, with the seconds.
fn told(field: &Field, notifier: &str) -> Vec<(u64, String)> {
    let mine = field.mails.iter().filter(|mail| &*mail.notification.notifier == notifier);
    mine.map(|mail| (mail.second, mail.notification.content.subject.clone())).collect()
}

fn said(field: &Field, notifier: &str) -> Vec<String> {
    told(field, notifier).into_iter().map(|(_, words)| words).collect()
}

/// When a mail with these words left.
fn second_of(field: &Field, words: &str) -> u64 {
    let mail = field.mails.iter().find(|mail| mail.notification.content.subject == words);
    mail.unwrap_or_else(|| panic!("no {words:?} among {:?}", field.told())).second
}

#[test]
fn a_mail_says_why_a_line_waited_if_it_waited_longer_than_for_others_that_fail_with_it() {
    let mut plan = plan(&["a", "b", "core"], |noc| {
        (noc.group_interval, noc.recovery) = (Duration::from_secs(10 * MINUTE), false);
    });
    plan.targets[2].critical = true;
    let mut field = field(plan);
    field.silence("a", HOUR..HOUR + 20 * MINUTE);
    field.silence("b", HOUR + 2 * MINUTE..3 * HOUR);
    field.silence("core", HOUR + 4 * MINUTE..3 * HOUR);
    field.silence("a", HOUR + 30 * MINUTE..3 * HOUR);
    field.run_until(3 * HOUR);
    assert_eq!(said(&field, "noc"), ["down a", "down b down core (b group_interval)", "down a (a budget)"]);
    let first = second_of(&field, "down a");
    assert_eq!(second_of(&field, "down a (a budget)"), first + HOUR);
}

#[test]
fn a_mail_says_of_a_hundred_lines_why_they_waited() {
    let names: Vec<String> = (0..101).map(|n| format!("d{n}")).chain(["a".into(), "core".into()]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut plan = plan(&names, |noc| noc.group_interval = Duration::from_secs(10 * MINUTE));
    plan.targets[102].critical = true;
    let mut field = field(plan);
    field.silence("a", HOUR..2 * HOUR);
    for name in &names[..101] {
        field.silence(name, HOUR + 2 * MINUTE..2 * HOUR);
    }
    field.silence("core", HOUR + 4 * MINUTE..2 * HOUR);
    field.run_until(HOUR + 8 * MINUTE);
    let mail = said(&field, "noc").pop().expect("a mail");
    assert_eq!((mail.matches("down ").count(), mail.matches("group_interval").count()), (102, 100));
}

#[test]
fn what_is_handed_on_is_outside_the_budget_of_whom_it_goes_to() {
    let mut plan = plan(&["a", "elsewhere"], |noc| noc.escalate_to = Some("jefe".into()));
    let mut jefe = policy("jefe");
    (jefe.scope, jefe.budget) = (Scope::targets(["elsewhere"]), Budget::All);
    plan = plan.with_notifier(jefe);
    let mut field = field(plan);
    field.silence("a", HOUR..4 * HOUR);
    field.silence("elsewhere", HOUR + 20 * MINUTE..4 * HOUR);
    field.run_until(3 * HOUR);
    let told: Vec<(u64, String)> = told(&field, "jefe").into_iter().map(|(at, words)| (at / MINUTE, words)).collect();
    assert_eq!(told, [(80, "down elsewhere".to_owned()), (90, "down a".to_owned())]);
}

#[test]
fn the_ten_minutes_between_two_alerts_run_from_the_beginning_that_was_told() {
    let mut plan = plan(&["a"], |_| ());
    plan.witnesses.push(Host::Ip { ip: [192, 0, 2, 254].into(), zone: None });
    let mut field = field(plan);
    field.cut_off.push(HOUR..HOUR + 3 * MINUTE);
    field.cut_off.push(HOUR + 7 * MINUTE..HOUR + 30 * MINUTE);
    field.run_until(2 * HOUR);
    let told = told(&field, "noc");
    let words: Vec<&str> = told.iter().map(|(_, words)| words.as_str()).collect();
    assert_eq!(words, ["blind down", "blind up", "blind down", "blind up"]);
    assert_eq!(told[2].0, told[0].0 + 10 * MINUTE, "its end, told in between, costs nothing: {told:?}");
}

/// Three times down and up again within the hour, from this second on.
fn flap(field: &mut Field, name: &str, from: u64) {
    for n in 0..3 {
        field.silence(name, from + n * 6 * MINUTE..from + n * 6 * MINUTE + 2 * MINUTE);
    }
}

#[test]
fn a_drill_with_a_flapping_device_is_told_also_when_it_is_over_before_mail_works() {
    let mut field = field(plan(&["a"], |_| ()));
    flap(&mut field, "a", HOUR);
    field.run_until(HOUR + 20 * MINUTE);
    field.server_works = false;
    let now = field.now();
    field.monitor.handle_drill(now, "a", "ana").expect("a drill");
    field.carry_out();
    field.run_until(HOUR + 25 * MINUTE);
    field.server_works = true;
    field.run_until(HOUR + 35 * MINUTE);
    assert_eq!(said(&field, "noc").last().map(String::as_str), Some("drill was a"));
}

#[test]
fn the_page_says_which_device_is_flapping_also_after_a_restart() {
    let mut field = field(plan(&["a", "b"], |_| ()));
    let flapping = |field: &Field| -> Vec<bool> {
        field.monitor.start(field.now()).targets.iter().map(|target| target.flapping).collect()
    };
    flap(&mut field, "a", HOUR);
    field.run_until(HOUR + 10 * MINUTE);
    assert_eq!(flapping(&field), [false, false]);
    field.run_until(HOUR + 20 * MINUTE);
    assert_eq!(flapping(&field), [true, false]);
    field.restart(30);
    assert_eq!(flapping(&field), [true, false]);
    field.run_until(2 * HOUR);
    assert_eq!(flapping(&field), [false, false], "it has answered for half an hour");
}

#[test]
fn what_is_behind_a_flapping_device_does_not_flap_although_it_falls_silent_first() {
    let mut all = targets(&["agg", "child"]);
    all[1] = all[1].clone().with_parents([TargetId::from_index(0)]);
    let mut field = field(Plan::new(all).with_notifier(policy("noc")));
    for n in 0..6 {
        let down = HOUR + n * 8 * MINUTE;
        field.silence("agg", down + 9..down + 3 * MINUTE);
        field.silence("child", down..down + 3 * MINUTE);
    }
    field.run_until(3 * HOUR);
    let found_first =
        |(_, change): &&(u64, netwatch_core::Transition)| &*change.name == "child" && change.to == Status::Down;
    assert_eq!(field.transitions.iter().filter(found_first).count(), 6, "it was red before its parent was");
    let flapping = field.events.iter().filter_map(|(_, event)| match event {
        Event::Flapping { target, since: Some(_) } => Some(target.index()),
        _ => None,
    });
    assert_eq!(flapping.collect::<Vec<_>>(), [0]);
}

#[test]
fn a_reminder_counts_from_the_oldest_outage_that_is_not_over() {
    let mut field = field(plan(&["a", "b"], |noc| noc.reminder = Some(Duration::from_secs(6 * HOUR))));
    // The first was over before anybody could be told.
    field.server_works = false;
    field.silence("a", HOUR..HOUR + 20 * MINUTE);
    field.run_until(HOUR + 30 * MINUTE);
    field.server_works = true;
    field.silence("b", 3 * HOUR..20 * HOUR);
    field.run_until(12 * HOUR);
    assert_eq!(said(&field, "noc"), ["was a", "down b", "still 1"]);
    assert_eq!(second_of(&field, "still 1"), second_of(&field, "down b") + 6 * HOUR);
}

#[test]
fn summaries_and_reminders_come_to_the_second_although_nothing_else_happens_then() {
    let mut settings = Settings::default();
    settings.interval = Duration::from_secs(600);
    let mut plan = plan(&["a"], |noc| {
        noc.summaries = Arc::new([wall(7 * HOUR as i64 + 3)]);
        noc.reminder = Some(Duration::from_secs(2 * HOUR + 3));
    });
    plan.targets[0] = plan.targets[0].clone().with_settings(settings);
    let mut field = field(plan);
    field.silence("a", HOUR..5 * HOUR);
    field.run_until(8 * HOUR);
    assert_eq!(second_of(&field, "summary"), 7 * HOUR + 3);
    assert_eq!(second_of(&field, "still 1"), second_of(&field, "down a") + 2 * HOUR + 3);
}

/// How many summaries are sent while the wall clock shows these seconds of the day, a minute after each other.
fn summaries(at_seven_and: &[u64], clock: &[u64]) -> usize {
    let summaries: Vec<_> = at_seven_and.iter().map(|day| wall(((day * 24 + 7) * HOUR) as i64)).collect();
    let plan = Arc::new(plan(&["a"], |noc| noc.summaries = summaries.into()));
    let shows = |minute: usize| Now::new(at(minute as u64 * 60_000).mono, wall(clock[minute] as i64));
    let options = MonitorOptions::new([5; 16], "noc.example.net");
    let mut monitor = Monitor::new(plan, &Saved::default(), shows(0), options);
    let mut sent = 0;
    for minute in 0..clock.len() {
        let now = shows(minute);
        monitor.handle_timeout(now);
        while let Some(output) = monitor.poll_output() {
            match output {
                Output::Commit(commit) => monitor.handle(now, &Input::Committed(commit.seq)),
                Output::Compose(draft) => monitor.handle(now, &Input::Composed(draft.id, words(&draft))),
                Output::Deliver(mail) => {
                    sent += usize::from(mail.content.subject.contains("summary"));
                    monitor.handle(now, &Input::Delivered(mail.id, Ok(Receipt::accepted(&mail.recipients))));
                }
                _ => {}
            }
        }
    }
    sent
}

#[test]
fn a_clock_that_is_set_back_repeats_no_summary_and_one_that_was_far_ahead_silences_none() {
    let (before, after) = (7 * HOUR - MINUTE, 7 * HOUR + MINUTE);
    assert_eq!(summaries(&[0], &[before, after, after + 2 * MINUTE]), 1);
    // From 07:30 to 06:59.
    assert_eq!(summaries(&[0], &[before, after, 7 * HOUR + 30 * MINUTE, before, after, after + 2 * MINUTE]), 1);
    // By 90 minutes.
    assert_eq!(summaries(&[0], &[before, after, before + 90 * MINUTE, before, after, after + 2 * MINUTE]), 1);
    // It believed for a while that it was three days later.
    let ahead = 3 * 24 * HOUR;
    assert_eq!(summaries(&[0, 1], &[ahead, ahead + MINUTE, before, after, after + 2 * MINUTE]), 1);
}
