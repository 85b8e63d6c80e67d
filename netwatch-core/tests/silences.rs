//! What a silence means, and what it does not: that of a device behind another, of one that was paused, of one that waits
//! for a witness. Each that counts is told once and in time, and each that does not has its reason.

#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod story;

use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{
    Calendar, Cause, Decision, Echo, Event, Host, Loss, Maintenance, Period, Plan, Sample, Scope, Settings, Status,
    TargetId, Testimony, WitnessId,
};
use story::Check::{Answered, Silent, Slow, Unknown};
use story::{SECOND, Story, now, plan};

/// These targets, and who is behind whom; a silence is due at once.
fn tree(names: &[&str], parents: &[(usize, usize)]) -> Plan {
    behind(plan(names, |settings, _| settings.tolerance = Duration::ZERO), parents)
}

fn behind(mut plan: Plan, parents: &[(usize, usize)]) -> Plan {
    for (child, parent) in parents {
        plan.targets[*child] = plan.targets[*child].clone().with_parents([TargetId::from_index(*parent)]);
    }
    plan
}

/// Checks this one at this second.
fn at(story: &mut Story, second: u64, name: &str, found: story::Check) {
    story.pass(second - story.seconds);
    story.check(name, found);
}

/// A check of a device of the plan that took the last 2 s.
fn sample(story: &Story, name: &str, echoes: &[Echo]) -> Sample {
    let index = story.plan.targets.iter().position(|target| &*target.name == name).expect("a target of the plan");
    let (at, ended) = (now(story.seconds - 2).mono, now(story.seconds).mono);
    Sample::new(TargetId::from_index(index), at, ended, echoes.iter().copied().collect())
}

/// What finished at the same moment comes in one batch.
fn batch(story: &mut Story, second: u64, checks: &[(&str, &[Echo])]) {
    story.pass(second - story.seconds);
    let samples: Vec<Sample> = checks.iter().map(|(name, echoes)| sample(story, name, echoes)).collect();
    story.monitor.handle_samples(now(second), &samples);
    story.carry_out();
}

fn reload(story: &mut Story, second: u64, plan: Plan) {
    story.pass(second - story.seconds);
    story.plan = Arc::new(plan);
    story.monitor.handle_reload(now(second), story.plan.clone());
    story.carry_out();
}

/// The same plan with this target paused.
fn paused(mut plan: Plan, index: usize) -> Plan {
    plan.targets[index].paused = true;
    plan
}

/// The mails that say that this device is down.
fn down_mails(story: &Story, name: &str) -> Vec<u64> {
    let is_down = |words: &str| {
        let down = words.split(", ").find_map(|part| part.strip_prefix("down "));
        down.is_some_and(|names| names.split(' ').any(|one| one == name))
    };
    story.mails.iter().filter(|(_, words)| is_down(words)).map(|(second, _)| *second).collect()
}

/// What the ledger says of a device, notifiers apart.
fn reasons(story: &Story, name: &str) -> Vec<Decision> {
    let entries = story.events.iter().filter_map(|event| match event {
        Event::Ledger(entry) if &*entry.target == name && entry.notifier.is_none() => Some(entry.decision.clone()),
        _ => None,
    });
    entries.collect()
}

const REPLY: Echo = Echo::Reply(netwatch_core::Rtt::UNMEASURED);
const LOST: Echo = Echo::Lost(Loss::NoReply);

#[test]
fn what_waits_for_its_parent_is_due_as_soon_as_that_is_heard_although_it_answers_again_before_its_next_check() {
    let mut story = Story::new(tree(&["agg", "c1", "c2"], &[(1, 0), (2, 0)]));
    for name in ["agg", "c1", "c2"] {
        at(&mut story, 10, name, Answered);
    }
    at(&mut story, 20, "c1", Silent);
    at(&mut story, 20, "c2", Silent);
    at(&mut story, 30, "agg", Answered);
    at(&mut story, 35, "c1", Answered);
    at(&mut story, 35, "c2", Answered);
    story.pass(20);
    assert_eq!(story.told(), [(40, "down c1 c2")], "their silence was due at 30, and the group waits 10 s");
}

#[test]
fn a_parent_in_doubt_is_waited_for_until_its_next_full_check() {
    let mut story = Story::new(tree(&["agg", "c"], &[(1, 0)]));
    at(&mut story, 10, "agg", Answered);
    at(&mut story, 10, "c", Answered);
    at(&mut story, 20, "c", Silent);
    // Asked with half the pings it lost them all, which proves nothing.
    batch(&mut story, 30, &[("agg", &[LOST; 3])]);
    story.pass(9);
    assert_eq!((story.status("agg"), story.told()), (Status::Ok, vec![]));
    at(&mut story, 40, "agg", Answered);
    at(&mut story, 45, "c", Answered);
    story.pass(20);
    assert_eq!(story.told(), [(50, "down c")]);
}

#[test]
fn nobody_is_told_of_what_answers_again_before_its_parent_was_heard() {
    let mut story = Story::new(tree(&["agg", "c"], &[(1, 0)]));
    at(&mut story, 10, "agg", Answered);
    at(&mut story, 20, "c", Silent);
    at(&mut story, 25, "c", Answered);
    at(&mut story, 30, "agg", Answered);
    story.pass(300);
    assert_eq!(story.told(), []);
}

#[test]
fn a_parent_that_could_not_be_seen_before_is_heard_with_its_next_check_whatever_that_says() {
    for (found, told) in [(Unknown, (40, "down c")), (Answered, (40, "down c")), (Silent, (40, "down agg"))] {
        let mut story = Story::new(tree(&["agg", "c"], &[(1, 0)]));
        at(&mut story, 10, "agg", Answered);
        at(&mut story, 10, "c", Answered);
        at(&mut story, 15, "agg", Unknown);
        at(&mut story, 20, "c", Silent);
        at(&mut story, 30, "agg", found);
        story.pass(30);
        assert_eq!(story.told(), [told], "its own check of 15 says nothing of the silence since 18");
    }
}

#[test]
fn a_parent_that_is_seen_no_more_since_its_child_fell_silent_is_waited_for_ten_minutes() {
    let mut story = Story::new(tree(&["agg", "c"], &[(1, 0)]));
    at(&mut story, 10, "agg", Answered);
    at(&mut story, 20, "c", Silent);
    for second in (30..700).step_by(10) {
        at(&mut story, second, "agg", Unknown);
        at(&mut story, second, "c", Silent);
    }
    assert_eq!(down_mails(&story, "c"), [650], "unseen since 30, and the check of 640 began 600 s later");
}

#[test]
fn a_parent_that_answers_leaves_the_way_open_whatever_is_above_it() {
    let mut story = Story::new(tree(&["core", "sw", "c"], &[(1, 0), (2, 1)]));
    for name in ["core", "sw", "c"] {
        at(&mut story, 10, name, Answered);
    }
    // Its management address dies, and it goes on forwarding.
    at(&mut story, 20, "core", Silent);
    at(&mut story, 35, "sw", Answered);
    at(&mut story, 36, "c", Silent);
    at(&mut story, 45, "sw", Answered);
    story.pass(200);
    assert_eq!((story.status("c"), story.told()), (Status::Down, vec![(30, "down core"), (150, "down c")]));
}

#[test]
fn of_a_parent_and_a_child_that_both_never_answered_each_is_told() {
    let mut story = Story::new(tree(&["agg", "c"], &[(1, 0)]));
    for second in [10, 20, 30] {
        at(&mut story, second, "agg", Silent);
        at(&mut story, second + 2, "c", Silent);
    }
    story.pass(300);
    assert_eq!(story.status("c"), Status::Down, "a parent that never answered hides nothing");
    assert_eq!((down_mails(&story, "agg").len(), down_mails(&story, "c").len()), (1, 1));
}

#[test]
fn an_outage_that_waited_for_one_parent_and_was_due_without_it_is_not_due_once_more_when_that_is_heard() {
    let mut story = Story::new(tree(&["core", "sw", "c"], &[(1, 0), (2, 1)]));
    at(&mut story, 10, "core", Answered);
    // It never answered, so the way leads on to the core.
    at(&mut story, 10, "sw", Silent);
    at(&mut story, 12, "c", Answered);
    at(&mut story, 20, "c", Silent);
    at(&mut story, 22, "sw", Silent);
    at(&mut story, 30, "c", Silent);
    at(&mut story, 32, "sw", Answered);
    at(&mut story, 40, "c", Silent);
    at(&mut story, 45, "core", Answered);
    story.pass(20_000);
    assert_eq!(down_mails(&story, "c").len(), 1, "{:?}", story.told());
    let due = story.events.iter().filter(|event| match event {
        Event::OutageDue(id, _) => id.index() == 2,
        _ => false,
    });
    assert_eq!(due.count(), 1);
}

#[test]
fn a_child_found_silent_in_the_same_moment_as_its_parent_returned_has_its_settle_time_and_the_ledger_says_so() {
    let mut story = Story::new(behind(plan(&["agg", "c"], |_, _| ()), &[(1, 0)]));
    at(&mut story, 10, "agg", Answered);
    at(&mut story, 10, "c", Answered);
    at(&mut story, 20, "agg", Silent);
    for second in [21, 31, 41] {
        at(&mut story, second, "c", Silent);
    }
    assert_eq!(story.status("c"), Status::Unreachable);
    batch(&mut story, 50, &[("agg", &[REPLY; 5]), ("c", &[LOST; 5])]);
    for second in [60, 70, 80, 90] {
        at(&mut story, second, "c", Silent);
    }
    at(&mut story, 100, "c", Answered);
    story.pass(300);
    assert_eq!(story.told(), [], "it came back within a minute after its parent");
    let (tolerance, settle) = (SECOND * 30, SECOND * 60);
    let expected = [
        Decision::Opened { tolerance },
        Decision::Explained { parent: "agg".into() },
        Decision::ParentReturned { tolerance: settle },
        Decision::Answers,
    ];
    assert_eq!(reasons(&story, "c"), expected);
}

#[test]
fn a_silence_that_was_explained_before_a_restart_is_not_called_too_short_when_it_ends() {
    let same = || behind(plan(&["agg", "c"], |_, _| ()), &[(1, 0)]);
    let mut story = Story::new(same());
    at(&mut story, 10, "agg", Answered);
    at(&mut story, 10, "c", Answered);
    at(&mut story, 20, "agg", Silent);
    for second in (21..300).step_by(10) {
        at(&mut story, second, "c", Silent);
    }
    let mut story = Story::go_on(same(), story.saved, 310);
    story.checks("c", &[Answered; 8]);
    assert_eq!(reasons(&story, "c"), [Decision::Answers, Decision::Closed], "it was silent for far longer than 30 s");
}

#[test]
fn a_device_is_not_flapping_because_its_parent_is() {
    let mut story = Story::new(behind(plan(&["agg", "c"], |_, _| ()), &[(1, 0)]));
    at(&mut story, 5, "c", Answered);
    for cycle in 0..5 {
        let begin = cycle * 120;
        at(&mut story, begin + 10, "agg", Answered);
        at(&mut story, begin + 11, "c", Answered);
        at(&mut story, begin + 20, "agg", Silent);
        at(&mut story, begin + 22, "c", Silent);
        at(&mut story, begin + 30, "c", Answered);
    }
    at(&mut story, 610, "agg", Answered);
    at(&mut story, 615, "agg", Answered);
    for second in (620..800).step_by(10) {
        at(&mut story, second, "c", Silent);
        at(&mut story, second + 5, "agg", Answered);
    }
    let flapping = |id: usize| {
        let of = |event: &&Event| matches!(event, Event::Flapping { target, .. } if target.index() == id);
        story.events.iter().filter(of).count()
    };
    assert_eq!((flapping(0), flapping(1)), (1, 0));
    assert_eq!(down_mails(&story, "c").len(), 1, "its own outage is told as one: {:?}", story.told());
}

#[test]
fn what_its_parent_did_while_a_device_was_paused_does_not_change_its_tolerance() {
    let watched = || behind(plan(&["agg", "c"], |_, _| ()), &[(1, 0)]);
    let mut story = Story::new(watched());
    at(&mut story, 10, "agg", Answered);
    at(&mut story, 10, "c", Answered);
    at(&mut story, 20, "c", Silent);
    at(&mut story, 22, "agg", Silent);
    for second in [30, 40, 50] {
        at(&mut story, second, "c", Silent);
    }
    assert_eq!(story.status("c"), Status::Unreachable);
    reload(&mut story, 51, paused(watched(), 1));
    for second in (60..200).step_by(10) {
        at(&mut story, second, "agg", Answered);
    }
    reload(&mut story, 200, watched());
    for second in [210, 220, 230, 240] {
        at(&mut story, second, "c", Silent);
    }
    story.pass(100);
    assert_eq!(story.told(), [(250, "down c")], "2 s seen at 210, 32 s at 240: the silence that was explained is none");
}

#[test]
fn neither_a_pause_nor_a_reload_makes_silence_of_what_nobody_saw() {
    let minutely = || {
        plan(&["a"], |settings, _| {
            (settings.interval, settings.tolerance) = (SECOND * 60, SECOND * 40);
        })
    };
    let mut story = Story::new(minutely());
    at(&mut story, 40, "a", Unknown);
    at(&mut story, 100, "a", Silent);
    reload(&mut story, 105, paused(minutely(), 0));
    reload(&mut story, 150, minutely());
    at(&mut story, 160, "a", Silent);
    story.pass(30);
    assert_eq!(story.told(), [], "the 2 s of a check before the pause, and of one after it");
    at(&mut story, 220, "a", Unknown);
    reload(&mut story, 230, minutely());
    at(&mut story, 280, "a", Silent);
    story.pass(30);
    assert_eq!(story.told(), [], "and 2 s after one that could not tell");
}

#[test]
fn a_reload_before_the_first_check_lets_no_sign_of_life_speak_for_a_device() {
    let same = || plan(&["a"], |_, _| ());
    let mut story = Story::new(same());
    story.checks("a", &[Answered; 3]);
    let answered = now(story.seconds).wall;
    let mut story = Story::go_on(same(), story.saved, 600);
    reload(&mut story, 605, same());
    story.pass(600);
    let story = Story::go_on(same(), story.saved, 2000);
    let believed = story.monitor.start(now(2000)).targets[0].last_good.expect("it answered once");
    assert!(believed <= answered, "nobody has asked it since");
}

#[test]
fn a_device_that_was_paused_while_the_program_stood_still_says_so() {
    let watched = || tree(&["a"], &[]);
    let mut story = Story::new(watched());
    story.checks("a", &[Answered, Silent]);
    let start = story.monitor.start(now(story.seconds));
    let open = start.targets[0].outage.as_ref().expect("who begins to listen learns of what is open");
    assert!(open.due.is_some() && open.closed.is_none());
    let story = Story::go_on(paused(watched(), 0), story.saved, 100);
    let view = story.monitor.start(now(100)).targets[0].clone();
    assert_eq!((view.status, view.cause), (Status::Unknown, Some(Cause::Paused)), "nobody asks it whether it is down");
}

#[test]
fn a_silent_device_that_could_not_be_seen_at_the_end_is_not_shown_as_down_after_a_restart() {
    let same = || plan(&["a"], |_, _| ());
    let mut story = Story::new(same());
    story.checks("a", &[Answered, Silent, Silent, Unknown]);
    let story = Story::go_on(same(), story.saved, 100);
    assert_eq!(story.status("a"), Status::Unknown);
}

#[test]
fn a_device_that_cannot_be_seen_since_the_start_is_told_of_after_ten_minutes() {
    let same = || plan(&["a"], |_, _| ());
    let mut story = Story::new(same());
    story.checks("a", &[Answered; 3]);
    let mut story = Story::go_on(same(), story.saved, 100);
    story.checks("a", &[Unknown; 60]);
    assert_eq!(story.told(), []);
    story.checks("a", &[Unknown; 10]);
    assert_eq!(story.mails.len(), 1, "{:?}", story.told());
}

#[test]
fn however_long_the_interval_and_short_the_tolerance_a_program_killed_again_and_again_sees_it_pass() {
    for (interval, tolerance) in [(60, 600), (10, 30)] {
        let slow = || {
            plan(&["a"], |settings: &mut Settings, _| {
                (settings.interval, settings.tolerance) = (SECOND * interval, SECOND * tolerance);
            })
        };
        let mut story = Story::new(slow());
        story.pass(10);
        story.check("a", Answered);
        for _ in 0..15 {
            for _ in 0..2 {
                story.pass(u64::from(interval));
                story.check("a", Silent);
            }
            let (saved, seconds, mails) = (story.saved, story.seconds, story.mails);
            story = Story::go_on(slow(), saved, seconds + 1);
            story.mails = mails;
        }
        story.pass(20);
        assert_eq!(story.mails.len(), 1, "asked every {interval} s, tolerance {tolerance} s");
    }
}

#[test]
fn answers_do_not_overtake_a_silence_that_waits_for_a_witness() {
    let mut watched = plan(&["a"], |settings, _| settings.interval = SECOND * 2);
    watched.witnesses.push(Host::Ip { ip: [192, 0, 2, 254].into(), zone: None });
    // Whatever is configured meanwhile.
    let orders = [[Silent, Silent, Answered], [Silent, Answered, Answered], [Answered, Silent, Answered]];
    for (checks, reloads) in orders.into_iter().flat_map(|checks| [(checks, false), (checks, true)]) {
        let mut story = Story::new(watched.clone());
        at(&mut story, 10, "a", Answered);
        for (found, second) in checks.into_iter().zip([20, 22, 24]) {
            if reloads {
                reload(&mut story, second, watched.clone());
            }
            at(&mut story, second, "a", found);
        }
        assert_eq!(story.status("a"), Status::Ok, "no witness has spoken");
        let asked = now(24);
        story.monitor.handle_witness(asked, WitnessId::from_index(0), asked.mono, Testimony::Answered);
        story.carry_out();
        let seen: Vec<Status> = story.transitions.iter().map(|(_, _, to)| *to).collect();
        assert_eq!(seen, [Status::Ok, Status::Down, Status::Ok], "it answered last");
    }
}

#[test]
fn what_was_slow_before_an_outage_is_no_warning_after_it() {
    let mut story = Story::new(plan(&["a"], |_, _| ()));
    story.checks("a", &[Slow; 6]);
    assert_eq!(story.status("a"), Status::Warning);
    story.checks("a", &[Silent, Answered]);
    assert_eq!(story.status("a"), Status::Ok);
}

#[test]
fn a_device_that_is_paused_no_more_and_cannot_be_seen_is_told_of_after_ten_minutes() {
    let mut story = Story::new(plan(&["a"], |_, _| ()));
    story.checks("a", &[Answered; 3]);
    reload(&mut story, 100, paused(plan(&["a"], |_, _| ()), 0));
    reload(&mut story, 1000, plan(&["a"], |_, _| ()));
    while story.seconds < 3000 {
        story.checks("a", &[Unknown]);
    }
    let seconds: Vec<u64> = story.mails.iter().map(|(second, _)| *second).collect();
    let [second] = seconds[..] else { panic!("told at {seconds:?}") };
    assert!((1600..1700).contains(&second), "ten minutes from when it was to be asked again, not at {second}");
}

#[test]
fn an_outage_whose_maintenance_ended_while_netwatch_was_stopped_has_its_tolerance_again() {
    let plan = |name: &str| {
        let mut plan = plan(&["a"], |_, _| ());
        // The other two are long over, and to come.
        let periods = [(1, 2), (35, 2000), (90_000, 91_000)];
        let calendar = Calendar::new(periods.map(|(from, to)| Period::new(now(from).wall, now(to).wall)));
        plan.maintenance.push(Maintenance::new(Scope::targets([name]), calendar));
        plan
    };
    for (name, told) in [("a", false), ("another", true)] {
        let mut story = Story::new(plan(name));
        // 20 s of its tolerance of 30 s have passed when it begins, if it is in one.
        story.checks("a", &[Answered, Silent, Silent]);
        story.monitor.handle_stop(now(story.seconds));
        story.carry_out();
        let mut story = Story::go_on(plan(name), story.saved, 2100);
        story.checks("a", &[Silent, Silent]);
        story.checks("a", &[Answered; 10]);
        story.pass(300);
        assert_eq!(!story.told().is_empty(), told, "{:?}", story.told());
    }
}

#[test]
fn a_maintenance_that_was_over_before_netwatch_was_stopped_gives_nothing_again() {
    let mut plan = plan(&["a"], |_, _| ());
    let periods = [(1, 2), (90_000, 91_000)].map(|(from, to)| Period::new(now(from).wall, now(to).wall));
    plan.maintenance.push(Maintenance::new(Scope::targets(["a"]), Calendar::new(periods)));
    let mut story = Story::new(plan.clone());
    story.checks("a", &[Answered, Silent, Silent]);
    story.monitor.handle_stop(now(story.seconds));
    story.carry_out();
    let mut story = Story::go_on(plan, story.saved, 2100);
    story.checks("a", &[Silent, Silent]);
    story.checks("a", &[Answered; 10]);
    story.pass(300);
    assert!(!story.told().is_empty(), "20 s before the stop and 12 s after it are its tolerance of 30 s");
}

#[test]
fn of_an_outage_that_was_told_the_ledger_does_not_say_that_it_has_its_tolerance_again() {
    let mut story = Story::new(tree(&["agg", "c"], &[(1, 0)]));
    let answered = [Echo::Reply(netwatch_core::Rtt::UNMEASURED)];
    at(&mut story, 10, "agg", Answered);
    at(&mut story, 10, "c", Answered);
    at(&mut story, 15, "c", Silent);
    at(&mut story, 16, "agg", Answered);
    at(&mut story, 18, "agg", Silent);
    at(&mut story, 20, "c", Silent);
    assert_eq!(story.status("c"), Status::Unreachable);
    batch(&mut story, 32, &[("agg", &answered), ("c", &[Echo::Lost(Loss::NoReply)])]);
    assert_eq!(story.status("c"), Status::Down);
    let reasons = reasons(&story, "c");
    assert!(!reasons.iter().any(|reason| matches!(reason, Decision::ParentReturned { .. })), "{reasons:?}");
}
