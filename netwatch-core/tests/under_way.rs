//! Mails under way: one that the server may have is neither changed nor lost, whoever has it is not told of it again, and
//! what nobody has is handed on in time.

#![allow(clippy::expect_used, clippy::panic)]

mod field;

use std::time::Duration;

use field::{Answer, Field, policy, wall};
use netwatch_core::{
    Cause, Content, Delivery, DeliveryError, DeliveryOutcome, Event, LineKind, Notification, NotifierPolicy, Plan,
    Receipt, Scope, Settings, Target,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// Devices of which `noc` is told, as `change` says; he hands on to `jefe`, who is for `elsewhere` himself.
fn plan(names: &[&str], change: impl FnOnce(&mut NotifierPolicy)) -> Plan {
    let mut noc = policy("noc");
    noc.escalate_to = Some("jefe".into());
    change(&mut noc);
    let mut jefe = policy("jefe");
    jefe.scope = Scope::targets(["elsewhere"]);
    let targets = names.iter().chain(&["elsewhere"]).enumerate();
    let target = |(n, name): (usize, &&str)| Target::at(*name, [192, 0, 2, n as u8 + 1].into());
    Plan::new(targets.map(target).collect()).with_notifier(noc).with_notifier(jefe)
}

fn with_settings(mut plan: Plan, change: impl FnOnce(&mut Settings)) -> Plan {
    let mut settings = Settings::default();
    change(&mut settings);
    for target in &mut plan.targets {
        *target = target.clone().with_settings(settings.clone());
    }
    plan
}

fn watched(plan: Plan) -> Field {
    let mut field = Field::new(plan);
    field.keeps_attempts = true;
    field
}

/// Of these seconds, the server takes what `noc` sends and breaks off before it says so.
fn breaks_off(from: u64, to: u64) -> Answer {
    Box::new(move |second, mail| {
        let breaks = &*mail.notifier == "noc" && (from..to).contains(&second);
        breaks.then(|| Err(DeliveryError::uncertain("no answer")))
    })
}

/// What a notifier was told of outages, with the minutes.
fn told(field: &Field, notifier: &str) -> Vec<(u64, String)> {
    let mine = field.mails.iter().filter(|mail| &*mail.notification.notifier == notifier);
    // That nothing gets out by noc is a mail about no device.
    let of_devices = mine.filter(|mail| mail.notification.lines.iter().any(|line| !line.subject.name.is_empty()));
    of_devices.map(|mail| (mail.second / 60, mail.notification.content.subject.clone())).collect()
}

fn said(field: &Field, notifier: &str) -> Vec<String> {
    told(field, notifier).into_iter().map(|(_, words)| words).collect()
}

/// What became of the mails of noc.
fn deliveries(field: &Field) -> Vec<&Delivery> {
    let of_noc = field.events.iter().filter_map(|(_, event)| match event {
        Event::Delivery(delivery) if &*delivery.notifier == "noc" => Some(delivery),
        _ => None,
    });
    of_noc.collect()
}

/// How the mail path of noc stands, as the page says.
fn path(field: &Field) -> Event {
    let is_mine = |event: &&Event| matches!(event, Event::MailPath { notifier, .. } if &**notifier == "noc");
    let said: Vec<&Event> = field.events.iter().map(|(_, event)| event).filter(is_mine).collect();
    assert!(said.windows(2).all(|pair| pair[0] != pair[1]), "the same is said twice");
    (*said.last().expect("it is said")).clone()
}

/// How many lines wait for noc, as the page says.
fn waiting(field: &Field) -> usize {
    let Event::MailPath { waiting, .. } = path(field) else { return 0 };
    waiting
}

/// What was attempted for noc.
fn attempts(field: &Field) -> Vec<&Notification> {
    field.attempts.iter().map(|attempt| &attempt.notification).filter(|it| &*it.notifier == "noc").collect()
}

#[test]
fn the_time_to_hand_on_comes_although_nothing_else_happens_then() {
    let after = Duration::from_secs(2003);
    let plan = plan(&["a"], |noc| noc.escalate_after = after);
    let mut field = watched(with_settings(plan, |settings| settings.interval = Duration::from_secs(600)));
    field.silence("a", HOUR..4 * HOUR);
    field.run_until(3 * HOUR);
    let due = field.events.iter().find(|(_, event)| matches!(event, Event::OutageDue(..))).expect("it is due").0;
    let handed_on = field.mails.iter().find(|mail| &*mail.notification.notifier == "jefe").expect("it is handed on");
    assert_eq!(handed_on.second, due + after.as_secs() + 10, "and 10 s of group wait");
}

#[test]
fn a_reload_that_gives_more_time_gives_it_to_what_is_already_down() {
    let after = |minutes: u64| plan(&["a"], |noc| noc.escalate_after = Duration::from_secs(minutes * MINUTE));
    let mut field = watched(after(30));
    field.silence("a", HOUR..4 * HOUR);
    field.run_until(HOUR + 10 * MINUTE);
    field.reload(after(90));
    field.run_until(3 * HOUR);
    assert_eq!(told(&field, "jefe"), [(150, "down a".to_owned())]);
}

#[test]
fn only_outages_are_handed_on() {
    let mut field = watched(plan(&["a"], |_| ()));
    // It cannot be seen for a while, and noc learns of that only when it is long over.
    field.unknowns.insert("a".into(), (HOUR..HOUR + 20 * MINUTE, Cause::NoRoute));
    field.run_until(HOUR + 5 * MINUTE);
    field.server_works = false;
    field.run_until(HOUR + 30 * MINUTE);
    field.restart(30);
    field.run_until(3 * HOUR);
    field.server_works = true;
    field.run_until(4 * HOUR);
    let of_it = |mail: &&field::Mail| mail.notification.lines.iter().any(|line| line.outage.first_bad < wall(2 * 3600));
    let mails: Vec<&str> = field.mails.iter().filter(of_it).map(|mail| &*mail.notification.notifier).collect();
    assert_eq!(mails, ["noc"], "{:?}", field.told());
}

#[test]
fn a_drill_that_every_recipient_refuses_for_good_is_not_handed_on_as_an_outage() {
    let mut field = watched(plan(&["a"], |_| ()));
    field.refused.push("noc");
    field.run_until(HOUR);
    let now = field.now();
    field.monitor.handle_drill(now, "a", "ana").expect("a drill");
    field.carry_out();
    field.run_until(3 * HOUR);
    assert!(!attempts(&field).is_empty(), "it was refused");
    assert_eq!(said(&field, "jefe"), [""; 0]);
}

#[test]
fn what_the_server_may_have_is_handed_on_line_by_line_also_when_it_is_over() {
    for interrupt in [
        |_: &mut Field| (),
        |field: &mut Field| field.restart(30),
        |field: &mut Field| {
            field.reload(plan(&["stays", "returns"], |_| ()));
        },
    ] {
        let mut field = watched(plan(&["stays", "returns"], |_| ()));
        field.answer = breaks_off(HOUR, 3 * HOUR);
        field.silence("stays", HOUR..4 * HOUR);
        field.silence("returns", HOUR..HOUR + 10 * MINUTE);
        field.run_until(HOUR + 15 * MINUTE);
        assert_eq!(attempts(&field)[0].content.subject, "down stays returns");
        assert_eq!(waiting(&field), 3, "both in one mail, and that one is back");
        interrupt(&mut field);
        field.run_until(2 * HOUR);
        assert_eq!(said(&field, "jefe"), ["down stays, was returns"]);
        field.run_until(5 * HOUR);
        assert_eq!(said(&field, "noc")[0], "down stays returns", "word for word, as it was first sent");
    }
}

#[test]
fn what_one_recipient_has_is_not_handed_on_when_the_path_fails_later() {
    let mut field = watched(plan(&["a"], |noc| noc.recipients.push("full@example.net".into())));
    field.answer = Box::new(|second, mail| {
        let (well, full) = (&mail.recipients[..1], &mail.recipients[mail.recipients.len() - 1]);
        let is_first = &*mail.notifier == "noc" && second < HOUR + 5 * MINUTE;
        is_first.then(|| {
            if second < HOUR + MINUTE || mail.recipients.len() == 1 {
                return Err(DeliveryError::before_content("452 full"));
            }
            let mut receipt = Receipt::accepted(well);
            receipt.deferred.push((full.clone(), "452 full".to_owned()));
            Ok(receipt)
        })
    });
    field.silence("a", HOUR..HOUR + 10 * MINUTE);
    field.run_until(HOUR + 4 * MINUTE);
    assert_eq!((said(&field, "noc"), waiting(&field)), (vec!["down a".to_owned()], 0), "somebody has it");
    assert!(
        matches!(path(&field), Event::MailPath { failing_since: None, error: None, .. }),
        "so the path works again"
    );
    field.server_works = false;
    field.run_until(HOUR + 50 * MINUTE);
    assert_eq!(waiting(&field), 1, "that it is back");
    field.server_works = true;
    field.run_until(4 * HOUR);
    assert_eq!(said(&field, "jefe"), [""; 0]);
    assert!(said(&field, "noc").contains(&"up a".to_owned()));
}

#[test]
fn words_that_come_a_second_time_change_no_mail_that_the_server_may_have() {
    let mut field = watched(plan(&["a"], |_| ()));
    field.answer = breaks_off(HOUR, HOUR + 5 * MINUTE);
    field.silence("a", HOUR..2 * HOUR);
    field.run_until(HOUR + 3 * MINUTE);
    let (id, now) = (attempts(&field)[0].id, field.now());
    field.monitor.handle_composed(now, id, Content::new("other words", "", ""));
    field.carry_out();
    field.run_until(HOUR + 15 * MINUTE);
    assert_eq!(said(&field, "noc"), ["down a"]);
    let attempts = attempts(&field);
    assert!(attempts.len() > 2 && attempts.iter().all(|attempt| *attempt == attempts[0]), "{attempts:?}");
}

#[test]
fn a_notifier_that_replaces_another_is_told_what_that_one_may_not_have_told_and_every_end_after_it() {
    // Whether or not the one who goes wanted to hear of ends.
    for recovery in [true, false] {
        let mut field = watched(plan(&["a"], |noc| (noc.escalate_to, noc.recovery) = (None, recovery)));
        field.answer = breaks_off(HOUR, 3 * HOUR);
        field.silence("a", HOUR..HOUR + 10 * MINUTE);
        field.silence("a", HOUR + 20 * MINUTE..2 * HOUR);
        field.run_until(HOUR + 25 * MINUTE);
        field.reload(plan(&["a"], |noc| (noc.name, noc.escalate_to) = ("turno".into(), None)));
        field.run_until(HOUR + 40 * MINUTE);
        let lines = |field: &Field| -> Vec<(LineKind, u64)> {
            let mails = field.mails.iter().filter(|mail| &*mail.notification.notifier == "turno");
            let lines = mails.flat_map(|mail| mail.notification.lines.iter());
            lines.map(|line| (line.kind, line.outage.first_bad.since(wall(0)).as_secs() / MINUTE)).collect()
        };
        assert!(lines(&field).contains(&(LineKind::Missed, 60)), "the first is over: {:?}", lines(&field));
        assert!(lines(&field).contains(&(LineKind::Opened, 80)), "the second is not: {:?}", lines(&field));
        field.restart(30);
        field.run_until(3 * HOUR);
        assert_eq!(lines(&field).last(), Some(&(LineKind::Closed, 80)));
        assert_eq!(said(&field, "turno").len(), 2);
    }
}

/// The configuration is changed while netwatch runs, or while it is stopped.
const CHANGES: [fn(&mut Field, Plan); 2] = [Field::reload, restarted_with];

/// From minute 60 on, for so many minutes, nobody's mail gets out for certain; `first` is replaced in minute 70. Gives what
/// `turno`, who comes in its place, is told of `a`, which is silent for five minutes from 60 on.
fn told_in_the_place_of(first: Plan, fails: u64, by: fn(&mut Field, Plan)) -> Vec<LineKind> {
    let mut field = watched(first);
    let failing = HOUR..HOUR + fails * MINUTE;
    field.answer =
        Box::new(move |second, _| failing.contains(&second).then(|| Err(DeliveryError::uncertain("no answer"))));
    field.silence("a", HOUR..HOUR + 5 * MINUTE);
    field.run_until(HOUR + 10 * MINUTE);
    by(&mut field, plan(&["a"], |noc| (noc.name, noc.escalate_to) = ("turno".into(), None)));
    field.run_until(3 * HOUR);
    let mails = field.mails.iter().filter(|mail| &*mail.notification.notifier == "turno");
    let lines = mails.flat_map(|mail| mail.notification.lines.iter()).filter(|line| &*line.subject.name == "a");
    lines.map(|line| line.kind).collect()
}

#[test]
fn one_notifier_in_the_place_of_two_is_told_of_each_outage_once() {
    for by in CHANGES {
        let two = plan(&["a"], |noc| noc.escalate_to = None).with_notifier(policy("segundo"));
        assert_eq!(told_in_the_place_of(two, 30, by), [LineKind::Missed]);
    }
}

#[test]
fn an_end_that_waits_behind_its_beginning_is_not_told_a_second_time_by_who_takes_over() {
    for by in CHANGES {
        let one = plan(&["a"], |noc| noc.escalate_to = None);
        assert_eq!(told_in_the_place_of(one, 30, by), [LineKind::Missed]);
    }
}

#[test]
fn an_outage_that_two_owed_and_that_goes_on_is_told_of_once_and_so_is_its_end() {
    for by in CHANGES {
        let two = plan(&["a"], |noc| noc.escalate_to = None).with_notifier(policy("segundo"));
        let mut field = watched(two);
        field.answer = Box::new(|second, _| {
            (HOUR..HOUR + 30 * MINUTE).contains(&second).then(|| Err(DeliveryError::uncertain("no answer")))
        });
        field.silence("a", HOUR..2 * HOUR);
        field.run_until(HOUR + 10 * MINUTE);
        by(&mut field, plan(&["a"], |noc| (noc.name, noc.escalate_to) = ("turno".into(), None)));
        field.run_until(3 * HOUR);
        assert_eq!(said(&field, "turno"), ["down a", "up a"]);
    }
}

/// The same after a stop in which the configuration was changed.
fn restarted_with(field: &mut Field, plan: Plan) {
    field.plan = std::sync::Arc::new(plan);
    field.restart(30);
}

#[test]
fn a_device_that_is_renamed_while_its_mail_is_under_way_is_told_of_once_and_as_back() {
    let mut field = watched(plan(&["old"], |noc| noc.escalate_to = None));
    field.answer = breaks_off(HOUR, HOUR + 10 * MINUTE);
    field.silence("old", HOUR..2 * HOUR);
    field.silence("new", HOUR..2 * HOUR);
    field.run_until(HOUR + 5 * MINUTE);
    field.reload(plan(&["new"], |noc| noc.escalate_to = None));
    field.run_until(HOUR + 30 * MINUTE);
    field.restart(30);
    field.run_until(4 * HOUR);
    assert_eq!(said(&field, "noc"), ["down old", "up new"]);
    let attempts = attempts(&field);
    assert_eq!(attempts.last().and_then(|up| up.in_reply_to.as_ref()), Some(&attempts[0].message_id));
}

#[test]
fn the_page_says_how_the_mail_path_stands_and_only_when_that_changes() {
    let mut field = watched(plan(&["a", "b"], |noc| noc.escalate_to = None));
    field.silence("a", HOUR..2 * HOUR);
    field.silence("b", HOUR + 40 * MINUTE..2 * HOUR);
    field.server_works = false;
    let state = |waiting, failing_since, last_sent, error: Option<&str>| Event::MailPath {
        notifier: "noc".into(),
        waiting,
        failing_since,
        last_sent,
        error: error.map(str::to_owned),
    };
    field.run_until(HOUR + 20 * MINUTE);
    let first = deliveries(&field)[0].at;
    let refused = "mail.example.net: connection refused";
    assert_eq!(path(&field), state(1, Some(first), None, Some(refused)));
    field.server_works = true;
    field.run_until(HOUR + 30 * MINUTE);
    let sent = deliveries(&field).last().expect("it was sent").at;
    assert_eq!(path(&field), state(0, None, Some(sent), None));
    field.server_works = false;
    field.run_until(HOUR + 50 * MINUTE);
    let of_b = deliveries(&field).into_iter().find(|delivery| delivery.subject == "down b").expect("an attempt for b");
    let DeliveryOutcome::Deferred { retry_at } = of_b.outcome else { panic!("it was put off") };
    assert!(retry_at.since(of_b.at) <= Duration::from_secs(30), "the path worked in between, so the waits begin anew");
    assert_eq!(path(&field), state(1, Some(of_b.at), Some(sent), Some(refused)));
}

#[test]
fn each_attempt_for_a_mail_that_the_server_may_have_comes_when_it_was_announced() {
    let plan = plan(&["a"], |noc| noc.escalate_to = None);
    let mut field = watched(with_settings(plan, |settings| settings.interval = Duration::from_secs(600)));
    field.answer = breaks_off(HOUR, 3 * HOUR);
    field.silence("a", HOUR..5 * HOUR);
    field.run_until(4 * HOUR);
    let all = deliveries(&field);
    assert!(all.len() > 20 && all.iter().all(|delivery| delivery.subject == "down a"));
    for pair in all.windows(2) {
        let DeliveryOutcome::Deferred { retry_at } = pair[0].outcome else { panic!("it was put off") };
        assert_eq!(pair[1].at.since(retry_at).as_millis(), 0, "announced for {retry_at:?}, tried at {:?}", pair[1].at);
        assert!(pair[1].at >= retry_at);
    }
}

/// Both recipients, by what became of the mail for them, as the record says after the first attempt for `a`.
fn what_became(answer: impl Fn(usize, &Notification) -> Result<Receipt, DeliveryError> + 'static) -> Field {
    let mut field = watched(plan(&["a"], |noc| {
        (noc.escalate_to, noc.recipients) = (None, vec!["one@example.net".into(), "two@example.net".into()]);
    }));
    let count = std::cell::Cell::new(0);
    field.answer = Box::new(move |_, mail| {
        (&*mail.notifier == "noc").then(|| {
            count.set(count.get() + 1);
            answer(count.get(), mail)
        })
    });
    field.silence("a", HOUR..4 * HOUR);
    field.run_until(3 * HOUR);
    field
}

fn refusing(mut error: DeliveryError, recipients: &[std::sync::Arc<str>]) -> DeliveryError {
    error.refused = recipients.iter().map(|to| (to.clone(), "550 no such user".to_owned())).collect();
    error
}

#[test]
fn a_recipient_for_whom_a_mail_is_given_up_is_shown_once() {
    let failed = |field: &Field| -> Vec<(Vec<String>, Option<String>)> {
        let failed = deliveries(field).into_iter().filter(|delivery| delivery.outcome == DeliveryOutcome::Failed);
        failed.map(|it| (it.recipients.iter().map(|to| to.to_string()).collect(), it.reason.clone())).collect()
    };
    let first_one_then = |error: fn(&Notification) -> DeliveryError| {
        what_became(move |n, mail| match n {
            1 => {
                let mut receipt = Receipt::accepted(&mail.recipients[..1]);
                receipt.deferred.push((mail.recipients[1].clone(), "452 full".to_owned()));
                Ok(receipt)
            }
            _ => Err(error(mail)),
        })
    };
    let two = |reason: &str| [(vec!["two@example.net".to_owned()], Some(reason.to_owned()))];
    let whole = first_one_then(|_| DeliveryError::permanent("554 go away"));
    assert_eq!(failed(&whole), two("554 go away"), "all that was left was refused at once");
    let named = first_one_then(|mail| refusing(DeliveryError::permanent("550"), &mail.recipients));
    assert_eq!(failed(&named), two("550 no such user"));
    assert_eq!((attempts(&whole).len(), attempts(&named).len()), (2, 2), "and never asked for again");
}

#[test]
fn a_mail_that_the_server_may_have_is_not_tried_again_for_whom_it_refused_for_good() {
    let field = what_became(|n, mail| match n {
        1 => Err(DeliveryError::uncertain("no answer")),
        2 => Err(refusing(DeliveryError::before_content("451 later"), &mail.recipients[1..])),
        3 => Err(DeliveryError::before_content("451 later")),
        _ => Ok(Receipt::accepted(&mail.recipients)),
    });
    let recipients: Vec<usize> = attempts(&field).iter().map(|attempt| attempt.recipients.len()).collect();
    assert_eq!(recipients, [2, 2, 1, 1]);
}

#[test]
fn a_server_that_may_have_a_mail_and_refuses_it_twelve_times_does_not_have_it() {
    let field = what_became(|n, mail| match n {
        1 => Err(DeliveryError::uncertain("no answer")),
        2..=13 => Err(refusing(DeliveryError::permanent("550"), &mail.recipients)),
        _ => Ok(Receipt::accepted(&mail.recipients)),
    });
    let attempts = attempts(&field);
    let same = attempts.iter().filter(|attempt| attempt.message_id == attempts[0].message_id);
    assert_eq!((same.count(), attempts.len()), (13, 14), "the same mail as long as it may have it, then a new one");
    assert!(attempts.iter().all(|attempt| attempt.recipients.len() == 2), "to all of them");
    assert_eq!(said(&field, "noc"), ["down a"]);
}

#[test]
fn a_far_side_without_recipients_that_is_busy_is_not_one_that_refuses_for_good() {
    for error in [DeliveryError::before_content("503 busy"), DeliveryError::permanent("554 go away")] {
        let recipients = if error.permanent { policy("noc").recipients } else { Vec::new() };
        let mut field = watched(plan(&["a"], |noc| noc.recipients = recipients));
        field.answer = Box::new(move |_, mail| (&*mail.notifier == "noc").then(|| Err(error.clone())));
        field.silence("a", HOUR..3 * HOUR);
        field.run_until(2 * HOUR);
        assert_eq!(told(&field, "jefe"), [(90, "down a".to_owned())]);
    }
}
