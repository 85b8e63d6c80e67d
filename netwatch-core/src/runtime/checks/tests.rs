//! What probes do to the book of checks, and what a reload does.

use super::*;
use crate::model::{Echo, Echoes, Loss, Plan, Rtt, Target};

fn target() -> TargetId {
    TargetId::from_index(0)
}

fn seconds(seconds: u64) -> Mono {
    Mono::ZERO.plus(Duration::from_secs(seconds))
}

fn reply(target: TargetId, at: Mono) -> Sample {
    Sample::new(target, at, at, [Echo::Reply(Rtt::default())].into_iter().collect())
}

fn collect(checks: &mut Checks, now: Mono, inbox: &Inbox) -> Vec<Sample> {
    let mut batch = Batch::default();
    inbox.swap(&mut batch);
    checks.collect(now, &mut batch, Silence::Is(Cause::NoResult))
}

fn one_open() -> (Checks, Inbox, CheckId) {
    let mut checks = Checks::new(2);
    let id = checks.open(0, target(), seconds(10), &Settings::default()).expect("the first check of a target");
    (checks, Inbox::default(), id)
}

fn is_unknown(sample: &Sample, cause: Cause) -> bool {
    !sample.echoes.is_empty() && sample.echoes.iter().all(|echo| echo == Echo::Unknown(cause))
}

#[test]
fn a_check_reported_twice_counts_once() {
    let (mut checks, inbox, id) = one_open();
    inbox.report(&[(id, reply(target(), seconds(11))), (id, reply(target(), seconds(11)))]);
    assert_eq!(collect(&mut checks, seconds(11), &inbox).len(), 1);
    inbox.report(&[(id, reply(target(), seconds(11)))]);
    inbox.ended([id].into_iter());
    assert!(collect(&mut checks, seconds(12), &inbox).is_empty());
    assert_eq!(checks.next(), None, "nothing is waited for any more");
}

#[test]
fn a_check_that_nobody_reports_is_unknown_after_its_deadline_and_some_slack() {
    let (mut checks, inbox, id) = one_open();
    assert_eq!(checks.next(), Some(seconds(10 + 6 + 1)));
    assert!(collect(&mut checks, seconds(16), &inbox).is_empty());
    let out = collect(&mut checks, seconds(17), &inbox);
    assert!(is_unknown(&out[0], Cause::NoResult) && out[0].at == seconds(10) && out[0].echoes.len() == 5);
    inbox.report(&[(id, reply(target(), seconds(17)))]);
    assert!(collect(&mut checks, seconds(18), &inbox).is_empty(), "what comes after that is too late");
}

#[test]
fn a_slice_that_ends_without_a_word_leaves_unknown() {
    let (mut checks, inbox, id) = one_open();
    inbox.ended([id].into_iter());
    assert!(is_unknown(&collect(&mut checks, seconds(11), &inbox)[0], Cause::NoResult));
}

#[test]
fn no_echo_at_all_is_not_a_silence() {
    let (mut checks, inbox, id) = one_open();
    inbox.report(&[(id, Sample::new(target(), seconds(10), seconds(11), Echoes::new()))]);
    assert!(is_unknown(&collect(&mut checks, seconds(11), &inbox)[0], Cause::NoResult));
}

#[test]
fn a_sample_of_another_target_does_not_speak_for_this_one() {
    let (mut checks, inbox, id) = one_open();
    let other = TargetId::from_index(1);
    let lost = [Echo::Lost(Loss::NoReply)].into_iter().collect();
    inbox.report(&[(id, Sample::new(other, seconds(10), seconds(11), lost))]);
    let out = collect(&mut checks, seconds(11), &inbox);
    assert!(out.len() == 1 && out[0].target == target() && is_unknown(&out[0], Cause::NoResult));
}

#[test]
fn what_is_finished_before_its_time_waits_for_it() {
    let (mut checks, inbox, id) = one_open();
    inbox.report(&[(id, reply(target(), seconds(20)))]);
    assert!(collect(&mut checks, seconds(9), &inbox).is_empty());
    assert_eq!(checks.next(), Some(seconds(10)));
    let out = collect(&mut checks, seconds(10), &inbox);
    assert_eq!((out[0].ended, out[0].last_reply), (seconds(10), Some(seconds(10))));
}

#[test]
fn a_probe_that_never_comes_back_is_not_asked_without_end() {
    let mut checks = Checks::new(1);
    let settings = Settings::default();
    let first = checks.open(0, target(), seconds(0), &settings).expect("the first");
    assert!(checks.open(0, target(), seconds(10), &settings).is_some(), "one may begin while the other ends");
    let inbox = Inbox::default();
    assert_eq!(collect(&mut checks, seconds(100), &inbox).len(), 2, "both are given up");
    assert!(checks.open(0, target(), seconds(100), &settings).is_none(), "but the probe still holds them");
    inbox.ended([first].into_iter());
    assert!(collect(&mut checks, seconds(101), &inbox).is_empty());
    assert!(checks.open(0, target(), seconds(110), &settings).is_some());
}

#[test]
fn a_check_that_ends_after_the_next_one_is_old_news() {
    let mut checks = Checks::new(1);
    let settings = Settings::default();
    let slow = checks.open(0, target(), seconds(0), &settings).expect("the first");
    let quick = checks.open(0, target(), seconds(6), &settings).expect("the second");
    let inbox = Inbox::default();
    inbox.report(&[(quick, reply(target(), seconds(6)))]);
    assert_eq!(collect(&mut checks, seconds(6), &inbox).len(), 1);
    let lost = [Echo::Lost(Loss::NoReply)].into_iter().collect();
    inbox.report(&[(slow, Sample::new(target(), seconds(0), seconds(6), lost))]);
    assert!(collect(&mut checks, seconds(7), &inbox).is_empty());
}

#[test]
fn samples_come_in_the_order_in_which_their_checks_began() {
    let (mut checks, inbox, id) = one_open();
    checks.not_made(target(), seconds(16), 5, Cause::NoInterface);
    inbox.report(&[(id, reply(target(), seconds(16)))]);
    let out = collect(&mut checks, seconds(16), &inbox);
    assert_eq!([out[0].at, out[1].at], [seconds(10), seconds(16)]);
}

#[test]
fn what_netwatch_drops_at_its_end_tells_nothing() {
    let (mut checks, inbox, id) = one_open();
    inbox.ended([id].into_iter());
    let mut batch = Batch::default();
    inbox.swap(&mut batch);
    assert!(checks.collect(seconds(60), &mut batch, Silence::Untold).is_empty());
}

/// Targets of these names, each at an address of its own.
fn plan(names: &[&str]) -> Plan {
    Plan::new(names.iter().map(|name| Target::at(*name, [192, 0, 2, name.as_bytes()[0]].into())).collect())
}

/// Where the targets of one plan are in another, by their names: what the logic says of a reload without renames.
fn by_name(old: &Plan, new: &Plan) -> Vec<Option<TargetId>> {
    let place = |target: &Target| new.targets.iter().position(|other| other.name == target.name);
    old.targets.iter().map(|target| place(target).map(TargetId::from_index)).collect()
}

fn follow(checks: &mut Checks, old: &[&str], new: &[&str]) {
    let (old, new) = (plan(old), plan(new));
    checks.follow(&Moves::new(&old, &new, by_name(&old, &new)));
}

#[test]
fn after_a_reload_results_belong_to_the_new_ids_and_those_of_who_is_gone_to_nobody() {
    let (mut checks, inbox, settings) = (Checks::new(2), Inbox::default(), Settings::default());
    let (first, second) = (TargetId::from_index(0), TargetId::from_index(1));
    let gone = checks.open(0, first, seconds(10), &settings).expect("a");
    let moved = checks.open(0, second, seconds(10), &settings).expect("b");
    checks.not_made(second, seconds(20), 5, Cause::NoInterface);
    checks.not_made(first, seconds(19), 5, Cause::NoInterface);
    follow(&mut checks, &["a", "b"], &["x", "y", "b"]);
    follow(&mut checks, &["x", "y", "b"], &["b", "c"]);
    // The probe knows nothing of reloads: it speaks of whom it was told to ask.
    inbox.report(&[(gone, reply(first, seconds(11))), (moved, reply(second, seconds(11)))]);
    let out = collect(&mut checks, seconds(11), &inbox);
    assert_eq!(out.iter().map(|sample| (sample.target, sample.replies())).collect::<Vec<_>>(), [(first, 1)]);
    assert_eq!(checks.next(), Some(seconds(20)), "nothing else is waited for");
    assert!(is_unknown(&collect(&mut checks, seconds(20), &inbox)[0], Cause::NoInterface));
}

#[test]
fn a_check_under_way_is_given_up_after_a_reload_as_before() {
    let (mut checks, inbox, _) = one_open();
    follow(&mut checks, &["a", "b"], &["b", "a"]);
    assert_eq!(checks.next(), Some(seconds(17)));
    let out = collect(&mut checks, seconds(17), &inbox);
    assert!(out.len() == 1 && out[0].target.index() == 1 && is_unknown(&out[0], Cause::NoResult));
}

#[test]
fn old_news_is_old_news_after_a_reload_too() {
    let (mut checks, inbox, settings) = (Checks::new(1), Inbox::default(), Settings::default());
    let slow = checks.open(0, target(), seconds(0), &settings).expect("the first");
    let quick = checks.open(0, target(), seconds(6), &settings).expect("the second");
    inbox.report(&[(quick, reply(target(), seconds(6)))]);
    assert_eq!(collect(&mut checks, seconds(6), &inbox).len(), 1);
    follow(&mut checks, &["a"], &["b", "a"]);
    let lost = [Echo::Lost(Loss::NoReply)].into_iter().collect();
    inbox.report(&[(slow, Sample::new(target(), seconds(0), seconds(6), lost))]);
    assert!(collect(&mut checks, seconds(7), &inbox).is_empty());
}

#[test]
fn a_thousand_reloads_leave_no_more_behind_than_one() {
    let (mut checks, inbox, settings) = (Checks::new(2), Inbox::default(), Settings::default());
    let mut under_way = Vec::new();
    for round in 0..1000_u64 {
        let at = seconds(10 + round);
        under_way.extend((0..2).filter_map(|n| checks.open(0, TargetId::from_index(n), at, &settings)));
        let (old, new) = if round % 2 == 0 { (["a", "b"], ["b", "c"]) } else { (["b", "c"], ["a", "b"]) };
        follow(&mut checks, &old, &new);
    }
    let queued: usize = checks.give_up.values().map(VecDeque::len).sum();
    assert!(queued <= 4 && checks.asked_as.len() <= 4 && checks.slab.places() <= 4, "{queued}");
    inbox.ended(under_way.into_iter());
    collect(&mut checks, seconds(2000), &inbox);
    assert!(checks.asked_as.is_empty() && checks.busy == [0, 0] && checks.next().is_none());
}

fn returned(checks: &mut Checks) -> Vec<(bool, bool)> {
    checks.returned().map(|returned| (returned.heard, returned.missed)).collect()
}

#[test]
fn it_is_told_of_each_probe_whether_its_checks_come_back() {
    let mut checks = Checks::new(4);
    let inbox = Inbox::default();
    let mut open = |prober, n| checks.open(prober, TargetId::from_index(n), seconds(10), &Settings::default());
    let ids = [open(0, 0), open(2, 1), open(2, 2), open(300, 3)].map(|id| id.expect("a first check"));
    inbox.report(&[(ids[0], reply(TargetId::from_index(0), seconds(11)))]);
    collect(&mut checks, seconds(11), &inbox);
    assert_eq!(returned(&mut checks), [(true, false)]);
    assert_eq!(returned(&mut checks), [(false, false)], "since the last look nothing came back");
    collect(&mut checks, seconds(17), &inbox);
    let told = returned(&mut checks);
    assert_eq!((told[0], told[1], told[2], told[255]), ((false, false), (false, false), (false, true), (false, true)));
    inbox.report(&[(ids[1], reply(TargetId::from_index(1), seconds(18)))]);
    inbox.ended([ids[2]].into_iter());
    collect(&mut checks, seconds(18), &inbox);
    assert_eq!(returned(&mut checks)[2], (true, true), "late is better than never");
}

#[test]
fn a_report_that_tells_nothing_is_no_result_and_a_standstill_is_nobodys_fault() {
    let (mut checks, inbox, id) = one_open();
    inbox.report(&[(id, Sample::new(target(), seconds(10), seconds(11), Echoes::default()))]);
    collect(&mut checks, seconds(11), &inbox);
    assert_eq!(returned(&mut checks), [(false, true)]);
    for ends in [true, false] {
        let (mut checks, inbox, id) = one_open();
        if ends {
            inbox.ended([id].into_iter());
        }
        let mut batch = Batch::default();
        inbox.swap(&mut batch);
        checks.collect(seconds(300), &mut batch, Silence::Is(Cause::Stalled));
        assert!(returned(&mut checks).iter().all(|told| *told == (false, false)));
    }
}
