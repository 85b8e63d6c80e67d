//! How true the engine's figures are: its RTTs and its sending times against what the kernel stamped at the veth.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{Cause, Echo, IcmpOptions, IcmpProbe, Sample};
use netwatch_tests::capture::{Capture, Captured, percentile};
use netwatch_tests::process::Kept;

use crate::Common;
use crate::daemon::devices;
use crate::drive::{Collected, Round, offset};
use crate::lab::{INTERFACE, Lab};
use crate::report::Report;
use crate::stats::Series;

/// What one run found.
#[derive(Debug)]
pub(crate) struct Found {
    /// RTT as measured minus the true one, in nanoseconds.
    pub(crate) errors: Vec<i64>,
    /// When it was sent minus when it was planned, in nanoseconds.
    pub(crate) late: Vec<i64>,
    /// Requests in the busiest millisecond, over the mean.
    pub(crate) busiest: f64,
    /// Echoes asked for, lost in the engine's opinion, unknown, and answered without an RTT.
    pub(crate) fates: [usize; 4],
    /// Replies that the capture saw to echoes that the engine calls lost.
    pub(crate) false_losses: usize,
    /// Packets that the capture missed: more than none, and the run is worth nothing.
    pub(crate) missed: u64,
}

/// Runs the engine at this rate under a capture; with a busy process on every core if asked to.
pub(crate) fn look(lab: &Lab, rate: u64, laps: u32, is_loaded: bool) -> Found {
    let addresses = devices(rate);
    let capture = Capture::start(&lab.monitor, INTERFACE);
    let cores = if is_loaded { std::thread::available_parallelism().map_or(1, usize::from) } else { 0 };
    let limit = (u64::from(laps) * 10 + 20).to_string();
    let spin = || {
        let mut busy = std::process::Command::new("timeout");
        Kept::spawn(busy.args([&limit, "sh", "-c", "while :; do :; done"]).stdin(Stdio::null()))
    };
    let load: Vec<Kept> = (0..cores).map(|_| spin()).collect();
    let samples = Arc::new(Collected::default());
    let before = offset();
    let round = Round { addresses: &addresses, laps };
    lab.monitor.inside(|| {
        let probe = Arc::new(IcmpProbe::open(IcmpOptions::default()).expect("root may ping"));
        round.run(&probe, &samples);
    });
    let clocks = (before + offset()) / 2;
    for mut busy in load {
        busy.signal(rustix::process::Signal::TERM);
        busy.wait(Duration::from_secs(10));
    }
    compare(&addresses, &samples.take(), &capture.stop(), clocks)
}

fn compare(addresses: &[std::net::IpAddr], samples: &[Sample], captured: &Captured, clocks: i64) -> Found {
    let (mut errors, mut late, mut fates, mut false_losses) = (Vec::new(), Vec::new(), [0; 4], 0);
    let spacing = 1_000_000_000;
    for of_one in samples.chunk_by(|a, b| a.target == b.target) {
        let Some(address) = of_one.first().and_then(|sample| addresses.get(sample.target.index())) else { continue };
        let echoes = of_one.iter().flat_map(|sample| {
            let at = i64::try_from(sample.at.as_nanos()).expect("a time of this year");
            (0_i64..).map(move |number| at + number * spacing).zip(sample.echoes.iter())
        });
        let sent: Vec<(i64, Echo)> = echoes.inspect(|(_, echo)| count(&mut fates, *echo)).filter(was_sent).collect();
        let rtt = |(_, echo): &(i64, Echo)| match echo {
            Echo::Reply(rtt) if rtt.is_measured() => Some(rtt.as_duration()),
            _ => None,
        };
        let rtts: Vec<Option<Duration>> = sent.iter().map(rtt).collect();
        errors.extend(captured.errors(*address, &rtts));
        let exchanges = captured.exchanges.get(address).map_or(&[][..], Vec::as_slice);
        for ((planned, echo), exchange) in sent.iter().zip(exchanges) {
            late.push(exchange.sent - clocks - planned);
            let answered = exchange.rtt().is_some_and(|rtt| rtt < Duration::from_secs(2));
            false_losses += usize::from(matches!(echo, Echo::Lost(_)) && answered);
        }
    }
    let busiest = busiest(captured);
    Found { errors, late, busiest, fates, false_losses, missed: captured.missed }
}

fn count(fates: &mut [usize; 4], echo: Echo) {
    fates[0] += 1;
    fates[1] += usize::from(matches!(echo, Echo::Lost(_)));
    fates[2] += usize::from(matches!(echo, Echo::Unknown(_)));
    fates[3] += usize::from(matches!(echo, Echo::Reply(rtt) if !rtt.is_measured()));
}

fn was_sent((_, echo): &(i64, Echo)) -> bool {
    !matches!(echo, Echo::Unknown(Cause::NotSent | Cause::QueueFull | Cause::NoRoute | Cause::NoResult))
}

/// The most requests in one millisecond, over the mean of all between the first and the last.
pub(crate) fn busiest(captured: &Captured) -> f64 {
    let sent = || captured.exchanges.values().flatten().map(|exchange| exchange.sent / 1_000_000);
    let (Some(first), Some(last)) = (sent().min(), sent().max()) else { return f64::NAN };
    let mut slots = vec![0_u32; usize::try_from(last - first + 1).expect("time goes on")];
    sent().for_each(|slot| slots[usize::try_from(slot - first).expect("the first is the first")] += 1);
    // The first and the last seconds are not full: not every device has begun.
    let full = slots.get(5000..slots.len().saturating_sub(5000)).unwrap_or(&slots);
    let mean = f64::from(full.iter().sum::<u32>()) / full.len() as f64;
    f64::from(full.iter().copied().max().unwrap_or(0)) / mean
}

/// A percentile of absolute values, in microseconds.
pub(crate) fn micros(values: &[i64], share: f64) -> f64 {
    percentile(values, share).map_or(f64::NAN, |nanos| nanos as f64 / 1e3)
}

/// The command: errors of RTT and of sending times, idle and loaded.
pub(crate) fn measure(rates: &[u64], laps: u32, common: &Common) {
    let lab = Lab::new();
    let head = [
        "echoes/s",
        "cores",
        "RTT error p50, us",
        "p99, us",
        "p99.9, us",
        "sent - planned p99, us",
        "busiest ms / mean",
        "echoes",
        "lost",
        "false loss",
        "unknown",
        "without an RTT",
    ];
    let mut report = Report::new("accuracy", &head);
    for (rate, is_loaded) in rates.iter().flat_map(|rate| [(*rate, false), (*rate, true)]) {
        let [mut p50, mut p99, mut p999, mut late, mut busy] = [const { Series::new() }; 5];
        let (mut fates, mut false_losses) = ([0; 4], 0);
        for _ in 0..common.runs {
            let found = look(&lab, rate, laps, is_loaded);
            assert_eq!(found.missed, 0, "the capture missed packets: nothing can be said");
            p50.push(micros(&found.errors, 0.5));
            p99.push(micros(&found.errors, 0.99));
            p999.push(micros(&found.errors, 0.999));
            late.push(micros(&found.late, 0.99));
            busy.push(found.busiest);
            (0..4).for_each(|kind| fates[kind] += found.fates[kind]);
            false_losses += found.false_losses;
            eprintln!("{rate}/s loaded {is_loaded}: p50 {p50} p99 {p99} p99.9 {p999} late {late}");
        }
        report.row([
            rate.to_string(),
            if is_loaded { "loaded" } else { "idle" }.to_owned(),
            p50.to_string(),
            p99.to_string(),
            p999.to_string(),
            format!("{late:.0}"),
            busy.to_string(),
            fates[0].to_string(),
            fates[1].to_string(),
            false_losses.to_string(),
            fates[2].to_string(),
            fates[3].to_string(),
        ]);
    }
    report.remark(format!(
        "Median and extremes of {} runs of {laps} laps of 10 s; the echoes are those of all runs. Errors are sizes, against the \
         kernel's stamps at the veth (tcpdump). Loaded: a busy loop of normal priority on every core beside tcpdump.",
        common.runs
    ));
    report.finish(common.write);
}
