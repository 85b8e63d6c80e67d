//! Limits of the whole machine, lowered for a test and put back whatever becomes of it: sysctls that no namespace has for
//! itself, and a processor quota for one process. A test that uses a host-wide one must run alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::wait_for;

/// Host-wide sysctls with other values, until it is dropped.
#[derive(Debug)]
pub struct HostSysctls {
    saved: Vec<(PathBuf, String)>,
}

impl HostSysctls {
    /// Sets these, as (`net.core.rmem_max`, `106496`), in this order; panics if one is missing or refuses its value.
    pub fn set(values: &[(&str, &str)]) -> HostSysctls {
        let mut sysctls = HostSysctls { saved: Vec::new() };
        for (key, value) in values {
            let path = PathBuf::from(format!("/proc/sys/{}", key.replace('.', "/")));
            let before =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
            sysctls.saved.push((path.clone(), before.trim().to_owned()));
            fs::write(&path, value).unwrap_or_else(|error| panic!("cannot set {} to {value}: {error}", path.display()));
        }
        sysctls
    }
}

impl Drop for HostSysctls {
    fn drop(&mut self) {
        while let Some((path, before)) = self.saved.pop() {
            if let Err(error) = fs::write(&path, &before) {
                eprintln!("left behind: {} should be {before} again: {error}", path.display());
            }
        }
    }
}

/// A process that gets a share of one processor only, until this is dropped (cgroup v1 or v2).
#[derive(Debug)]
pub struct Quota {
    group: PathBuf,
    before: PathBuf,
    pid: u32,
}

/// Percent of one processor that all threads of a process have used over this time, from now on (proc(5), `/proc/PID/stat`).
pub fn processor_percent(pid: u32, time: Duration) -> f64 {
    let ticks = || {
        let path = format!("/proc/{pid}/stat");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
        // The second field is the program's name in parentheses; utime and stime are the 14th and 15th.
        let (_, fields) = text.rsplit_once(')').expect("a process has a name");
        fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<f64>().expect("a number of ticks"))
            .sum::<f64>()
    };
    let before = ticks();
    std::thread::sleep(time);
    let seconds = (ticks() - before) / rustix::param::clock_ticks_per_second() as f64;
    seconds / time.as_secs_f64() * 100.0
}

/// The time over which the kernel counts the share.
const PERIOD: Duration = Duration::from_millis(100);

impl Quota {
    /// Gives the process `percent` of one processor; panics if this machine has no cgroup with processor quotas.
    pub fn new(pid: u32, percent: u32) -> Quota {
        let period = PERIOD.as_micros();
        let share = period * u128::from(percent) / 100;
        let name = format!("nwlab-{}-{pid}", std::process::id());
        let v1 = Path::new("/sys/fs/cgroup/cpu");
        let v2 = Path::new("/sys/fs/cgroup");
        let (root, before, settings) = if v1.join("cpu.cfs_quota_us").exists() {
            let settings = vec![("cpu.cfs_period_us", period.to_string()), ("cpu.cfs_quota_us", share.to_string())];
            (v1, of_process(pid, |controllers| controllers.split(',').any(|one| one == "cpu")), settings)
        } else if v2.join("cgroup.subtree_control").exists() {
            write(&v2.join("cgroup.subtree_control"), "+cpu");
            (v2, of_process(pid, str::is_empty), vec![("cpu.max", format!("{share} {period}"))])
        } else {
            panic!(
                "no processor quotas here: neither {}/cpu.cfs_quota_us nor a cgroup v2 at {}",
                v1.display(),
                v2.display()
            )
        };
        let before = root.join(before.trim_start_matches('/'));
        let group = root.join(name);
        fs::create_dir(&group).unwrap_or_else(|error| panic!("cannot make {}: {error}", group.display()));
        let quota = Quota { group, before, pid };
        for (file, value) in settings {
            write(&quota.group.join(file), &value);
        }
        write(&quota.group.join("cgroup.procs"), &pid.to_string());
        quota
    }

    /// How many periods the process has been held back in.
    pub fn throttled(&self) -> u64 {
        let text = fs::read_to_string(self.group.join("cpu.stat")).expect("a cgroup has its figures");
        let figure = |line: &str| line.strip_prefix("nr_throttled ")?.trim().parse().ok();
        text.lines().find_map(figure).expect("a cgroup with a quota tells nr_throttled")
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // A process that has ended is in no group any more.
        let _ = fs::write(self.before.join("cgroup.procs"), self.pid.to_string());
        let empty = || fs::remove_dir(&self.group).is_ok().then_some(());
        if std::thread::panicking() {
            let _ = empty();
        } else {
            wait_for("the cgroup to be empty", Duration::from_secs(5), empty);
        }
    }
}

/// The cgroup of a process in the hierarchy with these controllers.
fn of_process(pid: u32, is_wanted: impl Fn(&str) -> bool) -> String {
    let path = format!("/proc/{pid}/cgroup");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    let group = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        is_wanted(controllers).then(|| group.to_owned())
    };
    text.lines().find_map(group).unwrap_or_else(|| panic!("{path} names no cgroup for the processor: {text}"))
}

fn write(path: &Path, value: &str) {
    fs::write(path, value).unwrap_or_else(|error| panic!("cannot write {value:?} to {}: {error}", path.display()));
}
