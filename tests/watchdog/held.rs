//! Holds single threads of a process as if they hung: the kernel stops them for a tracer (ptrace(2)), and the rest of the
//! process knows nothing of it.

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Threads that are held until this is dropped, on the thread that made it.
pub(crate) struct Held(Vec<Pid>);

impl Held {
    /// Holds every thread of this name (the kernel keeps 15 letters of it); panics if there is none.
    pub(crate) fn threads(pid: u32, name: &str) -> Held {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let named = tasks.map(|task| task.unwrap().path()).filter(|task| {
            let comm = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
            comm.trim_end() == &name[..name.len().min(15)]
        });
        let id = |task: std::path::PathBuf| task.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let threads: Vec<Pid> = named.map(|task| Pid::from_raw(id(task))).collect();
        assert!(!threads.is_empty(), "there is no thread {name}");
        for thread in &threads {
            ptrace::seize(*thread, ptrace::Options::empty())
                .unwrap_or_else(|error| panic!("cannot hold {name}: {error}"));
            ptrace::interrupt(*thread).unwrap();
            let stopped = waitpid(*thread, Some(WaitPidFlag::__WALL)).unwrap();
            assert!(matches!(stopped, WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..)), "{stopped:?}");
        }
        println!("{} threads {name} are held", threads.len());
        Held(threads)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for thread in &self.0 {
            // A thread that is gone needs no release.
            let _ = ptrace::detach(*thread, None);
        }
    }
}
