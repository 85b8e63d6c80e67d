//! What something cost: CPU of a process to the nanosecond, and of the kernel threads that worked for it.
//!
//! On a veth pair the kernel works for both sides in the context of whoever sends, so that the process's own CPU time holds the way
//! there, the answering and the way back. Only what was put off goes to ksoftirqd; that is counted with it. The lab has no network
//! card, hence no interrupts that would be on nobody's bill.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::lab::{Answered, Lab};

/// What was spent between two looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    /// CPU of the process, or of the children.
    pub(crate) own: Duration,
    /// CPU of ksoftirqd.
    pub(crate) put_off: Duration,
    /// Wall time.
    pub(crate) wall: Duration,
    /// What the machine's host took away from all cores together.
    pub(crate) stolen: Duration,
    /// What the answering side saw.
    pub(crate) answered: Answered,
}

impl Spent {
    /// Microseconds of CPU for each echo that arrived on the other side.
    pub(crate) fn per_echo(&self) -> f64 {
        (self.own + self.put_off).as_secs_f64() * 1e6 / self.answered.requests.max(1) as f64
    }
}

/// Whose CPU time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose {
    /// A process that runs, with all its threads.
    Process(u32),
    /// All children that have been waited for, with theirs.
    Children,
}

/// A look at the clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meter {
    whose: Whose,
    at: Instant,
    own: Duration,
    put_off: Duration,
    stolen: Duration,
    answered: Answered,
}

impl Meter {
    /// Looks for the first time.
    pub(crate) fn start(lab: &Lab, whose: Whose) -> Meter {
        let answered = lab.answered();
        Meter { whose, at: Instant::now(), own: cpu(whose), put_off: softirq_threads(), stolen: stolen(), answered }
    }

    /// Looks again.
    pub(crate) fn stop(&self, lab: &Lab) -> Spent {
        let (wall, own) = (self.at.elapsed(), cpu(self.whose) - self.own);
        let (put_off, stolen) = (softirq_threads() - self.put_off, stolen() - self.stolen);
        Spent { own, put_off, wall, stolen, answered: lab.answered().since(self.answered) }
    }
}

/// Memory of a process in bytes: resident, and its share of what is shared (PSS).
pub(crate) fn memory(pid: u32) -> (u64, u64) {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_suffix("kB"));
        lines.next().and_then(|value| value.trim().parse::<u64>().ok()).expect("smaps_rollup has it") * 1024
    };
    (field("Rss:"), field("Pss:"))
}

/// The most that was ever resident of a process, in bytes; `None` once it has ended.
pub(crate) fn peak(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"))?;
    value.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// All that it has used so far.
pub(crate) fn cpu(whose: Whose) -> Duration {
    match whose {
        Whose::Process(pid) => {
            let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
            let clock = clock_getcpuclockid(pid).expect("the process runs");
            clock_gettime(clock).expect("the process runs").into()
        }
        Whose::Children => {
            let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage of our children");
            let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
            Duration::from_micros(micros.try_into().expect("time passes"))
        }
    }
}

/// What all ksoftirqd together have run.
fn softirq_threads() -> Duration {
    let processes = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let run = processes.filter_map(|process| {
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        let run =
            name.starts_with("ksoftirqd/").then(|| fs::read_to_string(process.path().join("schedstat")).ok())??;
        run.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(run.sum())
}

/// The eighth figure of `/proc/stat`'s first line, in hundredths of a second (proc(5)).
fn stolen() -> Duration {
    let stat = fs::read_to_string("/proc/stat").expect("/proc is mounted");
    let hundredths = stat.split_whitespace().nth(8).and_then(|word| word.parse::<u64>().ok());
    Duration::from_millis(hundredths.expect("the steal time") * 10)
}
