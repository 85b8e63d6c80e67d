//! What the operators of a world want: the configuration and how it changes, and when somebody acknowledges an outage or
//! enters a maintenance. It is settled before the first check.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::chance::{between, exponential, source, troubles};
use super::class::Class;
use super::fate::BEGINNING;
use super::network::Device;
use super::options::WorldOptions;
use super::span::Span;
use crate::model::{
    Budget, Calendar, Group, GroupId, Host, Maintenance, Mono, NotifierPolicy, Period, Plan, Scope, Settings, Target,
    TargetId,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// How many groups there are.
const GROUPS: usize = 4;

/// What netwatch is told to do, from some time on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Version {
    /// When it was written.
    pub written: Mono,
    /// The plan.
    pub plan: Arc<Plan>,
    /// Which device each target is.
    pub devices: Vec<usize>,
    /// Which target each device is, if it is one.
    pub targets: Vec<Option<TargetId>>,
}

impl Version {
    /// The target that a device is.
    pub fn target(&self, device: usize) -> Option<&Target> {
        self.plan.target(self.targets.get(device).copied().flatten()?)
    }
}

/// Somebody enters a maintenance, and may end it before its time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Work {
    /// When it is entered.
    pub at: Mono,
    /// On which devices.
    pub devices: Vec<usize>,
    /// How long it is to last.
    pub length: Duration,
    /// How long after its beginning it is ended, if it is.
    pub ends_after: Option<Duration>,
}

/// What the operators want.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Operators {
    /// The configuration, and each later one.
    pub versions: Vec<Version>,
    /// When somebody looks at what is down and acknowledges one of it.
    pub acknowledge: Vec<Mono>,
    /// When somebody rehearses an outage.
    pub drills: Vec<Mono>,
    /// Maintenances that are entered.
    pub works: Vec<Work>,
}

/// A device as it is configured.
#[derive(Debug, Clone)]
struct Entry {
    name: Arc<str>,
    is_present: bool,
    is_paused: bool,
    is_critical: bool,
    settings: usize,
    parents: Vec<usize>,
    renamed: u32,
}

struct Config {
    seed: u64,
    entries: Vec<Entry>,
    order: Vec<usize>,
    settings: Vec<Arc<Settings>>,
    notifiers: Vec<NotifierPolicy>,
    maintenance: Vec<Maintenance>,
    has_witnesses: bool,
}

impl Operators {
    pub(super) fn new(options: &WorldOptions, devices: &[Device], has_witnesses: bool) -> Operators {
        let end = Mono::ZERO.plus(options.turmoil);
        let times = |class: Class, tag: &str, rest: Duration| -> Vec<Mono> {
            if !options.classes.has(class) {
                return Vec::new();
            }
            let spans = troubles(&mut source(options.seed, tag, 0), end, rest, |_| Duration::from_secs(1));
            spans.iter().map(|span| span.from).collect()
        };
        let mut config = Config::new(options, devices, has_witnesses);
        let mut versions = vec![config.version(Mono::ZERO)];
        for (number, at) in times(Class::Reload, "reload", 3 * HOUR).into_iter().enumerate() {
            let mut rng = source(options.seed, "change", number);
            for _ in 0..rng.u8(0..4) {
                config.change(&mut rng, devices);
            }
            versions.push(config.version(at));
        }
        let works = times(Class::Maintenance, "works", 4 * HOUR).into_iter().enumerate().map(|(number, at)| {
            let mut rng = source(options.seed, "work", number);
            let some = (0..rng.usize(1..6)).map(|_| rng.usize(0..devices.len())).collect();
            let ends_after = rng.bool().then(|| exponential(&mut rng, 20 * MINUTE));
            Work { at, devices: some, length: between(&mut rng, MINUTE, 2 * HOUR), ends_after }
        });
        let works = works.collect();
        let acknowledge = times(Class::Acknowledge, "acknowledge", HOUR / 2);
        Operators { versions, acknowledge, drills: times(Class::Drill, "drill", 3 * HOUR), works }
    }
}

impl Config {
    fn new(options: &WorldOptions, devices: &[Device], has_witnesses: bool) -> Config {
        let entries = devices.iter().enumerate().map(|(number, device)| {
            let mut rng = source(options.seed, "entry", number);
            let is_forgotten = rng.u8(0..10) == 0;
            Entry {
                name: format!("device-{number}").into(),
                is_present: !options.classes.has(Class::Reload) || rng.u8(0..10) > 0,
                is_paused: options.classes.has(Class::Reload) && rng.u8(0..40) == 0,
                is_critical: options.classes.has(Class::Policy) && rng.u8(0..15) == 0,
                settings: rng.usize(0..7),
                parents: if is_forgotten { Vec::new() } else { device.uplinks.clone() },
                renamed: 0,
            }
        });
        let mut notifiers = vec![policy(options, 0), policy(options, 1)];
        if source(options.seed, "third notifier", 0).bool() {
            notifiers.push(policy(options, 2));
        }
        Config {
            seed: options.seed,
            entries: entries.collect(),
            order: (0..devices.len()).collect(),
            settings: settings(),
            notifiers,
            maintenance: maintenance(options),
            has_witnesses,
        }
    }

    fn version(&self, written: Mono) -> Version {
        let present: Vec<usize> = self.order.iter().copied().filter(|at| self.entries[*at].is_present).collect();
        let mut targets = vec![None; self.entries.len()];
        for (place, device) in present.iter().enumerate() {
            targets[*device] = Some(TargetId::from_index(place));
        }
        let target = |device: &usize| {
            let entry = &self.entries[*device];
            let address = Ipv4Addr::from(0x0a00_0000 + u32::try_from(*device).unwrap_or(0));
            let mut target = Target::at(entry.name.clone(), address.into())
                .with_settings(self.settings[entry.settings].clone())
                .with_group(GroupId::from_index(device % GROUPS))
                .with_parents(entry.parents.iter().filter_map(|parent| targets[*parent]));
            if device.is_multiple_of(3) {
                target = target.with_tags(["centro"]);
            }
            target.customers = Some(10 * u32::try_from(*device).unwrap_or(0));
            (target.paused, target.critical) = (entry.is_paused, entry.is_critical);
            target
        };
        let mut plan = Plan::new(present.iter().map(target).collect());
        plan.groups = (0..GROUPS).map(|number| Group::new(format!("group-{number}"))).collect();
        plan.notifiers = self.notifiers.clone();
        plan.maintenance = self.maintenance.clone();
        if self.has_witnesses {
            let host = |last| Host::Ip { ip: Ipv4Addr::new(192, 0, 2, last).into(), zone: None };
            plan.witnesses = vec![host(1), host(2)];
        }
        Version { written, plan: Arc::new(plan), devices: present, targets }
    }

    /// Somebody changes one thing in the configuration.
    fn change(&mut self, rng: &mut Rng, devices: &[Device]) {
        let device = rng.usize(0..self.entries.len());
        let number = self.entries.len();
        let entry = &mut self.entries[device];
        match rng.u8(0..10) {
            0 | 1 => entry.is_present = !entry.is_present,
            2 => {
                entry.renamed += 1;
                entry.name = format!("device-{device}.{}", entry.renamed).into();
            }
            3 => entry.settings = rng.usize(0..7),
            4 if entry.parents.is_empty() => entry.parents.clone_from(&devices[device].uplinks),
            4 => entry.parents.clear(),
            5 => entry.is_paused = !entry.is_paused,
            6 => {
                let policy = &mut self.notifiers[rng.usize(0..2)];
                policy.min_interval = MINUTE * rng.u32(10..60);
                policy.group_interval = MINUTE * rng.u32(0..5);
            }
            7 => match self.notifiers.iter().position(|policy| &*policy.name == "notifier-3") {
                Some(place) => drop(self.notifiers.remove(place)),
                None => {
                    let mut policy = NotifierPolicy::new("notifier-3");
                    policy.recipients = vec![format!("new@{:x}.test", self.seed).into()];
                    self.notifiers.push(policy);
                }
            },
            8 => {
                let other = rng.usize(0..number);
                self.order.swap(device, other);
            }
            _ => rng.shuffle(&mut self.order),
        }
    }
}

/// The settings that devices have, one of these each. They fit a day of about 72,000 checks.
fn settings() -> Vec<Arc<Settings>> {
    let of = |interval: u64, pings: u16, tolerance: u64, settle: u64| {
        let seconds = Duration::from_secs;
        let (interval, tolerance, settle) = (seconds(interval), seconds(tolerance), seconds(settle));
        Arc::new(Settings { interval, pings, tolerance, settle, ..Settings::default() })
    };
    let most = of(60, 5, 30, 60);
    vec![most.clone(), most.clone(), most, of(60, 5, 120, 60), of(60, 3, 0, 0), of(60, 2, 300, 180), of(30, 5, 30, 60)]
}

/// How a notifier is configured; the first is for everything.
fn policy(options: &WorldOptions, number: usize) -> NotifierPolicy {
    let mut rng = source(options.seed, "policy", number);
    let mut policy = NotifierPolicy::new(format!("notifier-{number}"));
    policy.recipients = (0..rng.u8(1..4)).map(|to| format!("person-{to}@notifier-{number}.test").into()).collect();
    if !options.classes.has(Class::Policy) {
        return policy;
    }
    policy.budget = if rng.u8(0..4) == 0 { Budget::All } else { Budget::Target };
    policy.min_interval = MINUTE * [20, 60, 60][rng.usize(0..3)];
    policy.group_interval = MINUTE * [0, 2, 2, 10][rng.usize(0..4)];
    policy.recovery = rng.u8(0..4) > 0;
    if rng.u8(0..3) == 0 {
        // Neither the calm nor a clock that steps may fall into it for long.
        let silence = BEGINNING.plus(options.turmoil.mul_f64(0.4 * rng.f64()));
        let speaks = [
            Period::new(BEGINNING.minus(DAY), silence),
            Period::new(silence.plus(options.turmoil.mul_f64(0.05 + 0.2 * rng.f64())), BEGINNING.plus(3 * DAY)),
        ];
        policy.hours = Some(Calendar::new(speaks));
    }
    if rng.u8(0..4) == 0 {
        policy.reminder = Some(HOUR * rng.u32(1..6));
    }
    if rng.u8(0..5) == 0 {
        policy.summaries = [BEGINNING.plus(7 * HOUR), BEGINNING.plus(19 * HOUR)].into();
    }
    if number > 0 {
        policy.scope = match rng.u8(0..4) {
            0 => Scope::groups([format!("group-{}", rng.usize(0..GROUPS))]),
            1 => Scope::tags(["centro"]),
            2 => Scope::targets((0..5).map(|_| format!("device-{}", rng.usize(0..50)))),
            _ => Scope::everything(),
        };
    }
    if rng.u8(0..3) == 0 {
        policy.escalate_to = Some(format!("notifier-{}", (number + 1) % 2).into());
        policy.escalate_after = MINUTE * rng.u32(5..60);
    }
    policy
}

/// The maintenances of the configuration.
fn maintenance(options: &WorldOptions) -> Vec<Maintenance> {
    if !options.classes.has(Class::Maintenance) {
        return Vec::new();
    }
    let mut rng = source(options.seed, "configured maintenance", 0);
    let span = |rng: &mut Rng| {
        let from = BEGINNING.plus(options.turmoil.mul_f64(rng.f64() * 0.8));
        Calendar::new([Period::new(from, from.plus(between(rng, 10 * MINUTE, 2 * HOUR)))])
    };
    let number = rng.u8(0..3);
    let one = |_| {
        let scope = Scope::groups([format!("group-{}", rng.usize(0..GROUPS))]);
        let mut maintenance = Maintenance::new(scope, span(&mut rng));
        maintenance.reason = "mudanza de fibra".into();
        maintenance
    };
    (0..number).map(one).collect()
}

/// The stretch that a maintenance is entered for.
pub(super) fn stretch(work: &Work) -> Span {
    Span::new(work.at, work.at.plus(work.length))
}
