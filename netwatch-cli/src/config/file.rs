//! The first stage: the file as it was written, key by key, with the place of each value. It knows the types and the
//! words, and nothing of what they mean together.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use netwatch_core::{Family, Locale};
use toml::de::DeTable;

use super::heartbeat::{self, RawHeartbeat};
use super::maintenance::RawMaintenance;
use super::notifier::RawNotifier;
use super::parents::RawParents;
use super::problem::{At, Place, Problems};
use super::section::{Section, Value};
use super::settings::{self, RawSettings};

const TOP: [&str; 12] = [
    "locale",
    "time_zone",
    "data_dir",
    "templates",
    "defaults",
    "group",
    "target",
    "targets_from",
    "notifier",
    "maintenance",
    "self",
    "http",
];
const TOP_LATER: [&str; 1] = ["history"];
const TARGET: [&str; 11] =
    ["name", "address", "family", "group", "parents", "tags", "customers", "note", "critical", "paused", "probe"];
/// The keys that a target may have.
pub(crate) static TARGET_KEYS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| TARGET.into_iter().chain(settings::KEYS).collect());
/// Keys of a target of which this version knows only the name.
pub(crate) const TARGET_LATER: [&str; 1] = ["probes"];

/// The whole file.
#[derive(Debug, Default)]
pub(crate) struct RawConfig {
    pub(crate) locale: Option<At<Locale>>,
    pub(crate) time_zone: Option<At<String>>,
    pub(crate) data_dir: Option<At<PathBuf>>,
    pub(crate) templates: Option<At<PathBuf>>,
    pub(crate) defaults: RawSettings,
    pub(crate) groups: Vec<RawGroup>,
    pub(crate) targets: Vec<RawTarget>,
    pub(crate) targets_from: Vec<At<PathBuf>>,
    pub(crate) notifiers: Vec<RawNotifier>,
    pub(crate) maintenance: Vec<RawMaintenance>,
    pub(crate) witnesses: Vec<At<String>>,
    pub(crate) heartbeat: RawHeartbeat,
    pub(crate) listen: Option<At<String>>,
}

impl RawConfig {
    /// The groups of the plan, in its order.
    pub(crate) fn named_groups(&self) -> impl Iterator<Item = &RawGroup> {
        self.groups.iter().filter(|group| group.name.is_some())
    }
}

/// One `[[group]]`.
#[derive(Debug)]
pub(crate) struct RawGroup {
    /// Absent if it is missing or wrong, which has been said.
    pub(crate) name: Option<At<String>>,
    pub(crate) router_rate: Option<At<NonZeroU32>>,
    pub(crate) parents: Option<RawParents>,
    pub(crate) tags: Vec<String>,
    pub(crate) critical: Option<bool>,
    pub(crate) settings: RawSettings,
}

/// One `[[target]]`, or a row of a CSV file.
#[derive(Debug)]
pub(crate) struct RawTarget {
    /// Absent if it is missing or wrong, which has been said.
    pub(crate) name: Option<At<String>>,
    /// Absent if it is missing or wrong, which has been said.
    pub(crate) address: Option<At<String>>,
    pub(crate) family: Option<At<Family>>,
    pub(crate) group: Option<At<String>>,
    /// Absent if the group decides; an empty list stands for none.
    pub(crate) parents: Option<RawParents>,
    pub(crate) tags: Vec<String>,
    pub(crate) customers: Option<u32>,
    pub(crate) note: Option<String>,
    pub(crate) critical: Option<bool>,
    pub(crate) paused: bool,
    pub(crate) settings: RawSettings,
}

/// Reads the text of a file. What can be read is returned although there are problems, so that all are found at once.
pub(crate) fn parse(path: &Path, text: &str, problems: &mut Problems) -> RawConfig {
    let source = problems.add_source(path, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let place = problems.place(source, error.span().unwrap_or(0..0));
            let help = "see https://toml.io for how TOML is written: `key = value`, strings in double quotes";
            problems.error(place, format!("this is not TOML: {}", first_line(error.message())), "here", help);
        }
        return RawConfig::default();
    }
    let top = Section::from_toml(table.get_ref(), "the file", source, problems);
    if top.is_without("target") && top.is_without("targets_from") {
        let place = problems.place(source, 0..0);
        let help =
            "add `[[target]]` with `name` and `address`, once for each device, or `[[targets_from]]` with `file`";
        problems.error(place, "there is no target", "this file names no device to watch", help);
    }
    read_top(top, problems)
}

/// Reads a target. One that lacks a name or an address is returned all the same, so that the rest of it is judged.
pub(crate) fn read_target(mut section: Section, place: Place, problems: &mut Problems) -> RawTarget {
    read_probe(&mut section, problems);
    let family = [(4, Family::V4), (6, Family::V6)];
    let name = required(&mut section, "name", "\"dslam-centro\"", place, problems);
    let address = required(&mut section, "address", "\"192.168.10.2\"", place, problems);
    let target = RawTarget {
        name,
        address,
        family: section.integer("family", 4, 6, problems).and_then(|said| {
            let found = family.iter().find(|(number, _)| *number == said.value);
            if found.is_none() {
                problems.error(said.place, "`family` cannot be 5", "there is no such family", "write 4 or 6");
            }
            found.map(|(_, family)| At::new(*family, said.place))
        }),
        group: section.words("group", problems),
        parents: section.list("parents", problems),
        tags: read_tags(&mut section, problems),
        customers: section
            .integer("customers", 0, i64::from(u32::MAX), problems)
            .and_then(|customers| u32::try_from(customers.value).ok()),
        note: section.text("note", problems).map(|note| note.value),
        critical: section.boolean("critical", problems).map(|critical| critical.value),
        paused: section.boolean("paused", problems).is_some_and(|paused| paused.value),
        settings: RawSettings::read(&mut section, problems),
    };
    section.finish(&TARGET_KEYS, &TARGET_LATER, problems);
    target
}

/// A value that must be there; its absence is a problem of the whole section, which begins at `place`.
pub(crate) fn required(
    section: &mut Section,
    key: &str,
    example: &str,
    place: Place,
    problems: &mut Problems,
) -> Option<At<String>> {
    if section.key(key).is_none() {
        problems.error(
            place,
            format!("`{key}` is missing"),
            format!("this has no `{key}`"),
            format!("add `{key} = {example}`"),
        );
        return None;
    }
    section.words(key, problems)
}

fn read_top(mut top: Section, problems: &mut Problems) -> RawConfig {
    let locale = [("es", Locale::Es), ("en", Locale::En)];
    let mut raw = RawConfig {
        locale: top.choice("locale", &locale, problems),
        time_zone: top.words("time_zone", problems),
        data_dir: top.words("data_dir", problems).map(|dir| dir.map(PathBuf::from)),
        templates: top.words("templates", problems).map(|dir| dir.map(PathBuf::from)),
        ..RawConfig::default()
    };
    if let Some(mut defaults) = top.table("defaults", "`[defaults]`", problems) {
        raw.defaults = RawSettings::read(&mut defaults, problems);
        defaults.finish(&settings::KEYS, &[], problems);
    }
    for group in top.tables("group", "`[[group]]`", problems) {
        raw.groups.push(read_group(group, problems));
    }
    for target in top.tables("target", "`[[target]]`", problems) {
        raw.targets.push(read_target(target.value, target.place, problems));
    }
    for from in top.tables("targets_from", "`[[targets_from]]`", problems) {
        let mut section = from.value;
        let file = required(&mut section, "file", "\"devices.csv\"", from.place, problems);
        raw.targets_from.extend(file.map(|file| file.map(PathBuf::from)));
        section.finish(&["file"], &[], problems);
    }
    for notifier in top.tables("notifier", "`[[notifier]]`", problems) {
        raw.notifiers.push(RawNotifier::read(notifier, problems));
    }
    for maintenance in top.tables("maintenance", "`[[maintenance]]`", problems) {
        raw.maintenance.push(RawMaintenance::read(maintenance, problems));
    }
    if let Some(mut own) = top.table("self", "`[self]`", problems) {
        raw.witnesses = own.list("witnesses", problems).map_or_else(Vec::new, |all| all.value);
        raw.heartbeat = RawHeartbeat::read(&mut own, problems);
        let known: Vec<&str> = ["witnesses"].into_iter().chain(heartbeat::KEYS).collect();
        own.finish(&known, &[], problems);
    }
    if let Some(mut http) = top.table("http", "`[http]`", problems) {
        raw.listen = http.words("listen", problems);
        http.finish(&["listen"], &["users_file", "tls", "allow_insecure"], problems);
    }
    top.finish(&TOP, &TOP_LATER, problems);
    raw
}

fn read_group(group: At<Section>, problems: &mut Problems) -> RawGroup {
    let mut section = group.value;
    let name = required(&mut section, "name", "\"DSLAM\"", group.place, problems);
    let router_rate = section.integer("router_rate", 1, i64::from(u32::MAX), problems).and_then(|rate| {
        let value = u32::try_from(rate.value).ok().and_then(NonZeroU32::new)?;
        Some(At::new(value, rate.place))
    });
    let parents = section.list("parents", problems);
    let tags = read_tags(&mut section, problems);
    let critical = section.boolean("critical", problems).map(|critical| critical.value);
    let settings = RawSettings::read(&mut section, problems);
    let known: Vec<&str> =
        ["name", "router_rate", "parents", "tags", "critical"].into_iter().chain(settings::KEYS).collect();
    section.finish(&known, &[], problems);
    RawGroup { name, router_rate, parents, tags, critical, settings }
}

fn read_tags(section: &mut Section, problems: &mut Problems) -> Vec<String> {
    let tags = section.list("tags", problems);
    tags.map_or_else(Vec::new, |tags| tags.value.into_iter().map(|tag| tag.value).collect())
}

/// The only probe of this version is ICMP.
fn read_probe(section: &mut Section, problems: &mut Problems) {
    let Some(probe) = section.take("probe") else { return };
    let help = "write `probe = \"icmp\"`, or remove `probe`: that is the default";
    let kind = match probe.value {
        Value::Text(kind) | Value::Cell(kind) => kind,
        Value::Table(mut table) => table.text("kind", problems).map_or_else(String::new, |kind| kind.value),
        _ => String::new(),
    };
    match kind.trim() {
        "icmp" => {}
        "tcp" | "http" | "dns" | "exec" => {
            let title = format!("the probe \"{kind}\" is not available in this version");
            problems.error(probe.place, title, "this version can only ping it", help);
        }
        _ => problems.error(probe.place, "this is not a probe that netwatch knows", "unknown probe", help),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}
