//! The engine against this machine itself: needs root (or `cap_net_raw`), and fails loudly without.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;

use super::*;
use crate::model::{Echo, Loss, Mono, Settings, TargetId};

#[derive(Default)]
struct Collected(Mutex<Vec<(CheckId, Sample)>>);

impl Report for Collected {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        self.0.lock().unwrap().extend_from_slice(samples);
    }
}

fn open() -> IcmpProbe {
    IcmpProbe::open(IcmpOptions::default()).expect("these tests need cap_net_raw")
}

fn quick(pings: u16) -> Settings {
    let (spacing, timeout) = (Duration::from_millis(20), Duration::from_millis(400));
    Settings { pings, spacing, timeout, ..Settings::default() }
}

fn check(number: usize, address: &str, settings: &Settings) -> Check {
    let ip: IpAddr = address.parse().unwrap();
    let at = clock::mono().plus(Duration::from_millis(50));
    let id = CheckId::new(number as u64);
    Check::new(id, TargetId::from_index(number), address, SocketAddr::new(ip, 0), at, Arc::new(settings.clone()))
}

async fn answers(address: &str) {
    let probe = open();
    let asked = check(0, address, &quick(5));
    let sample = probe.check(&asked).await;
    assert_eq!(sample.replies(), 5, "{sample:?}");
    assert!(sample.median_rtt().unwrap().as_duration() < Duration::from_millis(100), "{sample:?}");
    assert_eq!(sample.last_reply, Some(sample.ended));
    assert!(sample.ended >= asked.at.plus(Duration::from_millis(80)), "the fifth left at its time: {sample:?}");
    let counters = probe.counters();
    assert_eq!((counters.sent, counters.replies, counters.duplicates), (5, 5, 0), "{counters:?}");
}

#[tokio::test]
async fn loopback_answers_over_ipv4() {
    answers("127.0.0.1").await;
}

#[tokio::test]
async fn loopback_answers_over_ipv6() {
    answers("::1").await;
}

#[tokio::test]
async fn many_checks_come_back_each_with_its_own_result() {
    let probe = open();
    let checks: Vec<Check> =
        (0..500).map(|n| check(n, &format!("127.0.{}.{}", n / 250, n % 250 + 1), &quick(3))).collect();
    let out = Collected::default();
    probe.check_many(checks, &out).await;
    let mut samples = out.0.into_inner().unwrap();
    samples.sort_by_key(|(id, _)| *id);
    assert_eq!(samples.len(), 500);
    for (n, (id, sample)) in samples.iter().enumerate() {
        assert_eq!((id.number(), sample.target.index()), (n as u64, n));
        let fine = sample.echoes.iter().all(|echo| matches!(echo, Echo::Reply(_) | Echo::Unknown(Cause::NotSent)));
        assert!(fine && sample.replies() > 0, "{sample:?}");
    }
}

#[tokio::test]
async fn two_checks_of_one_target_at_a_time_do_not_disturb_each_other() {
    let probe = open();
    let checks = [check(0, "127.0.0.1", &quick(3)), check(0, "127.0.0.2", &quick(4))];
    let (a, b) = tokio::join!(probe.check(&checks[0]), probe.check(&checks[1]));
    assert_eq!((a.replies(), b.replies()), (3, 4), "{a:?} {b:?}");
}

#[tokio::test]
async fn what_comes_too_late_is_not_sent_and_not_caught_up() {
    let probe = open();
    let mut late = check(0, "127.0.0.1", &quick(2));
    late.at = late.at.minus(Duration::from_secs(3));
    let sample = probe.check(&late).await;
    let unknown = Echo::Unknown(Cause::NotSent);
    assert_eq!(sample.echoes, [unknown, unknown].into_iter().collect());
    assert_eq!((probe.counters().sent, probe.counters().not_sent), (0, 2));
}

#[tokio::test]
async fn a_dropped_check_leaves_nothing_behind() {
    let probe = open();
    let mut settings = quick(100);
    settings.spacing = Duration::from_millis(50);
    let asked = check(0, "127.0.0.1", &settings);
    assert!(probe.check(&asked).now_or_never().is_none());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(probe.counters().sent, 0, "the engine still sends for nobody");
    assert_eq!(probe.check(&check(0, "127.0.0.1", &quick(1))).await.replies(), 1);
}

/// A probe of IPv4 only, whose engine was changed before it started.
fn altered(alter: impl FnOnce(&mut engine::Engine)) -> IcmpProbe {
    let [v4, _] = options::open_channels(&IcmpOptions::default()).expect("these tests need cap_net_raw");
    let now = clock::mono();
    let lanes = [
        v4.map(|channel| lane::Lane::new(channel, cookie::Cookies::new([1, 2]), filler::Filler::to(0), 77, now)),
        None,
    ];
    let tally = Arc::new(counters::Tally::default());
    let (handover, inbox) = handover::handover().unwrap();
    let instrument = Arc::new(accuracy::Instrument::new(now));
    let mut engine = engine::Engine::new(inbox, lanes, Arc::clone(&tally), Arc::clone(&instrument), 1);
    alter(&mut engine);
    let thread = Some(std::thread::spawn(move || engine.run()));
    IcmpProbe {
        handover,
        tally,
        instrument,
        kinds: [Some(SocketKind::Raw), None],
        buffers: [None; 2],
        send_buffers: [None; 2],
        thread,
    }
}

#[tokio::test]
async fn a_missing_address_family_is_unknown_and_the_other_works() {
    let probe = altered(|_| ());
    let sample = probe.check(&check(0, "::1", &quick(3))).await;
    assert_eq!(sample.echoes, [Echo::Unknown(Cause::NoSocket); 3].into_iter().collect());
    assert_eq!(probe.check(&check(1, "127.0.0.1", &quick(3))).await.replies(), 3);
}

#[tokio::test]
async fn a_reply_across_a_step_of_the_wall_clock_counts() {
    for hours in [-1, 1] {
        let before = clock::both();
        let stepped = stamps::Reading { real: before.real + hours * 3_600_000_000_000, ..before };
        let probe = altered(|engine| engine.clocks = stamps::Clocks::new(stepped));
        let sample = probe.check(&check(0, "127.0.0.1", &quick(3))).await;
        assert_eq!(sample.replies(), 3, "{hours}: {sample:?}");
        let told = sample.median_rtt();
        assert!(told.is_none_or(|rtt| rtt.as_duration() < Duration::from_millis(100)), "{sample:?}");
    }
}

#[tokio::test]
async fn what_the_cpus_dropped_is_unknown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "000003e8 00000000 00000000\n").unwrap();
    let path: &'static str = file.path().to_str().unwrap().to_owned().leak();
    let probe = altered(|engine| engine.kernel = kernel::Kernel::told_by(path, clock::mono()));
    let mut settings = quick(5);
    (settings.spacing, settings.timeout) = (Duration::ZERO, Duration::ZERO);
    let dropped = Echo::Unknown(Cause::SoftnetDrops);
    let before = probe.check(&check(0, "127.0.0.1", &settings)).await;
    assert!(before.echoes.iter().all(|echo| echo != dropped), "nothing was dropped yet: {before:?}");
    std::fs::write(file.path(), "000003e9 00000005 00000000\n").unwrap();
    let during = probe.check(&check(0, "127.0.0.1", &settings)).await;
    assert!(during.echoes.iter().any(|echo| echo == dropped), "{during:?}");
    assert_eq!(probe.counters().softnet_drops, 5);
    let after = probe.check(&check(0, "127.0.0.1", &settings)).await;
    assert!(after.echoes.iter().all(|echo| echo != dropped), "that is over: {after:?}");
}

#[tokio::test]
async fn this_machine_tells_how_true_its_times_are() {
    let probe = open();
    assert_eq!(probe.accuracy().samples, 0);
    let mut settings = quick(20);
    settings.spacing = Duration::from_millis(40);
    assert!(probe.check(&check(0, "127.0.0.1", &settings)).await.replies() > 10);
    let (accuracy, counters) = (probe.accuracy(), probe.counters());
    assert!(accuracy.samples > 5 && accuracy.p50 <= accuracy.p99, "{accuracy:?}");
    assert!(accuracy.p99.is_some_and(|p99| p99 < Duration::from_millis(10)), "{accuracy:?}");
    assert!(accuracy.canary_rtt.is_some_and(|rtt| rtt < Duration::from_millis(100)), "{accuracy:?}");
    assert!(counters.sent <= 20 && counters.replies <= 20, "a canary is no echo of anybody: {counters:?}");
}

/// Ends the engine's thread as a panic would: in the middle of the checks, without a last word.
#[tokio::test]
async fn an_engine_that_ended_knows_nothing_of_any_check() {
    let probe = open();
    assert!(probe.is_alive());
    let mut slow = quick(2);
    slow.spacing = Duration::from_secs(5);
    let (checks, out) = (vec![check(0, "127.0.0.1", &quick(1)), check(1, "127.0.0.2", &slow)], Collected::default());
    let kill = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        probe.handover.stop();
    };
    tokio::join!(probe.check_many(checks.clone(), &out), kill);
    let mut samples = out.0.into_inner().unwrap();
    samples.sort_by_key(|(id, _)| *id);
    let failed = [Echo::Unknown(Cause::ProbeFailed); 2].into_iter().collect();
    assert_eq!((samples.len(), samples[0].1.replies()), (2, 1));
    assert_eq!(samples[1].1.echoes, failed, "the one under way");
    assert_eq!(probe.check(&checks[1]).await.echoes, failed, "and those after it");
    for _ in 0..200 {
        if !probe.is_alive() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("an engine that knows nothing is not alive");
}

#[tokio::test]
async fn a_check_of_nothing_returns() {
    open().check_many(Vec::new(), &Collected::default()).await;
}

#[tokio::test]
async fn a_reply_after_the_timeout_does_not_count() {
    let probe = open();
    let mut settings = quick(2);
    settings.timeout = Duration::ZERO;
    let sample = probe.check(&check(0, "127.0.0.1", &settings)).await;
    // Where its call was interrupted nobody knows how late the reply is.
    let fates = [Echo::Lost(Loss::NoReply), Echo::Unknown(Cause::Stalled)];
    assert!(sample.echoes.len() == 2 && sample.echoes.iter().all(|echo| fates.contains(&echo)), "{sample:?}");
    let counters = probe.counters();
    assert_eq!((counters.replies, counters.late), (0, 2), "{counters:?}");
    assert_eq!(sample.last_reply, None::<Mono>);
}

async fn an_overflow_is_no_loss(network: &str) {
    let probe = IcmpProbe::open(IcmpOptions::default().with_receive_buffer(2304)).expect("needs cap_net_raw");
    assert!([Family::V4, Family::V6].iter().all(|family| probe.receive_buffer(*family) == Some(2304)));
    let at = clock::mono().plus(Duration::from_millis(100));
    let checks: Vec<Check> = (0..200).map(|n| Check { at, ..check(n, network, &quick(1)) }).collect();
    let out = Collected::default();
    probe.check_many(checks, &out).await;
    let samples = out.0.into_inner().unwrap();
    let all: Vec<Echo> = samples.iter().flat_map(|(_, sample)| sample.echoes.iter().collect::<Vec<_>>()).collect();
    let overflowed = all.iter().filter(|echo| **echo == Echo::Unknown(Cause::ReceiveOverflow)).count();
    let lost = all.iter().filter(|echo| matches!(echo, Echo::Lost(_))).count();
    assert!(overflowed > 0 && lost == 0, "{overflowed} overflowed, {lost} lost: {:?}", probe.counters());
    // The kernel counts what its filter would have dropped as well, and what was meant for the tests beside this one.
    assert!(probe.counters().receive_overflow >= overflowed as u64);
}

#[tokio::test]
async fn what_the_receive_buffer_could_not_hold_is_unknown_over_ipv4() {
    an_overflow_is_no_loss("127.0.0.1").await;
}

#[tokio::test]
async fn what_the_receive_buffer_could_not_hold_is_unknown_over_ipv6() {
    an_overflow_is_no_loss("::1").await;
}

#[tokio::test]
async fn an_engine_with_work_comes_round_and_one_without_rests() {
    let probe = open();
    assert!(probe.due_back().is_none_or(|back| clock::mono().since(back) < Duration::from_secs(1)));
    let asked = check(0, "127.0.0.1", &Settings { spacing: Duration::from_millis(200), ..quick(5) });
    let (mut late, mut times) = (Duration::ZERO, 0);
    let mut asking = std::pin::pin!(probe.check(&asked));
    while (&mut asking).now_or_never().is_none() {
        let back = probe.due_back().expect("it has work");
        (late, times) = (late.max(clock::mono().since(back)), times + 1);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(times > 20 && late < Duration::from_secs(1), "{times} looks, {late:?} late");
    // What it does at the end of a check is over within a moment.
    while probe.due_back().is_some() {
        tokio::task::yield_now().await;
    }
}
