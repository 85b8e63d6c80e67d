//! The mail servers of a world: what becomes of an attempt to deliver.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::chance::exponential;
use super::fate::{Fate, Misconduct};
use crate::model::{DeliveryError, Mono, Notification, Receipt};

/// What a mail server does with an attempt.
#[derive(Debug)]
pub(super) struct Reaction {
    /// Who has the mail from then on.
    pub(super) takes: Vec<Arc<str>>,
    /// When they have it.
    pub(super) taken_at: Mono,
    /// What is said in the end.
    pub(super) answer: Result<Receipt, DeliveryError>,
    /// When it is said.
    pub(super) answered_at: Mono,
}

/// The mail servers, one for each notifier.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// Mails that some server has without having said so.
    swallowed: HashSet<Arc<str>>,
}

impl Servers {
    /// What becomes of this attempt of the notifier of this number.
    pub(super) fn react(
        &mut self,
        rng: &mut Rng,
        fate: &Fate,
        number: usize,
        now: Mono,
        mail: &Notification,
    ) -> Reaction {
        let delay = exponential(rng, Duration::from_secs(2)).min(Duration::from_secs(20));
        let answered_at = now.plus(delay);
        let mut reaction = Reaction {
            takes: mail.recipients.clone(),
            taken_at: now.plus(delay.mul_f64(rng.f64())),
            answer: Ok(Receipt::accepted(&mail.recipients)),
            answered_at,
        };
        if fate.unplugged.contains(now) || fate.severed.contains(now) {
            reaction.refuse(DeliveryError::before_content("connect to mail server: no route to host"));
            return reaction;
        }
        let mut misconduct = None;
        if let Some(spans) = fate.mail.get(number) {
            misconduct = spans.iter().find(|(span, _)| span.contains(now)).map(|(_, misconduct)| *misconduct);
        }
        if misconduct == Some(Misconduct::Mixed) {
            let kinds = [
                Some(Misconduct::Refuses),
                Some(Misconduct::Defers),
                Some(Misconduct::Rejects),
                Some(Misconduct::Partial),
                Some(Misconduct::Hangs),
                Some(Misconduct::Swallows),
                None,
            ];
            misconduct = kinds[rng.usize(0..kinds.len())];
        }
        let has_it = self.swallowed.contains(&mail.message_id);
        match misconduct {
            // A server that has a mail does not refuse it for good.
            None | Some(Misconduct::Mixed) => {}
            Some(Misconduct::Rejects | Misconduct::Partial) if has_it => {}
            Some(Misconduct::Refuses) => reaction.refuse(DeliveryError::before_content("connection refused")),
            Some(Misconduct::Defers) => reaction.refuse(DeliveryError::before_content("451 greylisted")),
            Some(Misconduct::Rejects) => reaction.refuse(DeliveryError::permanent("554 no")),
            Some(Misconduct::Partial) => reaction.part(rng, mail),
            Some(Misconduct::Hangs) => {
                reaction.answered_at = now.plus(Duration::from_secs(60));
                reaction.refuse(DeliveryError::uncertain("no answer within 60 s"));
            }
            Some(Misconduct::Swallows) => {
                self.swallowed.insert(mail.message_id.clone());
                reaction.answer = Err(DeliveryError::uncertain("the connection broke after the final dot"));
            }
        }
        reaction
    }
}

impl Reaction {
    fn refuse(&mut self, error: DeliveryError) {
        self.takes.clear();
        self.answer = Err(error);
    }

    /// Each recipient has a fate of his own.
    fn part(&mut self, rng: &mut Rng, mail: &Notification) {
        let mut receipt = Receipt::default();
        for to in &mail.recipients {
            match rng.u8(0..4) {
                0 => receipt.deferred.push((to.clone(), "452 mailbox full".into())),
                1 => receipt.refused.push((to.clone(), "550 no such user".into())),
                _ => receipt.accepted.push(to.clone()),
            }
        }
        if receipt.accepted.is_empty() {
            let mut error = DeliveryError::before_content("no recipient was accepted");
            error.refused = receipt.refused;
            self.refuse(error);
            return;
        }
        self.takes.clone_from(&receipt.accepted);
        self.answer = Ok(receipt);
    }
}
