//! What the plan would do wrong, told at the place that can be changed. The library finds it; here it gets its words.

use netwatch_core::{Finding, Host, NotifierId, Plan, RouterNeed, Service, TargetId, lint};

use super::address;
use super::file::{RawConfig, RawGroup};
use super::notifier::RawNotifier;
use super::parents::Links;
use super::problem::{At, Place, Problems};
use super::section::short;

/// A cycle of more is shown without its middle.
const MOST_SHOWN: usize = 8;

/// Tells of everything that is wrong with the plan as a whole.
pub(super) fn tell(plan: &Plan, raw: &RawConfig, links: &Links, problems: &mut Problems) {
    for finding in lint(plan, &services(raw)) {
        match finding {
            Finding::Cycle(cycle) => tell_cycle(plan, links, &cycle, problems),
            Finding::RouterRate(need) => tell_rate(raw, &need, problems),
            Finding::Behind { service, target } => tell_behind(plan, raw, service, target, problems),
            Finding::LateParent { .. } => tell_late(plan, links, &finding, problems),
            // Settings have been judged where they stand, level by level.
            _ => {}
        }
    }
}

/// What people are told and shown through, and where it is.
fn services(raw: &RawConfig) -> Vec<(Service, Host)> {
    let mail = raw.notifiers.iter().enumerate().filter_map(|(index, notifier)| {
        let host = address::understand(&far_side(notifier)?.0, None).ok()?;
        Some((Service::Mail(NotifierId::from_index(index)), host))
    });
    let page = raw.listen.as_ref().and_then(|listen| listen.value.trim().parse::<std::net::SocketAddr>().ok());
    let page = page.map(|listen| (Service::Page, Host::Ip { ip: listen.ip(), zone: None }));
    mail.chain(page).collect()
}

/// The host that a notifier tells people through, where that is said, and what it is.
fn far_side(notifier: &RawNotifier) -> Option<(String, Place, &'static str)> {
    let server = |server: &At<String>, what| (server.value.trim().to_owned(), server.place, what);
    let mail = notifier.smtp.server.as_ref().map(|mail| server(mail, "mail server"));
    let syslog = notifier.syslog.server.as_ref().map(|syslog| server(syslog, "log server"));
    let webhook = || {
        let (host, place) = notifier.webhook.host()?;
        Some((host, place, "webhook's server"))
    };
    mail.or(syslog).or_else(webhook)
}

fn name(plan: &Plan, id: TargetId) -> &str {
    plan.target(id).map_or("", |target| &target.name)
}

fn tell_cycle(plan: &Plan, links: &Links, cycle: &[TargetId], problems: &mut Problems) {
    let Some(first) = cycle.first() else { return };
    let Some(place) = links.place(plan, *first, *cycle.get(1).unwrap_or(first)) else { return };
    let names: Vec<&str> = cycle.iter().chain([first]).map(|id| name(plan, *id)).collect();
    let shown = match (names.get(..MOST_SHOWN), names.last()) {
        (Some(begin), Some(last)) if names.len() > MOST_SHOWN.saturating_add(1) => {
            let left_out = names.len().saturating_sub(begin.len()).saturating_sub(1);
            format!("{} -> ({left_out} more) -> {last}", begin.join(" -> "))
        }
        _ => names.join(" -> "),
    };
    let title = format!("\"{}\" is reached through itself: {shown}", name(plan, *first));
    let help = "name in `parents` only what is nearer to netwatch: remove one of these steps";
    problems.error(place, title, "leads back to it", help);
}

/// A router that bears less than its group needs is never obeyed by asking less often: whoever wrote it must choose.
fn tell_rate(raw: &RawConfig, need: &RouterNeed, problems: &mut Problems) {
    let named: Vec<&RawGroup> = raw.named_groups().collect();
    let Some(group) = named.get(need.group.index()) else { return };
    let (Some(name), Some(rate)) = (&group.name, &group.router_rate) else { return };
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

fn tell_late(plan: &Plan, links: &Links, finding: &Finding, problems: &mut Problems) {
    let Finding::LateParent { parent, child, children, known_after, due_after, .. } = finding else { return };
    let Some(place) = links.place(plan, *child, *parent) else { return };
    let (parent, child) = (name(plan, *parent), name(plan, *child));
    let title = format!(
        "it takes up to {} to know that \"{parent}\" is dead, and \"{child}\" is due after {}",
        short(*known_after),
        short(*due_after)
    );
    let label = match children.saturating_sub(1) {
        0 => "its outages wait for this parent".to_owned(),
        others => format!("its outages wait for this parent, and so do those of {others} more"),
    };
    let help = format!(
        "shorten `interval` of \"{parent}\", or write `tolerance = \"{}\"` or more for what is behind it",
        short(*known_after)
    );
    problems.warning(place, title, label, help);
}

fn tell_behind(plan: &Plan, raw: &RawConfig, service: Service, target: TargetId, problems: &mut Problems) {
    let device = name(plan, target);
    let parents = plan.target(target).map_or(&[][..], |target| target.parents());
    let through: Vec<String> = parents.iter().map(|parent| format!("\"{}\"", name(plan, *parent))).collect();
    let behind = if through.is_empty() { String::new() } else { format!(", behind {}", through.join(" and ")) };
    match service {
        Service::Mail(notifier) => {
            let Some(notifier) = raw.notifiers.get(notifier.index()) else { return };
            let Some((_, place, what)) = far_side(notifier) else { return };
            let title = format!("this {what} is the watched device \"{device}\"{behind}");
            let help = "add a notifier that goes another way, and name it in `escalate_to`: it is told what this one cannot deliver";
            problems.warning(place, title, "while it is down, nobody is told of it", help);
        }
        Service::Page => {
            let Some(listen) = &raw.listen else { return };
            let title = format!("the page is at the watched device \"{device}\"{behind}");
            let help = "serve it from a machine that is not reached through what it shows";
            problems.warning(listen.place, title, "while it is down, nobody sees the page", help);
        }
        _ => {}
    }
}
