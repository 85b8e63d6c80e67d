//! Every kind of mail, in both languages.

use super::*;
use crate::model::{Ack, Cause, GroupCount, Held, Hold, Standing, StandingKind, Topic, Trouble};

/// A line about something that began `seconds` ago.
fn incident(topic: Topic, kind: LineKind, name: &str, seconds: u64, lasted: u64) -> Line {
    let mut line = line(kind, name, seconds, lasted);
    line.topic = topic;
    line.outage.first_bad = ago(seconds);
    line.outage.last_good = None;
    line
}

fn unseen(kind: LineKind, cause: Cause, members: &[&str]) -> Line {
    let mut line = incident(Topic::Unseen(cause), kind, "", 1_200, 900);
    line.subject = Subject::new("", "");
    line.members = members.iter().map(|name| Arc::from(*name)).collect();
    line
}

fn blind(kind: LineKind) -> Line {
    let mut line = incident(Topic::Blind, kind, "", 2_280, 1_680);
    line.subject = Subject::new("", "");
    line
}

fn trouble(trouble: Trouble, kind: LineKind) -> Line {
    let mut line = incident(Topic::Trouble(trouble), kind, "", 2_280, 1_680);
    line.subject = Subject::new("", "");
    if trouble == Trouble::MailPath {
        line.members = ["noc".into()].into();
    }
    line
}

fn flapping(kind: LineKind, changes: u32) -> Line {
    Line { changes, ..incident(Topic::Flapping, kind, "radio-7", 5_400, 5_000) }
}

fn aggregation() -> Line {
    let mut agg = customers(line(LineKind::Opened, "agg-3", 200, 0), 12);
    agg.behind = Behind::new(200, 3_200);
    agg.critical = true;
    agg
}

fn standing(kind: StandingKind) -> Standing {
    let mut standing = Standing::new(kind);
    let mut acked = customers(line(LineKind::Opened, "olt-7", 9_000, 0), 64);
    acked.outage.id = OutageId::new(8);
    acked.outage.ack = Some(Arc::new(Ack::new(ago(600), "Ana", "voy en camino")));
    let old = Line { outage: Outage { id: OutageId::new(9), ..aggregation().outage }, ..aggregation() };
    standing.open = vec![old, acked];
    standing.open_total = 2;
    standing
}

fn with_standing(mut draft: Draft, standing: Standing) -> Draft {
    draft.standing = Some(standing);
    draft
}

fn subject(draft: &Draft) -> [String; 2] {
    [Locale::Es, Locale::En].map(|locale| words(locale).render(draft).subject)
}

#[test]
fn a_core_is_down_with_all_that_lies_behind_it() {
    let mut draft = draft(vec![aggregation(), line(LineKind::Opened, "olt-7", 190, 0)]);
    draft.core = true;
    draft.groups =
        vec![GroupCount::new("DSLAM", 2, 5), GroupCount::new("PUEBLO", 18, 20), GroupCount::new("TORRES", 0, 4)];
    snapshot("core", &draft);
}

#[test]
fn an_outage_was_escalated_and_somebody_sees_to_another() {
    let escalated = Line { escalated: true, ..line(LineKind::Opened, "olt-1", 2_000, 0) };
    let mut acked = line(LineKind::Opened, "olt-2", 1_900, 0);
    acked.outage.ack = Some(Arc::new(Ack::new(ago(60), "Ana", "voy en camino")));
    snapshot("escalated", &draft(vec![escalated, acked]));
}

#[test]
fn what_was_held_back_says_why() {
    let names = ["olt-1", "olt-2", "olt-3"];
    let mut draft = draft(names.map(|name| line(LineKind::Opened, name, 15_000, 0)).to_vec());
    draft.held = names.map(|name| Held::new(name, Hold::Hours, ago(14_900))).to_vec();
    draft.held.push(Held::new("", Hold::Rationed, ago(300)));
    snapshot("held", &draft);
}

#[test]
fn a_device_is_flapping() {
    snapshot("flapping", &draft(vec![flapping(LineKind::Opened, 6)]));
}

#[test]
fn a_device_has_settled() {
    snapshot("settled", &draft(vec![flapping(LineKind::Closed, 14)]));
    let missed = draft(vec![flapping(LineKind::Missed, 14)]);
    assert_eq!(subject(&missed), ["ESTABLE: radio-7", "STABLE: radio-7"]);
}

#[test]
fn a_device_that_settled_silent_is_told_as_such() {
    snapshot("settled_down", &draft(vec![flapping(LineKind::Closed, 14), line(LineKind::Opened, "radio-7", 600, 0)]));
}

#[test]
fn netwatch_cannot_see_some_devices() {
    let names: Vec<String> = (1..=12).map(|n| format!("olt-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    snapshot("unseen", &draft(vec![unseen(LineKind::Opened, Cause::NoRoute, &names)]));
    let one = unseen(LineKind::Opened, Cause::Unresolved, &["crm"]);
    assert_eq!(
        subject(&draft(vec![one.clone()])),
        ["netwatch no ve crm: el nombre no resuelve (DNS)", "netwatch cannot see crm: the name does not resolve (DNS)"]
    );
    let two = draft(vec![one, unseen(LineKind::Opened, Cause::NoRoute, &names)]);
    assert_eq!(
        subject(&two),
        [
            "netwatch no ve 13 equipos: sin ruta, y otra causa",
            "netwatch cannot see 13 devices: no route, and another cause"
        ]
    );
    let unnamed = draft(vec![unseen(LineKind::Opened, Cause::NoRoute, &[])]);
    assert_eq!(subject(&unnamed)[0], "netwatch no ve algunos equipos: sin ruta");
}

#[test]
fn netwatch_sees_them_again() {
    snapshot("seen", &draft(vec![unseen(LineKind::Closed, Cause::NoRoute, &["olt-1", "olt-2"])]));
}

#[test]
fn netwatch_is_cut_off() {
    snapshot("blind", &draft(vec![blind(LineKind::Opened)]));
}

#[test]
fn netwatch_was_cut_off() {
    snapshot("blind_over", &draft(vec![blind(LineKind::Missed)]));
}

#[test]
fn a_device_that_was_down_is_removed() {
    let mut gone = line(LineKind::Closed, "viejo", 900, 800);
    gone.outage.removed = true;
    snapshot("removed", &draft(vec![gone]));
}

#[test]
fn a_reminder_lists_what_is_still_down() {
    snapshot("reminder", &with_standing(draft(vec![]), standing(StandingKind::Reminder)));
    let mut one = standing(StandingKind::Reminder);
    (one.open, one.open_total) = (one.open[..1].to_vec(), 1);
    let alone = with_standing(draft(vec![]), one);
    assert_eq!(subject(&alone), ["SIGUE SIN RESPONDER: agg-3 (+200)", "STILL NOT ANSWERING: agg-3 (+200)"]);
}

#[test]
fn a_reminder_with_a_recovery_begins_with_the_recovery() {
    let back = line(LineKind::Closed, "olt-1", 500, 400);
    let both = with_standing(draft(vec![back]), standing(StandingKind::Reminder));
    assert_eq!(subject(&both), ["OK: olt-1; 2 más siguen sin responder", "OK: olt-1; 2 more still not answering"]);
}

#[test]
fn a_reminder_does_not_repeat_what_the_mail_brings() {
    let standing = standing(StandingKind::Reminder);
    let both = with_standing(draft(vec![standing.open[0].clone()]), standing);
    assert_eq!(subject(&both)[0], "NO RESPONDE: agg-3 (+200); 1 más sigue sin responder");
    let text = words(Locale::Es).render(&both).text;
    assert!(text.contains("1 equipo sigue sin responder.\n\n- olt-7"), "{text}");
    let mut all_new = both;
    let standing = all_new.standing.as_mut().unwrap();
    (standing.open, standing.open_total) = (standing.open[..1].to_vec(), 1);
    assert_eq!(subject(&all_new)[0], "NO RESPONDE: agg-3 (+200)");
    assert!(!words(Locale::Es).render(&all_new).text.contains("SIGUE"));
}

#[test]
fn a_summary_counts_everything() {
    let mut standing = standing(StandingKind::Summary);
    standing.open_total = 150;
    standing.warnings = vec![line(LineKind::Opened, "radio-7", 1, 0).subject, Subject::new("ap-2", "10.0.0.2")];
    standing.warnings_total = 2;
    snapshot("summary", &with_standing(draft(vec![]), standing));
}

#[test]
fn a_summary_comes_even_if_there_is_nothing_to_tell() {
    snapshot("summary_calm", &with_standing(draft(vec![]), Standing::new(StandingKind::Summary)));
}

#[test]
fn what_is_wrong_with_netwatch_itself_says_what_to_do() {
    for trouble in Trouble::ALL {
        let kind = if trouble == Trouble::Clock { LineKind::Missed } else { LineKind::Opened };
        snapshot(&format!("trouble_{}", trouble.code()), &draft(vec![self::trouble(trouble, kind)]));
    }
    let over = [Trouble::Disk, Trouble::MailPath].map(|it| trouble(it, LineKind::Closed));
    snapshot("troubles_over", &draft(over.to_vec()));
    let two = [Trouble::Disk, Trouble::ReceiveDrops].map(|it| trouble(it, LineKind::Opened));
    assert_eq!(
        subject(&draft(two.to_vec())),
        ["netwatch: no puede escribir en el disco, 1 más", "netwatch: cannot write to its disk, 1 more"]
    );
}

#[test]
fn a_drill_is_marked_as_one_and_looks_like_an_outage() {
    let rehearsed = |kind| Line { critical: true, ..incident(Topic::Drill, kind, "olt-7", 60, 60) };
    snapshot("drill", &draft(vec![rehearsed(LineKind::Opened)]));
    snapshot("drill_over", &draft(vec![rehearsed(LineKind::Closed)]));
    let real = line(LineKind::Opened, "agg-3", 200, 0);
    let both = draft(vec![rehearsed(LineKind::Opened), real]);
    assert_eq!(subject(&both), ["NO RESPONDE: agg-3", "DOWN: agg-3"], "what is real comes first");
}
