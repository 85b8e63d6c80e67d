//! Promises 1, 2 and 4 of the product, held against random histories: nothing lost, nothing repeated, unknown is not
//! down. Each history is ten virtual hours of twelve devices in which everything fails that can; the seed names it.

#![allow(clippy::expect_used)]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use netwatch_core::testing::{Faults, Span, World, WorldOptions, WorldReport};
use netwatch_core::{
    Budget, Change, Event, LineKind, Mono, NotifierPolicy, Outage, OutageId, Plan, Settings, Status, Target,
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// How much later than in truth an outage may be seen to begin or end: a check, its timeouts, and the time to the next.
const SIGHT: Duration = Duration::from_secs(32);

fn plan(budget: Budget, recovery: bool) -> Plan {
    let tolerances = [0, 30, 30, 120];
    let targets = (0..12_usize).map(|n| {
        let mut settings = Settings::default();
        settings.tolerance = SECOND * tolerances[n % 4];
        settings.settle = if n % 3 == 0 { Duration::ZERO } else { SECOND * 60 };
        Target::at(format!("device-{n}"), [192, 0, 2, n as u8 + 1].into()).with_settings(settings)
    });
    let mut policy = NotifierPolicy::new("noc");
    policy.recipients = vec!["noc@example.net".into(), "jefe@example.net".into()];
    policy.budget = budget;
    policy.recovery = recovery;
    Plan::new(targets.collect()).with_notifier(policy)
}

/// How many histories each test lives through; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40)
}

fn budgets() -> impl Strategy<Value = Budget> {
    prop_oneof![Just(Budget::Target), Just(Budget::All)]
}

fn faults() -> impl Strategy<Value = Faults> {
    any::<[bool; 5]>().prop_map(|[crashes, journal, mail, local, clock]| {
        let mut faults = Faults::NONE;
        (faults.crashes, faults.journal, faults.mail) = (crashes, journal, mail);
        // What survives a restart uses wall time, so a step that falls into a stop moves it.
        (faults.local, faults.clock) = (local, clock && !crashes);
        faults
    })
}

fn history(seed: u64, budget: Budget, recovery: bool, faults: Faults) -> WorldReport {
    let mut options = WorldOptions::new(seed, plan(budget, recovery), faults);
    options.turmoil = SECOND * 3600 * 10;
    World::new(options).run()
}

/// The record of outages, as the journal has it at the end.
fn record(report: &WorldReport) -> HashMap<OutageId, Outage> {
    let changes = report.commits.iter().flat_map(|commit| &commit.changes);
    let outages = changes.filter_map(|change| match change {
        Change::PutOutage(outage) => Some((outage.id, outage.clone())),
        _ => None,
    });
    outages.collect()
}

/// Nothing that was decided and committed stays untold.
fn check_decided_is_told(report: &WorldReport) -> Result<(), TestCaseError> {
    let openings = report.told().into_iter().filter(|told| told.line.kind.brings_outage());
    let told: HashSet<OutageId> = openings.map(|told| told.line.outage.id).collect();
    for outage in record(report).values() {
        prop_assert!(outage.due.is_none() || told.contains(&outage.id), "never told: {:?}", outage);
    }
    prop_assert!(report.saved.lines.is_empty() && report.saved.mails.is_empty(), "something is still owed");
    Ok(())
}

/// Nothing that was true, and that netwatch could see, stays untold. For histories without clock steps.
fn check_true_is_told(report: &WorldReport) -> Result<(), TestCaseError> {
    let (told, record) = (report.told(), record(report));
    for (target, outages) in plan(Budget::Target, true).targets.iter().zip(&report.truth) {
        for outage in outages {
            let seen = Span::new(outage.from.minus(SIGHT), outage.to);
            let mut gaps = report.blind.iter().chain(&report.stopped);
            let hidden = gaps.any(|span| span.overlap(&seen) > Duration::ZERO);
            if hidden || outage.to.since(outage.from) < target.settings.tolerance + SIGHT {
                continue;
            }
            let found = told.iter().any(|told| {
                let claimed = &told.line.outage;
                told.line.kind.brings_outage()
                    && claimed.target == target.name
                    && report.end.mono_at(claimed.first_bad) <= outage.to
                    && record
                        .get(&claimed.id)
                        .and_then(|recorded| recorded.closed)
                        .is_none_or(|closed| report.end.mono_at(closed).plus(SIGHT) >= outage.from)
            });
            prop_assert!(found, "{} was silent in {:?} and nobody was told", target.name, outage);
        }
    }
    Ok(())
}

/// One mail for an outage and one for its end; a copy has the same Message-ID, words and date.
fn check_told_once(report: &WorldReport) -> Result<(), TestCaseError> {
    let mut openings: HashMap<OutageId, HashSet<Arc<str>>> = HashMap::new();
    let mut endings: HashMap<OutageId, HashSet<Arc<str>>> = HashMap::new();
    for told in report.told() {
        let id = told.line.outage.id;
        if told.line.kind.brings_outage() {
            openings.entry(id).or_default().insert(told.message_id.clone());
        }
        if told.line.kind != LineKind::Opened {
            endings.entry(id).or_default().insert(told.message_id.clone());
        }
    }
    for (id, mails) in openings.iter().chain(&endings) {
        prop_assert!(mails.len() == 1, "outage {:?} was told in {:?}", id, mails);
    }
    Ok(())
}

fn check_copies_are_equal(report: &WorldReport) -> Result<(), TestCaseError> {
    let mut words = HashMap::new();
    for mail in &report.accepted {
        let sent = &mail.notification;
        let first = words.entry(sent.message_id.clone()).or_insert(sent);
        prop_assert_eq!((&first.content, first.date), (&sent.content, sent.date));
    }
    Ok(())
}

fn check_distance(report: &WorldReport, distance: Duration) -> Result<(), TestCaseError> {
    let mut seen = HashSet::new();
    let new = report.accepted.iter().filter(|mail| seen.insert(mail.notification.message_id.clone()));
    let times: Vec<Mono> = new.map(|mail| mail.at).collect();
    for pair in times.windows(2) {
        let gap = pair[1].since(pair[0]) + SECOND;
        prop_assert!(gap >= distance, "two new mails within {:?}", gap);
    }
    Ok(())
}

/// A crash forgets what was told from memory while nothing could be committed: a repetition is then owed to the disk.
fn forgot(report: &WorldReport, faults: Faults) -> bool {
    faults.crashes && report.accepted.iter().any(|mail| mail.from_memory)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost(seed: u64, budget in budgets(), recovery: bool, faults in faults()) {
        let report = history(seed, budget, recovery, faults);
        check_decided_is_told(&report)?;
        // What could not be committed is lost with a crash: no order of steps saves it.
        if !(faults.clock || faults.crashes && faults.journal) {
            check_true_is_told(&report)?;
        }
    }

    #[test]
    fn nothing_is_repeated(seed: u64, budget in budgets(), recovery: bool, faults in faults()) {
        let report = history(seed, budget, recovery, faults);
        check_copies_are_equal(&report)?;
        let from_memory = report.accepted.iter().filter(|mail| mail.from_memory).count();
        prop_assert!(faults.journal || from_memory == 0, "{} mails left before their commit", from_memory);
        if !forgot(&report, faults) {
            check_told_once(&report)?;
            let policy = &plan(budget, recovery).notifiers[0];
            let all = budget == Budget::All;
            check_distance(&report, if all { policy.min_interval } else { policy.group_interval })?;
        }
    }

    #[test]
    fn an_outage_is_one_until_the_device_has_answered(seed: u64, faults in faults()) {
        let mut faults = faults;
        faults.crashes = false;
        let report = history(seed, Budget::Target, true, faults);
        let mut down: HashMap<Arc<str>, OutageId> = HashMap::new();
        for (_, event) in &report.events {
            match event {
                Event::OutageDue(_, outage) => {
                    prop_assert_eq!(down.insert(outage.target.clone(), outage.id), None);
                }
                Event::OutageClosed(_, outage) => {
                    down.remove(&outage.target);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn the_end_of_what_was_told_is_told(seed: u64, budget in budgets(), faults in faults()) {
        let report = history(seed, budget, true, faults);
        if forgot(&report, faults) {
            return Ok(());
        }
        let told = report.told();
        let endings = told.iter().filter(|told| told.line.kind != LineKind::Opened);
        let ended: HashSet<OutageId> = endings.map(|told| told.line.outage.id).collect();
        let record = record(&report);
        for told in &told {
            let id = told.line.outage.id;
            let open = record.get(&id).is_none_or(|outage| outage.closed.is_none());
            prop_assert!(open || ended.contains(&id), "no end was told of {:?}", told.line.outage);
        }
    }

    #[test]
    fn unknown_is_not_down(seed: u64, faults in faults()) {
        let mut faults = faults;
        (faults.local, faults.clock) = (true, false);
        let report = history(seed, Budget::Target, true, faults);
        let plan = plan(Budget::Target, true);
        for (now, transition) in report.transitions.iter().filter(|(_, transition)| transition.to == Status::Down) {
            let looked = Span::new(now.mono.minus(SIGHT), now.mono);
            let truth = &report.truth[transition.target.index()];
            prop_assert!(truth.iter().any(|span| span.overlap(&looked) > Duration::ZERO), "{:?}", transition);
        }
        for told in report.told().iter().filter(|told| told.line.kind.brings_outage()) {
            let outage = &told.line.outage;
            let n = plan.targets.iter().position(|target| target.name == outage.target).expect("a known device");
            let due = report.end.mono_at(outage.due.expect("what is told is due"));
            let claimed = Span::new(report.end.mono_at(outage.started()).minus(SIGHT), due);
            let silence = report.truth[n].iter().map(|truth| truth.overlap(&claimed)).sum::<Duration>();
            let tolerance = plan.targets[n].settings.tolerance;
            prop_assert!(silence > Duration::ZERO, "told of {:?}, which answered all the time", outage);
            prop_assert!(silence + SIGHT >= tolerance, "told of {:?} after {:?} of silence", outage, silence);
        }
    }
}

#[test]
fn a_seed_gives_the_same_history_twice() {
    let mut faults = Faults::NONE;
    (faults.crashes, faults.journal, faults.mail, faults.local) = (true, true, true, true);
    let [first, second] = [0, 1].map(|_| history(7, Budget::Target, true, faults));
    assert_eq!(first.events, second.events);
    assert_eq!(first.saved, second.saved);
    assert!(first.accepted.len() > 20, "a history without mails proves nothing");
}
