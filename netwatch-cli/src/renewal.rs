//! Calendars reach 400 days ahead, and a daemon runs for longer: from time to time the plan in force gets new ones, made
//! from the rules that were read with it. The file is not read again for that.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netwatch_core::{Plan, Reload, Start, StatusSink, Transition, Wall, async_trait};

use crate::config::Config;
use crate::wire::{self, StartError};

/// Calendars are made anew when they are this old: long before they end, and seldom.
const OLD: Duration = Duration::from_secs(30 * 24 * 3600);

/// The plan in force, as every sink is told: a million targets are not kept twice for this.
#[derive(Debug, Default)]
pub(crate) struct InForce(Mutex<Option<Arc<Plan>>>);

impl InForce {
    /// The plan, if it is known.
    pub(crate) fn plan(&self) -> Option<Arc<Plan>> {
        self.lock().clone()
    }

    /// The plan, which is not known from now on until the next start: another one is about to come.
    pub(crate) fn take(&self) -> Option<Arc<Plan>> {
        self.lock().take()
    }

    /// The plan that was taken stays in force after all.
    pub(crate) fn put_back(&self, plan: Option<Arc<Plan>>) {
        let mut known = self.lock();
        if known.is_none() {
            *known = plan;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Plan>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StatusSink for InForce {
    async fn start(&self, start: &Start) {
        *self.lock() = Some(start.plan.clone());
    }

    async fn transitions(&self, _: &[Transition]) {}
}

/// Whether calendars that were made then are to be made anew: they are old, or the clock has been set to before.
pub(crate) fn is_due(made: Wall, now: Wall) -> bool {
    now.since(made) >= OLD || now < made
}

/// The configuration's plan with these targets and new calendars, and everything that goes with it. The page is served at
/// `bound`.
///
/// # Errors
/// When a notifier cannot be made any more.
pub(crate) fn renewed(
    config: &mut Config,
    plan: &Plan,
    now: Wall,
    bound: SocketAddr,
    data_dir: &Path,
) -> Result<Reload, StartError> {
    config.plan.targets = plan.targets.clone();
    config.calendars.renew(&mut config.plan, now);
    let told = wire::told(config, bound, data_dir)?;
    let mut reload = Reload::new(told.plan).with_render(told.words);
    reload.notifiers = told.notifiers;
    Ok(reload)
}

#[cfg(test)]
mod tests {
    use netwatch_core::{Mono, Now};

    use super::*;
    use crate::config::{self, Purpose};

    #[test]
    fn calendars_are_made_anew_once_a_month_and_when_the_clock_goes_back() {
        let hours = |hours: i64| Wall::from_unix_nanos((500_000 + hours) * 3_600_000_000_000);
        for (now, due) in [(0, false), (719, false), (720, true), (50_000, true), (-1, true)] {
            assert_eq!(is_due(hours(0), hours(now)), due, "{now} hours later");
        }
    }

    #[test]
    fn the_plan_in_force_gets_new_calendars_and_keeps_its_targets() {
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/isp.toml"));
        let mut config = config::load(Some(file), Purpose::Look).unwrap().config;
        let (bound, dir) = (config.listen, Path::new("/nowhere"));
        let first = wire::told(&mut config, bound, dir).unwrap().plan;
        assert!(config.plan.targets.is_empty() && config.calendars.run_out());
        // A Sunday years from now, 03:00 in Asunción.
        let now: jiff::Timestamp = "2040-03-04T06:00:00Z".parse().unwrap();
        let wall = Wall::from_unix_nanos(i64::try_from(now.as_nanosecond()).unwrap());
        assert!(!first.maintenance[0].calendar.contains(wall));
        let next = renewed(&mut config, &first, wall, bound, dir).unwrap().plan;
        assert_eq!(next.targets, first.targets);
        assert!(next.maintenance[0].calendar.contains(wall));
        assert!(config.plan.targets.is_empty(), "they are not kept twice");
    }

    #[tokio::test]
    async fn a_plan_that_is_about_to_be_replaced_is_not_the_one_in_force() {
        let in_force = InForce::default();
        assert!(in_force.plan().is_none(), "before the start");
        let plan = Arc::new(Plan::default());
        let now = Now::new(Mono::ZERO, Wall::from_unix_nanos(0));
        in_force.start(&Start::new(now, plan.clone(), Vec::new())).await;
        let taken = in_force.take();
        assert!(taken.is_some() && in_force.plan().is_none());
        in_force.put_back(taken);
        assert!(Arc::ptr_eq(&in_force.plan().unwrap(), &plan));
    }
}
