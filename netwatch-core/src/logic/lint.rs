//! What a plan would do wrong: it can be carried out as it is, and yet is hardly meant. Whoever reads a configuration
//! says so before anything is started, and embedders may ask the same of a plan of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rate::{RouterNeed, router_needs};
use super::topology::parent_cycle;
use crate::model::{Host, NotifierId, Plan, Settings, TargetId};

/// Cycles that are told of at once; whoever has more is told of the next ones when these are gone.
const MOST_CYCLES: usize = 10;

/// Something that people are told or shown through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Service {
    /// The server that takes this notifier's mails.
    Mail(NotifierId),
    /// The page.
    Page,
}

/// What settings would do wrong wherever they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SettingsFinding {
    /// The tolerance is shorter than a check, and so cannot be kept: an outage opens only when a check is over. None at
    /// all is another matter, it means "at the first silent check".
    HastyTolerance,
    /// No reply can take longer than `warn_rtt`: at `timeout` it is lost.
    DeafWarning,
}

/// What a plan would do wrong.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// Targets whose settings do it.
    Settings {
        /// What.
        what: SettingsFinding,
        /// The first of them.
        target: TargetId,
        /// How many there are that share these settings.
        targets: usize,
    },
    /// A target is behind itself. Such a plan must not be carried out.
    Cycle(
        /// Each is reached through the next, and the last through the first.
        Vec<TargetId>,
    ),
    /// A parent is asked so seldom that children would be due before its own silence is known. They wait for it, and
    /// so are told of later than their tolerance says.
    LateParent {
        /// The parent.
        parent: TargetId,
        /// The child that waits longest beyond its tolerance.
        child: TargetId,
        /// How many wait.
        children: usize,
        /// How long the parent's silence may stay unknown: its interval and a check.
        known_after: Duration,
        /// How long after it fell silent the child would be due: its tolerance, but at least a check.
        due_after: Duration,
    },
    /// The router of a group bears less than its interval needs. netwatch would not ask less often.
    RouterRate(RouterNeed),
    /// People are told or shown through a device that is watched: while it is down, or what it is reached through,
    /// nobody hears of it.
    Behind {
        /// What they are told through.
        service: Service,
        /// The device.
        target: TargetId,
    },
}

/// What is wrong with settings by themselves.
///
/// ```
/// use netwatch_core::{Settings, SettingsFinding, lint_settings};
/// use std::time::Duration;
/// let mut settings = Settings::default();
/// assert_eq!(lint_settings(&settings), []);
/// settings.tolerance = Duration::from_secs(1);
/// assert_eq!(lint_settings(&settings), [SettingsFinding::HastyTolerance]);
/// ```
pub fn lint_settings(settings: &Settings) -> Vec<SettingsFinding> {
    let hasty = !settings.tolerance.is_zero() && settings.tolerance < settings.check_duration();
    let deaf = settings.warn_rtt >= settings.timeout;
    let hasty = hasty.then_some(SettingsFinding::HastyTolerance);
    hasty.into_iter().chain(deaf.then_some(SettingsFinding::DeafWarning)).collect()
}

/// What is wrong with a plan, where its mail servers and its page are at `services`.
///
/// A service is taken to be behind a target if it has the target's very address, or name: names are not looked up. What
/// is on this machine itself (a loopback or unspecified address, `localhost`) is behind nothing. A notifier that
/// escalates to another has a second way, and is not told of.
///
/// The time it takes grows with the plan and no faster, cycles or not.
pub fn lint(plan: &Plan, services: &[(Service, Host)]) -> Vec<Finding> {
    let mut found = settings(plan);
    found.extend(cycles(plan));
    found.extend(late_parents(plan));
    let unborne = |need: &RouterNeed| {
        let rate = plan.groups.get(need.group.index()).and_then(|group| group.router_rate);
        rate.is_some_and(|rate| u64::from(rate.get()) < need.busiest_second)
    };
    found.extend(router_needs(plan).into_iter().filter(unborne).map(Finding::RouterRate));
    found.extend(behind(plan, services));
    found
}

fn settings(plan: &Plan) -> Vec<Finding> {
    // Targets share their settings, so that each copy is judged once.
    let mut known: BTreeMap<*const Settings, (TargetId, usize)> = BTreeMap::new();
    for (index, target) in plan.targets.iter().enumerate() {
        let (_, count) =
            known.entry(std::sync::Arc::as_ptr(&target.settings)).or_insert((TargetId::from_index(index), 0));
        *count = count.saturating_add(1);
    }
    let mut first: Vec<(TargetId, usize)> = known.into_values().collect();
    first.sort_unstable();
    let judged = first.into_iter().flat_map(|(target, targets)| {
        let settings = plan.target(target).map(|target| lint_settings(&target.settings));
        settings.into_iter().flatten().map(move |what| Finding::Settings { what, target, targets })
    });
    judged.collect()
}

fn cycles(plan: &Plan) -> Vec<Finding> {
    let Some(mut cycle) = parent_cycle(plan) else { return Vec::new() };
    // To find the next one, this one is opened.
    let mut plan = plan.clone();
    let mut found = Vec::new();
    loop {
        let link = cycle.first().copied().zip(cycle.get(1).or(cycle.first()).copied());
        found.push(Finding::Cycle(cycle));
        let opened = link.and_then(|(child, parent)| {
            let target = plan.targets.get_mut(child.index())?;
            let others: Vec<TargetId> = target.parents().iter().copied().filter(|other| *other != parent).collect();
            *target = target.clone().with_parents(others);
            Some(())
        });
        match opened.filter(|()| found.len() < MOST_CYCLES).and_then(|()| parent_cycle(&plan)) {
            Some(next) => cycle = next,
            None => return found,
        }
    }
}

fn late_parents(plan: &Plan) -> impl Iterator<Item = Finding> {
    /// The child that waits longest so far, when it would be due, and how many wait.
    struct Late {
        child: TargetId,
        due_after: Duration,
        children: usize,
    }
    let known_after = |settings: &Settings| settings.interval.saturating_add(settings.check_duration());
    let mut late: BTreeMap<TargetId, Late> = BTreeMap::new();
    for (index, child) in plan.targets.iter().enumerate().filter(|(_, child)| !child.paused) {
        let due_after = child.settings.tolerance.max(child.settings.check_duration());
        for id in child.parents() {
            let waits = plan.target(*id).is_some_and(|it| !it.paused && known_after(&it.settings) > due_after);
            if !waits {
                continue;
            }
            let child = TargetId::from_index(index);
            let worst = late.entry(*id).or_insert(Late { child, due_after, children: 0 });
            worst.children = worst.children.saturating_add(1);
            if due_after < worst.due_after {
                (worst.child, worst.due_after) = (child, due_after);
            }
        }
    }
    late.into_iter().filter_map(move |(parent, Late { child, due_after, children })| {
        let known_after = known_after(&plan.target(parent)?.settings);
        Some(Finding::LateParent { parent, child, children, known_after, due_after })
    })
}

fn behind(plan: &Plan, services: &[(Service, Host)]) -> Vec<Finding> {
    let has_a_second_way = |service: &Service| match service {
        Service::Mail(notifier) => plan.notifiers.get(notifier.index()).is_some_and(|it| it.escalate_to.is_some()),
        Service::Page => false,
    };
    let elsewhere: Vec<&(Service, Host)> =
        services.iter().filter(|(service, host)| !has_a_second_way(service) && !is_here(host)).collect();
    if elsewhere.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, target) in plan.targets.iter().enumerate().filter(|(_, target)| !target.paused) {
        for (service, _) in elsewhere.iter().filter(|(_, host)| is_same(host, &target.host)) {
            found.push(Finding::Behind { service: *service, target: TargetId::from_index(index) });
        }
    }
    found
}

/// Whether this is the machine that netwatch runs on.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Ip { ip, .. } => ip.to_canonical().is_loopback() || ip.is_unspecified(),
        Host::Name { name, .. } => without_dot(name).eq_ignore_ascii_case("localhost"),
    }
}

/// Whether both are one machine, as far as can be said without a lookup.
fn is_same(one: &Host, other: &Host) -> bool {
    match (one, other) {
        (Host::Ip { ip: one, zone: here }, Host::Ip { ip: other, zone: there }) => one == other && here == there,
        (Host::Name { name: one, .. }, Host::Name { name: other, .. }) => {
            without_dot(one).eq_ignore_ascii_case(without_dot(other))
        }
        _ => false,
    }
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::model::{Group, GroupId, NotifierPolicy, Target};

    fn id(index: usize) -> TargetId {
        TargetId::from_index(index)
    }

    fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings = Settings::default();
        change(&mut settings);
        settings
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn target(number: usize, change: impl FnOnce(&mut Settings)) -> Target {
        Target::at(format!("t{number}"), [192, 0, 2, 1].into()).with_settings(settings(change))
    }

    fn host(text: &str) -> Host {
        match text.parse() {
            Ok(ip) => Host::Ip { ip, zone: None },
            Err(_) => Host::Name { name: text.into(), family: None },
        }
    }

    #[test]
    fn nothing_is_said_of_a_plan_as_it_should_be() {
        let child = target(1, |_| {}).with_parents([id(0)]);
        let plan = Plan::new(vec![target(0, |_| {}), child]).with_notifier(NotifierPolicy::new("noc"));
        let services =
            [(Service::Mail(NotifierId::from_index(0)), host("198.51.100.25")), (Service::Page, host("::1"))];
        assert_eq!(lint(&plan, &services), []);
        assert_eq!(lint(&Plan::default(), &[]), []);
    }

    #[test]
    fn settings_are_judged_once_however_many_share_them() {
        let hasty = target(0, |it| it.tolerance = seconds(5));
        let same = Target::at("t1", [192, 0, 2, 2].into()).with_settings(hasty.settings.clone());
        let deaf = target(2, |it| (it.warn_rtt, it.tolerance) = (seconds(2), Duration::ZERO));
        let exact = target(3, |it| it.tolerance = it.check_duration());
        let found = lint(&Plan::new(vec![hasty, same, deaf, exact]), &[]);
        let settings = |what, target: usize, targets| Finding::Settings { what, target: id(target), targets };
        let expected = [settings(SettingsFinding::HastyTolerance, 0, 2), settings(SettingsFinding::DeafWarning, 2, 1)];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_parent_must_be_asked_within_its_childrens_tolerance() {
        let late = |interval: u64, tolerances: &[u64], paused: bool| {
            let mut parent = target(0, |it| it.interval = seconds(interval));
            parent.paused = paused;
            let children = tolerances.iter().enumerate().map(|(index, tolerance)| {
                target(index + 1, |it| it.tolerance = seconds(*tolerance)).with_parents([id(0)])
            });
            lint(&Plan::new(std::iter::once(parent).chain(children).collect()), &[])
        };
        assert_eq!(late(24, &[30, 31], false), [], "24 s and a check of 6 s are just in time");
        assert_eq!(late(300, &[30], true), [], "who is not asked is waited for by nobody");
        let expected = Finding::LateParent {
            parent: id(0),
            child: id(2),
            children: 2,
            known_after: seconds(66),
            due_after: seconds(30),
        };
        assert_eq!(late(60, &[60, 30, 120], false), [expected]);
        let equal = late(60, &[40, 40], false);
        assert!(
            matches!(equal[..], [Finding::LateParent { child, .. }] if child == id(1)),
            "of equals the first in the file is named: {equal:?}"
        );
        let at_once = late(10, &[0], false);
        assert!(
            matches!(at_once[..], [Finding::LateParent { due_after, .. }] if due_after == seconds(6)),
            "{at_once:?}"
        );
    }

    #[test]
    fn every_cycle_is_told_of() {
        let reached =
            |number: usize, through: &[usize]| target(number, |_| {}).with_parents(through.iter().copied().map(id));
        let plan = Plan::new(vec![reached(0, &[1]), reached(1, &[0]), reached(2, &[2, 0]), reached(3, &[2])]);
        assert_eq!(lint(&plan, &[]), [Finding::Cycle(vec![id(0), id(1)]), Finding::Cycle(vec![id(2)])]);
        let many: Vec<Target> = (0..100_000).map(|number| reached(number, &[(number + 1) % 100_000, number])).collect();
        let found = lint(&Plan::new(many), &[]);
        assert_eq!(found.len(), MOST_CYCLES, "of very many some are enough, and no stack is used up");
    }

    #[test]
    fn a_router_that_bears_too_little_is_told_of() {
        let member = target(0, |_| {}).with_group(GroupId::from_index(0));
        let mut plan = Plan::new(vec![member]);
        plan.groups.push(Group::new("DSLAM"));
        let mut rate = |rate: Option<u32>| {
            plan.groups[0].router_rate = rate.and_then(NonZeroU32::new);
            lint(&plan, &[]).len()
        };
        let need = 1;
        assert_eq!((rate(None), rate(Some(need))), (0, 0));
        for target in &mut plan.targets {
            target.settings = settings(|it| it.spacing = Duration::from_millis(100)).into();
        }
        plan.groups[0].router_rate = NonZeroU32::new(4);
        assert!(matches!(lint(&plan, &[])[..], [Finding::RouterRate(need)] if need.busiest_second == 5));
    }

    #[test]
    fn a_service_at_the_address_of_a_target_is_behind_it() {
        let mut named = Target::new("mail", host("mail.example.net"));
        let mut plan = Plan::new(vec![target(0, |_| {}), named.clone()]).with_notifier(NotifierPolicy::new("noc"));
        let mail = Service::Mail(NotifierId::from_index(0));
        let behind = |plan: &Plan, service: Service, at: &str| lint(plan, &[(service, host(at))]);
        let found = |service: Service, target: usize| vec![Finding::Behind { service, target: id(target) }];
        assert_eq!(behind(&plan, mail, "192.0.2.1"), found(mail, 0));
        assert_eq!(behind(&plan, Service::Page, "192.0.2.1"), found(Service::Page, 0));
        assert_eq!(behind(&plan, mail, "Mail.example.net."), found(mail, 1));
        assert_eq!(behind(&plan, mail, "192.0.2.2"), []);
        assert_eq!(behind(&plan, mail, "example.net"), []);
        plan.notifiers[0].escalate_to = Some("other".into());
        assert_eq!(behind(&plan, mail, "192.0.2.1"), [], "there is another way");
        named.paused = true;
        let here = [Target::new("a", host("127.0.0.1")), Target::new("b", host("localhost")), named];
        let plan = Plan::new(here.into()).with_notifier(NotifierPolicy::new("noc"));
        for at in ["127.0.0.1", "localhost", "0.0.0.0", "mail.example.net"] {
            assert_eq!(behind(&plan, mail, at), [], "{at}");
        }
    }
}
