//! From the options to the tallies, with a probe that needs no network.

use std::sync::{Mutex, PoisonError};

use clap::Parser;
use netwatch_core::{Cause, Check, Echo, Loss, Mono, Rtt, Sample, async_trait};

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    ping: args::Ping,
}

/// Answers at even places of the list, refuses to send at every third time, and knows nothing of the place 5.
#[derive(Debug, Default)]
struct Fickle(Mutex<Vec<Mono>>);

#[async_trait]
impl Probe for Fickle {
    async fn check(&self, check: &Check) -> Sample {
        let mut planned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        planned.push(check.at);
        let nth = planned.len();
        let echo = match check.target.index() {
            _ if nth.is_multiple_of(3) => Echo::Unknown(Cause::NotSent),
            5 => Echo::Unknown(Cause::NoRoute),
            even if even.is_multiple_of(2) => Echo::Reply(Rtt::from_duration(Duration::from_micros(1500))),
            _ => Echo::Lost(Loss::NoReply),
        };
        Sample::new(check.target, check.at, check.at, [echo].into_iter().collect())
    }
}

async fn asked(words: &str) -> (Vec<Tally>, Vec<Mono>) {
    let line = ["ping", "--json", "-p", "10ms"].into_iter().chain(words.split_whitespace());
    let options = Line::try_parse_from(line).unwrap().ping;
    let probe = Arc::new(Fickle::default());
    let shared: Arc<dyn Probe> = probe.clone();
    let tallies = ask_all(hosts::wanted(&options).unwrap(), shared, &options, Locale::En).await;
    let planned = probe.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (tallies, planned)
}

#[tokio::test]
async fn every_host_gets_as_many_echoes_as_were_asked_for() {
    let (tallies, _) = asked("-c 3 -i 0 -g 192.0.2.0/29").await;
    let fates: Vec<_> = tallies.iter().map(|tally| (tally.answered, tally.lost, tally.unknown)).collect();
    assert_eq!(fates, [(3, 0, 0), (0, 3, 0), (3, 0, 0), (0, 3, 0), (3, 0, 0), (0, 0, 3)]);
}

#[tokio::test]
async fn names_join_when_they_are_found() {
    let (tallies, _) = asked("-c 2 -4 192.0.2.1 192.0.2.2 localhost").await;
    assert_eq!(tallies[2].address.map(|address| address.ip().to_string()).as_deref(), Some("127.0.0.1"));
    assert_eq!((tallies[0].sent(), tallies[2].answered), (2, 2));
}

#[tokio::test]
async fn packets_keep_their_distance() {
    let (tallies, mut planned) = asked("-c 2 -i 20ms 192.0.2.1 192.0.2.2 192.0.2.3").await;
    planned.sort_unstable();
    assert!(tallies.iter().all(|tally| tally.sent() == 2) && planned.len() > 6, "{planned:?}");
    assert!(planned.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_millis(20)), "{planned:?}");
}

#[tokio::test]
async fn who_has_answered_is_asked_no_more() {
    let options = Line::try_parse_from(["ping", "-a", "-p", "10ms", "-g", "192.0.2.0/29"]).unwrap().ping;
    let tallies = ask_all(hosts::wanted(&options).unwrap(), Arc::new(Fickle::default()), &options, Locale::En).await;
    let fates: Vec<_> = tallies.iter().map(|tally| (tally.answered, tally.lost, tally.unknown)).collect();
    assert_eq!(fates, [(1, 0, 0), (0, 3, 0), (1, 0, 0), (0, 3, 0), (1, 0, 0), (0, 0, 3)]);
}

#[test]
fn a_list_says_of_whom_it_can_say_nothing() {
    let host = |name: &str| Tally::new(Wanted { host: name.into(), address: None });
    let mut tallies: Vec<Tally> = (0..12).map(|n| host(&format!("olt-{n}"))).collect();
    tallies.iter_mut().for_each(|tally| tally.locate(Err(Cause::Unresolved)));
    tallies.push(host("not asked yet"));
    let said = unknown(&tallies, Locale::En);
    assert!(said.starts_with("olt-0: unknown: the name has no address\n"), "{said}");
    assert!(said.ends_with("\n... +2") && said.lines().count() == 11, "{said}");
}
