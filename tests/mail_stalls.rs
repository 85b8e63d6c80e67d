//! Mail servers that break down at any step and in any way, at the real limit of a minute: probing keeps its period, each
//! attempt ends in its time, nothing counts as sent before the server has said so, and every mail arrives when its
//! server has recovered.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use netwatch_tests::config::Config;
use netwatch_tests::files::MailLine;
use netwatch_tests::mail::{Accepted, Act, Scripted, Session, Stage as At};
use netwatch_tests::process::wait_for;
use netwatch_tests::stage::{Fleet, SOON, Stage};

const FLEET: Fleet = Fleet::v4(3);
/// How long an attempt may take whatever the server does, with some slack for this machine.
const ATTEMPT: Duration = Duration::from_secs(65);
/// Until the last of two attempts after that: 30 s after the first, or 60 s after the second.
const RETRIED: Duration = Duration::from_secs(100);

const ACTS: [Act; 8] = [
    Act::Silent,
    Act::Drip(Duration::from_secs(10)),
    Act::Close,
    Act::Reply(421),
    Act::Reply(450),
    Act::Reply(550),
    Act::Reply(552),
    Act::GoAhead,
];

/// A mail server and its trouble.
#[derive(Debug, Clone)]
struct Case {
    at: At,
    act: Act,
    recipient: String,
}

fn cases() -> Vec<Case> {
    let all = At::ALL.into_iter().flat_map(|at| ACTS.map(|act| (at, act)));
    all.enumerate().map(|(n, (at, act))| Case { at, act, recipient: format!("n{n:02}@example.net") }).collect()
}

fn quick() -> Config {
    FLEET.targets(Config::scaled().each("tolerance", "1s"), &[])
}

impl Case {
    fn lines(&self, stage: &Stage<Vec<Scripted>>) -> Vec<MailLine> {
        stage.daemon.mail_log().into_iter().filter(|line| line.recipients == self.recipient).collect()
    }

    /// The first attempt has ended in its time, and is called sent only if the server has said so.
    fn assert_first_attempt(&self, stage: &Stage<Vec<Scripted>>, server: &Scripted) {
        let first = self.lines(stage).into_iter().next().expect("the attempt is over");
        let began = server.sessions().first().map(|session| session.at.duration_since(UNIX_EPOCH).unwrap());
        let took = Duration::from_nanos(first.at_ns).saturating_sub(began.expect("the server was called"));
        assert!(took <= ATTEMPT, "{self:?} took {took:?}");
        let sent = self.at == At::Quit;
        assert_eq!(first.outcome == "SENT", sent, "{self:?}: {first:?}");
    }

    /// The mail has arrived once, or again with the same Message-ID where the server had it without saying so.
    fn assert_told_once(&self, stage: &Stage<Vec<Scripted>>, accepted: &[Accepted]) {
        let kept_in_doubt = self.at == At::Dot && matches!(self.act, Act::Drip(_));
        assert_eq!(accepted.len(), 1 + usize::from(kept_in_doubt), "{self:?}: {accepted:#?}");
        let ids: BTreeSet<&str> = accepted.iter().map(|accepted| accepted.message.id()).collect();
        assert_eq!(ids.len(), 1, "{self:?}: {ids:?}");
        assert!(accepted.iter().all(|accepted| accepted.message.body.contains("d01")), "{self:?}");
        let outcomes: Vec<String> = self.lines(stage).into_iter().map(|line| line.outcome).collect();
        let (last, before) = outcomes.split_last().expect("the mail log tells of it");
        assert!(last == "SENT" && before.iter().all(|outcome| outcome != "SENT"), "{self:?}: {outcomes:?}");
    }
}

/// Threads of the daemon, and its descriptors that are not files: its logs are opened when they are first written.
fn held(stage: &Stage<Vec<Scripted>>) -> (usize, usize) {
    let list = |what: &str| std::fs::read_dir(format!("/proc/{}/{what}", stage.daemon.pid())).unwrap().flatten();
    let is_file = |fd: &DirEntry| std::fs::read_link(fd.path()).is_ok_and(|to| to.is_absolute());
    (list("task").count(), list("fd").filter(|fd| !is_file(fd)).count())
}

/// Waits until nothing is left; panics with what is.
fn wait_until_none_is_left(what: &str, limit: Duration, left: impl Fn() -> Vec<String>) {
    let begin = Instant::now();
    loop {
        let left = left();
        if left.is_empty() {
            return;
        }
        assert!(begin.elapsed() < limit, "{what} within {limit:?}: {left:#?}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// One daemon, a notifier for each trouble, all at once.
fn every_trouble_side_by_side() {
    let cases = cases();
    let stage = Stage::with_many(FLEET, cases.len().try_into().unwrap(), |servers| {
        cases.iter().zip(servers).enumerate().fold(quick(), |config, (n, (case, server))| {
            let config = config.smtp_to(&format!("n{n:02}"), server.address(), &[&case.recipient]);
            config.notifier("group_wait", "300ms").notifier("group_interval", "1s").notifier("recovery", false)
        })
    });
    let at_first = held(&stage);
    let each = || cases.iter().zip(&stage.mail);
    each().for_each(|(case, server)| server.at(case.at, case.act));
    stage.down("d01");
    let show = |(case, _): (&Case, &Scripted)| format!("{:?} at {:?}", case.act, case.at);
    wait_until_none_is_left("a first attempt has not ended", SOON + ATTEMPT, || {
        each().filter(|(case, _)| case.lines(&stage).is_empty()).map(show).collect()
    });
    each().for_each(|(case, server)| case.assert_first_attempt(&stage, server));
    each().for_each(|(_, server)| server.behave());
    wait_until_none_is_left("a mail has not arrived", RETRIED, || {
        each().filter(|(case, _)| !case.lines(&stage).iter().any(|line| line.outcome == "SENT")).map(show).collect()
    });
    // Whatever was wrongly told again would come with the next group.
    thread::sleep(Duration::from_secs(3));
    each().for_each(|(case, server)| case.assert_told_once(&stage, &server.accepted()));
    assert_probing_kept_its_period(&stage);
    wait_until_none_is_left("it holds more threads and descriptors than before", Duration::from_secs(30), || {
        let now = held(&stage);
        let more = now.0 > at_first.0 || now.1 > at_first.1;
        more.then(|| format!("{now:?} after {at_first:?}")).into_iter().collect()
    });
}

/// Echoes of a check are 100 ms apart and checks begin each second, so no two echoes to a healthy device lie further
/// apart than 0.6 s; a second of slack is this machine's, a lost check would be a gap of 1.6 s.
fn assert_probing_kept_its_period<Mail>(stage: &Stage<Mail>) {
    let times = stage.isp.truth().request_times(FLEET.ip("d02"));
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().map(Duration::from_nanos);
    assert!(times.len() > 20 && longest < Some(Duration::from_millis(1500)), "a gap of {longest:?}");
}

/// Nothing was handed over, so the next attempt is written anew: what failed meanwhile is in the same mail.
fn is_written_anew_after_a_hang() {
    let stage = Stage::with_scripted(FLEET, |mail| {
        quick().smtp(mail.address()).notifier("group_wait", "300ms").notifier("group_interval", "1s")
    });
    stage.mail.at(At::Banner, Act::Silent);
    stage.down("d01");
    wait_for("the attempt", SOON, || stage.mail.sessions().first().map(|session| session.began));
    stage.down("d02");
    let over = |session: &Session| Some(session.ended?.duration_since(session.began));
    let took = wait_for("its end", SOON + ATTEMPT, || stage.mail.sessions().first().and_then(over));
    assert!(took <= ATTEMPT, "the attempt took {took:?}");
    stage.mail.behave();
    let accepted = wait_for("the mail", RETRIED, || stage.mail.accepted().into_iter().next());
    assert!(
        accepted.message.body.contains("d01") && accepted.message.body.contains("d02"),
        "{}",
        accepted.message.body
    );
    thread::sleep(Duration::from_secs(3));
    assert_eq!(stage.mail.accepted().len(), 1, "one mail for both");
}

#[test]
fn whatever_a_mail_server_does_it_delays_nothing_but_its_own_mail() {
    thread::scope(|scope| {
        scope.spawn(every_trouble_side_by_side);
        scope.spawn(is_written_anew_after_a_hang);
    });
}
