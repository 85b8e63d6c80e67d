//! The promises on every mail, whatever is in it: its size, its subject, and that foreign text stays text.

use proptest::prelude::*;

use super::*;
use crate::model::{Ack, Cause, GroupCount, Held, Hold, Standing, StandingKind, Topic};

/// What a mail may have on the wire.
const MAIL_BYTES: usize = 256 * 1024;

/// More than a mail of these words has in base64, with a part that stays readable and its header.
fn encoded(content: &Content) -> usize {
    let base64 = |bytes: usize| bytes.div_ceil(3) * 4 + bytes.div_ceil(57) * 2;
    let readable = 8 * 1024;
    base64(content.text.len()) + base64(content.html.len()) + readable + base64(content.subject.len()) + 2_048
}

#[test]
fn a_hundred_thousand_devices_are_one_bounded_mail_that_counts_them_all() {
    for name in ["agg", &"<&\"'ñ🐦".repeat(2_000)] {
        let lines: Vec<Line> = (0..100_000_u32)
            .map(|n| {
                let kind = [LineKind::Opened, LineKind::Closed, LineKind::Missed][n as usize % 3];
                let mut line = customers(line(kind, "x", 1_000, 400), 2);
                line.subject.name = if n < 200 { name.into() } else { "x".into() };
                line.subject.note = line.subject.group.replace(Arc::from(if n < 200 { name } else { "x" }));
                line
            })
            .collect();
        let content = words(Locale::Es).render(&draft(lines));
        let size = content.subject.len() + content.text.len() + content.html.len();
        assert!(size <= 180 * 1024, "{size}");
        assert!(content.text.contains("33.334 equipos no responden (66.668 clientes)."), "{}", &content.text[..300]);
        assert!(content.text.contains("33.333 cortes terminaron antes"), "{}", &content.text[..300]);
        assert!(content.text.contains("Y 33.333 equipos más, con 66.666 clientes."));
        assert!(content.text.contains("http://noc.example.net:8080/"));
        assert!(content.text.matches("\n* ").count() >= 10);
    }
}

fn words_of_anybody() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(HOSTILE.to_vec()).prop_map(str::to_owned),
        prop::sample::select(vec![
            "DOWN",
            "x DOWN",
            "NO RESPONDE",
            "NO\nRESPONDE",
            "DODOWNWN",
            "NO NO RESPONDE RESPONDE"
        ])
        .prop_map(str::to_owned),
        (prop::sample::select(vec!["x", "\"", "'\n", "ñ", "🐦", "<", "\u{202E}a"]), 1..10_000_usize)
            .prop_map(|(unit, count)| unit.repeat(count)),
    ]
}

fn any_line() -> impl Strategy<Value = Line> {
    let topic = prop::sample::select(vec![
        Topic::Outage,
        Topic::Flapping,
        Topic::Unseen(Cause::NoRoute),
        Topic::Unseen(Cause::SendFailed(105)),
        Topic::Blind,
    ]);
    let kind = prop::sample::select(vec![LineKind::Opened, LineKind::Closed, LineKind::Missed]);
    let numbers = (any::<u32>(), any::<u32>(), any::<u64>(), any::<i64>());
    let marks = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), 0..200_usize);
    (topic, kind, [words_of_anybody(), words_of_anybody(), words_of_anybody()], numbers, marks).prop_map(
        |(topic, kind, [name, other, third], (changes, devices, customers, at), marks)| {
            let (critical, escalated, removed, acked, members) = marks;
            let mut line = line(kind, &name, 500, 400);
            line.topic = topic;
            line.subject.address = other.clone().into();
            line.subject.group = Some(third.clone().into());
            line.subject.note = Some(other.clone().into());
            line.subject.customers = Some(devices);
            line.behind = Behind::new(devices, customers);
            line.outage.last_good = Some(Wall::from_unix_nanos(at));
            line.outage.removed = removed && kind != LineKind::Opened;
            line.outage.ack = acked.then(|| Arc::new(Ack::new(AT, &*third, &*other)));
            line.members = (0..members).map(|_| Arc::from(&*other)).collect();
            Line { critical, escalated, changes, ..line }
        },
    )
}

fn any_draft() -> impl Strategy<Value = Draft> {
    let lines = (prop::collection::vec(any_line(), 0..4), prop::sample::select(vec![1_usize, 60, 400]));
    let standing = (prop::collection::vec(any_line(), 0..3), any::<bool>(), any::<bool>(), 0..200_000_usize);
    let kinds = vec![Hold::GroupInterval, Hold::Budget, Hold::Hours, Hold::Retry, Hold::Flapping, Hold::Rationed];
    let held = prop::collection::vec((words_of_anybody(), prop::sample::select(kinds)), 0..100);
    let groups = prop::collection::vec((words_of_anybody(), any::<u32>(), any::<u32>()), 0..100);
    (lines, standing, held, groups, any::<bool>()).prop_map(|((lines, times), standing, held, groups, core)| {
        let lines = std::iter::repeat_n(lines, times).flatten().collect();
        let mut draft = draft(lines);
        let (open, is_there, is_reminder, more) = standing;
        draft.standing = is_there.then(|| {
            let kind = if is_reminder { StandingKind::Reminder } else { StandingKind::Summary };
            let mut standing = Standing::new(kind);
            standing.open = std::iter::repeat_n(open, 33).flatten().collect();
            standing.open_total = standing.open.len() + more;
            standing.warnings = standing.open.iter().map(|line| line.subject.clone()).collect();
            standing.warnings_total = standing.warnings.len() + more;
            standing
        });
        draft.held = held.into_iter().map(|(name, hold)| Held::new(name, hold, ago(4_000))).collect();
        draft.groups = groups.into_iter().map(|(name, down, total)| GroupCount::new(name, down, total)).collect();
        draft.core = core;
        draft
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_draft_breaks_a_promise(draft in any_draft()) {
        for locale in [Locale::Es, Locale::En] {
            let words = Words::new(locale, Some("America/Asuncion"), Some("\"'&".repeat(300).into())).unwrap();
            let content = words.render(&draft);
            prop_assert!(encoded(&content) <= MAIL_BYTES, "{} bytes", encoded(&content));
            prop_assert!(!content.subject.chars().any(breaks_a_line), "{:?}", content.subject);
            prop_assert!(content.subject.chars().count() <= 200, "{:?}", content.subject);
            let outage = |line: &Line| line.topic == Topic::Outage && line.kind == LineKind::Opened;
            if !draft.lines.iter().any(outage) {
                let word = crate::model::Status::Down.word(locale);
                prop_assert!(!content.subject.contains(word), "{:?}", content.subject);
            }
            for body in [&content.text, &content.html] {
                prop_assert!(!body.chars().any(|c| c != '\n' && breaks_a_line(c)), "{body:?}");
            }
            for tag in ["<script", "<img", "onerror=alert(1)>"] {
                prop_assert!(!content.html.contains(tag), "{}", content.html);
            }
        }
    }
}

#[test]
fn the_down_word_in_a_name_is_left_out_of_a_recovery() {
    let named = |kind, name| subjects(vec![line(kind, name, 60, 40)]);
    assert_eq!(named(LineKind::Closed, "x DOWN 3"), ["OK: x DOWN 3", "OK: x … 3"]);
    assert_eq!(named(LineKind::Closed, "NO\nRESPONDE"), ["OK: …", "OK: NO RESPONDE"]);
    assert_eq!(named(LineKind::Closed, "downtown"), ["OK: downtown", "OK: downtown"]);
    assert_eq!(named(LineKind::Opened, "x DOWN 3"), ["NO RESPONDE: x DOWN 3", "DOWN: x DOWN 3"]);
}
