//! Carries out the outbox: words for a draft, and one bounded attempt for a mail. When to try again is decided
//! elsewhere.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::vitals::Vitals;
use crate::model::{Content, DeliveryError, Draft, MailId, Notification, Receipt};
use crate::notify::Notifier;
use crate::render::Render;

/// More lines than this are rendered beside the driver, not in it.
const RENDER_HERE: usize = 100;
/// A rendering beside the driver that takes longer than this is stuck.
const RENDER_LIMIT: Duration = Duration::from_secs(30);
/// What is said when the words are makeshift.
const MAKESHIFT: &str = "the words of a mail could not be found (the renderer panicked); it leaves with bare facts";

/// Something that was begun has ended.
pub(super) enum Done {
    /// The words of a mail; makeshift ones if the renderer failed.
    Composed {
        /// Which mail.
        mail: MailId,
        /// Its words.
        content: Content,
        /// What somebody should put right about them.
        remarks: Vec<String>,
    },
    /// An attempt.
    Delivered {
        /// Which mail.
        mail: MailId,
        /// What became of it.
        result: Result<Receipt, DeliveryError>,
        /// What somebody should put right although it was accepted.
        remark: Option<String>,
    },
}

/// Attempts and renderings under way. Dropping this abandons them.
pub(super) struct Deliveries {
    notifiers: Vec<(Arc<str>, Arc<dyn Notifier>)>,
    render: Arc<dyn Render>,
    limit: Duration,
    tasks: JoinSet<Done>,
    closed: bool,
    vitals: Arc<Vitals>,
}

impl Deliveries {
    /// Nothing under way. An attempt ends after `limit`, whatever the notifier does.
    pub(super) fn new(
        notifiers: Vec<(Arc<str>, Arc<dyn Notifier>)>,
        render: Arc<dyn Render>,
        limit: Duration,
        vitals: Arc<Vitals>,
    ) -> Deliveries {
        Deliveries { notifiers, render, limit, tasks: JoinSet::new(), closed: false, vitals }
    }

    /// Other notifiers, and another renderer if there is one, from now on. What is under way goes on.
    pub(super) fn replace(&mut self, notifiers: Vec<(Arc<str>, Arc<dyn Notifier>)>, render: Option<Arc<dyn Render>>) {
        self.notifiers = notifiers;
        if let Some(render) = render {
            self.render = render;
        }
    }

    /// Finds the words of a draft: at once if it is short.
    pub(super) fn compose(&mut self, draft: Draft) -> Option<Done> {
        if self.closed {
            return None;
        }
        if draft.lines.len() <= RENDER_HERE && !self.render.may_take_long() {
            return Some(words(&*self.render, &draft));
        }
        let render = self.render.clone();
        let under_way = self.vitals.begin(RENDER_LIMIT);
        self.tasks.spawn_blocking(move || {
            let _under_way = under_way;
            words(&*render, &draft)
        });
        None
    }

    /// Begins an attempt.
    pub(super) fn deliver(&mut self, notification: Notification) {
        if self.closed {
            return;
        }
        let found = self.notifiers.iter().find(|(name, _)| *name == notification.notifier);
        let notifier = found.map(|(_, notifier)| notifier.clone());
        let (limit, vitals) = (self.limit, Arc::clone(&self.vitals));
        let under_way = vitals.begin(limit);
        self.tasks.spawn(async move {
            let _under_way = under_way;
            let (mail, name) = (notification.id, notification.notifier.clone());
            let result = match notifier {
                Some(notifier) => attempt(notifier, notification, limit, &vitals).await,
                None => Err(DeliveryError::before_content(format!(
                    "no notifier {:?} in this configuration; the mail waits until there is one again",
                    notification.notifier
                ))),
            };
            let remark = result.as_ref().ok().and_then(|receipt| receipt.remark.as_ref());
            let remark = remark.map(|remark| format!("{name}: {remark}"));
            Done::Delivered { mail, result, remark }
        });
    }

    /// What has ended next; waits for ever if nothing is under way.
    pub(super) async fn done(&mut self) -> Done {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(done)) => return done,
                Some(Err(_cancelled)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Drops what is under way, and begins nothing more.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.tasks.abort_all();
    }
}

/// One attempt, in a task of its own: neither a panic nor a call that never comes back gets past this.
async fn attempt(
    notifier: Arc<dyn Notifier>,
    notification: Notification,
    limit: Duration,
    vitals: &Arc<Vitals>,
) -> Result<Receipt, DeliveryError> {
    let name = notification.notifier.clone();
    let mut alone = JoinSet::new();
    // A notifier that holds its thread goes on beyond the limit, and is under way for as long.
    let under_way = vitals.begin(limit);
    alone.spawn(async move {
        let _under_way = under_way;
        notifier.deliver(&notification).await
    });
    match timeout(limit, alone.join_next()).await {
        Ok(Some(Ok(result))) => result,
        Ok(_) => Err(DeliveryError::uncertain(format!("the notifier {name:?} panicked; this is a defect in it"))),
        Err(_elapsed) => {
            Err(DeliveryError::uncertain(format!("the notifier {name:?} gave no answer within {} s", limit.as_secs())))
        }
    }
}

fn words(render: &dyn Render, draft: &Draft) -> Done {
    let found = catch_unwind(AssertUnwindSafe(|| (render.render(draft), render.remarks())));
    let (content, remarks) = found.unwrap_or_else(|_panic| (makeshift(draft), vec![MAKESHIFT.to_owned()]));
    Done::Composed { mail: draft.id, content, remarks }
}

/// The bare facts. A renderer that fails must not keep the mail from its readers.
fn makeshift(draft: &Draft) -> Content {
    let facts: Vec<String> = draft
        .lines
        .iter()
        .take(RENDER_HERE)
        .map(|line| format!("{}: {}", line.kind.code(), line.subject.name))
        .collect();
    let subject = match (facts.as_slice(), draft.lines.len().saturating_sub(1)) {
        ([], _) => "netwatch".to_string(),
        ([first, ..], 0) => first.clone(),
        ([first, ..], others) => format!("{first} (+{others})"),
    };
    Content::new(subject.replace(['\r', '\n'], " "), facts.join("\n"), "")
}

#[cfg(test)]
mod tests {
    use super::super::tests::MockMailer;
    use super::*;
    use crate::model::{Line, LineId, LineKind, Outage, OutageId, Stage, Subject, Wall};
    use async_trait::async_trait;

    struct Never;

    #[async_trait]
    impl Notifier for Never {
        async fn deliver(&self, _notification: &Notification) -> Result<Receipt, DeliveryError> {
            std::future::pending().await
        }
    }

    struct Broken;

    impl Render for Broken {
        fn render(&self, _draft: &Draft) -> Content {
            panic!("a defect in the renderer")
        }
    }

    fn deliveries(notifier: Arc<dyn Notifier>) -> Deliveries {
        Deliveries::new(vec![("noc".into(), notifier)], Arc::new(Broken), Duration::from_secs(60), Arc::default())
    }

    async fn attempt_by(notifier: Arc<dyn Notifier>, name: &str) -> DeliveryError {
        let mut deliveries = deliveries(notifier);
        let mut notification = Notification::new(MailId::new(1), "<1@x>", Wall::default(), Content::default());
        notification.notifier = name.into();
        deliveries.deliver(notification);
        match deliveries.done().await {
            Done::Delivered { result, .. } => result.unwrap_err(),
            Done::Composed { .. } => panic!("nothing was to be composed"),
        }
    }

    fn draft(lines: u64) -> Draft {
        let line = |n| {
            let outage = Outage::open(OutageId::new(n), "olt".into(), None, Wall::default());
            Line::new(LineId::new(n), LineKind::Opened, Subject::new(format!("olt-{n}"), ""), outage, Wall::default())
        };
        Draft::new(MailId::new(9), "noc", (0..lines).map(line).collect(), Wall::default())
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_without_an_answer_ends_and_may_have_arrived() {
        let begun = tokio::time::Instant::now();
        let error = attempt_by(Arc::new(Never), "noc").await;
        assert_eq!((error.stage, error.permanent), (Stage::Uncertain, false));
        assert_eq!(begun.elapsed().as_secs(), 60);
    }

    #[tokio::test]
    async fn a_notifier_that_panics_has_failed_and_may_have_sent() {
        let mut mailer = MockMailer::new();
        mailer.expect_deliver().returning(|_| panic!("a defect in the notifier"));
        let error = attempt_by(Arc::new(mailer), "noc").await;
        assert!(error.stage == Stage::Uncertain && error.message.contains("panicked"), "{error}");
    }

    #[tokio::test]
    async fn a_mail_for_a_notifier_that_is_gone_was_certainly_not_sent() {
        assert_eq!(attempt_by(Arc::new(Never), "gone").await.stage, Stage::BeforeContent);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mail_under_way_to_a_notifier_that_is_gone_may_still_arrive() {
        let mut mailer = MockMailer::new();
        mailer.expect_deliver().times(1).returning(|mail| Ok(Receipt::accepted(&mail.recipients)));
        let mut deliveries = deliveries(Arc::new(mailer));
        let mut notification = Notification::new(MailId::new(1), "<1@x>", Wall::default(), Content::default());
        notification.notifier = "noc".into();
        deliveries.deliver(notification);
        deliveries.replace(Vec::new(), None);
        assert!(matches!(deliveries.done().await, Done::Delivered { result: Ok(_), .. }));
    }

    #[tokio::test]
    async fn a_renderer_that_fails_leaves_the_bare_facts() {
        let mut deliveries = deliveries(Arc::new(Never));
        let Some(Done::Composed { content, remarks, .. }) = deliveries.compose(draft(2)) else {
            panic!("a short draft is composed at once")
        };
        assert_eq!(remarks, [MAKESHIFT]);
        assert_eq!(content.subject, "opened: olt-0 (+1)");
        assert_eq!(content.text, "opened: olt-0\nopened: olt-1");
        assert!(deliveries.compose(draft(101)).is_none(), "a long one takes its time elsewhere");
        assert!(matches!(deliveries.done().await, Done::Composed { remarks, .. } if remarks == [MAKESHIFT]));
    }

    #[tokio::test]
    async fn what_takes_long_is_rendered_beside_the_driver_and_its_remarks_are_kept() {
        struct Slow;

        impl Render for Slow {
            fn render(&self, _draft: &Draft) -> Content {
                Content::new("slow", "", "")
            }

            fn remarks(&self) -> Vec<String> {
                vec!["the template is broken".to_owned()]
            }

            fn may_take_long(&self) -> bool {
                true
            }
        }

        let mut deliveries = deliveries(Arc::new(Never));
        deliveries.replace(Vec::new(), Some(Arc::new(Slow)));
        assert!(deliveries.compose(draft(1)).is_none());
        let Done::Composed { content, remarks, .. } = deliveries.done().await else { panic!("nothing was delivered") };
        assert_eq!((content.subject.as_str(), remarks), ("slow", vec!["the template is broken".to_owned()]));
    }

    #[tokio::test]
    async fn after_the_end_nothing_is_begun() {
        let mut deliveries = deliveries(Arc::new(Never));
        deliveries.close();
        assert!(deliveries.compose(draft(1)).is_none());
        deliveries.deliver(Notification::new(MailId::new(1), "<1@x>", Wall::default(), Content::default()));
        assert!(deliveries.is_idle());
    }
}
