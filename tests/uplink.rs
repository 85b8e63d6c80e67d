//! The uplink is pulled while 500 devices are watched: no device is called down and none is told of; that netwatch is cut
//! off is told once, at once by a way that needs no network and by mail when the path is back; and a device that died
//! meanwhile is told of after.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use netwatch_tests::answerer::{Answerer, FAR, INTERFACE};
use netwatch_tests::config::Config;
use netwatch_tests::daemon::Daemon;
use netwatch_tests::mail::{Message, PASSWORD, Scripted, USER};
use netwatch_tests::netns::Namespace;
use netwatch_tests::process::wait_for;
use netwatch_tests::stage::Fleet;
use netwatch_tests::watch::Watch;

const FLEET: Fleet = Fleet::v4(500);
const INTERVAL: Duration = Duration::from_secs(4);
/// Long enough for every device to be asked, on a machine with other labs.
const ASKED: Duration = Duration::from_secs(30);
/// Blindness that lasts 60 s is told; a check may have begun before it, and some slack for this machine.
const TOLD: Duration = Duration::from_secs(60 + 15);
/// Two intervals, the length of a check, and the second in which links are looked at.
const NORMAL_AGAIN: Duration = Duration::from_millis(2 * 4000 + 1000 + 1000);
/// Until the mails have left: the attempt that failed as the path came back is repeated within 30 s.
const MAILED: Duration = Duration::from_secs(45);
const DIES: &str = "d07";
/// The headings over the two ends of blindness, and the subject of the first.
const CUT_OFF: &str = "NETWATCH SIN RED";
const CONNECTED: &str = "NETWATCH VOLVI\u{d3} A TENER RED";
const SUBJECT: &str = "netwatch qued\u{f3} sin red";
/// How long an uplink stays away that does not make netwatch blind.
const UNSEEN: Duration = Duration::from_secs(30);

/// A way to tell that needs no network.
struct AtOnce {
    /// The notifier as it would be written.
    notifier: &'static str,
    /// What came by it, found from the data directory.
    mails: fn(&Path) -> Vec<Message>,
}

const AT_ONCE: [AtOnce; 2] = [
    AtOnce { notifier: "name = \"files\"\nkind = \"file\"", mails: files },
    AtOnce {
        notifier: "name = \"command\"\nkind = \"exec\"\n\
                   command = [\"/bin/sh\", \"-c\", \"mkdir -p @DIR@/data/by && cat >@DIR@/data/by/$NETWATCH_MESSAGE_ID\"]",
        mails: commands,
    },
];

/// What the command was given: its subject and its text, as a message.
fn commands(data_dir: &Path) -> Vec<Message> {
    let Ok(entries) = fs::read_dir(data_dir.join("by")) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort_by_key(|path| fs::metadata(path).and_then(|file| file.modified()).ok());
    let message = |path| {
        let given: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap_or_default()).ok()?;
        let [subject, text] = ["subject", "text"].map(|key| given[key].as_str().unwrap_or_default().to_owned());
        Some(Message::parse(format!("Subject: {subject}\n\n{text}").as_bytes()))
    };
    paths.into_iter().filter_map(message).collect()
}

fn files(data_dir: &Path) -> Vec<Message> {
    let Ok(entries) = fs::read_dir(data_dir.join("mail")) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    paths.iter().map(|path| Message::parse(&fs::read(path).unwrap())).collect()
}

/// How the uplink is pulled and put back.
#[derive(Clone, Copy)]
struct Pull {
    name: &'static str,
    /// Whether netwatch is cut off then. Without its default route it still hears the gateway: it sees what it sees, and
    /// the devices are unknown, each for want of a route.
    cuts_off: bool,
    pull: fn(&Namespace, &Namespace),
    put_back: fn(&Namespace, &Namespace),
}

fn default_route(here: &Namespace) {
    here.ip(&format!("route replace default via {FAR}"));
}

const PULLS: [Pull; 4] = [
    Pull {
        name: "the cable",
        cuts_off: true,
        pull: |_, there| drop(there.ip(&format!("link set {INTERFACE} down"))),
        put_back: |here, there| {
            there.ip(&format!("link set {INTERFACE} up"));
            default_route(here);
        },
    },
    Pull {
        name: "the interface",
        cuts_off: true,
        pull: |here, _| drop(here.ip(&format!("link set {INTERFACE} down"))),
        put_back: |here, _| {
            here.ip(&format!("link set {INTERFACE} up"));
            default_route(here);
        },
    },
    Pull {
        name: "the default route",
        cuts_off: false,
        pull: |here, _| drop(here.ip("route del default")),
        put_back: |here, _| default_route(here),
    },
    Pull {
        name: "the next hop",
        cuts_off: true,
        pull: |_, there| there.nft(&format!("insert rule inet lab silent iifname {INTERFACE} drop comment \"hop\"\n")),
        put_back: |_, there| {
            there.nft("flush chain inet lab silent\n");
            there.nft(&format!("add rule inet lab silent ip daddr {} drop\n", FLEET.address(DIES)));
        },
    },
];

fn config(server: SocketAddr) -> Config {
    let quick = Config::new().each("interval", format!("{}s", INTERVAL.as_secs()).as_str());
    let quick = quick.each("pings", 3).each("spacing", "200ms").each("timeout", "500ms").each("warn_rtt", "400ms");
    let quick = quick.each("tolerance", "4s").each("settle", "4s").witnesses(&["gateway"]);
    let smtp = format!(
        "name = \"noc\"\nkind = \"smtp\"\nserver = \"{}\"\nport = {}\nusername = \"{USER}\"\n\
         password_file = \"@DIR@/password\"\nfrom = \"noc@example.net\"\nto = [\"turno@example.net\"]\n\
         attempt_timeout = \"5s\"",
        server.ip(),
        server.port()
    );
    let config = FLEET.targets(quick, &[]).notifier_text(&smtp).notifier("group_wait", "1s");
    let config = config.notifier("group_interval", "1s");
    AT_ONCE.iter().fold(config, |config, AtOnce { notifier, .. }| {
        config.notifier_text(notifier).notifier("group_wait", "1s").notifier("group_interval", "1s")
    })
}

fn tells(mails: &[Message], what: &str) -> usize {
    mails.iter().filter(|mail| mail.body.contains(what)).count()
}

/// No mail but of the blindness, its end, and the device that died: each once. What was over before a mail could leave is
/// told with its end.
fn assert_mails(by: &str, mails: &[Message], cuts_off: bool, at_once: bool) {
    let subjects: Vec<&str> = mails.iter().map(Message::subject).collect();
    let living = FLEET.names().into_iter().filter(|name| name != DIES);
    let told: Vec<String> = living.filter(|name| tells(mails, &line_of(name)) > 0).collect();
    assert!(told.is_empty(), "{by}: {} devices were told of, as {:?}: {subjects:?}", told.len(), told.first());
    assert_eq!(tells(mails, &line_of(DIES)), 1, "{by}: the device that died is told of once: {subjects:?}");
    assert_eq!(tells(mails, CONNECTED), usize::from(cuts_off), "{by}: the end of the blindness: {subjects:?}");
    let begins = tells(mails, CUT_OFF);
    assert!(
        begins <= usize::from(cuts_off) && (begins == 1) >= (cuts_off && at_once),
        "{by}: the blindness: {subjects:?}"
    );
}

/// How a mail shows the address of a device.
fn line_of(name: &str) -> String {
    format!(" {}\n", FLEET.address(name))
}

fn is_pulled(Pull { name, cuts_off, pull, put_back }: Pull) {
    let here = Arc::new(Namespace::new());
    let there = Answerer::join(&here, FLEET);
    here.ip("route del 10.1.0.0/16");
    default_route(&here);
    let mail = Scripted::start_at(there.namespace(), format!("{FAR}:2525").parse().unwrap());
    let mut daemon = Daemon::prepare(&here, &config(mail.address()), Some(&mail.certificates().authority.clone()));
    fs::write(daemon.config_path().with_file_name("password"), PASSWORD).unwrap();
    daemon.start();
    daemon.wait_all("ok", ASKED);
    let watch = Watch::start(&daemon);

    let begin = Instant::now();
    pull(&here, there.namespace());
    there.silence(&FLEET.address(DIES));
    if cuts_off {
        for AtOnce { notifier, mails } in AT_ONCE {
            let told = || mails(&daemon.data_dir()).into_iter().find(|mail| mail.body.contains(CUT_OFF));
            let report = wait_for(&format!("{name}: a word by {notifier}"), TOLD.saturating_sub(begin.elapsed()), told);
            println!("{name}: {:?} after {:?}", report.subject(), begin.elapsed());
            assert!(report.subject().contains(SUBJECT), "{name}: {}", report.subject());
        }
    } else {
        thread::sleep(UNSEEN);
    }
    assert_eq!(watch.count("unknown"), usize::from(FLEET.count), "{name}: all of it is unknown");
    assert!(mail.accepted().is_empty(), "{name}: nothing left by mail");

    let back = Instant::now();
    put_back(&here, there.namespace());
    watch.wait_normal(&[DIES], NORMAL_AGAIN);
    println!("{name}: all is known again after {:?}", back.elapsed());
    let by_mail = || mail.accepted().into_iter().map(|accepted| accepted.message).collect::<Vec<_>>();
    let begin = Instant::now();
    loop {
        let mails = by_mail();
        if tells(&mails, &line_of(DIES)) > 0 && tells(&mails, CONNECTED) == usize::from(cuts_off) {
            break;
        }
        let subjects: Vec<&str> = mails.iter().map(Message::subject).collect();
        assert!(begin.elapsed() < MAILED, "{name}: only {subjects:?} came by mail: {:?}", daemon.error_log());
        thread::sleep(Duration::from_millis(200));
    }
    println!("{name}: told by mail after {:?}", back.elapsed());
    // Whatever was wrongly told would come with the next group.
    thread::sleep(2 * INTERVAL);
    assert_mails(&format!("{name}, by mail"), &by_mail(), cuts_off, false);
    for AtOnce { notifier, mails } in AT_ONCE {
        assert_mails(&format!("{name}, by {notifier}"), &mails(&daemon.data_dir()), cuts_off, true);
    }
    watch.assert_down_only(&[DIES]);
}

#[test]
fn a_pulled_uplink_is_no_outage_of_five_hundred_devices() {
    thread::scope(|scope| {
        for pull in PULLS {
            scope.spawn(move || is_pulled(pull));
        }
    });
}
