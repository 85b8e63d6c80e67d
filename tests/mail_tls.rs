//! A server that cannot prove who it is, or whose TLS somebody has taken away, gets not a byte of the login or of the
//! mail; and both the error log and the page say why no mail leaves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use netwatch_tests::answerer::Answerer;
use netwatch_tests::config::Config;
use netwatch_tests::daemon::Daemon;
use netwatch_tests::mail::{Act, Certificates, Flaw, PASSWORD, Scripted, Stage as At, USER};
use netwatch_tests::netns::Namespace;
use netwatch_tests::process::{Kept, wait_for};
use netwatch_tests::stage::{Fleet, SOON};

const FLEET: Fleet = Fleet::v4(2);
/// Until every server was called and has failed.
const TRIED: Duration = Duration::from_secs(30);

/// A server that must get nothing, and a word of the reason that must be given.
struct Bad {
    name: &'static str,
    reason: &'static str,
    server: Scripted,
}

fn bad(here: &Namespace, good: &Scripted) -> Vec<Bad> {
    let stripped = good.beside(here, 2601);
    stripped.at(At::StartTls, Act::Strip);
    let refused = good.beside(here, 2602);
    refused.at(At::StartTls, Act::Reply(454));
    vec![
        Bad { name: "stripped", reason: "STARTTLS: the server does not offer it", server: stripped },
        Bad { name: "refused", reason: "STARTTLS: 454", server: refused },
        Bad { name: "stranger", reason: "not valid for name", server: good.flawed(here, 2603, Flaw::WrongName) },
        Bad { name: "expired", reason: "Expired", server: good.flawed(here, 2604, Flaw::Expired) },
        Bad { name: "self-signed", reason: "UnknownIssuer", server: good.flawed(here, 2605, Flaw::SelfSigned) },
    ]
}

/// A server that speaks nothing newer than this (as `openssl s_server` names it), with a certificate that is right, and what it heard.
struct Outdated {
    openssl: Kept,
    heard: std::path::PathBuf,
    _dir: tempfile::TempDir,
}

impl Outdated {
    fn start(here: &Namespace, version: &str, port: u16) -> Outdated {
        let dir = tempfile::tempdir().unwrap();
        Certificates::make(dir.path());
        let heard = dir.path().join("heard");
        let mut command = here.command("openssl");
        command.args(["s_server", "-accept", &port.to_string(), "-cert", "cert.pem", "-key", "key.pem", version]);
        command.args(["-cipher", "DEFAULT@SECLEVEL=0", "-quiet"]).current_dir(dir.path());
        let open = |name: &str| fs::File::create(dir.path().join(name)).unwrap();
        let (out, errors) = (open("heard"), open("errors"));
        let openssl = Kept::spawn(command.stdin(Stdio::piped()).stdout(out).stderr(errors));
        let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
        wait_for("openssl to listen", Duration::from_secs(10), || {
            here.connect(address, Duration::from_millis(200)).ok()
        });
        Outdated { openssl, heard, _dir: dir }
    }

    /// That it would have served somebody: a client that allows the old version comes in.
    fn assert_serves(&mut self, here: &Namespace, version: &str, port: u16) {
        let line = format!(
            "openssl s_client -connect 127.0.0.1:{port} {version} -cipher DEFAULT@SECLEVEL=0 -brief -no_ign_eof"
        );
        here.run(&line);
        assert!(self.openssl.ended().is_none());
    }
}

/// What must be on no wire, in the forms in which SMTP would carry it.
fn secrets() -> Vec<String> {
    let login = STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    let words = ["AUTH", "MAIL FROM", "RCPT TO", "DATA", "NO RESPONDE", "d01", USER, PASSWORD];
    words.map(str::to_owned).into_iter().chain([login, STANDARD.encode(USER), STANDARD.encode(PASSWORD)]).collect()
}

fn error_on_the_page(daemon: &Daemon, notifier: &str) -> Option<String> {
    let health = daemon.get("/healthz").unwrap().json();
    let path = health["mail"].as_array().unwrap().iter().find(|path| path["notifier"] == notifier)?.clone();
    path["error"].as_str().map(str::to_owned)
}

#[test]
fn a_server_that_does_not_prove_itself_gets_neither_login_nor_mail_and_it_is_said_why() {
    let here = Arc::new(Namespace::new());
    let there = Answerer::join(&here, FLEET);
    let good = Scripted::start(&here, 2525);
    let bad = bad(&here, &good);
    let old = [("tls1.0", "-tls1", 2611), ("tls1.1", "-tls1_1", 2612)];
    let mut outdated: Vec<_> = old.iter().map(|(_, version, port)| Outdated::start(&here, version, *port)).collect();
    for (server, (_, version, port)) in outdated.iter_mut().zip(old) {
        server.assert_serves(&here, version, port);
    }

    let quick = FLEET.targets(Config::scaled().each("tolerance", "1s"), &[]);
    let notify = |config: Config, name: &str, port: u16| {
        let server = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
        let config = config.smtp_to(name, server, &["turno@example.net"]);
        config.notifier("group_wait", "0s").notifier("group_interval", "0s").notifier("recovery", false)
    };
    let config = notify(quick, "good", good.address().port());
    let config = bad.iter().fold(config, |config, bad| notify(config, bad.name, bad.server.address().port()));
    let config = old.iter().fold(config, |config, (name, _, port)| notify(config, name, *port).security("tls"));
    let mut daemon = Daemon::prepare(&here, &config, Some(&good.certificates().authority.clone()));
    daemon.start();
    daemon.wait_all("ok", SOON);
    there.silence(&FLEET.address("d01"));
    wait_for("the mail through the good server", TRIED, || (good.accepted().len() == 1).then_some(()));

    let named: Vec<(&str, &str)> =
        bad.iter().map(|bad| (bad.name, bad.reason)).chain(old.map(|(name, _, _)| (name, "rotocol"))).collect();
    for (name, reason) in &named {
        let shown = wait_for(&format!("{name} on the page"), TRIED, || error_on_the_page(&daemon, name));
        assert!(shown.contains(reason), "{name}: {shown}");
        let logged = || daemon.error_log().into_iter().find(|(_, message)| message.contains(&shown));
        wait_for(&format!("{name} in error_log.txt"), SOON, logged);
    }
    let snapshot = daemon.events().unwrap().next_event().unwrap();
    assert!(snapshot.0 == "snapshot" && named.iter().all(|(_, reason)| snapshot.1.contains(reason)), "{snapshot:?}");
    for Bad { name, server, .. } in &bad {
        let sessions = wait_for("the end of a conversation", SOON, || {
            let sessions = server.sessions();
            (!sessions.is_empty() && sessions.iter().all(|session| session.ended.is_some())).then_some(sessions)
        });
        for session in sessions {
            let heard = String::from_utf8_lossy(&session.heard).into_owned();
            let verbs: Vec<&str> =
                heard.split_inclusive("\r\n").filter_map(|line| line.split([' ', '\r']).next()).collect();
            assert!(verbs.iter().all(|verb| ["EHLO", "STARTTLS", "QUIT"].contains(verb)), "{name}: {heard:?}");
            assert!(secrets().iter().all(|secret| !heard.contains(secret)), "{name}: {heard:?}");
        }
        assert!(server.accepted().is_empty());
    }
    for (server, (name, _, _)) in outdated.iter().zip(old) {
        assert_eq!(fs::read_to_string(&server.heard).unwrap(), "", "{name}");
    }
}
