//! What a notifier is owed survives a mail server that is away for three days, restarts, and a thousand reloads: nothing is
//! lost, nothing is told twice, and memory does not grow.

#![allow(clippy::expect_used)]

mod field;

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;
use field::{Field, plain_words};
use netwatch_core::{Content, Event, LineKind, NotifierPolicy, Outage, OutageId, Plan, Settings, Target};

const HOUR: u64 = 3600;

fn plan(devices: usize, interval: u64) -> Plan {
    let mut settings = Settings::default();
    settings.interval = Duration::from_secs(interval);
    let settings = std::sync::Arc::new(settings);
    let target = |n: usize| Target::at(format!("d{n}"), [192, 0, 2, n as u8].into()).with_settings(settings.clone());
    let mut policy = NotifierPolicy::new("noc");
    policy.recipients = vec!["noc@example.net".into()];
    Plan::new((0..devices).map(target).collect()).with_notifier(policy)
}

/// Outages of 4 to 6 min with 30 to 46 min between them: never six changes in an hour. Returns how many there are.
fn outages(field: &mut Field, rng: &mut Rng, devices: usize, end: u64) -> usize {
    let mut count = 0;
    for n in 0..devices {
        let mut at = rng.u64(600..2700);
        while at + 360 < end {
            let to = at + rng.u64(240..360);
            field.silence(&format!("d{n}"), at..to);
            count += 1;
            at = to + rng.u64(1800..2760);
        }
    }
    count
}

/// How often each outage was told of, as (beginnings, ends).
fn told(field: &Field) -> HashMap<OutageId, (usize, usize)> {
    let mut told: HashMap<OutageId, (usize, usize)> = HashMap::new();
    for line in field.mails.iter().flat_map(|mail| mail.notification.lines.iter()) {
        let counts = told.entry(line.outage.id).or_default();
        counts.0 += usize::from(line.kind != LineKind::Closed);
        counts.1 += usize::from(line.kind != LineKind::Opened);
    }
    told
}

/// The outages that became due, each as it was last heard of.
fn due(field: &Field) -> HashMap<OutageId, Outage> {
    let mut due = HashMap::new();
    for (_, event) in &field.events {
        if let Event::OutageDue(_, outage) | Event::OutageClosed(_, outage) = event
            && outage.due.is_some()
        {
            due.insert(outage.id, outage.clone());
        }
    }
    due
}

fn assert_each_told_once(field: &Field) {
    let (told, due) = (told(field), due(field));
    for outage in due.values() {
        assert_eq!(told.get(&outage.id), Some(&(1, 1)), "{outage:?}");
    }
    assert_eq!(told.len(), due.len(), "something was told that was not due");
}

#[test]
fn three_days_without_a_mail_server_and_twenty_restarts_lose_nothing() {
    let mut rng = Rng::with_seed(72);
    let mut field = Field::with_words(
        plan(52, 60),
        Box::new(|draft| Content::new(if draft.late_since.is_some() { "late" } else { "" }, "", "")),
    );
    let end = 72 * HOUR;
    let happened = outages(&mut field, &mut rng, 52, end - HOUR);
    assert!(2 * happened >= 10_000, "{happened} outages are too few transitions");
    field.server_works = false;
    for n in 0..20 {
        field.run_until((n + 1) * end / 20 - 300);
        field.restart(rng.u64(1..120));
    }
    field.run_until(end);
    assert!(field.mails.is_empty());
    let over = due(&field).values().filter(|outage| outage.closed.is_some()).count();
    field.server_works = true;
    field.run_until(end + 4 * HOUR);
    assert_each_told_once(&field);
    assert!(due(&field).len() * 20 >= happened * 19, "{} of {happened} were seen", due(&field).len());
    let lines = field.mails.iter().flat_map(|mail| mail.notification.lines.iter());
    assert_eq!(
        lines.filter(|line| line.kind == LineKind::Missed).count(),
        over,
        "those that were over are told as such"
    );
    assert_eq!(field.mails[0].notification.content.subject, "late");
}

#[test]
fn a_thousand_reloads_and_a_hundred_restarts_lose_nothing_repeat_nothing_and_keep_nothing() {
    let mut rng = Rng::with_seed(8);
    let mut field = Field::with_words(plan(40, 10), plain_words());
    let steps = 1100;
    let end = steps * 30;
    let happened = outages(&mut field, &mut rng, 40, end - HOUR);
    let mut sizes = Vec::new();
    for step in 0..steps {
        field.run_until(step * 30 + rng.u64(1..30));
        if step % 11 == 10 {
            field.restart(rng.u64(1..3));
        } else {
            // Devices come and go behind those that stay, and so the places of all change.
            let mut plan = plan(40, 10);
            for n in 0..rng.usize(0..5) {
                plan.targets.insert(n, Target::at(format!("extra{step}-{n}"), [198, 51, 100, n as u8].into()));
            }
            field.reload(plan);
        }
        if step % 100 == 99 {
            sizes.push(resident());
        }
    }
    field.run_until(end + 4 * HOUR);
    assert_each_told_once(&field);
    assert!(due(&field).len() * 10 >= happened * 9, "{} of {happened} were seen", due(&field).len());
    let (early, late) = (sizes[2], sizes[sizes.len() - 1]);
    let recorded = field.events.len() * 400 + field.transitions.len() * 200;
    assert!(late < early + (8 << 20) + recorded, "memory grew from {early} to {late} bytes: {sizes:?}");
    assert!(field.saved.targets.len() <= 45 && field.saved.lines.is_empty() && field.saved.mails.is_empty());
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("proc(5)");
    let pages: usize = statm.split(' ').nth(1).and_then(|field| field.parse().ok()).expect("a number of pages");
    pages * 4096
}
