//! What a child waits for before it is told of, what the ledger says of that, and what a mail says of those behind a device.

#![allow(clippy::expect_used)]

mod field;

use std::time::Duration;

use field::{Field, policy};
use netwatch_core::{Behind, Event, LineKind, Plan, Settings, Target, TargetId, Topic};

const HOUR: u64 = 3600;

/// A device that is due with its first silent check, which takes half a second.
fn device(name: &str, seconds: u64, parents: &[usize]) -> Target {
    let mut settings = Settings::default();
    (settings.interval, settings.tolerance) = (Duration::from_secs(seconds), Duration::ZERO);
    (settings.pings, settings.timeout) = (1, Duration::from_millis(500));
    let parents: Vec<TargetId> = parents.iter().map(|parent| TargetId::from_index(*parent)).collect();
    Target::at(name, [192, 0, 2, 1].into()).with_settings(settings).with_parents(parents)
}

/// The same, but a check of it takes some seconds.
fn slowly(target: Target) -> Target {
    let mut settings = (*target.settings).clone();
    (settings.pings, settings.timeout) = (5, Duration::from_secs(2));
    target.with_settings(settings)
}

fn plan(targets: impl IntoIterator<Item = Target>) -> Plan {
    Plan::new(targets.into_iter().collect()).with_notifier(policy("noc"))
}

/// What the ledger says of a device, with the seconds.
fn reasons(field: &Field, name: &str) -> Vec<(u64, &'static str)> {
    let entries = field.events.iter().filter_map(|(second, event)| match event {
        Event::Ledger(entry) if &*entry.target == name => Some((*second, entry.decision.code())),
        _ => None,
    });
    entries.collect()
}

fn when(field: &Field, name: &str, reason: &str) -> Vec<u64> {
    reasons(field, name).into_iter().filter(|(_, found)| *found == reason).map(|(second, _)| second).collect()
}

#[test]
fn a_child_is_due_as_soon_as_its_parent_was_heard_and_not_only_with_its_own_next_check() {
    let mut field = Field::new(plan([slowly(device("agg", 20, &[])), device("c", 300, &[0])]));
    field.silence("c", 290..HOUR);
    field.run_until(580);
    assert_eq!(when(&field, "c", "awaits_parent"), [300], "{:?}", reasons(&field, "c"));
    assert_eq!(when(&field, "c", "due"), [304], "{:?}", reasons(&field, "c"));
    assert_eq!(field.told(), [(314, "down c")]);
}

#[test]
fn a_reload_while_a_child_waits_for_its_parent_makes_it_wait_for_one_check_and_no_more() {
    let plan = || plan([slowly(device("agg", 280, &[])), device("c", 60, &[0])]);
    let mut field = Field::new(plan());
    field.silence("c", 290..HOUR);
    field.run_until(330);
    assert_eq!(when(&field, "c", "awaits_parent"), [300], "{:?}", reasons(&field, "c"));
    // The checks begin anew, those of both in the same moment.
    field.reload(plan());
    field.run_until(380);
    assert_eq!(when(&field, "c", "due"), [334], "{:?}", reasons(&field, "c"));
}

#[test]
fn where_a_parent_never_answered_those_above_it_are_heard_first() {
    for second in 60..120 {
        let all = [device("core", 60, &[]), device("sw", 10, &[0]), device("c", 10, &[1])];
        let mut field = Field::new(plan(all));
        field.silence("sw", 0..HOUR);
        field.silence("core", second..HOUR);
        field.silence("c", second..HOUR);
        field.run_until(600);
        assert_eq!(field.subjects(), ["down sw", "down core"], "both died at {second}: {:?}", field.told());
    }
}

#[test]
fn where_a_parent_answers_those_above_it_are_not_waited_for() {
    let all = [device("core", HOUR, &[]), device("sw", 10, &[0]), device("c", 10, &[1])];
    let mut field = Field::new(plan(all));
    field.silence("c", 60..HOUR);
    field.run_until(120);
    assert_eq!(field.subjects(), ["down c"], "{:?}", field.told());
}

#[test]
fn the_ledger_says_that_a_child_has_its_tolerance_again_only_if_it_was_not_told_of() {
    let mut field = Field::new(plan([device("agg", 10, &[]), device("told", 10, &[0]), device("new", 10, &[0])]));
    field.silence("told", 60..2 * HOUR);
    field.silence("agg", 600..900);
    field.silence("new", 600..2 * HOUR);
    field.run_until(HOUR);
    assert!(!when(&field, "told", "explained").is_empty(), "{:?}", reasons(&field, "told"));
    assert_eq!(when(&field, "told", "parent_returned"), [] as [u64; 0], "it is due, and stays so");
    let returned = when(&field, "new", "parent_returned");
    assert!(matches!(returned[..], [900..=911]), "{:?}", reasons(&field, "new"));
    let due = when(&field, "new", "due");
    assert!(due.len() == 1 && due[0] >= returned[0] + 60, "the settle time at least: {:?}", reasons(&field, "new"));
}

#[test]
fn what_lies_behind_a_device_is_said_of_its_outage_and_not_of_its_return_or_that_it_is_unstable() {
    let all = || [device("agg", 10, &[]), device("c0", 10, &[0]), device("c1", 10, &[0])];
    let mut field = Field::new(plan(all()));
    let fall = |field: &mut Field, seconds: std::ops::Range<u64>| {
        ["agg", "c0", "c1"].iter().for_each(|name| field.silence(name, seconds.clone()));
    };
    fall(&mut field, 600..900);
    field.run_until(800);
    field.server_works = false;
    // Its return is told when it has fallen again.
    fall(&mut field, 1000..3000);
    field.run_until(1100);
    field.server_works = true;
    field.run_until(2000);
    // And now it comes and goes; when that is told it is gone.
    (0..6).for_each(|n| fall(&mut field, 4300 + n * 240..4300 + n * 240 + 120));
    field.run_until(3 * HOUR);
    let mut said = [0; 3];
    for line in field.mails.iter().flat_map(|mail| mail.notification.lines.iter()) {
        let (place, behind) = match (line.topic, line.kind) {
            (Topic::Outage, LineKind::Opened) => (0, Behind::new(2, 0)),
            (Topic::Outage, LineKind::Closed) => (1, Behind::default()),
            (Topic::Flapping, LineKind::Opened) => (2, Behind::default()),
            _ => continue,
        };
        assert_eq!(line.behind, behind, "{} {} in {:?}", line.topic.code(), line.kind.code(), field.told());
        said[place] += 1;
    }
    assert!(said.iter().all(|times| *times > 0), "{said:?}: {:?}", field.told());
}

#[test]
fn what_is_behind_nobody_any_more_is_told_by_itself_and_not_counted_with_its_old_parent() {
    let mut field = Field::new(plan([device("agg", 30, &[]), device("c", 30, &[0])]));
    field.silence("agg", HOUR..2 * HOUR);
    field.silence("c", HOUR..2 * HOUR);
    field.server_works = false;
    field.run_until(HOUR + 200);
    field.reload(plan([device("agg", 30, &[]), device("c", 30, &[])]));
    field.server_works = true;
    field.run_until(HOUR + 1200);
    let lines = field.mails.iter().flat_map(|mail| mail.notification.lines.iter());
    let told: Vec<(&str, LineKind, u32)> =
        lines.map(|line| (&*line.subject.name, line.kind, line.behind.devices)).collect();
    assert_eq!(told, [("agg", LineKind::Opened, 0), ("c", LineKind::Opened, 0)]);
}
