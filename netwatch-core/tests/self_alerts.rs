//! What netwatch tells of itself, and of what was only rehearsed: each once, outside the budget, and never instead of an outage.

#![allow(clippy::expect_used)]

mod field;

use std::sync::Arc;
use std::time::Duration;

use field::{Field, at, policy};
use netwatch_core::{
    Budget, Cause, Change, Content, Decision, DeliveryError, DrillRefusal, Echo, Event, Input, Loss, Monitor,
    MonitorOptions, NotifierPolicy, Now, Output, Plan, Receipt, Rtt, Sample, Saved, Scope, Target, TargetId, Wall,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

fn plan(names: &[&str], notifiers: impl IntoIterator<Item = NotifierPolicy>) -> Plan {
    let targets = names.iter().map(|name| Target::at(*name, [192, 0, 2, 1].into())).collect();
    notifiers.into_iter().fold(Plan::new(targets), Plan::with_notifier)
}

fn words() -> field::Words {
    Box::new(|draft| {
        let lines = draft.lines.iter().map(|line| {
            let who = if line.members.is_empty() { line.subject.name.to_string() } else { line.members.join("+") };
            format!("{} {} {who}", line.topic.code(), line.kind.code()).trim_end().to_owned()
        });
        Content::new(lines.collect::<Vec<_>>().join(", "), "", "")
    })
}

fn field(plan: Plan) -> Field {
    Field::with_words(plan, words())
}

/// The mails of one notifier, with their minutes.
fn told(field: &Field, notifier: &str) -> Vec<(u64, String)> {
    let mine = field.mails.iter().filter(|mail| &*mail.notification.notifier == notifier);
    mine.map(|mail| (mail.second / 60, mail.notification.content.subject.clone())).collect()
}

fn decided(field: &Field, wanted: &Decision) -> usize {
    let is_wanted = |event: &Event| matches!(event, Event::Ledger(entry) if entry.decision == *wanted);
    field.events.iter().filter(|(_, event)| is_wanted(event)).count()
}

mod drops {
    use super::*;

    #[test]
    fn replies_that_netwatch_dropped_are_told_once_while_it_goes_on_and_again_when_it_is_over() {
        for cause in [Cause::ReceiveOverflow, Cause::SoftnetDrops] {
            let mut field = field(plan(&["a", "b"], [policy("noc")]));
            for name in ["a", "b"] {
                field.unknowns.insert(name.into(), (HOUR..HOUR + 9 * MINUTE, cause));
            }
            field.run_until(2 * HOUR);
            let expected = [(60, "receive_drops opened".to_owned()), (79, "receive_drops closed".to_owned())];
            assert_eq!(told(&field, "noc"), expected, "{cause:?}");
        }
    }

    #[test]
    fn their_end_is_told_also_by_a_netwatch_that_started_since() {
        let mut field = field(plan(&["a"], [policy("noc")]));
        field.unknowns.insert("a".into(), (HOUR..HOUR + 9 * MINUTE, Cause::ReceiveOverflow));
        field.run_until(HOUR + 12 * MINUTE);
        field.restart(30);
        field.run_until(2 * HOUR);
        let words: Vec<String> = told(&field, "noc").into_iter().map(|(_, words)| words).collect();
        assert_eq!(words, ["receive_drops opened", "receive_drops closed"]);
    }

    #[test]
    fn what_is_unknown_for_another_reason_is_no_alert() {
        let mut field = field(plan(&["a"], [policy("noc")]));
        field.unknowns.insert("a".into(), (HOUR..HOUR + 9 * MINUTE, Cause::NoRoute));
        field.run_until(2 * HOUR);
        assert_eq!(told(&field, "noc"), []);
    }

    #[test]
    fn those_that_come_and_go_are_told_no_more_than_once_in_ten_minutes() {
        let mut field = field(plan(&["a"], [policy("noc")]));
        let mut last = None;
        for minute in (60..360).step_by(3) {
            field.unknowns.insert("a".into(), (minute * MINUTE..minute * MINUTE + 30, Cause::ReceiveOverflow));
            field.run_until((minute + 3) * MINUTE);
            let openings = told(&field, "noc").into_iter().filter(|(_, words)| words.contains("opened"));
            let latest = openings.map(|(minute, _)| minute).next_back();
            assert!(last.is_none() || latest == last, "they go on: {latest:?}");
            last = latest;
        }
        assert!(last.is_some());
    }
}

mod disk {
    use super::*;

    /// A journal that fails from the first minute to `until`, with nothing else going on.
    fn failing(until: u64) -> Vec<(u64, String)> {
        let plan = Arc::new(plan(&["a"], [policy("noc")]));
        let mut monitor = Monitor::new(plan, &Saved::default(), at(0), MonitorOptions::new([5; 16], "noc.example.net"));
        let mut told = Vec::new();
        for second in 0..2 * HOUR {
            let now = at(second * 1000);
            monitor.handle(now, &Input::Timeout);
            // The sign of life of a netwatch that knows all its devices is a reason to write.
            if second == 0 {
                let echo = Echo::Reply(Rtt::from_duration(Duration::from_millis(2)));
                let id = TargetId::from_index(0);
                monitor.handle_samples(now, &[Sample::new(id, now.mono, now.mono, [echo].into_iter().collect())]);
            }
            while let Some(output) = monitor.poll_output() {
                match output {
                    Output::Commit(commit) if (MINUTE..until).contains(&second) => {
                        monitor.handle_commit_failed(now, commit.seq, "disk full");
                    }
                    Output::Commit(commit) => monitor.handle_committed(now, commit.seq),
                    Output::Compose(draft) => {
                        let content = words()(&draft);
                        monitor.handle_composed(now, draft.id, content);
                    }
                    Output::Deliver(mail) => {
                        told.push((second, mail.content.subject.clone()));
                        monitor.handle_delivered(now, mail.id, Ok(Receipt::default()));
                    }
                    _ => {}
                }
            }
        }
        told
    }

    #[test]
    fn one_that_takes_nothing_for_a_minute_is_told_of_from_memory_and_so_is_its_end() {
        let told = failing(HOUR);
        let words: Vec<&str> = told.iter().map(|(_, words)| words.as_str()).collect();
        assert_eq!(words, ["disk opened", "disk closed"]);
        let (opened, closed) = (told[0].0, told[1].0);
        assert!((2 * MINUTE..2 * MINUTE + 40).contains(&opened), "{opened}");
        assert!((HOUR..HOUR + 40).contains(&closed), "{closed}");
    }

    #[test]
    fn a_hiccup_is_not() {
        assert_eq!(failing(MINUTE + 50), []);
    }
}

mod paths {
    use super::*;

    /// `noc` has no server from ten minutes on; those named have one.
    fn run(plan: Plan, dead: &[&str], until: u64) -> Vec<(u64, String, String)> {
        let plan = Arc::new(plan);
        let options = MonitorOptions::new([5; 16], "noc.example.net");
        let mut monitor = Monitor::new(plan.clone(), &Saved::default(), at(0), options);
        let mut told = Vec::new();
        let mut last = at(0).mono;
        for second in 0..3 * HOUR {
            let now = at(second * 1000);
            let silent = (10 * MINUTE..2 * HOUR).contains(&second);
            if second % 10 == 0 {
                let echo = match silent {
                    true => Echo::Lost(Loss::NoReply),
                    false => Echo::Reply(Rtt::from_duration(Duration::from_millis(2))),
                };
                let id = TargetId::from_index(0);
                let sample = Sample::new(id, last, now.mono, [echo].into_iter().collect());
                monitor.handle_samples(now, &[sample]);
                last = now.mono;
            }
            if monitor.poll_timeout().is_some_and(|at| at <= now.mono) {
                monitor.handle_timeout(now);
            }
            while let Some(output) = monitor.poll_output() {
                match output {
                    Output::Commit(commit) => monitor.handle_committed(now, commit.seq),
                    Output::Compose(draft) => {
                        let content = words()(&draft);
                        monitor.handle_composed(now, draft.id, content);
                    }
                    Output::Deliver(mail) if dead.contains(&&*mail.notifier) && second < until => {
                        let error = DeliveryError::before_content("refused");
                        monitor.handle_delivered(now, mail.id, Err(error));
                    }
                    Output::Deliver(mail) => {
                        told.push((second / 60, mail.notifier.to_string(), mail.content.subject.clone()));
                        monitor.handle_delivered(now, mail.id, Ok(Receipt::accepted(&mail.recipients)));
                    }
                    _ => {}
                }
            }
        }
        told
    }

    fn three() -> Plan {
        // The other two are for nothing here, and are told of a dead path all the same.
        let mut others = [policy("jefe"), policy("guardia")];
        others.iter_mut().for_each(|policy| policy.scope = Scope::targets(["elsewhere"]));
        let mut plan = plan(&["a", "elsewhere"], [policy("noc")].into_iter().chain(others));
        plan.targets[1].paused = true;
        plan
    }

    #[test]
    fn a_notifier_that_delivers_nothing_is_told_of_to_the_others_and_its_end_too() {
        let told = run(three(), &["noc"], HOUR);
        for other in ["jefe", "guardia"] {
            let mine: Vec<_> = told.iter().filter(|(_, notifier, _)| notifier == other).collect();
            let words: Vec<&str> = mine.iter().map(|(_, _, words)| words.as_str()).collect();
            assert_eq!(words, ["mail_path opened noc", "mail_path closed noc"], "{other}");
            assert!((20..23).contains(&mine[0].0), "{mine:?}");
            assert!((60..66).contains(&mine[1].0), "{mine:?}");
        }
        assert!(told.iter().all(|(_, notifier, words)| notifier != "noc" || !words.contains("mail_path")), "{told:?}");
    }

    #[test]
    fn whoever_cannot_be_reached_either_is_not_told_of_it_afterwards() {
        let told = run(three(), &["noc", "jefe"], HOUR);
        assert!(told.iter().all(|(_, notifier, _)| notifier != "jefe"), "{told:?}");
        let guardia: Vec<&str> =
            told.iter().filter(|(_, notifier, _)| notifier == "guardia").map(|(_, _, words)| words.as_str()).collect();
        assert_eq!(guardia, ["mail_path opened noc", "mail_path closed noc"]);
    }

    #[test]
    fn a_short_failure_is_not_told_of() {
        let told = run(three(), &["noc"], 13 * MINUTE);
        assert!(told.iter().all(|(_, _, words)| !words.contains("mail_path")), "{told:?}");
    }
}

mod clock {
    use super::*;

    /// What is told while the clock is set by so many seconds at these times, when, by how much it says, and how many
    /// lines were owed in the journal for it.
    fn after(steps: &[(u64, i64)]) -> (Vec<(u64, String)>, usize) {
        let plan = Arc::new(plan(&["a"], [policy("noc")]));
        let mut monitor = Monitor::new(plan, &Saved::default(), at(0), MonitorOptions::new([5; 16], "noc.example.net"));
        let mut told = Vec::new();
        let mut lines = 0;
        for second in 0..HOUR {
            let set: i64 = steps.iter().filter(|(at, _)| *at <= second).map(|(_, step)| step).sum();
            let now = at(second * 1000);
            let now = Now::new(now.mono, Wall::from_unix_nanos(now.wall.unix_nanos() + set * 1_000_000_000));
            monitor.handle_timeout(now);
            while let Some(output) = monitor.poll_output() {
                match output {
                    Output::Commit(commit) => {
                        lines += commit.changes.iter().filter(|change| matches!(change, Change::PutLine(..))).count();
                        monitor.handle_committed(now, commit.seq);
                    }
                    Output::Compose(draft) => monitor.handle_composed(now, draft.id, words()(&draft)),
                    Output::Deliver(mail) => {
                        let outage = &mail.lines[0].outage;
                        let moved = outage
                            .closed
                            .map(|closed| (closed.unix_nanos() - outage.first_bad.unix_nanos()) / 1_000_000_000);
                        told.push((second, format!("{} {moved:?}", mail.content.subject)));
                        monitor.handle_delivered(now, mail.id, Ok(Receipt::default()));
                    }
                    _ => {}
                }
            }
        }
        (told, lines)
    }

    fn after_a_step(step: i64) -> (Vec<String>, usize) {
        let (told, lines) = after(&[(600, step)]);
        (told.into_iter().map(|(_, words)| words).collect(), lines)
    }

    #[test]
    fn one_that_is_set_again_and_again_is_told_of_once_in_ten_minutes() {
        let (told, _) = after(&[(600, 120), (700, 180), (2000, 60)]);
        let at: Vec<u64> = told.iter().map(|(second, _)| *second).collect();
        assert_eq!(at.len(), 3, "{told:?}");
        assert!(
            at[0] < 620 && (at[0] + 600..at[0] + 620).contains(&at[1]) && (2000..2020).contains(&at[2]),
            "{told:?}"
        );
    }

    #[test]
    fn one_that_jumps_by_a_minute_or_more_is_told_of_with_both_times_and_survives_a_crash() {
        for step in [60, 7200, -60, -86_400] {
            let (told, lines) = after_a_step(step);
            assert_eq!(told, [format!("clock missed Some({step})")]);
            assert_eq!(lines, 1, "it is owed in the journal before it is told");
        }
    }

    #[test]
    fn one_that_is_put_right_by_less_is_not() {
        for step in [0, 59, -59] {
            assert_eq!(after_a_step(step).0, [] as [&str; 0], "{step}");
        }
    }
}

mod drill {
    use super::*;

    #[test]
    fn whoever_would_be_told_of_an_outage_is_told_of_a_drill_and_of_its_end_and_nothing_is_recorded() {
        let mut others = policy("others");
        others.scope = Scope::targets(["b"]);
        let mut field = field(plan(&["a", "b"], [policy("noc"), others]));
        field.run_until(HOUR);
        field.monitor.handle_drill(field.now(), "a", "ana").expect("a drill");
        field.carry_out();
        field.run_until(2 * HOUR);
        assert_eq!(told(&field, "noc"), [(60, "drill opened a".to_owned()), (62, "drill closed a".to_owned())]);
        let ids: Vec<_> = field.mails.iter().map(|mail| mail.notification.message_id.clone()).collect();
        assert_eq!(field.mails[1].notification.in_reply_to.as_ref(), ids.first(), "it threads");
        assert_eq!(told(&field, "others"), []);
        assert_eq!(decided(&field, &Decision::Drill { by: "ana".into() }), 1);
        assert!(
            !field.events.iter().any(|(_, event)| matches!(event, Event::OutageOpened(..) | Event::OutageClosed(..)))
        );
        assert!(field.transitions.iter().all(|(second, _)| *second < HOUR), "no status changes");
        assert!(field.saved.targets.values().all(|target| target.outage.is_none()) && field.saved.told.is_empty());
    }

    #[test]
    fn who_is_told_of_a_device_for_what_lies_behind_it_is_told_of_its_drill_too() {
        let mut others = policy("others");
        others.scope = Scope::targets(["b"]);
        let mut plan = plan(&["a", "b"], [policy("noc"), others]);
        plan.targets[1] = plan.targets[1].clone().with_parents([TargetId::from_index(0)]);
        let mut field = field(plan);
        field.silence("a", HOUR..3 * HOUR);
        field.silence("b", HOUR..3 * HOUR);
        field.run_until(2 * HOUR);
        assert_eq!(told(&field, "others"), [(60, "outage opened a".to_owned())]);
        field.monitor.handle_drill(field.now(), "a", "ana").expect("a drill");
        field.carry_out();
        field.run_until(2 * HOUR + 10 * MINUTE);
        assert_eq!(told(&field, "others"), told(&field, "noc"));
        assert_eq!(told(&field, "others").len(), 3);
    }

    #[test]
    fn there_is_one_in_ten_minutes_of_a_device_that_exists_and_that_somebody_is_told_of() {
        let mut noc = policy("noc");
        noc.scope = Scope::targets(["a"]);
        let mut field = field(plan(&["a", "b"], [noc]));
        field.run_until(HOUR);
        let now = field.now();
        let refused = field.monitor.handle_drill(now, "c", "ana");
        assert_eq!(refused, Err(DrillRefusal::NoTarget { target: "c".into() }));
        assert_eq!(field.monitor.handle_drill(now, "b", "ana"), Err(DrillRefusal::Nobody { target: "b".into() }));
        field.monitor.handle_drill(now, "a", "ana").expect("a drill");
        field.run_until(HOUR + 9 * MINUTE);
        let again = now.wall.plus(Duration::from_secs(600));
        assert_eq!(field.monitor.handle_drill(field.now(), "a", "ana"), Err(DrillRefusal::TooSoon { again }));
        field.run_until(HOUR + 10 * MINUTE);
        field.monitor.handle_drill(field.now(), "a", "ana").expect("another");
    }

    #[test]
    fn a_drill_uses_up_no_budget_and_waits_for_none() {
        let mut noc = policy("noc");
        noc.budget = Budget::All;
        let mut field = field(plan(&["a", "b"], [noc]));
        field.silence("a", HOUR..3 * HOUR);
        field.run_until(HOUR + 10 * MINUTE);
        field.monitor.handle_drill(field.now(), "b", "ana").expect("a drill");
        field.carry_out();
        field.run_until(HOUR + 20 * MINUTE);
        let words: Vec<String> = told(&field, "noc").into_iter().map(|(_, words)| words).collect();
        assert_eq!(words, ["outage opened a", "drill opened b", "drill closed b"]);
        field.silence("b", 2 * HOUR + 5 * MINUTE..3 * HOUR);
        field.run_until(2 * HOUR);
        field.monitor.handle_drill(field.now(), "b", "ana").expect("a drill");
        field.run_until(2 * HOUR + 10 * MINUTE);
        assert!(
            told(&field, "noc").iter().any(|(minute, words)| (125..127).contains(minute) && words == "outage opened b")
        );
    }

    #[test]
    fn a_drill_that_a_restart_interrupts_is_over() {
        let mut field = field(plan(&["a"], [policy("noc")]));
        field.run_until(HOUR);
        field.monitor.handle_drill(field.now(), "a", "ana").expect("a drill");
        field.carry_out();
        field.run_until(HOUR + 20);
        field.restart(5);
        field.run_until(2 * HOUR);
        assert_eq!(told(&field, "noc"), [(60, "drill opened a".to_owned()), (62, "drill closed a".to_owned())]);
        assert!(field.saved.incidents.is_empty() && field.saved.told.is_empty());
    }
}

#[test]
fn an_alert_does_not_cost_an_outage_its_mail_under_the_budget_of_all() {
    let mut noc = policy("noc");
    noc.budget = Budget::All;
    let mut field = field(plan(&["a", "b"], [noc]));
    field.unknowns.insert("b".into(), (HOUR..HOUR + 60, Cause::ReceiveOverflow));
    field.silence("a", HOUR + 5 * MINUTE..3 * HOUR);
    field.run_until(HOUR + 10 * MINUTE);
    assert_eq!(told(&field, "noc"), [(60, "receive_drops opened".to_owned()), (65, "outage opened a".to_owned())]);
}

#[test]
fn what_went_wrong_before_a_restart_is_not_told_twice() {
    let mut field = field(plan(&["a"], [policy("noc")]));
    field.unknowns.insert("a".into(), (HOUR..HOUR + 20 * MINUTE, Cause::ReceiveOverflow));
    field.run_until(HOUR + 10 * MINUTE);
    field.restart(5);
    field.run_until(2 * HOUR);
    let words: Vec<String> = told(&field, "noc").into_iter().map(|(_, words)| words).collect();
    assert_eq!(words.iter().filter(|words| words.contains("receive_drops opened")).count(), 1, "{words:?}");
    assert_eq!(words.iter().filter(|words| words.contains("receive_drops closed")).count(), 1, "{words:?}");
}
