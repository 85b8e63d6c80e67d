//! `[[maintenance]]`: when which devices are worked on.

use super::calendar::Rule;
use super::names::RawScope;
use super::problem::{At, Place, Problems};
use super::rule;
use super::section::Section;

const KEYS: [&str; 8] = ["group", "targets", "tags", "weekly", "daily", "from", "to", "reason"];

/// One `[[maintenance]]`.
#[derive(Debug)]
pub(super) struct RawMaintenance {
    /// For which devices.
    pub(super) scope: RawScope,
    /// Absent if it is missing or wrong, which has been said.
    pub(super) when: Option<Rule>,
    /// Why; may be empty.
    pub(super) reason: String,
}

impl RawMaintenance {
    /// Reads one. It must name devices and a time: without the one it would silence everything, without the other
    /// nothing, and neither is what anybody leaves out on purpose.
    pub(super) fn read(found: At<Section>, problems: &mut Problems) -> RawMaintenance {
        let At { value: mut section, place } = found;
        let named = ["group", "targets", "tags"].iter().any(|key| !section.is_without(key));
        let groups = section.words("group", problems).into_iter().collect();
        let scope = RawScope::read(&mut section, groups, problems);
        if !named {
            let help = "add `group = \"DSLAM\"`, `targets = [\"dslam-centro\"]` or `tags = [\"centro\"]`";
            problems.error(place, "this maintenance is of no device", "it names none", help);
        }
        let when = read_when(&mut section, place, problems);
        let reason = section.text("reason", problems).map_or_else(String::new, |reason| reason.value);
        section.finish(&KEYS, &[], problems);
        RawMaintenance { scope, when, reason }
    }
}

fn read_when(section: &mut Section, place: Place, problems: &mut Problems) -> Option<Rule> {
    let once = section.key("from").or_else(|| section.key("to"));
    let ways = [section.key("weekly"), section.key("daily"), once];
    let mut said = ways.iter().flatten();
    match (said.next(), said.next()) {
        (None, _) => {
            let help = "add `weekly = \"sun 02:00-04:00\"`, `daily = \"02:00-04:00\"`, or `from` and `to`";
            problems.error(place, "this maintenance has no time", "it does not say when", help);
        }
        (Some(_), Some(second)) => {
            let help =
                "keep one of `weekly`, `daily`, and `from` with `to`; write `[[maintenance]]` anew for the other";
            problems.error(*second, "this maintenance says twice when it is", "the second", help);
        }
        _ => {}
    }
    let weekly = rule::read_weekly(section, "weekly", problems);
    let daily = rule::read_hours(section, "daily", "02:00-04:00", problems).map(|hours| Rule::Daily(hours.value));
    let once = once.and_then(|_| rule::read_once(section, place, problems));
    weekly.or(daily).or(once)
}
