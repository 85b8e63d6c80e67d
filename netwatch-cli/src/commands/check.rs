//! `netwatch check`: what is wrong with the configuration, without starting anything.

use netwatch_core::IcmpOptions;

use super::{Exit, complain, configured, say};
use crate::args::Common;
use crate::buffers;
use crate::config::Purpose;

/// Reads the configuration as `run` would, and says what came of it.
pub(crate) fn check(common: &Common) -> Exit {
    let (config, warnings) = match configured(common, Purpose::Check) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let plan = &config.plan;
    let rate = plan.echoes_per_second();
    let wanted = IcmpOptions::default().with_planned_rate(rate);
    let receive = buffers::largest().and_then(|largest| buffers::advice(rate, largest, wanted.receive_buffer));
    let targets = plan.targets.len();
    let send = buffers::largest_send().and_then(|largest| buffers::send_advice(targets, largest, wanted.send_buffer));
    [receive, send].into_iter().flatten().for_each(|advice| complain(&format!("note: {advice}")));
    let file =
        config.path.as_ref().map_or_else(|| "the built-in configuration".to_owned(), |path| path.display().to_string());
    let warnings = if warnings == 0 { String::new() } else { format!("; {}", count(warnings, "warning")) };
    say(&format!(
        "{file} is fine: {}, {}, {}{warnings}",
        count(targets, "target"),
        count(plan.groups.len(), "group"),
        count(plan.notifiers.len(), "notifier"),
    ));
    Exit::Fine
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
