//! A notifier's mails under way: drafted, written, committed, attempted, tried again.
//!
//! A mail is drafted anew at each attempt, from everything owed at that moment, until its content may have reached the
//! server; from then on it is frozen, and every further copy has the same bytes and the same Message-ID (RFC 5322,
//! 3.6.4), because a server may take a mail whose answer never arrives (RFC 1047). It is committed before the attempt
//! begins, so that a crash in the middle finds it again.
//!
//! Attempts follow each other after 30 s, doubling to 5 min, with jitter, without end; later if the far side asks for it, and
//! at once when netwatch was cut off and is not any more.

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use crate::model::{
    Change, Content, Line, MailId, Mono, Notification, NotifierPolicy, Now, Outage, OutageId, SavedMail, StandingKind,
    Wall,
};

/// The longest that a far side can put off the next attempt by asking for it.
const LONGEST_PUT_OFF: Duration = Duration::from_secs(3600);

/// The mails of one notifier.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    mails: Vec<Mail>,
    /// No attempt begins before this.
    not_before: Mono,
    /// The far side said when it wants to be asked again.
    is_put_off: bool,
    failures: u32,
    pub(super) failing_since: Option<Wall>,
    pub(super) error: Option<String>,
}

/// A mail that has left the desk.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) id: MailId,
    pub(super) message_id: Arc<str>,
    pub(super) in_reply_to: Option<Arc<str>>,
    pub(super) date: Wall,
    pub(super) recipients: Vec<Arc<str>>,
    lines: Vec<Line>,
    /// Why it says how everything stands, if it does.
    pub(super) standing: Option<StandingKind>,
    places: HashMap<OutageId, usize>,
    /// Lines that have changed since the journal saw them.
    changed: Vec<usize>,
    content: Option<Arc<Content>>,
    stage: MailStage,
    /// The server may have it: no other content may bear its lines.
    pub(super) frozen: bool,
    /// At least one recipient has it: its lines are told.
    pub(super) told: bool,
    /// Attempts for the recipients that do not have it yet.
    pub(super) attempts: u32,
    /// How often it was refused for good, although the server may have it.
    pub(super) refusals: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MailStage {
    /// Words are being found.
    Composing,
    /// Written; it may leave once the commit of this number has taken effect.
    Committing(u64),
    /// May leave at this time.
    Waiting(Mono),
    /// An attempt is under way.
    Attempting,
}

impl Outbox {
    /// A mail that the last run left is tried at once, as it was, for these of its recipients.
    pub(super) fn restore(&mut self, now: Now, mail: &SavedMail, recipients: Vec<Arc<str>>) {
        let mut restored = Mail::new(mail.id, mail.message_id.clone(), mail.date, recipients, mail.lines.clone());
        restored.in_reply_to = mail.in_reply_to.clone();
        restored.content = Some(mail.content.clone());
        restored.stage = MailStage::Waiting(now.mono);
        (restored.frozen, restored.told) = (true, mail.told);
        self.mails.push(restored);
    }

    /// Whether a new mail may be drafted: none is under way that nobody has yet, and the last attempt is long enough ago.
    pub(super) fn may_draft(&self, now: Now) -> bool {
        now.mono >= self.not_before && self.mails.iter().all(|mail| mail.told && mail.stage != MailStage::Attempting)
    }

    /// Whether no mail is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.mails.is_empty()
    }

    pub(super) fn draft(&mut self, mail: Mail) {
        self.mails.push(mail);
    }

    pub(super) fn find(&self, id: MailId) -> Option<&Mail> {
        self.mails.iter().find(|mail| mail.id == id)
    }

    pub(super) fn mails_mut(&mut self) -> impl Iterator<Item = &mut Mail> {
        self.mails.iter_mut()
    }

    /// The lines of mails that nobody has yet.
    pub(super) fn untold_lines(&self) -> impl Iterator<Item = &Line> {
        self.mails.iter().filter(|mail| !mail.told).flat_map(|mail| &mail.lines)
    }

    /// The line of a mail that nobody has yet that brings this outage.
    pub(super) fn untold_line(&self, outage: OutageId) -> Option<&Line> {
        let mail = self.mails.iter().find(|mail| !mail.told && mail.tells(outage))?;
        mail.lines.iter().find(|line| line.outage.id == outage && line.kind.brings_outage())
    }

    /// Whether a mail under way tells of this outage.
    pub(super) fn tells(&self, outage: OutageId) -> bool {
        self.mails.iter().any(|mail| mail.tells(outage))
    }

    /// Lines that wait in mails that nobody has yet.
    pub(super) fn waiting(&self) -> usize {
        self.mails.iter().filter(|mail| !mail.told).map(|mail| mail.lines.len()).sum()
    }

    /// The words are found: the mail is to be committed. Returns the record; `None` if there is no such mail.
    pub(super) fn composed(
        &mut self,
        id: MailId,
        content: Content,
        notifier: &Arc<str>,
        seq: u64,
    ) -> Option<SavedMail> {
        let mail = self.mails.iter_mut().find(|mail| mail.id == id && mail.stage == MailStage::Composing)?;
        mail.content = Some(Arc::new(content));
        mail.stage = MailStage::Committing(seq);
        mail.record(notifier)
    }

    /// Commits up to this number have taken effect, or need not be waited for.
    pub(super) fn committed(&mut self, now: Now, seq: u64) {
        for mail in &mut self.mails {
            if matches!(mail.stage, MailStage::Committing(needed) if needed <= seq) {
                mail.stage = MailStage::Waiting(now.mono);
            }
        }
    }

    /// The next mail to attempt, if its time has come. One at a time.
    pub(super) fn attempt(&mut self, now: Now, notifier: &Arc<str>) -> Option<Notification> {
        if self.mails.iter().any(|mail| mail.stage == MailStage::Attempting) {
            return None;
        }
        let mail = self.mails.iter_mut().find(|mail| matches!(mail.stage, MailStage::Waiting(at) if at <= now.mono))?;
        let content = mail.content.clone()?;
        mail.stage = MailStage::Attempting;
        let mut notification = Notification::new(mail.id, mail.message_id.clone(), mail.date, Content::default());
        notification.notifier = notifier.clone();
        notification.in_reply_to = mail.in_reply_to.clone();
        notification.recipients = mail.recipients.clone();
        notification.content = content;
        notification.lines = mail.lines.clone().into();
        Some(notification)
    }

    /// The attempt is over and the mail leaves the outbox.
    pub(super) fn remove(&mut self, id: MailId) -> Option<Mail> {
        let at = self.mails.iter().position(|mail| mail.id == id)?;
        Some(self.mails.remove(at))
    }

    /// All mails leave the outbox.
    pub(super) fn into_mails(self) -> Vec<Mail> {
        self.mails
    }

    /// The path works.
    pub(super) fn succeeded(&mut self, now: Now) {
        self.is_put_off = false;
        self.failures = 0;
        self.not_before = now.mono;
        self.failing_since = None;
        self.error = None;
        for mail in &mut self.mails {
            if matches!(mail.stage, MailStage::Waiting(_)) {
                mail.stage = MailStage::Waiting(now.mono);
            }
        }
    }

    /// What kept the path from working may be gone: it is tried at once, unless the far side wanted to be left alone.
    pub(super) fn hasten(&mut self, now: Now) {
        if self.is_put_off {
            return;
        }
        self.not_before = self.not_before.min(now.mono);
        for mail in &mut self.mails {
            if let MailStage::Waiting(at) = &mut mail.stage {
                *at = (*at).min(now.mono);
            }
        }
    }

    /// There is nothing left to try it with, so nobody knows whether the path still fails.
    pub(super) fn forget_failure(&mut self) {
        (self.failures, self.failing_since, self.error) = (0, None, None);
    }

    /// The path failed. Returns when it is tried again.
    pub(super) fn failed(
        &mut self,
        now: Now,
        policy: &NotifierPolicy,
        seed: &[u8; 16],
        error: String,
        retry_after: Option<Duration>,
    ) -> Mono {
        self.is_put_off = retry_after.is_some();
        let retry = now.mono.plus(put_off(backoff(policy, seed, self.failures, now), retry_after));
        self.failures = self.failures.saturating_add(1);
        self.failing_since = self.failing_since.or(Some(now.wall));
        self.error = Some(error);
        self.not_before = retry;
        retry
    }

    /// The mail stays, to be tried again at this time.
    pub(super) fn keep(&mut self, mut mail: Mail, until: Mono) {
        mail.stage = MailStage::Waiting(until);
        self.mails.push(mail);
    }

    /// When [`attempt`](Outbox::attempt) or [`may_draft`](Outbox::may_draft) may change their answer by time alone.
    /// `release` is when the desk would let a mail leave.
    pub(super) fn timeout(&self, release: Option<Mono>) -> Option<Mono> {
        if self.mails.iter().any(|mail| mail.stage == MailStage::Attempting) {
            return None;
        }
        let waiting = self.mails.iter().filter_map(|mail| match mail.stage {
            MailStage::Waiting(at) => Some(at),
            _ => None,
        });
        let free = self.mails.iter().all(|mail| mail.told);
        let draft = release.filter(|_| free).map(|release| release.max(self.not_before));
        waiting.chain(draft).min()
    }
}

impl Mail {
    pub(super) fn new(
        id: MailId,
        message_id: Arc<str>,
        date: Wall,
        recipients: Vec<Arc<str>>,
        lines: Vec<Line>,
    ) -> Mail {
        let places = lines.iter().enumerate().map(|(place, line)| (line.outage.id, place)).collect();
        Mail {
            id,
            message_id,
            in_reply_to: None,
            date,
            recipients,
            lines,
            standing: None,
            places,
            changed: Vec::new(),
            content: None,
            stage: MailStage::Composing,
            frozen: false,
            told: false,
            attempts: 0,
            refusals: 0,
        }
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The mail is given up: its lines are somebody else's again.
    pub(super) fn into_lines(self) -> Vec<Line> {
        self.lines
    }

    /// Whether it tells of this outage.
    pub(super) fn tells(&self, outage: OutageId) -> bool {
        self.places.contains_key(&outage)
    }

    /// A device has a new name.
    pub(super) fn rename(&mut self, from: &Arc<str>, to: &Arc<str>) {
        for (place, line) in self.lines.iter_mut().enumerate().filter(|(_, line)| line.outage.target == *from) {
            line.outage.target = to.clone();
            self.changed.push(place);
        }
    }

    /// Notes that an outage has closed; `false` if the mail does not tell of it.
    pub(super) fn close(&mut self, outage: &Outage) -> bool {
        let Some(&place) = self.places.get(&outage.id) else { return false };
        if let Some(line) = self.lines.get_mut(place) {
            line.outage = outage.clone();
            self.changed.push(place);
        }
        true
    }

    /// What the journal must learn of lines that changed.
    pub(super) fn take_changes(&mut self, notifier: &Arc<str>) -> Vec<Change> {
        if self.changed.is_empty() {
            return Vec::new();
        }
        let changed = std::mem::take(&mut self.changed);
        match self.record(notifier) {
            Some(record) => vec![Change::PutMail(record)],
            None => {
                let lines = changed.into_iter().filter_map(|place| self.lines.get(place).cloned());
                lines.map(|line| Change::PutLine(notifier.clone(), line)).collect()
            }
        }
    }

    /// What the journal keeps of it; `None` before it has words.
    pub(super) fn record(&self, notifier: &Arc<str>) -> Option<SavedMail> {
        let content = self.content.clone()?;
        let (message_id, lines) = (self.message_id.clone(), self.lines.clone());
        let mut saved = SavedMail::new(self.id, notifier.clone(), message_id, self.date, content, lines);
        saved.in_reply_to = self.in_reply_to.clone();
        saved.recipients = self.recipients.clone();
        saved.told = self.told;
        Some(saved)
    }

    /// Its subject, once it has words.
    pub(super) fn subject(&self) -> String {
        self.content.as_ref().map(|content| content.subject.clone()).unwrap_or_default()
    }
}

/// How long to wait after that many failures before this one: doubling, and up to a tenth less, so that many notifiers
/// of one dead server do not knock together.
pub(super) fn backoff(policy: &NotifierPolicy, seed: &[u8; 16], failures: u32, now: Now) -> Duration {
    let doubled = policy.retry_first.saturating_mul(1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX));
    let wait = doubled.min(policy.retry_max);
    let mut hasher = SipHasher24::new_with_key(seed);
    hasher.write(policy.name.as_bytes());
    hasher.write_u64(now.mono.as_nanos());
    let share = u32::try_from(hasher.finish() % 1000).unwrap_or(0);
    wait - wait / 10 * share / 1000
}

/// What the far side asked for, within reason, where that is longer than the backoff.
pub(super) fn put_off(backoff: Duration, asked: Option<Duration>) -> Duration {
    backoff.max(asked.unwrap_or_default().min(LONGEST_PUT_OFF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_side_can_lengthen_the_wait_to_an_hour_and_never_shorten_it() {
        let policy = NotifierPolicy::new("noc");
        let now = Now::new(Mono::ZERO, Wall::from_unix_nanos(1_700_000_000_000_000_000));
        let wait = |asked: Option<u64>| {
            let mut outbox = Outbox::default();
            let asked = asked.map(Duration::from_secs);
            let retry = outbox.failed(now, &policy, &[7; 16], "429".to_owned(), asked);
            assert!(!outbox.may_draft(Now::new(retry.minus(Duration::from_millis(1)), now.wall)));
            assert!(outbox.may_draft(Now::new(retry, now.wall)));
            retry.since(now.mono)
        };
        let usual = wait(None);
        assert!(usual >= Duration::from_secs(27) && usual <= Duration::from_secs(30), "{usual:?}");
        assert_eq!(wait(Some(0)), usual);
        assert_eq!(wait(Some(1)), usual);
        assert_eq!(wait(Some(120)), Duration::from_secs(120));
        assert_eq!(wait(Some(u64::MAX)), Duration::from_secs(3600));
    }
}
