//! When an outage goes to a second notifier too: once, in time, whatever was restarted in between, and only outages.

mod field;

use std::time::Duration;

use field::{Field, plain_words, policy};
use netwatch_core::{NotifierPolicy, Plan, Scope, Target};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// `noc` hands on to `jefe`, who is for `elsewhere` himself.
fn plan(change: impl FnOnce(&mut NotifierPolicy)) -> Plan {
    let mut noc = policy("noc");
    noc.escalate_to = Some("jefe".into());
    let mut jefe = policy("jefe");
    jefe.scope = Scope::targets(["elsewhere"]);
    change(&mut jefe);
    let targets = ["a", "elsewhere"].map(|name| Target::at(name, [192, 0, 2, 1].into()));
    Plan::new(targets.into()).with_notifier(noc).with_notifier(jefe)
}

fn field(plan: Plan) -> Field {
    Field::with_words(plan, plain_words())
}

/// What a notifier was told, with the minutes.
fn told(field: &Field, notifier: &str) -> Vec<(u64, String)> {
    let mine = field.mails.iter().filter(|mail| &*mail.notification.notifier == notifier);
    mine.map(|mail| (mail.second / 60, mail.notification.content.subject.clone())).collect()
}

#[test]
fn what_every_recipient_refuses_for_good_goes_on_at_once() {
    let mut field = field(plan(|_| {}));
    field.refused.push("noc");
    field.silence("a", HOUR..2 * HOUR);
    field.run_until(HOUR + 5 * MINUTE);
    assert_eq!(told(&field, "jefe"), [(60, "down a".to_owned())]);
    field.run_until(4 * HOUR);
    // That nothing at all gets out by noc is told of once, too; it is about no device.
    let words: Vec<String> = told(&field, "jefe").into_iter().map(|(_, words)| words).collect();
    assert_eq!(words, ["down a", "down ", "up a"], "and no more of it, however often they refuse");
}

#[test]
fn a_restart_in_between_neither_forgets_it_nor_begins_the_half_hour_anew() {
    let mut field = field(plan(|_| {}));
    field.silence("a", HOUR..3 * HOUR);
    field.run_until(HOUR + 10 * MINUTE);
    field.restart(30);
    field.run_until(HOUR + 20 * MINUTE);
    field.restart(30);
    field.run_until(HOUR + 30 * MINUTE);
    assert_eq!(told(&field, "jefe"), []);
    field.run_until(2 * HOUR);
    assert_eq!(told(&field, "jefe"), [(90, "down a".to_owned())]);
    field.restart(30);
    field.run_until(4 * HOUR);
    let words: Vec<String> = told(&field, "jefe").into_iter().map(|(_, words)| words).collect();
    assert_eq!(words, ["down a", "up a"], "he knows of it already");
}

#[test]
fn a_reload_in_between_does_not_either() {
    let mut field = field(plan(|_| {}));
    field.silence("a", HOUR..3 * HOUR);
    field.run_until(HOUR + 10 * MINUTE);
    field.reload(plan(|_| {}));
    field.run_until(2 * HOUR);
    assert_eq!(told(&field, "jefe"), [(90, "down a".to_owned())]);
}

#[test]
fn who_was_told_anyway_is_not_told_again() {
    let mut field = field(plan(|jefe| jefe.scope = Scope::everything()));
    field.silence("a", HOUR..3 * HOUR);
    field.run_until(4 * HOUR);
    let words: Vec<String> = told(&field, "jefe").into_iter().map(|(_, words)| words).collect();
    assert_eq!(words, ["down a", "up a"]);
}

#[test]
fn what_was_told_and_acknowledged_before_a_restart_is_not_handed_on() {
    let mut field = field(plan(|_| {}));
    field.silence("a", HOUR..3 * HOUR);
    field.run_until(HOUR + 5 * MINUTE);
    field.monitor.handle_acknowledge(field.now(), "a", "ana", "");
    field.carry_out();
    field.restart(30);
    field.run_until(4 * HOUR);
    assert_eq!(told(&field, "jefe"), []);
}

#[test]
fn what_nobody_could_be_told_in_time_is_handed_on_after_a_restart_although_it_is_over() {
    let mut field = field(plan(|_| {}));
    field.silence("a", HOUR..HOUR + 10 * MINUTE);
    field.server_works = false;
    field.run_until(HOUR + 15 * MINUTE);
    field.restart(30);
    field.run_until(HOUR + 31 * MINUTE);
    field.server_works = true;
    field.run_until(2 * HOUR);
    let words: Vec<String> = told(&field, "jefe").into_iter().map(|(_, words)| words).collect();
    assert_eq!(words, ["was a"]);
    assert_eq!(field.plan.notifiers[0].escalate_after, Duration::from_secs(30 * 60));
}
