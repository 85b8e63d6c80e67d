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
    let imported: Vec<RawTarget> = raw.targets_from.iter().flat_map(|from| read_bulk(from, around, problems)).collect();
    let targets: Vec<&RawTarget> = raw.targets.iter().chain(&imported).collect();
    let mut plan = Plan::new(Vec::new());
    plan.locale = raw.locale.as_ref().map_or_else(Default::default, |locale| locale.value);
    let groups = resolve_groups(raw, &mut plan, problems);
    unique("target", targets.iter().map(|target| &target.name), problems);
    let mut settings = SharedSettings::default();
    for target in &targets {
        let resolved = resolve_target(target, raw, &groups, &mut settings, problems);
        plan.targets.extend(resolved);
    }
    same_address(&targets, problems);
    judge(&raw.defaults.over(&Settings::default()), &[&raw.defaults], problems);
    unique("notifier", raw.notifiers.iter().map(|notifier| &notifier.name), problems);
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
    plan.page_url = Some(format!("http://{listen}/").into());
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
    match std::fs::read_to_string(&path) {
        Ok(text) => import::parse(&path, &text, problems),
        Err(error) => {
            let title = format!("cannot read {}: {error}", path.display());
            let help = "write a path that exists; a relative one begins at the directory of this file";
            problems.error(from.place, title, "named here", help);
            Vec::new()
        }
    }
}

type Groups<'a> = HashMap<&'a str, (GroupId, &'a RawSettings)>;

fn resolve_groups<'a>(raw: &'a RawConfig, plan: &mut Plan, problems: &mut Problems) -> Groups<'a> {
    unique("group", raw.groups.iter().map(|group| &group.name), problems);
    let defaults = raw.defaults.over(&Settings::default());
    let mut groups = Groups::new();
    for (index, group) in raw.groups.iter().enumerate() {
        judge(&group.settings.over(&defaults), &[&raw.defaults, &group.settings], problems);
        groups.entry(group.name.value.as_str()).or_insert((GroupId::from_index(index), &group.settings));
        plan.groups.push(Group::new(group.name.value.as_str()));
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
    let mut target =
        Target::new(raw.name.value.as_str(), address::resolve(&raw.address, raw.family.as_ref(), problems)?);
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
    let mut seen: HashMap<Host, &RawTarget> = HashMap::new();
    for target in targets {
        let family = target.family.as_ref().map(|family| family.value);
        let Ok(host) = address::understand(target.address.value.trim(), family) else { continue };
        let Some(first) = seen.insert(host, target) else { continue };
        let title = format!("\"{}\" and \"{}\" have the same address", first.name.value, target.name.value);
        let label = format!("also at {}", problems.describe(first.address.place));
        problems.warning(target.address.place, title, label, "remove one of them, unless both are meant");
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
