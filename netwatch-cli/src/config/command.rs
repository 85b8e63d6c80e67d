//! A `[[notifier]]` of kind `exec`: which command is started.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use netwatch_core::{ExecConfig, ExecConfigError, ExecNotifier};

use super::Purpose;
use super::notifier::RawNotifier;
use super::problem::{At, Place, Problems};
use super::resolve::Surroundings;
use super::section::Section;

/// The keys that only this kind has.
pub(super) const KEYS: [&str; 2] = ["command", "attempt_timeout"];

const EXAMPLE: &str = "write the program by its absolute path, and each argument by itself: `command = [\"/usr/local/bin/send-sms\", \"+595981000000\"]`";

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct RawExec {
    command: Option<At<Vec<At<String>>>>,
    attempt_timeout: Option<Duration>,
}

impl RawExec {
    pub(super) fn read(section: &mut Section, place: Place, problems: &mut Problems) -> RawExec {
        if section.key("command").is_none() {
            problems.error(place, "`command` is missing", "this has no `command`", EXAMPLE);
        }
        RawExec {
            command: section.list("command", problems),
            attempt_timeout: section
                .duration("attempt_timeout", Duration::from_secs(1), Duration::from_secs(60), problems)
                .map(|said| said.value),
        }
    }
}

/// The configuration of the command, if it can be made.
pub(super) fn resolve(raw: &RawNotifier, around: &Surroundings<'_>, problems: &mut Problems) -> Option<ExecConfig> {
    let command = raw.exec.command.as_ref()?;
    let words = command.value.iter().map(|word| word.value.clone()).collect();
    let mut config = ExecConfig::new(words);
    config.timeout = raw.exec.attempt_timeout.unwrap_or(config.timeout);
    let place = command.value.first().map_or(command.place, |program| program.place);
    match ExecNotifier::new(config.clone()) {
        Ok(_) => look_at(&config, place, around, problems),
        Err(error) => {
            let help = match error {
                ExecConfigError::Nul { .. } => "remove the character",
                _ => EXAMPLE,
            };
            problems.error(place, error.to_string(), "this command cannot be started", help);
        }
    }
    Some(config)
}

/// A program that is missing must not keep netwatch from watching: it may come.
fn look_at(config: &ExecConfig, place: Place, around: &Surroundings<'_>, problems: &mut Problems) {
    let Some(program) = config.command.first().filter(|_| around.purpose != Purpose::Look) else { return };
    let (title, label, help) = match std::fs::metadata(program) {
        Err(error) => {
            let help = format!("install {program}, or name another");
            (format!("cannot start {program}: {error}"), "this notifier tells nobody until it is there", help)
        }
        Ok(found) if !found.is_file() || found.permissions().mode() & 0o111 == 0 => {
            let help = format!("run `chmod 755 {program}`, or name another");
            (format!("cannot start {program}: it is not an executable file"), "this notifier tells nobody", help)
        }
        Ok(found) if found.permissions().mode() & 0o002 != 0 => {
            let label = "whoever can write it can do what netwatch can";
            problems.warning(
                place,
                format!("others can change {program}"),
                label,
                format!("run `chmod o-w {program}`"),
            );
            return;
        }
        Ok(_) => return,
    };
    match around.purpose {
        Purpose::Run => problems.warning(place, title, label, help),
        _ => problems.error(place, title, label, help),
    }
}
