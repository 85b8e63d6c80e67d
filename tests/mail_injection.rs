//! Whatever devices, groups and notes are called, a mail is one mail: our headers alone, no command, no markup of theirs.
//!
//! The bytes are judged as they were on the wire. What a mail of a device with a plain name looks like is the measure for
//! all others: the same headers, the same commands around it, the same elements in the HTML.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::time::Duration;

use netwatch_tests::answerer::Answerer;
use netwatch_tests::config::Config;
use netwatch_tests::daemon::Daemon;
use netwatch_tests::mail::{Message, Scripted};
use netwatch_tests::netns::Namespace;
use netwatch_tests::process::wait_for;
use netwatch_tests::stage::{Fleet, SOON};

const PLAIN: &str = "plain";
const TOLD: Duration = Duration::from_secs(30);

/// The only headers of a mail, in their order; those in the middle are in recoveries alone.
const HEADERS: [&str; 11] = [
    "from",
    "date",
    "subject",
    "message-id",
    "to",
    "in-reply-to",
    "references",
    "auto-submitted",
    "x-netwatch-batch",
    "mime-version",
    "content-type",
];

/// Names, and what of each a reader must still see in the subject and in the text.
fn corpus() -> Vec<(String, &'static str)> {
    [
        (PLAIN, PLAIN),
        ("cr\rx", "cr x"),
        ("lf\nx", "lf x"),
        ("crlf\r\nBcc: victim@example.net", "crlf Bcc: victim@example.net"),
        ("nul\0x", "nul x"),
        ("tab\tvt\u{b}esc\u{1b}[31mdel\u{7f}", "tab vt esc [31mdel"),
        ("ls\u{2028}ps\u{2029}nel\u{85}x", "ls ps nel x"),
        ("\u{202E}gnp.exe\u{2066}\u{200F}", "gnp.exe"),
        ("\r\n.\r\nMAIL FROM:<x@example.net>\r\n", ". MAIL FROM:<x@example.net>"),
        (".", "."),
        ("..dots", "..dots"),
        ("{{7*7}}${7*7}<%= 7*7 %>", "{{7*7}}${7*7}<%= 7*7 %>"),
        ("-i", "-i"),
        ("$(id)`id`", "$(id)`id`"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("\"><img src=x onerror=alert(1)>", "\"><img src=x onerror=alert(1)>"),
        ("</pre></td></body></html>", "</pre></td></body></html>"),
        ("<!-- ' & &amp; &#60;b&#62;", "<!-- ' & &amp; &#60;b&#62;"),
        ("%0d%0aBcc: x@example.net", "%0d%0aBcc: x@example.net"),
        ("nodo Asunci\u{f3}n \u{1F426}", "nodo Asunci\u{f3}n \u{1F426}"),
        // Bytes that end a line when somebody cuts a character in two.
        ("\u{560D}\u{560A}\u{10D}\u{10A}", "\u{560D}\u{560A}\u{10D}\u{10A}"),
    ]
    .map(|(name, seen)| (name.to_owned(), seen))
    .into_iter()
    .chain([
        ("x".repeat(10_000), "xxxxxxxx"),
        ("\u{f1}".repeat(10_000), "\u{f1}\u{f1}\u{f1}\u{f1}"),
        (". ".repeat(5_000), ". . ."),
    ])
    // Reads as an encoded word, and so is shown with a space in it.
    .chain([("=?utf-8?q?=0d=0aBcc:_x?=".to_owned(), "?utf-8?q?=0d=0aBcc:_x?=")])
    .collect()
}

/// One connection as it was heard.
struct Heard {
    commands: Vec<String>,
    content: Vec<u8>,
    after: Vec<String>,
}

/// Splits what the client said at DATA and at the first line that is a dot alone.
fn understand(heard: &[u8]) -> Heard {
    let lines = |bytes: &[u8]| -> Vec<String> {
        String::from_utf8(bytes.to_vec()).expect("commands are ASCII").lines().map(str::to_owned).collect()
    };
    let find = |what: &[u8], from: usize| {
        heard[from..].windows(what.len()).position(|bytes| bytes == what).map(|at| at + from)
    };
    let data = find(b"\r\nDATA\r\n", 0).expect("there was a mail") + b"\r\nDATA\r\n".len();
    let end = find(b"\r\n.\r\n", data).expect("the mail came to its end");
    Heard { commands: lines(&heard[..data]), content: heard[data..end + 2].to_vec(), after: lines(&heard[end + 5..]) }
}

/// RFC 5322, 2.1.1 and 2.3; RFC 5321, 4.5.2: lines of at most 998 bytes of ASCII, CR and LF only together, dots doubled.
fn assert_lines(content: &[u8], context: &str) {
    let text = std::str::from_utf8(content).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(text.is_ascii() && !text.contains('\0'), "{context}: {text:?}");
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{context}: a bare CR or LF: {text:?}");
    for line in text.split("\r\n") {
        assert!(line.len() <= 998, "{context}: a line of {} bytes", line.len());
        assert!(!line.starts_with('.') || line.starts_with(".."), "{context}: a dot that was not doubled: {line:?}");
    }
}

/// The content as it was before dots were doubled.
fn unstuffed(content: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(content);
    let lines = text.split_inclusive("\r\n").map(|line| line.strip_prefix('.').unwrap_or(line));
    lines.collect::<String>().into_bytes()
}

/// The tags of an HTML text with their attributes, in their order. Names of links and times differ from mail to mail.
fn tags(html: &str) -> Vec<String> {
    let inside = html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or(rest));
    inside.map(|tag| tag.split(" href=").next().unwrap_or(tag).to_owned()).collect()
}

fn assert_harmless(mail: &Message, name: &str, seen: &str, plain: &Message) {
    let headers: Vec<&str> = mail.headers.iter().map(|(header, _)| header.as_str()).collect();
    let mut known = HEADERS.iter();
    assert!(headers.iter().all(|header| known.any(|known| known == header)), "{name:?}: {headers:?}");
    assert_eq!(headers, plain.headers.iter().map(|(header, _)| header.as_str()).collect::<Vec<_>>(), "{name:?}");
    assert_eq!((mail.header("from"), mail.header("to")), (plain.header("from"), plain.header("to")), "{name:?}");
    let subject = mail.subject();
    let hidden = |letter: char| letter.is_control() || "\u{2028}\u{2029}\u{202E}\u{2066}\u{200F}".contains(letter);
    assert!(!subject.contains(hidden) && subject.chars().count() <= 200, "{name:?}: {subject:?}");
    assert!(subject.contains(seen), "{name:?}: {subject:?} does not tell of {seen:?}");

    let parts = mail.parts();
    let [text, html] = parts.as_slice() else { panic!("{name:?}: {} parts", parts.len()) };
    assert!(
        text.header("content-type").starts_with("text/plain") && html.header("content-type").starts_with("text/html")
    );
    assert!(text.body.contains(seen), "{name:?}: {seen:?} is not in\n{}", text.body);
    assert!(!text.body.contains(|letter: char| letter != '\n' && hidden(letter)), "{name:?}: {:?}", text.body);
    assert!(!text.body.contains("uid="), "{name:?} was carried out:\n{}", text.body);
    assert_eq!(tags(&html.body), tags(&plain.parts()[1].body), "{name:?}: markup of its own:\n{}", html.body);
}

#[test]
fn whatever_things_are_called_a_mail_is_one_well_formed_mail() {
    let corpus = corpus();
    let count = corpus.len();
    // Far more devices stay alive: otherwise the mails would speak of the core as well.
    let fleet = Fleet::v4((4 * count).try_into().unwrap());
    let here = std::sync::Arc::new(Namespace::new());
    let there = Answerer::join(&here, fleet);
    let servers: Vec<Scripted> = {
        let first = Scripted::start(&here, 2525);
        let beside: Vec<_> = (1..count).map(|n| first.beside(&here, 2525 + n as u16)).collect();
        std::iter::once(first).chain(beside).collect()
    };
    let mut config = Config::scaled().each("tolerance", "1s").each("settle", "1s");
    for ((name, _), device) in corpus.iter().zip(fleet.names()) {
        let group = format!("{name} group");
        config = config.group(&group).target_with(name, &fleet.address(&device), &[("group", &group), ("note", name)]);
    }
    for device in &fleet.names()[count..] {
        config = config.target(device, &fleet.address(device));
    }
    for (n, ((name, _), server)) in corpus.iter().zip(&servers).enumerate() {
        config = config.smtp_to(&format!("n{n:02}"), server.address(), &["turno@example.net"]);
        config = config.notifier("targets", &[name.as_str()][..]);
        config = config.notifier("group_wait", "0s").notifier("group_interval", "0s");
    }
    let mut daemon = Daemon::prepare(&here, &config, Some(&servers[0].certificates().authority.clone()));
    daemon.start();
    daemon.wait_all("ok", SOON);
    fleet.names()[..count].iter().for_each(|device| there.silence(&fleet.address(device)));
    let all_have = |count: usize| servers.iter().all(|server| server.accepted().len() == count);
    wait_for("a mail for each", TOLD, || all_have(1).then_some(()));
    there.revive_all();
    wait_for("its recovery for each", TOLD, || all_have(2).then_some(()));
    daemon.terminate(TOLD);

    let mails: Vec<Vec<(Message, Heard)>> = servers
        .iter()
        .map(|server| {
            let sessions = wait_for("the end of both conversations", SOON, || {
                let sessions = server.sessions();
                sessions.iter().all(|session| session.ended.is_some()).then_some(sessions)
            });
            let understood = sessions.iter().map(|session| understand(&session.heard));
            understood.map(|heard| (Message::parse(&unstuffed(&heard.content)), heard)).collect()
        })
        .collect();
    for ((name, seen), told) in corpus.iter().zip(&mails) {
        let name: String = name.chars().take(40).collect();
        assert_eq!(told.len(), 2, "{name:?}: two mails, a connection for each");
        for ((mail, heard), (plain, _)) in told.iter().zip(&mails[0]) {
            let verbs: Vec<&str> = heard.commands.iter().filter_map(|line| line.split(' ').next()).collect();
            assert_eq!(verbs, ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"], "{name:?}");
            assert!(heard.after.iter().all(|line| line == "QUIT"), "{name:?}: {:?}", heard.after);
            assert_lines(&heard.content, &name);
            assert_harmless(mail, &name, seen, plain);
        }
    }
}
