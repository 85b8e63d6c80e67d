//! Proves the promises: lives through as many virtual days as it is asked to, on every core, and holds what netwatch
//! said in each against what was true in it. One seed is one day, to the byte.
//!
//! A broken promise is printed with what led to it, and with the shortest command that shows it again.

mod shrink;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use netwatch_core::testing::promises::{Violation, trace, violations};
use netwatch_core::testing::world::{Classes, History, World, WorldOptions};

/// How many lines of what led to a broken promise are printed.
const LINES: usize = 60;

/// Lives through virtual days of a virtual provider and holds netwatch's promises against each.
#[derive(Debug, Parser)]
#[command(name = "simulate")]
struct Args {
    /// How many days, one for each seed.
    #[arg(long, default_value_t = 150)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only these classes of misfortune, with commas between them.
    #[arg(long, value_parser = Classes::parse)]
    only: Option<Classes>,
    /// All classes but these.
    #[arg(long, value_parser = Classes::parse, conflicts_with = "only")]
    without: Option<Classes>,
    /// How many devices there are.
    #[arg(long, default_value_t = 50)]
    devices: usize,
    /// For how many hours there is trouble, before three calm ones.
    #[arg(long, default_value_t = 21)]
    hours: u32,
    /// How many seeds are lived through at the same time; default as many as there are cores.
    #[arg(long)]
    threads: Option<usize>,
    /// Stop at the first seed that breaks a promise.
    #[arg(long)]
    first: bool,
    /// Print a broken promise without looking for a shorter way to it.
    #[arg(long)]
    no_shrink: bool,
    /// Print only what breaks this rule of a promise.
    #[arg(long)]
    rule: Option<String>,
    /// Print everything that happened in the first seed.
    #[arg(long)]
    trace: bool,
}

impl Args {
    fn options(&self, seed: u64) -> WorldOptions {
        let mut options = WorldOptions::new(seed);
        options.devices = self.devices.max(1);
        options.turmoil = Duration::from_secs(3600) * self.hours.max(1);
        options.classes = self.only.unwrap_or_else(Classes::all);
        for class in self.without.into_iter().flat_map(Classes::iter) {
            options.classes = options.classes.without(class);
        }
        options
    }
}

/// What came of one seed.
pub(crate) struct Verdict {
    pub(crate) violations: Vec<Violation>,
    /// Absent if the monitor panicked.
    pub(crate) history: Option<History>,
}

/// Lives through one day.
pub(crate) fn live(options: WorldOptions) -> Verdict {
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let history = World::new(options).run();
        (violations(&history), history)
    }));
    match lived {
        Ok((violations, history)) => Verdict { violations, history: Some(history) },
        Err(_) => Verdict { violations: Vec::new(), history: None },
    }
}

/// The command that lives through this day again.
pub(crate) fn command(options: WorldOptions) -> String {
    let mut command = format!("tests/simulate --from {} --seeds 1", options.seed);
    let default = WorldOptions::new(options.seed);
    if options.classes != default.classes {
        command.push_str(&format!(" --only '{}'", options.classes));
    }
    if options.devices != default.devices {
        command.push_str(&format!(" --devices {}", options.devices));
    }
    if options.turmoil != default.turmoil {
        command.push_str(&format!(" --hours {}", options.turmoil.as_secs() / 3600));
    }
    command
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.trace {
        let verdict = live(args.options(args.from));
        if let Some(history) = &verdict.history {
            print!("{}", trace(history, None, usize::MAX));
        }
        for violation in &verdict.violations {
            println!("BROKEN: {violation}");
        }
        return if verdict.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let begin = Instant::now();
    let (next, checks, failures) = (AtomicU64::new(args.from), AtomicU64::new(0), AtomicU64::new(0));
    let (stop, rules) = (AtomicBool::new(false), Mutex::new(BTreeMap::<String, u64>::new()));
    let end = args.from.saturating_add(args.seeds);
    let threads = args.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, |cores| cores.get()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let options = args.options(seed);
                    let mut verdict = live(options);
                    verdict.violations.retain(|found| args.rule.as_ref().is_none_or(|rule| *rule == found.rule));
                    let made = verdict.history.as_ref().map_or(0, |history| history.checks);
                    checks.fetch_add(made, Ordering::Relaxed);
                    if verdict.history.is_none() || !verdict.violations.is_empty() {
                        failures.fetch_add(1, Ordering::Relaxed);
                        count(&rules, &verdict.violations);
                        stop.fetch_or(args.first, Ordering::Relaxed);
                        print!("{}", report(options, &verdict, args.no_shrink));
                    }
                }
            });
        }
    });
    let (took, failed) = (begin.elapsed().as_secs_f64(), failures.into_inner());
    for (rule, seeds) in rules.into_inner().unwrap_or_default() {
        println!("{seeds:>7} seeds: promise {rule}");
    }
    let done = next.into_inner().min(end).saturating_sub(args.from);
    println!(
        "{done} seeds, {failed} broken; {} checks in {took:.1} s: {:.1} seeds a second",
        checks.into_inner(),
        done as f64 / took.max(0.001)
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Counts each rule that a seed breaks once.
fn count(rules: &Mutex<BTreeMap<String, u64>>, violations: &[Violation]) {
    let broken: BTreeSet<String> =
        violations.iter().map(|found| format!("{}, {}", found.promise, found.rule)).collect();
    if let Ok(mut rules) = rules.lock() {
        for rule in broken {
            *rules.entry(rule).or_default() += 1;
        }
    }
}

/// Everything that a person needs who looks into it.
fn report(options: WorldOptions, verdict: &Verdict, as_it_is: bool) -> String {
    let Some(history) = &verdict.history else {
        return format!("seed {}: the program panicked\n  {}\n", options.seed, command(options));
    };
    let Some(first) = verdict.violations.first() else { return String::new() };
    let mut text = format!("seed {}: {} broken\n", options.seed, verdict.violations.len());
    let (smallest, kept) = if as_it_is { (options, None) } else { shrink::smallest(options, first) };
    let (history, first) = kept.as_ref().map_or((history, first), |(history, violation)| (history, violation));
    let step = history.entries.iter().rfind(|entry| entry.now.mono <= first.at).map_or(0, |entry| entry.step);
    let seconds = first.at.as_nanos() / 1_000_000_000;
    let time = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    text.push_str(&format!("  at {time}, step {step}: {first}\n"));
    for line in trace(history, Some(first), LINES).lines() {
        text.push_str(&format!("    {line}\n"));
    }
    text.push_str(&format!("  {}\n", command(smallest)));
    text
}
