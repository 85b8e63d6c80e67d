//! What the pure half takes for a check of a quiet network, and whether it allocates: nothing of it touches the network.

use std::alloc::System;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netwatch_core::{
    Echo, Monitor, MonitorOptions, Mono, Now, Plan, Rtt, Sample, Saved, Settings, Target, TargetId, Wall,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::Common;
use crate::lab::alive;
use crate::report::Report;
use crate::stats::{Series, exponent};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many samples come at once, at most: what the driver collects in a tick at 100,000 devices.
const BATCH: usize = 512;

/// The command.
pub(crate) fn measure(sizes: &[usize], common: &Common) {
    let head = ["targets", "checks/s", "ns a check", "allocations a check", "B a target"];
    let mut report = Report::new("logic", &head);
    let mut points = Vec::new();
    for size in sizes {
        let [mut rate, mut cost, mut allocations, mut bytes] = [const { Series::new() }; 4];
        for _ in 0..common.runs {
            let found = run(*size);
            rate.push(1e9 / found.nanos);
            cost.push(found.nanos);
            allocations.push(found.allocations);
            bytes.push(found.bytes);
        }
        points.push((*size as f64, cost.median() * *size as f64));
        let cells = [format!("{rate:.0}"), format!("{cost:.0}"), format!("{allocations:.4}"), format!("{bytes:.0}")];
        let [rate, cost, allocations, bytes] = cells;
        report.row([size.to_string(), rate, cost, allocations, bytes]);
    }
    report.remark(format!(
        "Checks of 5 answered echoes, all devices OK, {BATCH} to a call; a lap is run first. Bytes: what the Monitor holds on the heap, \
         without the plan. Exponent of CPU {:.2}. Median and extremes of {} runs.",
        exponent(&points),
        common.runs
    ));
    report.finish(common.write);
}

struct Found {
    nanos: f64,
    allocations: f64,
    bytes: f64,
}

fn run(size: usize) -> Found {
    let settings = Arc::new(Settings::default());
    let target = |number| {
        let mut target = Target::at(format!("d{number:07}"), alive(false, number));
        target.settings = Arc::clone(&settings);
        target
    };
    let plan = Arc::new(Plan::new((0..size).map(target).collect()));
    let start = Now::new(Mono::from_nanos(1_000_000_000), Wall::from_unix_nanos(1_800_000_000_000_000_000));
    let region = Region::new(ALLOCATOR);
    let mut monitor = Monitor::new(plan, &Saved::default(), start, MonitorOptions::new([7; 16], "example.net"));
    let held = region.change();
    drop(monitor.start(start));
    lap(&mut monitor, size, start, 0);
    // Enough checks to be measured, also of few devices.
    let laps = u32::try_from((400_000 / size).max(1)).expect("few laps");
    let mut own = Cost::default();
    for number in 1..=laps {
        own.add(lap(&mut monitor, size, start, number));
    }
    let checks = f64::from(laps) * size as f64;
    let bytes = held.bytes_allocated.saturating_sub(held.bytes_deallocated) as f64 / size as f64;
    Found { nanos: own.time.as_nanos() as f64 / checks, allocations: own.allocations as f64 / checks, bytes }
}

#[derive(Default)]
struct Cost {
    time: Duration,
    allocations: usize,
}

impl Cost {
    fn add(&mut self, other: Cost) {
        self.time += other.time;
        self.allocations += other.allocations;
    }
}

/// Brings the Monitor a check of every device, and tells what it took without the making of the samples.
fn lap(monitor: &mut Monitor, size: usize, start: Now, number: u32) -> Cost {
    let mut cost = Cost::default();
    let mut batch = Vec::with_capacity(BATCH);
    let interval = Duration::from_secs(10);
    for first in (0..size).step_by(BATCH) {
        let last = (first + BATCH).min(size);
        let mut now = start;
        batch.clear();
        batch.extend((first..last).map(|device| {
            let at = interval * number + interval.mul_f64(device as f64 / size as f64);
            now = Now::new(start.mono.plus(at + Duration::from_secs(4)), start.wall.plus(at + Duration::from_secs(4)));
            let rtt = |ping: u32| Echo::Reply(Rtt::from_duration(Duration::from_micros(u64::from(900 + ping * 7))));
            Sample::new(TargetId::from_index(device), start.mono.plus(at), now.mono, (0..5).map(rtt).collect())
        }));
        let (region, begin) = (Region::new(ALLOCATOR), Instant::now());
        monitor.handle_samples(now, &batch);
        while let Some(output) = monitor.poll_output() {
            drop(output);
        }
        cost.add(Cost { time: begin.elapsed(), allocations: region.change().allocations });
    }
    cost
}
