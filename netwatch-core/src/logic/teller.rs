//! One notifier's desk and outbox together: what leaves as a mail, and what follows from the end of an attempt.

use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::journaling::Journaling;
use super::monitor::MonitorOptions;
use super::outbox::{Mail, Outbox, backoff, put_off};
use super::owing::put;
use super::telling::Desk;
use crate::model::{
    Change, Decision, Delivery, DeliveryError, DeliveryOutcome, Draft, Event, LedgerEntry, Line, LineKind, MailId,
    Mono, NotifierPolicy, Now, Receipt, SavedNotifier, Stage, StandingKind,
};

/// A server that may have a mail and then refuses it this often (about an hour) does not have it: its lines are told in
/// a new one.
const REFUSALS_BELIEVED: u32 = 12;

/// A notifier's desk and outbox, and what was last said of them.
#[derive(Debug)]
pub(super) struct Teller {
    pub(super) desk: Desk,
    pub(super) outbox: Outbox,
    said: Option<Event>,
}

impl Teller {
    pub(super) fn new(policy: NotifierPolicy, now: Now) -> Teller {
        Teller { desk: Desk::new(policy, now), outbox: Outbox::default(), said: None }
    }

    /// These lines become one mail.
    pub(super) fn draft(
        &mut self,
        now: Now,
        id: MailId,
        options: &MonitorOptions,
        lines: Vec<Line>,
        standing: Option<StandingKind>,
    ) -> Draft {
        let policy = &self.desk.policy;
        let mut hasher = SipHasher24::new_with_key(&options.seed);
        hasher.write_u64(id.number());
        hasher.write(policy.name.as_bytes());
        let (millis, hash) = (now.wall.unix_millis(), hasher.finish());
        let message_id: Arc<str> = format!("<nw.{millis}.{}.{hash:016x}@{}>", id.number(), options.domain).into();
        let mut draft = Draft::new(id, policy.name.clone(), lines.clone(), now.wall);
        draft.late_since = self.outbox.failing_since;
        let mut mail = Mail::new(id, message_id, now.wall, policy.recipients.clone(), lines);
        mail.standing = standing;
        if mail.lines().iter().all(|line| line.kind != LineKind::Opened) {
            let ended = mail.lines().iter().find(|line| line.kind == LineKind::Closed);
            mail.in_reply_to = ended.and_then(|line| self.desk.thread(line).cloned());
        }
        self.outbox.draft(mail);
        draft
    }

    /// Whether it has anything to try its path with.
    pub(super) fn has_something_to_tell(&self) -> bool {
        self.desk.waiting() > 0 || self.desk.standing.is_some() || !self.outbox.is_empty()
    }

    /// When time alone lets a mail leave or be tried again.
    pub(super) fn timeout(&self) -> Option<Mono> {
        self.outbox.timeout(self.desk.release())
    }

    /// How the mail path stands, if that changed.
    pub(super) fn path(&mut self) -> Option<Event> {
        let waiting = self.desk.waiting() + self.outbox.waiting();
        if let Some(Event::MailPath { waiting: w, failing_since: f, last_sent: l, error: e, .. }) = &self.said
            && (*w, *f, *l, e) == (waiting, self.outbox.failing_since, self.desk.last_sent(), &self.outbox.error)
        {
            return None;
        }
        let event = Event::MailPath {
            notifier: self.desk.policy.name.clone(),
            waiting,
            failing_since: self.outbox.failing_since,
            last_sent: self.desk.last_sent(),
            error: self.outbox.error.clone(),
        };
        self.said = Some(event.clone());
        Some(event)
    }
}

/// What follows from the end of an attempt.
pub(super) struct Outcome<'a> {
    pub(super) now: Now,
    pub(super) seed: [u8; 16],
    pub(super) journaling: &'a mut Journaling,
    pub(super) events: Vec<Event>,
    /// Lines of which every recipient was refused for good.
    pub(super) undeliverable: Vec<Line>,
}

impl Outcome<'_> {
    pub(super) fn accepted(&mut self, teller: &mut Teller, id: MailId, receipt: Receipt) {
        let Some(mut mail) = teller.outbox.remove(id) else { return };
        let policy = teller.desk.policy.clone();
        teller.outbox.succeeded(self.now);
        self.event(&policy, &mail, receipt.accepted, DeliveryOutcome::Sent, None);
        self.refusals(&policy, &mail, receipt.refused);
        if !mail.told {
            if mail.standing.is_some() {
                teller.desk.last_standing = Some((self.now.mono, self.now.wall));
            }
            for change in teller.desk.accepted(self.now, mail.lines(), &mail.message_id) {
                self.journaling.put(change);
            }
            let mut record = SavedNotifier::new(policy.name.clone(), Some(self.now.wall));
            record.last_standing = teller.desk.last_standing.map(|(_, wall)| wall);
            self.journaling.put(Change::PutNotifier(record));
            self.note(&policy, mail.lines(), &Decision::Sent { message_id: mail.message_id.clone() });
        }
        if receipt.deferred.is_empty() {
            self.journaling.put(Change::DropMail(id));
            return;
        }
        mail.told = true;
        mail.recipients = receipt.deferred.iter().map(|(recipient, _)| recipient.clone()).collect();
        let reason = receipt.deferred.into_iter().next().map(|(_, reason)| reason);
        self.keep(teller, &policy, mail, reason, None);
    }

    pub(super) fn refused(&mut self, teller: &mut Teller, id: MailId, error: DeliveryError) {
        let policy = teller.desk.policy.clone();
        let Some(mut mail) = teller.outbox.remove(id) else { return };
        let gone = |recipient: &Arc<str>| error.refused.iter().any(|(refused, _)| refused == recipient);
        let left: Vec<Arc<str>> = mail.recipients.iter().filter(|recipient| !gone(recipient)).cloned().collect();
        let nobody_left = left.is_empty() && !mail.recipients.is_empty();
        let permanent = error.permanent || nobody_left;
        self.refusals(&policy, &mail, error.refused);
        if mail.told {
            // Others have it: the path works, it is these recipients that do not.
            mail.recipients = left;
            if permanent {
                if !nobody_left {
                    let recipients = mail.recipients.clone();
                    self.event(&policy, &mail, recipients, DeliveryOutcome::Failed, Some(error.message));
                }
                self.journaling.put(Change::DropMail(id));
            } else {
                self.keep(teller, &policy, mail, Some(error.message), error.retry_after);
            }
            return;
        }
        // Where there are no recipients, the far side is the only one.
        if nobody_left || (permanent && mail.recipients.is_empty()) {
            self.undeliverable.extend_from_slice(mail.lines());
        }
        if teller.outbox.failing_since.is_none() {
            // Of a server that stays away it is written down once; each attempt is in the mail log.
            self.note(&policy, mail.lines(), &Decision::NotAccepted { reason: error.message.clone() });
        }
        let retry = teller.outbox.failed(self.now, &policy, &self.seed, error.message.clone(), error.retry_after);
        let retry_at = self.now.wall_at(retry);
        let outcome = if permanent { DeliveryOutcome::Failed } else { DeliveryOutcome::Deferred { retry_at } };
        if !nobody_left {
            self.event(&policy, &mail, left.clone(), outcome, Some(error.message));
        }
        mail.frozen |= error.stage == Stage::Uncertain;
        mail.refusals = mail.refusals.saturating_add(u32::from(permanent));
        if mail.frozen && mail.refusals < REFUSALS_BELIEVED {
            if !nobody_left && left.len() < mail.recipients.len() {
                mail.recipients = left;
                if let Some(record) = mail.record(&policy.name) {
                    self.journaling.put(Change::PutMail(record));
                }
            }
            teller.outbox.keep(mail, retry);
            return;
        }
        self.journaling.put(Change::DropMail(id));
        teller.desk.standing = teller.desk.standing.or(mail.standing);
        for entry in teller.desk.put_back(self.now, mail.into_lines()) {
            put(self.journaling, &policy.name, entry);
        }
    }

    /// A mail that some recipients have is tried again for the others.
    fn keep(
        &mut self,
        teller: &mut Teller,
        policy: &NotifierPolicy,
        mut mail: Mail,
        reason: Option<String>,
        retry_after: Option<Duration>,
    ) {
        let retry = self.now.mono.plus(put_off(backoff(policy, &self.seed, mail.attempts, self.now), retry_after));
        let outcome = DeliveryOutcome::Deferred { retry_at: self.now.wall_at(retry) };
        self.event(policy, &mail, mail.recipients.clone(), outcome, reason);
        mail.attempts = mail.attempts.saturating_add(1);
        if let Some(record) = mail.record(&policy.name) {
            self.journaling.put(Change::PutMail(record));
        }
        teller.outbox.keep(mail, retry);
    }

    fn refusals(&mut self, policy: &NotifierPolicy, mail: &Mail, refused: Vec<(Arc<str>, String)>) {
        for (recipient, reason) in refused {
            self.event(policy, mail, vec![recipient], DeliveryOutcome::Failed, Some(reason));
        }
    }

    fn event(
        &mut self,
        policy: &NotifierPolicy,
        mail: &Mail,
        recipients: Vec<Arc<str>>,
        outcome: DeliveryOutcome,
        reason: Option<String>,
    ) {
        self.events.push(Event::Delivery(Delivery {
            at: self.now.wall,
            notifier: policy.name.clone(),
            mail: mail.id,
            message_id: mail.message_id.clone(),
            recipients,
            subject: mail.subject(),
            outcome,
            reason,
            targets: mail.lines().iter().map(|line| line.subject.name.clone()).collect(),
        }));
    }

    /// Writes down what became of these lines.
    fn note(&mut self, policy: &NotifierPolicy, lines: &[Line], decision: &Decision) {
        let entry = |line: &Line| {
            let entry =
                LedgerEntry::new(self.now.wall, line.outage.target.clone(), Some(line.outage.id), decision.clone());
            Event::Ledger(entry.for_notifier(policy.name.clone()))
        };
        self.events.extend(lines.iter().map(entry).collect::<Vec<_>>());
    }
}
