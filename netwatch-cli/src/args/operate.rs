//! The options of `netwatch ack`, `drill`, `notify-test` and `maintenance`.

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::fmt::friendly::SpanParser;

/// The longest that a maintenance can be entered for at once.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

#[derive(Debug, Args)]
pub(crate) struct Ack {
    /// The device, by the name it has in the configuration
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// What is being done about it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) note: String,
    /// Who sees to it [default: the user]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// What the API says, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Drill {
    /// The device, by the name it has in the configuration
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Who holds the drill [default: the user]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// What the API says, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NotifyTest {
    /// Notifiers, by name [default: all of them]
    #[arg(value_name = "NOTIFIER")]
    pub(crate) notifiers: Vec<String>,
    /// What became of each, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Maintenance {
    #[command(subcommand)]
    pub(crate) command: MaintenanceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Enter a maintenance
    Add(Box<Add>),
    /// Show those that were entered and are not over
    List {
        /// What the API says, as JSON
        #[arg(long)]
        json: bool,
    },
    /// End one before its time
    End {
        /// Its number, as `list` shows it
        id: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    #[command(flatten)]
    pub(crate) scope: Scope,
    #[command(flatten)]
    pub(crate) end: End,
    /// When it begins, as with --until [default: now]
    #[arg(long, value_name = "WHEN")]
    pub(crate) from: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who enters it [default: the user]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// What the API says, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Scope {
    /// A device, by name; several times for several
    #[arg(long = "target", value_name = "NAME")]
    pub(crate) targets: Vec<String>,
    /// All devices of a group
    #[arg(long = "group", value_name = "NAME")]
    pub(crate) groups: Vec<String>,
    /// All devices with a tag
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// All devices
    #[arg(long, conflicts_with_all = ["targets", "groups", "tags"])]
    pub(crate) everything: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct End {
    /// How long it lasts, such as 30m, 2h or 1h30m
    #[arg(long = "for", value_name = "TIME", value_parser = lasting)]
    pub(crate) lasting: Option<Duration>,
    /// When it ends: 2026-03-01T04:00:00-03:00, or 2026-03-01 04:00 in the configuration's time zone
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
}

fn lasting(text: &str) -> Result<Duration, String> {
    let time = SpanParser::new().parse_unsigned_duration(text);
    let time = time.map_err(|_| "write a time such as 30m, 2h or 1h30m")?;
    let fits = (Duration::from_secs(1)..=LONGEST).contains(&time);
    if fits { Ok(time) } else { Err("it must be from 1 s to a year".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::args::Arguments;

    fn is_fine(line: &str) -> bool {
        Arguments::try_parse_from(std::iter::once("netwatch").chain(line.split_whitespace())).is_ok()
    }

    #[test]
    fn a_maintenance_has_devices_an_end_and_a_reason() {
        for line in [
            "--target a --for 2h --reason x",
            "--group a --tag b --target c --target d --until 2026-03-01T04:00:00Z --reason x --by ana",
            "--everything --for 1h30m --reason x --from 2026-03-01T04:00:00Z --json",
        ] {
            assert!(is_fine(&format!("maintenance add {line}")), "{line}");
        }
        for line in [
            "--for 2h --reason x",
            "--target a --reason x",
            "--target a --for 2h",
            "--target a --for 2h --until 2026-03-01T04:00:00Z --reason x",
            "--everything --target a --for 2h --reason x",
            "--target a --for 2 --reason x",
            "--target a --for 0s --reason x",
            "--target a --for 9000h --reason x",
        ] {
            assert!(!is_fine(&format!("maintenance add {line}")), "{line}");
        }
        assert!(is_fine("maintenance list --json") && is_fine("maintenance end 7") && !is_fine("maintenance end x"));
        assert!(!is_fine("drill") && is_fine("drill olt-1 --by ana --json") && is_fine("notify-test noc jefe --json"));
        assert!(!is_fine("maintenance") && !is_fine("ack") && is_fine("ack olt-1 --note x --by ana"));
    }
}
