//! When who is told what: hours, what is critical, reminders, summaries, escalation, flapping, maintenance, acknowledgements
//! and scopes; what netwatch cannot see, and that it is blind.

#![allow(clippy::expect_used)]

mod field;

use std::time::Duration;

use field::{Field, Manner, plan, policy, targets, wall};
use netwatch_core::{
    Budget, Calendar, Cause, Content, Decision, Event, Group, GroupId, Hold, Host, LineKind, Maintenance,
    NotifierPolicy, Period, Plan, Scope, Standing, StandingKind, Status, Target, TargetId, Topic,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// Mails say their lines as `topic kind name`, and how everything stands.
fn field(plan: Plan) -> Field {
    let standing = |standing: &Standing| {
        let word = if standing.kind == StandingKind::Reminder { "still" } else { "summary" };
        let names: Vec<&str> = standing.open.iter().map(|line| line.subject.name.as_ref()).collect();
        format!("{word} {} of {} warn {}", names.join(" "), standing.open_total, standing.warnings_total)
    };
    let words = move |draft: &netwatch_core::Draft| {
        let lines = draft.lines.iter().map(|line| {
            let mut words = format!("{} {} {}", line.topic.code(), line.kind.code(), line.subject.name);
            if line.changes > 0 {
                words += &format!("x{}", line.changes);
            }
            if !line.members.is_empty() {
                words += &line.members.join("+");
            }
            words
        });
        let mut all: Vec<String> = lines.collect();
        all.extend(draft.standing.as_ref().map(standing));
        if draft.core {
            all.push("core".to_owned());
        }
        Content::new(all.join(", "), "", "")
    };
    Field::with_words(plan, Box::new(words))
}

/// The mails of one notifier, with their minutes.
fn mails_of(field: &Field, notifier: &str) -> Vec<(u64, String)> {
    let mine = field.mails.iter().filter(|mail| &*mail.notification.notifier == notifier);
    mine.map(|mail| (mail.second / 60, mail.notification.content.subject.clone())).collect()
}

fn said(field: &Field, notifier: &str) -> Vec<String> {
    mails_of(field, notifier).into_iter().map(|(_, words)| words).collect()
}

fn calendar(periods: &[(u64, u64)]) -> Calendar {
    Calendar::new(periods.iter().map(|(from, to)| Period::new(wall(*from as i64), wall(*to as i64))))
}

#[test]
fn outside_its_hours_a_notifier_waits_for_the_morning_and_what_is_critical_does_not() {
    let mut plan = plan(&["a", "b"], |noc| noc.hours = Some(calendar(&[(7 * HOUR, 22 * HOUR)])));
    plan.targets[1].critical = true;
    let mut at_night = field(plan.clone());
    at_night.silence("a", 2 * HOUR..5 * HOUR);
    at_night.run_until(8 * HOUR);
    assert_eq!(mails_of(&at_night, "noc"), [(7 * 60, "outage missed a".to_owned())]);
    let mut at_night = field(plan);
    at_night.silence("a", 2 * HOUR..9 * HOUR);
    at_night.silence("b", 3 * HOUR..9 * HOUR);
    at_night.run_until(8 * HOUR);
    let told = mails_of(&at_night, "noc");
    assert_eq!(told, [(3 * 60, "outage opened a, outage opened b".to_owned())], "it carries all that is held");
}

/// What kept the lines of a notifier, by device, each with the minute until which it was to, as the ledger has it.
fn kept(field: &Field) -> Vec<(&str, Hold, Option<u64>)> {
    let entries = field.events.iter().filter_map(|(_, event)| match event {
        Event::Ledger(entry) => Some(entry),
        _ => None,
    });
    let held = entries.filter_map(|entry| match entry.decision {
        Decision::Held { hold, until } => Some((&*entry.target, hold, until)),
        _ => None,
    });
    held.map(|(name, hold, until)| (name, hold, until.map(|until| until.since(wall(0)).as_secs() / 60))).collect()
}

#[test]
fn who_asks_why_a_mail_waited_for_the_morning_is_told_of_the_hours_in_it_and_in_the_ledger() {
    let plan = plan(&["a", "b"], |noc| noc.hours = Some(calendar(&[(7 * HOUR, 22 * HOUR)])));
    let words = |draft: &netwatch_core::Draft| {
        let held: Vec<String> = draft.held.iter().map(|held| format!("{} {}", held.target, held.hold.code())).collect();
        Content::new(held.join(", "), "", "")
    };
    let mut field = Field::with_words(plan.clone(), Box::new(words));
    field.silence("a", 2 * HOUR..30 * HOUR);
    field.silence("b", 9 * HOUR..30 * HOUR);
    field.run_until(10 * HOUR);
    let by_day = (9 * HOUR + 30) / 60;
    assert_eq!(kept(&field), [("a", Hold::Hours, Some(7 * 60)), ("b", Hold::GroupWait, Some(by_day))]);
    assert_eq!(said(&field, "noc"), ["a hours", ""], "and by day it says nothing of them");

    let mut critical = plan;
    critical.targets[1].critical = true;
    let mut field = Field::with_words(critical, Box::new(words));
    field.silence("a", 2 * HOUR..30 * HOUR);
    field.silence("b", 3 * HOUR..30 * HOUR);
    field.run_until(10 * HOUR);
    assert_eq!(said(&field, "noc"), ["a hours"], "what is critical did not wait for them");
}

#[test]
fn what_is_critical_passes_interval_and_budget_and_makes_its_parent_critical() {
    let mut plan = plan(&["agg", "olt", "x"], |noc| noc.budget = Budget::All);
    plan.targets[1].critical = true;
    plan.targets[1] = plan.targets[1].clone().with_parents([TargetId::from_index(0)]);
    let mut field = field(plan);
    field.silence("x", 600..9000);
    field.silence("agg", 700..9000);
    field.silence("olt", 700..9000);
    field.run_until(1000);
    assert_eq!(said(&field, "noc"), ["outage opened x", "outage opened agg"]);
    assert!(field.mails[1].second < 700 + 60, "{:?}", field.told());
}

#[test]
fn a_reminder_lists_what_is_still_down_once_for_all_until_it_is_acknowledged() {
    let remind = |noc: &mut NotifierPolicy| {
        noc.reminder = Some(Duration::from_secs(6 * HOUR));
        noc.budget = Budget::All;
    };
    let mut field = field(plan(&["a", "b", "c"], remind));
    field.silence("a", 600..40 * HOUR);
    field.silence("b", 4 * HOUR..40 * HOUR);
    field.run_until(7 * HOUR);
    assert_eq!(said(&field, "noc")[2..], ["still a b of 2 warn 0"], "{:?}", field.told());
    field.monitor.handle_acknowledge(field.now(), "a", "ana", "");
    field.carry_out();
    field.run_until(13 * HOUR);
    assert_eq!(said(&field, "noc")[3..], ["still b of 1 warn 0"]);
    field.monitor.handle_acknowledge(field.now(), "b", "ana", "").expect("an outage");
    field.run_until(30 * HOUR);
    assert_eq!(said(&field, "noc").len(), 4, "somebody sees to both: {:?}", field.told());
}

#[test]
fn an_acknowledgement_ends_with_its_outage() {
    let mut field = field(plan(&["a"], |noc| noc.reminder = Some(Duration::from_secs(HOUR))));
    field.silence("a", 600..2 * HOUR);
    field.silence("a", 4 * HOUR..7 * HOUR);
    field.run_until(1200);
    assert_eq!(
        field.monitor.handle_acknowledge(field.now(), "a", "ana", "voy").expect("an outage").ack.expect("it").by,
        "ana".into()
    );
    field.carry_out();
    field.restart(5);
    field.run_until(2 * HOUR + 600);
    assert_eq!(said(&field, "noc"), ["outage opened a", "outage closed a"], "also after a restart");
    field.run_until(5 * HOUR + 600);
    assert_eq!(said(&field, "noc")[2..], ["outage opened a", "still a of 1 warn 0"]);
    assert!(field.monitor.handle_acknowledge(field.now(), "b", "ana", "").is_none(), "there is no such device");
}

#[test]
fn a_summary_comes_at_its_time_and_says_how_everything_stands() {
    let mut plan = plan(&["a", "b"], |noc| {
        noc.summaries = [7, 31].map(|hour| wall(hour * HOUR as i64)).into();
    });
    plan.targets[1].customers = Some(9);
    let mut field = field(plan);
    field.silence("a", 600..40 * HOUR);
    field.silence("b", 6 * HOUR..40 * HOUR);
    field.run_until(30 * HOUR);
    assert_eq!(mails_of(&field, "noc")[2..], [(7 * 60, "summary b a of 2 warn 0".to_owned())], "most customers first");
    field.restart(600);
    field.run_until(32 * HOUR);
    assert_eq!(said(&field, "noc").len(), 4);
    let mut quiet = self::field(self::plan(&["a"], |noc| noc.summaries = [wall(7 * HOUR as i64)].into()));
    quiet.run_until(8 * HOUR);
    assert_eq!(said(&quiet, "noc"), ["summary  of 0 warn 0"], "it proves the path also when all is well");
}

#[test]
fn a_summary_names_a_hundred_that_are_slow_and_counts_all_that_the_notifier_is_for() {
    let names: Vec<String> = (0..150).map(|n| format!("cpe-{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let slow = Manner { rtt: Duration::from_millis(400), loses: 0 };
    let lists = |scope: Scope| {
        let plan = plan(&names, |noc| {
            noc.summaries = [wall(7 * HOUR as i64)].into();
            noc.scope = scope;
        });
        let counts = |draft: &netwatch_core::Draft| {
            let standing = draft.standing.as_ref().expect("a summary");
            Content::new(format!("{} of {}", standing.warnings.len(), standing.warnings_total), "", "")
        };
        let mut field = Field::with_words(plan, Box::new(counts));
        for name in &names[..120] {
            field.manners.insert((*name).into(), (6 * HOUR..8 * HOUR, slow));
        }
        field.run_until(7 * HOUR + MINUTE);
        said(&field, "noc")
    };
    assert_eq!(lists(Scope::everything()), ["100 of 120"]);
    assert_eq!(lists(Scope::targets(["cpe-000", "cpe-001", "cpe-149"])), ["2 of 2"]);
}

#[test]
fn a_summary_that_cannot_be_delivered_is_tried_less_and_less_often_and_arrives() {
    let mut field = field(plan(&["a"], |noc| noc.summaries = [wall(7 * HOUR as i64)].into()));
    field.server_works = false;
    field.run_until(8 * HOUR);
    let attempts = field.events.iter().filter(|(_, event)| matches!(event, Event::Delivery(_))).count();
    assert!((10..=17).contains(&attempts), "{attempts}: 30 s, doubling to 5 min, within an hour");
    field.server_works = true;
    field.run_until(9 * HOUR);
    assert_eq!(said(&field, "noc"), ["summary  of 0 warn 0"]);
}

fn escalating() -> Plan {
    let plan = plan(&["a", "b"], |noc| {
        noc.escalate_to = Some("jefe".into());
        noc.scope = Scope::targets(["a"]);
    });
    let mut jefe = policy("jefe");
    jefe.scope = Scope::targets(["b"]);
    plan.with_notifier(jefe)
}

#[test]
fn what_nobody_acknowledges_goes_to_the_next_after_half_an_hour() {
    let mut field = field(escalating());
    field.silence("a", 600..3 * HOUR);
    field.run_until(600 + 30 * MINUTE);
    assert_eq!((said(&field, "noc"), said(&field, "jefe")), (vec!["outage opened a".to_owned()], vec![]));
    field.run_until(600 + 33 * MINUTE);
    assert_eq!(said(&field, "jefe"), ["outage opened a"]);
    field.run_until(4 * HOUR);
    assert_eq!(said(&field, "jefe"), ["outage opened a", "outage closed a"], "who was told is told of the end");
}

#[test]
fn what_is_acknowledged_or_over_in_time_is_not_escalated() {
    let mut field = field(escalating());
    field.silence("a", 600..2 * HOUR);
    field.silence("a", 3 * HOUR..3 * HOUR + 600);
    field.run_until(900);
    field.monitor.handle_acknowledge(field.now(), "a", "ana", "").expect("an outage");
    field.run_until(5 * HOUR);
    assert_eq!(said(&field, "jefe"), [] as [&str; 0]);
    assert_eq!(said(&field, "noc").len(), 4);
}

#[test]
fn what_cannot_be_delivered_is_escalated_although_it_is_over_and_a_restart_forgets_nothing() {
    let mut field = field(escalating());
    field.silence("a", 600..1200);
    field.server_works = false;
    field.run_until(1500);
    field.restart(10);
    field.run_until(600 + 24 * MINUTE);
    field.server_works = true;
    field.run_until(600 + 40 * MINUTE);
    assert_eq!(said(&field, "noc"), ["outage missed a"], "it was delivered in time");
    assert_eq!(said(&field, "jefe"), [] as [&str; 0]);
    let mut field = self::field(escalating());
    field.silence("a", 600..1200);
    field.server_works = false;
    field.run_until(600 + 32 * MINUTE);
    field.server_works = true;
    field.run_until(600 + 60 * MINUTE);
    assert_eq!(said(&field, "jefe"), ["outage missed a"]);
}

#[test]
fn what_a_notifier_without_recipients_is_refused_for_good_goes_to_the_next_at_once() {
    let mut plan = escalating();
    plan.notifiers.iter_mut().for_each(|policy| policy.recipients.clear());
    let mut field = field(plan);
    field.silence("a", 600..3 * HOUR);
    field.refused.push("noc");
    field.run_until(600 + 5 * MINUTE);
    assert_eq!((said(&field, "noc"), said(&field, "jefe")), (vec![], vec!["outage opened a".to_owned()]));
    field.refused.clear();
    field.run_until(600 + 12 * MINUTE);
    assert_eq!(said(&field, "noc"), ["outage opened a"], "it is not given up");
    assert_eq!(said(&field, "jefe").len(), 1);
}

#[test]
fn a_flapping_device_is_told_of_once_and_again_when_it_has_settled() {
    let mut field = field(plan(&["radio"], |_| {}));
    // Every four minutes: two down, two up.
    for n in 0..45 {
        field.silence("radio", 600 + n * 240..600 + n * 240 + 120);
    }
    field.run_until(600 + 45 * 240);
    let told = mails_of(&field, "noc");
    assert!(told.len() <= 4, "{told:?}");
    assert_eq!(told.iter().filter(|(_, words)| words.contains("flapping opened radio")).count(), 1);
    let before = told.len();
    field.run_until(600 + 45 * 240 + 40 * MINUTE);
    let after = said(&field, "noc")[before..].to_vec();
    assert_eq!(after.len(), 1, "{after:?}");
    assert!(after[0].contains("flapping closed radiox90"), "it gives the count: {after:?}");
    assert!(!after[0].contains("outage opened"), "it answers: {after:?}");
    field.silence("radio", 6 * HOUR..7 * HOUR);
    field.run_until(8 * HOUR);
    assert_eq!(said(&field, "noc").len(), before + 3, "from then on it is told of as any other");
}

#[test]
fn a_flapping_device_that_settles_down_is_told_of_as_down_and_survives_a_restart() {
    let mut field = field(plan(&["radio"], |_| {}));
    for n in 0..6 {
        field.silence("radio", 600 + n * 240..600 + n * 240 + 120);
    }
    field.silence("radio", 2100..9000);
    field.run_until(1900);
    field.restart(2);
    field.run_until(2100 + 12 * MINUTE);
    let told = said(&field, "noc");
    let last = told.last().expect("a mail");
    assert!(last.contains("flapping closed") && last.contains("outage opened radio"), "{told:?}");
    field.run_until(3 * HOUR);
    assert_eq!(said(&field, "noc").last().expect("a mail"), "outage closed radio");
}

fn with_maintenance(from: u64, to: u64) -> Plan {
    let mut plan = plan(&["a", "b"], |_| {});
    plan.maintenance.push(Maintenance::new(Scope::targets(["a"]), calendar(&[(from, to)])));
    plan
}

#[test]
fn an_outage_in_maintenance_is_not_told_and_one_that_outlasts_it_is() {
    let mut field = field(with_maintenance(HOUR, 2 * HOUR));
    field.silence("a", HOUR + 60..HOUR + 1800);
    field.silence("b", HOUR + 60..HOUR + 1800);
    field.silence("a", 2 * HOUR - 600..3 * HOUR);
    field.run_until(2 * HOUR + 25);
    assert_eq!(said(&field, "noc"), ["outage opened b", "outage closed b"]);
    field.run_until(4 * HOUR);
    let told = mails_of(&field, "noc");
    assert_eq!(said(&field, "noc")[2..], ["outage opened a", "outage closed a"]);
    assert!(field.mails[2].second >= 2 * HOUR + 30 + 10, "it had its tolerance again: {told:?}");
}

#[test]
fn maintenance_keeps_no_recovery_back_and_no_outage_that_was_there_before() {
    let mut field = field(with_maintenance(HOUR, 3 * HOUR));
    field.silence("a", HOUR - 600..HOUR + 600);
    field.run_until(HOUR + 900);
    assert_eq!(said(&field, "noc"), ["outage opened a", "outage closed a"]);
}

#[test]
fn an_entered_maintenance_survives_a_restart_and_ends_when_it_is_ended() {
    let mut field = field(plan(&["a"], |_| {}));
    field.run_until(600);
    let mut maintenance = Maintenance::new(Scope::everything(), calendar(&[(600, 9 * HOUR)]));
    maintenance.reason = "corte programado".into();
    let id = field.monitor.handle_maintain(field.now(), maintenance);
    field.carry_out();
    field.silence("a", 700..3 * HOUR);
    field.restart(30);
    field.run_until(HOUR);
    assert_eq!(said(&field, "noc"), [] as [&str; 0]);
    assert_eq!(field.monitor.maintenance().count(), 1);
    assert!(field.monitor.handle_end_maintenance(field.now(), id));
    assert!(!field.monitor.handle_end_maintenance(field.now(), id), "it is over");
    field.carry_out();
    field.run_until(HOUR + 120);
    assert_eq!(said(&field, "noc"), ["outage opened a"]);
    assert!(field.saved.maintenance.is_empty());
}

#[test]
fn a_notifier_is_told_of_its_own_and_of_a_parent_that_cuts_them_off() {
    let mut targets = targets(&["agg", "olt-1", "olt-2", "x", "y", "z", "w"]);
    for target in &mut targets[1..3] {
        *target = target.clone().with_parents([TargetId::from_index(0)]).with_group(GroupId::from_index(0));
    }
    let mut plan = Plan::new(targets);
    plan.groups.push(Group::new("OLT"));
    let mut noc = policy("noc");
    noc.scope = Scope::groups(["OLT"]);
    let mut other = policy("other");
    other.scope = Scope::tags(["centro"]);
    let mut field = field(plan.with_notifier(noc).with_notifier(other));
    field.silence("x", 600..1200);
    field.silence("olt-2", 600..1200);
    field.silence("agg", 3000..9000);
    field.silence("olt-1", 3000..9000);
    field.silence("olt-2", 3000..9000);
    field.run_until(4000);
    assert_eq!(said(&field, "noc"), ["outage opened olt-2", "outage closed olt-2", "outage opened agg"]);
    assert_eq!(said(&field, "other"), [] as [&str; 0]);
    let out_of_scope = |(_, event): &(u64, Event)| matches!(event, Event::Ledger(entry) if entry.decision == Decision::OutOfScope && &*entry.target == "x");
    assert!(field.events.iter().any(out_of_scope), "why x was not told is written down");
}

#[test]
fn what_cannot_be_seen_for_ten_minutes_is_told_once_a_cause_with_its_end() {
    let mut field = field(plan(&["a", "b", "c"], |_| {}));
    field.unknowns.insert("a".into(), (600..2 * HOUR, Cause::NoRoute));
    field.unknowns.insert("b".into(), (605..2 * HOUR, Cause::NoRoute));
    field.unknowns.insert("c".into(), (605..1000, Cause::Unresolved));
    field.run_until(600 + 9 * MINUTE);
    assert_eq!(said(&field, "noc"), [] as [&str; 0]);
    field.run_until(2 * HOUR - 60);
    assert_eq!(said(&field, "noc"), ["unseen opened a+b"], "{:?}", field.told());
    field.restart(5);
    field.run_until(3 * HOUR);
    assert_eq!(said(&field, "noc")[1..], ["unseen closed a+b"]);
}

fn with_witness(names: &[&str]) -> Plan {
    let mut plan = plan(names, |_| {});
    plan.witnesses.push(Host::Ip { ip: [192, 0, 2, 254].into(), zone: None });
    plan
}

#[test]
fn while_netwatch_is_cut_off_no_device_is_down_and_what_died_meanwhile_is_found() {
    let mut field = field(with_witness(&["a", "b", "c"]));
    field.cut_off.push(600..690);
    field.silence("b", 620..3000);
    field.run_until(800);
    let down: Vec<u64> = field.transitions.iter().filter(|(_, it)| it.to == Status::Down).map(|(at, _)| *at).collect();
    assert!(down.iter().all(|at| *at > 690), "{down:?}");
    field.run_until(4000);
    assert_eq!(
        said(&field, "noc"),
        ["blind opened ", "blind closed , outage opened b", "outage closed b"],
        "{:?}",
        field.told()
    );
}

#[test]
fn when_netwatch_sees_again_mail_does_not_wait_for_its_next_attempt() {
    let mut plan = plan(&["a", "b"], |_| {});
    plan.witnesses.push(Host::Ip { ip: [192, 0, 2, 254].into(), zone: None });
    let mut field = field(plan);
    field.cut_off.push(HOUR..HOUR + 31 * MINUTE);
    field.run_until(HOUR);
    field.server_works = false;
    field.run_until(HOUR + 31 * MINUTE);
    field.server_works = true;
    // By then attempts are five minutes apart; checks of the witnesses are two seconds.
    field.run_until(HOUR + 31 * MINUTE + 30);
    assert_eq!(said(&field, "noc").len(), 1, "{:?}", mails_of(&field, "noc"));
}

#[test]
fn a_short_blindness_is_not_told_and_a_device_that_is_down_stays_so() {
    let mut field = field(with_witness(&["a", "b"]));
    field.silence("a", 600..3000);
    field.cut_off.push(800..850);
    field.run_until(3200);
    assert_eq!(said(&field, "noc"), ["outage opened a", "outage closed a"]);
}

#[test]
fn the_end_of_a_told_blindness_is_told_also_after_a_restart() {
    let mut field = field(with_witness(&["a"]));
    field.cut_off.push(600..1200);
    field.run_until(900);
    assert_eq!(said(&field, "noc"), ["blind opened "]);
    field.restart(5);
    field.run_until(1500);
    assert_eq!(said(&field, "noc"), ["blind opened ", "blind closed "]);
    assert!(field.transitions.iter().all(|(_, it)| it.to != Status::Down));
}

#[test]
fn half_of_all_devices_at_once_are_headed_as_the_core() {
    let names: Vec<String> = (0..20).map(|n| format!("d{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut field = field(plan(&names, |_| {}));
    for name in &names[..12] {
        field.silence(name, 600..900);
    }
    field.silence("d15", 3000..4000);
    field.run_until(4000);
    let heads: Vec<bool> = said(&field, "noc").iter().map(|words| words.ends_with("core")).collect();
    assert!(heads[0], "{:?}", field.told());
    assert!(heads[1..].iter().all(|head| !head), "{:?}", field.told());
}

#[test]
fn a_renamed_device_keeps_its_outage_and_a_removed_one_is_closed_as_such() {
    let mut field = field(plan(&["a", "b"], |_| {}));
    let mut renamed = plan(&["a", "c"], |_| {});
    renamed.targets[0].host = Host::Ip { ip: [192, 0, 2, 9].into(), zone: None };
    let mut before = plan(&["a", "b"], |_| {});
    before.targets[0].host = renamed.targets[0].host.clone();
    field.reload(before);
    field.silence("a", 600..5000);
    field.silence("b", 600..5000);
    field.silence("c", 600..5000);
    field.run_until(1200);
    field.reload(renamed);
    field.run_until(2000);
    assert_eq!(said(&field, "noc"), ["outage opened a, outage opened b"]);
    assert_eq!(field.status("c"), Status::Down);
    field.restart(1);
    field.run_until(2200);
    assert_eq!(said(&field, "noc").len(), 1, "the next run knows it by its new name: {:?}", field.told());
    field.reload(plan(&["a"], |_| {}));
    field.run_until(2400);
    let last = field.mails.last().expect("a mail");
    let line = last.notification.lines.iter().find(|line| line.kind == LineKind::Closed).expect("its end");
    assert_eq!((&*line.subject.name, line.outage.removed, line.topic), ("c", true, Topic::Outage));
    assert_eq!(field.saved.targets.len(), 1);
    field.restart(1);
    field.run_until(6000);
    assert_eq!(said(&field, "noc").last().expect("a mail"), "outage closed a");
}

#[test]
fn every_silence_has_a_reason() {
    let mut plan = with_maintenance(HOUR, 2 * HOUR);
    plan.targets.push(Target::at("child", [192, 0, 2, 7].into()).with_parents([TargetId::from_index(1)]));
    let mut field = field(plan);
    field.silence("a", 600..615);
    field.silence("a", HOUR + 60..HOUR + 1800);
    field.silence("b", 600..1200);
    field.silence("child", 600..1200);
    field.run_until(3 * HOUR);
    let reasons = |name: &str| -> Vec<&str> {
        let entries = field.events.iter().filter_map(|(_, event)| match event {
            Event::Ledger(entry) if &*entry.target == name => Some(entry.decision.code()),
            _ => None,
        });
        entries.collect()
    };
    assert_eq!(reasons("a"), ["opened", "answers", "too_short", "opened", "in_maintenance", "answers", "closed"]);
    assert_eq!(reasons("child"), ["opened", "explained", "answers", "closed"]);
    assert_eq!(reasons("b"), ["opened", "due", "owed", "held", "sent", "answers", "closed", "owed", "sent"]);
}

#[test]
fn what_was_told_of_a_device_that_is_gone_is_forgotten_at_the_next_start() {
    let mut field = field(plan(&["a", "b"], |_| {}));
    field.silence("b", 600..5000);
    field.run_until(1000);
    field.reload(plan(&["a"], |_| {}));
    field.run_until(2000);
    assert_eq!(said(&field, "noc"), ["outage opened b", "outage closed b"]);
    field.restart(1);
    field.run_until(2100);
    assert!(field.saved.told.is_empty(), "{:?}", field.saved.told);
}

#[test]
fn a_blindness_of_which_no_witness_is_left_ends_with_the_reload() {
    let mut field = field(with_witness(&["a"]));
    field.cut_off.push(600..900);
    field.silence("a", 600..3000);
    field.run_until(800);
    assert!(field.monitor.is_blind());
    field.reload(plan(&["a"], |_| {}));
    field.run_until(1200);
    assert!(!field.monitor.is_blind());
    assert!(said(&field, "noc").iter().any(|words| words.contains("outage opened a")), "{:?}", field.told());
}
