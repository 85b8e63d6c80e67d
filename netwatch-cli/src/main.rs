//! The program `netwatch`: it reads the command line, lets a command do its work, and ends as that says.

mod args;
mod buffers;
mod call;
mod commands;
mod config;
mod crew;
mod desk;
mod figures;
mod heartbeat;
mod panics;
mod reload;
mod renewal;
mod supervisor;
mod table;
mod wire;
mod words;

use std::process::ExitCode;

use args::{Arguments, Command};
use clap::Parser;

fn main() -> ExitCode {
    let Arguments { command, common } = Arguments::parse();
    // Whichever part comes first to TLS finds the one provider of this program; that one is there already is no harm.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exit = match command.unwrap_or(Command::Run) {
        Command::Run => commands::run::run(&common),
        Command::Check => commands::check::check(&common),
        Command::Ping(options) => commands::ping::ping(&options),
        Command::Status(options) => commands::status::status(&common, &options),
        Command::Ack(options) => commands::ack::ack(&common, &options),
        Command::Maintenance(options) => commands::maintenance::maintenance(&common, &options),
        Command::Drill(options) => commands::drill::drill(&common, &options),
        Command::NotifyTest(options) => commands::notify_test::notify_test(&common, &options),
        Command::Why(options) => commands::why::why(&common, &options),
    };
    exit.into()
}
