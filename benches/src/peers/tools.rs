//! The tools that ping and end: fping, surge-ping, and a process a device (check_icmp, ping).

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::Seen;
use super::packages::Programs;
use crate::cost::{Meter, Spent, Whose, peak};
use crate::lab::{Lab, alive};

/// How many processes run side by side where there is one a device.
const SIDE_BY_SIDE: usize = 64;

/// `fping -C 5 -p 2000` on a list; all of a lap within its two seconds.
pub(super) fn fping(lab: &Lab, programs: &Programs, targets: usize) -> Seen {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = lab.monitor.command(programs.debian("usr/bin/fping"));
    let apart = format!("{:.3}", 2000.0 / targets as f64);
    command.args(["-q", "-C", "5", "-p", "2000", "-t", "2000", "-i", &apart, "-f"]).arg(list(dir.path(), targets));
    let (spent, resident, output) = run(lab, &mut command);
    // "10.0.0.1 : 0.05 0.04 - 0.05 0.05"
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let echoes =
        || said.lines().filter_map(|line| line.split_once(" : ")).flat_map(|(_, rtts)| rtts.split_whitespace());
    let unanswered = echoes().filter(|rtt| *rtt == "-").count() as u64;
    Seen { spent, unanswered, mean_rtt: mean(echoes().filter_map(millis)), resident: Some(resident) }
}

/// A task and a pinger a device, 5 echoes each.
pub(super) fn surge(lab: &Lab, programs: &Programs, targets: usize, spacing_ms: u64) -> Seen {
    let mut command = lab.monitor.command(programs.surge());
    command.args([&targets.to_string(), "5", &spacing_ms.to_string()]);
    let (spent, resident, output) = run(lab, &mut command);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let count = |name: &str| said[name].as_u64().expect("a count");
    let unanswered = count("sent") - count("received");
    Seen { spent, unanswered, mean_rtt: said["mean_us"].as_f64(), resident: Some(resident) }
}

/// `check_icmp -n 5` for each device, as a scheduler of checks runs it.
pub(super) fn check_icmp(lab: &Lab, programs: &Programs, targets: usize) -> Seen {
    let program = programs.debian("usr/lib/nagios/plugins/check_icmp");
    // "OK - 10.0.0.1 rta 0.050ms lost 0%|rta=0.050ms;..."
    each(lab, targets, &[&program.to_string_lossy(), "-n", "5", "-H"], |line| {
        let rtt = line.split_once("rta ").and_then(|(_, rest)| rest.split_once("ms"));
        let lost = line.split_once("lost ").and_then(|(_, rest)| rest.split_once('%'));
        let lost: f64 = lost.and_then(|(percent, _)| percent.parse().ok())?;
        Some(((lost / 20.0).round() as u64, rtt.and_then(|(rtt, _)| millis(rtt))))
    })
}

/// `ping -c 5` for each device, as the original did.
pub(super) fn ping(lab: &Lab, programs: &Programs, targets: usize) -> Seen {
    let program = programs.debian("bin/ping");
    // "5 packets transmitted, 5 received, ...", then "rtt min/avg/max/mdev = 0.01/0.02/0.03/0.01 ms".
    each(lab, targets, &[&program.to_string_lossy(), "-n", "-q", "-c", "5", "-i", "0.2", "-W", "2"], |line| {
        if let Some((_, figures)) = line.split_once("mdev = ") {
            return Some((0, figures.split('/').nth(1).and_then(millis)));
        }
        let received = line.split_once("transmitted, ")?.1.split_once(" received")?.0.parse::<u64>().ok()?;
        Some((5_u64.saturating_sub(received), None))
    })
}

/// A process a device. `read` tells from a line of output how many echoes were lost and which RTT is told.
fn each(lab: &Lab, targets: usize, words: &[&str], read: impl Fn(&str) -> Option<(u64, Option<f64>)>) -> Seen {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = lab.monitor.command("xargs");
    command.arg("-a").arg(list(dir.path(), targets)).args(["-n", "1", "-P", &SIDE_BY_SIDE.to_string()]).args(words);
    let (spent, _, output) = run(lab, &mut command);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let found: Vec<_> = said.lines().filter_map(read).collect();
    assert!(!found.is_empty(), "nothing to be read in\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let unanswered = found.iter().map(|(lost, _)| lost).sum();
    Seen { spent, unanswered, mean_rtt: mean(found.iter().filter_map(|(_, rtt)| *rtt)), resident: None }
}

/// Runs it to its end: what it took, the most that was resident, and what it printed. That it found losses is no failure.
pub(super) fn run(lab: &Lab, command: &mut Command) -> (Spent, u64, Output) {
    let meter = Meter::start(lab, Whose::Children);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let (pid, over) = (child.id(), AtomicBool::new(false));
    let (output, most) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = peak(pid).unwrap_or(0).max(most);
                thread::sleep(Duration::from_millis(100));
            }
            most
        });
        let output = child.wait_with_output().expect("a child can be waited for");
        over.store(true, Ordering::Relaxed);
        (output, watch.join().expect("it only reads"))
    });
    (meter.stop(lab), most, output)
}

/// A file with the addresses of as many devices.
pub(super) fn list(dir: &Path, targets: usize) -> std::path::PathBuf {
    let mut text = String::new();
    (0..targets).for_each(|number| {
        let _ = writeln!(text, "{}", alive(false, number));
    });
    let path = dir.join("devices");
    fs::write(&path, text).expect("our own directory");
    path
}

/// Milliseconds as microseconds.
fn millis(word: &str) -> Option<f64> {
    word.parse::<f64>().ok().map(|millis| millis * 1e3)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
