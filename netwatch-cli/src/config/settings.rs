//! The keys that `[defaults]`, a group and a target have in common: how a device is asked and judged. Each level
//! overrides the one before it.

use std::time::Duration;

use netwatch_core::{PayloadRule, Settings, SettingsFinding, lint_settings};

use super::problem::{At, Place, Problems};
use super::section::{Section, short};

/// The keys read here.
pub(crate) const KEYS: [&str; 9] =
    ["interval", "pings", "spacing", "timeout", "tolerance", "settle", "warn_rtt", "warn_loss", "payload"];

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(31 * 24 * 3600);

/// What one level of the configuration says.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawSettings {
    interval: Option<At<Duration>>,
    pings: Option<At<u16>>,
    spacing: Option<At<Duration>>,
    timeout: Option<At<Duration>>,
    tolerance: Option<At<Duration>>,
    settle: Option<At<Duration>>,
    warn_rtt: Option<At<Duration>>,
    warn_loss: Option<At<f64>>,
    payload: Option<At<PayloadRule>>,
}

impl RawSettings {
    /// Takes the keys out of a section.
    pub(crate) fn read(section: &mut Section, problems: &mut Problems) -> RawSettings {
        let payload = [("strict", PayloadRule::Strict), ("any", PayloadRule::Any)];
        let pings = section.integer("pings", 1, 1000, problems);
        RawSettings {
            interval: section.duration("interval", 10 * MS, DAY, problems),
            pings: pings.map(|pings| pings.map(|pings| u16::try_from(pings).unwrap_or(u16::MAX))),
            spacing: section.duration("spacing", MS, DAY, problems),
            timeout: section.duration("timeout", MS, Duration::from_secs(300), problems),
            tolerance: section.duration("tolerance", Duration::ZERO, MONTH, problems),
            settle: section.duration("settle", Duration::ZERO, MONTH, problems),
            warn_rtt: section.duration("warn_rtt", MS, Duration::from_secs(300), problems),
            warn_loss: section.share("warn_loss", problems),
            payload: section.choice("payload", &payload, problems),
        }
    }

    /// Whether this level says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        let RawSettings { interval, pings, spacing, timeout, tolerance, settle, warn_rtt, warn_loss, payload } = self;
        let times = [interval, spacing, timeout, tolerance, settle, warn_rtt];
        times.iter().all(|time| time.is_none()) && pings.is_none() && warn_loss.is_none() && payload.is_none()
    }

    /// These settings, changed by what this level says.
    pub(crate) fn over(&self, base: &Settings) -> Settings {
        fn set<T: Copy>(place: &mut T, said: &Option<At<T>>) {
            if let Some(said) = said {
                *place = said.value;
            }
        }
        let mut settings = base.clone();
        set(&mut settings.interval, &self.interval);
        set(&mut settings.pings, &self.pings);
        set(&mut settings.spacing, &self.spacing);
        set(&mut settings.timeout, &self.timeout);
        set(&mut settings.tolerance, &self.tolerance);
        set(&mut settings.settle, &self.settle);
        set(&mut settings.warn_rtt, &self.warn_rtt);
        set(&mut settings.warn_loss, &self.warn_loss);
        set(&mut settings.payload, &self.payload);
        settings
    }

    /// Where this level decides how long a check takes and how often there is one, if it does.
    fn timing(&self) -> Option<Place> {
        let interval = self.interval.as_ref().map(|said| said.place);
        let pings = self.pings.as_ref().map(|said| said.place);
        let spacing = self.spacing.as_ref().map(|said| said.place);
        let timeout = self.timeout.as_ref().map(|said| said.place);
        interval.or(pings).or(spacing).or(timeout)
    }

    /// Where this level decides about warnings, if it does.
    fn warnings(&self) -> Option<Place> {
        self.warn_rtt.as_ref().or(self.timeout.as_ref()).map(|said| said.place)
    }

    /// Where this level decides about the tolerance, if it does.
    fn tolerance(&self) -> Option<Place> {
        self.tolerance.as_ref().map(|said| said.place)
    }
}

/// Finds what cannot work, or hardly as meant, in what several levels say together; the last level comes last. A
/// problem is placed at the nearest level that has a part in it.
pub(crate) fn judge(settings: &Settings, levels: &[&RawSettings], problems: &mut Problems) {
    let nearest = |part: fn(&RawSettings) -> Option<Place>| levels.iter().rev().find_map(|level| part(level));
    let check = settings.check_duration();
    if let Some(place) = nearest(RawSettings::timing).filter(|_| check > settings.interval) {
        let title =
            format!("a check takes {} and does not fit an interval of {}", short(check), short(settings.interval));
        let label = format!(
            "{} pings, {} apart, and {} for the last reply",
            settings.pings,
            short(settings.spacing),
            short(settings.timeout)
        );
        let help = format!("write `interval = \"{}\"` or more, or lower `pings`, `spacing` or `timeout`", short(check));
        problems.error(place, title, label, help);
    }
    let found = lint_settings(settings);
    let deaf = found.contains(&SettingsFinding::DeafWarning);
    if let Some(place) = nearest(RawSettings::warnings).filter(|_| deaf) {
        let title = format!("no reply can take longer than `warn_rtt` ({})", short(settings.warn_rtt));
        let label = format!("`timeout` is {}: a slower reply counts as lost", short(settings.timeout));
        problems.warning(place, title, label, "raise `timeout` above `warn_rtt`, or lower `warn_rtt`");
    }
    let hasty = found.contains(&SettingsFinding::HastyTolerance);
    if let Some(place) = nearest(RawSettings::tolerance).filter(|_| hasty) {
        let label = format!("a check takes {}", short(check));
        let help = "write \"0s\" for a mail at the first silent check, or a time longer than a check";
        problems.warning(place, "the tolerance is shorter than one check", label, help);
    }
}
