//! How cost grows with the number of devices: of the daemon, of the engine alone, and of what the RTT is worth.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{IcmpOptions, IcmpProbe};
use netwatch_tests::process::finish;
use serde_json::{Value, json};

use crate::Common;
use crate::accuracy::{look, micros};
use crate::cost::{Meter, Whose};
use crate::daemon::{INTERVAL, observe};
use crate::drive::{Forgotten, Round};
use crate::floor::Floor;
use crate::lab::{Lab, alive};
use crate::report::Report;
use crate::stats::{Series, exponent};

/// At this share of what was planned a size still counts as sustained.
const SUSTAINED: f64 = 0.999;

/// The daemon from few devices to many. The capture that judges RTTs does not keep up beyond `most_captured` devices.
pub(crate) fn daemon(sizes: &[usize], most_captured: usize, common: &Common) {
    let lab = Lab::new();
    let head = [
        "targets",
        "echoes/s",
        "sent, %",
        "cores",
        "us an echo",
        "floor, us an echo",
        "PSS, MB",
        "resident, MB",
        "RTT error p50, us",
        "p99, us",
    ];
    let mut report = Report::new("growth", &head);
    let (mut cpu_points, mut memory_points) = (Vec::new(), Vec::new());
    let window = Duration::from_secs(common.seconds);
    for size in sizes {
        let devices: Vec<IpAddr> = (0..*size).map(|number| alive(false, number)).collect();
        let rate = *size as u64 / 2;
        let [mut sent, mut cores, mut cost, mut bare, mut pss, mut resident, mut p50, mut p99] =
            [const { Series::new() }; 8];
        for _ in 0..common.runs {
            bare.push(Floor::paced(rate).run(&lab, window).0.per_echo());
            let taken = observe(&lab, &devices, false, window, |_| ());
            let spent = taken.spent;
            let planned = *size as f64 * 5.0 * spent.wall.as_secs_f64() / INTERVAL.as_secs_f64();
            sent.push((spent.answered.requests as f64 / planned).min(1.0) * 100.0);
            cores.push((spent.own + spent.put_off).as_secs_f64() / spent.wall.as_secs_f64());
            cost.push(spent.per_echo());
            resident.push(taken.memory.0 as f64 / 1e6);
            pss.push(taken.memory.1 as f64 / 1e6);
            if *size <= most_captured {
                let found = look(&lab, rate, 2, false);
                p50.push(micros(&found.errors, 0.5));
                p99.push(micros(&found.errors, 0.99));
            }
        }
        if sent.median() >= SUSTAINED * 100.0 {
            cpu_points.push((*size as f64, cores.median()));
        }
        memory_points.push((*size as f64, pss.median()));
        report.row([
            size.to_string(),
            rate.to_string(),
            format!("{sent:.3}"),
            format!("{cores:.3}"),
            cost.to_string(),
            bare.to_string(),
            format!("{pss:.1}"),
            format!("{resident:.1}"),
            p50.to_string(),
            p99.to_string(),
        ]);
    }
    let largest = cpu_points.last().map_or(0.0, |point| point.0);
    report.remark(format!(
        "Exponent (slope of log cost over log targets): CPU {:.2} over the sizes of which 99.9 % was sent, up to {largest:.0}; \
         memory {:.2}. Median and extremes of {} runs of {} s.",
        exponent(&cpu_points),
        exponent(&memory_points),
        common.runs,
        common.seconds
    ));
    report.finish(common.write);
}

/// The engine alone from few devices to many, each size in a process of its own.
pub(crate) fn engine(sizes: &[usize], common: &Common) {
    let lab = Lab::new();
    let head = ["targets", "echoes/s", "sent, %", "lost", "floor, us an echo", "engine, us an echo", "B a target"];
    let mut report = Report::new("engine", &head);
    let laps = u32::try_from(common.seconds.div_ceil(INTERVAL.as_secs())).expect("few laps");
    let mut points = Vec::new();
    for size in sizes {
        let rate = *size as u64 / 2;
        let [mut sent, mut bare, mut cost, mut bytes] = [const { Series::new() }; 4];
        let mut lost = 0;
        for _ in 0..common.runs {
            bare.push(Floor::paced(rate).run(&lab, Duration::from_secs(common.seconds)).0.per_echo());
            let me = std::env::current_exe().expect("a running program knows its path");
            let mut command = lab.monitor.command(me);
            command.args(["engine-alone", &size.to_string(), &laps.to_string()]);
            let meter = Meter::start(&lab, Whose::Children);
            let said = finish(&mut command).unwrap_or_else(|error| panic!("{error}"));
            let mut spent = meter.stop(&lab);
            let said: Value = serde_json::from_str(&said).expect("JSON");
            let figure = |name: &str| said[name].as_u64().expect("a figure");
            spent.own = Duration::from_nanos(figure("cpu_ns"));
            cost.push(spent.per_echo());
            sent.push(figure("sent") as f64 / (*size as f64 * 5.0 * f64::from(laps)) * 100.0);
            bytes.push(figure("grown") as f64 / *size as f64);
            let skipped = spent.answered.requests.saturating_sub(spent.answered.replies);
            lost += figure("sent").saturating_sub(figure("replies")).saturating_sub(skipped);
        }
        if sent.median() >= SUSTAINED * 100.0 {
            points.push((*size as f64, cost.median() * *size as f64));
        }
        report.row([
            size.to_string(),
            rate.to_string(),
            format!("{sent:.3}"),
            lost.to_string(),
            bare.to_string(),
            cost.to_string(),
            format!("{bytes:.0}"),
        ]);
    }
    report.remark(format!(
        "The engine and the task that hands it its checks, nothing behind them. Bytes: what became resident while it ran, without \
         the list of addresses. Exponent of CPU {:.2} over the sizes of which 99.9 % was sent. Median and extremes of {} runs of \
         {laps} laps of 10 s.",
        exponent(&points),
        common.runs,
    ));
    report.finish(common.write);
}

/// The hidden command that [`engine`] runs inside the namespace.
pub(crate) fn alone(size: usize, laps: u32) {
    let addresses: Vec<IpAddr> = (0..size).map(|number| alive(false, number)).collect();
    let probe = Arc::new(IcmpProbe::open(IcmpOptions::default()).expect("root may ping"));
    let me = std::process::id();
    let (before, cpu) = (crate::cost::memory(me).0, crate::cost::cpu(Whose::Process(me)));
    Round { addresses: &addresses, laps }.run(&probe, &Arc::new(Forgotten));
    let cpu = crate::cost::cpu(Whose::Process(me)) - cpu;
    let grown = crate::cost::memory(me).0.saturating_sub(before);
    let counters = probe.counters();
    let cpu = u64::try_from(cpu.as_nanos()).expect("not centuries");
    println!("{}", json!({"cpu_ns": cpu, "grown": grown, "sent": counters.sent, "replies": counters.replies}));
}
