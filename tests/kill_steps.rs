//! kill -9 at every step of a mail between "decided" and "recorded as sent", with a real mail server: nothing is lost, and
//! a copy arrives only where RFC 1047 says that it must, with the same Message-ID.
//!
//! Where the daemon stands is seen from outside: the database shows what is committed, and can be locked so that the next
//! commit waits; the front of the mail server holds the conversation at any step. After each kill the database is read
//! again, and a kill that came a moment late is not counted.
//!
//! Each device dies once and stays dead, so that every restart could also tell of all those before it again.
//! `NETWATCH_KILLS` is the number of kills at each step (2), `NETWATCH_LANES` how many labs run side by side (2).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use netwatch_tests::answerer::Answerer;
use netwatch_tests::config::Config;
use netwatch_tests::daemon::Daemon;
use netwatch_tests::mail::{Message, Moment, OpenSmtpd};
use netwatch_tests::netns::Namespace;
use netwatch_tests::process::wait_for;
use netwatch_tests::stage::{Fleet, SOON};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// Rounds through all steps until the lab is made anew.
const ROUNDS: usize = 5;
/// Devices in a lab: one for each kill, and for those that came late.
const FLEET: Fleet = Fleet::v4(80);
/// Between what is owed and the draft of its mail.
const GROUP_WAIT: Duration = Duration::from_millis(250);
/// Until a mail has arrived after a restart. The first attempt is at once; after one that fails it would be 30 s.
const TOLD: Duration = Duration::from_secs(20);

/// A step at which the daemon is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// The outage is due, and the commit of that waits for the disk.
    Deciding,
    /// It is owed in the database; its mail waits for what else may fail.
    Decided,
    /// A mail is drafted and written, and its commit waits for the disk.
    Drafted,
    /// The mail is in the database.
    Written,
    /// The server has been called and has not said a word.
    Connected,
    /// The server has everything but DATA.
    BeforeData,
    /// Half of the content has arrived.
    InContent,
    /// The final dot was lost on its way.
    DotLost,
    /// The server has taken the mail, and its 250 is on the way.
    Taken,
    /// The 250 is read, and the commit of that waits for the disk.
    Confirmed,
    /// The mail is recorded as sent.
    Told,
}

impl Step {
    const ALL: [Step; 11] = [
        Step::Deciding,
        Step::Decided,
        Step::Drafted,
        Step::Written,
        Step::Connected,
        Step::BeforeData,
        Step::InContent,
        Step::DotLost,
        Step::Taken,
        Step::Confirmed,
        Step::Told,
    ];

    /// Where the conversation is held.
    fn moment(self) -> Option<Moment> {
        match self {
            Step::Deciding | Step::Decided | Step::Drafted | Step::Told => None,
            Step::Written | Step::Connected => Some(Moment::Connected),
            Step::BeforeData => Some(Moment::Data),
            Step::InContent => Some(Moment::Content),
            Step::DotLost => Some(Moment::Dot),
            Step::Taken | Step::Confirmed => Some(Moment::Taken),
        }
    }

    /// What the database must hold at the kill, or the kill came late.
    fn committed(self) -> Committed {
        match self {
            Step::Deciding => Committed::Nothing,
            Step::Decided | Step::Drafted => Committed::Owed,
            Step::Told => Committed::Told,
            _ => Committed::Written,
        }
    }

    /// How many copies may arrive: the server took the mail before the kill, and nobody could know.
    fn copies(self) -> usize {
        if matches!(self, Step::Taken | Step::Confirmed) { 2 } else { 1 }
    }
}

/// What the database holds of a device's outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Committed {
    Nothing,
    Owed,
    Written,
    Told,
}

fn subject(name: &str) -> String {
    format!("NO RESPONDE: {name}")
}

fn committed(database: &Path, name: &str) -> Committed {
    let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database opens");
    database.busy_timeout(Duration::from_secs(5)).expect("a time limit can be set");
    let has = |sql: &str, value: &str| {
        let count: i64 = database.query_row(sql, [value], |row| row.get(0)).unwrap_or_else(|error| panic!("{error}"));
        count > 0
    };
    if has("SELECT count(*) FROM told WHERE target = ?1", name) {
        Committed::Told
    } else if has("SELECT count(*) FROM mails WHERE subject = ?1", &subject(name)) {
        Committed::Written
    } else if has("SELECT count(*) FROM lines WHERE instr(line, ?1) > 0", &format!("\"{name}\"")) {
        Committed::Owed
    } else {
        Committed::Nothing
    }
}

/// Nobody else can commit until this is dropped.
fn lock(database: &Path) -> Connection {
    let database =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("the database opens");
    database.busy_timeout(Duration::from_secs(5)).expect("a time limit can be set");
    // The daemon must find its log as the kill left it.
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("SQLite can be told so");
    database.execute_batch("BEGIN IMMEDIATE").expect("the database can be locked");
    database
}

/// The fields are dropped in this order: first what uses.
struct Lab {
    daemon: Daemon,
    there: Answerer,
    mail: OpenSmtpd,
    _here: Arc<Namespace>,
}

impl Lab {
    fn new() -> Lab {
        let here = Arc::new(Namespace::new());
        let there = Answerer::join(&here, FLEET);
        let mail = OpenSmtpd::start(&here, 2525);
        let quick = Config::new().each("interval", "500ms").each("pings", 2).each("spacing", "50ms");
        let quick = quick.each("timeout", "250ms").each("warn_rtt", "200ms").each("tolerance", "0s");
        let config = FLEET.targets(quick, &[]).smtp(mail.address()).notifier("group_interval", "0s");
        let config = config.notifier("group_wait", format!("{}ms", GROUP_WAIT.as_millis()).as_str());
        let mut daemon = Daemon::prepare(&here, &config, Some(&mail.certificates().authority.clone()));
        daemon.start();
        daemon.wait_all("ok", SOON);
        Lab { daemon, there, mail, _here: here }
    }

    fn database(&self) -> PathBuf {
        self.daemon.data_dir().join("netwatch.db")
    }

    fn wait_committed(&self, name: &str, wanted: Committed, limit: Duration) {
        wait_for(&format!("{name} to be {wanted:?}"), limit, || {
            (committed(&self.database(), name) == wanted).then_some(())
        });
    }

    /// Lets the device die, kills the daemon at the step, starts it again and waits until the device is told of. Says
    /// whether the kill came in time.
    fn kill_at(&mut self, step: Step, name: &str) -> bool {
        self.daemon.wait_ready();
        // Just started, it may not have told its page of any target.
        let answers =
            || self.daemon.targets().into_iter().any(|(found, target)| found == name && target.status == "ok");
        wait_for(&format!("{name} to be ok"), SOON, || answers().then_some(()));
        let database = self.database();
        let mut locked = (step == Step::Deciding).then(|| lock(&database));
        if let Some(moment) = step.moment() {
            self.mail.hold(moment);
        }
        self.there.silence(&FLEET.address(name));
        match step {
            Step::Deciding => drop(self.daemon.wait_status(name, "down", SOON)),
            Step::Decided => self.wait_committed(name, Committed::Owed, SOON),
            Step::Drafted => {
                self.wait_committed(name, Committed::Owed, SOON);
                locked = Some(lock(&database));
                // Nothing outside shows a draft that is not committed.
                sleep(GROUP_WAIT + Duration::from_millis(150));
            }
            Step::Written => self.wait_committed(name, Committed::Written, SOON),
            Step::Told => self.wait_committed(name, Committed::Told, SOON),
            Step::Confirmed => {
                self.mail.wait_reached(Moment::Taken, SOON);
                locked = Some(lock(&database));
                self.mail.release();
                self.mail.wait_reached(Moment::Confirmed, SOON);
                // On the way from the 250 to the commit that is kept waiting.
                sleep(Duration::from_millis(fastrand::u64(..60)));
            }
            _ => self.mail.wait_reached(step.moment().expect("a step of the conversation"), SOON),
        }
        assert!(self.daemon.is_running(), "it ended by itself:\n{}", self.daemon.output());
        self.daemon.kill9();
        self.mail.cut();
        let found = committed(&database, name);
        drop(locked);
        self.daemon.spawn();
        self.wait_committed(name, Committed::Told, TOLD);
        let in_time = found == step.committed();
        if !in_time {
            println!("{step:?}: the kill came late ({found:?})");
        }
        in_time
    }

    /// Until no mail has arrived for a while.
    fn settle(&self, told: usize) -> Vec<Message> {
        self.mail.wait_for(told, TOLD);
        // Whatever was wrongly told again would come with the next group, or with the next check.
        sleep(Duration::from_secs(2));
        self.mail.delivered()
    }
}

/// What became of the kills at a step.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    kills: usize,
    lost: usize,
    copies: usize,
}

/// Goes through all steps so often, in one lab.
fn rounds(count: usize) -> BTreeMap<Step, Tally> {
    let mut lab = Lab::new();
    let mut names = FLEET.names().into_iter();
    let mut killed = Vec::new();
    for _ in 0..count {
        for step in Step::ALL {
            loop {
                let name = names.next().expect("kills that came late are few: the machine is too busy");
                let in_time = lab.kill_at(step, &name);
                killed.push((step, name, in_time));
                if in_time {
                    break;
                }
            }
        }
    }
    judge(&lab.settle(killed.len()), &killed)
}

/// Each device is told of, in one mail by its Message-ID, in no more copies than its step excuses; and nobody else is.
fn judge(delivered: &[Message], killed: &[(Step, String, bool)]) -> BTreeMap<Step, Tally> {
    let mut tallies = BTreeMap::<Step, Tally>::new();
    let mut explained = 0;
    for (step, name, in_time) in killed {
        let copies: Vec<&Message> = delivered.iter().filter(|mail| mail.subject() == subject(name)).collect();
        explained += copies.len();
        let tally = tallies.entry(*step).or_default();
        tally.kills += usize::from(*in_time);
        tally.lost += usize::from(copies.is_empty());
        tally.copies += copies.len().saturating_sub(1);
        let same = |mail: &&Message| {
            let first = copies[0];
            mail.id() == first.id()
                && mail.header("X-Netwatch-Batch") == first.header("X-Netwatch-Batch")
                && mail.body == first.body
        };
        assert!(copies.iter().all(same), "{step:?}: {name} was told of in two mails: {copies:#?}");
        let most = if *in_time { step.copies() } else { 2 };
        assert!((1..=most).contains(&copies.len()), "{step:?}: {} copies about {name}", copies.len());
    }
    let subjects: Vec<&str> = delivered.iter().map(Message::subject).collect();
    assert_eq!(explained, delivered.len(), "somebody was told of something else: {subjects:?}");
    tallies
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[test]
fn killed_at_any_step_it_loses_nothing_and_repeats_only_what_it_cannot_know() {
    let (kills, lanes) = (number("NETWATCH_KILLS", 2), number("NETWATCH_LANES", 2));
    let batch = ROUNDS.min(kills.div_ceil(lanes));
    let left = AtomicUsize::new(kills);
    let lane = || {
        let mut all = BTreeMap::<Step, Tally>::new();
        while let Ok(before) =
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left > 0).then(|| left.saturating_sub(batch)))
        {
            for (step, tally) in rounds(before.min(batch)) {
                let sum = all.entry(step).or_default();
                *sum = Tally {
                    kills: sum.kills + tally.kills,
                    lost: sum.lost + tally.lost,
                    copies: sum.copies + tally.copies,
                };
            }
            println!("{} kills at each step to go", left.load(Ordering::SeqCst));
        }
        all
    };
    let mut total = BTreeMap::<Step, Tally>::new();
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        for lane in lanes {
            for (step, tally) in lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                let sum = total.entry(step).or_default();
                sum.kills += tally.kills;
                sum.lost += tally.lost;
                sum.copies += tally.copies;
            }
        }
    });
    for step in Step::ALL {
        let Tally { kills: done, lost, copies } = total.get(&step).copied().unwrap_or_default();
        println!("{step:?}: {done} kills, {lost} lost, {copies} copies");
        assert_eq!((done, lost), (kills, 0), "{step:?}");
    }
}
