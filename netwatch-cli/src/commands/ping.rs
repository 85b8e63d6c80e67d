//! `netwatch ping`: fping's job with netwatch's own engine. Here it is put together: whom to ask, how, and what is shown.

mod asking;
mod hosts;
mod live;
mod lookup;
mod queue;
mod range;
mod show;
mod tally;
mod terminal;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netwatch_core::{Family, IcmpOptions, IcmpProbe, Locale, OpenError, Probe, Settings};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use self::asking::{Manner, News};
use self::hosts::Wanted;
use self::live::Look;
use self::lookup::{LOOKUPS, Names};
use self::tally::Tally;
use self::terminal::Screen;
use super::{Exit, colours, complain};
use crate::{args, table, words};

/// The live table is drawn at most so often.
const REDRAW: Duration = Duration::from_millis(250);
/// Of the hosts of which nothing is known, so many are named.
const MOST_NAMED: usize = 10;

/// What is shown while it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// A line an echo.
    Lines,
    /// A host when it answers first.
    Alive,
    /// The live table.
    Table,
}

/// Pings, shows, and tells by its end whether every host answered.
pub(crate) fn ping(options: &args::Ping) -> Exit {
    let wanted = match hosts::wanted(options) {
        Ok(wanted) => wanted,
        Err(error) => {
            complain(&format!("error: {error}"));
            return Exit::Usage;
        }
    };
    let probe = match open(options.packet_interval) {
        Ok(probe) => probe,
        Err(error) => {
            complain(&format!("error: {error}"));
            return Exit::Wrong;
        }
    };
    // One thread asks, this one shows; names are looked up by others that may take their time.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(LOOKUPS)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("error: cannot start: {error}"));
            return Exit::Wrong;
        }
    };
    let locale = words::locale_of_terminal(&|name| std::env::var(name).ok());
    let begun = Instant::now();
    let tallies = runtime.block_on(ask_all(wanted, probe, options, locale));
    // A lookup that still hangs does not hold up the end.
    runtime.shutdown_background();
    // Whoever does not read to the end has heard enough.
    let _ = conclude(&tallies, options, locale, begun.elapsed());
    if tallies.iter().all(|tally| tally.answered > 0) { Exit::Fine } else { Exit::Wrong }
}

/// The engine, with buffers for one packet in every `gap`.
fn open(gap: Duration) -> Result<Arc<dyn Probe>, OpenError> {
    Ok(Arc::new(IcmpProbe::open(IcmpOptions::default().with_planned_rate(1.0 / gap.as_secs_f64()))?))
}

fn manner(options: &args::Ping) -> Manner {
    let mut settings = Settings::default();
    settings.pings = 1;
    settings.interval = options.interval;
    settings.timeout = options.timeout;
    Manner {
        gap: options.packet_interval,
        interval: options.interval,
        rounds: options.rounds().map(std::num::NonZeroU32::get),
        until_answered: options.until_answered(),
        settings: Arc::new(settings),
    }
}

fn meanwhile(options: &args::Ping) -> Meanwhile {
    match options {
        _ if options.alive => Meanwhile::Alive,
        _ if options.unreach || options.json || options.quiet => Meanwhile::Nothing,
        _ if std::io::stdout().is_terminal() => Meanwhile::Table,
        _ if options.vcount.is_some() => Meanwhile::Nothing,
        _ => Meanwhile::Lines,
    }
}

/// Asks everybody and shows it, until all is known or somebody wants it to end.
async fn ask_all(wanted: Vec<Wanted>, probe: Arc<dyn Probe>, options: &args::Ping, locale: Locale) -> Vec<Tally> {
    let family = options.v4.then_some(Family::V4).or(options.v6.then_some(Family::V6));
    let names = Names::of(&wanted, family);
    let (out, news) = unbounded_channel();
    let mut tallies = Vec::with_capacity(wanted.len());
    let addresses = wanted.iter().map(|wanted| wanted.address).collect();
    tallies.extend(wanted.into_iter().map(Tally::new));
    let asking = tokio::spawn(asking::ask(addresses, names, manner(options), probe, out));
    let ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(|kind| signal(kind).ok());
    tokio::select! {
        // A standard output that is gone ends it too.
        _ = follow(&mut tallies, news, meanwhile(options), locale) => {}
        () = any(ends) => {}
    }
    asking.abort();
    tallies
}

async fn any(mut signals: [Option<Signal>; 3]) {
    std::future::poll_fn(|context| {
        let mut signals = signals.iter_mut().flatten();
        if signals.any(|signal| signal.poll_recv(context).is_ready()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// Counts what is learned and shows it, until there is no more.
async fn follow(
    tallies: &mut [Tally],
    mut news: UnboundedReceiver<News>,
    meanwhile: Meanwhile,
    locale: Locale,
) -> std::io::Result<()> {
    let begun = Instant::now();
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let mut screen = (meanwhile == Meanwhile::Table).then(Screen::enter);
    let mut redraw = tokio::time::interval(REDRAW);
    redraw.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let news = tokio::select! {
            news = news.recv() => match news {
                Some(news) => news,
                None => return Ok(()),
            },
            _ = redraw.tick() => {
                if let Some(screen) = &mut screen {
                    screen.draw(&live::frame(tallies, &Screen::look(locale), begun.elapsed()))?;
                }
                out.flush()?;
                continue;
            }
        };
        match news {
            News::Address(host, address) => {
                if let Some(tally) = tallies.get_mut(host as usize) {
                    tally.locate(address);
                }
            }
            News::Echoes(echoes) => {
                for (ask, echo) in echoes {
                    let Some(tally) = tallies.get_mut(ask.host as usize) else { continue };
                    tally.add(ask.round, echo);
                    match meanwhile {
                        Meanwhile::Lines => {
                            let number = u64::from(ask.round).saturating_add(1);
                            writeln!(out, "{}", show::line(tally, number, echo, locale))?;
                        }
                        Meanwhile::Alive if tally.answered == 1 && tally.last_is_reply() => {
                            writeln!(out, "{}", words::printable(&tally.host))?;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}

/// Says what came of it.
fn conclude(tallies: &[Tally], options: &args::Ping, locale: Locale, elapsed: Duration) -> std::io::Result<()> {
    let stdout = std::io::stdout();
    let is_live = meanwhile(options) == Meanwhile::Table;
    let mut out = std::io::BufWriter::new(stdout.lock());
    if options.json {
        for tally in tallies {
            writeln!(out, "{}", tally.json())?;
        }
    } else if options.until_answered() {
        for tally in tallies.iter().filter(|tally| options.unreach && tally.is_silent()) {
            writeln!(out, "{}", words::printable(&tally.host))?;
        }
    } else if let Some(rounds) = options.vcount {
        for tally in tallies {
            writeln!(out, "{}", show::times(tally, rounds.get()))?;
        }
    } else if is_live {
        // Room for the prompt, so that the heading stays in sight.
        let look = Screen::look(locale);
        for line in live::frame(tallies, &Look { rows: look.rows.saturating_sub(2), ..look }, elapsed) {
            writeln!(out, "{line}")?;
        }
    } else {
        let gap = if options.quiet { "" } else { "\n" };
        write!(out, "{gap}{}", table::render(&show::table(tallies, locale), colours()))?;
    }
    out.flush()?;
    if options.until_answered() {
        complain(&unknown(tallies, locale));
    }
    Ok(())
}

/// The hosts of which a list of those that answer, or of those that do not, can say nothing.
fn unknown(tallies: &[Tally], locale: Locale) -> String {
    let mut unknown = tallies.iter().filter(|tally| tally.answered == 0 && !tally.is_silent() && tally.cause.is_some());
    let line =
        |tally: &Tally| format!("{}: {}: {}", show::named(tally), words::unknown(locale), show::why(tally, locale));
    let mut lines: Vec<String> = unknown.by_ref().take(MOST_NAMED).map(line).collect();
    let rest = unknown.count();
    if rest > 0 {
        lines.push(format!("... +{rest}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
