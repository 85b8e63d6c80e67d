//! The witnesses on virtual time, asked by probes that behave and that do not.

use std::sync::Mutex;

use async_trait::async_trait;
use tokio::time::sleep;

use super::*;
use crate::model::{Cause, Echo, Loss, Now, Rtt, Wall};

type Asked = Arc<Mutex<Vec<(CheckId, Mono, u16)>>>;

/// Answers at 192.0.2.1, is silent at .2, cannot ask .3, never comes back for .4, and panics at .5.
struct Net(Asked);

#[async_trait]
impl Probe for Net {
    async fn check(&self, check: &Check) -> Sample {
        self.0.lock().unwrap().push((check.id, check.at, check.settings.pings));
        let echo = match check.address.to_string().as_str() {
            "192.0.2.1:0" => Echo::Reply(Rtt::default()),
            "192.0.2.2:0" => Echo::Lost(Loss::NoReply),
            "192.0.2.3:0" => Echo::Unknown(Cause::NoRoute),
            "192.0.2.4:0" => std::future::pending().await,
            other => panic!("a defect at {other}"),
        };
        Sample::new(check.target, check.at, check.at, [echo].into_iter().collect())
    }
}

fn begin() -> Now {
    Now::new(Mono::from_nanos(1_000_000_000_000), Wall::from_unix_nanos(1_700_000_000_000_000_000))
}

fn hosts(last: &[u8]) -> Vec<Host> {
    last.iter().map(|last| Host::Ip { ip: [192, 0, 2, *last].into(), zone: None }).collect()
}

fn asking(asked: &Asked) -> Asking {
    let lookup = Lookup::Blocking(|_| Err(io::ErrorKind::NotFound.into()));
    let probe: Arc<dyn Probe> = Arc::new(Net(asked.clone()));
    Asking { clock: Clock::following_tokio(begin()), lookup, inbox: Arc::default(), probe: Some((7, probe)) }
}

/// What was answered within so many milliseconds.
async fn answers(witnesses: &mut Witnesses, millis: u64) -> Vec<(usize, Testimony)> {
    let mut heard = Vec::new();
    let mut end = std::pin::pin!(sleep(Duration::from_millis(millis)));
    loop {
        tokio::select! {
            () = &mut end => return heard,
            Some(answer) = witnesses.answer() => heard.push((answer.witness.index(), answer.testimony)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_testifies_as_it_answered_and_what_is_not_known_is_missing() {
    let asked = Asked::default();
    let mut hosts = hosts(&[1, 2, 3, 4]);
    hosts.push(Host::Name { name: "gone.example".into(), family: None });
    hosts.push(Host::Ip { ip: "fe80::1".parse().unwrap(), zone: Some("nosuchif0".into()) });
    let mut witnesses = Witnesses::spawn(&hosts, asking(&asked)).unwrap();
    let mut heard = answers(&mut witnesses, 3_900).await;
    heard.sort_by_key(|(witness, _)| *witness);
    // The fourth is given up only after its time: once in the first two rounds.
    let count = |witness: usize, testimony: Testimony| heard.iter().filter(|h| **h == (witness, testimony)).count();
    assert_eq!([count(0, Testimony::Answered), count(1, Testimony::Silent), count(2, Testimony::Missing)], [2, 2, 2]);
    assert_eq!([count(3, Testimony::Missing), count(4, Testimony::Missing), count(5, Testimony::Missing)], [1, 2, 2]);
    assert_eq!(heard.len(), 11, "{heard:?}");
    assert!(asked.lock().unwrap().iter().all(|(_, _, pings)| *pings == 3));
}

#[tokio::test(start_paused = true)]
async fn they_are_asked_every_two_seconds_and_at_once_when_told_but_not_too_often() {
    let asked = Asked::default();
    let mut witnesses = Witnesses::spawn(&hosts(&[1]), asking(&asked)).unwrap();
    answers(&mut witnesses, 100).await;
    for _ in 0..100 {
        witnesses.ask();
        answers(&mut witnesses, 10).await;
    }
    answers(&mut witnesses, 9_000).await;
    let asked = asked.lock().unwrap();
    let single = asked.iter().filter(|(_, _, pings)| *pings == 1).count();
    assert!((5..=7).contains(&single), "five a second at most, not {single}");
    assert_eq!(asked[1].1, begin().mono.plus(Duration::from_millis(100)), "the first at once");
    let regular: Vec<Mono> = asked.iter().filter(|(_, _, pings)| *pings == 3).map(|(_, at, _)| *at).collect();
    assert!(regular.windows(2).all(|pair| pair[1].since(pair[0]).as_millis().abs_diff(2000) <= 5), "{regular:?}");
    let mut ids: Vec<CheckId> = asked.iter().map(|(id, ..)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), asked.len(), "no number comes twice");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_leaves_the_witness_missing_and_is_told_of() {
    let asking = asking(&Asked::default());
    let inbox = asking.inbox.clone();
    let mut witnesses = Witnesses::spawn(&hosts(&[5, 1]), asking).unwrap();
    let mut heard = answers(&mut witnesses, 1_000).await;
    heard.sort_by_key(|(witness, _)| *witness);
    assert_eq!(heard, [(0, Testimony::Missing), (1, Testimony::Answered)]);
    let mut batch = super::super::checks::Batch::default();
    inbox.swap(&mut batch);
    assert_eq!(batch.panicked, [7]);
}

#[tokio::test(start_paused = true)]
async fn without_witnesses_or_without_a_probe_nobody_is_asked() {
    let asked = Asked::default();
    let mut nobody = Witnesses::spawn(&[], asking(&asked)).unwrap();
    let mut by_nobody = Witnesses::spawn(&hosts(&[1]), Asking { probe: None, ..asking(&asked) }).unwrap();
    for witnesses in [&mut nobody, &mut by_nobody] {
        witnesses.ask();
        assert_eq!(answers(witnesses, 10_000).await, []);
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_is_let_go_is_not_asked_any_more() {
    let asked = Asked::default();
    let mut witnesses = Witnesses::spawn(&hosts(&[1, 4]), asking(&asked)).unwrap();
    answers(&mut witnesses, 3_000).await;
    drop(witnesses);
    let before = asked.lock().unwrap().len();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(asked.lock().unwrap().len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_gone_is_told_of_and_nobody_to_ask_is_not() {
    let asked = Asked::default();
    let mut witnesses = Witnesses::spawn(&hosts(&[1]), asking(&asked)).unwrap();
    witnesses.task.abort_all();
    while witnesses.answer().await.is_some() {}
    let mut nobody = Witnesses::spawn(&[], asking(&asked)).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(60), nobody.answer()).await.is_err());
}
