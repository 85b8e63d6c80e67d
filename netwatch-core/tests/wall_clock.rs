//! Somebody sets the wall clock by an hour while devices are being asked: no reply is lost by it, no RTT invented, no status moved.
//!
//! The clock is that of this process only ([`netwatch_core::testing`]), so these tests are alone in it. They ask this machine
//! itself and need root (or `cap_net_raw`).
#![cfg(all(feature = "icmp", feature = "runtime", feature = "test-util"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail loudly too")]

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netwatch_core::testing::{MemoryJournal, RecordingSink, set_wall_clock_back, set_wall_clock_forward};
use netwatch_core::{
    Cause, Check, CheckId, Echo, IcmpOptions, IcmpProbe, Mono, Netwatch, Plan, Probe, Report, Sample, Settings, Status,
    Target, TargetId,
};

const HOUR: Duration = Duration::from_secs(3600);

/// One test at a time sets the clock.
fn alone() -> MutexGuard<'static, ()> {
    static CLOCK: Mutex<()> = Mutex::new(());
    CLOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open() -> IcmpProbe {
    IcmpProbe::open(IcmpOptions::default()).expect("these tests need cap_net_raw")
}

fn now() -> Mono {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Mono::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

#[derive(Default)]
struct Collected(Mutex<Vec<Sample>>);

impl Report for Collected {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        self.0.lock().unwrap().extend(samples.iter().map(|(_, sample)| sample.clone()));
    }
}

/// Every echo of a hundred checks of this machine itself, over half a second.
fn ask(probe: &IcmpProbe) -> Vec<Echo> {
    let mut settings = Settings::default();
    (settings.pings, settings.spacing, settings.timeout) = (5, Duration::from_millis(100), Duration::from_millis(1500));
    let settings = Arc::new(settings);
    let at = now().plus(Duration::from_millis(100));
    let check = |n: usize| {
        let ip: IpAddr = if n.is_multiple_of(2) { "::1".parse().unwrap() } else { IpAddr::from([127, 0, 0, n as u8]) };
        let at = at.plus(Duration::from_millis(n as u64));
        Check::new(CheckId::new(n as u64), TargetId::from_index(n), "", SocketAddr::new(ip, 0), at, settings.clone())
    };
    let (checks, out): (Vec<Check>, Collected) = ((0..100).map(check).collect(), Collected::default());
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(probe.check_many(checks, &out));
    let samples = out.0.into_inner().unwrap();
    samples.iter().flat_map(|sample| sample.echoes.iter().collect::<Vec<_>>()).collect()
}

fn assert_answered(echoes: &[Echo]) -> usize {
    assert_eq!(echoes.len(), 500);
    let (mut measured, mut late) = (0, 0);
    for echo in echoes {
        // A machine that was kept from running sends late, and says so; the clock has no part in that.
        if *echo == Echo::Unknown(Cause::NotSent) {
            late += 1;
            continue;
        }
        let Echo::Reply(rtt) = echo else { panic!("{echo:?} though this machine always answers") };
        assert!(rtt.as_duration() < Duration::from_millis(500), "{rtt:?} comes of the step");
        measured += usize::from(rtt.is_measured());
    }
    assert!(late <= 100, "{late} of 500 were not sent");
    measured
}

#[test]
fn echoes_across_a_step_of_the_wall_clock_are_answered_and_have_no_false_rtt() {
    let _alone = alone();
    let probe = open();
    assert!(assert_answered(&ask(&probe)) > 300, "the clock stands still");
    for set in [set_wall_clock_forward, set_wall_clock_back] {
        let step = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(350));
            set(HOUR);
        });
        assert_answered(&ask(&probe));
        step.join().unwrap();
        assert!(assert_answered(&ask(&probe)) > 300, "the next checks are measured again");
    }
}

#[test]
fn a_clock_that_never_stands_still_costs_no_reply() {
    let _alone = alone();
    let probe = open();
    let is_over = Arc::new(AtomicBool::new(false));
    let unsteady = {
        let is_over = Arc::clone(&is_over);
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                set_wall_clock_forward(HOUR);
                std::thread::sleep(Duration::from_micros(300));
                set_wall_clock_back(HOUR);
                std::thread::sleep(Duration::from_micros(700));
            }
        })
    };
    let echoes = ask(&probe);
    is_over.store(true, Ordering::Relaxed);
    unsteady.join().unwrap();
    assert_answered(&echoes);
    assert!(assert_answered(&ask(&probe)) > 300, "the next checks are measured again");
}

#[test]
fn a_step_of_the_wall_clock_moves_no_status() {
    let _alone = alone();
    let mut settings = Settings::default();
    (settings.pings, settings.spacing, settings.timeout) = (3, Duration::from_millis(50), Duration::from_millis(300));
    (settings.interval, settings.tolerance) = (Duration::from_millis(500), Duration::from_millis(500));
    settings.warn_rtt = Duration::from_millis(200);
    let target = |n: u8| {
        Target::at(format!("device-{n}"), IpAddr::from([127, 0, 7, n]))
            .with_settings(settings.clone())
            .with_probe("icmp")
    };
    let seen = RecordingSink::new();
    let netwatch = Netwatch::builder(Plan::new((1..=20).map(target).collect()), Box::new(MemoryJournal::new()))
        .probe("icmp", Arc::new(open()))
        .sink("seen", Arc::new(seen.clone()))
        .build()
        .unwrap();
    let steps = async {
        for set in [set_wall_clock_forward, set_wall_clock_back, set_wall_clock_back, set_wall_clock_forward] {
            tokio::time::sleep(Duration::from_millis(1200)).await;
            set(HOUR);
        }
        tokio::time::sleep(Duration::from_millis(1200)).await;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(netwatch.run(steps)).unwrap();
    let changes = seen.transitions();
    // Whom a machine that was kept from running asks too late is unknown for a moment.
    let is_late = |cause| matches!(cause, Some(Cause::NotSent | Cause::Stalled));
    assert!(changes.iter().all(|change| change.to == Status::Ok || is_late(change.cause)), "{changes:?}");
    assert_eq!(changes.len(), 20, "each became OK, once");
    let samples = seen.samples();
    assert!(samples.len() > 20 * 8, "{} checks: the calendar went on", samples.len());
    for sample in &samples {
        assert_eq!(sample.lost(), 0, "{sample:?}");
        assert!(sample.median_rtt().is_none_or(|rtt| rtt.as_duration() < Duration::from_millis(200)), "{sample:?}");
    }
}
