//! The rules of statuses, outages and telling, one by one: a device's checks are written down, and so are the mails
//! that must leave, to the second.

#![allow(clippy::expect_used)]

mod story;

use std::time::Duration;

use netwatch_core::{Budget, DeliveryOutcome, Event, NotifierPolicy, Settings, Status};
use story::Check::{Answered, Silent, Slow, Unknown};
use story::{SECOND, Server, Story, now, plan};

const NEVER: u64 = 1_000_000;

#[test]
fn tolerance_delays_the_mail_and_not_the_colour() {
    let mut story = Story::new(plan(&["a"], |_, _| ()));
    story.checks("a", &[Answered, Silent]);
    assert_eq!(story.status("a"), Status::Down);
    story.checks("a", &[Silent]);
    story.pass(5);
    assert_eq!(story.told(), [], "20 s of silence are less than 30");
    story.pass(5);
    story.check("a", Silent);
    story.pass(20);
    assert_eq!(story.told(), [(50, "down a")], "silent since 10, due at 40, and 10 s of group wait");
}

#[test]
fn without_tolerance_the_first_silent_check_is_due() {
    let mut story = Story::new(plan(&["a"], |settings, _| settings.tolerance = Duration::ZERO));
    story.checks("a", &[Answered, Silent]);
    story.pass(30);
    assert_eq!(story.told(), [(30, "down a")]);
}

#[test]
fn an_outage_shorter_than_its_tolerance_is_recorded_and_not_mailed() {
    let mut story = Story::new(plan(&["a"], |settings, _| settings.tolerance = SECOND * 120));
    story.checks("a", &[Answered, Silent, Silent, Silent]);
    story.checks("a", &[Answered; 10]);
    story.pass(4000);
    assert_eq!(story.told(), []);
    assert!(story.events.iter().any(|event| matches!(event, Event::OutageClosed(_, outage) if outage.due.is_none())));
}

#[test]
fn a_silence_before_settle_continues_the_same_outage() {
    let mut story = Story::new(plan(&["a"], |_, _| ()));
    story.checks("a", &[Answered, Silent, Silent, Silent, Silent, Answered, Answered, Silent, Answered]);
    story.checks("a", &[Answered; 4]);
    assert_eq!(story.told(), [(50, "down a")], "not yet settled");
    story.checks("a", &[Answered; 4]);
    story.pass(300);
    assert_eq!(story.told(), [(50, "down a"), (170, "up a")], "60 s after the answer at 90, and the group interval");
    assert_eq!(story.events.iter().filter(|event| matches!(event, Event::OutageOpened(..))).count(), 1);
}

#[test]
fn only_seen_time_counts() {
    let mut story = Story::new(plan(&["a"], |_, _| ()));
    story.checks("a", &[Answered, Silent, Unknown, Silent, Unknown, Silent, Unknown]);
    assert_eq!(story.status("a"), Status::Unknown);
    story.pass(100);
    assert_eq!(story.told(), [], "10 s, and three times the 2 s of a check");
    story.checks("a", &[Silent, Silent, Silent]);
    story.pass(10);
    assert_eq!(story.mails.len(), 1);
}

#[test]
fn time_without_checks_is_not_silence() {
    let mut story = Story::new(plan(&["a"], |_, _| ()));
    story.checks("a", &[Answered, Silent]);
    story.pass(100);
    story.check("a", Silent);
    story.pass(100);
    assert_eq!(story.told(), [], "10 s, and the 2 s of the last check");
}

#[test]
fn one_mail_until_it_has_answered_however_long_it_lasts() {
    let mut story = Story::new(plan(&["a"], |_, _| ()));
    story.check("a", Answered);
    story.checks("a", &[Silent; 2000]);
    assert_eq!(story.mails.len(), 1);
}

#[test]
fn what_fails_together_is_told_together() {
    let mut story = Story::new(plan(&["a", "b", "c"], |settings, _| settings.tolerance = Duration::ZERO));
    story.check("a", Silent);
    story.pass(4);
    story.check("b", Silent);
    story.pass(4);
    story.check("c", Silent);
    story.pass(3);
    assert_eq!(story.told(), [(10, "down a b c")]);
}

#[test]
fn two_mails_are_a_group_interval_apart() {
    let mut story = Story::new(plan(&["a", "b"], |settings, _| settings.tolerance = Duration::ZERO));
    story.check("a", Silent);
    story.pass(20);
    story.check("b", Silent);
    story.pass(300);
    assert_eq!(story.told(), [(10, "down a"), (130, "down b")]);
}

#[test]
fn the_budget_of_a_target_holds_its_next_outage_for_an_hour() {
    let rules = |settings: &mut Settings, policy: &mut NotifierPolicy| {
        (settings.tolerance, settings.settle, policy.recovery) = (Duration::ZERO, Duration::ZERO, false);
    };
    let mut story = Story::new(plan(&["a", "b"], rules));
    story.check("a", Silent);
    story.pass(60);
    story.check("a", Answered);
    story.check("a", Silent);
    story.pass(4000);
    assert_eq!(story.told(), [(10, "down a"), (3610, "down a")], "the hour runs from the 250");
    story.check("b", Silent);
    story.pass(10);
    assert_eq!(story.mails.len(), 3, "another device has its own budget");
}

#[test]
fn what_the_budget_holds_leaves_with_the_next_mail() {
    let rules = |settings: &mut Settings, policy: &mut NotifierPolicy| {
        (settings.tolerance, settings.settle, policy.recovery) = (Duration::ZERO, Duration::ZERO, false);
    };
    let mut story = Story::new(plan(&["a", "b"], rules));
    story.check("a", Silent);
    story.pass(60);
    story.check("a", Answered);
    story.check("a", Silent);
    story.pass(540);
    story.check("b", Silent);
    story.pass(10);
    assert_eq!(story.told(), [(10, "down a"), (610, "down a b")]);
}

#[test]
fn a_device_told_of_as_back_and_down_again_is_told_of_within_ten_minutes() {
    let rules = |settings: &mut Settings, _: &mut NotifierPolicy| {
        (settings.tolerance, settings.settle) = (Duration::ZERO, Duration::ZERO);
    };
    let mut story = Story::new(plan(&["a"], rules));
    story.check("a", Silent);
    story.pass(60);
    story.check("a", Answered);
    story.pass(140);
    story.check("a", Silent);
    story.pass(1000);
    assert_eq!(story.told(), [(10, "down a"), (130, "up a"), (800, "down a")]);
}

#[test]
fn the_original_budget_is_one_mail_an_hour_whatever_it_brings() {
    let rules = |settings: &mut Settings, policy: &mut NotifierPolicy| {
        (settings.tolerance, settings.settle, policy.budget) = (Duration::ZERO, Duration::ZERO, Budget::All);
        policy.recovery = false;
    };
    let mut story = Story::new(plan(&["a", "b", "c"], rules));
    story.check("a", Silent);
    story.pass(600);
    story.check("b", Silent);
    story.pass(60);
    story.check("b", Answered);
    story.check("c", Silent);
    story.pass(5000);
    assert_eq!(story.told(), [(10, "down a"), (3610, "down c, was b")]);
}

#[test]
fn an_outage_that_ended_before_mail_was_possible_is_told_once_as_both() {
    let mut story = Story::new(plan(&["a"], |settings, _| settings.tolerance = Duration::ZERO));
    story.server = Server::Refuses;
    story.check("a", Silent);
    story.pass(60);
    story.checks("a", &[Answered; 8]);
    story.pass(600);
    assert_eq!(story.told(), []);
    story.server = Server::Well;
    story.pass(301);
    assert_eq!(story.mails.len(), 1);
    assert_eq!(story.mails[0].1, "was a");
    story.pass(10_000);
    assert_eq!(story.mails.len(), 1);
}

#[test]
fn a_mail_that_the_server_may_have_is_repeated_word_for_word() {
    let mut story = Story::new(plan(&["a", "b"], |settings, _| settings.tolerance = Duration::ZERO));
    story.server = Server::TakesWithoutSaying;
    story.check("a", Silent);
    story.pass(15);
    story.check("b", Silent);
    story.pass(1);
    story.server = Server::Well;
    story.pass(400);
    assert_eq!(story.mails.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>(), ["down a", "down a", "down b"]);
    assert_eq!(story.sent[0], story.sent[1], "the copy is the same, Message-ID, date and all");
    assert_ne!(story.sent[1].message_id, story.sent[2].message_id);
}

#[test]
fn a_mail_that_certainly_did_not_leave_is_written_anew() {
    let mut story = Story::new(plan(&["a", "b"], |settings, _| settings.tolerance = Duration::ZERO));
    story.server = Server::Refuses;
    story.check("a", Silent);
    story.pass(15);
    story.check("b", Silent);
    story.pass(1);
    story.server = Server::Well;
    story.pass(400);
    assert_eq!(story.mails.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>(), ["down a b"]);
}

#[test]
fn a_recovery_threads_under_the_mail_that_told_the_outage() {
    let mut story = Story::new(plan(&["a"], |settings, _| settings.settle = Duration::ZERO));
    story.checks("a", &[Answered, Silent, Silent, Silent, Silent, Answered]);
    story.pass(200);
    assert_eq!(story.sent.len(), 2);
    assert_eq!(story.sent[1].in_reply_to.as_ref(), Some(&story.sent[0].message_id));
}

#[test]
fn one_slow_recipient_does_not_stop_the_others() {
    let mut story = Story::new(plan(&["a", "b"], |settings, _| settings.tolerance = Duration::ZERO));
    story.server = Server::HalfTheRecipients;
    story.check("a", Silent);
    story.pass(11);
    story.check("b", Silent);
    story.pass(1);
    story.server = Server::Well;
    story.pass(200);
    let recipients: Vec<_> =
        story.sent.iter().map(|mail| (mail.content.subject.as_str(), mail.recipients.len())).collect();
    assert_eq!(recipients, [("down a", 2), ("down a", 1), ("down b", 2)]);
    assert_eq!(story.sent[0].message_id, story.sent[1].message_id);
}

#[test]
fn attempts_double_to_five_minutes_and_never_end() {
    let mut story = Story::new(plan(&["a"], |settings, _| settings.tolerance = Duration::ZERO));
    story.server = Server::Refuses;
    story.check("a", Silent);
    story.pass(3600 * 72);
    let retries: Vec<u64> = story
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Delivery(delivery) => match delivery.outcome {
                DeliveryOutcome::Deferred { retry_at } => Some(retry_at.since(delivery.at).as_secs()),
                _ => None,
            },
            _ => None,
        })
        .collect();
    for (wait, upper) in retries.iter().zip([30, 60, 120, 240, 300, 300, 300]) {
        assert!((upper * 9 / 10 - 1..=upper).contains(wait), "waited {wait} s, not about {upper}");
    }
    assert!(retries.len() as u64 >= 72 * 3600 / 301, "{} attempts in 72 h", retries.len());
}

#[test]
fn a_restart_continues_and_tells_nothing_again() {
    let mut story = Story::new(plan(&["a", "b"], |_, _| ()));
    story.checks("a", &[Answered, Silent, Silent, Silent, Silent]);
    story.check("b", Answered);
    story.pass(20);
    assert_eq!(story.told(), [(50, "down a")]);
    let before = story.monitor.start(now(story.seconds)).targets[0].clone();
    let mut story = Story::go_on(plan(&["a", "b"], |_, _| ()), story.saved, 500);
    let after = story.monitor.start(now(500)).targets[0].clone();
    assert_eq!((after.status, after.since, after.last_good), (Status::Down, before.since, before.last_good));
    assert_eq!(story.status("b"), Status::Unknown, "until its first check");
    story.checks("a", &[Silent; 20]);
    assert_eq!(story.told(), [], "told before the restart");
    story.checks("a", &[Answered; 10]);
    story.pass(200);
    assert_eq!(story.mails.len(), 1, "its end is told");
}

#[test]
fn a_program_killed_again_and_again_still_sees_the_tolerance_pass() {
    let rules = |settings: &mut Settings, _: &mut NotifierPolicy| settings.tolerance = SECOND * 120;
    let mut story = Story::new(plan(&["a"], rules));
    story.check("a", Answered);
    for _ in 0..40 {
        story.checks("a", &[Silent, Silent, Silent]);
        let (saved, seconds, mails) = (story.saved, story.seconds, story.mails);
        story = Story::go_on(plan(&["a"], rules), saved, seconds + 5);
        story.mails = mails;
    }
    story.pass(20);
    assert_eq!(story.mails.len(), 1);
}

#[test]
fn while_nothing_can_be_committed_mail_leaves_from_memory() {
    let mut story = Story::new(plan(&["a"], |settings, _| settings.tolerance = Duration::ZERO));
    story.pass(1);
    story.journal_works = false;
    story.check("a", Silent);
    story.pass(20);
    assert_eq!(story.told(), [(11, "down a")]);
    assert!(story.events.iter().any(|event| matches!(event, Event::Journal { failing_since: Some(_), .. })));
    story.journal_works = true;
    story.pass(20);
    assert!(matches!(
        story.events.iter().rfind(|event| matches!(event, Event::Journal { .. })),
        Some(Event::Journal { failing_since: None, .. })
    ));
    assert_eq!(story.saved.told.len(), 1, "what was told meanwhile is committed as soon as that works");
}

#[test]
fn a_slow_device_is_a_warning_and_nobody_is_told() {
    let mut story = Story::new(plan(&["a"], |_, _| ()));
    story.checks("a", &[Answered, Slow, Slow, Slow, Slow, Slow]);
    assert_eq!(story.status("a"), Status::Warning);
    story.checks("a", &[Answered; 6]);
    assert_eq!(story.status("a"), Status::Ok);
    story.pass(1000);
    assert_eq!(story.told(), []);
}

#[test]
fn an_unknown_device_is_neither_down_nor_told_of() {
    let mut story = Story::new(plan(&["a"], |settings, _| settings.tolerance = Duration::ZERO));
    story.checks("a", &[Answered, Unknown, Unknown, Answered]);
    let statuses: Vec<Status> = story.transitions.iter().map(|(_, _, to)| *to).collect();
    assert_eq!(statuses, [Status::Ok, Status::Unknown, Status::Ok]);
    story.pass(NEVER / 10);
    assert_eq!(story.told(), []);
}

#[test]
fn a_paused_device_says_so_and_opens_nothing() {
    let mut plan = plan(&["a"], |settings, _| settings.tolerance = Duration::ZERO);
    plan.targets[0].paused = true;
    let mut story = Story::new(plan);
    story.checks("a", &[Silent, Silent]);
    story.pass(100);
    assert_eq!((story.status("a"), story.told()), (Status::Unknown, Vec::new()));
}
