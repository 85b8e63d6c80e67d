//! Which targets something is for: a notifier, a maintenance.

use std::sync::Arc;

use super::plan::Plan;
use super::target::Target;

/// A choice of targets, by their names, their groups or their tags; an empty one means everything.
///
/// It speaks of names, so that it means the same under the next plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Scope {
    /// Every target of these groups, by name.
    pub groups: Vec<Arc<str>>,
    /// These targets, by name.
    pub targets: Vec<Arc<str>>,
    /// Every target with one of these tags.
    pub tags: Vec<Arc<str>>,
}

impl Scope {
    /// Everything.
    pub fn everything() -> Scope {
        Scope::default()
    }

    /// The targets of these names.
    pub fn targets<T: Into<Arc<str>>>(names: impl IntoIterator<Item = T>) -> Scope {
        Scope { targets: names.into_iter().map(Into::into).collect(), ..Scope::default() }
    }

    /// The targets of the groups of these names.
    pub fn groups<T: Into<Arc<str>>>(names: impl IntoIterator<Item = T>) -> Scope {
        Scope { groups: names.into_iter().map(Into::into).collect(), ..Scope::default() }
    }

    /// The targets with one of these tags.
    pub fn tags<T: Into<Arc<str>>>(tags: impl IntoIterator<Item = T>) -> Scope {
        Scope { tags: tags.into_iter().map(Into::into).collect(), ..Scope::default() }
    }

    /// Whether it is everything.
    pub fn is_everything(&self) -> bool {
        self.groups.is_empty() && self.targets.is_empty() && self.tags.is_empty()
    }

    /// Whether it holds this target of this plan.
    pub fn holds(&self, plan: &Plan, target: &Target) -> bool {
        self.is_everything()
            || plan.group_of(target).is_some_and(|group| self.groups.contains(group))
            || self.targets.contains(&target.name)
            || target.tags().iter().any(|tag| self.tags.contains(tag))
    }
}
