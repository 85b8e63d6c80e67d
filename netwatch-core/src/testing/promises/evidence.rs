//! A history put in order: which outages there were, which mails were taken, what was said of each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::scene::Scene;
use crate::model::{
    Decision, Event, LedgerEntry, Line, MailId, Mono, Notification, OutageId, Plan, Standing, Status, Topic, Transition,
};
use crate::testing::world::{Happening, History, Span, Spans, Version};

/// An outage and its device. The number alone may be given again after a crash that took it away.
pub(super) type CaseId = (OutageId, usize);

/// What became of an outage.
#[derive(Debug, Default)]
pub(super) struct Case {
    pub(super) opened: Option<Mono>,
    pub(super) due: Option<Mono>,
    pub(super) closed: Option<Mono>,
    pub(super) is_removed: bool,
    pub(super) acknowledged: Option<Mono>,
    /// What was said of it.
    pub(super) ledger: Vec<(Mono, LedgerEntry)>,
}

impl Case {
    /// When it was first heard of.
    pub(super) fn first(&self) -> Mono {
        self.opened.or(self.due).or(self.closed).unwrap_or_default()
    }
}

/// A mail that a server took.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) at: Mono,
    pub(super) notification: Arc<Notification>,
    /// Who has it, or was refused for good.
    pub(super) served: HashSet<Arc<str>>,
    /// When the monitor learned that it was taken.
    pub(super) answered: Option<Mono>,
}

/// A mail that was drafted.
#[derive(Debug)]
pub(super) struct Drafted<'a> {
    pub(super) at: Mono,
    pub(super) notifier: &'a Arc<str>,
    pub(super) lines: &'a [Line],
    pub(super) standing: Option<&'a Standing>,
}

/// The evidence; see the module.
pub(super) struct Evidence<'a> {
    pub(super) history: &'a History,
    pub(super) scene: Scene,
    pub(super) cases: BTreeMap<CaseId, Case>,
    pub(super) mails: Vec<Mail>,
    pub(super) drafts: Vec<Drafted<'a>>,
    pub(super) transitions: Vec<(Mono, usize, &'a Transition)>,
    /// For each notifier and outage, the mails that bring it and those that tell its end.
    openings: HashMap<(Arc<str>, CaseId), Vec<usize>>,
    endings: HashMap<(Arc<str>, CaseId), Vec<usize>>,
    /// For each notifier and device, the mails that call it flapping.
    flapping_mails: HashMap<(Arc<str>, usize), Vec<usize>>,
    /// When the monitor called each device flapping.
    pub(super) flapping: Vec<Spans>,
    /// Which version was in force from when on.
    versions: Vec<(Mono, usize)>,
    names: HashMap<Arc<str>, usize>,
    /// Notifiers that were always configured.
    pub(super) notifiers: Vec<Arc<str>>,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(history: &'a History) -> Evidence<'a> {
        let versions = &history.operators.versions;
        let mut names = HashMap::new();
        for version in versions {
            for (device, target) in version.devices.iter().zip(&version.plan.targets) {
                names.insert(target.name.clone(), *device);
            }
        }
        let first = versions.first().map(|version| version.plan.notifiers.clone()).unwrap_or_default();
        let always = first.into_iter().map(|policy| policy.name).filter(|name| {
            versions.iter().all(|version| version.plan.notifiers.iter().any(|policy| policy.name == *name))
        });
        let mut evidence = Evidence {
            history,
            scene: Scene::new(history),
            cases: BTreeMap::new(),
            mails: Vec::new(),
            drafts: Vec::new(),
            transitions: Vec::new(),
            openings: HashMap::new(),
            endings: HashMap::new(),
            flapping_mails: HashMap::new(),
            flapping: vec![Spans::default(); history.devices.len()],
            versions: Vec::new(),
            names,
            notifiers: always.collect(),
        };
        evidence.read();
        evidence.index_mails();
        evidence
    }

    fn read(&mut self) {
        let history = self.history;
        let (mut by_id, mut refused) = (HashMap::new(), HashMap::<Arc<str>, Vec<Arc<str>>>::new());
        let mut flapping: Vec<Option<Mono>> = vec![None; history.devices.len()];
        let mut flaps: Vec<Vec<Span>> = vec![Vec::new(); history.devices.len()];
        for entry in &history.entries {
            let at = entry.now.mono;
            match &entry.what {
                Happening::Started(version) | Happening::Reloaded(version) => self.versions.push((at, *version)),
                Happening::Transition(transition) => {
                    if let Some(&device) = self.names.get(&transition.name) {
                        self.transitions.push((at, device, transition));
                    }
                }
                Happening::Event(Event::Flapping { target, since }) => {
                    let version = self.version_at(at);
                    let Some(&device) = version.and_then(|version| version.devices.get(target.index())) else {
                        continue;
                    };
                    match since {
                        Some(_) => flapping[device] = flapping[device].or(Some(at)),
                        None => flaps[device].extend(flapping[device].take().map(|from| Span::new(from, at))),
                    }
                }
                Happening::Event(event) => self.note(at, event),
                Happening::Drafted(draft) => self.drafts.push(Drafted {
                    at,
                    notifier: &draft.notifier,
                    lines: &draft.lines,
                    standing: draft.standing.as_ref(),
                }),
                Happening::Taken(mail, recipients) => {
                    let place = *by_id.entry(mail.message_id.clone()).or_insert_with(|| {
                        let notification = mail.clone();
                        self.mails.push(Mail { at, notification, served: HashSet::new(), answered: None });
                        self.mails.len() - 1
                    });
                    self.mails[place].served.extend(recipients.iter().cloned());
                }
                Happening::Answered { message_id, is_accepted, refused: gone, .. } => {
                    refused.entry(message_id.clone()).or_default().extend(gone.iter().cloned());
                    if let Some(mail) = by_id.get(message_id).and_then(|place| self.mails.get_mut(*place)) {
                        mail.answered = mail.answered.or(is_accepted.then_some(at));
                    }
                }
                Happening::Acknowledged { device, outage: Some(outage) } => {
                    let case = self.cases.entry((outage.id, *device)).or_default();
                    case.acknowledged = case.acknowledged.or(Some(at));
                }
                _ => {}
            }
        }
        for mail in &mut self.mails {
            mail.served.extend(refused.remove(&mail.notification.message_id).unwrap_or_default());
        }
        for (device, mut spans) in flaps.into_iter().enumerate() {
            spans.extend(flapping[device].map(|from| Span::new(from, history.end.mono)));
            self.flapping[device] = Spans::new(spans);
        }
    }

    fn note(&mut self, at: Mono, event: &Event) {
        match event {
            Event::OutageOpened(_, outage) | Event::OutageDue(_, outage) | Event::OutageClosed(_, outage) => {
                let Some(&device) = self.names.get(&outage.target) else { return };
                let case = self.cases.entry((outage.id, device)).or_default();
                match event {
                    Event::OutageOpened(..) => case.opened = case.opened.or(Some(at)),
                    Event::OutageDue(..) => case.due = case.due.or(Some(at)),
                    _ => {
                        case.closed = Some(at);
                        case.is_removed = outage.removed;
                    }
                }
            }
            Event::Ledger(entry) => {
                if let (Some(outage), Some(&device)) = (entry.outage, self.names.get(&entry.target)) {
                    self.cases.entry((outage, device)).or_default().ledger.push((at, entry.clone()));
                }
            }
            _ => {}
        }
    }

    fn index_mails(&mut self) {
        for (place, mail) in self.mails.iter().enumerate() {
            for line in mail.notification.lines.iter() {
                let Some(&device) = self.names.get(&line.outage.target) else { continue };
                let notifier = mail.notification.notifier.clone();
                match line.topic {
                    Topic::Outage => {
                        let key = (notifier, (line.outage.id, device));
                        if line.kind.brings_outage() {
                            self.openings.entry(key.clone()).or_default().push(place);
                        }
                        if line.kind != crate::model::LineKind::Opened {
                            self.endings.entry(key).or_default().push(place);
                        }
                    }
                    Topic::Flapping => self.flapping_mails.entry((notifier, device)).or_default().push(place),
                    _ => {}
                }
            }
        }
    }

    /// The device of this name, whenever it had it.
    pub(super) fn device(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// What was configured at this time.
    pub(super) fn version_at(&self, at: Mono) -> Option<&'a Version> {
        let place = self.versions.partition_point(|(from, _)| *from <= at).checked_sub(1)?;
        self.history.operators.versions.get(self.versions.get(place)?.1)
    }

    /// What was configured at this time.
    pub(super) fn plan_at(&self, at: Mono) -> Option<&'a Arc<Plan>> {
        Some(&self.version_at(at)?.plan)
    }

    /// Whether the configuration was taken over anew within this time.
    pub(super) fn is_reloaded_in(&self, span: Span) -> bool {
        self.versions.iter().any(|(at, _)| span.contains(*at))
    }

    /// The mails that bring this outage to this notifier.
    pub(super) fn openings(&self, notifier: &Arc<str>, case: CaseId) -> &[usize] {
        self.openings.get(&(notifier.clone(), case)).map_or(&[], Vec::as_slice)
    }

    /// The mails that tell this notifier its end.
    pub(super) fn endings(&self, notifier: &Arc<str>, case: CaseId) -> &[usize] {
        self.endings.get(&(notifier.clone(), case)).map_or(&[], Vec::as_slice)
    }

    /// The mails that tell this notifier that the device flaps, or flapped.
    pub(super) fn flapping_mails(&self, notifier: &Arc<str>, device: usize) -> &[usize] {
        self.flapping_mails.get(&(notifier.clone(), device)).map_or(&[], Vec::as_slice)
    }

    /// Everything that was brought, by notifier and outage, with the mails that did.
    pub(super) fn all_openings(&self) -> impl Iterator<Item = (&Arc<str>, CaseId, &[usize])> {
        self.openings.iter().map(|((notifier, case), mails)| (notifier, *case, mails.as_slice()))
    }

    /// Every end that was told.
    pub(super) fn all_endings(&self) -> impl Iterator<Item = (&Arc<str>, CaseId, &[usize])> {
        self.endings.iter().map(|((notifier, case), mails)| (notifier, *case, mails.as_slice()))
    }

    /// Whether this notifier was for this device in every version that had both.
    pub(super) fn is_always_for(&self, notifier: &Arc<str>, device: usize) -> bool {
        self.history.operators.versions.iter().all(|version| {
            let policy = version.plan.notifiers.iter().find(|policy| policy.name == *notifier);
            match (policy, version.target(device)) {
                (Some(policy), Some(target)) => policy.scope.holds(&version.plan, target),
                (None, _) => false,
                (_, None) => true,
            }
        })
    }

    /// Whether the outage touches a time in which the device flapped, or in which its changes were counted.
    pub(super) fn may_be_folded(&self, case: &Case, device: usize) -> bool {
        let hour = std::time::Duration::from_secs(3600);
        let span = Span::new(case.first(), case.closed.unwrap_or(self.history.end.mono));
        self.flapping[device].widened(hour, hour).touches(span)
    }

    /// Whether one of these decisions was written about the outage, for this notifier or for all.
    pub(super) fn is_written(case: &Case, notifier: &Arc<str>, which: impl Fn(&Decision) -> bool) -> bool {
        case.ledger
            .iter()
            .any(|(_, entry)| entry.notifier.as_ref().is_none_or(|other| other == notifier) && which(&entry.decision))
    }
}

/// Whether a status says that the device does not answer.
pub(super) fn is_silent(status: Status) -> bool {
    matches!(status, Status::Down | Status::Unreachable)
}

/// The number of a mail: its copies have the same.
pub(super) fn mail_id(mail: &Mail) -> MailId {
    mail.notification.id
}
