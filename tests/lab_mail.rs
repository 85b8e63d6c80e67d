//! The mail servers of the lab can be trusted: OpenSMTPD keeps what it accepted, the scripted one fails where it is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use netwatch_tests::mail::{Act, Client, OpenSmtpd, Scripted, Stage, all_ids};
use netwatch_tests::netns::Namespace;

const MAIL: &str = "From: noc@example.net\r\nMessage-ID: <1@lab>\r\nSubject: NO RESPONDE: a\r\n\r\n..dot\r\nfin";

fn client(namespace: &Namespace, address: SocketAddr) -> Client {
    let stream = namespace.connect(address, Duration::from_secs(2)).unwrap();
    Client::new(stream, Duration::from_secs(3)).unwrap()
}

fn scripted() -> (Scripted, Namespace) {
    let namespace = Namespace::new();
    (Scripted::start(&namespace, 2525), namespace)
}

#[test]
fn opensmtpd_takes_mail_after_starttls_and_login_and_it_can_be_read() {
    let namespace = Namespace::new();
    let server = OpenSmtpd::start(&namespace, 2525);
    let mut client = client(&namespace, server.address());
    client.enter(server.certificates()).unwrap();
    assert_eq!(client.send(&["a@example.net", "b@example.org"], MAIL), [250, 250, 250, 354, 250]);
    let mails = server.wait_for(2, Duration::from_secs(10));
    assert_eq!(all_ids(&mails).get("<1@lab>"), Some(&2), "one copy for each recipient: {mails:?}");
    assert!(mails.iter().all(|mail| mail.subject() == "NO RESPONDE: a" && mail.body == ".dot\nfin\n"), "{mails:?}");
    let mut to: Vec<_> = mails.iter().map(|mail| mail.header("Delivered-To")).collect();
    to.sort_unstable();
    assert_eq!(to, ["a@example.net", "b@example.org"]);
}

#[test]
fn opensmtpd_refuses_mail_without_tls_or_with_a_wrong_password() {
    let namespace = Namespace::new();
    let server = OpenSmtpd::start(&namespace, 2525);
    let mut plain = client(&namespace, server.address());
    plain.reply().unwrap();
    assert_eq!([plain.code("EHLO x"), plain.code("MAIL FROM:<a@b>")], [250, 530]);
    plain.encrypt(server.certificates()).unwrap();
    assert_eq!([plain.code("EHLO x"), plain.login("guess"), plain.code("MAIL FROM:<a@b>")], [250, 535, 530]);
    assert!(server.delivered().is_empty());
}

#[test]
fn two_opensmtpds_run_side_by_side() {
    let (one, two) = (Namespace::new(), Namespace::new());
    let (first, second) = (OpenSmtpd::start(&one, 2525), OpenSmtpd::start(&two, 2525));
    let mut sender = client(&two, second.address());
    sender.enter(second.certificates()).unwrap();
    sender.send(&["a@example.net"], MAIL);
    second.wait_for(1, Duration::from_secs(10));
    assert!(first.delivered().is_empty());
}

#[test]
fn a_scripted_server_that_is_told_nothing_behaves() {
    let (server, namespace) = scripted();
    let mut client = client(&namespace, server.address());
    client.enter(server.certificates()).unwrap();
    assert_eq!(client.send(&["a@b", "c@d"], MAIL), [250, 250, 250, 354, 250]);
    assert_eq!(client.code("QUIT"), 221);
    let accepted = server.accepted();
    assert_eq!(accepted.len(), 1);
    assert_eq!(
        (accepted[0].recipients.as_slice(), accepted[0].confirmed),
        (&["a@b".to_owned(), "c@d".to_owned()][..], true)
    );
    assert_eq!(accepted[0].message.body, ".dot\nfin\n");
}

/// Walks the whole conversation and returns at which step the server stopped answering.
fn walk(namespace: &Namespace, server: &Scripted) -> Option<Stage> {
    let stream = namespace.connect(server.address(), Duration::from_secs(2)).unwrap();
    let mut client = Client::new(stream, Duration::from_millis(700)).unwrap();
    if client.reply().is_err() {
        return Some(Stage::Banner);
    }
    if client.code("EHLO x") == 0 {
        return Some(Stage::Ehlo);
    }
    if let Err(error) = client.encrypt(server.certificates()) {
        return Some(if error.kind() == std::io::ErrorKind::UnexpectedEof {
            Stage::Handshake
        } else {
            Stage::StartTls
        });
    }
    client.code("EHLO x");
    let steps = [
        (Stage::Auth, client.login(netwatch_tests::mail::PASSWORD)),
        (Stage::Mail, client.code("MAIL FROM:<a@b>")),
        (Stage::Rcpt, client.code("RCPT TO:<a@b>")),
        (Stage::Data, client.code("DATA")),
        (Stage::Dot, client.code(&format!("{MAIL}\r\n."))),
        (Stage::Quit, client.code("QUIT")),
    ];
    steps.into_iter().find(|(_, code)| *code == 0).map(|(stage, _)| stage)
}

#[test]
fn a_silent_or_closing_stage_is_where_the_conversation_ends() {
    let (server, namespace) = scripted();
    for act in [Act::Silent, Act::Close] {
        for stage in Stage::ALL {
            server.behave();
            server.at(stage, act);
            let reached = walk(&namespace, &server);
            let tls = [Stage::StartTls, Stage::Handshake];
            let same = reached == Some(stage) || (tls.contains(&stage) && reached.is_some_and(|it| tls.contains(&it)));
            assert!(same, "{act:?} at {stage:?} ended at {reached:?}");
        }
    }
    server.behave();
    assert_eq!(walk(&namespace, &server), None, "behaving again");
}

#[test]
fn codes_are_given_as_told_and_recipients_one_by_one() {
    let (server, namespace) = scripted();
    server.recipient("gone@b", 550);
    server.recipient("later@b", 450);
    let mut client = client(&namespace, server.address());
    client.enter(server.certificates()).unwrap();
    assert_eq!(client.send(&["a@b", "gone@b", "later@b"], MAIL), [250, 250, 550, 450, 354, 250]);
    assert_eq!(server.accepted()[0].recipients, ["a@b"]);
    server.at(Stage::Dot, Act::Reply(552));
    assert_eq!(client.send(&["a@b"], MAIL), [250, 250, 354, 552]);
    server.at(Stage::Data, Act::Reply(421));
    assert_eq!(client.send(&["a@b"], MAIL), [250, 250, 421]);
    server.at(Stage::Mail, Act::Reply(451));
    assert_eq!(client.code("MAIL FROM:<a@b>"), 451);
    assert_eq!(server.accepted().len(), 1);
}

#[test]
fn a_message_can_be_kept_without_being_confirmed() {
    let (server, namespace) = scripted();
    server.at(Stage::Dot, Act::KeepThenClose);
    let mut client = client(&namespace, server.address());
    client.enter(server.certificates()).unwrap();
    assert_eq!(client.send(&["a@b"], MAIL), [250, 250, 354, 0]);
    let accepted = server.accepted();
    assert_eq!((accepted.len(), accepted[0].confirmed), (1, false));
}

#[test]
fn a_dripping_server_is_slow_and_whole() {
    let (server, namespace) = scripted();
    server.at(Stage::Banner, Act::Drip(Duration::from_millis(20)));
    let begin = Instant::now();
    let mut client = client(&namespace, server.address());
    assert_eq!(client.reply().unwrap().code, 220);
    assert!(begin.elapsed() >= Duration::from_millis(20 * 24), "24 bytes, 20 ms apart: {:?}", begin.elapsed());
}

#[test]
fn the_passwords_conversation_is_remembered_and_a_dropped_server_ends_its_connections() {
    let (server, namespace) = scripted();
    server.at(Stage::Auth, Act::Silent);
    assert_eq!(walk(&namespace, &server), Some(Stage::Auth));
    let begin = Instant::now();
    server.at(Stage::Banner, Act::Silent);
    let mut client = client(&namespace, server.address());
    let sessions = netwatch_tests::process::wait_for("two sessions", Duration::from_secs(2), || {
        let sessions = server.sessions();
        (sessions.len() == 2 && sessions[0].ended.is_some()).then_some(sessions)
    });
    assert!(sessions[0].tls && String::from_utf8_lossy(&sessions[0].heard).contains("AUTH PLAIN"));
    drop(server);
    assert!(client.reply().is_err() && begin.elapsed() < Duration::from_secs(6));
}
