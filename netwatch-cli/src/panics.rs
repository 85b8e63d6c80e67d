//! What becomes of a panic: half a daemon looks alive and is not, so a thread of netwatch that panics ends the program,
//! with what can be saved, and with an exit status that says so.
//!
//! Tasks on the runtime's workers are not meant: whoever started one joins it and decides. Nor is the thread that looks
//! up names, which survives what a name server's answer may do to it; netwatch itself notices when it ends.

use std::panic;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

/// The name of the runtime's threads.
pub(crate) const WORKER: &str = "netwatch-worker";
/// The thread that looks up names.
const NAMES: &str = "netwatch-names";
/// The end takes no longer than this once a thread has panicked.
const LIMIT: Duration = Duration::from_secs(4);

static PANICKED: AtomicBool = AtomicBool::new(false);

/// From now on a panic of a thread ends the program: `stop` asks for that, and when that has no effect it is ended
/// outright, as it is at once if the main thread panics.
pub(crate) fn end_on_panic(stop: watch::Sender<bool>) {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        let thread = thread::current();
        match thread.name() {
            Some(WORKER | NAMES) => {}
            Some("main") => exit(1),
            name => {
                PANICKED.store(true, Ordering::Release);
                tracing::error!("the thread {} panicked, which is a defect in netwatch; ending", name.unwrap_or("?"));
                let _ = stop.send(true);
                let end = || {
                    thread::sleep(LIMIT);
                    exit(1)
                };
                // Where no thread can be had, the end has only the wish to rely on.
                let _ = thread::Builder::new().name("netwatch-end".to_owned()).spawn(end);
            }
        }
    }));
}

/// Whether a thread has panicked.
pub(crate) fn have_happened() -> bool {
    PANICKED.load(Ordering::Acquire)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    const PART: &str = "NETWATCH_TEST_PANICS";

    /// Runs as a program of its own: a hook is the whole program's.
    #[test]
    fn in_a_process_of_its_own() {
        let Ok(part) = std::env::var(PART) else { return };
        let (stop, stopped) = watch::channel(false);
        end_on_panic(stop);
        let (name, obeys) = part.split_once(' ').unwrap();
        let _ = thread::Builder::new().name(name.to_owned()).spawn(|| panic!("a defect")).unwrap().join();
        if obeys == "obeys" && *stopped.borrow() {
            exit(if have_happened() { 33 } else { 44 });
        }
        if name == WORKER || name == NAMES {
            exit(if have_happened() { 55 } else { 66 });
        }
        thread::sleep(Duration::from_secs(60));
    }

    fn ends(part: &str) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "panics::tests::in_a_process_of_its_own", "--nocapture"])
            .env(PART, part)
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        (status.code(), begun.elapsed())
    }

    #[test]
    fn a_thread_that_panics_ends_the_program_in_good_order_or_else_outright() {
        assert_eq!(ends("netwatch-icmp obeys").0, Some(33));
        let (code, took) = ends("netwatch-files hangs");
        assert_eq!(code, Some(1));
        assert!((LIMIT..LIMIT * 2).contains(&took), "{took:?}");
        let (code, took) = ends("main hangs");
        assert!(code == Some(1) && took < LIMIT, "{code:?} {took:?}");
    }

    #[test]
    fn a_task_that_panics_is_left_to_whoever_joins_it() {
        for name in [WORKER, NAMES] {
            assert_eq!(ends(&format!("{name} obeys")).0, Some(66), "{name}");
        }
    }
}
