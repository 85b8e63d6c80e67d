//! fping's daily job, by fping and by `netwatch ping`: one echo to each of many addresses, the same time between two packets.

use std::process::Command;

use netwatch_tests::process::program;

use super::packages::Programs;
use super::tools::{list, run};
use crate::Common;
use crate::lab::Lab;
use crate::report::Report;
use crate::stats::Series;

/// Between two packets, in microseconds.
const APART_US: u64 = 100;

/// The command.
pub(crate) fn measure(sizes: &[usize], common: &Common) {
    let lab = Lab::new();
    let programs = Programs::get();
    let head =
        ["addresses", "fping, s", "netwatch ping, s", "ratio", "fping, us an echo", "netwatch, us an echo", "answered"];
    let mut report = Report::new("ping", &head);
    for size in sizes {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let devices = list(dir.path(), *size);
        let [mut wall, mut ours, mut ratio, mut cost, mut our_cost] = [const { Series::new() }; 5];
        let (mut answered, mut stopped) = (0, None);
        for _ in 0..common.runs {
            let mut fping = lab.monitor.command(programs.debian("usr/bin/fping"));
            let apart = format!("{}", APART_US as f64 / 1e3);
            fping.args(["-q", "-C", "1", "-t", "2000", "-i", &apart, "-f"]).arg(&devices);
            let (spent, _, output) = run(&lab, &mut fping);
            // 1 only says that somebody did not answer.
            let theirs = matches!(output.status.code(), Some(0 | 1)).then_some(spent);
            match theirs {
                Some(spent) => {
                    wall.push(spent.wall.as_secs_f64());
                    cost.push(spent.per_echo());
                }
                None => {
                    let words = String::from_utf8_lossy(&output.stderr).into_owned();
                    stopped = words.lines().last().map(str::to_owned);
                }
            }
            let mut netwatch: Command = lab.monitor.command(program("netwatch", "NETWATCH_BIN", "netwatch-cli"));
            netwatch.args(["ping", "-C", "1", "-t", "2s", "-i", &format!("{APART_US}us"), "-f"]).arg(&devices);
            let (spent, _, output) = run(&lab, &mut netwatch);
            assert!(output.status.success(), "netwatch ping: {}", String::from_utf8_lossy(&output.stderr));
            ours.push(spent.wall.as_secs_f64());
            our_cost.push(spent.per_echo());
            theirs.inspect(|theirs| ratio.push(spent.wall.as_secs_f64() / theirs.wall.as_secs_f64()));
            answered = spent.answered.replies;
        }
        report.row([
            size.to_string(),
            wall.to_string(),
            ours.to_string(),
            ratio.to_string(),
            cost.to_string(),
            our_cost.to_string(),
            answered.to_string(),
        ]);
        if let Some(words) = stopped {
            report.remark(format!("At {size} fping stops: `{words}`."));
        }
    }
    report.remark(format!("{APART_US} us between two packets. Median and extremes of {} turns.", common.runs));
    report.finish(common.write);
}
