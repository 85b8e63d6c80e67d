//! Where the daemon's time goes when it asks as many as this machine can: its threads, the kernel's part of each, and what of that
//! weighs most.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Command;
use std::thread;

use netwatch_tests::process::finish;

use crate::Common;
use crate::daemon::{INTERVAL, Netwatch};
use crate::lab::{Lab, alive};
use crate::report::Report;

/// So many functions are named.
const NAMED: usize = 12;

/// One line of `perf report`.
struct Line {
    share: f64,
    thread: String,
    is_kernel: bool,
    function: String,
}

/// The command.
pub(crate) fn measure(targets: usize, common: &Common) {
    let lab = Lab::new();
    let devices: Vec<IpAddr> = (0..targets).map(|number| alive(false, number)).collect();
    let daemon = Netwatch::start(&lab, &devices, false);
    thread::sleep(INTERVAL * 2);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("perf.data");
    let mut record = Command::new("perf");
    record.args(["record", "--quiet", "--output"]).arg(&data).args(["--pid", &daemon.pid().to_string(), "--"]);
    finish(record.args(["sleep", &common.seconds.to_string()])).expect("perf records (Debian: linux-perf)");
    let mut report = Command::new("perf");
    report.args(["report", "--stdio", "--quiet", "--sort", "comm,dso,symbol", "--field-separator", "|", "--input"]);
    let said = finish(report.arg(&data)).expect("perf reports");
    daemon.stop();
    let lines: Vec<Line> = said.lines().filter_map(line).collect();
    let mut table = Report::new("profile", &["thread", "where", "share, %"]);
    let mut parts: BTreeMap<(&str, bool), f64> = BTreeMap::new();
    for line in &lines {
        *parts.entry((&line.thread, line.is_kernel)).or_default() += line.share;
    }
    let mut parts: Vec<_> = parts.into_iter().filter(|(_, share)| *share >= 0.1).collect();
    parts.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    for ((thread, is_kernel), share) in parts {
        let place = if is_kernel { "the kernel" } else { "netwatch" };
        table.row([thread.to_owned(), place.to_owned(), format!("{share:.1}")]);
    }
    for line in lines.iter().filter(|line| !line.is_kernel).take(NAMED) {
        table.row([line.thread.clone(), format!("`{}`", line.function), format!("{:.1}", line.share)]);
    }
    table.remark(format!(
        "{targets} devices; `perf record` of the daemon for {} s. Below the threads: the functions of netwatch, libc and the vDSO that weigh most.",
        common.seconds
    ));
    table.finish(common.write);
}

fn line(text: &str) -> Option<Line> {
    let mut cells = text.split('|').map(str::trim);
    let share = cells.next()?.strip_suffix('%')?.parse().ok()?;
    let (thread, object, function) = (cells.next()?, cells.next()?, cells.next()?);
    // perf marks the kernel's functions, those of its modules too.
    let is_kernel = function.starts_with("[k]") || object.starts_with("[kernel");
    let function = function.trim_start_matches("[k]").trim_start_matches("[.]").trim_end_matches([' ', '-']).trim();
    Some(Line { share, thread: thread.to_owned(), is_kernel, function: function.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_perf_is_read() {
        let kernel = line("  2.45%|netwatch-icmp|[kernel.kallsyms]|[k] __ip_select_ident  -  -").expect("a line");
        assert!(kernel.is_kernel && kernel.function == "__ip_select_ident" && kernel.share == 2.45);
        let own = line("1.5%|tokio-rt-worker|netwatch|[.] netwatch_core::logic::Monitor::take").expect("a line");
        assert!(!own.is_kernel && own.thread == "tokio-rt-worker");
        let module = line("0.5%|netwatch-icmp|[veth]|[k] veth_xmit").expect("a line");
        assert!(module.is_kernel);
        let long = line("0.5%|netwatch-icmp|netwatch|[.] <T as Trait>::f  -  -").expect("a line");
        assert_eq!(long.function, "<T as Trait>::f");
        assert!(line("# a comment").is_none());
    }
}
