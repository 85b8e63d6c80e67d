//! Mail servers that hang, drip and never end, a webhook that does not answer and a command that hangs, all at once and at full load: the echoes leave as evenly as they did before
//! in the same run, none is missing, and what changes is committed as fast.
//!
//! `NETWATCH_LOAD` is the number of devices (1000), each asked 5 times in 2 s; `NETWATCH_LOAD_SECONDS` how long each half of the
//! run is watched (15).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use netwatch_tests::answerer::{Answerer, INTERFACE};
use netwatch_tests::capture::{Capture, Captured, percentile};
use netwatch_tests::config::Config;
use netwatch_tests::daemon::Daemon;
use netwatch_tests::mail::{Act, Scripted, Session, Stage as At};
use netwatch_tests::netns::Namespace;
use netwatch_tests::scene::is_late;
use netwatch_tests::stage::Fleet;
use netwatch_tests::watch::Watch;
use rusqlite::{Connection, OpenFlags};

const INTERVAL: Duration = Duration::from_secs(2);
const SPACING: Duration = Duration::from_millis(200);
const PINGS: u32 = 5;
/// Of an interval: how much more uneven echoes may leave beside the trouble.
const ALLOWED: u32 = 100;
/// Devices that die in each half, one after the other: there is something to tell in both.
const DIE: usize = 6;
/// A check and the wait for its last echo; the commit within a second; some slack for this machine.
const COMMITTED: Duration = Duration::from_millis(2000 + 800 + 300 + 1000 + 500);
const ASKED: Duration = Duration::from_secs(30);

/// The mail servers' troubles. An attempt in each lasts longer than it is watched.
const TARPITS: [(At, Act); 6] = [
    (At::Banner, Act::Silent),
    (At::Handshake, Act::Silent),
    (At::Banner, Act::Drip(Duration::from_secs(2))),
    (At::Ehlo, Act::Drip(Duration::from_secs(1))),
    (At::Data, Act::Silent),
    (At::Dot, Act::Drip(Duration::from_secs(2))),
];

/// Where the webhook listens.
const HOOK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2700);

/// What is in the way: each is a notifier as it would be written, and what makes it hang.
struct Trouble {
    notifier: Box<dyn Fn(Config) -> Config>,
    begin: Box<dyn Fn()>,
    /// Whether it hangs at this moment.
    hangs: Box<dyn Fn() -> bool>,
}

fn tarpits(here: &Namespace, first: &Arc<Scripted>) -> Vec<Trouble> {
    let tarpit = |(n, (at, act)): (u16, (At, Act))| {
        let server = Arc::new(first.beside(here, 2600 + n));
        let address: SocketAddr = server.address();
        let (begins, hung) = (Arc::clone(&server), server);
        Trouble {
            notifier: Box::new(move |config| config.smtp_to(&format!("tarpit{n}"), address, &["turno@example.net"])),
            begin: Box::new(move || begins.at(at, act)),
            hangs: Box::new(move || {
                let hangs = |session: &Session| session.ended.is_none() && session.began.elapsed() > INTERVAL;
                hung.sessions().iter().any(hangs)
            }),
        }
    };
    (0..).zip(TARPITS).map(tarpit).collect()
}

/// A webhook that takes the request and never answers.
fn webhook(here: &Namespace) -> Trouble {
    let listener = here.listen(HOOK);
    let (calls, answering) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (counted, answers) = (Arc::clone(&calls), Arc::clone(&answering));
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            if answers.load(Ordering::Relaxed) {
                let _ = stream.read(&mut [0; 65_536]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            } else {
                counted.fetch_add(1, Ordering::Relaxed);
                kept.push(stream);
            }
        }
    });
    Trouble {
        notifier: Box::new(|config| {
            config.notifier_text(&format!("name = \"hook\"\nkind = \"webhook\"\nurl = \"http://{HOOK}/endless\""))
        }),
        begin: Box::new(move || answering.store(false, Ordering::Relaxed)),
        hangs: Box::new(move || calls.load(Ordering::Relaxed) > 0),
    }
}

/// A command that does not end, nor what it started.
fn command(dir: &Path) -> Trouble {
    let (hangs, started) = (dir.join("hangs"), dir.join("started"));
    let script = format!(
        "cat >/dev/null; test -e {hangs} || exit 0; echo $$ >{started}; sleep 1000 & wait",
        hangs = hangs.display(),
        started = started.display()
    );
    Trouble {
        notifier: Box::new(move |config| {
            let command = format!("[\"/bin/sh\", \"-c\", \"{script}\"]");
            config.notifier_text(&format!("name = \"sms\"\nkind = \"exec\"\ncommand = {command}"))
        }),
        begin: Box::new(move || fs::write(&hangs, "").unwrap()),
        hangs: Box::new(move || {
            let process = fs::read_to_string(&started).unwrap_or_default();
            !process.is_empty() && Path::new("/proc").join(process.trim()).exists()
        }),
    }
}

fn number(variable: &str, default: u16) -> u16 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// How far from its plan each echo left behind the one before it, in nanoseconds: within a check one spacing, and from one
/// check to the next what is left of the interval.
fn unevenness(captured: &Captured) -> Vec<i64> {
    assert_eq!(captured.missed, 0, "the capture itself missed packets: nothing can be said");
    let planned = [SPACING, INTERVAL - SPACING * (PINGS - 1)].map(|gap| gap.as_nanos() as i64);
    let off = |gap: i64| planned.iter().map(|planned| gap - planned).min_by_key(|off| off.abs()).unwrap();
    let sent = captured.exchanges.values().map(|all| all.iter().map(|exchange| exchange.sent).collect::<Vec<_>>());
    sent.flat_map(|sent| sent.windows(2).map(|pair| off(pair[1] - pair[0])).collect::<Vec<_>>()).collect()
}

/// Watches how evenly echoes leave; `meanwhile` happens once it does.
fn watched(here: &Namespace, time: Duration, meanwhile: impl FnOnce()) -> Vec<i64> {
    let capture = Capture::start(here, INTERFACE);
    let begin = Instant::now();
    meanwhile();
    sleep(time.saturating_sub(begin.elapsed()));
    unevenness(&capture.stop())
}

fn shown(name: &str, unevenness: &[i64]) -> [Duration; 3] {
    let [half, most, all] = [0.5, 0.99, 1.0].map(|share| Duration::from_nanos(percentile(unevenness, share).unwrap()));
    println!("{name}: {} echoes, uneven by {half:?} (half), {most:?} (99 of 100), {all:?} (all)", unevenness.len());
    [half, most, all]
}

/// Looked at no more often than needed: the judge must not be what disturbs.
fn wait_committed(daemon: &Daemon, name: &str) {
    let begin = Instant::now();
    while !is_committed(daemon, name) {
        assert!(begin.elapsed() < COMMITTED, "{name} is not in the journal after {COMMITTED:?}");
        sleep(Duration::from_millis(100));
    }
}

fn is_committed(daemon: &Daemon, name: &str) -> bool {
    let path = daemon.data_dir().join("netwatch.db");
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database opens");
    let sql = "SELECT count(*) FROM outages WHERE target = ?1 AND due IS NOT NULL";
    let count: i64 = database.query_row(sql, [name], |row| row.get(0)).expect("the database can be read");
    count > 0
}

#[test]
fn whatever_hangs_at_full_load_leaves_the_pacing_as_it_was() {
    let fleet = Fleet::v4(number("NETWATCH_LOAD", 1000));
    let time = Duration::from_secs(number("NETWATCH_LOAD_SECONDS", 15).into());
    let here = Arc::new(Namespace::new());
    let there = Answerer::join(&here, fleet);
    let first = Arc::new(Scripted::start(&here, 2525));
    let scripts = tempfile::tempdir().unwrap();
    let mut troubles = tarpits(&here, &first);
    troubles.extend([webhook(&here), command(scripts.path())]);
    let milliseconds = |time: Duration| format!("{}ms", time.as_millis());
    let quick = Config::new().each("interval", milliseconds(INTERVAL).as_str()).each("pings", PINGS);
    let quick = quick.each("spacing", milliseconds(SPACING).as_str()).each("timeout", "300ms");
    let quick = fleet.targets(quick.each("warn_rtt", "250ms").each("tolerance", "0s"), &[]);
    let config = troubles.iter().fold(quick, |config, trouble| {
        (trouble.notifier)(config).notifier("group_wait", "0s").notifier("group_interval", "0s")
    });
    let mut daemon = Daemon::prepare(&here, &config, Some(&first.certificates().authority.clone()));
    daemon.start();
    daemon.wait_all("ok", ASKED);
    let watch = Watch::start(&daemon);

    let names = fleet.names();
    let die = |names: &[String]| {
        for name in names {
            there.silence(&fleet.address(name));
            wait_committed(&daemon, name);
        }
    };
    let calm = watched(&here, time, || die(&names[..DIE]));
    assert!(troubles.iter().all(|trouble| !(trouble.hangs)()), "nothing hangs yet");
    troubles.iter().for_each(|trouble| (trouble.begin)());
    let begin = Instant::now();
    let troubled = watched(&here, time, || {
        die(&names[DIE..2 * DIE]);
        assert!(troubles.iter().all(|trouble| (trouble.hangs)()), "each notifier hangs while it is watched");
    });
    let dead = &names[..2 * DIE];
    let (before, beside) = (shown("calm", &calm), shown("troubled", &troubled));
    let allowed = INTERVAL / ALLOWED;
    assert!(beside[1] <= before[1] + allowed, "99 of 100 echoes left within {:?}, before {:?}", beside[1], before[1]);
    let missing = calm.len().saturating_sub(troubled.len());
    assert!(missing * 100 <= calm.len(), "{missing} of {} echoes were not sent", calm.len());
    watch.assert_down_only(&dead.iter().map(String::as_str).collect::<Vec<_>>());
    let causes = watch.causes(begin);
    assert!(causes.keys().all(|cause| is_late(cause)), "the trouble hides devices: {causes:?}");
}
