//! What time alone brings about: a monitor that nothing but its own timeouts moves, over a journal and mail servers that
//! fail or hang.

#![allow(clippy::expect_used)]

mod field;

use std::sync::Arc;
use std::time::Duration;

use field::{at, policy};
use netwatch_core::{
    Calendar, Change, Commit, Content, DeliveryError, Echo, Event, Loss, Maintenance, Monitor, MonitorOptions,
    NotifierPolicy, Output, Period, Plan, Receipt, Rtt, Sample, Saved, Scope, Settings, Target, TargetId,
};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;

#[derive(Clone, Copy, PartialEq)]
enum Journal {
    Works,
    Fails,
    /// Takes a commit and says nothing.
    Hangs,
    /// The commit takes effect; nobody lives to hear of it.
    TakesAndDies,
}

struct Alone {
    plan: Arc<Plan>,
    monitor: Monitor,
    millis: u64,
    journal: Journal,
    saved: Saved,
    hanging: Option<Commit>,
    /// Notifiers that have no server.
    dead: Vec<&'static str>,
    commits: Vec<Commit>,
    mails: Vec<(u64, String, String)>,
    events: Vec<(u64, Event)>,
}

/// Devices whose outages are due with the first silent check.
fn plan(names: impl IntoIterator<Item = String>, notifiers: impl IntoIterator<Item = NotifierPolicy>) -> Plan {
    let mut settings = Settings::default();
    (settings.tolerance, settings.settle) = (Duration::ZERO, Duration::ZERO);
    let settings = Arc::new(settings);
    let target = |name: String| Target::at(name, [192, 0, 2, 1].into()).with_settings(settings.clone());
    notifiers.into_iter().fold(Plan::new(names.into_iter().map(target).collect()), Plan::with_notifier)
}

fn one(notifiers: impl IntoIterator<Item = NotifierPolicy>) -> Plan {
    plan(["a".to_owned()], notifiers)
}

fn many(count: usize) -> Plan {
    plan((0..count).map(|number| format!("t{number}")), [policy("noc")])
}

impl Alone {
    fn new(plan: Plan) -> Alone {
        Alone::go_on(plan, Saved::default(), 0, Journal::Works, &[])
    }

    fn go_on(plan: Plan, saved: Saved, millis: u64, journal: Journal, dead: &[&'static str]) -> Alone {
        let plan = Arc::new(plan);
        let options = MonitorOptions::new([5; 16], "noc.example.net");
        let mut alone = Alone {
            monitor: Monitor::new(plan.clone(), &saved, at(millis), options),
            plan,
            millis,
            journal,
            saved,
            hanging: None,
            dead: dead.to_vec(),
            commits: Vec::new(),
            mails: Vec::new(),
            events: Vec::new(),
        };
        alone.carry_out();
        alone
    }

    /// A check of each of the first `count` devices ends now.
    fn check(&mut self, count: usize, answered: bool) {
        let now = at(self.millis);
        let echo = if answered { Echo::Reply(Rtt::default()) } else { Echo::Lost(Loss::NoReply) };
        let sample = |index| Sample::new(TargetId::from_index(index), now.mono, now.mono, [echo].into_iter().collect());
        self.monitor.handle_samples(now, &(0..count).map(sample).collect::<Vec<_>>());
        self.carry_out();
    }

    fn reload(&mut self, plan: Plan) {
        self.plan = Arc::new(plan);
        self.monitor.handle_reload(at(self.millis), self.plan.clone());
        self.carry_out();
    }

    /// What hangs is answered.
    fn wake_journal(&mut self) {
        self.journal = Journal::Works;
        if let Some(commit) = self.hanging.take() {
            self.saved.apply(&commit);
            self.monitor.handle_committed(at(self.millis), commit.seq);
        }
        self.carry_out();
    }

    /// Nothing happens until then, but what the monitor wanted to come back for.
    fn run_until(&mut self, end: u64) {
        while let Some(timeout) = self.monitor.poll_timeout() {
            let millis = timeout.as_nanos().div_ceil(1_000_000).max(self.millis);
            if millis > end {
                break;
            }
            self.millis = millis;
            self.monitor.handle_timeout(at(millis));
            self.carry_out();
        }
        self.millis = end;
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.monitor.poll_output() {
            let now = at(self.millis);
            match output {
                Output::Commit(commit) => self.commit(commit),
                Output::Compose(draft) => {
                    let line = |line: &netwatch_core::Line| {
                        let who = if line.members.is_empty() {
                            line.subject.name.to_string()
                        } else {
                            line.members.join("+")
                        };
                        format!("{} {} {who}", line.topic.code(), line.kind.code()).trim_end().to_owned()
                    };
                    let words = draft.lines.iter().map(line).collect::<Vec<_>>().join(", ");
                    self.monitor.handle_composed(now, draft.id, Content::new(words, "", ""));
                }
                Output::Deliver(mail) if self.dead.contains(&&*mail.notifier) => {
                    self.monitor.handle_delivered(now, mail.id, Err(DeliveryError::before_content("refused")));
                }
                Output::Deliver(mail) => {
                    self.mails.push((self.millis, mail.notifier.to_string(), mail.content.subject.clone()));
                    self.monitor.handle_delivered(now, mail.id, Ok(Receipt::accepted(&mail.recipients)));
                }
                Output::Event(event) => self.events.push((self.millis, event)),
                _ => {}
            }
        }
    }

    fn commit(&mut self, commit: Commit) {
        let now = at(self.millis);
        self.commits.push(commit.clone());
        match self.journal {
            Journal::Works => {
                self.saved.apply(&commit);
                self.monitor.handle_committed(now, commit.seq);
            }
            Journal::Fails => self.monitor.handle_commit_failed(now, commit.seq, "disk full"),
            Journal::Hangs => self.hanging = Some(commit),
            Journal::TakesAndDies => self.saved.apply(&commit),
        }
    }

    /// What one notifier was told, and when.
    fn told(&self, notifier: &str) -> Vec<(u64, &str)> {
        let mine = self.mails.iter().filter(|(_, to, _)| to == notifier);
        mine.map(|(at, _, words)| (*at, words.as_str())).collect()
    }
}

mod journal {
    use super::*;

    #[test]
    fn one_that_hangs_holds_a_mail_back_for_ten_seconds_and_no_longer() {
        let mut noc = policy("noc");
        noc.group_wait = Duration::from_secs(3);
        let mut alone = Alone::new(one([noc]));
        alone.check(1, true);
        alone.run_until(20_500);
        alone.journal = Journal::Hangs;
        alone.check(1, false);
        alone.run_until(60 * SECOND);
        assert_eq!(alone.told("noc"), [(30_500, "outage opened a")]);
    }

    #[test]
    fn what_a_failed_commit_carried_is_offered_again_five_seconds_later() {
        let mut alone = Alone::new(one([policy("noc")]));
        alone.run_until(500);
        alone.check(1, true);
        // Signs of life come every ten seconds: no other reason to write is near.
        alone.run_until(11_500);
        alone.journal = Journal::Fails;
        alone.check(1, false);
        alone.journal = Journal::Works;
        assert_eq!(alone.saved.targets["a"].outage, None);
        alone.run_until(16_500);
        assert!(alone.saved.targets["a"].outage.is_some());
    }

    fn records(commit: &Commit) -> usize {
        commit.changes.iter().filter(|change| matches!(change, Change::PutTarget(_))).count()
    }

    #[test]
    fn thousands_of_records_are_written_within_a_second_though_nothing_else_happens() {
        let mut alone = Alone::new(many(3000));
        alone.run_until(5 * SECOND);
        alone.check(3000, true);
        alone.run_until(5 * SECOND + 600);
        assert_eq!(alone.saved.targets.len(), 3000);
    }

    #[test]
    fn records_do_not_pile_up_behind_a_journal_that_is_slow() {
        let mut alone = Alone::new(many(4000));
        alone.run_until(5 * SECOND);
        alone.check(10, true);
        alone.run_until(6 * SECOND);
        alone.journal = Journal::Hangs;
        alone.check(4000, true);
        // Checks go on to end meanwhile.
        for millis in (6 * SECOND..10 * SECOND).step_by(300) {
            alone.run_until(millis);
            alone.check(1, true);
        }
        alone.wake_journal();
        alone.run_until(20 * SECOND);
        let most = alone.commits.iter().map(records).max();
        assert!(most <= Some(1000), "{most:?} records in one commit");
        assert_eq!(alone.saved.targets.len(), 4000);
    }

    #[test]
    fn a_journal_that_fails_for_a_while_does_not_get_all_that_waits_in_one_commit() {
        let mut alone = Alone::new(many(4000));
        alone.check(10, true);
        alone.run_until(6 * SECOND);
        alone.journal = Journal::Fails;
        alone.check(4000, true);
        for millis in (6 * SECOND..MINUTE).step_by(300) {
            alone.run_until(millis);
            alone.check(1, true);
        }
        alone.journal = Journal::Works;
        alone.run_until(2 * MINUTE);
        let most = alone.commits.iter().map(records).max();
        assert!(most <= Some(1000), "{most:?} records in one commit");
        assert_eq!(alone.saved.targets.len(), 4000);
    }

    #[test]
    fn a_stop_commits_what_hangs_and_what_waits_behind_it() {
        let mut alone = Alone::new(one([policy("noc")]));
        alone.check(1, true);
        alone.run_until(20 * SECOND);
        alone.journal = Journal::Hangs;
        alone.check(1, false);
        alone.journal = Journal::Works;
        alone.monitor.handle_stop(at(alone.millis));
        alone.carry_out();
        assert!(alone.saved.targets["a"].outage.is_some());
        assert_eq!(alone.saved.lines.len(), 1, "the mail is still owed");
    }

    #[test]
    fn a_full_disk_is_not_said_to_be_over_by_a_run_that_has_not_written_anything() {
        let mut alone = Alone::new(one([policy("noc")]));
        alone.check(1, true);
        alone.run_until(MINUTE);
        alone.journal = Journal::Fails;
        alone.run_until(5 * MINUTE);
        assert_eq!(alone.told("noc").iter().map(|(_, words)| *words).collect::<Vec<_>>(), ["disk opened"]);
        // The disk takes one more commit, and netwatch is killed before it knows.
        alone.journal = Journal::TakesAndDies;
        alone.run_until(5 * MINUTE + 6 * SECOND);
        assert_eq!(alone.saved.incidents.len(), 1);
        let mut alone = Alone::go_on(one([policy("noc")]), alone.saved, 6 * MINUTE, Journal::Fails, &[]);
        alone.check(1, true);
        alone.run_until(20 * MINUTE);
        assert_eq!(alone.told("noc"), [], "it goes on, and people know that");
        alone.journal = Journal::Works;
        alone.run_until(21 * MINUTE);
        assert_eq!(alone.told("noc").iter().map(|(_, words)| *words).collect::<Vec<_>>(), ["disk closed"]);
    }
}

mod paths {
    use super::*;

    /// One that is told of nothing but of netwatch itself.
    fn bystander(name: &str) -> NotifierPolicy {
        let mut policy = policy(name);
        policy.scope = Scope::targets(["elsewhere"]);
        policy
    }

    /// `noc` has had no server for 20 min, and the others there are know that.
    fn dead_for_twenty_minutes(notifiers: impl IntoIterator<Item = NotifierPolicy>) -> Alone {
        let mut alone = Alone::new(one(notifiers));
        alone.run_until(3500);
        alone.check(1, true);
        alone.run_until(20 * SECOND);
        alone.dead = vec!["noc"];
        alone.check(1, false);
        alone.run_until(20 * MINUTE);
        alone
    }

    #[test]
    fn a_dead_one_is_told_of_to_the_second_though_nothing_happens() {
        let alone = dead_for_twenty_minutes([policy("noc"), bystander("jefe")]);
        // The first attempt was after the group wait of 10 s, and the other mail has one of its own.
        assert_eq!(alone.told("jefe"), [(10 * MINUTE + 40 * SECOND, "mail_path opened noc")]);
    }

    #[test]
    fn whoever_a_reload_brings_is_told_of_one_that_is_dead_already() {
        let mut alone = dead_for_twenty_minutes([policy("noc")]);
        alone.reload(one([policy("noc"), bystander("jefe")]));
        alone.run_until(21 * MINUTE);
        assert_eq!(alone.told("jefe").iter().map(|(_, words)| *words).collect::<Vec<_>>(), ["mail_path opened noc"]);
    }

    #[test]
    fn one_of_a_notifier_that_a_reload_removes_is_over() {
        let mut alone = dead_for_twenty_minutes([policy("noc"), bystander("jefe")]);
        alone.reload(one([bystander("jefe")]));
        alone.run_until(25 * MINUTE);
        let words: Vec<&str> = alone.told("jefe").iter().map(|(_, words)| *words).collect();
        assert_eq!(words, ["mail_path opened noc", "mail_path closed noc"]);
        assert!(alone.saved.incidents.is_empty());
    }

    #[test]
    fn a_restart_does_not_end_one_before_it_was_tried() {
        let both = || one([policy("noc"), bystander("jefe")]);
        let alone = dead_for_twenty_minutes([policy("noc"), bystander("jefe")]);
        let mut again = Alone::go_on(both(), alone.saved, 21 * MINUTE, Journal::Works, &["noc"]);
        again.run_until(40 * MINUTE);
        assert_eq!(again.told("jefe"), [], "it is as dead as it was");
        again.dead.clear();
        again.run_until(50 * MINUTE);
        assert_eq!(again.told("jefe").iter().map(|(_, words)| *words).collect::<Vec<_>>(), ["mail_path closed noc"]);
    }
}

#[test]
fn maintenance_begins_and_ends_when_it_was_said_to() {
    let mut plan = one([policy("noc")]);
    let time = |millis: u64| at(millis).wall;
    let calendar = Calendar::new([Period::new(time(33_300), time(96_600))]);
    plan.maintenance.push(Maintenance::new(Scope::targets(["a"]), calendar));
    let mut alone = Alone::new(plan);
    alone.check(1, true);
    alone.run_until(2 * MINUTE);
    let changes = alone.events.iter().filter_map(|(at, event)| match event {
        Event::Maintenance { maintenance, .. } => Some((*at, maintenance.is_some())),
        _ => None,
    });
    assert_eq!(changes.collect::<Vec<_>>(), [(33_300, true), (96_600, false)]);
}
