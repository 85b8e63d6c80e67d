//! The plan: what a configuration means, validated. Everything downstream reads this and nothing else.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::calendar::Calendar;
use super::maintenance::Maintenance;
use super::scope::Scope;
use super::target::{Host, Target, TargetId};
use super::time::Wall;

/// The language of what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Locale {
    /// Spanish.
    #[default]
    Es,
    /// English.
    En,
}

impl Locale {
    /// The language tag: `es` or `en`.
    pub const fn code(self) -> &'static str {
        match self {
            Locale::Es => "es",
            Locale::En => "en",
        }
    }
}

/// A group's place in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(NonZeroU32);

impl GroupId {
    /// The group at this place; places beyond `u32::MAX - 1` become the last one.
    pub fn from_index(index: usize) -> GroupId {
        // One more than the place, so that no group takes no room of its own.
        let number = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        GroupId(NonZeroU32::new(number).unwrap_or(NonZeroU32::MAX))
    }

    /// The place in the plan's list of groups.
    pub const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Targets that are shown together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// Unique in the plan.
    pub name: Arc<str>,
    /// How many echoes a second the router before its members bears; no limit when absent, the default.
    pub router_rate: Option<NonZeroU32>,
}

impl Group {
    /// A group of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Group {
        Group { name: name.into(), router_rate: None }
    }

    /// The same group behind a router that bears this many echoes a second.
    #[must_use]
    pub fn with_router_rate(mut self, echoes_per_second: NonZeroU32) -> Group {
        self.router_rate = Some(echoes_per_second);
        self
    }
}

/// A notifier's place in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotifierId(u16);

impl NotifierId {
    /// The notifier at this place; places beyond `u16::MAX` become the last one.
    pub fn from_index(index: usize) -> NotifierId {
        NotifierId(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// The place in the plan's list of notifiers.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Between which mails `min_interval` must lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Budget {
    /// Between two mails that bring a new outage of the same device.
    #[default]
    Target,
    /// Between any two mails.
    All,
}

/// When a notifier may speak.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotifierPolicy {
    /// Unique in the plan; the runtime knows the notifier itself under the same name.
    pub name: Arc<str>,
    /// Who is told: mail addresses for mail, empty where the notifier has no such notion.
    pub recipients: Vec<Arc<str>>,
    /// How long the first line waits for others that fail with it; default 10 s.
    pub group_wait: Duration,
    /// The least time between two mails; default 2 min.
    pub group_interval: Duration,
    /// The budget's time; default 1 h. It runs from the moment the server accepted.
    pub min_interval: Duration,
    /// The budget's scope; default each target its own.
    pub budget: Budget,
    /// Whether the end of an outage that was told is told; default true.
    pub recovery: bool,
    /// When it may speak; `None` for always, the default.
    pub hours: Option<Calendar>,
    /// How often it is told what is still down; never when absent, the default.
    pub reminder: Option<Duration>,
    /// When it is told how everything stands, in the order of time; default never.
    pub summaries: Arc<[Wall]>,
    /// The targets that it is for; default everything.
    pub scope: Scope,
    /// The notifier, by name, that is told too of what nobody acknowledges, or what this one cannot deliver.
    pub escalate_to: Option<Arc<str>>,
    /// How long after an outage was due; default 30 min.
    pub escalate_after: Duration,
    /// The first wait after a failed attempt; it doubles; default 30 s.
    pub retry_first: Duration,
    /// The longest wait between two attempts; default 5 min.
    pub retry_max: Duration,
}

impl NotifierPolicy {
    /// The defaults under this name.
    pub fn new(name: impl Into<Arc<str>>) -> NotifierPolicy {
        NotifierPolicy {
            name: name.into(),
            recipients: Vec::new(),
            group_wait: Duration::from_secs(10),
            group_interval: Duration::from_secs(120),
            min_interval: Duration::from_secs(3600),
            budget: Budget::Target,
            recovery: true,
            hours: None,
            reminder: None,
            summaries: Arc::default(),
            scope: Scope::everything(),
            escalate_to: None,
            escalate_after: Duration::from_secs(1800),
            retry_first: Duration::from_secs(30),
            retry_max: Duration::from_secs(300),
        }
    }
}

/// What netwatch is to do.
///
/// Whoever builds one answers for this: names are unique, a target's group exists, and a check fits its interval
/// ([`Settings::check_duration`](super::Settings::check_duration) is at most `interval`), and no target is behind itself.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Plan {
    /// The language of mails and page.
    pub locale: Locale,
    /// In configuration order.
    pub targets: Vec<Target>,
    /// In configuration order.
    pub groups: Vec<Group>,
    /// In configuration order.
    pub notifiers: Vec<NotifierPolicy>,
    /// When outages are expected.
    pub maintenance: Vec<Maintenance>,
    /// The addresses that tell whether netwatch itself is cut off.
    pub witnesses: Vec<Host>,
    /// Where the page is, for the link in a mail.
    pub page_url: Option<Arc<str>>,
}

impl Plan {
    /// A plan of these targets, told to nobody.
    pub fn new(targets: Vec<Target>) -> Plan {
        Plan { targets, ..Plan::default() }
    }

    /// The same plan with one more notifier.
    #[must_use]
    pub fn with_notifier(mut self, policy: NotifierPolicy) -> Plan {
        self.notifiers.push(policy);
        self
    }

    /// The target at this place.
    pub fn target(&self, id: TargetId) -> Option<&Target> {
        self.targets.get(id.index())
    }

    /// How many echoes a second are sent on average, paused targets left out.
    pub fn echoes_per_second(&self) -> f64 {
        Plan::echoes_per_second_of(self.targets.iter())
    }

    /// How many echoes a second these targets are sent on average, paused ones left out.
    pub(crate) fn echoes_per_second_of<'a>(targets: impl Iterator<Item = &'a Target>) -> f64 {
        let asked = targets.filter(|target| !target.paused && !target.settings.interval.is_zero());
        let rate = |target: &Target| f64::from(target.settings.pings) / target.settings.interval.as_secs_f64();
        asked.map(rate).sum()
    }

    /// The name of a target's group.
    pub fn group_of(&self, target: &Target) -> Option<&Arc<str>> {
        Some(&self.groups.get(target.group?.index())?.name)
    }
}
