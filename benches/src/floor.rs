//! Builds the bare loop, runs it in the lab, and tells what it took.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use netwatch_tests::process::{finish, run};
use serde_json::Value;

use crate::Common;
use crate::cost::{Meter, Spent, Whose};
use crate::lab::{Lab, alive};
use crate::report::{Report, sources};
use crate::stats::Series;

/// How the bare loop is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    /// IPv6 instead of IPv4.
    pub(crate) is_v6: bool,
    /// Echoes a second; 0 is as fast as it goes.
    pub(crate) rate: u64,
    /// How many addresses, in turn.
    pub(crate) targets: usize,
    /// Microseconds from one wake to the next.
    pub(crate) wake_us: u64,
}

impl Floor {
    /// At this rate, to as many addresses as netwatch would have at its defaults (5 echoes in 10 s each).
    pub(crate) fn paced(rate: u64) -> Floor {
        Floor { is_v6: false, rate, targets: usize::try_from(rate * 2).expect("a small rate"), wake_us: 1000 }
    }

    /// Runs it and returns what it took, and what became of its echoes as it says itself.
    pub(crate) fn run(&self, lab: &Lab, time: Duration) -> (Spent, Value) {
        let mut command = lab.monitor.command(program());
        let family = if self.is_v6 { "6" } else { "4" };
        command.args([family, &alive(self.is_v6, 0).to_string(), &self.targets.to_string(), &self.rate.to_string()]);
        command.args([&time.as_secs_f64().to_string(), &self.wake_us.to_string()]);
        let meter = Meter::start(lab, Whose::Children);
        let said = finish(&mut command).unwrap_or_else(|error| panic!("{error}"));
        let mut spent = meter.stop(lab);
        let said = serde_json::from_str(&said).expect("the floor prints JSON");
        // Without its start and end, which weigh in a short run.
        spent.own = Duration::from_micros(count(&said, "user_us") + count(&said, "system_us"));
        (spent, said)
    }
}

/// The command: the table of the floor alone.
pub(crate) fn measure(common: &Common) {
    let lab = Lab::new();
    let head = ["bare loop", "echoes/s", "us CPU an echo", "lost", "stolen"];
    let mut report = Report::new("floor", &head);
    let paced = Floor::paced;
    let v6 = |floor: Floor| Floor { is_v6: true, ..floor };
    let burst = Floor { targets: 100_000, ..paced(0) };
    let ways = [
        ("paced, 1 ms", paced(50_000)),
        ("paced, 1 ms", paced(5_000)),
        ("paced, 5 ms", Floor { wake_us: 5000, ..paced(5_000) }),
        ("burst", burst),
        ("paced, 1 ms, IPv6", v6(paced(50_000))),
        ("burst, IPv6", v6(burst)),
    ];
    let mut taken = ways.map(|way| (way, Series::default(), Series::default(), 0, Duration::ZERO));
    for _ in 0..common.runs {
        for ((_, floor), rate, cost, lost, stolen) in &mut taken {
            let (spent, said) = floor.run(&lab, Duration::from_secs(common.seconds));
            let (sent, received) = (count(&said, "sent"), count(&said, "received"));
            rate.push(sent as f64 / said["seconds"].as_f64().expect("seconds"));
            cost.push(spent.per_echo());
            *lost += sent - received - (spent.answered.requests - spent.answered.replies).min(sent - received);
            *stolen += spent.stolen;
        }
    }
    for ((name, _), rate, cost, lost, stolen) in taken {
        report.row([
            name.to_owned(),
            format!("{:.0}", rate.median()),
            cost.to_string(),
            lost.to_string(),
            format!("{:.2} s", stolen.as_secs_f64()),
        ]);
    }
    report.remark(format!("Median and extremes of {} runs of {} s.", common.runs, common.seconds));
    report.finish(common.write);
}

/// A figure that the loop printed.
pub(crate) fn count(said: &Value, name: &str) -> u64 {
    said[name].as_u64().unwrap_or_else(|| panic!("the floor tells {name}"))
}

fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let me = std::env::current_exe().expect("a running program knows its path");
        let (made, path) = (format!("netwatch-floor.{}", std::process::id()), me.with_file_name("netwatch-floor"));
        let made = me.with_file_name(made);
        let source = sources().join("floor/floor.c");
        run("cc", ["-O2".as_ref(), "-Wall".as_ref(), "-o".as_ref(), made.as_os_str(), source.as_os_str()]);
        // Another run may be using the old one.
        fs::rename(&made, &path).expect("our own directory can be written");
        path
    };
    BUILT.get_or_init(build).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_fit_to_be_built() {
        assert!(finish(&mut std::process::Command::new(program())).unwrap_err().contains("usage: floor"));
    }
}
