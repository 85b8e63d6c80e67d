//! The second stage: what the file means. Names find their groups, levels of settings become one, and out comes a
//! plan that everything downstream can rely on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use netwatch_core::{Group, GroupId, NotifierPolicy, Plan, Settings};

use super::file::{RawConfig, RawGroup, RawTarget};
use super::problem::{At, Place, Problems};
use super::settings::judge;
use super::targets::{Groups, KnownGroup, Targets};
use super::text::{self, TextError};
use super::{Carrier, Config, Purpose, carrier, import, locate};

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
    let mut plan = Plan::new(Vec::new());
    plan.locale = raw.locale.as_ref().map_or_else(Default::default, |locale| locale.value);
    let groups = resolve_groups(raw, &mut plan, problems);
    let mut targets = Targets::new(&raw.defaults, groups);
    for target in &raw.targets {
        targets.take(target, problems);
    }
    read_all_bulk(raw, around, &mut targets, problems);
    plan.targets = targets.finish(problems);
    judge_rates(raw, &plan, problems);
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

/// Reads one CSV file.
fn read_bulk(from: &At<PathBuf>, around: &Surroundings<'_>, targets: &mut Targets<'_>, problems: &mut Problems) {
    let path = around.base.join(&from.value);
    let read = text::open(&path).and_then(|file| {
        targets.make_room_for(file.metadata()?.len());
        let mut take = |target: &RawTarget, problems: &mut Problems| targets.take(target, problems);
        Ok(import::read(&path, file, problems, &mut take)?)
    });
    match read {
        Ok(()) => {}
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
}

/// Reads the CSV files. One without a row is hardly meant; if nobody else names a target, it is an error: netwatch
/// would watch nothing and say that all is well.
fn read_all_bulk(raw: &RawConfig, around: &Surroundings<'_>, targets: &mut Targets<'_>, problems: &mut Problems) {
    let mut empty = Vec::new();
    for from in &raw.targets_from {
        let before = (targets.taken, problems.errors());
        read_bulk(from, around, targets, problems);
        if before == (targets.taken, problems.errors()) {
            empty.push(from);
        }
    }
    let nothing = targets.taken == 0;
    for from in empty {
        let title = format!("{} names no target", around.base.join(&from.value).display());
        let help = "write a line for each device below its header, or remove this `[[targets_from]]`";
        if nothing {
            problems.error(from.place, title, "there is nothing to watch", help);
        } else {
            problems.warning(from.place, title, "it has a header and nothing else", help);
        }
    }
}

fn resolve_groups<'a>(raw: &'a RawConfig, plan: &mut Plan, problems: &mut Problems) -> Groups<'a> {
    unique("group", raw.groups.iter().filter_map(|group| group.name.as_ref()), problems);
    let defaults = raw.defaults.over(&Settings::default());
    let mut groups = Groups::new();
    for group in &raw.groups {
        let settings = group.settings.over(&defaults);
        judge(&settings, &[&raw.defaults, &group.settings], problems);
        let Some(name) = &group.name else { continue };
        let known = KnownGroup {
            id: GroupId::from_index(plan.groups.len()),
            written: &group.settings,
            settings: Arc::new(settings),
        };
        groups.entry(name.value.as_str()).or_insert(known);
        let mut resolved = Group::new(name.value.as_str());
        resolved.router_rate = group.router_rate.as_ref().map(|rate| rate.value);
        plan.groups.push(resolved);
    }
    groups
}

/// A router that bears less than its group needs is never obeyed by asking less often: whoever wrote it must choose.
fn judge_rates(raw: &RawConfig, plan: &Plan, problems: &mut Problems) {
    let named: Vec<&RawGroup> = raw.groups.iter().filter(|group| group.name.is_some()).collect();
    for need in netwatch_core::router_needs(plan) {
        let Some(group) = named.get(need.group.index()) else { continue };
        let (Some(name), Some(rate)) = (&group.name, &group.router_rate) else { continue };
        if need.busiest_second <= u64::from(rate.value.get()) {
            continue;
        }
        let title = format!(
            "group \"{}\" needs {} echoes a second, and `router_rate` allows {}",
            name.value, need.busiest_second, rate.value
        );
        let average = (need.mean * 100.0).round() / 100.0;
        let label = format!("its {} devices are sent {average} a second, spread as evenly as can be", need.members);
        let help = format!(
            "write `router_rate = {}` or more, or lengthen `interval`, lower `pings`, or move devices to another group",
            need.busiest_second
        );
        problems.error(rate.place, title, label, help);
    }
}

/// A name stands for one thing only.
fn unique<'a>(what: &str, names: impl Iterator<Item = &'a At<String>>, problems: &mut Problems) {
    let mut seen: HashMap<&str, Place> = HashMap::new();
    for name in names {
        match seen.entry(&name.value) {
            Entry::Vacant(entry) => _ = entry.insert(name.place),
            Entry::Occupied(first) => called_twice(what, name.place, &name.value, *first.get(), problems),
        }
    }
}

/// Says that a name was given before.
pub(super) fn called_twice(what: &str, place: Place, name: &str, first: Place, problems: &mut Problems) {
    let label = format!("the first is at {}", problems.describe(first));
    let help = format!("give every {what} a name of its own");
    problems.error(place, format!("two {what}s are called \"{name}\""), label, help);
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
