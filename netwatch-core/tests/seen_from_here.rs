//! What netwatch itself can see: a silence counts when a witness says that it is not ours, checks keep their order while they
//! wait for that, and what cannot be seen for long is told of once, to whom it concerns.

#![allow(clippy::expect_used)]

mod field;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use field::{Field, at, policy};
use netwatch_core::{
    Cause, Content, Echo, Host, Input, Loss, Monitor, MonitorOptions, Output, Plan, Rtt, Sample, Saved, Scope,
    Settings, Status, Target, TargetId, Testimony, WitnessId,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

fn targets(names: &[&str]) -> Vec<Target> {
    names.iter().map(|name| Target::at(*name, [192, 0, 2, 1].into())).collect()
}

fn with_witnesses(mut plan: Plan, count: u8) -> Plan {
    plan.witnesses.extend((0..count).map(|n| Host::Ip { ip: [192, 0, 2, 200 + n].into(), zone: None }));
    plan
}

/// A monitor that is handed checks and words of witnesses at the millisecond.
struct Eye {
    monitor: Monitor,
    /// When witnesses were to be asked.
    asked: Vec<u64>,
    /// What the page showed of the devices, when.
    shown: Vec<(u64, Status)>,
    millis: u64,
}

impl Eye {
    /// So many devices, all of which answered at first, and so many witnesses of which nothing is known.
    fn new(devices: usize, witnesses: u8) -> Eye {
        let names: Vec<String> = (0..devices).map(|n| format!("d{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let plan = Arc::new(with_witnesses(Plan::new(targets(&names)), witnesses));
        let monitor = Monitor::new(plan, &Saved::default(), at(0), MonitorOptions::new([5; 16], "noc.example.net"));
        let mut eye = Eye { monitor, asked: Vec::new(), shown: Vec::new(), millis: 0 };
        let answered: Vec<Sample> = (0..devices).map(|device| check(device, 1, 2, answered())).collect();
        eye.checks(2, answered);
        eye.shown.clear();
        eye
    }

    fn input(&mut self, millis: u64, input: &Input) {
        self.millis = millis;
        self.monitor.handle(at(millis), input);
        while let Some(output) = self.monitor.poll_output() {
            match output {
                Output::Commit(commit) => self.monitor.handle(at(millis), &Input::Committed(commit.seq)),
                Output::AskWitnesses => self.asked.push(millis),
                Output::Transition(transition) => self.shown.push((millis, transition.to)),
                _ => {}
            }
        }
    }

    fn checks(&mut self, millis: u64, checks: Vec<Sample>) {
        self.input(millis, &Input::Samples(Arc::new(checks)));
    }

    fn says(&mut self, millis: u64, witness: usize, asked: u64, testimony: Testimony) {
        let witness = WitnessId::from_index(witness);
        self.input(millis, &Input::Witness { witness, at: at(asked).mono, testimony });
    }

    /// Nothing happens until then.
    fn pass(&mut self, until: u64) {
        for _ in 0..1000 {
            let due = self.monitor.poll_timeout().map(|due| due.as_nanos().div_ceil(1_000_000));
            let Some(due) = due.filter(|due| *due <= until) else { return };
            self.input(due.max(self.millis), &Input::Timeout);
        }
    }

    fn status(&self, device: usize) -> Status {
        self.monitor.start(at(self.millis)).targets[device].status
    }
}

fn answered() -> Echo {
    Echo::Reply(Rtt::from_duration(Duration::from_millis(1)))
}

const SILENT: Echo = Echo::Lost(Loss::NoReply);

fn check(device: usize, begin: u64, end: u64, echo: Echo) -> Sample {
    Sample::new(TargetId::from_index(device), at(begin).mono, at(end).mono, [echo].into_iter().collect())
}

#[test]
fn no_device_is_called_down_while_our_own_line_is_cut_however_quick_its_checks() {
    let mut quick = Settings::default();
    (quick.interval, quick.pings, quick.tolerance) = (Duration::from_secs(2), 1, Duration::ZERO);
    quick.timeout = Duration::from_millis(500);
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let targets = targets(&names).into_iter().map(|target| target.with_settings(quick.clone())).collect();
    let mut field = Field::new(with_witnesses(Plan::new(targets).with_notifier(policy("noc")), 2));
    field.cut_off.extend([601..604, 700..710, 800..1000]);
    field.run_until(1200);
    assert!(field.transitions.iter().any(|(_, it)| it.cause == Some(Cause::Blind)), "it is seen and said");
    assert!(field.transitions.iter().all(|(_, it)| it.to != Status::Down), "{:?}", field.transitions);
    assert_eq!(field.subjects(), ["down ", "up "], "one blindness that lasted, and no device: {:?}", field.told());
}

#[test]
fn a_witness_that_cannot_be_asked_is_ignored() {
    let mut eye = Eye::new(1, 2);
    eye.says(1000, 0, 900, Testimony::Missing);
    eye.says(1000, 1, 900, Testimony::Missing);
    eye.checks(2000, vec![check(0, 1500, 2000, SILENT)]);
    assert_eq!(eye.shown, [(2000, Status::Down)], "nobody can say otherwise, so nobody is waited for");
    eye.says(3000, 1, 2900, Testimony::Silent);
    assert!(eye.monitor.is_blind(), "the only one that can be asked is silent");
}

#[test]
fn a_witness_that_never_says_anything_is_waited_for_five_seconds() {
    let mut eye = Eye::new(1, 1);
    eye.checks(2000, vec![check(0, 1500, 2000, SILENT)]);
    eye.pass(6999);
    assert_eq!(eye.shown, []);
    eye.pass(9000);
    assert_eq!(eye.shown, [(7000, Status::Down)]);
}

#[test]
fn what_waits_for_a_witness_is_taken_in_order_and_the_witness_is_asked_at_once_and_not_too_often() {
    let mut eye = Eye::new(1, 1);
    eye.checks(2000, vec![check(0, 1500, 2000, SILENT)]);
    eye.checks(2100, vec![check(0, 2090, 2100, answered())]);
    eye.says(2300, 0, 1900, Testimony::Answered);
    assert_eq!(eye.shown, [], "what was asked before the silence ended says nothing of it");
    assert_eq!(eye.asked, [2000, 2300], "at once, but not again within a quarter of a second");
    eye.says(2600, 0, 2301, Testimony::Answered);
    assert_eq!(eye.shown, [(2600, Status::Down), (2600, Status::Ok)]);
    eye.pass(9000);
    eye.says(9000, 0, 8999, Testimony::Answered);
    assert_eq!(eye.status(0), Status::Ok);
    assert_eq!(eye.asked, [2000, 2300], "nothing waits any more");
}

#[test]
fn a_check_of_which_nothing_is_known_does_not_overtake_the_silence_before_it() {
    let mut eye = Eye::new(1, 1);
    eye.says(1000, 0, 900, Testimony::Answered);
    eye.input(20_000, &Input::Connected(false));
    eye.input(21_000, &Input::Connected(true));
    // Both are handed over late: one from before the link was gone, and one over which it was.
    eye.checks(24_000, vec![check(0, 10_000, 16_000, SILENT), check(0, 18_000, 22_000, SILENT)]);
    eye.says(24_100, 0, 15_000, Testimony::Answered);
    assert_eq!(eye.shown, [], "the first still waits for a witness, and the second for the first");
    eye.says(24_400, 0, 24_200, Testimony::Answered);
    assert_eq!(eye.shown, [(24_400, Status::Down), (24_400, Status::Unknown)]);
}

#[test]
fn a_silence_counts_only_if_the_link_was_there_all_the_time() {
    // The link is gone from 20 s to 21 s and from 24 s to 25 s, and everything is handed over afterwards.
    let expected = [
        (14_000, 19_000, Status::Down),
        (14_000, 20_000, Status::Down),
        (14_000, 20_001, Status::Unknown),
        (20_400, 20_600, Status::Unknown),
        (20_999, 23_000, Status::Unknown),
        (21_000, 23_000, Status::Down),
        (21_000, 24_000, Status::Down),
        (23_000, 26_000, Status::Unknown),
        (25_000, 26_000, Status::Down),
    ];
    let mut eye = Eye::new(expected.len(), 0);
    for (millis, connected) in [(20_000, false), (21_000, true), (24_000, false), (25_000, true)] {
        eye.input(millis, &Input::Connected(connected));
    }
    let checks = expected.iter().enumerate().map(|(device, (begin, end, _))| check(device, *begin, *end, SILENT));
    eye.checks(26_000, checks.collect());
    for (device, case) in expected.into_iter().enumerate() {
        assert_eq!(eye.status(device), case.2, "{case:?}");
    }
}

#[test]
fn a_witness_that_answers_every_two_seconds_is_no_reason_to_hurry_to_a_mail_server_that_refuses() {
    let plan = Plan::new(targets(&["a", "b"])).with_notifier(policy("noc"));
    let mut field = Field::recorded(with_witnesses(plan, 1));
    field.server_works = false;
    field.silence("a", 600..3 * HOUR);
    field.run_until(600 + HOUR);
    let attempts = field.outputs.iter().filter(|(_, output)| matches!(output, Output::Deliver(_))).count();
    assert!((10..20).contains(&attempts), "{attempts} attempts in an hour");
}

/// Mails say their lines as `topic kind names`.
fn field(plan: Plan) -> Field {
    let words = |draft: &netwatch_core::Draft| {
        let lines = draft.lines.iter().map(|line| {
            let who = if line.members.is_empty() { line.subject.name.to_string() } else { line.members.join("+") };
            format!("{} {} {who}", line.topic.code(), line.kind.code())
        });
        Content::new(lines.collect::<Vec<_>>().join(", "), "", "")
    };
    Field::with_words(plan, Box::new(words))
}

fn plan(names: &[&str]) -> Plan {
    Plan::new(targets(names)).with_notifier(policy("noc"))
}

/// A device cannot be seen from then until then.
fn hide(field: &mut Field, name: &str, seconds: std::ops::Range<u64>, cause: Cause) {
    field.unknowns.insert(name.into(), (seconds, cause));
}

#[test]
fn one_that_is_seen_in_between_is_told_of_ten_minutes_later_and_once() {
    let mut field = field(plan(&["a"]));
    hide(&mut field, "a", 600..880, Cause::NoRoute);
    field.run_until(900);
    assert_eq!(field.status("a"), Status::Ok);
    hide(&mut field, "a", 910..2 * HOUR, Cause::NoRoute);
    field.run_until(910 + 10 * MINUTE);
    assert_eq!(field.subjects(), [] as [&str; 0], "it has been unseen for less than ten minutes");
    field.run_until(910 + 12 * MINUTE);
    assert_eq!(field.subjects(), ["unseen opened a"]);
    field.run_until(3 * HOUR);
    assert_eq!(field.subjects(), ["unseen opened a", "unseen closed a"], "{:?}", field.told());
}

#[test]
fn a_restart_neither_ends_what_is_still_unseen_nor_loses_its_end() {
    let mut field = field(plan(&["a"]));
    hide(&mut field, "a", 600..2 * HOUR, Cause::NoRoute);
    field.run_until(HOUR);
    field.restart(5);
    field.run_until(2 * HOUR - 1);
    assert_eq!(field.subjects(), ["unseen opened a"], "{:?}", field.told());
    // The first thing that the next run hears of it is its answer.
    field.restart(5);
    field.run_until(3 * HOUR);
    assert_eq!(field.subjects(), ["unseen opened a", "unseen closed a"], "{:?}", field.told());
}

#[test]
fn what_is_paused_when_netwatch_starts_is_nobodys_trouble_any_more() {
    let mut field = field(plan(&["a"]));
    hide(&mut field, "a", 600..3 * HOUR, Cause::NoRoute);
    field.run_until(HOUR);
    let mut paused = plan(&["a"]);
    paused.targets[0].paused = true;
    field.plan = Arc::new(paused);
    field.restart(5);
    field.run_until(2 * HOUR);
    assert_eq!(field.subjects(), ["unseen opened a", "unseen closed a"], "{:?}", field.told());
}

#[test]
fn what_is_unseen_ends_with_the_last_device_that_is_still_configured() {
    let mut field = field(plan(&["a", "b"]));
    hide(&mut field, "a", 600..3 * HOUR, Cause::NoRoute);
    hide(&mut field, "b", 600..2 * HOUR, Cause::Unresolved);
    field.run_until(HOUR);
    let told: BTreeSet<String> =
        field.subjects().into_iter().flat_map(|words| words.split(", ")).map(Into::into).collect();
    assert_eq!(told, BTreeSet::from(["unseen opened a".to_owned(), "unseen opened b".to_owned()]));
    let before = field.mails.len();
    field.reload(plan(&["b"]));
    field.run_until(HOUR + 5 * MINUTE);
    assert_eq!(field.subjects()[before..], ["unseen closed a"], "it is watched no more");
    field.run_until(3 * HOUR);
    assert_eq!(field.subjects()[before..], ["unseen closed a", "unseen closed b"], "{:?}", field.told());
}

#[test]
fn who_is_told_of_some_devices_is_not_told_that_another_is_unseen_or_unstable() {
    let mut north = policy("north");
    north.scope = Scope::targets(["a"]);
    let mut field = field(plan(&["a", "b", "c"]).with_notifier(north));
    hide(&mut field, "c", 600..2 * HOUR, Cause::NoRoute);
    for n in 0..8 {
        field.silence("b", HOUR + n * 240..HOUR + n * 240 + 120);
    }
    hide(&mut field, "a", 3 * HOUR..4 * HOUR, Cause::NoRoute);
    field.run_until(5 * HOUR);
    let told = |notifier: &str| -> String {
        let mine = field.mails.iter().filter(|mail| &*mail.notification.notifier == notifier);
        mine.map(|mail| mail.notification.content.subject.clone()).collect::<Vec<_>>().join(", ")
    };
    assert!(told("noc").contains("unseen opened c") && told("noc").contains("flapping opened b"), "{}", told("noc"));
    assert_eq!(told("north"), "unseen opened a, unseen closed a");
}

#[test]
fn that_netwatch_was_cut_off_everybody_is_told_whatever_devices_he_is_told_of() {
    let mut north = policy("north");
    north.scope = Scope::targets(["a"]);
    let mut field = field(with_witnesses(plan(&["a", "b"]).with_notifier(north), 2));
    field.cut_off.push(HOUR..HOUR + 5 * MINUTE);
    field.run_until(2 * HOUR);
    for notifier in ["noc", "north"] {
        let mut mine = field.mails.iter().filter(|mail| &*mail.notification.notifier == notifier);
        assert!(mine.any(|mail| mail.notification.content.subject.contains("blind")), "{notifier}: {:?}", field.told());
    }
}
