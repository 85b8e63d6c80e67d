//! The words as a technician gets them, and the promises that hold whatever the devices are called.

use std::sync::Arc;
use std::time::Duration;

mod bounds;
mod kinds;
#[cfg(feature = "templates")]
mod templates;

use super::*;
use crate::model::{Behind, Line, LineId, LineKind, Locale, MailId, Outage, OutageId, Subject, Wall};

/// 22 November 2026, 03:50:00 in Asunción.
const AT: Wall = Wall::from_unix_nanos(1_795_330_200_000_000_000);

/// Names that have broken mails and pages elsewhere.
const HOSTILE: [&str; 14] = [
    "a\r\nBcc: victim@example.net",
    "a\nb",
    "a\rb",
    "a\0b",
    "a\u{2028}b\u{2029}c\u{85}d",
    "\u{202E}evil\u{2066}\u{200F}",
    "\r\n.\r\n",
    "\r\n\r\n<script>alert(1)</script>",
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{7*7}} ${7*7} {% raw %}",
    "=?utf-8?q?=0d=0aBcc:_x?=",
    "",
    "ñandú 🐦 زنبور",
];

fn ago(seconds: u64) -> Wall {
    AT.minus(Duration::from_secs(seconds))
}

fn line(kind: LineKind, name: &str, seconds: u64, lasted: u64) -> Line {
    let mut subject = Subject::new(name, "192.168.10.2");
    subject.group = Some("DSLAM".into());
    let bad = ago(seconds.saturating_sub(10));
    let mut outage = Outage::open(OutageId::new(1), name.into(), Some(ago(seconds)), bad);
    outage.due = Some(bad.plus(Duration::from_secs(30)));
    if kind != LineKind::Opened {
        outage.closed = Some(ago(seconds).plus(Duration::from_secs(lasted)));
    }
    Line::new(LineId::new(1), kind, subject, outage, bad)
}

fn customers(mut line: Line, customers: u32) -> Line {
    line.subject.customers = Some(customers);
    line
}

fn draft(lines: Vec<Line>) -> Draft {
    Draft::new(MailId::new(17), "noc", lines, AT)
}

fn words(locale: Locale) -> Words {
    Words::new(locale, Some("America/Asuncion"), Some("http://noc.example.net:8080/".into())).unwrap()
}

fn snapshot(name: &str, draft: &Draft) {
    for locale in [Locale::Es, Locale::En] {
        let content = words(locale).render(draft);
        let shown = format!("Subject: {}\n\n{}\n----\n{}", content.subject, content.text, content.html);
        insta::assert_snapshot!(format!("{name}_{}", locale.code()), shown);
    }
}

fn subjects(lines: Vec<Line>) -> [String; 2] {
    let draft = draft(lines);
    [Locale::Es, Locale::En].map(|locale| words(locale).render(&draft).subject)
}

#[test]
fn one_device_is_down() {
    let mut down = customers(line(LineKind::Opened, "dslam-centro", 125, 0), 480);
    down.subject.note = Some("llave en portería; ANDE 021 160".into());
    snapshot("one_down", &draft(vec![down]));
}

#[test]
fn many_are_down_and_the_heaviest_heads_the_mail() {
    let mut lines: Vec<Line> = (0..120).map(|n| line(LineKind::Opened, &format!("cpe-{n}"), 300 + n, 0)).collect();
    lines.insert(50, customers(line(LineKind::Opened, "agg-3", 200, 0), 3_200));
    let draft = draft(lines);
    let content = words(Locale::Es).render(&draft);
    assert_eq!(content.subject, "NO RESPONDE: agg-3, cpe-119, 119 más");
    assert!(content.text.starts_with("121 equipos no responden (3.200 clientes).\n"), "{}", content.text);
    assert!(content.text.contains("Y 21 equipos más."), "{}", content.text);
    assert_eq!(content.text.matches("\n* ").count(), 100);
    assert_eq!(content.html.matches("<table ").count(), 100);
    assert_eq!(words(Locale::En).render(&draft).subject, "DOWN: agg-3, cpe-119, 119 more");
}

#[test]
fn some_are_down() {
    let lines = vec![line(LineKind::Opened, "olt-1", 90, 0), customers(line(LineKind::Opened, "olt-2", 100, 0), 1)];
    snapshot("some_down", &draft(lines));
}

#[test]
fn a_device_is_back() {
    snapshot("recovery", &draft(vec![line(LineKind::Closed, "dslam-centro", 7_500, 7_380)]));
}

#[test]
fn some_are_down_and_some_are_back() {
    let lines = vec![
        line(LineKind::Closed, "olt-1", 90_000, 86_500),
        line(LineKind::Opened, "agg-3", 100, 0),
        line(LineKind::Missed, "olt-7", 2_000, 500),
    ];
    snapshot("mixed", &draft(lines));
}

#[test]
fn an_outage_that_nobody_could_be_told_of_is_told_late() {
    let mut draft = draft(vec![line(LineKind::Missed, "agg-3", 2_280, 1_680)]);
    draft.late_since = Some(ago(15_000));
    snapshot("missed", &draft);
}

#[test]
fn a_device_that_never_answered_says_so() {
    let mut down = line(LineKind::Opened, "nuevo", 47, 0);
    down.outage.last_good = None;
    let mut back = line(LineKind::Closed, "otro", 500, 400);
    back.outage.last_good = None;
    snapshot("never", &draft(vec![down, back]));
}

#[test]
fn a_subject_names_the_worst_and_counts_the_others() {
    let opened = |name, seconds| line(LineKind::Opened, name, seconds, 0);
    let closed = |name| line(LineKind::Closed, name, 500, 400);
    let missed = |name, seconds| line(LineKind::Missed, name, seconds, 600);
    assert_eq!(subjects(vec![opened("agg-3", 60)]), ["NO RESPONDE: agg-3", "DOWN: agg-3"]);
    assert_eq!(subjects(vec![opened("a", 60), opened("b", 90)]), ["NO RESPONDE: b, a", "DOWN: b, a"]);
    let four = || ["a", "b", "c", "d"].map(|name| opened(name, 60)).to_vec();
    assert_eq!(subjects(four()), ["NO RESPONDE: a, b, 2 más", "DOWN: a, b, 2 more"]);
    assert_eq!(subjects(vec![closed("a"), closed("b"), closed("c")]), ["OK: a, b, c", "OK: a, b, c"]);
    assert_eq!(subjects(vec![closed("a"), opened("b", 60), missed("c", 900)]), ["NO RESPONDE: b", "DOWN: b"]);
    assert_eq!(
        subjects(vec![missed("agg-3", 1_200)]),
        ["OK: agg-3 (sin respuesta 03:30-03:40, avisado tarde)", "OK: agg-3 (no answer 03:30-03:40, reported late)"]
    );
    assert_eq!(
        subjects(vec![missed("a", 1_200), missed("b", 14_100)]),
        ["OK: a, b (avisado tarde)", "OK: a, b (reported late)"]
    );
    assert_eq!(subjects(vec![missed("a", 900), closed("b")]), ["OK: a, b", "OK: a, b"]);
}

#[test]
fn what_matters_most_is_named_first() {
    let opened = |name: &str, seconds| line(LineKind::Opened, name, seconds, 0);
    let behind = |mut line: Line, devices, customers| {
        line.behind = Behind::new(devices, customers);
        line
    };
    let critical = Line { critical: true, ..opened("core", 50) };
    let lines = vec![
        opened("long", 9_000),
        behind(opened("switch", 60), 20, 0),
        customers(opened("olt", 60), 64),
        behind(opened("agg-3", 60), 200, 90),
        critical,
    ];
    assert_eq!(subjects(lines[3..4].to_vec()), ["NO RESPONDE: agg-3 (+200)", "DOWN: agg-3 (+200)"]);
    assert_eq!(
        subjects(lines[..3].to_vec()),
        ["NO RESPONDE: olt, switch (+20), long", "DOWN: olt, switch (+20), long"]
    );
    assert_eq!(subjects(lines), ["NO RESPONDE: core, agg-3 (+200), 3 más", "DOWN: core, agg-3 (+200), 3 more"]);
}

#[test]
fn a_recovery_never_holds_the_down_word() {
    for kind in [LineKind::Closed, LineKind::Missed] {
        for count in [1, 3] {
            let lines = (0..count).map(|_| line(kind, "agg-3", 500, 400)).collect();
            for subject in subjects(lines) {
                assert!(!subject.contains("NO RESPONDE") && !subject.contains("DOWN"), "{subject}");
            }
        }
    }
}

#[test]
fn hostile_names_stay_text_on_one_line() {
    for name in HOSTILE.map(str::to_owned).into_iter().chain(["x".repeat(10_000), "ñ\n".repeat(10_000)]) {
        for kind in [LineKind::Opened, LineKind::Closed, LineKind::Missed] {
            let mut line = line(kind, &name, 500, 400);
            line.subject.address = name.clone().into();
            line.subject.group = Some(name.clone().into());
            line.subject.note = Some(name.clone().into());
            let calm = words(Locale::Es).render(&draft(vec![self::line(kind, "agg-3", 500, 400)]));
            let content = words(Locale::Es).render(&draft(vec![line]));
            assert!(!content.subject.chars().any(breaks_a_line), "{:?}", content.subject);
            assert!(content.subject.chars().count() <= 120, "{:?}", content.subject);
            for body in [&content.text, &content.html] {
                assert!(!body.chars().any(|c| c != '\n' && breaks_a_line(c)), "{body:?}");
            }
            assert_eq!(content.text.lines().count(), calm.text.lines().count() + 1, "a note, and no other line");
            for tag in ["<script", "<img", "onerror=alert(1)>"] {
                assert!(!content.html.contains(tag), "{}", content.html);
            }
            assert!(content.text.len() < 4_000, "{}", content.text.len());
        }
    }
}

fn breaks_a_line(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn a_template_in_a_name_is_only_a_name() {
    let content = words(Locale::Es).render(&draft(vec![line(LineKind::Opened, "{{7*7}}", 60, 0)]));
    assert!(
        content.subject.contains("{{7*7}}") && content.text.contains("{{7*7}}") && content.html.contains("{{7*7}}")
    );
}

#[test]
fn only_a_web_address_becomes_a_link() {
    let render = |url: &str| {
        let words = Words::new(Locale::En, Some("UTC"), Some(url.into())).unwrap();
        words.render(&draft(vec![line(LineKind::Opened, "a", 60, 0)])).html
    };
    assert!(render("https://noc/?a=1&b=\"").contains("<a href=\"https://noc/?a=1&amp;b=&quot;\">"));
    assert!(!render("javascript:alert(1)").contains("href"));
}

#[test]
fn the_system_zone_is_the_default() {
    assert!(Words::new(Locale::Es, None, None).is_ok());
    assert!(Words::new(Locale::Es, Some("no/such"), None).is_err());
}
