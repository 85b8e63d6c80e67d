//! One file a command. Each says what it has to say and returns how the program is to end.

pub(crate) mod ack;
mod ask;
pub(crate) mod check;
pub(crate) mod drill;
pub(crate) mod maintenance;
pub(crate) mod notify_test;
pub(crate) mod ping;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod why;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::args::Common;
use crate::config::{self, Config, Purpose};
use crate::wire::SOCKET;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is fine.
    Fine,
    /// Something is wrong.
    Wrong,
    /// The command line or the configuration is.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Fine => 0,
            Exit::Wrong => 1,
            Exit::Usage => 2,
        })
    }
}

/// The configuration without errors, or how the program ends because there are some. Whatever is wrong has been said.
pub(crate) fn configured(common: &Common, purpose: Purpose) -> Result<(Config, usize), Exit> {
    let loaded = match config::load(common.config.as_deref(), purpose) {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(&format!("error: {error}\n  = help: name another with --config, or $NETWATCH_CONFIG"));
            return Err(Exit::Usage);
        }
    };
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    complain(loaded.problems.render(colour).trim_end());
    let errors = loaded.problems.errors();
    if errors > 0 {
        let s = if errors == 1 { "" } else { "s" };
        complain(&format!("\nerror: the configuration has {errors} error{s}; nothing was started"));
        return Err(Exit::Usage);
    }
    Ok((loaded.config, loaded.problems.warnings()))
}

/// The configuration, and the socket of the daemon that runs by it; or how the program ends because nobody can tell.
/// Whatever is wrong has been said.
pub(crate) fn daemon(common: &Common) -> Result<(Config, PathBuf), Exit> {
    let (config, _) = configured(common, Purpose::Look)?;
    let Some(dir) = config::data_dir(common.data_dir.as_deref(), &config) else {
        complain("error: no data directory is known\n  = help: name it with --data-dir, or set `data_dir`");
        return Err(Exit::Usage);
    };
    Ok((config, dir.join(SOCKET)))
}

/// Writes to standard error; where that is gone, nobody can be told.
pub(crate) fn complain(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// Writes to standard output; a reader that has left has heard enough.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Whether standard output shows colours.
pub(crate) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
