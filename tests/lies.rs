//! Promise 7 end to end: each lie of the ISP counts as no answer and raises its own counter, exactly; each honest reply
//! counts. A liar and an honest device are asked side by side, over raw sockets and over ping sockets, IPv4 and IPv6.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netwatch_core::{
    Check, CheckId, Counters, Echo, IcmpOptions, IcmpProbe, Loss, Mono, PayloadRule, Probe, Report, Sample, Settings,
    SocketKind, TargetId,
};
use netwatch_tests::isp::{Behaviour, Isp, Lie, Scenario};
use netwatch_tests::netns::Namespace;

const LIAR: u64 = 0;
const HONEST: u64 = 1;
const V4: [&str; 2] = ["10.1.0.5", "10.1.0.9"];
const V6: [&str; 2] = ["fd00:1::5", "fd00:1::9"];
const ECHOES: u64 = 5;

struct Lab {
    probe: IcmpProbe,
    isp: Isp,
    _namespace: Namespace,
}

/// What was found of the liar and of the honest device, and how the counters moved.
struct Found {
    liar: Sample,
    honest: Sample,
    counters: Counters,
}

impl Lab {
    fn new(lie: Lie, sockets: SocketKind) -> Lab {
        let namespace = Namespace::new();
        let honest = Behaviour { delay_ms: 2.0, ..Behaviour::honest() };
        let mut scenario = Scenario::new(1, &["10.1.0.0/16", "fd00:1::/32"]);
        for [liar, other] in [V4, V6] {
            scenario = scenario.device(liar, Behaviour::lying(lie, 1)).device(other, honest.clone());
        }
        let isp = Isp::start(&namespace, &scenario);
        if sockets == SocketKind::Ping {
            namespace.sysctl("net.ipv4.ping_group_range", "0 2147483647");
        }
        let open = || IcmpProbe::open(IcmpOptions::default().with_sockets(sockets));
        let probe = namespace.inside(open).expect("root may open sockets in its own namespace");
        Lab { probe, isp, _namespace: namespace }
    }

    /// One check of both devices; `linger` is how long to wait afterwards for what comes late.
    fn ask(&self, addresses: [&str; 2], payload: PayloadRule, linger: Duration) -> Found {
        let mut settings = Settings::default();
        settings.spacing = Duration::from_millis(40);
        settings.timeout = Duration::from_millis(400);
        (settings.pings, settings.payload) = (5, payload);
        let settings = Arc::new(settings);
        let begin = now().plus(Duration::from_millis(60));
        let check = |n: u64, address: &str| {
            let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), 0);
            let target = TargetId::from_index(n as usize);
            Check::new(CheckId::new(n), target, format!("device {n}"), address, begin, settings.clone())
        };
        let before = self.probe.counters();
        let (found, due) = (Sheet::default(), vec![check(LIAR, addresses[0]), check(HONEST, addresses[1])]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.probe.check_many(due, &found));
        std::thread::sleep(linger);
        let after = self.probe.counters();
        let samples = found.0.into_inner().unwrap();
        let of = |n: u64| samples.iter().find(|(id, _)| id.number() == n).expect("both are reported").1.clone();
        Found { liar: of(LIAR), honest: of(HONEST), counters: difference(&before, &after) }
    }
}

#[derive(Default)]
struct Sheet(Mutex<Vec<(CheckId, Sample)>>);

impl Report for Sheet {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        self.0.lock().unwrap().extend_from_slice(samples);
    }
}

fn now() -> Mono {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Mono::from_nanos(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

/// How the counters moved. Errors about nothing of ours and other programs' pings are the lab's, not the lie's.
fn difference(before: &Counters, after: &Counters) -> Counters {
    let mut moved = Counters::default();
    moved.sent = after.sent - before.sent;
    moved.replies = after.replies - before.replies;
    moved.duplicates = after.duplicates - before.duplicates;
    moved.late = after.late - before.late;
    moved.foreign_source = after.foreign_source - before.foreign_source;
    moved.wrong_identifier = after.wrong_identifier - before.wrong_identifier;
    moved.bad_checksum = after.bad_checksum - before.bad_checksum;
    moved.corrupt = after.corrupt - before.corrupt;
    moved.truncated = after.truncated - before.truncated;
    moved.errors_matched = after.errors_matched - before.errors_matched;
    moved.malformed = after.malformed - before.malformed;
    moved.receive_overflow = after.receive_overflow - before.receive_overflow;
    moved.send_errors = after.send_errors - before.send_errors;
    moved.not_sent = after.not_sent - before.not_sent;
    moved
}

/// Both were asked, the honest one answered, and nothing else happened.
fn quiet() -> Counters {
    let mut counters = Counters::default();
    (counters.sent, counters.replies) = (2 * ECHOES, ECHOES);
    counters
}

fn assert_honest(found: &Found) {
    assert_eq!(found.honest.replies() as u64, ECHOES, "each honest reply counts: {:?}", found.honest);
    let rtt = found.honest.median_rtt().unwrap().as_duration();
    assert!(rtt >= Duration::from_millis(2) && rtt < Duration::from_millis(200), "an RTT of {rtt:?} for 2 ms");
}

/// The lie is no answer over raw sockets, raises exactly what `counted` says, and is no answer over ping sockets.
fn no_answer(lie: Lie, linger: Duration, loss: Loss, counted: impl Fn(&mut Counters, bool)) {
    let lab = Lab::new(lie, SocketKind::Raw);
    for (v6, addresses) in [(false, V4), (true, V6)] {
        let found = lab.ask(addresses, PayloadRule::Strict, linger);
        assert_honest(&found);
        assert!(found.liar.echoes.iter().all(|echo| echo == Echo::Lost(loss)), "{lie:?}: {:?}", found.liar);
        let mut expected = quiet();
        counted(&mut expected, v6);
        assert_eq!(found.counters, expected, "{lie:?}, IPv6: {v6}");
        assert_eq!(lab.isp.truth().requests(addresses[0].parse().unwrap()) as u64, ECHOES);
    }
    let lab = Lab::new(lie, SocketKind::Ping);
    for addresses in [V4, V6] {
        let found = lab.ask(addresses, PayloadRule::Strict, linger);
        assert_honest(&found);
        assert_eq!(found.liar.lost() as u64, ECHOES, "{lie:?} over a ping socket: {:?}", found.liar);
    }
}

const AT_ONCE: Duration = Duration::from_millis(50);

#[test]
fn an_altered_payload_is_no_answer() {
    no_answer(Lie::AlteredPayload, AT_ONCE, Loss::BadReply, |counters, _| counters.corrupt = ECHOES);
}

#[test]
fn a_reply_from_elsewhere_is_no_answer() {
    no_answer(Lie::WrongSource { from: None }, AT_ONCE, Loss::BadReply, |counters, _| counters.foreign_source = ECHOES);
}

#[test]
fn a_reply_from_another_watched_device_is_no_answer() {
    let from = |address: &str| Lie::WrongSource { from: Some(address.parse().unwrap()) };
    let lab = Lab::new(from(V4[1]), SocketKind::Raw);
    let found = lab.ask(V4, PayloadRule::Strict, AT_ONCE);
    assert_honest(&found);
    assert_eq!((found.liar.replies(), found.counters.foreign_source), (0, ECHOES));
}

/// The lie is no answer over raw sockets and raises exactly what `counted` says. The kernel keeps it from ping sockets.
fn no_answer_to_raw_sockets(lie: Lie, counted: impl Fn(&mut Counters)) {
    let lab = Lab::new(lie, SocketKind::Raw);
    for addresses in [V4, V6] {
        let found = lab.ask(addresses, PayloadRule::Strict, AT_ONCE);
        assert_honest(&found);
        let mut expected = quiet();
        counted(&mut expected);
        assert_eq!((found.counters, found.liar.lost() as u64), (expected, ECHOES), "{lie:?}");
    }
}

/// The kernel itself drops what fails the checksum of ICMPv6, and says how often.
#[test]
fn a_wrong_checksum_is_no_answer() {
    no_answer_to_raw_sockets(Lie::WrongChecksum, |counters| counters.bad_checksum = ECHOES);
}

#[test]
fn a_wrong_identifier_is_no_answer() {
    no_answer_to_raw_sockets(Lie::WrongIdentifier, |counters| counters.wrong_identifier = ECHOES);
}

#[test]
fn a_wrong_sequence_is_no_answer() {
    no_answer_to_raw_sockets(Lie::WrongSequence, |counters| counters.wrong_identifier = ECHOES);
}

#[test]
fn a_cut_payload_is_no_answer_unless_the_target_says_so() {
    no_answer(Lie::Cut { keep: 4 }, AT_ONCE, Loss::BadReply, |counters, _| counters.truncated = ECHOES);
    let lab = Lab::new(Lie::Cut { keep: 4 }, SocketKind::Raw);
    for addresses in [V4, V6] {
        let found = lab.ask(addresses, PayloadRule::Any, AT_ONCE);
        assert_honest(&found);
        assert_eq!(found.liar.replies() as u64, ECHOES, "{:?}", found.liar);
        let rtt = found.liar.median_rtt().unwrap().as_duration();
        assert!(rtt < Duration::from_millis(200), "{rtt:?} cannot come from the clock");
    }
}

#[test]
fn an_altered_payload_is_no_answer_even_where_a_cut_one_is() {
    let lab = Lab::new(Lie::AlteredPayload, SocketKind::Raw);
    let found = lab.ask(V4, PayloadRule::Any, AT_ONCE);
    assert_eq!((found.liar.replies(), found.counters.corrupt), (0, ECHOES));
}

#[test]
fn a_late_answer_is_no_answer() {
    no_answer(Lie::Late { ms: 700.0 }, Duration::from_millis(600), Loss::NoReply, |counters, _| counters.late = ECHOES);
}

#[test]
fn our_own_request_sent_back_is_no_answer() {
    no_answer(Lie::Reflected, AT_ONCE, Loss::NoReply, |_, _| ());
}

#[test]
fn an_error_is_no_answer_and_says_why() {
    let lab = Lab::new(Lie::Unreachable { code: 1, from: None }, SocketKind::Raw);
    for (addresses, loss) in [(V4, Loss::HostUnreachable), (V6, Loss::Prohibited)] {
        let found = lab.ask(addresses, PayloadRule::Strict, AT_ONCE);
        assert_honest(&found);
        let mut expected = quiet();
        expected.errors_matched = ECHOES;
        assert_eq!(found.counters, expected);
        assert!(found.liar.echoes.iter().all(|echo| echo == Echo::Lost(loss)), "{:?}", found.liar);
    }
    no_answer(Lie::TimeExceeded { from: None }, AT_ONCE, Loss::TimeExceeded, |counters, _| {
        counters.errors_matched = ECHOES
    });
}

#[test]
fn a_second_copy_is_one_reply_and_one_duplicate() {
    let lab = Lab::new(Lie::Duplicate { copies: 2 }, SocketKind::Raw);
    for addresses in [V4, V6] {
        let found = lab.ask(addresses, PayloadRule::Strict, AT_ONCE);
        assert_honest(&found);
        let mut expected = quiet();
        (expected.replies, expected.duplicates) = (2 * ECHOES, 2 * ECHOES);
        assert_eq!((found.counters, found.liar.replies() as u64), (expected, ECHOES));
    }
}
