//! Every silence has a reason: each decision about a mail is written down with it, also why one was not sent.

use std::sync::Arc;

use super::monitor::Monitor;
use crate::model::{Decision, Event, LedgerEntry, Now, Outage, OutageId, TargetId};

impl Monitor {
    /// A decision about the outage of a device, for everybody.
    pub(super) fn note(&mut self, now: Now, id: TargetId, decision: Decision) {
        let outage = self.targets.get(id.index()).and_then(|state| state.outage()).map(|outage| outage.id);
        let name = self.name_of(id);
        self.tell(Event::Ledger(LedgerEntry::new(now.wall, name, outage, decision)));
    }

    /// A decision about an outage that is open no more.
    pub(super) fn note_outage(&mut self, now: Now, outage: &Outage, decision: Decision) {
        self.tell(Event::Ledger(LedgerEntry::new(now.wall, outage.target.clone(), Some(outage.id), decision)));
    }

    /// A decision about netwatch itself.
    pub(super) fn note_all(&mut self, now: Now, decision: Decision) {
        self.tell(Event::Ledger(LedgerEntry::new(now.wall, "".into(), None, decision)));
    }

    /// A decision about an outage, for one notifier.
    pub(super) fn note_for(&mut self, now: Now, teller: usize, id: TargetId, outage: &Outage, decision: Decision) {
        let Some(notifier) = self.tellers.get(teller).map(|teller| teller.desk.policy.name.clone()) else { return };
        let name = self.name_of(id);
        self.note_line(now, &name, outage.id, &notifier, decision);
    }

    /// A decision about a line.
    pub(super) fn note_line(
        &mut self,
        now: Now,
        target: &Arc<str>,
        outage: OutageId,
        notifier: &Arc<str>,
        decision: Decision,
    ) {
        let entry = LedgerEntry::new(now.wall, target.clone(), Some(outage), decision);
        self.tell(Event::Ledger(entry.for_notifier(notifier.clone())));
    }
}
