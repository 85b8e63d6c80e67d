//! What the notifiers for webhooks, commands and log servers promise, against far sides that break every promise of
//! their own, and against names that try to be more than names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic, and so may its helpers")]

mod authority;
mod corpus;
mod exec;
mod syslog;
mod web;
mod webhook;
mod webhook_faults;

use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{
    Behind, Content, DeliveryError, Draft, Line, LineId, LineKind, Locale, MailId, Notification, Notifier, Outage,
    OutageId, Receipt, Render, Subject, Wall, Words,
};

/// When an attempt ends whose far side hangs: ample for everything before that, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(2);
/// When any other attempt ends: a test fails rather than hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A wall time that many minutes after some evening.
fn at(minutes: i64) -> Wall {
    Wall::from_unix_nanos((1_795_330_200 + minutes * 60) * 1_000_000_000)
}

/// A line about a device of this name, which is its group and its note, too.
fn line(number: u64, name: &str, kind: LineKind) -> Line {
    let mut outage = Outage::open(OutageId::new(number), name.into(), Some(at(0)), at(1));
    if kind != LineKind::Opened {
        outage.closed = Some(at(28));
    }
    let mut subject = Subject::new(name, "192.0.2.1");
    (subject.group, subject.note, subject.customers) = (Some(name.into()), Some(name.into()), Some(480));
    let mut line = Line::new(LineId::new(number), kind, subject, outage, at(1));
    line.behind = Behind::new(2, 12);
    line
}

/// The notification of these lines, in the words that netwatch itself finds.
fn told(lines: Vec<Line>) -> Notification {
    let words = Words::new(Locale::Es, Some("America/Asuncion"), None).unwrap();
    let content = words.render(&Draft::new(MailId::new(17), "noc", lines.clone(), at(2)));
    with_words(lines, content)
}

/// The notification of these lines in these words.
fn with_words(lines: Vec<Line>, content: Content) -> Notification {
    let mut notification = Notification::new(MailId::new(17), "<17.1.noc@netwatch>", at(2), content);
    notification.notifier = "noc".into();
    notification.lines = lines.into();
    notification
}

fn hello() -> Notification {
    told(vec![line(7, "agg-3", LineKind::Opened)])
}

/// A notification and its copy after a restart, by which time the outage was over and its device had another name.
fn copies() -> [Notification; 2] {
    let first = hello();
    let mut second = first.clone();
    let mut line = second.lines[0].clone();
    (line.outage.closed, line.outage.removed, line.outage.target) = (Some(at(40)), true, "agg-4".into());
    second.lines = vec![line].into();
    [first, second]
}

/// One attempt, which must end by itself.
async fn attempt(notifier: &dyn Notifier, notification: &Notification) -> Result<Receipt, DeliveryError> {
    tokio::time::timeout(PATIENCE, notifier.deliver(notification)).await.expect("the attempt ends by itself")
}

/// What several tasks write and a test reads.
type Shared<T> = Arc<std::sync::Mutex<T>>;
