//! The peers: how others ping, in the same lab, in turns with the floor and with netwatch, and one table of it all.
//!
//! Every tool gets the load that it is known to bear, in the way that its users run it. `packages` fetches them, `tools` runs those
//! that end by themselves, `exporters` those that serve; `many` sets
//! `netwatch ping` against fping.

mod exporters;
pub(crate) mod many;
mod packages;
mod tools;

use std::net::IpAddr;
use std::time::Duration;

use netwatch_tests::capture::Capture;

use self::packages::Programs;
use crate::Common;
use crate::cost::Spent;
use crate::daemon::{Netwatch, observe};
use crate::floor::{Floor, count};
use crate::lab::{INTERFACE, Lab, alive};
use crate::report::Report;
use crate::stats::Series;

/// What a tool took, and what it said.
#[derive(Debug)]
struct Seen {
    spent: Spent,
    /// Echoes without an answer in its own opinion.
    unanswered: u64,
    /// The mean of the RTTs that it tells, in microseconds.
    mean_rtt: Option<f64>,
    /// Resident bytes, of a tool that is one process.
    resident: Option<u64>,
}

/// A way to ping.
struct Peer {
    name: &'static str,
    how: String,
    run: Box<dyn Fn(&Lab) -> Seen>,
}

impl Peer {
    fn new(name: &'static str, how: impl Into<String>, run: impl Fn(&Lab) -> Seen + 'static) -> Peer {
        Peer { name, how: how.into(), run: Box::new(run) }
    }
}

#[derive(Default)]
struct Figures {
    rate: Series,
    cost: Series,
    ratio: Series,
    resident: Series,
    false_loss: Series,
}

/// The command. `quick` takes a tenth of the load: it shows that everything works, and its figures mean nothing.
pub(crate) fn measure(quick: bool, common: &Common) {
    let lab = Lab::new();
    let programs = Programs::get();
    let seconds = if quick { 2 } else { common.seconds };
    let window = Duration::from_secs(seconds);
    let runs = if quick { 1 } else { common.runs };
    let peers = all(&programs, if quick { 10 } else { 1 }, window);
    let mut figures: Vec<Figures> = peers.iter().map(|_| Figures::default()).collect();
    for _ in 0..runs {
        let floor = Floor::paced(50_000).run(&lab, window).0.per_echo();
        for (peer, figures) in peers.iter().zip(&mut figures) {
            let Seen { spent, unanswered, resident, .. } = (peer.run)(&lab);
            let asked = spent.answered.requests.max(1);
            let skipped = spent.answered.requests.saturating_sub(spent.answered.replies);
            figures.rate.push(asked as f64 / spent.wall.as_secs_f64());
            figures.cost.push(spent.per_echo());
            figures.ratio.push(spent.per_echo() / floor);
            figures.false_loss.push(unanswered.saturating_sub(skipped) as f64 / asked as f64 * 100.0);
            resident.inspect(|bytes| figures.resident.push(*bytes as f64 / 1e6));
            eprintln!("{}: {:.2} us, {:.2} x", peer.name, spent.per_echo(), spent.per_echo() / floor);
        }
    }
    let head = [
        "tool",
        "how",
        "echoes/s",
        "us CPU an echo",
        "against the floor",
        "false loss, %",
        "RTT it tells, mean us",
        "true RTT, mean us",
        "resident, MB",
    ];
    let mut report = Report::new("peers", &head);
    for (peer, figures) in peers.iter().zip(figures) {
        let (told, truth) = rtts(&lab, peer);
        report.row([
            peer.name.to_owned(),
            peer.how.clone(),
            format!("{:.0}", figures.rate.median()),
            figures.cost.to_string(),
            figures.ratio.to_string(),
            format!("{:.3}", figures.false_loss),
            told.map_or("-".to_owned(), |told| format!("{told:.1}")),
            format!("{truth:.1}"),
            format!("{:.1}", figures.resident),
        ]);
    }
    report.remark(format!(
        "CPU of the whole path, both directions, the answering kernel's included. The floor is the bare loop at 50,000/s in the same turn. \
         Median and extremes of {runs} turns. RTTs are from a further run under a capture: what the tool tells of its echoes, and \
         what the kernel stamped at the interface. netwatch runs as the whole daemon. Versions: {}.",
        programs.versions()
    ));
    report.finish(common.write);
}

/// What it tells, and the truth, both as a mean in microseconds.
fn rtts(lab: &Lab, peer: &Peer) -> (Option<f64>, f64) {
    let capture = Capture::start(&lab.monitor, INTERFACE);
    let seen = (peer.run)(lab);
    let captured = capture.stop();
    let (mut sum, mut number) = (Duration::ZERO, 0_u32);
    for rtt in captured.exchanges.values().flatten().filter_map(|exchange| exchange.rtt()) {
        sum += rtt;
        number += 1;
    }
    (seen.mean_rtt, sum.as_secs_f64() * 1e6 / f64::from(number.max(1)))
}

fn all(programs: &Programs, less: usize, window: Duration) -> Vec<Peer> {
    let floor = |rate: u64| move |lab: &Lab| bare(lab, rate / less as u64, window);
    let netwatch = |rate: usize| move |lab: &Lab| whole(lab, rate * 2 / less, window);
    let fping = |targets: usize| {
        let (programs, targets) = (programs.clone(), targets / less);
        move |lab: &Lab| tools::fping(lab, &programs, targets)
    };
    let surge = |targets: usize, seconds: u64| {
        let (programs, targets) = (programs.clone(), targets / less);
        move |lab: &Lab| tools::surge(lab, &programs, targets, seconds * 1000 / 5)
    };
    let each = programs.clone();
    let check_icmp = move |lab: &Lab| tools::check_icmp(lab, &each, 2000 / less);
    let each = programs.clone();
    let ping = move |lab: &Lab| tools::ping(lab, &each, 1000 / less);
    let each = programs.clone();
    let blackbox = move |lab: &Lab| exporters::blackbox(lab, &each, 10_000 / less);
    let each = programs.clone();
    let smokeping = move |lab: &Lab| exporters::smokeping(lab, &each, 1000 / less, window);
    vec![
        Peer::new("floor", "burst", move |lab: &Lab| bare(lab, 0, window)),
        Peer::new("floor", "50,000/s", floor(50_000)),
        Peer::new("floor", "5,000/s", floor(5_000)),
        Peer::new("netwatch", "100,000 devices x 5 / 10 s", netwatch(50_000)),
        Peer::new("netwatch", "10,000 devices x 5 / 10 s", netwatch(5_000)),
        Peer::new("fping", "10,000 devices x 5, -p 2000", fping(10_000)),
        Peer::new("fping", "13,000 devices x 5, -p 2000: the most it can", fping(13_000)),
        Peer::new("surge-ping", "60,000 devices x 5 in 10 s", surge(60_000, 10)),
        Peer::new("surge-ping", "10,000 devices x 5 in 10 s", surge(10_000, 10)),
        Peer::new("check_icmp", "a process a device, 5 echoes", check_icmp),
        Peer::new("ping", "a process a device, 5 echoes", ping),
        Peer::new("blackbox-exporter", "10,000 scrapes, one echo each", blackbox),
        Peer::new("smokeping-prober", "1,000 devices, one echo in 2 s", smokeping),
    ]
}

fn bare(lab: &Lab, rate: u64, window: Duration) -> Seen {
    let floor = Floor { targets: 100_000, ..Floor::paced(rate) };
    let (spent, said) = floor.run(lab, window);
    Seen { spent, unanswered: count(&said, "sent") - count(&said, "received"), mean_rtt: None, resident: None }
}

fn whole(lab: &Lab, targets: usize, window: Duration) -> Seen {
    let devices: Vec<IpAddr> = (0..targets).map(|number| alive(false, number)).collect();
    let taken = observe(lab, &devices, false, window, |daemon: &Netwatch| {
        let list = daemon.list();
        let rtts: Vec<f64> = list.iter().filter_map(|row| row["rtt_ms"].as_f64()).collect();
        // The API's loss is that of the last six checks at most, of five echoes each.
        let lost: f64 = list.iter().filter_map(|row| row["loss"].as_f64()).map(|loss| loss * 30.0).sum();
        (lost.round() as u64, rtts.iter().sum::<f64>() * 1e3 / rtts.len().max(1) as f64)
    });
    let (unanswered, mean) = taken.asked;
    Seen { spent: taken.spent, unanswered, mean_rtt: Some(mean), resident: Some(taken.memory.0) }
}
