//! What lies behind a dead parent: one mail down and one recovery, in whatever order things fail and return.

#![allow(clippy::expect_used)]

mod field;

use std::time::Duration;

use field::Field;
use netwatch_core::{LineKind, NotifierPolicy, Plan, Settings, Status, Target, TargetId};

const SECOND: Duration = Duration::from_secs(1);

/// `agg` and so many devices behind it.
fn plan(children: usize) -> Plan {
    let mut targets = vec![Target::at("agg", [192, 0, 2, 1].into())];
    for n in 0..children {
        let child = Target::at(format!("c{n}"), [192, 0, 2, 2].into());
        targets.push(child.with_parents([TargetId::from_index(0)]));
    }
    let mut policy = NotifierPolicy::new("noc");
    policy.recipients = vec!["noc@example.net".into()];
    Plan::new(targets).with_notifier(policy)
}

#[test]
fn two_hundred_devices_behind_one_parent_fail_and_recover_in_any_order_and_are_two_mails() {
    for seed in 0..1000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut field = Field::new(plan(200));
        let (down, up) = (60, 400 + rng.u64(0..200));
        // The cable takes them all at once, but what is on its way, on batteries or slow to reload is not so orderly.
        let spread = |rng: &mut fastrand::Rng, at: u64| at + rng.u64(0..8);
        let (agg_down, agg_up) = (spread(&mut rng, down), spread(&mut rng, up));
        field.silence("agg", agg_down..agg_up);
        for n in 0..200 {
            field.silence(&format!("c{n}"), spread(&mut rng, down)..spread(&mut rng, up));
        }
        field.run_until(1200);
        assert_eq!(field.subjects(), ["down agg", "up agg"], "seed {seed}: {:?}", field.told());
    }
}

#[test]
fn children_that_come_back_after_their_parent_are_not_told_of_and_one_that_stays_dead_is_told_of_alone() {
    let mut field = Field::new(plan(200));
    field.silence("agg", 60..600);
    for n in 0..199 {
        // Less than tolerance and settle after the parent.
        field.silence(&format!("c{n}"), 60..600 + 45);
    }
    field.silence("c199", 60..3000);
    field.run_until(640);
    assert_eq!(field.status("c7"), Status::Down, "its parent answers again, so nothing explains its silence");
    field.run_until(4000);
    let lines = field.mails.iter().flat_map(|mail| mail.notification.lines.iter().map(|line| (mail.second, line)));
    let down: Vec<(u64, &str)> = lines
        .filter(|(_, line)| line.kind == LineKind::Opened)
        .map(|(second, line)| (second, line.subject.name.as_ref()))
        .collect();
    assert_eq!(down.iter().map(|(_, name)| *name).collect::<Vec<_>>(), ["agg", "c199"], "{:?}", field.told());
    assert!(down[1].0 >= 600 + 60, "it had its settle time again: {down:?}");
    assert!(field.subjects().last().is_some_and(|subject| subject.ends_with("up c199")));
}

#[test]
fn what_is_behind_a_dead_parent_is_unreachable_and_what_answers_is_not() {
    let mut field = Field::new(plan(3));
    field.silence("agg", 60..600);
    field.silence("c0", 60..600);
    field.run_until(120);
    assert_eq!(
        [field.status("agg"), field.status("c0"), field.status("c1")],
        [Status::Down, Status::Unreachable, Status::Ok]
    );
}

#[test]
fn a_switch_whose_management_address_died_hides_nothing() {
    let mut field = Field::new(plan(3));
    field.silence("agg", 60..3000);
    field.silence("c0", 300..3000);
    field.run_until(900);
    assert_eq!(field.subjects(), ["down agg", "down c0"]);
}

#[test]
fn a_parent_that_never_answered_hides_nothing() {
    let mut field = Field::new(plan(1));
    field.silence("agg", 0..3000);
    field.silence("c0", 300..3000);
    field.run_until(900);
    assert_eq!(field.subjects(), ["down agg", "down c0"]);
}

#[test]
fn of_two_parents_one_is_enough() {
    let id = TargetId::from_index;
    let at = |name: &str| Target::at(name, [192, 0, 2, 1].into());
    let targets = vec![at("a"), at("b"), at("c").with_parents([id(0), id(1)])];
    let plan = Plan::new(targets).with_notifier(NotifierPolicy::new("noc"));
    let mut field = Field::new(plan.clone());
    field.silence("a", 60..2000);
    field.silence("c", 300..2000);
    field.run_until(900);
    assert_eq!(field.subjects(), ["down a", "down c"], "b was there for it");
    let mut field = Field::new(plan);
    field.silence("a", 60..2000);
    field.silence("b", 62..2000);
    field.silence("c", 64..2000);
    field.run_until(900);
    assert_eq!(field.subjects(), ["down a b"], "no way was left");
}

#[test]
fn a_child_is_not_due_before_its_parent_was_heard() {
    let mut settings = Settings::default();
    settings.tolerance = Duration::ZERO;
    let mut slow = Settings::default();
    slow.interval = SECOND * 60;
    let parent = Target::at("agg", [192, 0, 2, 1].into()).with_settings(slow);
    let child = Target::at("c", [192, 0, 2, 2].into()).with_settings(settings).with_parents([TargetId::from_index(0)]);
    let plan = Plan::new(vec![parent, child]).with_notifier(NotifierPolicy::new("noc"));
    for second in 60..120 {
        let mut field = Field::new(plan.clone());
        field.silence("agg", second..2000);
        field.silence("c", second..2000);
        field.run_until(700);
        assert_eq!(field.subjects(), ["down agg"], "both died at {second}: {:?}", field.told());
    }
}

#[test]
fn a_grandchild_is_explained_by_the_grandparent_although_the_parent_was_dead_before() {
    let id = TargetId::from_index;
    let at = |name: &str| Target::at(name, [192, 0, 2, 1].into());
    let targets = vec![at("core"), at("sw").with_parents([id(0)]), at("olt").with_parents([id(1)])];
    let mut field = Field::new(Plan::new(targets).with_notifier(NotifierPolicy::new("noc")));
    field.silence("sw", 60..5000);
    field.silence("core", 600..1200);
    field.silence("olt", 600..1200);
    field.run_until(2400);
    assert_eq!(
        field.subjects(),
        ["down sw", "down core", "up core"],
        "the switch goes on forwarding without its address"
    );
}
