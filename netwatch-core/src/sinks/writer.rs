//! The thread that writes the text files, so that no disk ever holds up an async worker.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::tz::TimeZone;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;

use super::line::{self, Log};
use super::log_file::LogFile;
use super::pace::{self, Stale};
use super::status_file::{Row, StatusFile};
use crate::model::{Event, Plan, Wall};

/// How long after a log could not be written it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What the sink leaves for the thread.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) plan: Option<Arc<Plan>>,
    /// One for each target of the plan.
    pub(super) rows: Vec<Row>,
    /// How much the rows differ from what was last written.
    pub(super) stale: Stale,
    pub(super) lines: Vec<(Log, String)>,
    /// Whether the thread is to write what is left and end.
    pub(super) stopping: bool,
    pub(super) stopped: Vec<oneshot::Sender<()>>,
    pub(super) running: bool,
}

/// The inbox and the bell.
#[derive(Debug, Default)]
pub(super) struct Shared {
    inbox: Mutex<Inbox>,
    bell: Condvar,
}

impl Shared {
    /// Looks into the inbox; nobody holds it for longer than copying takes.
    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }
}

/// Starts the thread. It ends once the inbox says `stopping`.
pub(super) fn spawn(shared: Arc<Shared>, dir: &Path, zone: TimeZone) -> io::Result<()> {
    let mut writer = Writer::new(shared, dir, zone);
    std::thread::Builder::new().name("netwatch-files".to_owned()).spawn(move || writer.run()).map(drop)
}

struct Writer {
    shared: Arc<Shared>,
    zone: TimeZone,
    status: StatusFile,
    status_health: Health,
    /// When the last writing of the status file began, and what it cost.
    status_written: Option<(Instant, Duration)>,
    mail: LogFile,
    mail_health: Health,
    error: LogFile,
    error_health: Health,
    retry_logs_at: Option<Instant>,
}

struct Work {
    plan: Option<Arc<Plan>>,
    lines: Vec<(Log, String)>,
    last: bool,
}

impl Writer {
    fn new(shared: Arc<Shared>, dir: &Path, zone: TimeZone) -> Writer {
        Writer {
            shared,
            status: StatusFile::new(dir, zone.clone()),
            zone,
            status_health: Health::default(),
            status_written: None,
            mail: LogFile::new(dir.join("mail_log.txt")),
            mail_health: Health::default(),
            error: LogFile::new(dir.join("error_log.txt")),
            error_health: Health::default(),
            retry_logs_at: None,
        }
    }

    fn run(&mut self) {
        loop {
            let work = self.wait();
            if let Some(plan) = work.plan {
                self.write_status(&plan);
            }
            for (log, line) in work.lines {
                match log {
                    Log::Mail => self.mail.push(line),
                    Log::Error => self.error.push(line),
                }
            }
            self.write_logs();
            if work.last {
                let mut inbox = self.shared.inbox();
                inbox.running = false;
                for waiting in inbox.stopped.drain(..) {
                    // Whoever waited may have given up.
                    let _ = waiting.send(());
                }
                return;
            }
        }
    }

    /// Sleeps until there is something that may be written now, and takes it.
    fn wait(&mut self) -> Work {
        let shared = Arc::clone(&self.shared);
        let mut inbox = shared.inbox();
        loop {
            let now = Instant::now();
            let status_at = self.status_due(inbox.stale, now);
            let status_due = status_at.is_some_and(|at| inbox.stopping || now >= at);
            let logs_due = !inbox.lines.is_empty() || self.retry_logs_at.is_some_and(|at| now >= at);
            if status_due || logs_due || inbox.stopping {
                let plan = inbox.plan.clone().filter(|_| status_due);
                if status_due {
                    inbox.stale = Stale::No;
                }
                return Work { plan, lines: std::mem::take(&mut inbox.lines), last: inbox.stopping };
            }
            let alarm = [status_at, self.retry_logs_at].into_iter().flatten().min();
            inbox = match alarm {
                None => shared.bell.wait(inbox).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let waited = shared.bell.wait_timeout(inbox, at.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// When the status file may be written, if there is a reason to.
    fn status_due(&self, stale: Stale, now: Instant) -> Option<Instant> {
        let at = self.status_written.map_or(now, |(began, spent)| began + pace::pause_after(spent, stale));
        (stale != Stale::No).then_some(at)
    }

    fn write_status(&mut self, plan: &Arc<Plan>) {
        let (began, cpu) = (Instant::now(), cpu_time());
        let shared = &self.shared;
        // Piece by piece, so that nobody waits long for the inbox.
        let written = self.status.write(plan, |places, rows| {
            let inbox = shared.inbox();
            let is_same = inbox.plan.as_ref().is_some_and(|now| Arc::ptr_eq(now, plan));
            rows.extend_from_slice(inbox.rows.get(places).unwrap_or_default());
            is_same
        });
        self.status_written = Some((began, cpu_time().saturating_sub(cpu)));
        if written.is_err() {
            self.shared.inbox().stale = Stale::Statuses;
        }
        self.status_health.note(self.status.path(), written);
    }

    fn write_logs(&mut self) {
        let written = self.mail.flush();
        if self.mail_health.note(self.mail.path(), written) {
            let lost = self.mail.take_dropped();
            self.confess(lost, "mail_log.txt");
        }
        let written = self.error.flush();
        if self.error_health.note(self.error.path(), written) {
            let lost = self.error.take_dropped();
            self.confess(lost, "error_log.txt");
        }
        let waiting = self.mail.is_waiting() || self.error.is_waiting();
        self.retry_logs_at = waiting.then(|| Instant::now() + RETRY);
    }

    /// Lines that were dropped while the disk took none are at least counted.
    fn confess(&mut self, lost: u64, file: &str) {
        if lost == 0 {
            return;
        }
        let at = Wall::from(SystemTime::now());
        let message = format!("{lost} lines of {file} were lost while the disk could not be written");
        for (_, line) in line::of_event(&self.zone, at, &Event::Trouble { at, component: "files", message }) {
            self.error.push(line);
        }
    }
}

/// Remembers whether a file could last be written, so that each trouble is reported once.
#[derive(Debug, Default)]
struct Health {
    failing: bool,
}

impl Health {
    /// Takes note of an attempt, and says whether it succeeded.
    fn note(&mut self, file: &Path, written: io::Result<()>) -> bool {
        match &written {
            Ok(()) if self.failing => tracing::info!(file = %file.display(), "can be written again"),
            Err(error) if !self.failing => {
                tracing::warn!(file = %file.display(), %error, "cannot be written; trying again every second or so");
            }
            _ => {}
        }
        self.failing = written.is_err();
        !self.failing
    }
}

/// What this thread has cost so far; waiting for a disk costs no core (clock_gettime(2)).
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
