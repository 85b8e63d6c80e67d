//! The second stage: what the file means. Names find their groups, levels of settings become one, and out comes a
//! plan that everything downstream can rely on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use netwatch_core::{Group, GroupId, Host, Maintenance, NotifierPolicy, Plan, Settings};

use super::calendar::{Calendars, Spoken};
use super::file::{RawConfig, RawGroup, RawTarget};
use super::names::{Devices, Known};
use super::problem::{At, Place, Problems};
use super::settings::judge;
use super::targets::{Groups, KnownGroup, Taken, Targets};
use super::text::{self, TextError};
use super::{Carrier, Config, Purpose, carrier, doubts, escalation, import, locate, parents, templates, witness};

/// Where the page is served unless the configuration says otherwise.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// What resolving needs to know beside the file.
pub(crate) struct Surroundings<'a> {
    /// The directory of the file: relative paths in it begin here.
    pub(crate) base: &'a Path,
    /// The environment variables.
    pub(crate) environment: locate::Environment<'a>,
    /// The default gateways of this machine, the best first.
    pub(crate) gateways: &'a dyn Fn() -> Vec<Host>,
    /// What the result is for.
    pub(crate) purpose: Purpose,
}

/// Turns the file into a configuration, whose calendars are still to be made. Rely on it only if no error was found.
pub(crate) fn resolve(raw: &RawConfig, around: &Surroundings<'_>, problems: &mut Problems) -> Config {
    let mut plan = Plan::new(Vec::new());
    plan.locale = raw.locale.as_ref().map_or_else(Default::default, |locale| locale.value);
    let groups = resolve_groups(raw, &mut plan, problems);
    let mut targets = Targets::new(&raw.defaults, groups);
    for target in &raw.targets {
        targets.take(target, problems);
    }
    read_all_bulk(raw, around, &mut targets, problems);
    let taken = targets.finish(problems);
    judge(&raw.defaults.over(&Settings::default()), &[&raw.defaults], problems);
    unique("notifier", raw.notifiers.iter().filter_map(|notifier| notifier.name.as_ref()), problems);
    let time_zone = resolve_time_zone(raw.time_zone.as_ref(), problems);
    let mut calendars = Calendars::new(zone(time_zone.as_deref()));
    let carriers = resolve_together(raw, taken, around, &mut plan, &mut calendars, problems);
    let listen = resolve_listen(raw.listen.as_ref(), problems);
    let templates = templates::read(raw.templates.as_ref(), time_zone.as_deref(), around, problems);
    Config {
        plan,
        calendars,
        path: None,
        data_dir: raw.data_dir.as_ref().map(|dir| around.base.join(&dir.value)),
        time_zone,
        templates,
        carriers,
        listen,
        heartbeat: raw.heartbeat.resolve(around, problems),
    }
}

/// Everything that speaks of targets by name, now that they are all known.
fn resolve_together(
    raw: &RawConfig,
    taken: Taken,
    around: &Surroundings<'_>,
    plan: &mut Plan,
    calendars: &mut Calendars,
    problems: &mut Problems,
) -> Vec<Carrier> {
    let groups: Vec<&RawGroup> = raw.named_groups().collect();
    let devices = Devices::find(spoken_of(raw, &taken), &taken.targets, &taken.wrong, taken.complete);
    plan.targets = taken.targets;
    let links = parents::resolve(taken.parents, &groups, &devices, plan, problems);
    plan.witnesses = witness::resolve(&raw.witnesses, &devices, plan, around.gateways, problems);
    let known = Known { groups: &plan.groups, devices: &devices, tags: &taken.tags };
    for maintenance in &raw.maintenance {
        let scope = maintenance.scope.resolve(&known, problems);
        let Some(rule) = &maintenance.when else { continue };
        let mut resolved = Maintenance::new(scope, Default::default());
        resolved.reason = maintenance.reason.as_str().into();
        plan.maintenance.push(resolved);
        calendars.push_maintenance(rule.clone());
    }
    let mut carriers = Vec::new();
    for notifier in &raw.notifiers {
        let (policy, carrier) = carrier::resolve(notifier, &known, around, problems);
        plan.notifiers.push(policy);
        calendars.push_notifier(Spoken { hours: notifier.hours, summary: notifier.summary });
        carriers.extend(carrier);
    }
    escalation::judge(&raw.notifiers, problems);
    if raw.notifiers.is_empty() {
        plan.notifiers.push(NotifierPolicy::new("file"));
        carriers.push(Carrier::File { from: None });
    }
    doubts::tell(plan, raw, &links, problems);
    carriers
}

/// The names of targets that something else speaks of.
fn spoken_of<'a>(raw: &'a RawConfig, taken: &'a Taken) -> impl Iterator<Item = &'a str> {
    let of_groups = raw.groups.iter().filter_map(|group| group.parents.as_ref()).flat_map(|parents| &parents.value);
    let of_scopes = raw.maintenance.iter().map(|maintenance| &maintenance.scope);
    let of_scopes = of_scopes.chain(raw.notifiers.iter().map(|notifier| &notifier.scope));
    let all = of_groups.chain(of_scopes.flat_map(|scope| &scope.targets)).chain(&raw.witnesses);
    taken.parents.names().chain(all.map(|name| name.value.as_str()))
}

/// Reads one CSV file.
fn read_bulk(from: &At<PathBuf>, around: &Surroundings<'_>, targets: &mut Targets<'_>, problems: &mut Problems) {
    let path = around.base.join(&from.value);
    let read = text::open(&path).and_then(|file| {
        targets.make_room_for(file.metadata()?.len());
        let mut take = |target: &RawTarget, problems: &mut Problems| targets.take(target, problems);
        Ok(import::read(&path, file, problems, &mut take)?)
    });
    targets.complete &= matches!(read, Ok(true));
    match read {
        Ok(_) => {}
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
        let known =
            KnownGroup { id: GroupId::from_index(plan.groups.len()), written: group, settings: Arc::new(settings) };
        groups.entry(name.value.as_str()).or_insert(known);
        let mut resolved = Group::new(name.value.as_str());
        resolved.router_rate = group.router_rate.as_ref().map(|rate| rate.value);
        plan.groups.push(resolved);
    }
    groups
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

/// The zone of this name, or the system's; where there is none, that is told of elsewhere.
fn zone(name: Option<&str>) -> TimeZone {
    let zone = name.map_or_else(TimeZone::try_system, TimeZone::get);
    zone.unwrap_or(TimeZone::UTC)
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

#[cfg(test)]
mod nights;
#[cfg(test)]
mod tests;
