//! A mail server breaks down at each of ten steps in each of eight ways, again and again: every attempt ends in its time,
//! nothing counts as sent before the final 250, the others get what one recipient is refused, and neither a thread nor a
//! descriptor stays behind.
//!
//! The threads and descriptors of the whole process are counted, so these tests have a process of their own.
//! `NETWATCH_STALLS` is the number of rounds through all of it (3); a round takes about two seconds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic, and so may its helpers")]

mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use netwatch_core::{
    Content, DeliveryError, MailId, Notification, Notifier, Receipt, Secret, SmtpConfig, SmtpNotifier, Stage, Wall,
};

use self::server::{Act, Authority, FIRST, GONE, Server, Step};

/// When an attempt ends, whatever the server does.
const LIMIT: Duration = Duration::from_secs(1);
/// What a busy machine may add to that.
const SLACK: Duration = Duration::from_secs(1);
/// Attempts begin so far apart: their handshakes must not use up each other's time.
const APART: Duration = Duration::from_millis(12);
const OTHER: &str = "b@example.net";

struct Case {
    trouble: (Step, Act),
    server: Server,
    notifier: SmtpNotifier,
}

fn mail() -> Notification {
    let date = Wall::from_unix_nanos(1_795_330_200_000_000_000);
    let content = Content::new("NO RESPONDE: agg-3", "hola\n", "<p>hola</p>\n");
    let mut mail = Notification::new(MailId::new(17), "<17.1.noc@netwatch>", date, content);
    mail.recipients = [FIRST, GONE, OTHER].map(Arc::from).to_vec();
    mail
}

impl Case {
    async fn new(trouble: (Step, Act), server: Server, authority: &Authority) -> Case {
        let mut config = SmtpConfig::new("127.0.0.1", "netwatch <noc@example.net>");
        config.port = server.port;
        config.ca_file = Some(authority.path());
        (config.username, config.password) = (Some("noc".into()), Some(Secret::new("for nobody else")));
        config.timeout = LIMIT;
        Case { trouble, server, notifier: SmtpNotifier::new(config).unwrap() }
    }

    /// An attempt against the trouble, and one once the server is well again.
    async fn suffer_and_recover(&self, place: u32) {
        tokio::time::sleep(APART * place).await;
        let (step, act) = self.trouble;
        let (reached, confirmed) = (self.server.reached(), self.server.confirmed());
        self.server.suffer(Some(self.trouble));
        let begin = Instant::now();
        let result = self.notifier.deliver(&mail()).await;
        let took = begin.elapsed();
        let context = format!("{act:?} at {step:?}, after {took:?}: {result:?}");
        assert!(took <= LIMIT + SLACK, "{context}");
        assert_eq!(self.server.reached(), reached + 1, "the conversation did not come so far: {context}");
        let sent = self.server.confirmed() - confirmed;
        assert_eq!(usize::from(result.is_ok()), sent, "sent is what the server has said 250 to: {context}");
        assert_verdict(result, step, act, &context);

        self.server.suffer(None);
        let receipt = self.notifier.deliver(&mail()).await.unwrap_or_else(|error| panic!("well again: {error}"));
        assert_eq!(names(&receipt), (vec![FIRST, OTHER], vec![], vec![GONE]), "{context}");
    }
}

/// What is certain after an attempt.
fn assert_verdict(result: Result<Receipt, DeliveryError>, step: Step, act: Act, context: &str) {
    match (step, act) {
        (Step::Quit, _) => {
            assert_eq!(names(&result.unwrap()), (vec![FIRST, OTHER], vec![], vec![GONE]), "{context}");
        }
        (Step::Rcpt, Act::Reply(450 | 552)) => {
            assert_eq!(names(&result.unwrap()), (vec![OTHER], vec![FIRST], vec![GONE]), "{context}");
        }
        (Step::Rcpt, Act::Reply(550)) => {
            assert_eq!(names(&result.unwrap()), (vec![OTHER], vec![], vec![FIRST, GONE]), "{context}");
        }
        _ => {
            let error = result.unwrap_err();
            // Once the content was let in, only a definite answer tells that the server does not have it.
            let answered = matches!(act, Act::Reply(_));
            let content = step == Step::Dot || (step, act) == (Step::Data, Act::GoAhead);
            let stage = if content && !answered { Stage::Uncertain } else { Stage::BeforeContent };
            let permanent = matches!((step, act), (Step::Data | Step::Dot, Act::Reply(550 | 552)));
            assert_eq!((error.stage, error.permanent), (stage, permanent), "{context}");
            assert!(error.message.starts_with("127.0.0.1:"), "it names the server: {context}");
        }
    }
}

fn names(receipt: &Receipt) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
    let of = |pairs: &'_ [(Arc<str>, String)]| pairs.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    let known = |name: &str| [FIRST, GONE, OTHER].into_iter().find(|known| *known == name).expect("one of ours");
    let refer = |names: Vec<String>| names.iter().map(|name| known(name)).collect();
    (
        receipt.accepted.iter().map(|name| known(name)).collect(),
        refer(of(&receipt.deferred)),
        refer(of(&receipt.refused)),
    )
}

/// The threads and the open descriptors of this process.
fn held() -> (usize, usize) {
    let count = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    (count("task"), count("fd"))
}

/// Waits until no more is held than at first; the server needs a moment to see that a client has left.
async fn assert_held(at_first: (usize, usize), round: usize) {
    let begin = Instant::now();
    loop {
        let now = held();
        if now == at_first {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "after round {round}: {now:?}, at first {at_first:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_server_does_an_attempt_ends_in_time_and_leaves_nothing_behind() {
    let rounds = std::env::var("NETWATCH_STALLS").map_or(3, |text| text.parse().expect("NETWATCH_STALLS is a number"));
    let authority = Authority::new();
    let tls = authority.issue();
    let mut cases = Vec::new();
    for step in Step::ALL {
        for act in Act::ALL {
            cases.push(Case::new((step, act), Server::start(tls.clone()).await, &authority).await);
        }
    }
    let begin = Instant::now();
    let mut at_first = None;
    for round in 1..=rounds {
        join_all((0..).zip(&cases).map(|(place, case)| case.suffer_and_recover(place))).await;
        match at_first {
            // What the runtime and the resolver keep for themselves is there after the first round.
            None => {
                tokio::time::sleep(LIMIT).await;
                at_first = Some(held());
            }
            Some(at_first) => assert_held(at_first, round).await,
        }
    }
    let (threads, descriptors) = at_first.unwrap_or_default();
    println!(
        "{} attempts in {rounds} rounds of {} troubles, {:?}; {threads} threads and {descriptors} descriptors throughout",
        2 * rounds * cases.len(),
        cases.len(),
        begin.elapsed()
    );
}
