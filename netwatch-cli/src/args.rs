//! The command line: its syntax and its help, nothing else.

mod operate;
mod ping;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::operate::{Ack, Add, Drill, Maintenance, MaintenanceCommand, NotifyTest};
pub(crate) use self::ping::{Ping, REMEMBERED};

/// Watches devices, tells people by mail when one stops answering, and shows all of them on a page.
///
/// Without a command it runs. Exit status: 0 fine, 1 something is wrong, 2 usage or configuration.
#[derive(Debug, Parser)]
#[command(name = "netwatch", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The configuration file [default: $NETWATCH_CONFIG, ./netwatch.toml, /etc/netwatch/netwatch.toml, or built in]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data directory [default: the configuration's, $STATE_DIRECTORY, $XDG_STATE_HOME/netwatch]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// What is logged on standard error: error, warn, info, debug, trace [default: $RUST_LOG, or info]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<tracing_subscriber::filter::LevelFilter>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch what is configured, until SIGTERM or Ctrl-C
    Run,
    /// Say what is wrong with the configuration
    Check,
    /// Ping many hosts at once, as fping does
    ///
    /// On a terminal a table is kept up to date until the end, or until Ctrl-C; elsewhere each echo is a line, and a table
    /// comes last. No echo is sent to catch up: on a machine that falls behind, everything moves to later.
    ///
    /// Exit status: 0 if every host answered at least once, 1 if one did not or could not be asked, 2 for usage.
    Ping(Ping),
    /// Ask the running netwatch how everything stands; 1 if something is wrong
    ///
    /// Exit status: 0 if every device answers, or is paused, or was not asked yet. 1 if one is down, unreachable or
    /// unknown; if netwatch has learned nothing new for too long; if mail does not get out or the journal cannot be
    /// written; or if netwatch does not run. 2 for usage and configuration.
    Status(Status),
    /// Say that somebody sees to the open outage of a device: no reminders and no escalation until it ends
    Ack(Ack),
    /// Enter, list and end maintenances: outages that open in them are not told
    Maintenance(Maintenance),
    /// Rehearse an outage of a device: a mail marked DRILL goes the way of a real one
    ///
    /// Everybody whom a real outage of the device would be told is told of the drill, and a minute later of its end. It
    /// shows on no page and counts in no report. There is one in 10 minutes at most.
    Drill(Drill),
    /// Send a test through each notifier, at once and without the daemon; 1 if one did not accept it
    NotifyTest(NotifyTest),
    /// Say why mails about a device were sent, or were not
    ///
    /// It reads the ledger in the data directory, whether netwatch runs or not. Without a time it tells of the last 24
    /// hours, or else of the last outage; with one, of the outage at that time, or else of the last before it.
    ///
    /// Exit status: 0 if something is recorded, 1 if nothing is or the ledger cannot be read, 2 for a device that is not
    /// known, usage and configuration.
    Why(Why),
}

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The device, by name; "" for netwatch itself
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// HH:MM (the last time it was so late), "YYYY-MM-DD HH:MM" in the configuration's zone, or RFC 3339
    #[arg(value_name = "TIME", num_args = 0..=2)]
    pub(crate) time: Vec<String>,
    /// What is recorded, as JSON: durations in seconds
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// What the API says, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn nothing_at_all_means_run() {
        assert!(Arguments::try_parse_from(["netwatch"]).unwrap().command.is_none());
    }
}
