//! Whether a plan and the parts that it names fit together: asked when netwatch is built, and again at every reload.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::BuildError;
use crate::model::Plan;

/// For each target of the plan, the place of its probe among `probes`; empty if there is only one.
///
/// # Errors
/// When a name is missing, superfluous or used twice.
pub(super) fn fit(plan: &Plan, probes: &[Arc<str>], notifiers: &[Arc<str>]) -> Result<Vec<usize>, BuildError> {
    unique("target", plan.targets.iter().map(|target| &target.name))?;
    unique("probe", probes.iter())?;
    unique("notifier", notifiers.iter())?;
    let places: HashMap<&str, usize> = probes.iter().enumerate().map(|(place, name)| (&**name, place)).collect();
    let mut prober_of = Vec::with_capacity(plan.targets.len());
    for target in &plan.targets {
        let place = places.get(target.probe()).copied();
        let missing = || BuildError::NoProbe { target: target.name.clone(), probe: target.probe().into() };
        prober_of.push(place.ok_or_else(missing)?);
    }
    if probes.len() == 1 {
        prober_of = Vec::new();
    }
    let planned: BTreeSet<&Arc<str>> = plan.notifiers.iter().map(|policy| &policy.name).collect();
    let given: BTreeSet<&Arc<str>> = notifiers.iter().collect();
    if let Some(name) = planned.difference(&given).next() {
        return Err(BuildError::NoNotifier { notifier: Arc::clone(name) });
    }
    if let Some(name) = given.difference(&planned).next() {
        return Err(BuildError::NotInPlan { notifier: Arc::clone(name) });
    }
    Ok(prober_of)
}

/// No two of these names are the same.
pub(super) fn unique<'a>(kind: &'static str, names: impl Iterator<Item = &'a Arc<str>>) -> Result<(), BuildError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(BuildError::SameName { kind, name: name.clone() });
        }
    }
    Ok(())
}
