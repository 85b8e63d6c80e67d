//! One mail of each kind, to try a template with before it is needed: with everything that may be missing, there and
//! missing.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    Ack, Behind, Cause, Draft, GroupCount, Held, Hold, Line, LineId, LineKind, MailId, Outage, OutageId, Standing,
    StandingKind, Subject, Topic, Trouble, Wall,
};

/// 22 November 2026, 06:50 UTC: as good as any.
const AT: Wall = Wall::from_unix_nanos(1_795_330_200_000_000_000);

/// The mails: each kind of line alone and bare, all of them together, and how everything stands.
pub(super) fn samples() -> Vec<Draft> {
    let mut lines = vec![full()];
    let topics = [Topic::Outage, Topic::Flapping, Topic::Unseen(Cause::NoRoute), Topic::Blind, Topic::Drill];
    for topic in topics.into_iter().chain(Trouble::ALL.map(Topic::Trouble)) {
        lines.extend([LineKind::Opened, LineKind::Closed, LineKind::Missed].map(|kind| bare(kind, topic)));
    }
    lines.push(Line { outage: Outage { removed: true, ..full().outage }, kind: LineKind::Closed, ..full() });
    let draft = |lines: Vec<Line>| Draft::new(MailId::new(1), "noc", lines, AT);
    let mut all: Vec<Draft> = lines.iter().map(|line| draft(vec![line.clone()])).collect();
    let mut together = draft(lines);
    together.late_since = Some(ago(3_000));
    together.groups = vec![GroupCount::new("DSLAM", 18, 20)];
    together.held = vec![Held::new("olt-1", Hold::Hours, ago(3_000)), Held::new("", Hold::Rationed, ago(300))];
    together.core = true;
    together.standing = Some(standing(StandingKind::Reminder));
    all.push(together);
    for standing in [standing(StandingKind::Summary), Standing::new(StandingKind::Summary)] {
        let mut alone = draft(Vec::new());
        alone.standing = Some(standing);
        all.push(alone);
    }
    all.push(draft(Vec::new()));
    all
}

fn ago(seconds: u64) -> Wall {
    AT.minus(Duration::from_secs(seconds))
}

/// With nothing but what it cannot be without.
fn bare(kind: LineKind, topic: Topic) -> Line {
    let mut outage = Outage::open(OutageId::new(2), "olt-2".into(), None, ago(100));
    outage.closed = (kind != LineKind::Opened).then(|| ago(10));
    let subject = match topic {
        Topic::Outage | Topic::Flapping | Topic::Drill => Subject::new("olt-2", "192.0.2.2"),
        _ => Subject::new("", ""),
    };
    let mut line = Line::new(LineId::new(2), kind, subject, outage, ago(60));
    line.topic = topic;
    line
}

/// With everything.
fn full() -> Line {
    let mut line = bare(LineKind::Opened, Topic::Outage);
    line.subject = Subject::new("olt-1 \"{{ x }}\" <b>", "192.0.2.1");
    line.subject.group = Some("OLT".into());
    line.subject.note = Some("llave en portería; ANDE 021 160".into());
    line.subject.customers = Some(480);
    line.outage = Outage::open(OutageId::new(1), "olt-1".into(), Some(ago(7_500)), ago(7_490));
    line.outage.ack = Some(Arc::new(Ack::new(ago(60), "Ana", "voy en camino")));
    line.behind = Behind::new(200, 3_200);
    line.members = [Arc::from("olt-3")].into();
    line.changes = 6;
    Line { critical: true, escalated: true, ..line }
}

fn standing(kind: StandingKind) -> Standing {
    let mut standing = Standing::new(kind);
    standing.open = vec![full(), bare(LineKind::Opened, Topic::Outage)];
    standing.open_total = 150;
    standing.warnings = vec![full().subject, Subject::new("radio-7", "192.0.2.7")];
    standing.warnings_total = 2;
    standing
}
