//! What was true of each device, and how much of it netwatch could see.

use std::time::Duration;

use crate::model::{Mono, Period};
use crate::testing::world::{Happening, History, Span, Spans, Version};

const SECOND: Duration = Duration::from_secs(1);

/// What is allowed for commits, for witnesses that are asked first, and for what is handed over.
const SLACK: Duration = Duration::from_secs(15);

/// How the settings of a device bear on what can be asked of netwatch; of several versions, the most patient.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Patience {
    pub(super) interval: Duration,
    /// From one check to the end of the next: nothing is noticed sooner for certain.
    pub(super) sight: Duration,
    pub(super) tolerance: Duration,
    pub(super) settle: Duration,
    /// The least of all versions.
    pub(super) least_tolerance: Duration,
    pub(super) least_settle: Duration,
}

/// What was true; see the module.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) patience: Vec<Patience>,
    /// When each device did not answer, by chance or for good; netwatch's own uplink left out.
    pub(super) silent: Vec<Spans>,
    /// When netwatch could not see each device through no fault of the device.
    pub(super) hidden: Vec<Spans>,
    /// When nothing at all could be seen of it.
    pub(super) unseeable: Vec<Spans>,
    /// When each device was not asked.
    pub(super) absent: Vec<Spans>,
    /// When each device was certainly in maintenance, and when it may have been.
    pub(super) worked_on: Vec<Spans>,
    pub(super) may_be_worked_on: Vec<Spans>,
    pub(super) blind: Spans,
    pub(super) halted: Spans,
    pub(super) forgotten: Spans,
}

impl Scene {
    pub(super) fn new(history: &History) -> Scene {
        let devices = 0..history.devices.len();
        let (fate, end) = (&history.fate, history.end.mono);
        let (blind, halted, forgotten) = (fate.blind(), fate.halted(), fate.forgotten());
        let silent = devices.clone().map(|at| match history.unlucky.get(at) {
            Some(unlucky) => history.devices[at].silent.union(unlucky),
            None => history.devices[at].silent.clone(),
        });
        let hidden = devices.clone().map(|at| blind.union(&halted).union(&fate.local_to(at)));
        let total =
            |at| fate.local.iter().filter(move |local| local.is_total && local.concerns(at)).map(|local| local.span);
        let unseeable = devices.clone().map(|at| blind.union(&halted).union(&total(at).collect()));
        let (worked_on, may_be_worked_on) = maintenance(history, &forgotten);
        let spells = spells(history);
        let absent = devices.clone().map(|device| {
            let is_absent = |version: &Version| version.target(device).is_none_or(|target| target.paused);
            spells.iter().filter(|(_, version)| is_absent(version)).map(|(span, _)| *span).collect()
        });
        let patience = devices.map(|device| patience(history, device));
        let scene = Scene {
            patience: patience.collect(),
            silent: silent.collect(),
            hidden: hidden.collect(),
            unseeable: unseeable.collect(),
            absent: absent.collect(),
            worked_on,
            may_be_worked_on,
            blind,
            halted,
            forgotten,
        };
        debug_assert!(scene.silent.iter().flat_map(Spans::iter).all(|span| span.from <= end));
        scene
    }

    /// When it can not be told how far netwatch had come with this device: it did not see it, did not ask it, or was not
    /// to tell of it.
    pub(super) fn excused(&self, device: usize) -> Spans {
        let after = self.patience[device].sight + SLACK;
        let parts = [&self.hidden[device], &self.absent[device], &self.may_be_worked_on[device], &self.forgotten];
        parts.into_iter().fold(Spans::default(), |all, part| all.union(part)).widened(SLACK, after)
    }

    /// How long a device must be silent, seen all the while, to be told of for certain.
    pub(super) fn certain(&self, device: usize) -> Duration {
        let patience = self.patience[device];
        patience.tolerance.max(patience.settle) + patience.sight * 3 + 60 * SECOND
    }
}

/// Which version was in force from when until when.
fn spells(history: &History) -> Vec<(Span, &Version)> {
    let mut spells: Vec<(Span, &Version)> = Vec::new();
    for entry in &history.entries {
        let (Happening::Started(version) | Happening::Reloaded(version)) = entry.what else { continue };
        let Some(version) = history.operators.versions.get(version) else { continue };
        if let Some((last, _)) = spells.last_mut() {
            last.to = entry.now.mono;
        }
        spells.push((Span::new(entry.now.mono, history.end.mono), version));
    }
    spells
}

fn patience(history: &History, device: usize) -> Patience {
    let most = Duration::MAX;
    let mut patience = Patience { least_tolerance: most, least_settle: most, ..Patience::default() };
    for target in history.operators.versions.iter().filter_map(|version| version.target(device)) {
        let settings = &target.settings;
        patience.interval = patience.interval.max(settings.interval);
        patience.sight = patience.sight.max(settings.interval + settings.check_duration());
        patience.tolerance = patience.tolerance.max(settings.tolerance);
        patience.settle = patience.settle.max(settings.settle);
        patience.least_tolerance = patience.least_tolerance.min(settings.tolerance);
        patience.least_settle = patience.least_settle.min(settings.settle);
    }
    patience
}

/// When each device certainly was in maintenance, and when it may have been.
fn maintenance(history: &History, forgotten: &Spans) -> (Vec<Spans>, Vec<Spans>) {
    let mut certain: Vec<Vec<Span>> = vec![Vec::new(); history.devices.len()];
    let mut possible = certain.clone();
    let (fate, end) = (&history.fate, history.end.mono);
    for (span, version) in spells(history) {
        let spell: Spans = [span].into_iter().collect();
        for maintenance in &version.plan.maintenance {
            let periods = maintenance.calendar.periods().iter().flat_map(|period| {
                let spans: Vec<Span> = fate.when(*period, end).iter().collect();
                spans
            });
            let times = periods.collect::<Spans>().intersection(&spell);
            for (device, target) in version.devices.iter().zip(&version.plan.targets) {
                if maintenance.scope.holds(&version.plan, target) {
                    certain[*device].extend(times.iter());
                    possible[*device].extend(times.iter());
                }
            }
        }
    }
    let reloads =
        || history.entries.iter().filter(|entry| matches!(entry.what, Happening::Reloaded(_) | Happening::Started(_)));
    for entry in &history.entries {
        let Happening::Maintained(number, _) = &entry.what else { continue };
        let Some(work) = history.operators.works.get(*number) else { continue };
        let period = Period::new(entry.now.wall, entry.now.wall.plus(work.length));
        let from: Spans = [Span::new(entry.now.mono, end)].into_iter().collect();
        let whole = fate.when(period, end).intersection(&from);
        let ended = ended(history, *number).unwrap_or(end);
        let reloaded = reloads().map(|other| other.now.mono).find(|at| *at > entry.now.mono).unwrap_or(end);
        for device in &work.devices {
            possible[*device].extend(whole.iter());
            // One that is over is forgotten, even if the clock is set back.
            let sure = whole.iter().take(1).map(|span| Span::new(span.from, span.to.min(ended).min(reloaded)));
            certain[*device].extend(sure.filter(|span| !forgotten.touches(*span)));
        }
    }
    let gather = |lists: Vec<Vec<Span>>| lists.into_iter().map(Spans::new).collect();
    (gather(certain), gather(possible))
}

/// When the maintenance of this number was ended by hand.
fn ended(history: &History, number: usize) -> Option<Mono> {
    let end =
        history.entries.iter().find(|entry| matches!(entry.what, Happening::Finished(other, _) if other == number));
    end.map(|entry| entry.now.mono)
}
