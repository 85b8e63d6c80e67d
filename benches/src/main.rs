//! netwatch measured against the kernel's own floor and against its peers, in a lab without a route out.
//!
//! Each command makes its own namespaces, runs for a bounded time, prints a table, and with `--write` puts that table between its
//! markers in docs/PERFORMANCE.md: no figure there was typed by a person. Figures to compare are taken in turns within one run
//! (A B A B), because the machine's speed drifts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a measuring program outside the published crates: what it cannot measure must end it at once"
)]

mod accuracy;
mod cost;
mod daemon;
mod dead;
mod drive;
mod floor;
mod growth;
mod lab;
mod logic;
mod peers;
mod profile;
mod report;
mod stats;
mod storm;
mod sustain;

use clap::{Args, Parser, Subcommand};

/// Measures netwatch. As root, on a machine that does nothing else.
#[derive(Debug, Parser)]
struct Words {
    #[command(subcommand)]
    command: Command,
}

/// What every measurement can be told.
#[derive(Debug, Clone, Args)]
struct Common {
    /// How often each figure is taken.
    #[arg(long, default_value_t = 5, global = true)]
    runs: usize,
    /// Seconds that each is measured for.
    #[arg(long, default_value_t = 20, global = true)]
    seconds: u64,
    /// Puts the table into docs/PERFORMANCE.md.
    #[arg(long, global = true)]
    write: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the kernel itself takes for an echo: the bare loop.
    Floor {
        #[command(flatten)]
        common: Common,
    },
    /// What the whole daemon takes for an echo, and the floor at the same rate, in turns.
    Daemon {
        /// Echoes a second, each rate in turn.
        #[arg(long, value_delimiter = ',', default_values_t = [50_000, 5_000])]
        rates: Vec<u64>,
        /// Runs the daemon as nobody, with CAP_NET_RAW alone.
        #[arg(long)]
        cap_net_raw: bool,
        #[command(flatten)]
        common: Common,
    },
    /// The engine's RTTs and sending times against a capture, idle and with every core loaded.
    Accuracy {
        /// Echoes a second, each rate in turn.
        #[arg(long, value_delimiter = ',', default_values_t = [50_000])]
        rates: Vec<u64>,
        /// Checks of each device, 10 s each.
        #[arg(long, default_value_t = 3)]
        laps: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Many devices for minutes: what was sent, answered, and said of it.
    Sustain {
        /// Numbers of devices, each in turn.
        #[arg(long, value_delimiter = ',', default_values_t = [100_000])]
        targets: Vec<usize>,
        #[command(flatten)]
        how: sustain::How,
        #[command(flatten)]
        common: Common,
    },
    /// The daemon from few devices to many, with the exponents of its cost.
    Growth {
        /// Numbers of devices, each in turn.
        #[arg(long, value_delimiter = ',', default_values_t = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000])]
        targets: Vec<usize>,
        /// Up to how many devices RTTs are compared with a capture.
        #[arg(long, default_value_t = 100_000)]
        most_captured: usize,
        #[command(flatten)]
        common: Common,
    },
    /// The engine alone from few devices to many.
    Engine {
        /// Numbers of devices, each in turn.
        #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
        targets: Vec<usize>,
        #[command(flatten)]
        common: Common,
    },
    #[command(hide = true)]
    EngineAlone { size: usize, laps: u32 },
    /// The live devices when a share of the others is dead.
    Dead {
        /// How many devices.
        #[arg(long, default_value_t = 10_000)]
        targets: usize,
        /// How many of them are dead, in percent.
        #[arg(long, default_value_t = 30)]
        percent: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Where the daemon's time goes, by Linux perf.
    Profile {
        /// How many devices.
        #[arg(long, default_value_t = 300_000)]
        targets: usize,
        #[command(flatten)]
        common: Common,
    },
    /// The pure half alone: checks a second, allocations a check.
    Logic {
        /// Numbers of devices, each in turn.
        #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
        targets: Vec<usize>,
        #[command(flatten)]
        common: Common,
    },
    /// The pure half alone: everything falls silent at once.
    Storm {
        /// How many devices.
        #[arg(long, default_value_t = 100_000)]
        targets: usize,
        #[command(flatten)]
        common: Common,
    },
    /// One echo to each of many addresses, by fping and by `netwatch ping`.
    Ping {
        /// Numbers of addresses, each in turn.
        #[arg(long, value_delimiter = ',', default_values_t = [60_000, 200_000])]
        targets: Vec<usize>,
        #[command(flatten)]
        common: Common,
    },
    /// The peers side by side: fping, surge-ping, check_icmp, ping, blackbox-exporter, smokeping-prober, the floor and netwatch.
    Peers {
        /// A tenth of the load, once: to see that it works.
        #[arg(long)]
        quick: bool,
        #[command(flatten)]
        common: Common,
    },
}

fn main() {
    match Words::parse().command {
        Command::Floor { common } => floor::measure(&common),
        Command::Daemon { rates, cap_net_raw, common } => daemon::against_floor(&rates, cap_net_raw, &common),
        Command::Accuracy { rates, laps, common } => accuracy::measure(&rates, laps, &common),
        Command::Sustain { targets, how, common } => sustain::measure(&targets, &how, &common),
        Command::Growth { targets, most_captured, common } => growth::daemon(&targets, most_captured, &common),
        Command::Engine { targets, common } => growth::engine(&targets, &common),
        Command::EngineAlone { size, laps } => growth::alone(size, laps),
        Command::Dead { targets, percent, common } => dead::measure(targets, percent, &common),
        Command::Profile { targets, common } => profile::measure(targets, &common),
        Command::Ping { targets, common } => peers::many::measure(&targets, &common),
        Command::Peers { quick, common } => peers::measure(quick, &common),
        Command::Logic { targets, common } => logic::measure(&targets, &common),
        Command::Storm { targets, common } => storm::measure(targets, &common),
    }
}
