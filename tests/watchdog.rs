//! netwatch watches itself: whichever part stands still, systemd's watchdog is fed no more and the heartbeat ceases, within
//! its time; and neither ever happens otherwise.
//!
//! The parts are wedged from outside, by holding single threads of the real daemon. A wedged delivery is tested in the
//! library, where a notifier can be made to hang for good.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

#[path = "watchdog/heart.rs"]
mod heart;
#[path = "watchdog/held.rs"]
mod held;
#[path = "watchdog/notify.rs"]
mod notify;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use heart::{Answer, Heart, nobody};
use held::Held;
use netwatch_tests::config::Config;
use netwatch_tests::daemon::Daemon;
use netwatch_tests::isp::{Behaviour, Isp};
use netwatch_tests::mail::Certificates;
use netwatch_tests::netns::Namespace;
use netwatch_tests::process::{program, wait_for};
use netwatch_tests::stage::{Fleet, SOON};
use netwatch_tests::watch::Watch;
use notify::Notified;
use rustix::process::Signal;

/// How long the load lasts in which nothing may fail, in seconds; tests/campaign says 3600.
const LOAD: &str = "NETWATCH_WATCHDOG_LOAD";
const FLEET: Fleet = Fleet::v4(3);
const SECRET: &str = "s3cret-path";
const SECOND: Duration = Duration::from_secs(1);

/// The daemon between its ISP, a systemd and a dead man's switch.
struct Scene {
    daemon: Daemon,
    isp: Isp,
    heart: Heart,
    systemd: Notified,
    namespace: Arc<Namespace>,
}

/// Checks of 0.6 s once a second, and a heartbeat once a second to this address.
fn config(url: &str) -> Config {
    let config = FLEET.targets(Config::scaled().each("tolerance", "1s").each("settle", "1s").told_at_once(), &[]);
    config.own("heartbeat_url", url).own("heartbeat_interval", "1s")
}

impl Scene {
    /// `within`: systemd's WatchdogSec.
    fn new(within: Duration) -> Scene {
        let scene = Scene::unready(within);
        scene.systemd.wait_fed(Instant::now(), within);
        scene.heart.wait_called(Instant::now(), SOON);
        scene
    }

    fn unready(within: Duration) -> Scene {
        let namespace = Arc::new(Namespace::new());
        let heart = Heart::serve(namespace.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))), None);
        let url = format!("http://127.0.0.1:{}/{SECRET}", heart.port());
        let systemd = Notified::new();
        let mut daemon = Daemon::prepare(&namespace, &config(&url), None);
        daemon.environment("NOTIFY_SOCKET", systemd.path().to_str().unwrap());
        daemon.environment("WATCHDOG_USEC", within.as_micros().to_string());
        let isp = Isp::start(&namespace, &FLEET.scenario(1, &Behaviour::honest()));
        daemon.start();
        daemon.wait_all("ok", SOON);
        Scene { daemon, isp, heart, systemd, namespace }
    }

    /// Holds the threads of this name: within systemd's time the watchdog is fed no more, for as long as systemd waits, and
    /// the heartbeat has ceased. Released, everything goes on.
    fn wedge(&self, thread: &str, part: &str, within: Duration, meanwhile: impl FnOnce()) {
        let held = Held::threads(self.daemon.pid(), thread);
        let begin = Instant::now();
        meanwhile();
        sleep(within);
        let silence = Instant::now();
        sleep(within);
        let told = self.systemd.since(begin);
        println!("{part}: the last word {:?} after the wedge", self.systemd.fed(begin).last().map(|at| *at - begin));
        assert_eq!(self.systemd.fed(silence), [], "{part}: within WatchdogSec it is fed no more");
        assert_eq!(self.heart.calls(silence), [], "{part}: the heartbeat has ceased");
        assert!(told.iter().any(|(_, text)| text.contains("STATUS=") && text.contains(part)), "{part}: {told:?}");
        drop(held);
        let released = Instant::now();
        self.systemd.wait_fed(released, within);
        self.heart.wait_called(released, within);
    }
}

const SHORT: Duration = Duration::from_secs(4);

#[test]
fn an_engine_that_hangs_is_noticed() {
    Scene::new(SHORT).wedge("netwatch-icmp", "prober", SHORT, || {});
}

#[test]
fn a_runtime_that_hangs_is_noticed() {
    Scene::new(SHORT).wedge("netwatch-worker", "monitor", SHORT, || {});
}

#[test]
fn a_journal_that_hangs_is_noticed_once_it_has_something_to_keep() {
    let scene = Scene::new(SHORT);
    scene.wedge("netwatch-journal", "store", SHORT, || scene.isp.down(&FLEET.address("d01")));
    scene.daemon.wait_status("d01", "down", SOON);
    scene.daemon.assert_told_only(&["d01"], SOON);
}

#[test]
fn systemd_hears_of_the_start_of_reloads_and_of_the_end() {
    let begin = Instant::now();
    let mut scene = Scene::new(30 * SECOND);
    let ready = scene.systemd.wait(begin, &["READY=1"], SOON);
    assert!(ready.contains("STATUS=3 equipos vigilados"), "{ready}");
    let first = scene.systemd.since(begin).into_iter().next().unwrap().1;
    assert!(first.contains("READY=1"), "nothing comes before it: {first}");

    let reload = Instant::now();
    scene.daemon.signal(Signal::HUP);
    let reloading = scene.systemd.wait(reload, &["RELOADING=1"], SOON);
    let time = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("it must be there");
    assert!(time.parse::<u64>().unwrap() > 0);
    scene.systemd.wait(reload, &["READY=1", "STATUS=3 equipos vigilados"], SOON);

    let file = scene.daemon.dir().join("netwatch.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "nonsense = 1\n").unwrap();
    let broken = Instant::now();
    scene.daemon.signal(Signal::HUP);
    let old = "STATUS=la configuración nueva tiene errores; sigue la anterior";
    scene.systemd.wait(broken, &["READY=1", old], SOON);

    // The heartbeat is reloaded like everything else.
    std::fs::write(&file, text.replace("heartbeat_url", "# heartbeat_url").replace("heartbeat_int", "# int")).unwrap();
    let without = Instant::now();
    scene.daemon.signal(Signal::HUP);
    scene.systemd.wait(without, &["READY=1", "STATUS=3 equipos vigilados"], SOON);
    let gone = Instant::now();
    sleep(3 * SECOND);
    assert_eq!(scene.heart.calls(gone), []);

    let end = Instant::now();
    assert_eq!(scene.daemon.terminate(SOON).code(), Some(0));
    scene.systemd.wait(end, &["STOPPING=1", "STATUS=terminando"], SECOND);
    drop(scene.namespace);
}

#[test]
fn without_systemd_or_for_another_process_nothing_is_fed() {
    let mut scene = Scene::new(4 * SECOND);
    scene.daemon.kill9();
    scene.daemon.environment("WATCHDOG_PID", "1");
    let begin = Instant::now();
    scene.daemon.start();
    scene.systemd.wait(begin, &["READY=1"], SOON);
    sleep(4 * SECOND);
    assert_eq!(scene.systemd.fed(begin), [], "$WATCHDOG_PID names another process");
    scene.daemon.kill9();
    scene.daemon.environment("NOTIFY_SOCKET", "");
    let begin = Instant::now();
    scene.daemon.start();
    scene.heart.wait_called(begin, SOON);
    assert_eq!(scene.systemd.since(begin), []);
    assert_eq!(scene.daemon.terminate(SOON).code(), Some(0));
}

#[test]
fn a_process_that_stood_still_is_vouched_for_again_and_moves_no_status() {
    let mut scene = Scene::new(12 * SECOND);
    let watch = Watch::start(&scene.daemon);
    let begin = Instant::now();
    scene.daemon.stand_still(5 * SECOND, || {});
    let on = Instant::now();
    scene.systemd.wait_fed(on, 5 * SECOND);
    scene.heart.wait_called(on, 5 * SECOND);
    sleep(5 * SECOND);
    let told = scene.systemd.since(begin);
    assert!(told.iter().all(|(_, text)| !text.contains("STATUS=")), "no part stood still by itself: {told:?}");
    assert_gaps(&scene.systemd.fed(begin), begin, 12 * SECOND);
    watch.assert_down_only(&[]);
    watch.assert_loss_only(&[]);
}

/// No time between two of these, or the beginning and the first, or the last and now, is longer than `most`.
fn assert_gaps(times: &[Instant], begin: Instant, most: Duration) {
    let all: Vec<Instant> = [begin].into_iter().chain(times.iter().copied()).chain([Instant::now()]).collect();
    let longest = all.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    println!("{} times, {longest:?} apart at the most, in {:?}", times.len(), begin.elapsed());
    assert!(longest <= most, "{longest:?} without a word");
}

/// Two loops on each core that want all of it.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn new() -> Busy {
        let stop = Arc::new(AtomicBool::new(false));
        let cores = thread::available_parallelism().unwrap().get();
        for _ in 0..2 * cores {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Busy(stop)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_machine_that_is_busy_all_the_time_is_never_taken_for_a_netwatch_that_hangs() {
    let seconds = std::env::var(LOAD).map_or(40, |seconds| seconds.parse().expect(LOAD));
    // A third of what the unit says: what holds here holds there.
    let within = 10 * SECOND;
    let scene = Scene::new(within);
    let busy = Busy::new();
    let begin = Instant::now();
    sleep(Duration::from_secs(seconds));
    let fed = scene.systemd.fed(begin);
    assert_gaps(&fed, begin, within);
    let calls: Vec<Instant> = scene.heart.calls(begin).into_iter().map(|(at, _)| at).collect();
    assert_gaps(&calls, begin, within);
    drop(busy);
    let told = scene.systemd.since(begin);
    assert!(told.iter().all(|(_, text)| !text.contains("STATUS=")), "{told:?}");
    assert_eq!(scene.daemon.error_log().iter().filter(|(component, _)| component == "heartbeat").count(), 0);
}

/// What error_log.txt says of the heartbeat, once it says something; nothing shows the secret.
fn complaint(daemon: &Daemon) -> String {
    let of = |(component, message): (String, String)| (component == "heartbeat").then_some(message);
    let found = wait_for("a complaint", 20 * SECOND, || daemon.error_log().into_iter().find_map(of));
    assert!(!found.contains(SECRET) && !daemon.output().contains(SECRET), "{found}\n{}", daemon.output());
    found
}

#[test]
fn a_heartbeat_that_fails_is_told_of_once_without_its_secret_and_never_twice_under_way() {
    for (answer, says) in [
        (Answer::Error, "the answer is 500"),
        (Answer::Redirect, "a redirect (302"),
        (Answer::Nothing, "no answer within 10 s"),
    ] {
        let scene = Scene::new(30 * SECOND);
        let first = scene.heart.calls(Instant::now() - SOON).pop().unwrap().1;
        assert_eq!(first, format!("GET /{SECRET} HTTP/1.1"));
        scene.heart.answer(answer);
        let said = complaint(&scene.daemon);
        assert!(said.contains(says) && said.contains("http://127.0.0.1:"), "{said}");
        sleep(2 * SECOND);
        let log = scene.daemon.error_log();
        assert_eq!(log.iter().filter(|(component, _)| component == "heartbeat").count(), 1, "{log:?}");
        assert_eq!(scene.heart.most_open(), 1);
        let calls = scene.heart.calls(Instant::now() - 60 * SECOND);
        assert!(calls.iter().all(|(_, line)| !line.contains("/elsewhere")), "{calls:?}");
        scene.heart.answer(Answer::Fine);
        scene.heart.wait_called(Instant::now(), 15 * SECOND);
    }
}

#[test]
fn a_heartbeat_over_tls_is_sent_only_to_whom_this_system_trusts() {
    let namespace = Arc::new(Namespace::new());
    let dir = tempfile::tempdir().unwrap();
    let (ours, others) = (dir.path().join("ours"), dir.path().join("others"));
    std::fs::create_dir(&ours).unwrap();
    std::fs::create_dir(&others).unwrap();
    let certificates = Certificates::make(&ours);
    let foreign = Certificates::make(&others).authority;
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let heart = Heart::serve(namespace.listen(local), Some(certificates.server()));
    let url = format!("https://127.0.0.1:{}/{SECRET}", heart.port());
    let mut fine = Daemon::prepare(&namespace, &config(&url), Some(&certificates.authority));
    fine.start();
    heart.wait_called(Instant::now(), SOON);
    fine.kill9();
    let begin = Instant::now();
    let mut wary = Daemon::prepare(&namespace, &config(&url), Some(&foreign));
    wary.start();
    let said = complaint(&wary);
    assert!(said.to_lowercase().contains("certificate"), "{said}");
    assert_eq!(heart.calls(begin), [], "not a byte of the address was sent");
    wary.kill9();

    let port = namespace.inside(|| nobody(std::net::TcpListener::bind(local).unwrap()));
    let mut alone = Daemon::prepare(&namespace, &config(&format!("http://127.0.0.1:{port}/{SECRET}")), None);
    alone.start();
    let said = complaint(&alone);
    assert!(said.contains("refused"), "{said}");
}

#[test]
fn systemd_understands_the_unit() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../netwatch-cli/packaging/systemd/netwatch.service");
    let unit = std::fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = unit.lines().collect();
    for line in [
        "Type=notify",
        "WatchdogSec=30",
        "Restart=always",
        "RestartSec=2",
        "StartLimitIntervalSec=0",
        "AmbientCapabilities=CAP_NET_RAW",
        "CapabilityBoundingSet=CAP_NET_RAW",
        "NoNewPrivileges=yes",
        "StateDirectory=netwatch",
    ] {
        assert!(lines.contains(&line), "{line} is missing");
    }
    let verdict = |unit: &str| {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("netwatch.service");
        let program = program("netwatch", "NETWATCH_BIN", "netwatch-cli");
        std::fs::write(&copy, unit.replace("/usr/bin/netwatch", program.to_str().unwrap())).unwrap();
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy).output();
        let output = output.expect("systemd-analyze is there (apt-get install systemd)");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(verdict(&unit), (true, String::new()));
    let (_, said) = verdict(&unit.replace("WatchdogSec=", "WatchdogSecs="));
    assert!(said.contains("WatchdogSecs"), "a key that systemd does not know is told of: {said:?}");
}
