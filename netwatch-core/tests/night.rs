//! A night, event by event: what the page shows and which mails leave, in Spanish, as written out in the snapshots beside
//! this file. Each is the answer to "what would netwatch have done?".

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod field;

use std::fmt::Write;
use std::ops::Range;
use std::time::Duration;

use field::{Field, MIDNIGHT, Manner, wall};
use netwatch_core::{
    Budget, Calendar, Cause, Event, Group, GroupId, Host, Locale, Maintenance, NotifierPolicy, Period, Plan, Render,
    Scope, Status, Target, TargetId, Wall, Words,
};

const HOUR: u64 = 3600;
const MINUTE: u64 = 60;

fn target(name: &str, last: u8) -> Target {
    Target::at(name, [192, 168, 10, last].into())
}

fn targets(names: &[&str]) -> Vec<Target> {
    names.iter().enumerate().map(|(n, name)| target(name, n as u8 + 1)).collect()
}

fn noc() -> NotifierPolicy {
    let mut noc = NotifierPolicy::new("noc");
    noc.recipients = vec!["turno@example.net".into()];
    noc
}

fn night(plan: Plan) -> Field {
    let words =
        Words::new(Locale::Es, Some("America/Asuncion"), Some("http://noc.example.net/".into())).expect("the zone");
    Field::with_words(plan, Box::new(move |draft| words.render(draft)))
}

/// The clock on the wall in Asunción, which is three hours behind UTC in that year.
fn clock(at: Wall) -> String {
    let seconds = at.unix_nanos() / 1_000_000_000 - MIDNIGHT;
    let day = seconds.div_euclid(86_400);
    let of_day = seconds.rem_euclid(86_400);
    let time = format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
    if day == 0 { time } else { format!("+{day}d {time}") }
}

/// What the page showed and which mails left, in order; that every device answers at first goes without saying.
fn story(field: &Field) -> String {
    let mut entries: Vec<(u64, usize, String)> = Vec::new();
    for (at, change) in &field.transitions {
        if change.from == Status::Pending && change.to == Status::Ok {
            continue;
        }
        let mut words = format!("{}: {}", change.name, change.to.word(Locale::Es));
        if let Some(cause) = change.cause {
            write!(words, " ({})", cause.code()).unwrap();
        }
        if matches!(change.to, Status::Down | Status::Unreachable) {
            write!(words, ", desde {}", clock(change.since)).unwrap();
        }
        entries.push((*at, entries.len(), words));
    }
    for mail in &field.mails {
        let sent = &mail.notification;
        let text = sent.content.text.trim_end().replace('\n', "\n          | ");
        let words = format!("correo a {}: {}\n          | {text}", sent.notifier, sent.content.subject);
        entries.push((mail.second, entries.len(), words));
    }
    for (at, event) in &field.events {
        let words = match event {
            Event::Maintenance { target, maintenance } => {
                let name = &field.plan.target(*target).expect("a target").name;
                format!("{name}: {}", if maintenance.is_some() { "en mantenimiento" } else { "fuera de mantenimiento" })
            }
            Event::Flapping { target, since } => {
                let name = &field.plan.target(*target).expect("a target").name;
                format!("{name}: {}", if since.is_some() { "inestable" } else { "estable" })
            }
            Event::Blind { since } => {
                (if since.is_some() { "netwatch no tiene red" } else { "netwatch tiene red" }).to_owned()
            }
            _ => continue,
        };
        entries.push((*at, entries.len(), words));
    }
    entries.sort_by_key(|(at, order, _)| (*at, *order));
    entries.into_iter().map(|(at, _, words)| format!("{}  {words}\n", clock(wall(at as i64)))).collect()
}

fn at(hour: u64, minute: u64) -> u64 {
    hour * HOUR + minute * MINUTE
}

fn from_to(from: (u64, u64), to: (u64, u64)) -> Range<u64> {
    at(from.0, from.1)..at(to.0, to.1)
}

macro_rules! tell {
    ($field:expr) => {
        insta::assert_snapshot!(story(&$field))
    };
}

#[test]
fn two_devices_die_ten_minutes_apart() {
    let mut field = night(Plan::new(targets(&["olt-1", "dslam-2", "radio-3"])).with_notifier(noc()));
    field.silence("olt-1", from_to((3, 0), (4, 0)));
    field.silence("dslam-2", from_to((3, 10), (5, 0)));
    field.run_until(at(6, 0));
    tell!(field);
}

#[test]
fn one_flaps_every_four_and_one_every_seven_minutes_all_night() {
    let mut field = night(Plan::new(targets(&["radio-4", "radio-7"])).with_notifier(noc()));
    for n in 0..90 {
        field.silence("radio-4", at(0, 10) + n * 240..at(0, 12) + n * 240);
    }
    for n in 0..51 {
        field.silence("radio-7", at(0, 11) + n * 420..at(0, 14) + n * 420);
    }
    field.run_until(at(7, 0));
    assert_eq!(field.mails.len(), 10, "282 changes: {:?}", field.told());
    // The colours change as often; the mails are what matters.
    field.transitions.clear();
    tell!(field);
}

#[test]
fn a_radio_link_loses_a_third_for_three_hours() {
    let mut field = night(Plan::new(targets(&["radio-1", "olt-2"])).with_notifier(noc()));
    field
        .manners
        .insert("radio-1".into(), (from_to((1, 0), (4, 0)), Manner { rtt: Duration::from_millis(4), loses: 2 }));
    field.run_until(at(5, 0));
    assert!(field.mails.is_empty());
    tell!(field);
}

#[test]
fn one_of_five_echoes_is_lost_for_an_hour_and_another_answers_late() {
    let mut field = night(Plan::new(targets(&["radio-1", "radio-2"])).with_notifier(noc()));
    field
        .manners
        .insert("radio-1".into(), (from_to((1, 0), (2, 0)), Manner { rtt: Duration::from_millis(4), loses: 1 }));
    field
        .manners
        .insert("radio-2".into(), (from_to((1, 0), (2, 0)), Manner { rtt: Duration::from_millis(900), loses: 0 }));
    field.run_until(at(3, 0));
    assert!(field.mails.is_empty());
    tell!(field);
}

/// `agg-1` with `olt-1` and `olt-2` behind it, and so many customers.
fn aggregation() -> Plan {
    let mut all = targets(&["agg-1", "olt-1", "olt-2", "core-1", "core-2", "core-3"]);
    for target in &mut all[1..3] {
        *target = target.clone().with_parents([TargetId::from_index(0)]).with_group(GroupId::from_index(0));
        target.customers = Some(480);
    }
    all[1] = all[1].clone().with_note("llave en portería; ANDE 021 160");
    let mut plan = Plan::new(all).with_notifier(noc());
    plan.groups.push(Group::new("PUEBLO"));
    plan
}

#[test]
fn an_aggregation_dies_for_three_minutes_and_an_olt_behind_it_for_good() {
    let mut field = night(aggregation());
    field.silence("agg-1", from_to((3, 0), (3, 3)));
    field.silence("olt-1", from_to((3, 0), (3, 3)));
    field.silence("olt-2", from_to((3, 0), (9, 0)));
    field.run_until(at(4, 0));
    tell!(field);
}

#[test]
fn a_town_loses_power_and_forty_batteries_die_over_ninety_minutes() {
    let names: Vec<String> = (1..=40).map(|n| format!("ups-{n:02}")).collect();
    let mut plan = Plan::new(Vec::new()).with_notifier(noc());
    plan.groups.push(Group::new("PUEBLO"));
    for (n, name) in names.iter().enumerate() {
        plan.targets.push(target(name, n as u8 + 1).with_group(GroupId::from_index(0)));
    }
    for n in 0..60 {
        plan.targets.push(target(&format!("otro-{n:02}"), n + 100));
    }
    let mut field = night(plan);
    for (n, name) in names.iter().enumerate() {
        let dies = at(2, 0) + n as u64 * 90 * MINUTE / 40;
        field.silence(name, dies..at(6, 0));
    }
    field.run_until(at(6, 30));
    // Forty boxes that turn red and green again are known.
    field.transitions.clear();
    tell!(field);
}

#[test]
fn the_uplink_drops_for_ninety_seconds_while_a_device_dies() {
    let mut plan = Plan::new(targets(&["olt-1", "olt-2", "olt-3"])).with_notifier(noc());
    plan.witnesses.push(Host::Ip { ip: [192, 168, 10, 254].into(), zone: None });
    let mut field = night(plan);
    field.cut_off.push(at(3, 0)..at(3, 0) + 90);
    field.silence("olt-2", at(3, 0) + 40..at(4, 0));
    field.run_until(at(5, 0));
    tell!(field);
}

#[test]
fn a_restart_in_an_outage() {
    let mut field = night(Plan::new(targets(&["olt-1", "olt-2"])).with_notifier(noc()));
    field.silence("olt-1", from_to((3, 0), (4, 0)));
    field.run_until(at(3, 20));
    field.restart(90);
    field.run_until(at(5, 0));
    tell!(field);
}

#[test]
fn a_reload_with_fifty_silent_devices() {
    let names: Vec<String> = (1..=60).map(|n| format!("dslam-{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let plan = Plan::new(targets(&names)).with_notifier(noc());
    let mut field = night(plan.clone());
    for name in &names[..50] {
        field.silence(name, from_to((3, 0), (4, 0)));
    }
    field.run_until(at(3, 0) + 20);
    field.reload(plan.clone());
    field.run_until(at(3, 10));
    field.reload(plan);
    field.run_until(at(5, 0));
    field.transitions.clear();
    tell!(field);
}

#[test]
fn a_rename_and_a_removal_while_down() {
    let plan = |names: &[(&str, u8)]| {
        Plan::new(names.iter().map(|(name, last)| target(name, *last)).collect()).with_notifier(noc())
    };
    let mut field = night(plan(&[("olt-1", 1), ("olt-2", 2), ("olt-3", 3)]));
    for name in ["olt-1", "olt-uno", "olt-2"] {
        field.silence(name, from_to((3, 0), (4, 0)));
    }
    field.run_until(at(3, 10));
    field.reload(plan(&[("olt-uno", 1), ("olt-3", 3)]));
    field.run_until(at(5, 0));
    tell!(field);
}

#[test]
fn the_mail_server_is_away_for_three_hours_over_four_outages() {
    let mut field = night(Plan::new(targets(&["olt-1", "olt-2", "olt-3", "olt-4"])).with_notifier(noc()));
    field.silence("olt-1", from_to((0, 40), (2, 0)));
    field.silence("olt-2", from_to((1, 10), (1, 30)));
    field.silence("olt-3", from_to((2, 0), (2, 5)));
    field.silence("olt-4", from_to((3, 30), (5, 0)));
    field.run_until(at(1, 0));
    field.server_works = false;
    field.run_until(at(4, 0));
    field.server_works = true;
    field.run_until(at(6, 0));
    tell!(field);
}

#[test]
fn maintenance_begins_and_ends_over_an_outage() {
    let mut plan = Plan::new(targets(&["olt-1", "olt-2"])).with_notifier(noc());
    let calendar = Calendar::new([Period::new(wall(at(2, 0) as i64), wall(at(4, 0) as i64))]);
    let mut works = Maintenance::new(Scope::everything(), calendar);
    works.reason = "cambio de fibra".into();
    plan.maintenance.push(works);
    let mut field = night(plan);
    field.silence("olt-1", from_to((1, 50), (2, 30)));
    field.silence("olt-2", from_to((3, 30), (4, 30)));
    field.run_until(at(6, 0));
    tell!(field);
}

#[test]
fn an_acknowledged_device_dies_again() {
    let mut noc = noc();
    noc.reminder = Some(Duration::from_secs(HOUR));
    let mut field = night(Plan::new(targets(&["olt-1", "olt-2"])).with_notifier(noc));
    field.silence("olt-1", from_to((1, 0), (3, 0)));
    field.silence("olt-1", from_to((3, 30), (5, 0)));
    field.run_until(at(1, 10));
    field.monitor.handle_acknowledge(field.now(), "olt-1", "Ana", "voy en camino").expect("an outage");
    field.carry_out();
    field.run_until(at(6, 0));
    tell!(field);
}

#[test]
fn the_budget_all_with_three_outages_and_a_critical_one() {
    let mut noc = noc();
    noc.budget = Budget::All;
    let mut plan = Plan::new(targets(&["olt-1", "olt-2", "olt-3", "core-1"])).with_notifier(noc);
    plan.targets[3].critical = true;
    let mut field = night(plan);
    field.silence("olt-1", from_to((1, 0), (6, 0)));
    field.silence("olt-2", from_to((1, 10), (6, 0)));
    field.silence("olt-3", from_to((1, 15), (1, 20)));
    field.silence("core-1", from_to((1, 30), (2, 0)));
    field.run_until(at(8, 0));
    tell!(field);
}

#[test]
fn a_first_start_with_two_hundred_dead() {
    let names: Vec<String> = (1..=250).map(|n| format!("cpe-{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut field = night(Plan::new(targets(&names)).with_notifier(noc()));
    for name in &names[..200] {
        field.silence(name, 0..at(2, 0));
    }
    field.run_until(at(1, 0));
    field.transitions.clear();
    tell!(field);
}

#[test]
fn reminder_and_escalation_beside_the_budget() {
    let mut noc = noc();
    noc.budget = Budget::All;
    noc.min_interval = Duration::from_secs(6 * HOUR);
    noc.reminder = Some(Duration::from_secs(2 * HOUR));
    noc.escalate_to = Some("jefe".into());
    let mut jefe = NotifierPolicy::new("jefe");
    jefe.recipients = vec!["jefe@example.net".into()];
    jefe.scope = Scope::tags(["nada"]);
    let mut field = night(Plan::new(targets(&["olt-1", "olt-2"])).with_notifier(noc).with_notifier(jefe));
    field.silence("olt-1", from_to((1, 0), (5, 0)));
    field.silence("olt-2", from_to((1, 30), (1, 50)));
    field.run_until(at(8, 0));
    tell!(field);
}

#[test]
fn of_two_parents_one_is_down() {
    let mut all = targets(&["agg-1", "agg-2", "olt-1", "olt-2"]);
    for target in &mut all[2..] {
        *target = target.clone().with_parents([TargetId::from_index(0), TargetId::from_index(1)]);
    }
    let mut field = night(Plan::new(all).with_notifier(noc()));
    field.silence("agg-1", from_to((2, 0), (5, 0)));
    field.silence("olt-1", from_to((2, 30), (3, 0)));
    field.silence("agg-2", from_to((4, 0), (4, 30)));
    field.silence("olt-1", from_to((4, 0), (4, 30)));
    field.silence("olt-2", from_to((4, 0), (4, 30)));
    field.run_until(at(6, 0));
    tell!(field);
}

#[test]
fn a_name_that_does_not_resolve_for_an_hour() {
    let mut field = night(Plan::new(targets(&["olt-1", "olt-2", "olt-3"])).with_notifier(noc()));
    for name in ["olt-1", "olt-2"] {
        field.unknowns.insert(name.into(), (from_to((2, 0), (3, 0)), Cause::Unresolved));
    }
    field.run_until(at(4, 0));
    tell!(field);
}
