//! What a notifier is owed, and when it may speak: group wait, group interval and budget.
//!
//! A mail leaves as soon as one line may leave, and carries everything owed at that moment. So what the budget holds
//! back waits for the next mail or for its own time, whichever comes first; it is never dropped.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Budget, Line, LineId, LineKind, Mono, NotifierPolicy, Now, Outage, OutageId, Saved, Told, Wall};

/// A device that was told of as back and is down again is told of within this time, whatever its budget.
const TOLD_AGAIN_WITHIN: Duration = Duration::from_secs(600);

/// What one notifier is owed and was told.
#[derive(Debug)]
pub(super) struct Desk {
    policy: NotifierPolicy,
    owed: BTreeMap<LineId, Owed>,
    /// The owed line that brings an outage, and the one that tells its end.
    openings: HashMap<OutageId, LineId>,
    endings: HashMap<OutageId, LineId>,
    told: HashMap<Arc<str>, Memory>,
    last_sent: Option<(Mono, Wall)>,
    /// When the next line may leave; kept beside the lines because it is asked for far more often than it changes.
    release: Option<Mono>,
}

#[derive(Debug)]
struct Owed {
    line: Line,
    since: Mono,
}

#[derive(Debug)]
struct Memory {
    told: Told,
    at: Mono,
}

/// What a change to the desk asks of the journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Put(Line),
    Drop(LineId),
}

impl Desk {
    pub(super) fn new(policy: NotifierPolicy) -> Desk {
        let (owed, told) = (BTreeMap::new(), HashMap::new());
        let (openings, endings) = (HashMap::new(), HashMap::new());
        Desk { policy, owed, openings, endings, told, last_sent: None, release: None }
    }

    /// Takes back what the last run knew of this notifier; what it was owed comes by [`put_back`](Desk::put_back).
    pub(super) fn restore(&mut self, now: Now, saved: &Saved) {
        let name = &self.policy.name;
        self.last_sent = saved.notifiers.get(name).and_then(|notifier| {
            let sent = notifier.last_sent?.min(now.wall);
            Some((now.mono_at(sent), sent))
        });
        for told in saved.told.values().filter(|told| told.notifier == *name) {
            let at = now.mono_at(told.at.min(now.wall));
            self.told.insert(told.target.clone(), Memory { told: told.clone(), at });
        }
    }

    /// Whether this notifier was told of the outage, or is owed it.
    pub(super) fn knows(&self, outage: &Outage) -> bool {
        let told = self.told.get(&outage.target).is_some_and(|memory| memory.told.outage == outage.id);
        told || self.openings.contains_key(&outage.id)
    }

    pub(super) fn policy(&self) -> &NotifierPolicy {
        &self.policy
    }

    pub(super) fn waiting(&self) -> usize {
        self.owed.len()
    }

    pub(super) fn last_sent(&self) -> Option<Wall> {
        self.last_sent.map(|(_, wall)| wall)
    }

    /// When a mail may leave; `None` if nothing is owed.
    pub(super) fn release(&self) -> Option<Mono> {
        self.release
    }

    /// The line is owed from now on.
    pub(super) fn owe(&mut self, now: Now, line: Line) -> Entry {
        let owed = Owed { line: line.clone(), since: now.mono };
        let release = self.release_of(&owed);
        self.release = Some(self.release.map_or(release, |earliest| earliest.min(release)));
        self.insert(owed);
        Entry::Put(line)
    }

    /// The outage has closed. `line` makes the line that would tell of it.
    ///
    /// One that was never told becomes a single line with both facts; one that was told is owed its end.
    pub(super) fn close(
        &mut self,
        now: Now,
        outage: &Outage,
        told: bool,
        line: impl FnOnce() -> Line,
    ) -> Option<Entry> {
        let waiting = self.openings.get(&outage.id).and_then(|id| self.owed.get_mut(id));
        if let Some(owed) = waiting {
            owed.line.kind = LineKind::Missed;
            owed.line.outage = outage.clone();
            return Some(Entry::Put(owed.line.clone()));
        }
        let told = told || self.told.get(&outage.target).is_some_and(|memory| memory.told.outage == outage.id);
        (told && self.policy.recovery).then(|| self.owe(now, line()))
    }

    /// Everything owed leaves the desk, oldest first.
    pub(super) fn take_all(&mut self) -> Vec<Line> {
        self.release = None;
        self.openings.clear();
        self.endings.clear();
        std::mem::take(&mut self.owed).into_values().map(|owed| owed.line).collect()
    }

    /// Lines come back: from a mail that certainly did not leave, or from the last run. An outage that has closed
    /// meanwhile becomes one line.
    pub(super) fn put_back(&mut self, now: Now, lines: Vec<Line>) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(lines.len());
        for mut line in lines {
            if line.kind == LineKind::Opened && line.outage.closed.is_some() {
                line.kind = LineKind::Missed;
                if let Some(id) = self.endings.remove(&line.outage.id) {
                    self.owed.remove(&id);
                    entries.push(Entry::Drop(id));
                }
            }
            let since = now.mono_at(line.owed_at.min(now.wall));
            entries.push(Entry::Put(line.clone()));
            self.insert(Owed { line, since });
        }
        self.reckon();
        entries
    }

    /// The server has taken a mail with these lines. Returns what is now known to be told.
    pub(super) fn accepted(&mut self, now: Now, lines: &[Line], message_id: &Arc<str>) -> Vec<Told> {
        self.last_sent = Some((now.mono, now.wall));
        let mut changed = Vec::new();
        for line in lines {
            let target = &line.outage.target;
            let told = if line.kind.brings_outage() {
                let ended = line.kind == LineKind::Missed;
                Told::new(self.policy.name.clone(), target.clone(), line.outage.id, message_id.clone(), now.wall, ended)
            } else {
                match self.told.get_mut(target).filter(|memory| memory.told.outage == line.outage.id) {
                    Some(memory) => {
                        memory.told.ended = true;
                        changed.push(memory.told.clone());
                        continue;
                    }
                    None => continue,
                }
            };
            changed.push(told.clone());
            self.told.insert(target.clone(), Memory { told, at: now.mono });
        }
        self.reckon();
        changed
    }

    /// The mail that told of this outage.
    pub(super) fn thread(&self, target: &str, outage: OutageId) -> Option<&Arc<str>> {
        let told = &self.told.get(target)?.told;
        (told.outage == outage).then_some(&told.message_id)
    }

    fn insert(&mut self, owed: Owed) {
        let (id, outage) = (owed.line.id, owed.line.outage.id);
        let index = if owed.line.kind.brings_outage() { &mut self.openings } else { &mut self.endings };
        index.insert(outage, id);
        self.owed.insert(id, owed);
    }

    fn reckon(&mut self) {
        self.release = self.owed.values().map(|owed| self.release_of(owed)).min();
    }

    fn release_of(&self, owed: &Owed) -> Mono {
        let policy = &self.policy;
        let mut release = owed.since.plus(policy.group_wait);
        if let Some((sent, _)) = self.last_sent {
            release = release.max(sent.plus(policy.group_interval));
            if policy.budget == Budget::All {
                release = release.max(sent.plus(policy.min_interval));
            }
        }
        if policy.budget == Budget::Target
            && owed.line.kind.brings_outage()
            && let Some(memory) = self.told.get(&owed.line.outage.target)
            && memory.told.outage != owed.line.outage.id
        {
            let mut budget = memory.at.plus(policy.min_interval);
            if memory.told.ended {
                budget = budget.min(owed.since.plus(TOLD_AGAIN_WITHIN));
            }
            release = release.max(budget);
        }
        release
    }
}
