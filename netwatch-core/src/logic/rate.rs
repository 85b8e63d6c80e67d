//! What a router has to bear: how many echoes its group's devices are sent in the busiest second.
//!
//! Devices behind a router with a rate of its own are asked in even steps of `interval / members`, those with other
//! pings, spacing or interval in steps of their own. Each check then sends its echoes `spacing` apart, so what the
//! router sees of equal devices are `pings` combs with the same step, and their fullest second can be counted exactly.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{GroupId, Plan, Settings, Target};

const SECOND: i128 = 1_000_000_000;

/// What the router before a group must bear.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RouterNeed {
    /// The group.
    pub group: GroupId,
    /// How many of its devices are asked.
    pub members: usize,
    /// Echoes a second on average.
    pub mean: f64,
    /// The most echoes that begin within any second.
    pub busiest_second: u64,
}

/// Targets of one group that are asked in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Alike {
    pub(super) group: GroupId,
    pub(super) interval: Duration,
    pub(super) pings: u16,
    pub(super) spacing: Duration,
}

impl Alike {
    /// Who asks a target's siblings in the same way; `None` if its group has no rate, or it is not asked.
    pub(super) fn of(plan: &Plan, target: &Target) -> Option<Alike> {
        let group =
            target.group.filter(|group| plan.groups.get(group.index()).is_some_and(|it| it.router_rate.is_some()))?;
        let Settings { interval, pings, spacing, .. } = *target.settings;
        (!target.paused && !interval.is_zero()).then_some(Alike { group, interval, pings, spacing })
    }

    /// The most echoes that begin within any second when `members` of these are asked in even steps.
    fn busiest_second(&self, members: usize) -> u64 {
        // In units of 1/members ns every time is a whole number.
        let members = members as i128;
        let (step, window) = (nanos(self.interval), SECOND * members);
        let begins = |echo: u16| nanos(self.spacing) * i128::from(echo) * members;
        let among = |from: i128| -> i128 {
            let upto = |echo: u16, end: i128| ceil_div(end - begins(echo), step);
            (0..self.pings).map(|echo| upto(echo, from + window) - upto(echo, from)).sum()
        };
        // The fullest second begins with an echo.
        let most = (0..self.pings).map(|echo| among(begins(echo))).max().unwrap_or(0);
        u64::try_from(most).unwrap_or(u64::MAX)
    }
}

/// What the router of each group needs that has a `router_rate`, in the order of the groups.
///
/// A rate below [`RouterNeed::busiest_second`] cannot be kept: netwatch would have to ask less often than it was told
/// to, which it never does.
pub fn router_needs(plan: &Plan) -> Vec<RouterNeed> {
    let mut alike: BTreeMap<Alike, usize> = BTreeMap::new();
    for target in &plan.targets {
        if let Some(one) = Alike::of(plan, target) {
            let members = alike.entry(one).or_default();
            *members = members.saturating_add(1);
        }
    }
    let mut needs: Vec<RouterNeed> = Vec::new();
    for (one, members) in alike {
        let mean = members as f64 * f64::from(one.pings) / one.interval.as_secs_f64();
        let busiest_second = one.busiest_second(members);
        match needs.last_mut().filter(|need| need.group == one.group) {
            // Steps of different lengths meet sooner or later in their busiest seconds.
            Some(need) => {
                need.members = need.members.saturating_add(members);
                need.mean += mean;
                need.busiest_second = need.busiest_second.saturating_add(busiest_second);
            }
            None => needs.push(RouterNeed { group: one.group, members, mean, busiest_second }),
        }
    }
    needs
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

fn ceil_div(number: i128, by: i128) -> i128 {
    -(-number).div_euclid(by)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::logic::Schedule;
    use crate::model::{Group, Mono};
    use proptest::prelude::*;

    const ONE_SECOND: Duration = Duration::from_secs(1);

    fn plan(devices: &[(u64, u16, u64)]) -> Plan {
        let target = |(number, &(interval, pings, spacing)): (usize, &(u64, u16, u64))| {
            let settings = Settings {
                interval: Duration::from_millis(interval),
                pings,
                spacing: Duration::from_millis(spacing),
                ..Settings::default()
            };
            let target = Target::at(format!("t{number}"), [192, 0, 2, 1].into()).with_settings(settings);
            target.with_group(GroupId::from_index(0))
        };
        let mut plan = Plan::new(devices.iter().enumerate().map(target).collect());
        plan.groups.push(Group::new("DSLAM").with_router_rate(NonZeroU32::MIN));
        plan
    }

    /// When each echo leaves, for this long.
    fn sent(plan: &Plan, key: [u8; 16], long: Duration) -> Vec<Mono> {
        let mut due = Vec::new();
        Schedule::new(plan, key, Mono::ZERO).poll_due(Mono::ZERO.plus(long), &mut due);
        let echoes = due.iter().flat_map(|due| {
            let settings = &plan.targets[due.target.index()].settings;
            (0..settings.pings).map(|echo| due.at.plus(settings.spacing * u32::from(echo)))
        });
        let mut echoes: Vec<Mono> = echoes.collect();
        echoes.sort_unstable();
        echoes
    }

    fn fullest_second(sent: &[Mono]) -> u64 {
        let mut first = 0;
        let mut most = 0;
        for last in 0..sent.len() {
            while sent[last].since(sent[first]) >= ONE_SECOND {
                first += 1;
            }
            most = most.max(last - first + 1);
        }
        most as u64
    }

    proptest! {
        #[test]
        fn no_second_of_many_laps_is_busier_than_was_said(
            devices in prop::collection::vec(
                prop_oneof![
                    4 => Just((10_000_u64, 5_u16, 1000_u64)),
                    1 => (2000_u64..12_000, 1_u16..6, 1_u64..300),
                ],
                1..60,
            ),
            key: [u8; 16],
        ) {
            let plan = plan(&devices);
            let need = router_needs(&plan)[0];
            let most = fullest_second(&sent(&plan, key, Duration::from_secs(120)));
            prop_assert!(most <= need.busiest_second, "{most} echoes, and {need:?}");
            prop_assert!(need.busiest_second as f64 >= need.mean.floor());
        }

        #[test]
        fn of_equal_devices_it_is_said_exactly(members in 1_usize..80, interval in 300_u64..20_000, pings in 1_u16..9, spacing in 1_u64..1500) {
            let plan = plan(&vec![(interval, pings, spacing); members]);
            let need = router_needs(&plan)[0];
            let most = fullest_second(&sent(&plan, [3; 16], Duration::from_secs(80)));
            prop_assert_eq!(most, need.busiest_second);
        }
    }

    #[test]
    fn fifty_devices_need_what_their_interval_needs_and_no_more() {
        let need = router_needs(&plan(&[(10_000, 5, 1000); 50]))[0];
        assert_eq!((need.members, need.mean, need.busiest_second), (50, 25.0, 25));
    }

    #[test]
    fn devices_of_several_kinds_need_what_each_kind_needs() {
        let kinds = [vec![(10_000, 5, 1000); 20], vec![(20_000, 5, 1000); 24], vec![(10_000, 1, 1000); 10]].concat();
        let need = router_needs(&plan(&kinds))[0];
        assert_eq!((need.members, need.mean), (54, 10.0 + 6.0 + 1.0));
    }

    #[test]
    fn who_is_paused_or_behind_a_router_without_a_rate_needs_nothing() {
        let mut all = plan(&[(10_000, 5, 1000); 50]);
        for target in &mut all.targets {
            target.paused = target.name.len() > 2;
        }
        assert_eq!(router_needs(&all)[0].members, 10);
        all.groups[0].router_rate = None;
        assert!(router_needs(&all).is_empty());
    }
}
