//! What a target is reached through: its own `parents`, or else those of its group.
//!
//! A target that its group names as a parent is what the others are reached through, and not reached through any of
//! these itself. A bulk file may give a million targets a parent each, so what was written is kept in one piece, and
//! with it where, for whoever must say what is wrong with it.

use std::collections::HashSet;
use std::sync::Arc;

use netwatch_core::{GroupId, Plan, Target, TargetId};

use super::file::RawGroup;
use super::names::Devices;
use super::problem::{At, Place, Problems};

/// A list of names as it was written.
pub(super) type RawParents = At<Vec<At<String>>>;

/// The parents that targets name themselves.
#[derive(Debug, Default)]
pub(super) struct Written {
    links: Vec<Link>,
    /// Targets that say they have none, in order.
    none: Vec<u32>,
    names: HashSet<Arc<str>>,
}

#[derive(Debug)]
struct Link {
    /// The place of the child in the plan, unless something else is wrong with it.
    child: Option<u32>,
    parent: Arc<str>,
    place: Place,
}

impl Written {
    /// The target that has this place in the plan, or none because it is wrong, names these. To be called in the order of
    /// the plan.
    pub(super) fn take(&mut self, child: Option<u32>, parents: &RawParents) {
        if parents.value.is_empty() {
            self.none.extend(child);
        }
        for parent in &parents.value {
            let name = self.names.get(parent.value.as_str()).cloned().unwrap_or_else(|| {
                let name: Arc<str> = parent.value.as_str().into();
                self.names.insert(Arc::clone(&name));
                name
            });
            self.links.push(Link { child, parent: name, place: parent.place });
        }
    }

    /// The names in it, each once.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }
}

/// Where it was written what a target is reached through.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Of the targets that say so themselves: child, parent and place, in the order of the children.
    own: Vec<(u32, TargetId, Place)>,
    /// For each group, parent and place.
    groups: Vec<Vec<(TargetId, Place)>>,
}

impl Links {
    /// Where it was written that `child` is reached through `parent`.
    pub(super) fn place(&self, plan: &Plan, child: TargetId, parent: TargetId) -> Option<Place> {
        let own = own(&self.own, child.index());
        if let Some((_, _, place)) = own.iter().find(|(_, it, _)| *it == parent) {
            return Some(*place);
        }
        let group = self.groups.get(plan.target(child)?.group?.index())?;
        group.iter().find(|(it, _)| *it == parent).map(|(_, place)| *place)
    }
}

/// Gives the targets of the plan their parents; `groups` are those of the plan, in its order.
pub(super) fn resolve(
    written: Written,
    groups: &[&RawGroup],
    devices: &Devices,
    plan: &mut Plan,
    problems: &mut Problems,
) -> Links {
    let mut links = Links::default();
    for link in &written.links {
        let parent = devices.require(&link.parent, link.place, problems);
        links.own.extend(link.child.zip(parent).map(|(child, parent)| (child, parent, link.place)));
    }
    for group in groups {
        let parents = group.parents.iter().flat_map(|parents| &parents.value);
        let found = parents.filter_map(|name| Some((devices.require(&name.value, name.place, problems)?, name.place)));
        links.groups.push(found.collect());
    }
    if links.own.is_empty() && links.groups.iter().all(Vec::is_empty) {
        return links;
    }
    let targets = std::mem::take(&mut plan.targets).into_iter().enumerate();
    plan.targets = targets.map(|(index, target)| with_parents(index, target, &written.none, &links)).collect();
    links
}

fn with_parents(index: usize, target: Target, none: &[u32], links: &Links) -> Target {
    let own = own(&links.own, index);
    let mut parents: Vec<TargetId> = own.iter().map(|(_, parent, _)| *parent).collect();
    if parents.is_empty() && u32::try_from(index).is_ok_and(|index| none.binary_search(&index).is_err()) {
        let group = target.group.map(GroupId::index).and_then(|group| links.groups.get(group));
        parents = group.into_iter().flatten().map(|(parent, _)| *parent).collect();
        if parents.contains(&TargetId::from_index(index)) {
            return target;
        }
    }
    let mut seen = HashSet::new();
    parents.retain(|parent| seen.insert(*parent));
    if parents.is_empty() { target } else { target.with_parents(parents) }
}

/// What a target says itself.
fn own(links: &[(u32, TargetId, Place)], index: usize) -> &[(u32, TargetId, Place)] {
    let from = links.partition_point(|(child, ..)| (*child as usize) < index);
    let to = links.partition_point(|(child, ..)| (*child as usize) <= index);
    links.get(from..to).unwrap_or(&[])
}
