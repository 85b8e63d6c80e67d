//! From targets as they were written to those of the plan, one after the other: of a row of a bulk file nothing is kept
//! but what the plan holds and what is needed to find two of a kind.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{GroupId, PayloadRule, Settings, Target};

use super::address;
use super::file::{RawGroup, RawTarget};
use super::names::no_group;
use super::parents::Written;
use super::problem::{At, Place, Problems};
use super::resolve::called_twice;
use super::settings::{RawSettings, judge};

/// A group that targets may name.
pub(super) struct KnownGroup<'a> {
    /// Its place in the plan.
    pub(super) id: GroupId,
    /// What it says itself.
    pub(super) written: &'a RawGroup,
    /// What it comes to with the defaults.
    pub(super) settings: Arc<Settings>,
}

/// The groups by their names.
pub(super) type Groups<'a> = HashMap<&'a str, KnownGroup<'a>>;

/// A row of a bulk file is hardly shorter: a name of four letters and an address.
const SHORT_ROW: u64 = 16;
/// Room is made for so many at most before they are there.
const MOST_EXPECTED: u64 = 1 << 20;

/// The targets so far.
pub(super) struct Targets<'a> {
    /// How many were read, good and bad.
    pub(super) taken: usize,
    /// Whether none was lost because it could not be read.
    pub(super) complete: bool,
    defaults: &'a RawSettings,
    settings: Arc<Settings>,
    groups: Groups<'a>,
    shared: SharedSettings,
    words: HashMap<String, Arc<str>>,
    targets: Vec<Target>,
    parents: Written,
    wrong: Vec<Arc<str>>,
    names: Vec<Seen<Arc<str>>>,
    hosts: Vec<Seen<u32>>,
    hasher: RandomState,
}

/// All of them, and what was said of them that only makes sense together.
pub(super) struct Taken {
    /// For the plan.
    pub(super) targets: Vec<Target>,
    /// Their parents, by name.
    pub(super) parents: Written,
    /// The names of those that are not in the plan because something is wrong with them.
    pub(super) wrong: Vec<Arc<str>>,
    /// Whether none was lost because it could not be read.
    pub(super) complete: bool,
    /// The tags that a target has.
    pub(super) tags: HashSet<Arc<str>>,
}

/// What may be of a kind with another: its digest, itself or where it is in the plan, and where it was written.
struct Seen<T> {
    digest: u64,
    what: T,
    place: Place,
}

impl<'a> Targets<'a> {
    /// None yet.
    pub(super) fn new(defaults: &'a RawSettings, groups: Groups<'a>) -> Targets<'a> {
        Targets {
            taken: 0,
            complete: true,
            defaults,
            settings: Arc::new(defaults.over(&Settings::default())),
            groups,
            shared: SharedSettings::default(),
            words: HashMap::new(),
            targets: Vec::new(),
            parents: Written::default(),
            wrong: Vec::new(),
            names: Vec::new(),
            hosts: Vec::new(),
            hasher: RandomState::new(),
        }
    }

    /// A file of so many bytes follows. Room that is made at once leaves no holes behind as growing bit by bit does; where
    /// there is none to be had, nothing is lost yet.
    pub(super) fn make_room_for(&mut self, bytes: u64) {
        let rows = (bytes / SHORT_ROW).min(MOST_EXPECTED) as usize;
        let _ = self.targets.try_reserve(rows);
        let _ = self.names.try_reserve(rows);
        let _ = self.hosts.try_reserve(rows);
    }

    /// One more.
    pub(super) fn take(&mut self, raw: &RawTarget, problems: &mut Problems) {
        self.taken = self.taken.saturating_add(1);
        let name: Option<Arc<str>> = raw.name.as_ref().map(|name| name.value.as_str().into());
        if let (Some(name), Some(written)) = (&name, &raw.name) {
            let digest = self.hasher.hash_one(&**name);
            self.names.push(Seen { digest, what: Arc::clone(name), place: written.place });
        }
        let group = raw.group.as_ref().and_then(|name| self.group(name, problems));
        let settings = self.settings(raw, group, problems);
        let host = raw.address.as_ref().and_then(|written| {
            let host = address::resolve(written, raw.family.as_ref(), problems)?;
            Some((host, written.place))
        });
        let index = u32::try_from(self.targets.len()).unwrap_or(u32::MAX);
        let is_whole = name.is_some() && host.is_some();
        if let Some(parents) = &raw.parents {
            self.parents.take(is_whole.then_some(index), parents);
        }
        let (Some(name), Some((host, place))) = (name.clone(), host) else {
            self.wrong.extend(name);
            return;
        };
        self.hosts.push(Seen { digest: self.hasher.hash_one(&host), what: index, place });
        let mut target = Target::new(name, host).with_settings(settings);
        let group = group.and_then(|name| Some((self.groups.get(name)?.id, self.groups.get(name)?.written)));
        target.group = group.map(|(id, _)| id);
        target.critical = raw.critical.or(group.and_then(|(_, written)| written.critical)).unwrap_or(false);
        target.customers = raw.customers;
        target.paused = raw.paused;
        let mut tags: Vec<Arc<str>> = Vec::new();
        for tag in group.iter().flat_map(|(_, written)| &written.tags).chain(&raw.tags) {
            let tag = self.word(tag);
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        if !tags.is_empty() {
            target = target.with_tags(tags);
        }
        if let Some(note) = &raw.note {
            target = target.with_note(note.as_str());
        }
        self.targets.push(target);
    }

    /// All of them, after a look for names and addresses that stand for several.
    pub(super) fn finish(mut self, problems: &mut Problems) -> Taken {
        alike(
            self.names,
            |one, other| one == other,
            |first, again| {
                called_twice("target", again.place, &again.what, first.place, problems);
            },
        );
        let targets = &self.targets;
        let target = |index: u32| targets.get(index as usize);
        let host = |index: u32| target(index).map(|target| &target.host);
        alike(
            self.hosts,
            |one, other| host(*one) == host(*other),
            |first, again| {
                let (Some(one), Some(other)) = (target(first.what), target(again.what)) else { return };
                // Two targets at one address are one device, most often.
                let title = format!("\"{}\" and \"{}\" have the same address", one.name, other.name);
                let label = format!("also at {}", problems.describe(first.place));
                problems.warning(again.place, title, label, "remove one of them, unless both are meant");
            },
        );
        self.targets.shrink_to_fit();
        Taken {
            targets: self.targets,
            parents: self.parents,
            wrong: self.wrong,
            complete: self.complete,
            tags: self.words.into_values().collect(),
        }
    }

    fn group(&self, name: &At<String>, problems: &mut Problems) -> Option<&'a str> {
        if let Some((name, _)) = self.groups.get_key_value(name.value.as_str()) {
            return Some(name);
        }
        // A million wrong names are not each compared with all the right ones.
        let known: Vec<&str> = if problems.are_plenty() { Vec::new() } else { self.groups.keys().copied().collect() };
        no_group(name, &known, problems);
        None
    }

    fn settings(&mut self, raw: &RawTarget, group: Option<&str>, problems: &mut Problems) -> Arc<Settings> {
        let group = group.and_then(|name| self.groups.get(name));
        let base = group.map_or(&self.settings, |group| &group.settings);
        if raw.settings.is_empty() {
            return Arc::clone(base);
        }
        let nothing = RawSettings::default();
        let levels = [self.defaults, group.map_or(&nothing, |group| &group.written.settings), &raw.settings];
        let settings = raw.settings.over(base);
        judge(&settings, &levels, problems);
        self.shared.share(settings)
    }

    fn word(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.words.get(word) {
            return Arc::clone(known);
        }
        let new: Arc<str> = word.into();
        self.words.insert(word.to_owned(), Arc::clone(&new));
        new
    }
}

/// Tells of every one that is like an earlier one. Sorting needs less memory than a map, and frees it at once.
fn alike<T>(mut all: Vec<Seen<T>>, same: impl Fn(&T, &T) -> bool, mut tell: impl FnMut(&Seen<T>, &Seen<T>)) {
    all.sort_unstable_by_key(|seen| (seen.digest, seen.place));
    for run in all.chunk_by(|one, other| one.digest == other.digest) {
        for (number, again) in run.iter().enumerate().skip(1) {
            let earlier = run.get(..number).unwrap_or(&[]);
            if let Some(first) = earlier.iter().find(|first| same(&first.what, &again.what)) {
                tell(first, again);
            }
        }
    }
}

type SettingsKey = ([Duration; 6], u16, u64, PayloadRule);

/// Targets with equal settings share one copy of them.
#[derive(Default)]
struct SharedSettings(HashMap<SettingsKey, Arc<Settings>>);

impl SharedSettings {
    fn share(&mut self, settings: Settings) -> Arc<Settings> {
        let times = [
            settings.interval,
            settings.spacing,
            settings.timeout,
            settings.tolerance,
            settings.settle,
            settings.warn_rtt,
        ];
        let key = (times, settings.pings, settings.warn_loss.to_bits(), settings.payload);
        Arc::clone(self.0.entry(key).or_insert_with(|| Arc::new(settings)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_like_an_earlier_one_is_told_of_with_the_first() {
        let problems = Problems::default();
        let seen = |digest: u64, what: char, at: usize| Seen { digest, what, place: problems.place(at, 0..0) };
        let all = vec![seen(1, 'a', 0), seen(2, 'a', 1), seen(1, 'b', 2), seen(1, 'a', 3), seen(1, 'a', 4)];
        let mut told = Vec::new();
        alike(all, |one, other| one == other, |first, again| told.push((first.place, again.place)));
        let place = |at: usize| problems.place(at, 0..0);
        assert_eq!(told, [(place(0), place(3)), (place(0), place(4))], "equal digests alone are not enough");
    }

    #[test]
    fn equal_settings_are_kept_once() {
        let mut shared = SharedSettings::default();
        let first = shared.share(Settings::default());
        assert!(Arc::ptr_eq(&first, &shared.share(Settings::default())));
        let mut other = Settings::default();
        other.warn_loss = 0.3;
        assert!(!Arc::ptr_eq(&first, &shared.share(other)));
    }
}
