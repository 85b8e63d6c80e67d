//! What a record would have sent under another plan, and what a reload or a restart must not lose, repeat or make up.

#![allow(clippy::expect_used)]

mod field;
mod story;

use std::sync::Arc;
use std::time::Duration;

use field::{Field, policy, wall};
use netwatch_core::{
    Calendar, Cause, Content, Decision, Event, Host, Input, Maintenance, Notification, NotifierPolicy, Now, Period,
    Plan, Scope, Settings, Status, Target, TargetId, rehearse,
};
use story::{Answered, Server, Silent, Story};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

fn targets(names: &[&str]) -> Vec<Target> {
    names.iter().map(|name| Target::at(*name, [192, 0, 2, 1].into())).collect()
}

fn plan(names: &[&str], notifiers: impl IntoIterator<Item = NotifierPolicy>) -> Plan {
    notifiers.into_iter().fold(Plan::new(targets(names)), Plan::with_notifier)
}

/// Mails say their lines as `topic kind name`, and how often a device has changed.
fn words() -> field::Words {
    Box::new(|draft| {
        let lines = draft.lines.iter().map(|line| {
            let changes = if line.changes > 0 { format!(" x{}", line.changes) } else { String::new() };
            format!("{} {} {}{changes}", line.topic.code(), line.kind.code(), line.subject.name)
        });
        Content::new(lines.collect::<Vec<_>>().join(", "), "", "")
    })
}

/// What one notifier was told, in its order.
fn said(field: &Field, notifier: &str) -> Vec<String> {
    let mine = field.mails.iter().filter(|mail| &*mail.notification.notifier == notifier);
    mine.map(|mail| mail.notification.content.subject.clone()).collect()
}

/// From 600 on the radio is down for two minutes of every four, so many times.
fn flap(field: &mut Field, times: u64) {
    for n in 0..times {
        field.silence("radio", 600 + n * 240..600 + n * 240 + 120);
    }
}

mod rehearsed {
    use super::*;

    fn lines<'a>(mails: impl Iterator<Item = &'a Notification>) -> Vec<String> {
        let lines = mails.flat_map(|mail| mail.lines.iter());
        lines.map(|line| format!("{} {} {}", line.topic.code(), line.kind.code(), line.subject.name)).collect()
    }

    #[test]
    fn a_mail_would_have_left_when_its_own_plan_says_and_not_when_something_else_happens() {
        let mut field = Field::recorded(plan(&["c15"], [policy("noc")]));
        field.silence("c15", 300..900);
        field.run_until(1200);
        let sent = field.mails.first().expect("a mail").second;
        let mut patient = policy("noc");
        patient.group_wait += Duration::from_secs(87);
        let mails: Vec<(Now, Notification)> = rehearse(&field.record, Arc::new(plan(&["c15"], [patient])));
        let (now, mail) = mails.first().expect("a mail");
        let second = now.wall.since(wall(0)).as_secs();
        assert_eq!((second, mail.content.subject.as_str()), (sent + 87, "c15"));
    }

    #[test]
    fn what_people_and_witnesses_said_counts_as_it_did() {
        let plan = || {
            let mut noc = policy("noc");
            noc.reminder = Some(Duration::from_secs(30 * MINUTE));
            let mut plan = plan(&["a", "b", "c"], [noc]);
            plan.witnesses.push(Host::Ip { ip: [192, 0, 2, 254].into(), zone: None });
            plan
        };
        let mut field = Field::recorded(plan());
        field.silence("a", 600..2 * HOUR);
        field.silence("b", 600..2 * HOUR);
        field.cut_off.push(3 * HOUR..3 * HOUR + 10 * MINUTE);
        field.run_until(300);
        let now = field.now();
        let hours = Calendar::new([Period::new(now.wall, now.wall.plus(Duration::from_secs(3 * HOUR)))]);
        field.input(Input::Maintain(Maintenance::new(Scope::targets(["a"]), hours)));
        field.carry_out();
        field.run_until(900);
        field.input(Input::Acknowledge { target: "b".into(), by: "ana".into(), note: "en camino".into() });
        field.carry_out();
        field.run_until(4 * HOUR);
        let sent = lines(field.mails.iter().map(|mail| &mail.notification));
        assert_eq!(sent, ["outage opened b", "outage closed b", "blind opened ", "blind closed "]);
        let rehearsed = rehearse(&field.record, Arc::new(plan()));
        assert_eq!(lines(rehearsed.iter().map(|(_, mail)| mail)), sent);
        assert_eq!(rehearsed.len(), field.mails.len(), "no reminder of what was acknowledged either");
    }
}

mod reloaded {
    use super::*;

    #[test]
    fn a_reload_ends_no_flapping_and_brings_a_new_notifier_none_of_its_changes() {
        let mut field = Field::with_words(plan(&["radio"], [policy("noc")]), words());
        flap(&mut field, 40);
        field.run_until(600 + 20 * 240 + 60);
        let before = said(&field, "noc").len();
        field.reload(plan(&["radio"], [policy("noc"), policy("jefe")]));
        field.run_until(600 + 40 * 240);
        assert_eq!(said(&field, "noc").len(), before, "{:?}", field.told());
        assert_eq!(said(&field, "jefe"), [""; 0], "it waits until the device has settled");
        field.run_until(600 + 40 * 240 + 40 * MINUTE);
        let after = said(&field, "noc")[before..].join(", ");
        assert!(after.contains("flapping closed radio x80"), "{after}");
    }

    #[test]
    fn the_sign_of_life_goes_on_after_a_reload_once_whoever_is_new_was_asked() {
        let known = ["a", "b", "p", "q"];
        let paused = |mut plan: Plan| {
            plan.targets.iter_mut().filter(|it| ["p", "q"].contains(&&*it.name)).for_each(|it| it.paused = true);
            plan
        };
        let mut field = Field::new(paused(plan(&known, [policy("noc")])));
        field.run_until(60);
        let mut more = paused(plan(&["a", "b", "p", "q", "new"], [policy("noc")]));
        let mut seldom = Settings::default();
        seldom.interval = Duration::from_secs(600);
        more.targets[4] = more.targets[4].clone().with_settings(seldom);
        field.reload(more);
        while field.status("new") == Status::Pending || field.status("new") == Status::Unknown {
            let alive = field.saved.alive_at.expect("a sign of life");
            assert!(alive <= wall(60), "it would speak for one that nobody has asked yet");
            field.run_until(field.second() + 10);
        }
        field.run_until(field.second() + 20);
        let alive = field.saved.alive_at.expect("a sign of life");
        assert!(field.now().wall.since(alive) < Duration::from_secs(15), "{alive:?}");
    }

    #[test]
    fn a_parent_that_a_reload_brings_explains_its_children_at_once() {
        let mut field = Field::new(plan(&["p", "c"], [policy("noc")]));
        field.silence("p", 300..900);
        field.silence("c", 300..900);
        field.run_until(400);
        assert_eq!((field.status("p"), field.status("c")), (Status::Down, Status::Down));
        let mut behind = plan(&["p", "c"], [policy("noc")]);
        behind.targets[1] = behind.targets[1].clone().with_parents([TargetId::from_index(0)]);
        field.reload(behind);
        assert_eq!((field.status("p"), field.status("c")), (Status::Down, Status::Unreachable));
    }
}

mod taken_over {
    use super::*;

    fn told_by(name: &str) -> Plan {
        story::plan(&["a"], |settings, policy| {
            (settings.tolerance, settings.settle) = (Duration::ZERO, Duration::ZERO);
            policy.name = name.into();
        })
    }

    #[test]
    fn a_mail_that_nobody_is_known_to_have_is_told_by_the_notifier_that_replaces_its_own() {
        let mut story = Story::new(told_by("noc"));
        story.server = Server::TakesWithoutSaying;
        story.check("a", Silent);
        story.pass(15);
        assert!(story.saved.lines.is_empty() && story.saved.mails.len() == 1, "it is frozen");
        let mut open = Story::go_on(told_by("turno"), story.saved.clone(), 100);
        open.pass(120);
        assert_eq!(open.told().iter().map(|(_, words)| *words).collect::<Vec<_>>(), ["down a"]);
        story.check("a", Answered);
        let mut over = Story::go_on(told_by("turno"), story.saved, 100);
        over.pass(120);
        let words = over.told().iter().map(|(_, words)| *words).collect::<Vec<_>>().join(", ");
        assert!(words.contains("was a") && !words.contains("down"), "it is up by now: {words}");
    }

    #[test]
    fn a_mail_that_only_some_are_still_to_get_is_not_told_again_by_another_notifier() {
        let mut story = Story::new(told_by("noc"));
        story.server = Server::HalfTheRecipients;
        story.check("a", Silent);
        story.pass(15);
        story.check("a", Answered);
        story.pass(200);
        assert!(!story.saved.mails.is_empty(), "somebody does not have it");
        let mut story = Story::go_on(told_by("turno"), story.saved, 400);
        story.pass(600);
        assert_eq!(story.told(), []);
    }
}

#[test]
fn flapping_that_is_told_when_it_is_over_is_told_with_all_its_changes() {
    let mut noc = policy("noc");
    noc.hours = Some(Calendar::new([Period::new(wall(7 * 3600), wall(22 * 3600))]));
    let mut field = Field::with_words(plan(&["radio"], [noc]), words());
    flap(&mut field, 20);
    field.run_until(8 * HOUR);
    let all = said(&field, "noc").join(", ");
    assert!(all.contains("flapping missed radio x40"), "{:?}", field.told());
}

#[test]
fn a_flapping_device_that_cannot_be_seen_has_not_settled() {
    let mut field = Field::with_words(plan(&["radio"], [policy("noc")]), words());
    flap(&mut field, 10);
    let end = 600 + 10 * 240;
    field.unknowns.insert("radio".into(), (end..end + HOUR, Cause::NoRoute));
    field.run_until(end + HOUR);
    assert!(said(&field, "noc").iter().all(|words| !words.contains("flapping closed")), "{:?}", field.told());
    field.run_until(end + HOUR + 5 * MINUTE);
    assert_eq!(said(&field, "noc").iter().filter(|words| words.contains("flapping closed radio x20")).count(), 1);
}

#[test]
fn that_netwatch_was_blind_is_in_the_ledger() {
    let mut blind = plan(&["a"], [policy("noc")]);
    blind.witnesses.push(Host::Ip { ip: [192, 0, 2, 254].into(), zone: None });
    let mut field = Field::new(blind);
    field.cut_off.push(600..900);
    field.run_until(1000);
    let reasons = field.events.iter().filter_map(|(second, event)| match event {
        Event::Ledger(entry) if entry.decision == (Decision::Unknown { cause: Cause::Blind }) => Some(*second),
        _ => None,
    });
    let reasons: Vec<u64> = reasons.collect();
    assert!(matches!(reasons[..], [second] if (650..680).contains(&second)), "{reasons:?}");
}

#[test]
fn a_device_that_is_always_asked_with_three_pings_is_down_with_its_first_silent_check() {
    let mut three = plan(&["a"], [policy("noc")]);
    let mut settings = Settings::default();
    settings.pings = 3;
    three.targets[0] = three.targets[0].clone().with_settings(settings);
    let mut field = Field::new(three);
    field.silence("a", 300..900);
    field.run_until(600);
    let down = field.transitions.iter().find(|(_, change)| change.to == Status::Down).map(|(second, _)| *second);
    assert!(down.is_some_and(|second| second < 310), "it is asked at 300, and again at 310: {down:?}");
}
