//! The ISP can be trusted: system `ping` sees each of its lies, and the truth log tells the same story.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::net::IpAddr;
use std::time::Duration;

use netwatch_tests::isp::{Behaviour, Isp, Lie, Outage, Record, Scenario, Told};
use netwatch_tests::netns::Namespace;
use netwatch_tests::process::wait_for;

const PREFIXES: [&str; 2] = ["10.1.0.0/16", "fd00:1::/32"];

/// A namespace with an ISP whose device at `.5` of both families does this.
fn lab(behaviour: &Behaviour) -> (Isp, Namespace) {
    let namespace = Namespace::new();
    let scenario =
        Scenario::new(1, &PREFIXES).device("10.1.0.5", behaviour.clone()).device("fd00:1::5", behaviour.clone());
    (Isp::start(&namespace, &scenario), namespace)
}

/// What `ping` prints about three quick echoes; it fails when nothing answered, which is a result too.
fn ping(namespace: &Namespace, address: &str) -> String {
    let mut command = namespace.command("ping");
    command.args(["-n", "-c", "3", "-i", "0.05", "-W", "0.3", address]);
    let output = command.output().expect("ping is installed");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// Pings the device at both families: each output holds the words of its family, and each echo met the fate.
fn both(lie: Lie, v4: &str, v6: &str) {
    let (isp, namespace) = lab(&Behaviour::lying(lie, 1));
    for (address, words) in [("10.1.0.5", v4), ("fd00:1::5", v6)] {
        let said = ping(&namespace, address);
        assert!(said.contains(words), "{lie:?} {address}: expected {words:?} in\n{said}");
        assert_eq!(isp.truth().fates(ip(address), lie.name()), 3, "{lie:?} {address}\n{said}");
    }
}

#[test]
fn an_honest_device_answers_and_the_log_says_when() {
    let (isp, namespace) = lab(&Behaviour::honest());
    for address in ["10.1.0.5", "fd00:1::5"] {
        let said = ping(&namespace, address);
        assert!(said.contains("3 received, 0% packet loss"), "{said}");
        let truth = isp.truth();
        assert_eq!((truth.requests(ip(address)), truth.answers(ip(address)).len()), (3, 3));
        assert!(truth.answers(ip(address)).is_sorted());
    }
}

#[test]
fn an_address_without_a_device_is_silent() {
    let (isp, namespace) = lab(&Behaviour::honest());
    for address in ["10.1.0.6", "fd00:1::6"] {
        assert!(ping(&namespace, address).contains("100% packet loss"));
        assert_eq!(isp.truth().fates(ip(address), "nobody"), 3);
    }
}

#[test]
fn an_altered_payload_is_seen() {
    both(Lie::AlteredPayload, "wrong data byte", "wrong data byte");
}

#[test]
fn a_wrong_source_is_seen() {
    both(Lie::WrongSource { from: None }, "from 10.1.0.4", "from fd00:1::4");
}

/// iputils 20221126 takes a wrong checksum for an answer, so the kernel's own counters have to tell.
#[test]
fn a_wrong_checksum_is_counted_by_the_kernel() {
    let (isp, namespace) = lab(&Behaviour::lying(Lie::WrongChecksum, 1));
    for (address, counter) in [("10.1.0.5", "IcmpInCsumErrors"), ("fd00:1::5", "Icmp6InCsumErrors")] {
        ping(&namespace, address);
        let counted = namespace.run(&format!("nstat -asz {counter}"));
        let count =
            counted.lines().find_map(|line| line.strip_prefix(counter)?.split_whitespace().next()?.parse().ok());
        assert_eq!(count, Some(3), "{counted}");
        assert_eq!(isp.truth().fates(ip(address), "wrong_checksum"), 3);
    }
}

#[test]
fn a_wrong_identifier_is_nobodys_answer() {
    both(Lie::WrongIdentifier, "100% packet loss", "100% packet loss");
}

#[test]
fn a_wrong_sequence_is_seen() {
    both(Lie::WrongSequence, "icmp_seq=129", "icmp_seq=129");
}

#[test]
fn a_cut_payload_is_seen() {
    both(Lie::Cut { keep: 4 }, "12 bytes from", "12 bytes from");
}

#[test]
fn a_reflected_request_is_no_answer() {
    both(Lie::Reflected, "100% packet loss", "100% packet loss");
}

#[test]
fn errors_are_seen_with_their_code() {
    both(
        Lie::Unreachable { code: 1, from: None },
        "Destination Host Unreachable",
        "Destination unreachable: Administratively prohibited",
    );
    both(Lie::TimeExceeded { from: None }, "Time to live exceeded", "Time exceeded: Hop limit");
}

#[test]
fn an_error_can_come_from_a_router_on_the_way() {
    let router = Lie::TimeExceeded { from: Some(ip("10.1.255.1")) };
    let (_isp, namespace) = lab(&Behaviour::lying(router, 1));
    let said = ping(&namespace, "10.1.0.5");
    assert!(said.contains("From 10.1.255.1 icmp_seq=1 Time to live exceeded"), "{said}");
}

#[test]
fn duplicates_are_seen() {
    both(Lie::Duplicate { copies: 1 }, "(DUP!)", "(DUP!)");
}

#[test]
fn a_late_answer_leaves_late() {
    let (isp, namespace) = lab(&Behaviour::lying(Lie::Late { ms: 700.0 }, 1));
    assert!(ping(&namespace, "10.1.0.5").contains("0 received"));
    let sent = || (isp.truth().sent(ip("10.1.0.5"), "late") == 3).then(|| isp.truth());
    let truth = wait_for("the late answers", Duration::from_secs(3), sent);
    let times = truth.records.iter().filter_map(|record| match record {
        Record::Request { at_ns, .. } => Some((*at_ns, true)),
        Record::Sent { at_ns, .. } => Some((*at_ns, false)),
        _ => None,
    });
    let (asked, answered): (Vec<_>, Vec<_>) = times.partition(|(_, asked)| *asked);
    for ((asked, _), (answered, _)) in asked.into_iter().zip(answered) {
        assert!(answered - asked >= 700_000_000, "left after {} ns", answered - asked);
    }
    assert!(truth.answers(ip("10.1.0.5")).is_empty(), "a late answer is none that counts");
}

#[test]
fn delays_are_kept_and_do_not_hold_each_other_up() {
    let (isp, namespace) = lab(&Behaviour { delay_ms: 80.0, jitter_ms: 20.0, ..Behaviour::default() });
    let said = ping(&namespace, "10.1.0.5");
    let rtts = said.lines().filter_map(|line| line.split("time=").nth(1)?.split(' ').next()?.parse::<f64>().ok());
    let rtts: Vec<f64> = rtts.collect();
    assert!(rtts.len() == 3 && rtts.iter().all(|rtt| *rtt >= 80.0), "{said}");
    drop(isp);
}

#[test]
fn a_lie_at_a_rate_leaves_the_other_answers_honest() {
    let told = vec![Told { lie: Lie::AlteredPayload, every: 3 }];
    let (isp, namespace) = lab(&Behaviour { lies: told, ..Behaviour::default() });
    ping(&namespace, "10.1.0.5");
    ping(&namespace, "10.1.0.5");
    let truth = isp.truth();
    assert_eq!((truth.sent(ip("10.1.0.5"), "honest"), truth.sent(ip("10.1.0.5"), "altered_payload")), (4, 2));
}

#[test]
fn an_outage_is_a_window_in_time() {
    let window = Outage { from_s: 0.0, to_s: 1.5 };
    let (isp, namespace) = lab(&Behaviour { outages: vec![window], ..Behaviour::default() });
    assert!(ping(&namespace, "10.1.0.5").contains("0 received"));
    std::thread::sleep(Duration::from_millis(1500));
    assert!(ping(&namespace, "10.1.0.5").contains("3 received"));
    assert_eq!(isp.truth().fates(ip("10.1.0.5"), "outage"), 3);
}

#[test]
fn a_command_takes_effect_before_it_is_acknowledged() {
    let (isp, namespace) = lab(&Behaviour::honest());
    isp.down("10.1.0.5");
    assert!(ping(&namespace, "10.1.0.5").contains("0 received"));
    isp.up("10.1.0.5");
    assert!(ping(&namespace, "10.1.0.5").contains("3 received"));
    isp.set("10.1.0.5", &Behaviour { loss: 1.0, ..Behaviour::default() });
    assert!(ping(&namespace, "10.1.0.5").contains("0 received"));
    let truth = isp.truth();
    assert_eq!((truth.fates(ip("10.1.0.5"), "down"), truth.fates(ip("10.1.0.5"), "lost")), (3, 3));
    assert!(truth.controlled("down 10.1.0.5") < truth.controlled("up 10.1.0.5"));
}

#[test]
#[should_panic(expected = "the ISP refused")]
fn a_command_that_makes_no_sense_is_refused() {
    let (isp, _namespace) = lab(&Behaviour::honest());
    isp.control("sideways 10.1.0.5");
}

#[test]
fn nothing_leaves_the_namespace_and_nothing_stays_behind() {
    let (isp, namespace) = lab(&Behaviour::honest());
    let name = namespace.name().to_owned();
    assert!(!namespace.ip("route show").contains("default"), "no route out");
    assert!(namespace.try_run("ping -c 1 -W 1 192.0.2.1").is_err());
    drop((isp, namespace));
    let listed = netwatch_tests::process::run("ip", ["netns", "list"]);
    assert!(!listed.contains(&name), "{listed}");
}

#[test]
fn a_test_that_panics_leaves_nothing_behind() {
    let name = std::sync::Mutex::new(String::new());
    let panicked = std::panic::catch_unwind(|| {
        let (_isp, namespace) = lab(&Behaviour::honest());
        namespace.name().clone_into(&mut name.lock().unwrap());
        panic!("on purpose");
    });
    let name = name.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    assert!(panicked.is_err() && !name.is_empty());
    let listed = netwatch_tests::process::run("ip", ["netns", "list"]);
    assert!(!listed.contains(&name), "{listed}");
}
