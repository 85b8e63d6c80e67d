//! Every way in which a server can fail, and what is certain afterwards.

use futures_util::future::join_all;
use netwatch_core::{Receipt, Stage};

use crate::server::{Act, Script, Server};
use crate::{LIMIT, attempt, hello, mail, plain};

const STEPS: [(&str, Stage); 7] = [
    ("banner", Stage::BeforeContent),
    ("EHLO", Stage::BeforeContent),
    ("MAIL", Stage::BeforeContent),
    ("RCPT", Stage::BeforeContent),
    ("DATA", Stage::BeforeContent),
    ("content", Stage::Uncertain),
    (".", Stage::Uncertain),
];

#[tokio::test]
async fn a_server_that_hangs_or_drips_or_leaves_is_told_apart_by_its_step() {
    let cases =
        [Act::Hang, Act::Drip, Act::Close].into_iter().flat_map(|act| STEPS.map(|(step, stage)| (act, step, stage)));
    join_all(cases.map(async |(act, step, stage)| {
        let server = Server::start(Script::on(step, act));
        let mut config = plain(server.port);
        config.timeout = LIMIT;
        let error = attempt(config, &hello()).await.unwrap_err();
        assert_eq!((error.stage, error.permanent), (stage, false), "{act:?} at {step}: {error}");
        assert!(error.message.starts_with(&format!("127.0.0.1:{}: ", server.port)), "{error}");
    }))
    .await;
}

#[tokio::test]
async fn nobody_listening_is_a_failure_before_the_content() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = attempt(plain(port), &hello()).await.unwrap_err();
    assert_eq!((error.stage, error.permanent), (Stage::BeforeContent, false));
    assert!(error.message.contains(&format!("127.0.0.1:{port}: connecting: ")), "{error}");
}

#[tokio::test]
async fn a_definite_answer_is_a_verdict() {
    let cases = [
        ("banner", "554 not here\r\n", Stage::BeforeContent, false),
        ("banner", "421 later\r\n", Stage::BeforeContent, false),
        ("EHLO", "550 who\r\n", Stage::BeforeContent, false),
        ("MAIL", "550 not you\r\n", Stage::BeforeContent, false),
        ("MAIL", "451 later\r\n", Stage::BeforeContent, false),
        ("DATA", "451 later\r\n", Stage::BeforeContent, false),
        ("DATA", "554 no\r\n", Stage::BeforeContent, true),
        ("DATA", "250 what\r\n", Stage::BeforeContent, false),
        (".", "451 4.3.0 disk full\r\n", Stage::BeforeContent, false),
        (".", "554 5.7.1 spam\r\n", Stage::BeforeContent, true),
        (".", "354 more?\r\n", Stage::Uncertain, false),
        (".", "hello\r\n", Stage::Uncertain, false),
    ];
    for (step, reply, stage, permanent) in cases {
        let server = Server::start(Script::on(step, Act::Say(reply)));
        let error = attempt(plain(server.port), &hello()).await.unwrap_err();
        assert_eq!((error.stage, error.permanent), (stage, permanent), "{reply:?} at {step}: {error}");
        if reply.starts_with(['4', '5']) {
            assert!(error.message.contains(reply.trim_end()), "{reply:?} in {error}");
        }
    }
}

#[tokio::test]
async fn each_recipient_has_its_own_verdict() {
    let server = Server::start(
        Script::on("RCPT TO:<gone@", Act::Say("550 5.1.1 no such user\r\n"))
            .with("RCPT TO:<grey@", Act::Say("450 4.2.0 come back\r\n"))
            .with("RCPT TO:<many@", Act::Say("552 too many recipients\r\n")),
    );
    let recipients =
        ["gone@example.net", "a@example.net", "grey@example.net", "B <b@example.net>", "nobody", "many@example.net"];
    let receipt = attempt(plain(server.port), &mail(Default::default(), &recipients)).await.unwrap();
    assert_eq!(receipt.accepted, ["a@example.net".into(), "B <b@example.net>".into()]);
    let deferred = [
        ("grey@example.net".into(), "450 4.2.0 come back".to_owned()),
        ("many@example.net".into(), "552 too many recipients".to_owned()),
    ];
    assert_eq!(receipt.deferred, deferred);
    assert_eq!(receipt.refused.first(), Some(&("gone@example.net".into(), "550 5.1.1 no such user".to_owned())));
    assert_eq!(receipt.refused.last().map(|(to, _)| &**to), Some("nobody"));
    assert_eq!(server.heard().mails.len(), 1);
}

#[tokio::test]
async fn nobody_accepted_is_final_only_if_all_were_refused_for_good() {
    let recipients = ["a@example.net", "b@example.net"];
    let server = Server::start(Script::on("RCPT", Act::Say("550 no\r\n")));
    let error = attempt(plain(server.port), &mail(Default::default(), &recipients)).await.unwrap_err();
    assert_eq!((error.stage, error.permanent, error.refused.len()), (Stage::BeforeContent, true, 2), "{error}");

    let server =
        Server::start(Script::on("RCPT TO:<a@", Act::Say("550 no\r\n")).with("RCPT", Act::Say("450 later\r\n")));
    let error = attempt(plain(server.port), &mail(Default::default(), &recipients)).await.unwrap_err();
    assert_eq!((error.stage, error.permanent, error.refused.len()), (Stage::BeforeContent, false, 1), "{error}");
    assert_eq!(server.heard().count("DATA"), 0);
}

#[tokio::test]
async fn who_was_refused_is_told_even_if_the_others_did_not_get_it() {
    for step in ["DATA", "."] {
        let script = Script::on("RCPT TO:<a@", Act::Say("550 no\r\n")).with(step, Act::Say("451 later\r\n"));
        let server = Server::start(script);
        let notification = mail(Default::default(), &["a@example.net", "b@example.net"]);
        let error = attempt(plain(server.port), &notification).await.unwrap_err();
        assert_eq!(error.refused, [("a@example.net".into(), "550 no".to_owned())], "{step}");
    }
}

#[tokio::test]
async fn a_bad_farewell_changes_nothing() {
    for act in [Act::Hang, Act::Close, Act::Drip, Act::Say("500 what\r\n")] {
        let server = Server::start(Script::on("QUIT", act));
        let mut config = plain(server.port);
        config.timeout = LIMIT;
        let receipt = attempt(config, &hello()).await.unwrap();
        assert_eq!(receipt, Receipt::accepted(&["turno@example.net".into()]), "{act:?}");
        assert_eq!(server.heard().mails.len(), 1);
    }
}

#[tokio::test]
async fn a_mail_for_nobody_is_not_sent() {
    let server = Server::start(Script::default());
    let error = attempt(plain(server.port), &mail(Default::default(), &[])).await.unwrap_err();
    assert_eq!(error.stage, Stage::BeforeContent);
    assert!(server.heard().commands.is_empty());
}
