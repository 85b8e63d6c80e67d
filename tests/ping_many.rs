//! `netwatch ping` does fping's job, also where fping stops: one echo to each of 200,000 addresses, as the answering kernel
//! counts them, and the truth about those that are dead, unknown or named twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netwatch_tests::netns::Namespace;
use netwatch_tests::process::{Kept, program};
use netwatch_tests::scene::is_late;
use rustix::process::Signal;
use serde::Deserialize;

/// In 198.18.0.0/15 and 2001:db8::/64 the other namespace's kernel answers; to 198.51.100.0/24 and 2001:db8:1::/64 it is
/// silent, and to the rest of the world there is no route.
struct World {
    here: Namespace,
    there: Namespace,
}

#[derive(Debug, Deserialize)]
struct Told {
    host: String,
    address: Option<String>,
    sent: u64,
    answered: u64,
    lost: u64,
    unknown: u64,
    rtt_min_ms: Option<f64>,
    rtt_median_ms: Option<f64>,
    rtt_max_ms: Option<f64>,
    cause: Option<String>,
}

impl World {
    fn new() -> World {
        let (here, there) = (Namespace::new(), Namespace::new());
        here.veth("up0", &there, "down0");
        here.address("up0", "10.99.0.1/24");
        there.address("down0", "10.99.0.2/24");
        here.address("up0", "fd99::1/64");
        there.address("down0", "fd99::2/64");
        for prefix in ["198.18.0.0/15", "198.51.100.0/24"] {
            here.ip(&format!("route add {prefix} via 10.99.0.2"));
        }
        for prefix in ["2001:db8::/64", "2001:db8:1::/64"] {
            here.ip(&format!("-6 route add {prefix} via fd99::2"));
        }
        there.ip("route add local 198.18.0.0/15 dev lo");
        there.ip("-6 route add local 2001:db8::/64 dev lo");
        World { here, there }
    }

    fn ping(&self, words: &str) -> Command {
        let mut command = self.here.command(program("netwatch", "NETWATCH_BIN", "netwatch-cli"));
        command.arg("ping").args(words.split_whitespace()).env("LC_ALL", "C.UTF-8");
        command
    }

    /// What it says, and its exit status.
    fn said(&self, words: &str) -> (String, i32) {
        let output = self.ping(words).stdin(Stdio::null()).output().expect("netwatch runs");
        (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
    }

    fn told(&self, words: &str) -> (Vec<Told>, i32) {
        let (said, code) = self.said(&format!("--json {words}"));
        (parsed(&said), code)
    }

    /// Echo requests that came to the other side, and replies that it sent.
    fn echoes(&self) -> (u64, u64) {
        let read = |path: &str| self.there.inside(|| std::fs::read_to_string(path).unwrap());
        let v4 = read("/proc/thread-self/net/snmp");
        let mut icmp = v4.lines().filter(|line| line.starts_with("Icmp:")).map(str::split_whitespace);
        let (names, values) = (icmp.next().unwrap(), icmp.next().unwrap());
        let v4 =
            |wanted: &str| names.clone().zip(values.clone()).find(|pair| pair.0 == wanted).unwrap().1.parse::<u64>();
        let v6 = read("/proc/thread-self/net/snmp6");
        let v6 = |wanted: &str| {
            let mut words = v6.split_whitespace().skip_while(|word| *word != wanted).skip(1);
            words.next().unwrap().parse::<u64>()
        };
        let requests = v4("InEchos").unwrap() + v6("Icmp6InEchos").unwrap();
        (requests, v4("OutEchoReps").unwrap() + v6("Icmp6OutEchoReplies").unwrap())
    }
}

fn parsed(json: &str) -> Vec<Told> {
    json.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// One echo to each of these and to 100 dead addresses in their midst: exactly one each on the wire, everybody tells the truth.
fn one_echo_each(living: &[String], dead: impl Fn(usize) -> String) {
    let world = World::new();
    let mut list = tempfile::NamedTempFile::new().unwrap();
    let every = living.len() / 100;
    let dead: HashSet<String> = (0..100).map(dead).collect();
    let mut buried = dead.iter();
    for (place, host) in living.iter().enumerate() {
        writeln!(list, "{host}").unwrap();
        if place % every == 0
            && let Some(dead) = buried.next()
        {
            writeln!(list, "{dead}").unwrap();
        }
    }
    let begin = Instant::now();
    let (told, code) = world.told(&format!("-c 1 -i 50us -t 1s -f {}", list.path().display()));
    let (requests, replies) = world.echoes();
    println!("{} hosts in {:?}, {requests} requests, {replies} replies", told.len(), begin.elapsed());
    assert_eq!(told.len(), living.len() + dead.len(), "one object a host");
    assert_eq!(told.iter().map(|told| &told.host).collect::<HashSet<_>>().len(), told.len());
    // A machine that is kept from running may be late with some, and says so of each.
    let late = |of: &str| {
        told.iter().filter(|told| !dead.contains(&told.host) && told.cause.as_deref() == Some(of)).count() as u64
    };
    let (not_sent, stalled) = (late("not_sent"), late("stalled"));
    println!("{not_sent} not sent, {stalled} in doubt for a stall");
    assert_eq!(requests, living.len() as u64 - not_sent, "one echo to each that is there");
    // A kernel under load answers not every request (net/ipv4/icmp.c, icmp_xmit_lock); that is not our loss.
    let lost = told.iter().filter(|told| !dead.contains(&told.host) && told.lost == 1).count() as u64;
    let skipped = requests - replies;
    assert!(
        (lost..=lost + stalled).contains(&skipped),
        "{lost} are lost and {stalled} in doubt, {skipped} were not answered"
    );
    for told in &told {
        if told.cause.as_deref().is_some_and(is_late) {
            assert_eq!((told.answered + told.lost, told.unknown), (0, 1), "{told:?}");
            continue;
        }
        let counts = (told.sent, told.answered + told.lost, told.unknown);
        assert_eq!(counts, (1, 1, 0), "{told:?}");
        assert_eq!(told.address.as_ref(), Some(&told.host));
        assert!(told.rtt_median_ms.is_none_or(|rtt| told.answered == 1 && rtt < 1000.0), "{told:?}");
        assert!(!dead.contains(&told.host) || told.lost == 1, "{told:?}");
    }
    // What was not sent is asked again, so that hardly any is left.
    assert!(not_sent * 100 <= living.len() as u64 && stalled * 4 <= living.len() as u64);
    let known_dead = told.iter().filter(|told| dead.contains(&told.host) && told.lost == 1).count();
    assert!(known_dead * 4 >= dead.len() * 3, "only {known_dead} of the dead are known to be so");
    // A reply counts without an RTT where this machine does not know when its request left.
    let (answered, measured) = told.iter().fold((0, 0), |(answered, measured), told| {
        (answered + told.answered, measured + u64::from(told.rtt_median_ms.is_some()))
    });
    assert!(measured * 2 > answered, "{measured} of {answered} replies have an RTT");
    assert_eq!(code, 1, "some did not answer");
}

fn v4(count: u32) -> Vec<String> {
    let first = Ipv4Addr::new(198, 18, 0, 1).to_bits();
    (0..count).map(|n| Ipv4Addr::from_bits(first + n).to_string()).collect()
}

fn v6(count: u32) -> Vec<String> {
    let first = "2001:db8::1".parse::<Ipv6Addr>().unwrap().to_bits();
    (0..count).map(|n| Ipv6Addr::from_bits(first + u128::from(n)).to_string()).collect()
}

#[test]
fn sixty_thousand_addresses_get_one_echo_each() {
    one_echo_each(&v4(60_000), |n| format!("198.51.100.{}", n + 1));
}

#[test]
fn sixty_thousand_addresses_of_ipv6_do_too() {
    one_echo_each(&v6(60_000), |n| format!("2001:db8:1::{:x}", n + 1));
}

#[test]
fn two_hundred_thousand_addresses_do_too() {
    one_echo_each(&[v4(120_000), v6(80_000)].concat(), |n| format!("198.51.100.{}", n + 1));
}

#[test]
fn several_echoes_keep_their_rounds_and_their_order() {
    let world = World::new();
    let begin = Instant::now();
    let (told, code) = world.told("-c 4 -p 200ms -i 1ms -g 198.18.3.0/26");
    assert!(begin.elapsed() >= Duration::from_millis(600), "the fourth echo leaves 600 ms after the first");
    assert_eq!((told.len(), code), (62, 0));
    for told in &told {
        assert_eq!((told.sent, told.answered), (4, 4), "{told:?}");
        let rtts = [told.rtt_min_ms, told.rtt_median_ms, told.rtt_max_ms];
        let known = rtts.iter().flatten().count();
        assert!((known == 3 || known == 0) && rtts.is_sorted(), "{told:?}");
    }
    // A reply counts without an RTT where this machine does not know when its request left; hardly ever four times in a row.
    let measured = told.iter().filter(|told| told.rtt_median_ms.is_some()).count();
    assert!(measured * 2 > told.len(), "{measured} of {} hosts have an RTT", told.len());
    assert_eq!(world.echoes().0, 4 * 62);
}

#[test]
fn long_echoes_are_as_long_as_wanted_and_come_back_whole() {
    let world = World::new();
    let arrived = || {
        let text = world.there.inside(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
        let line = text.lines().find_map(|line| line.trim().strip_prefix("down0:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    // Ethernet, IP and ICMP headers; over IPv6 the longest echo travels in two fragments of a frame's length at most.
    for (size, hosts, headers) in [(25, "198.18.0.1", 42), (1472, "198.18.0.1", 42), (1001, "2001:db8::1", 62)] {
        let before = arrived();
        let (told, code) = world.told(&format!("-c 10 -p 20ms -b {size} {hosts}"));
        assert_eq!((told[0].answered, code), (10, 0), "{told:?}");
        let bytes = arrived() - before;
        assert!((10 * (size + headers)..11 * (size + headers) + 1000).contains(&bytes), "{size}: {bytes}");
    }
    let (told, code) = world.told("-c 1 -b 1472 2001:db8::1");
    assert_eq!((told[0].answered, code), (1, 0), "{told:?}");
    world.here.ip("link set up0 mtu 1400");
    let (told, _) = world.told("-c 1 -b 1472 198.18.0.1");
    assert_eq!((told[0].unknown, told[0].cause.as_deref()), (1, Some("too_long")), "{told:?}");
}

#[test]
fn a_name_has_the_family_that_is_wanted() {
    let world = World::new();
    // ip-netns(8) lays what stands here over /etc.
    let etc = PathBuf::from("/etc/netns").join(world.here.name());
    std::fs::create_dir_all(&etc).unwrap();
    std::fs::write(etc.join("hosts"), "198.18.0.7 olt-7\n2001:db8::7 olt-7\n").unwrap();
    let asked = ["-4", "-6"].map(|family| world.told(&format!("-c 1 {family} olt-7")));
    std::fs::remove_dir_all(&etc).unwrap();
    for ((told, code), address) in asked.iter().zip(["198.18.0.7", "2001:db8::7"]) {
        assert_eq!((told[0].address.as_deref(), told[0].answered, *code), (Some(address), 1, 0), "{told:?}");
    }
}

#[test]
fn what_cannot_be_asked_is_unknown_and_the_others_are_not_held_up() {
    let world = World::new();
    let (told, code) =
        world.told("-c 2 -p 100ms no-such-host.invalid 203.0.113.1 fe80::1%nosuch0 198.18.0.1 2001:db8::1 3fff::1");
    let causes: Vec<_> = told.iter().map(|told| told.cause.as_deref()).collect();
    let no_route = Some("no_route");
    assert_eq!(causes, [Some("unresolved"), no_route, Some("no_interface"), None, None, no_route]);
    let counts: Vec<_> = told.iter().map(|told| (told.answered, told.lost, told.unknown)).collect();
    assert_eq!(counts, [(0, 0, 0), (0, 0, 2), (0, 0, 0), (2, 0, 0), (2, 0, 0), (0, 0, 2)]);
    assert_eq!(code, 1);
    let output = world.ping("-u -c 1 -t 200ms 203.0.113.1 198.51.100.1 198.18.0.1").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "198.51.100.1\n", "nobody knows whether 203.0.113.1 is down");
    let aside = String::from_utf8(output.stderr).unwrap();
    assert!(aside.contains("203.0.113.1: unknown: this machine has no route"), "{aside}");
}

#[test]
fn a_host_that_is_named_twice_is_asked_once() {
    let world = World::new();
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), "198.18.0.1 198.18.0.2 # and again\n198.18.0.1\n").unwrap();
    let (told, code) = world.told(&format!("-c 1 198.18.0.2 198.18.0.2 -f {}", list.path().display()));
    let hosts: Vec<&str> = told.iter().map(|told| told.host.as_str()).collect();
    assert_eq!((hosts, code, world.echoes().0), (vec!["198.18.0.2", "198.18.0.1"], 0, 2));
}

#[test]
fn the_list_may_come_through_a_pipe_and_the_lists_of_fping_go_out() {
    let world = World::new();
    let mut child =
        world.ping("-C 2 -p 50ms -t 200ms -f -").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"198.18.0.1\n198.51.100.1\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    let [living, dead] = lines[..] else { panic!("{said}") };
    let fates: Vec<&str> = living.strip_prefix("198.18.0.1 : ").expect("the first host").split(' ').collect();
    assert!(fates.len() == 2 && fates.iter().all(|fate| *fate == "-" || fate.parse::<f64>().is_ok()), "{said}");
    assert_eq!((dead, output.status.code()), ("198.51.100.1 : - -", Some(1)));
    let before = world.echoes().0;
    let (alive, code) = world.said("-a -c 3 -p 50ms -t 200ms 198.18.0.1 198.51.100.1 198.18.0.2");
    // In the order in which they answered.
    let alive: BTreeSet<&str> = alive.lines().collect();
    assert_eq!((alive, code), (["198.18.0.1", "198.18.0.2"].into(), 1));
    assert_eq!(world.echoes().0 - before, 2, "who has answered is left alone");
}

#[test]
fn a_network_that_is_too_large_and_a_host_that_is_none_are_refused_before_anything_is_asked() {
    let world = World::new();
    for words in
        ["-g 10.0.0.0/8", "-g 2001:db8::/64", "198.18.0.0/24", "198.18.0.1 198.18.0.256", "-g 198.18.0.9 198.18.0.1"]
    {
        let (said, code) = world.said(words);
        assert_eq!((said.as_str(), code), ("", 2), "{words}");
    }
    assert_eq!(world.echoes().0, 0);
}

#[test]
fn in_the_middle_it_ends_at_once_and_says_what_it_knows() {
    let world = World::new();
    let out = tempfile::NamedTempFile::new().unwrap();
    let mut command = world.ping("--json -l -p 100ms -g 198.18.4.0/24");
    let mut ping = Kept::spawn(command.stdin(Stdio::null()).stdout(out.reopen().unwrap()));
    std::thread::sleep(Duration::from_millis(1500));
    ping.signal(Signal::INT);
    let code = ping.wait(Duration::from_secs(2)).code();
    let told = parsed(&std::fs::read_to_string(out.path()).unwrap());
    assert_eq!((told.len(), code), (254, Some(0)));
    assert!(told.iter().all(|told| told.answered >= 2 && told.lost + told.unknown == 0), "{told:?}");
}

#[test]
fn a_terminal_is_given_back_and_keeps_the_table() {
    let world = World::new();
    // script(1) makes a terminal of 80 columns and starts a shell, which may complain about a locale that is not there.
    let netwatch = program("netwatch", "NETWATCH_BIN", "netwatch-cli");
    let line =
        format!("timeout --foreground --signal INT 2 {} ping -l -t 500ms 198.18.0.1 198.51.100.1", netwatch.display());
    let mut command = world.here.command("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let output = command.env("LC_ALL", "es_PY.UTF-8").env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap();
    let seen = String::from_utf8(output.stdout).unwrap();
    let (live, after) = seen.split_once("\u{1b}[?25h\u{1b}[?1049l").unwrap_or_else(|| panic!("{seen:?}"));
    assert!(live.contains("\u{1b}[?1049h\u{1b}[?25l"), "{seen:?}");
    let frames = live.matches("\u{1b}[H").count();
    assert!((3..=9).contains(&frames), "{frames} frames in two seconds: {seen:?}");
    let rows: Vec<&str> = after.lines().collect();
    let [heading, living, dead, sum] = rows[..] else { panic!("{after:?}") };
    assert!(heading.starts_with("NOMBRE") && living.starts_with("198.18.0.1") && dead.contains("100,0 %"), "{after:?}");
    assert!(sum.starts_with("2 equipos: 1 responden, 1 no responden;") && !after.contains('\u{1b}'), "{after:?}");
}
