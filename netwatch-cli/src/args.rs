//! The command line: its syntax and its help, nothing else.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use jiff::fmt::friendly::SpanParser;

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
    /// Ping hosts, each count times, all at once
    Ping(Ping),
    /// Ask the running netwatch how everything stands; 1 if something is wrong
    ///
    /// Exit status: 0 if every device answers, or is paused, or was not asked yet. 1 if one is down, unreachable or
    /// unknown; if netwatch has learned nothing new for too long; if mail does not get out or the journal cannot be
    /// written; or if netwatch does not run. 2 for usage and configuration.
    Status(Status),
}

#[derive(Debug, Args)]
pub(crate) struct Ping {
    /// Addresses or names
    #[arg(required_unless_present = "file", value_name = "HOST")]
    pub(crate) hosts: Vec<String>,
    /// Echoes to each host
    #[arg(short, long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) count: u32,
    /// Time between two echoes to the same host: 1s, 200ms
    #[arg(short, long, default_value = "1s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// How long a reply may take
    #[arg(short, long, default_value = "2s", value_parser = timeout)]
    pub(crate) timeout: Duration,
    /// Only IPv4 addresses of names
    #[arg(short = '4', long = "ipv4", conflicts_with = "v6")]
    pub(crate) v4: bool,
    /// Only IPv6 addresses of names
    #[arg(short = '6', long = "ipv6")]
    pub(crate) v6: bool,
    /// More hosts, one a line; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// One JSON object a host, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
    /// Only the summary
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// What the API says, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(10), Duration::from_secs(3600))
}

fn timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(1), Duration::from_secs(300))
}

/// A time with its unit, or a plain number of seconds as ping(8) takes it.
fn within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = seconds.or_else(|| SpanParser::new().parse_unsigned_duration(text).ok());
    let time = time.ok_or("write a time such as 200ms, 1s or 1m")?;
    if (least..=most).contains(&time) { Ok(time) } else { Err(format!("it must be from {least:?} to {most:?}")) }
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

    #[test]
    fn a_time_is_bounded() {
        assert_eq!(interval("0.2"), Ok(Duration::from_millis(200)));
        assert_eq!(interval("1m30s"), Ok(Duration::from_secs(90)));
        for text in ["0", "-1", "1ms", "2h", "soon", "NaN", "inf"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
