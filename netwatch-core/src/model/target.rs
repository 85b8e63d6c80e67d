//! A target: a device with its settings, as the plan holds it.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::plan::GroupId;

/// A target's place in its [`Plan`](super::Plan): 0 is the first in configuration order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(u32);

impl TargetId {
    /// The target at this place of the plan.
    ///
    /// Places beyond `u32::MAX` do not exist; they become the last one.
    pub fn from_index(index: usize) -> TargetId {
        TargetId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The place in the plan's list of targets.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which address family a name is looked up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// IPv4: A records.
    V4,
    /// IPv6: AAAA records.
    V6,
}

/// Where a target is: an address, or a name that has one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Host {
    /// An address, with the zone (interface name or index) that a link-local IPv6 address needs (RFC 4007).
    Ip {
        /// The address.
        ip: IpAddr,
        /// The part behind `%`, if any.
        zone: Option<Arc<str>>,
    },
    /// A name, looked up while netwatch runs; until it resolves the target is UNKNOWN.
    Name {
        /// The name as configured.
        name: Arc<str>,
        /// Only addresses of this family, or of either (the first one found) when absent.
        family: Option<Family>,
    },
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Host::Ip { ip, zone: None } => write!(f, "{ip}"),
            Host::Ip { ip, zone: Some(zone) } => write!(f, "{ip}%{zone}"),
            Host::Name { name, .. } => f.write_str(name),
        }
    }
}

/// What an echo reply must carry to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PayloadRule {
    /// The whole payload with its keyed cookie, unchanged.
    #[default]
    Strict,
    /// A payload that the device cut short still counts (some do); an altered one does not.
    Any,
}

/// How a target is asked and judged. Targets with equal settings share one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Time from one check to the next; default 10 s.
    pub interval: Duration,
    /// Echoes in a check; default 5.
    pub pings: u16,
    /// Time from one echo of a check to the next; default 1 s.
    pub spacing: Duration,
    /// How long a reply may take; default 2 s.
    pub timeout: Duration,
    /// How long a device must be silent before an outage is due to be told; default 30 s.
    pub tolerance: Duration,
    /// How long a device must answer before its outage closes; default 1 min.
    pub settle: Duration,
    /// A median RTT above this is a WARNING; default 150 ms.
    pub warn_rtt: Duration,
    /// A share of lost echoes at or above this is a WARNING, from 0 to 1; default 0.2.
    pub warn_loss: f64,
    /// What a reply must carry; default strict.
    pub payload: PayloadRule,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            interval: Duration::from_secs(10),
            pings: 5,
            spacing: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            tolerance: Duration::from_secs(30),
            settle: Duration::from_secs(60),
            warn_rtt: Duration::from_millis(150),
            warn_loss: 0.2,
            payload: PayloadRule::Strict,
        }
    }
}

impl Settings {
    /// From the first echo of a check to the end of its last timeout.
    pub fn check_duration(&self) -> Duration {
        self.spacing.saturating_mul(u32::from(self.pings.saturating_sub(1))).saturating_add(self.timeout)
    }
}

/// A device with its settings.
///
/// A device *is* its name: what is known of it is kept under that name across restarts. A plan may hold a million of
/// these, so what most of them lack is behind methods, and what many of them have alike is shared.
///
/// ```
/// use netwatch_core::Target;
/// let target = Target::at("dslam-1", "192.0.2.1".parse().unwrap()).with_note("llave en portería").with_tags(["centro"]);
/// assert_eq!(target.note().map(|note| &**note), Some("llave en portería"));
/// assert_eq!(target.probe(), "icmp");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Target {
    /// Unique in the plan.
    pub name: Arc<str>,
    /// Where it is.
    pub host: Host,
    /// The group it is shown under.
    pub group: Option<GroupId>,
    /// How many customers it serves.
    pub customers: Option<u32>,
    /// Not asked at present, and shown so.
    pub paused: bool,
    /// Its lines pass group interval, budget and hours, and so do those of its parents; default false.
    pub critical: bool,
    /// How it is asked and judged.
    pub settings: Arc<Settings>,
    extras: Option<Arc<Extras>>,
}

/// What most targets lack.
#[derive(Debug, Clone, PartialEq, Default)]
struct Extras {
    tags: Box<[Arc<str>]>,
    note: Option<Arc<str>>,
    probe: Option<Arc<str>>,
    parents: Box<[TargetId]>,
}

/// The probe of a target that names none.
const ICMP: &str = "icmp";

impl Target {
    /// A target with default settings, asked by the probe `icmp`.
    pub fn new(name: impl Into<Arc<str>>, host: Host) -> Target {
        static DEFAULT: LazyLock<Arc<Settings>> = LazyLock::new(Arc::default);
        let settings = DEFAULT.clone();
        Target {
            name: name.into(),
            host,
            group: None,
            customers: None,
            paused: false,
            critical: false,
            settings,
            extras: None,
        }
    }

    /// A target at a plain address.
    ///
    /// ```
    /// use netwatch_core::Target;
    /// let target = Target::at("core-1", "192.0.2.1".parse().unwrap());
    /// assert_eq!(target.host.to_string(), "192.0.2.1");
    /// ```
    pub fn at(name: impl Into<Arc<str>>, ip: IpAddr) -> Target {
        Target::new(name, Host::Ip { ip, zone: None })
    }

    /// The same target with these settings, which it may share with others.
    #[must_use]
    pub fn with_settings(mut self, settings: impl Into<Arc<Settings>>) -> Target {
        self.settings = settings.into();
        self
    }

    /// The same target, shown under this group.
    #[must_use]
    pub fn with_group(mut self, group: GroupId) -> Target {
        self.group = Some(group);
        self
    }

    /// The same target, asked by the probe of this name.
    #[must_use]
    pub fn with_probe(mut self, probe: impl Into<Arc<str>>) -> Target {
        let probe = probe.into();
        self.extras_mut().probe = Some(probe).filter(|probe| **probe != *ICMP);
        self
    }

    /// The same target with these free words to select by.
    #[must_use]
    pub fn with_tags<T: Into<Arc<str>>>(mut self, tags: impl IntoIterator<Item = T>) -> Target {
        self.extras_mut().tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// The same target with what a technician should know at three in the morning.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<Arc<str>>) -> Target {
        self.extras_mut().note = Some(note.into());
        self
    }

    /// The same target, reached through any of these, which are redundant.
    #[must_use]
    pub fn with_parents(mut self, parents: impl IntoIterator<Item = TargetId>) -> Target {
        self.extras_mut().parents = parents.into_iter().collect();
        self
    }

    /// What it is reached through: any one of them is enough.
    pub fn parents(&self) -> &[TargetId] {
        self.extras.as_ref().map_or(&[], |extras| &extras.parents)
    }

    /// The name under which the runtime knows the probe that asks it; default `icmp`.
    pub fn probe(&self) -> &str {
        self.extras.as_ref().and_then(|extras| extras.probe.as_deref()).unwrap_or(ICMP)
    }

    /// Free words to select by.
    pub fn tags(&self) -> &[Arc<str>] {
        self.extras.as_ref().map_or(&[], |extras| &extras.tags)
    }

    /// What a technician should know at three in the morning.
    pub fn note(&self) -> Option<&Arc<str>> {
        self.extras.as_ref()?.note.as_ref()
    }

    fn extras_mut(&mut self) -> &mut Extras {
        Arc::make_mut(self.extras.get_or_insert_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_targets_fit() {
        assert!(size_of::<Target>() <= 88, "{} bytes", size_of::<Target>());
        assert!(Target::at("a", [192, 0, 2, 1].into()).with_group(GroupId::from_index(0)).extras.is_none());
    }

    #[test]
    fn what_is_rare_is_kept_together_and_a_copy_goes_its_own_way() {
        let target = Target::at("a", [192, 0, 2, 1].into()).with_tags(["x", "y"]).with_probe("tcp").with_note("n");
        let other = target.clone().with_note("m").with_probe("icmp");
        assert_eq!((target.probe(), target.note(), target.tags().len()), ("tcp", Some(&"n".into()), 2));
        assert_eq!((other.probe(), other.note(), other.tags().len()), ("icmp", Some(&"m".into()), 2));
    }
}
