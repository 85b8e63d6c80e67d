//! The second stage: what the file means. Names find their groups, levels of settings become one, and out comes a
//! plan that everything downstream can rely on.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use netwatch_core::{Group, GroupId, Host, NotifierPolicy, Plan, Settings, Target};

use super::file::{RawConfig, RawTarget};
use super::problem::{At, Place, Problems};
use super::settings::{RawSettings, judge};
use super::text::{self, TextError};
use super::{Carrier, Config, Purpose, address, carrier, import, locate};

/// Where the page is served unless the configuration says otherwise.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// What resolving needs to know beside the file.
pub(crate) struct Surroundings<'a> {
    /// The directory of the file: relative paths in it begin here.
    pub(crate) base: &'a Path,
    /// The environment variables.
    pub(crate) environment: locate::Environment<'a>,
    /// What the result is for.
    pub(crate) purpose: Purpose,
}

/// Turns the file into a configuration. Rely on it only if no error was found.
pub(crate) fn resolve(raw: &RawConfig, around: &Surroundings<'_>, problems: &mut Problems) -> Config {
    let imported = read_all_bulk(raw, around, problems);
    let targets: Vec<&RawTarget> = raw.targets.iter().chain(&imported).collect();
    let mut plan = Plan::new(Vec::new());
    plan.locale = raw.locale.as_ref().map_or_else(Default::default, |locale| locale.value);
    let groups = resolve_groups(raw, &mut plan, problems);
    unique("target", targets.iter().filter_map(|target| target.name.as_ref()), problems);
    let mut settings = SharedSettings::default();
    for target in &targets {
        let resolved = resolve_target(target, raw, &groups, &mut settings, problems);
        plan.targets.extend(resolved);
    }
    same_address(&targets, problems);
    judge(&raw.defaults.over(&Settings::default()), &[&raw.defaults], problems);
    unique("notifier", raw.notifiers.iter().filter_map(|notifier| notifier.name.as_ref()), problems);
    let mut carriers = Vec::new();
    for notifier in &raw.notifiers {
        let (policy, carrier) = carrier::resolve(notifier, around, problems);
        plan.notifiers.push(policy);
        carriers.extend(carrier);
    }
    if raw.notifiers.is_empty() {
        plan.notifiers.push(NotifierPolicy::new("file"));
        carriers.push(Carrier::File { from: None });
    }
    let listen = resolve_listen(raw.listen.as_ref(), problems);
    Config {
        plan,
        path: None,
        data_dir: raw.data_dir.as_ref().map(|dir| around.base.join(&dir.value)),
        time_zone: resolve_time_zone(raw.time_zone.as_ref(), problems),
        carriers,
        listen,
    }
}

fn read_bulk(from: &At<PathBuf>, around: &Surroundings<'_>, problems: &mut Problems) -> Vec<RawTarget> {
    let path = around.base.join(&from.value);
    match text::read(&path) {
        Ok(text) => return import::parse(&path, &text, problems),
        Err(TextError::NotUtf8 { text, at }) => text::not_utf8(&path, &text, at, problems),
        Err(TextError::Io(error)) => {
            let title = format!("cannot read {}: {error}", path.display());
            let help = "write a path that exists; a relative one begins at the directory of this file";
            problems.error(from.place, title, "named here", help);
        }
        Err(error) => {
            let help = "name a CSV file whose header names any of the keys of a target";
            problems.error(from.place, format!("{} cannot be used: {error}", path.display()), "named here", help);
        }
    }
    Vec::new()
}

/// Reads the CSV files. One without a row is hardly meant; if nobody else names a target, it is an error: netwatch
/// would watch nothing and say that all is well.
fn read_all_bulk(raw: &RawConfig, around: &Surroundings<'_>, problems: &mut Problems) -> Vec<RawTarget> {
    let mut all = Vec::new();
    let mut empty = Vec::new();
    for from in &raw.targets_from {
        let before = problems.errors();
        let targets = read_bulk(from, around, problems);
        if targets.is_empty() && problems.errors() == before {
            empty.push(from);
        }
        all.extend(targets);
    }
    let nothing = raw.targets.is_empty() && all.is_empty();
    for from in empty {
        let title = format!("{} names no target", around.base.join(&from.value).display());
        let help = "write a line for each device below its header, or remove this `[[targets_from]]`";
        if nothing {
            problems.error(from.place, title, "there is nothing to watch", help);
        } else {
            problems.warning(from.place, title, "it has a header and nothing else", help);
        }
    }
    all
}

type Groups<'a> = HashMap<&'a str, (GroupId, &'a RawSettings)>;

fn resolve_groups<'a>(raw: &'a RawConfig, plan: &mut Plan, problems: &mut Problems) -> Groups<'a> {
    unique("group", raw.groups.iter().filter_map(|group| group.name.as_ref()), problems);
    let defaults = raw.defaults.over(&Settings::default());
    let mut groups = Groups::new();
    for group in &raw.groups {
        judge(&group.settings.over(&defaults), &[&raw.defaults, &group.settings], problems);
        let Some(name) = &group.name else { continue };
        groups.entry(name.value.as_str()).or_insert((GroupId::from_index(plan.groups.len()), &group.settings));
        plan.groups.push(Group::new(name.value.as_str()));
    }
    groups
}

/// Targets with equal settings share one copy of them.
#[derive(Default)]
struct SharedSettings(Vec<Arc<Settings>>);

impl SharedSettings {
    fn share(&mut self, settings: Settings) -> Arc<Settings> {
        if let Some(known) = self.0.iter().find(|known| ***known == settings) {
            return Arc::clone(known);
        }
        let new = Arc::new(settings);
        self.0.push(Arc::clone(&new));
        new
    }
}

fn resolve_target(
    raw: &RawTarget,
    config: &RawConfig,
    groups: &Groups<'_>,
    shared: &mut SharedSettings,
    problems: &mut Problems,
) -> Option<Target> {
    let group = raw.group.as_ref().and_then(|name| {
        let found = groups.get(name.value.as_str());
        if found.is_none() {
            no_such_group(name, groups, problems);
        }
        found
    });
    let nothing = RawSettings::default();
    let levels = [&config.defaults, group.map_or(&nothing, |(_, settings)| settings), &raw.settings];
    let settings = levels.iter().fold(Settings::default(), |settings, level| level.over(&settings));
    judge(&settings, &levels, problems);
    let host = address::resolve(raw.address.as_ref()?, raw.family.as_ref(), problems)?;
    let mut target = Target::new(raw.name.as_ref()?.value.as_str(), host);
    target.group = group.map(|(id, _)| *id);
    target.tags = raw.tags.iter().map(|tag| tag.as_str().into()).collect();
    target.customers = raw.customers;
    target.note = raw.note.as_deref().map(Into::into);
    target.paused = raw.paused;
    target.settings = shared.share(settings);
    Some(target)
}

fn no_such_group(name: &At<String>, groups: &Groups<'_>, problems: &mut Problems) {
    let known: Vec<&str> = groups.keys().copied().collect();
    let help = match super::problem::nearest(&name.value, &known) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("add it: `[[group]]` with `name = \"{}\"`", name.value),
    };
    problems.error(name.place, format!("there is no group \"{}\"", name.value), "not defined", help);
}

/// A name stands for one thing only.
fn unique<'a>(what: &str, names: impl Iterator<Item = &'a At<String>>, problems: &mut Problems) {
    let mut seen: HashMap<&str, Place> = HashMap::new();
    for name in names {
        let Some(first) = seen.insert(&name.value, name.place) else { continue };
        let label = format!("the first is at {}", problems.describe(first));
        let help = format!("give every {what} a name of its own");
        problems.error(name.place, format!("two {what}s are called \"{}\"", name.value), label, help);
    }
}

/// Two targets at one address are one device, most often.
fn same_address(targets: &[&RawTarget], problems: &mut Problems) {
    let mut seen: HashMap<Host, (&str, Place)> = HashMap::new();
    for target in targets {
        let (Some(name), Some(address)) = (&target.name, &target.address) else { continue };
        let family = target.family.as_ref().map(|family| family.value);
        let Ok(host) = address::understand(address.value.trim(), family) else { continue };
        let Some((first, place)) = seen.insert(host, (&name.value, address.place)) else { continue };
        let title = format!("\"{first}\" and \"{}\" have the same address", name.value);
        let label = format!("also at {}", problems.describe(place));
        problems.warning(address.place, title, label, "remove one of them, unless both are meant");
    }
}

/// The name of a zone that exists; `None` stands for the system's.
fn resolve_time_zone(written: Option<&At<String>>, problems: &mut Problems) -> Option<String> {
    let written = written?;
    if TimeZone::get(&written.value).is_err() {
        let help = "write a name of the IANA list, such as \"America/Asuncion\", or remove it to use the system's";
        problems.error(written.place, format!("there is no time zone \"{}\"", written.value), "not known here", help);
    }
    Some(written.value.clone())
}

fn resolve_listen(written: Option<&At<String>>, problems: &mut Problems) -> SocketAddr {
    let default = SocketAddr::from(([127, 0, 0, 1], 8080));
    let Some(written) = written else { return default };
    let text = match written.value.trim().strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => written.value.trim().to_owned(),
    };
    let Ok(listen) = text.parse::<SocketAddr>() else {
        let help = format!("write an address and a port: `listen = \"{DEFAULT_LISTEN}\"`");
        problems.error(written.place, "this is not an address with a port", "not understood", help);
        return default;
    };
    if !listen.ip().is_loopback() {
        let help = format!(
            "write `listen = \"127.0.0.1:{0}\"`, and reach it from afar through `ssh -L {0}:127.0.0.1:{0}` or a reverse proxy with TLS and a login",
            listen.port()
        );
        let title = "the page may only be served on a loopback address";
        let label = "anything else needs `users_file` and `tls`, which this version does not have";
        problems.error(written.place, title, label, help);
    }
    listen
}
