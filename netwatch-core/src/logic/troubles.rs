//! Self-alerts: what is wrong with netwatch itself is told to everybody whom it can still reach, outside the budget and no more
//! than once in 10 min of each kind.
//!
//! Nobody is told of what is over before they could be: it changes nothing any more. The record of outages is another matter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::monitor::Monitor;
use crate::model::{
    Cause, Change, Decision, Incident, LineKind, Mono, Now, Outage, OutageId, Subject, Topic, Trouble, Wall,
};

/// A disk that takes nothing for this long is told of: by then mails have been leaving from memory.
const DISK_AFTER: Duration = Duration::from_secs(60);
/// A notifier that delivers nothing for this long is told of to the others: it has had four or five attempts.
const PATH_AFTER: Duration = Duration::from_secs(600);
/// Dropped replies are over once there have been none for this long.
const DROPS_OVER: Duration = Duration::from_secs(600);
/// A clock that is set by less than this moves no time in a mail that a person would act on.
const CLOCK_STEP: Duration = Duration::from_secs(60);

/// What is wrong, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// Both clocks when they were last looked at.
    clocks: Option<Now>,
    disk: Ongoing,
    /// `seen` is when the last reply was dropped.
    drops: Ongoing,
    paths: BTreeMap<Arc<str>, Ongoing>,
}

/// One trouble.
#[derive(Debug, Default, Clone, Copy)]
struct Ongoing {
    /// Since when it has been seen in this run.
    seen: Option<Mono>,
    /// Under which it is told.
    incident: Option<OutageId>,
}

impl Ongoing {
    /// When it is to be told, if it goes on.
    fn told_at(self, after: Duration) -> Option<Mono> {
        self.seen.filter(|_| self.incident.is_none()).map(|seen| seen.plus(after))
    }

    fn is_due(self, now: Mono, after: Duration) -> bool {
        self.told_at(after).is_some_and(|at| at <= now)
    }
}

impl Troubles {
    /// When something is to be looked at.
    pub(super) fn timeout(&self, tellers: usize) -> Option<Mono> {
        let paths = self.paths.values().filter(|_| tellers > 1).filter_map(|path| path.told_at(PATH_AFTER));
        let drops = self.drops.incident.and(self.drops.seen).map(|seen| seen.plus(DROPS_OVER));
        paths.chain(self.disk.told_at(DISK_AFTER)).chain(drops).min()
    }
}

impl Monitor {
    /// Looks at everything that netwatch can tell of itself.
    pub(super) fn look_at_troubles(&mut self, now: Now) {
        self.look_at_clocks(now);
        self.look_at_disk(now);
        self.look_at_paths(now);
        let is_over = self.troubles.drops.seen.is_some_and(|seen| now.mono.since(seen) >= DROPS_OVER);
        if is_over && let Some(incident) = self.troubles.drops.incident {
            self.troubles.drops = Ongoing::default();
            self.close_incident(now, incident);
        }
    }

    /// A check could not be decided. If that is because netwatch lost replies, people must know.
    pub(super) fn look_at_drops(&mut self, now: Now, cause: Cause) {
        if !matches!(cause, Cause::ReceiveOverflow | Cause::SoftnetDrops) {
            return;
        }
        self.troubles.drops.seen = Some(now.mono);
        if self.troubles.drops.incident.is_none() {
            self.troubles.drops.incident = Some(self.open_trouble(now, Trouble::ReceiveDrops, now.wall, None));
        }
    }

    /// What the last run told of goes on until this one knows better.
    pub(super) fn restore_trouble(&mut self, now: Now, trouble: Trouble, incident: &Incident) {
        let ongoing = Ongoing { seen: None, incident: Some(incident.id()) };
        match trouble {
            Trouble::Disk => self.troubles.disk = ongoing,
            Trouble::ReceiveDrops => self.troubles.drops = Ongoing { seen: Some(now.mono), ..ongoing },
            Trouble::MailPath => {
                if let Some(notifier) = incident.members.first() {
                    self.troubles.paths.insert(notifier.clone(), ongoing);
                }
            }
            Trouble::Clock => self.close_incident(now, incident.id()),
        }
    }

    /// The wall clock and the monotonic one go together, or somebody set the one, or the machine slept.
    fn look_at_clocks(&mut self, now: Now) {
        let Some(before) = self.troubles.clocks.replace(now) else { return };
        let expected = before.wall_at(now.mono);
        let step = now.wall.since(expected).max(expected.since(now.wall));
        if step < CLOCK_STEP {
            return;
        }
        for teller in 0..self.tellers.len() {
            let mut outage = self.new_incident(now, "".into());
            (outage.first_bad, outage.closed) = (expected, Some(now.wall));
            let mut line = self.new_line(now, LineKind::Missed, Subject::new("", ""), outage);
            line.topic = Topic::Trouble(Trouble::Clock);
            self.owe_line(now, teller, line);
        }
    }

    fn look_at_disk(&mut self, now: Now) {
        match (self.journaling.failing_since, self.troubles.disk.incident) {
            (Some(since), _) => {
                self.troubles.disk.seen.get_or_insert(now.mono);
                if self.troubles.disk.is_due(now.mono, DISK_AFTER) {
                    self.troubles.disk.incident = Some(self.open_trouble(now, Trouble::Disk, since, None));
                }
            }
            (None, Some(incident)) if self.journaling.has_committed() => {
                self.troubles.disk = Ongoing::default();
                self.close_incident(now, incident);
            }
            (None, None) => self.troubles.disk.seen = None,
            (None, Some(_)) => {}
        }
    }

    fn look_at_paths(&mut self, now: Now) {
        let is_failing = self.tellers.iter().any(|teller| teller.outbox.failing_since.is_some());
        if !is_failing && self.troubles.paths.is_empty() {
            return;
        }
        let mut due: Vec<(Arc<str>, Wall)> = Vec::new();
        let mut over: Vec<Option<OutageId>> = Vec::new();
        self.withdraw_word_of_paths(now);
        let mut paths = std::mem::take(&mut self.troubles.paths);
        for teller in &self.tellers {
            let name = &teller.desk.policy.name;
            match (teller.outbox.failing_since, paths.get_mut(name)) {
                (Some(_), None) => {
                    paths.insert(name.clone(), Ongoing { seen: Some(now.mono), incident: None });
                }
                (Some(since), Some(path)) => {
                    path.seen.get_or_insert(now.mono);
                    if path.is_due(now.mono, PATH_AFTER) && self.tellers.len() > 1 {
                        due.push((name.clone(), since));
                    }
                }
                // Nothing is known of it before the first attempt of a run.
                (None, Some(path)) if path.seen.is_some() || !teller.has_something_to_tell() => {
                    over.push(path.incident);
                    paths.remove(name);
                }
                (None, _) => {}
            }
        }
        paths.retain(|name, path| {
            let is_there = self.tellers.iter().any(|teller| teller.desk.policy.name == *name);
            if !is_there {
                over.push(path.incident);
            }
            is_there
        });
        self.troubles.paths = paths;
        for (name, since) in due {
            let incident = self.open_trouble(now, Trouble::MailPath, since, Some(name.clone()));
            if let Some(path) = self.troubles.paths.get_mut(&name) {
                path.incident = Some(incident);
            }
        }
        for incident in over.into_iter().flatten() {
            self.close_incident(now, incident);
        }
    }

    /// Whoever cannot be reached either is most likely behind the same server: word of the others would reach them with, or
    /// after, what those are owed.
    fn withdraw_word_of_paths(&mut self, now: Now) {
        for place in 0..self.tellers.len() {
            let Some(teller) = self.tellers.get_mut(place).filter(|it| it.outbox.failing_since.is_some()) else {
                continue;
            };
            let name = teller.desk.policy.name.clone();
            let withdrawn = teller.desk.withdraw(now, Topic::Trouble(Trouble::MailPath));
            if !teller.has_something_to_tell() {
                teller.outbox.forget_failure();
            }
            for line in withdrawn {
                self.journaling.put(Change::DropLine(line.id));
                self.note_line(now, &line.outage.target, line.outage.id, &name, Decision::Moot);
            }
        }
    }

    fn open_trouble(&mut self, now: Now, trouble: Trouble, since: Wall, notifier: Option<Arc<str>>) -> OutageId {
        let mut outage: Outage = self.new_incident(now, "".into());
        outage.first_bad = since;
        let mut incident = Incident::new(Topic::Trouble(trouble), outage);
        incident.members = notifier.into_iter().collect();
        let id = incident.id();
        self.open_incident(now, incident, None);
        id
    }
}
