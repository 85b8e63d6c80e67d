//! Going on where the last run ended, under the same plan or another one: nothing owed is lost, nothing told is told
//! again, and what is gone does not come back.

#![allow(clippy::expect_used)]

mod story;

use std::time::Duration;

use netwatch_core::{Cause, Event, NotifierPolicy, Plan, Settings, Status};
use story::Check::{Answered, Silent, Slow, Unknown};
use story::{Server, Story, now, plan};

fn at_once(settings: &mut Settings, _: &mut NotifierPolicy) {
    (settings.tolerance, settings.settle) = (Duration::ZERO, Duration::ZERO);
}

/// The same targets, told by a notifier of this name.
fn told_by(name: &str, targets: &[&str]) -> Plan {
    plan(targets, |settings, policy| {
        at_once(settings, policy);
        policy.name = name.into();
    })
}

#[test]
fn a_notifier_that_replaces_another_takes_over_what_is_owed() {
    let mut story = Story::new(told_by("noc", &["a", "b"]));
    story.server = Server::Refuses;
    story.check("a", Silent);
    story.pass(60);
    story.check("b", Silent);
    story.check("b", Answered);
    let mut story = Story::go_on(told_by("turno", &["a", "b"]), story.saved, 100);
    story.pass(20);
    assert_eq!(story.told(), [(110, "down a, was b")]);
    assert!(story.saved.lines.is_empty() && story.saved.mails.is_empty());
}

#[test]
fn a_new_notifier_is_told_of_what_is_still_down() {
    let mut story = Story::new(told_by("noc", &["a"]));
    story.check("a", Silent);
    story.pass(60);
    assert_eq!(story.mails.len(), 1);
    let both = told_by("noc", &["a"]).with_notifier(NotifierPolicy::new("jefe"));
    let mut story = Story::go_on(both, story.saved, 100);
    story.pass(400);
    assert_eq!(story.told(), [(110, "down a")]);
    assert_eq!(&*story.sent[0].notifier, "jefe");
}

#[test]
fn what_was_owed_to_a_notifier_that_is_gone_does_not_come_back_with_it() {
    let other = || NotifierPolicy::new("jefe");
    let mut story = Story::new(told_by("noc", &["a"]).with_notifier(other()));
    story.pass(1);
    story.server = Server::Refuses;
    story.check("a", Silent);
    story.pass(60);
    let mut alone = told_by("noc", &["a"]);
    alone.notifiers = vec![other()];
    let mut story = Story::go_on(alone, story.saved, 100);
    let said =
        story.events.iter().any(|event| matches!(event, Event::Trouble { message, .. } if message.contains("noc")));
    assert!(said, "what is dropped is said");
    story.pass(20);
    story.check("a", Answered);
    story.pass(200);
    let mut story = Story::go_on(told_by("noc", &["a"]).with_notifier(other()), story.saved, 1000);
    story.pass(1000);
    assert_eq!(story.told(), [], "the outage is long over");
}

#[test]
fn a_target_that_is_gone_is_closed_and_begins_anew_when_it_returns() {
    let mut story = Story::new(told_by("noc", &["a", "b"]));
    story.check("a", Silent);
    story.pass(60);
    let mut without = Story::go_on(told_by("noc", &["b"]), story.saved, 100);
    without.pass(100);
    assert!(!without.saved.targets.contains_key("a"));
    let mut story = Story::go_on(told_by("noc", &["a", "b"]), without.saved, 10_000);
    assert_eq!(story.status("a"), Status::Pending);
    story.check("a", Silent);
    story.pass(60);
    assert_eq!(story.told(), [(10_010, "down a")]);
}

#[test]
fn one_slow_recipient_does_not_stop_the_others_after_a_restart_either() {
    let mut story = Story::new(told_by("noc", &["a", "b"]));
    story.check("a", Silent);
    story.pass(200);
    story.server = Server::HalfTheRecipients;
    story.check("a", Answered);
    story.pass(30);
    assert_eq!(story.mails.last().map(|(_, words)| words.as_str()), Some("up a"));
    let mut story = Story::go_on_with(Server::HalfTheRecipients, told_by("noc", &["a", "b"]), story.saved, 300);
    story.pass(10);
    story.check("b", Silent);
    story.pass(200);
    assert!(story.mails.iter().any(|(_, words)| words == "down b"), "{:?}", story.mails);
}

#[test]
fn a_recipient_refused_on_the_way_is_given_up_for_that_mail_and_shown() {
    let three = |settings: &mut Settings, policy: &mut NotifierPolicy| {
        at_once(settings, policy);
        policy.recipients.push("c@example.net".into());
    };
    let mut story = Story::new(plan(&["a"], three));
    story.server = Server::HalfTheRecipients;
    story.check("a", Silent);
    story.pass(11);
    story.server = Server::FirstIsGone;
    story.pass(40);
    story.server = Server::Well;
    story.pass(120);
    let asked: Vec<Vec<&str>> =
        story.sent.iter().map(|mail| mail.recipients.iter().map(|to| &to[..1]).collect()).collect();
    assert_eq!(asked, [vec!["a", "b", "c"], vec!["b", "c"], vec!["c"]]);
    let failed = story.events.iter().any(|event| match event {
        Event::Delivery(delivery) => delivery.reason.as_deref() == Some("550 gone"),
        _ => false,
    });
    assert!(failed && story.saved.mails.is_empty());
}

#[test]
fn a_mail_for_recipients_who_are_gone_is_written_anew_for_those_who_are_there() {
    let mut story = Story::new(told_by("noc", &["a"]));
    story.server = Server::TakesWithoutSaying;
    story.check("a", Silent);
    story.pass(15);
    assert_eq!(story.saved.mails.len(), 1, "frozen");
    let corrected = plan(&["a"], |settings, policy| {
        at_once(settings, policy);
        policy.recipients = vec!["right@example.net".into()];
    });
    let mut story = Story::go_on(corrected, story.saved, 100);
    story.pass(20);
    assert_eq!(story.sent.len(), 1);
    assert_eq!(&*story.sent[0].recipients[0], "right@example.net");
}

#[test]
fn a_crash_while_a_mail_is_under_way_does_not_bring_back_what_has_closed() {
    let mut story = Story::new(told_by("noc", &["a"]));
    story.server = Server::TakesWithoutSaying;
    story.check("a", Silent);
    story.pass(11);
    story.check("a", Answered);
    story.pass(1);
    let corrected = plan(&["a"], |settings, policy| {
        at_once(settings, policy);
        policy.recipients = vec!["right@example.net".into()];
    });
    let mut story = Story::go_on(corrected, story.saved, 100);
    story.pass(400);
    assert_eq!(story.told(), [(100, "was a")], "one line with both facts, at once");
}

#[test]
fn a_sign_of_life_is_no_answer_of_a_device_that_could_not_be_seen() {
    let mut story = Story::new(told_by("noc", &["a"]));
    story.checks("a", &[Answered, Unknown]);
    story.pass(3600);
    let answered = story.monitor.start(now(story.seconds)).targets[0].last_good;
    for _ in 0..20 {
        let seconds = story.seconds;
        story = Story::go_on(told_by("noc", &["a"]), story.saved, seconds + 13);
        assert_eq!(story.monitor.start(now(story.seconds)).targets[0].last_good, answered);
    }
}

#[test]
fn a_sign_of_life_before_the_first_check_speaks_for_nobody() {
    let mut story = Story::new(told_by("noc", &["a"]));
    story.checks("a", &[Answered; 10]);
    let answered = now(story.seconds);
    for _ in 0..20 {
        let seconds = story.seconds;
        story = Story::go_on(told_by("noc", &["a"]), story.saved, seconds + 600);
        story.pass(13);
    }
    let believed = story.monitor.start(now(story.seconds)).targets[0].last_good.expect("it answered once");
    assert!(believed <= answered.wall, "nobody has asked it since");
}

#[test]
fn a_start_under_the_same_plan_changes_nothing_that_is_saved() {
    let mut story = Story::new(told_by("noc", &["a", "b"]));
    story.check("a", Silent);
    story.check("b", Answered);
    story.pass(200);
    let before = story.saved.clone();
    let story = Story::go_on(told_by("noc", &["a", "b"]), story.saved, 300);
    let mut after = story.saved;
    after.alive_at = before.alive_at;
    assert_eq!(after, before);
}

#[test]
fn a_cause_that_changes_is_told_of() {
    let mut story = Story::new(told_by("noc", &["a"]));
    story.check("a", Answered);
    let mut story = Story::go_on(told_by("noc", &["a"]), story.saved, 100);
    story.checks("a", &[Unknown, Unknown]);
    let told: Vec<Status> = story.transitions.iter().map(|(_, _, to)| *to).collect();
    assert_eq!(told, [Status::Unknown], "from starting to no_route, once");
    assert_eq!(story.monitor.start(now(story.seconds)).targets[0].cause, Some(Cause::NoRoute));
}

#[test]
fn a_stop_while_a_device_recovers_does_not_begin_its_settling_anew() {
    let settling = || plan(&["a"], |settings, _| settings.tolerance = Duration::ZERO);
    let mut story = Story::new(settling());
    story.check("a", Silent);
    story.pass(60);
    story.checks("a", &[Answered; 6]);
    story.monitor.handle_stop(now(story.seconds));
    story.carry_out();
    let mut story = Story::go_on(settling(), story.saved, 125);
    story.checks("a", &[Answered, Answered, Answered, Answered, Answered]);
    let closed = story.events.iter().find_map(|event| match event {
        Event::OutageClosed(_, outage) => outage.closed,
        _ => None,
    });
    assert!(closed.is_some_and(|closed| closed <= now(70).wall), "it has answered since second 70: {closed:?}");
}

/// Checks every target at once.
fn check_all(story: &mut Story, names: &[String], found: story::Check) {
    for name in names {
        story.check(name, found);
    }
}

#[test]
fn many_records_are_written_little_by_little_and_no_sign_of_life_runs_ahead_of_them() {
    let names: Vec<String> = (0..2500).map(|n| n.to_string()).collect();
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    let plan = || told_by("noc", &refs);
    let mut story = Story::new(plan());
    story.seconds = 10;
    check_all(&mut story, &names, Answered);
    let written = story.saved.targets.len();
    assert!((1..2500).contains(&written), "{written} records at once");
    assert_eq!(story.saved.alive_at, None, "not yet true of all");
    story.pass(20);
    assert_eq!(story.saved.targets.len(), 2500);
    assert!(story.saved.alive_at.is_some());

    story.pass(570);
    check_all(&mut story, &names, Answered);
    let answered = now(story.seconds).wall;
    story.pass(10);
    check_all(&mut story, &names, Unknown);
    let alive = story.saved.alive_at;
    let crashed = Story::go_on(plan(), story.saved.clone(), 4000);
    let believed = crashed.monitor.start(now(4000)).targets.iter().filter_map(|view| view.last_good).max();
    assert!(believed <= Some(answered) && story.saved.alive_at == alive, "{believed:?} after {answered:?}");
    story.pass(3600);
    let views = Story::go_on(plan(), story.saved, 8000).monitor.start(now(8000)).targets;
    assert!(views.iter().all(|view| view.last_good == Some(answered)));
}

#[test]
fn what_answers_again_after_a_restart_is_not_written_again() {
    let mut story = Story::new(told_by("noc", &["a"]));
    story.checks("a", &[Answered, Slow, Answered]);
    let before = story.saved.targets.clone();
    let mut story = Story::go_on(told_by("noc", &["a"]), story.saved, 100);
    story.checks("a", &[Answered, Slow, Answered]);
    story.pass(60);
    assert_eq!(story.saved.targets, before);
    let believed =
        Story::go_on(told_by("noc", &["a"]), story.saved, 1000).monitor.start(now(1000)).targets[0].last_good;
    assert!(believed > Some(now(100).wall), "the sign of life speaks for it");
}

#[test]
fn a_sign_of_life_does_not_speak_for_a_target_that_is_paused_or_unseen_since_the_start() {
    let mut story = Story::new(told_by("noc", &["a", "b"]));
    story.seconds = 20;
    story.check("a", Answered);
    story.check("b", Answered);
    story.pass(30);
    let mut paused = told_by("noc", &["a", "b"]);
    paused.targets[0].paused = true;
    let mut story = Story::go_on(paused, story.saved, 60);
    story.check("b", Unknown);
    story.pass(3600);
    let views = Story::go_on(told_by("noc", &["a", "b"]), story.saved, 5000).monitor.start(now(5000)).targets;
    assert!(views.iter().all(|view| view.last_good < Some(now(60).wall)), "{views:?}");
}
