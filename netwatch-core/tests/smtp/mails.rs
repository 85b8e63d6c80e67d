//! What arrives: exactly one mail, the same bytes each time, whatever the devices are called.

use std::sync::Arc;

use netwatch_core::{
    Content, Draft, FileNotifier, Line, LineId, LineKind, Locale, MailId, Notifier, Outage, OutageId, Render, Subject,
    Wall, Words,
};

use crate::server::{Act, Script, Server};
use crate::{attempt, mail, plain};

/// The only headers a mail of ours has.
const HEADERS: [&str; 9] = [
    "From",
    "Date",
    "Subject",
    "Message-ID",
    "To",
    "Auto-Submitted",
    "X-Netwatch-Batch",
    "MIME-Version",
    "Content-Type",
];

fn headers(mail: &[u8]) -> Vec<String> {
    let mail = String::from_utf8(mail.to_vec()).expect("a mail is ASCII");
    let (header, _) = mail.split_once("\r\n\r\n").expect("a mail has a body");
    let lines = header.split("\r\n").filter(|line| !line.starts_with(' '));
    lines.map(|line| line.split(':').next().unwrap_or("").to_owned()).collect()
}

#[tokio::test]
async fn the_bytes_arrive_as_they_are_in_the_file() {
    let texts = [
        "a\n.\nb\n",
        ".\n",
        "..\n.a\n",
        "\r\n.\r\nMAIL FROM:<x@y>\r\n",
        "a\n\n\n",
        "sin fin",
        "\r.\r",
        "ñ".repeat(9_000).leak(),
    ];
    for text in texts {
        let server = Server::start(Script::default());
        let notification = mail(Content::new("OK: agg-3", text, text), &["Turno <turno@example.net>", "b@example.net"]);
        for _ in 0..2 {
            attempt(plain(server.port), &notification).await.unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let files = FileNotifier::new(directory.path(), "netwatch <noc@example.net>").unwrap();
        files.deliver(&notification).await.unwrap();
        let file = std::fs::read(directory.path().join("20261122T065000Z-17.eml")).unwrap();
        let heard = server.heard();
        assert_eq!(heard.mails, [file.clone(), file], "{text:?}");
        assert_eq!(heard.count("MAIL FROM:<noc@example.net>"), 2);
        assert_eq!(heard.count("MAIL"), 2, "{:?}", heard.commands);
    }
}

#[tokio::test]
async fn a_copy_for_those_left_has_the_same_bytes_if_all_are_named() {
    let server = Server::start(Script::on("RCPT TO:<a@", Act::Say("550 no\r\n")));
    for recipients in [&["a@example.net", "b@example.net"][..], &["b@example.net"]] {
        let mut config = plain(server.port);
        config.to = vec!["a@example.net".into(), "b@example.net".into()];
        attempt(config, &mail(Default::default(), recipients)).await.unwrap();
    }
    let mails = server.heard().mails;
    assert_eq!(mails.first(), mails.last());
    assert!(String::from_utf8(mails[0].clone()).unwrap().contains("\r\nTo: a@example.net, b@example.net\r\n"));
}

#[tokio::test]
async fn hostile_names_make_one_mail_with_our_headers_alone() {
    let hostile = [
        "a\r\nBcc: victim@example.net",
        "a\nb\rc\0d\u{2028}e\u{85}f",
        "\u{202E}evil\u{2066}\u{200F}",
        "\r\n.\r\nMAIL FROM:<x@example.net>\r\n",
        "\r\n\r\n<script>alert(1)</script>",
        "{{7*7}}",
        "=?utf-8?q?=0d=0aBcc:_x?=",
        "",
        "ñandú 🐦 زنبور",
        &"x".repeat(10_000),
        &"ñ\r\n".repeat(3_000),
    ];
    let words = Words::new(Locale::Es, Some("America/Asuncion"), None).unwrap();
    for name in hostile {
        let server = Server::start(Script::default());
        let at = Wall::from_unix_nanos(1_795_330_200_000_000_000);
        let outage = Outage::open(OutageId::new(1), Arc::from(name), Some(at), at);
        let mut subject = Subject::new(name, name);
        subject.note = Some(Arc::from(name));
        let line = Line::new(LineId::new(1), LineKind::Opened, subject, outage, at);
        let rendered = words.render(&Draft::new(MailId::new(17), "noc", vec![line], at));
        // Words of others may be less careful than ours.
        for content in [rendered, Content::new(name, name, name)] {
            attempt(plain(server.port), &mail(content, &["turno@example.net"])).await.unwrap();
        }
        let heard = server.heard();
        assert_eq!(heard.mails.len(), 2, "{name:?}");
        for mail in &heard.mails {
            assert_eq!(headers(mail), HEADERS, "{name:?}");
            assert!(mail.split(|byte| *byte == b'\n').all(|line| line.len() < 998 && !line.contains(&0)));
            let text = std::str::from_utf8(mail).expect("a mail is ASCII");
            assert!(text.is_ascii() && !text.replace("\r\n", "").contains(['\r', '\n']), "{name:?}: {text:?}");
        }
        let verbs: Vec<&str> = heard.commands.iter().map(|command| command.split(' ').next().unwrap_or("")).collect();
        assert_eq!(verbs, ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"].repeat(2), "{name:?}");
    }
}

#[tokio::test]
async fn a_hostile_recipient_is_refused_and_says_nothing_to_the_server() {
    let hostile = [
        "a@example.net\r\nRCPT TO:<x@example.net>",
        "<a@example.net>\r\nDATA",
        "a@example.net> NOTIFY=NEVER",
        "\"a\r\nRSET\"@example.net",
        "A\r\nBcc: x@example.net <a@example.net>",
        "a@example.net\0",
        "-i",
        "$(id)@example.net;x",
    ];
    let server = Server::start(Script::default());
    for recipient in hostile {
        let mut config = plain(server.port);
        config.to = vec!["b@example.net".into()];
        let notification = mail(Content::new("a", "b", "c"), &[recipient, "b@example.net"]);
        let receipt = attempt(config, &notification).await.unwrap();
        assert_eq!(receipt.accepted, ["b@example.net".into()], "{recipient:?}");
        assert_eq!(receipt.refused.len(), 1, "{recipient:?}");
    }
    let heard = server.heard();
    let verbs: Vec<&str> = heard.commands.iter().map(|command| command.split(' ').next().unwrap_or("")).collect();
    assert_eq!(verbs, ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"].repeat(hostile.len()));
    assert_eq!(heard.count("RCPT TO:<b@example.net>"), hostile.len());
    assert!(heard.mails.iter().all(|mail| headers(mail) == HEADERS));
}
