//! What a notifier is owed and what it was told.
//!
//! A mail leaves as soon as one line may leave (see `release`), and carries everything owed at that moment. What is held
//! back waits for the next mail or for its own time, whichever comes first; it is never dropped. Only what a flapping device
//! does is held until it settles, and told as one of its changes if it is over by then.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::release::Release;
use crate::model::{
    Change, Held, Hold, Line, LineId, LineKind, Mono, NotifierPolicy, Now, Outage, OutageId, Saved, StandingKind, Told,
    Topic, Wall,
};

/// A mail says of so many lines why they waited.
const HELD_TOLD: usize = 100;

/// What was told that matters no more, by notifier and what it is remembered under.
pub(super) type Forgotten = BTreeSet<(Arc<str>, Arc<str>)>;

/// What one notifier is owed and was told.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) policy: NotifierPolicy,
    pub(super) owed: BTreeMap<LineId, Owed>,
    /// The owed line that brings an outage, and the one that tells its end.
    openings: HashMap<OutageId, LineId>,
    endings: HashMap<OutageId, LineId>,
    pub(super) told: HashMap<Arc<str>, Memory>,
    /// The devices that it was told are down and not yet that they are back, with when it was told.
    pub(super) open_told: BTreeSet<(Mono, Arc<str>)>,
    /// Devices whose lines wait until they settle.
    flapping: HashSet<Arc<str>>,
    pub(super) last_sent: Option<(Mono, Wall)>,
    /// When the last mail was accepted that the budget counts.
    pub(super) last_counted: Option<Mono>,
    /// When what may be told only so often was last told, by topic.
    pub(super) rationed: BTreeMap<&'static str, Mono>,
    /// When it was last told how everything stands.
    pub(super) last_standing: Option<(Mono, Wall)>,
    /// It is to be told how everything stands.
    pub(super) standing: Option<StandingKind>,
    /// When it was last looked whether it is.
    pub(super) looked: Wall,
    /// When the next line may leave; kept beside the lines because it is asked for far more often than it changes.
    pub(super) release: Release,
}

#[derive(Debug)]
pub(super) struct Owed {
    pub(super) line: Line,
    pub(super) since: Mono,
}

#[derive(Debug)]
pub(super) struct Memory {
    pub(super) told: Told,
    pub(super) at: Mono,
}

/// What a change to the desk asks of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Put(Box<Line>),
    Drop(LineId),
}

/// What the end of an outage means for a notifier.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its beginning still waits: both are told in one line.
    Merged(Entry),
    /// Its beginning waits because the device is flapping: it is one of its changes.
    Folded(Entry),
    /// Its beginning still waits, and matters no more.
    Moot(Entry),
    /// It is owed.
    Owed(Entry),
    /// The notifier wants no recoveries.
    Unwanted,
    /// The notifier never heard of it.
    Untold,
}

impl Desk {
    pub(super) fn new(policy: NotifierPolicy, now: Now) -> Desk {
        Desk {
            policy,
            owed: BTreeMap::new(),
            openings: HashMap::new(),
            endings: HashMap::new(),
            told: HashMap::new(),
            open_told: BTreeSet::new(),
            flapping: HashSet::new(),
            last_sent: None,
            last_counted: None,
            rationed: BTreeMap::new(),
            last_standing: None,
            standing: None,
            looked: now.wall,
            release: Release::default(),
        }
    }

    /// Takes back what the last run knew of this notifier; what it was owed comes by [`put_back`](Desk::put_back).
    pub(super) fn restore(&mut self, now: Now, saved: &Saved, forgotten: &Forgotten) {
        let name = self.policy.name.clone();
        let both = |wall: Wall| {
            let wall = wall.min(now.wall);
            (now.mono_at(wall), wall)
        };
        if let Some(notifier) = saved.notifiers.get(&name) {
            self.last_sent = notifier.last_sent.map(both);
            self.last_counted = self.last_sent.map(|(mono, _)| mono);
            self.last_standing = notifier.last_standing.map(both);
            self.looked = self.last_standing.map_or(now.wall, |(_, wall)| wall);
        }
        for (_, told) in saved.told.iter().filter(|(key, _)| key.0 == name && !forgotten.contains(key)) {
            let at = now.mono_at(told.at.min(now.wall));
            self.remember(told.clone(), at);
        }
    }

    /// Whether this notifier was told of the outage, or is owed it.
    pub(super) fn knows(&self, topic: Topic, outage: &Outage) -> bool {
        self.was_told(topic, outage) || self.openings.contains_key(&outage.id)
    }

    fn was_told(&self, topic: Topic, outage: &Outage) -> bool {
        let memory = self.told.get(&topic.memory(outage));
        memory.is_some_and(|memory| memory.told.outage == outage.id)
    }

    /// Whether this notifier was told of this outage or a later one of the same device, or is owed it.
    pub(super) fn has_heard(&self, topic: Topic, outage: &Outage) -> bool {
        let memory = self.told.get(&topic.memory(outage));
        memory.is_some_and(|memory| memory.told.outage >= outage.id) || self.openings.contains_key(&outage.id)
    }

    /// The line that waits to bring this outage.
    pub(super) fn opening(&self, outage: OutageId) -> Option<&Line> {
        self.openings.get(&outage).and_then(|id| self.owed.get(id)).map(|owed| &owed.line)
    }

    pub(super) fn waiting(&self) -> usize {
        self.owed.len()
    }

    pub(super) fn last_sent(&self) -> Option<Wall> {
        self.last_sent.map(|(_, wall)| wall)
    }

    /// Whether a line waits until its device settles.
    pub(super) fn is_held(&self, line: &Line) -> bool {
        line.topic == Topic::Outage && !self.flapping.is_empty() && self.flapping.contains(&line.outage.target)
    }

    /// The line is owed from now on. Returns what keeps it.
    pub(super) fn owe(&mut self, now: Now, line: Line) -> Entry {
        self.insert(Owed { line: line.clone(), since: now.mono });
        self.admit(now, line.id);
        Entry::Put(Box::new(line))
    }

    /// The outage has closed. `line` makes the line that would tell of it.
    pub(super) fn close(
        &mut self,
        now: Now,
        (topic, outage): (Topic, &Outage),
        under_way: bool,
        line: impl FnOnce() -> Line,
    ) -> Ending {
        if let Some(id) = self.openings.get(&outage.id).copied()
            && let Some(owed) = self.owed.get_mut(&id)
        {
            let is_folded = topic == Topic::Outage && !outage.removed && self.flapping.contains(&outage.target);
            let is_moot = matches!(topic, Topic::Trouble(_));
            if is_folded || is_moot {
                self.openings.remove(&outage.id);
                self.owed.remove(&id);
                if is_moot {
                    self.reckon(now);
                    return Ending::Moot(Entry::Drop(id));
                }
                return Ending::Folded(Entry::Drop(id));
            }
            owed.line.kind = LineKind::Missed;
            owed.line.outage = outage.clone();
            return Ending::Merged(Entry::Put(Box::new(owed.line.clone())));
        }
        if !under_way && !self.was_told(topic, outage) {
            Ending::Untold
        } else if topic == Topic::Outage && !self.policy.recovery {
            Ending::Unwanted
        } else {
            Ending::Owed(self.owe(now, line()))
        }
    }

    /// The beginnings that wait on this topic need not be told any more.
    pub(super) fn withdraw(&mut self, now: Now, topic: Topic) -> Vec<Line> {
        let on_it = self.owed.values().filter(|owed| owed.line.topic == topic && owed.line.kind.brings_outage());
        let withdrawn: Vec<Line> = on_it.map(|owed| owed.line.clone()).collect();
        if withdrawn.is_empty() {
            return withdrawn;
        }
        for line in &withdrawn {
            self.owed.remove(&line.id);
            self.openings.remove(&line.outage.id);
        }
        self.reckon(now);
        withdrawn
    }

    /// What a device does waits until it settles, or does not any more.
    pub(super) fn hold(&mut self, now: Now, target: &Arc<str>, hold: bool) {
        let changed = if hold { self.flapping.insert(target.clone()) } else { self.flapping.remove(target) };
        if changed {
            self.reckon(now);
        }
    }

    /// Everything that need not wait for its device to settle leaves the desk, oldest first, with what kept some of it.
    pub(super) fn take_all(&mut self, now: Now) -> (Vec<Line>, Vec<Held>) {
        let all = std::mem::take(&mut self.owed);
        let (mut lines, mut held) = (Vec::with_capacity(all.len()), Vec::new());
        for (id, owed) in all {
            if self.is_held(&owed.line) {
                self.owed.insert(id, owed);
                continue;
            }
            if held.len() < HELD_TOLD
                && let Some((at, hold)) = self.leaves(now, &owed)
                && hold != Hold::GroupWait
                && (at > now.mono || [Hold::Budget, Hold::Hours].contains(&hold))
            {
                held.push(Held::new(owed.line.subject.name.clone(), hold, owed.line.owed_at));
            }
            self.openings.remove(&owed.line.outage.id);
            self.endings.remove(&owed.line.outage.id);
            lines.push(owed.line);
        }
        for (id, owed) in &self.owed {
            let index = if owed.line.kind.brings_outage() { &mut self.openings } else { &mut self.endings };
            index.insert(owed.line.outage.id, *id);
        }
        self.reckon(now);
        (lines, held)
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
            entries.push(Entry::Put(Box::new(line.clone())));
            self.insert(Owed { line, since });
        }
        self.reckon(now);
        entries
    }

    /// The server has taken a mail with these lines. Returns what that makes of the record.
    pub(super) fn accepted(&mut self, now: Now, lines: &[Line], message_id: &Arc<str>) -> Vec<Change> {
        self.last_sent = Some((now.mono, now.wall));
        if lines.is_empty() || lines.iter().any(|line| !line.topic.is_outside_budget()) {
            self.last_counted = Some(now.mono);
        }
        let name = self.policy.name.clone();
        let mut changes = Vec::new();
        for line in lines {
            if line.topic.is_rationed() && line.kind.brings_outage() {
                self.rationed.insert(line.topic.code(), now.mono);
            }
            let key = line.topic.memory(&line.outage);
            let ends = line.kind != LineKind::Opened;
            if line.topic != Topic::Outage && ends {
                // Nothing is remembered of an incident that is over.
                if self.told.remove(&key).is_some() {
                    changes.push(Change::DropTold(name.clone(), key));
                }
            } else if line.kind.brings_outage() {
                let told = Told::new(name.clone(), key, line.outage.id, message_id.clone(), now.wall, ends);
                if self.remember(told.clone(), now.mono) {
                    changes.push(Change::PutTold(told));
                }
            } else if let Some(memory) = self.told.get_mut(&key).filter(|memory| memory.told.outage == line.outage.id) {
                memory.told.ended = true;
                self.open_told.remove(&(memory.at, key));
                changes.push(Change::PutTold(memory.told.clone()));
            }
        }
        self.reckon(now);
        changes
    }

    /// Returns whether it was not known to have been told of something later.
    fn remember(&mut self, told: Told, at: Mono) -> bool {
        let key = told.target.clone();
        // What came late must not make it forget what it was told since.
        if self.told.get(&key).is_some_and(|before| before.told.outage > told.outage) {
            return false;
        }
        let is_device = Topic::is_device(&key);
        if let Some(before) = self.told.get(&key) {
            self.open_told.remove(&(before.at, key.clone()));
        }
        if is_device && !told.ended {
            self.open_told.insert((at, key.clone()));
        }
        self.told.insert(key, Memory { told, at });
        true
    }

    /// A device has a new name.
    pub(super) fn rename(&mut self, now: Now, from: &Arc<str>, to: &Arc<str>) -> Vec<Change> {
        let (mut changes, name) = (Vec::new(), self.policy.name.clone());
        if let Some(mut memory) = self.told.remove(from) {
            self.open_told.remove(&(memory.at, from.clone()));
            memory.told.target = to.clone();
            changes.push(Change::DropTold(name.clone(), from.clone()));
            changes.push(Change::PutTold(memory.told.clone()));
            self.remember(memory.told, memory.at);
        }
        for owed in self.owed.values_mut().filter(|owed| owed.line.outage.target == *from) {
            owed.line.outage.target = to.clone();
            owed.line.subject.name = to.clone();
            changes.push(Change::PutLine(name.clone(), owed.line.clone()));
        }
        if self.flapping.remove(from) {
            self.flapping.insert(to.clone());
        }
        self.reckon(now);
        changes
    }

    /// The mail that told of this outage.
    pub(super) fn thread(&self, line: &Line) -> Option<&Arc<str>> {
        let told = &self.told.get(&line.topic.memory(&line.outage))?.told;
        (told.outage == line.outage.id).then_some(&told.message_id)
    }

    fn insert(&mut self, owed: Owed) {
        let (id, outage) = (owed.line.id, owed.line.outage.id);
        let index = if owed.line.kind.brings_outage() { &mut self.openings } else { &mut self.endings };
        index.insert(outage, id);
        self.owed.insert(id, owed);
    }
}
