//! Names that one part of the configuration calls another by: each must stand for something, and who mistypes one is
//! told which was probably meant.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use netwatch_core::{Group, Scope, Target, TargetId};

use super::problem::{At, Place, Problems, nearest};
use super::section::Section;

/// Names are compared with those that may be meant so often at most: nobody waits for more.
const MOST_COMPARED: usize = 2_000_000;

/// The targets that something speaks of, by name.
#[derive(Debug, Default)]
pub(super) struct Devices {
    found: HashMap<Arc<str>, Found>,
    complete: bool,
}

#[derive(Debug)]
enum Found {
    /// A target of the plan.
    Here(TargetId),
    /// A target that is not in the plan because something else is wrong with it.
    Wrong,
    /// None; perhaps this one was meant.
    Unknown(Option<Arc<str>>),
}

impl Devices {
    /// Looks up these names. `wrong` are those of targets that something else is wrong with; unless the list of targets
    /// is `complete`, a name that is not found may be right.
    pub(super) fn find<'a>(
        wanted: impl Iterator<Item = &'a str>,
        targets: &[Target],
        wrong: &[Arc<str>],
        complete: bool,
    ) -> Devices {
        let mut found: HashMap<Arc<str>, Found> = HashMap::new();
        for name in wanted {
            if !found.contains_key(name) {
                found.insert(name.into(), Found::Unknown(None));
            }
        }
        if found.is_empty() {
            return Devices { found, complete };
        }
        for (index, target) in targets.iter().enumerate() {
            if let Some(unknown @ Found::Unknown(_)) = found.get_mut(&target.name) {
                *unknown = Found::Here(TargetId::from_index(index));
            }
        }
        for name in wrong {
            if let Some(unknown @ Found::Unknown(_)) = found.get_mut(name) {
                *unknown = Found::Wrong;
            }
        }
        let mut compared = 0_usize;
        for (name, unknown) in &mut found {
            let Found::Unknown(meant) = unknown else { continue };
            compared = compared.saturating_add(targets.len());
            if compared > MOST_COMPARED {
                break;
            }
            let known: Vec<&str> = targets.iter().map(|target| &*target.name).collect();
            *meant = nearest(name, &known).map(Into::into);
        }
        Devices { found, complete }
    }

    /// The target of this name, if there is one.
    pub(super) fn get(&self, name: &str) -> Option<TargetId> {
        match self.found.get(name) {
            Some(Found::Here(id)) => Some(*id),
            _ => None,
        }
    }

    /// The target of this name, which stands at `place`; that there is none is a problem.
    pub(super) fn require(&self, name: &str, place: Place, problems: &mut Problems) -> Option<TargetId> {
        if let (Some(Found::Unknown(meant)), true) = (self.found.get(name), self.complete) {
            let help = match meant {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None if name.contains(',') => {
                    "write each name in quotes of its own, or in a cell with `;` between them".to_owned()
                }
                None => format!("add it: `[[target]]` with `name = \"{name}\"`"),
            };
            problems.error(place, format!("there is no target \"{name}\""), "not defined", help);
        }
        self.get(name)
    }
}

/// Everything that a scope may name.
pub(super) struct Known<'a> {
    /// The groups of the plan.
    pub(super) groups: &'a [Group],
    /// The targets that something speaks of.
    pub(super) devices: &'a Devices,
    /// The tags that a target has.
    pub(super) tags: &'a HashSet<Arc<str>>,
}

/// A scope as it was written.
#[derive(Debug, Default)]
pub(super) struct RawScope {
    pub(super) groups: Vec<At<String>>,
    pub(super) targets: Vec<At<String>>,
    pub(super) tags: Vec<At<String>>,
}

impl RawScope {
    /// Takes `targets` and `tags` out of a section; groups are written in several ways.
    pub(super) fn read(section: &mut Section, groups: Vec<At<String>>, problems: &mut Problems) -> RawScope {
        let mut list = |key: &str| section.list(key, problems).map_or_else(Vec::new, |all| all.value);
        RawScope { groups, targets: list("targets"), tags: list("tags") }
    }

    /// What it means in the plan.
    pub(super) fn resolve(&self, known: &Known<'_>, problems: &mut Problems) -> Scope {
        for target in &self.targets {
            known.devices.require(&target.value, target.place, problems);
        }
        let groups: Vec<&str> = known.groups.iter().map(|group| &*group.name).collect();
        for group in &self.groups {
            if !groups.contains(&group.value.as_str()) {
                no_group(group, &groups, problems);
            }
        }
        for tag in self.tags.iter().filter(|tag| known.devices.complete && !known.tags.contains(tag.value.as_str())) {
            let tags: Vec<&str> = known.tags.iter().map(|tag| &**tag).collect();
            let help = match nearest(&tag.value, &tags) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("add `tags = [\"{}\"]` to the targets that are meant", tag.value),
            };
            problems.error(tag.place, format!("no target has the tag \"{}\"", tag.value), "stands for nothing", help);
        }
        let names = |all: &[At<String>]| all.iter().map(|name| name.value.as_str().into()).collect();
        let mut scope = Scope::everything();
        (scope.groups, scope.targets, scope.tags) = (names(&self.groups), names(&self.targets), names(&self.tags));
        scope
    }
}

/// Says that there is no such group among those known.
pub(super) fn no_group(name: &At<String>, known: &[&str], problems: &mut Problems) {
    let help = match nearest(&name.value, known) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("add it: `[[group]]` with `name = \"{}\"`", name.value),
    };
    problems.error(name.place, format!("there is no group \"{}\"", name.value), "not defined", help);
}
