//! `netwatch-http`: serves the page apart from the daemon, over the daemon's local socket.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Serves the page of a netwatch daemon to browsers
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The daemon's local socket: netwatch.sock in its data directory
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// Where browsers find the page
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Allow an address that others can reach, without sign-in and without TLS
    #[arg(long)]
    allow_insecure: bool,
}

/// The exit status of a call that cannot be carried out as it was written; clap's own.
const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if !args.listen.ip().is_loopback() && !args.allow_insecure {
        eprintln!(
            "error: {} can be reached by others, and the page has neither sign-in nor TLS here; \
             listen on 127.0.0.1 or say --allow-insecure",
            args.listen
        );
        return ExitCode::from(USAGE);
    }
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until SIGTERM or SIGINT.
async fn serve(args: Args) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    println!("netwatch-http: http://{}", listener.local_addr()?);
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    netwatch_http::serve_proxy(listener, args.socket, shutdown).await?;
    Ok(())
}
