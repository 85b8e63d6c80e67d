//! Plays systemd's side of sd_notify(3): a datagram socket that writes down what it is told, and when.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use netwatch_tests::process::wait_for;
use tempfile::TempDir;

type Heard = Arc<Mutex<Vec<(Instant, String)>>>;

/// The socket. Its thread ends with the test.
pub(crate) struct Notified {
    dir: TempDir,
    heard: Heard,
}

impl Notified {
    pub(crate) fn new() -> Notified {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(Notified::path_in(dir.path())).unwrap();
        let heard = Heard::default();
        let notes = Arc::clone(&heard);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = socket.recv(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                notes.lock().unwrap().push((Instant::now(), text));
            }
        });
        Notified { dir, heard }
    }

    /// What `$NOTIFY_SOCKET` is to say.
    pub(crate) fn path(&self) -> PathBuf {
        Notified::path_in(self.dir.path())
    }

    fn path_in(dir: &Path) -> PathBuf {
        dir.join("notify")
    }

    /// Everything that was told since then, with the time.
    pub(crate) fn since(&self, begin: Instant) -> Vec<(Instant, String)> {
        self.heard.lock().unwrap().iter().filter(|(at, _)| *at >= begin).cloned().collect()
    }

    /// When the watchdog was fed since then.
    pub(crate) fn fed(&self, begin: Instant) -> Vec<Instant> {
        let told = self.since(begin);
        told.into_iter().filter(|(_, text)| text.lines().any(|line| line == "WATCHDOG=1")).map(|(at, _)| at).collect()
    }

    /// Waits until one message since then has all these lines, and returns it.
    pub(crate) fn wait(&self, begin: Instant, lines: &[&str], limit: Duration) -> String {
        wait_for(&format!("{lines:?}"), limit, || {
            let all = |text: &String| lines.iter().all(|line| text.lines().any(|found| found == *line));
            self.since(begin).into_iter().map(|(_, text)| text).find(all)
        })
    }

    /// Waits until the watchdog has been fed since then.
    pub(crate) fn wait_fed(&self, begin: Instant, limit: Duration) {
        wait_for("the watchdog to be fed", limit, || self.fed(begin).first().copied());
    }
}
