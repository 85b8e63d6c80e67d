//! The program under test as a process: started in a namespace, looked at from outside, ended by signals.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::config::Config;
use crate::files::{self, MailLine, StatusLine, time_ns};
use crate::http::{self, Events, LIMIT, Response};
use crate::netns::Namespace;
use crate::process::{Kept, program, run, wait_for};

/// How long a start may take until the daemon answers.
const START: Duration = Duration::from_secs(15);

/// The daemon, its directory and its configuration. Dropping it kills it and removes the directory.
#[derive(Debug)]
pub struct Daemon {
    child: Option<Kept>,
    namespace: Arc<Namespace>,
    trust: Option<PathBuf>,
    environment: Vec<(String, String)>,
    dir: TempDir,
    starts: u32,
}

/// A target as the API shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// `ok`, `warning`, `down`, `unreachable`, `unknown` or `pending`.
    pub status: String,
    /// The last RTT, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// When it last answered, in nanoseconds since 1970.
    pub last_reply_ns: Option<u64>,
    /// Since when it has this status, in nanoseconds since 1970.
    pub since_ns: Option<u64>,
    /// Why the status is unknown, as the API's code.
    pub cause: Option<String>,
}

impl Daemon {
    /// Writes the configuration and prepares to run it in the namespace. `trust` is a certificate authority (PEM).
    pub fn prepare(namespace: &Arc<Namespace>, config: &Config, trust: Option<&Path>) -> Daemon {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        config.write(dir.path());
        let (namespace, trust) = (Arc::clone(namespace), trust.map(Path::to_owned));
        Daemon { child: None, namespace, trust, environment: Vec::new(), dir, starts: 0 }
    }

    /// Gives it and its commands an environment variable, from its next start on.
    pub fn environment(&mut self, name: &str, value: impl Into<String>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Writes another configuration, which is not in force before the daemon reads it.
    pub fn reconfigure(&self, config: &Config) {
        config.write(self.dir.path());
    }

    /// Where its configuration is.
    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("netwatch.toml")
    }

    /// Its directory, where `netwatch.toml` is.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Sends it a signal; SIGHUP has the configuration read again.
    pub fn signal(&mut self, signal: Signal) {
        self.child.as_mut().expect("the daemon was started").signal(signal);
    }

    /// What one of its commands prints on both streams, whatever its exit status.
    pub fn ask(&self, words: &[&str]) -> String {
        let mut command = self.namespace.command(netwatch());
        let output = self.surround(command.args(words)).output().expect("netwatch can be run");
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
    }

    /// Starts it without waiting for anything.
    pub fn spawn(&mut self) {
        let command = self.namespace.command(netwatch());
        self.child = Some(self.launch(command));
    }

    /// Starts it and waits until it answers on its local socket; panics with what it printed if it does not.
    pub fn start(&mut self) {
        self.spawn();
        self.wait_ready();
    }

    /// Starts it with no capability but `CAP_NET_RAW`, and waits until it answers on its local socket.
    pub fn start_with_net_raw_alone(&mut self) {
        let mut command = self.namespace.command("setpriv");
        command.args(["--bounding-set", "-all,+net_raw", "--no-new-privs"]).arg(netwatch());
        self.child = Some(self.launch(command));
        self.wait_ready();
    }

    /// Its process id; panics if it was not started.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the daemon was started").pid()
    }

    /// Stops it (SIGSTOP) for this long, while it knows nothing of it. `meanwhile` happens in the middle.
    pub fn stand_still(&mut self, time: Duration, meanwhile: impl FnOnce()) {
        let child = self.child.as_mut().expect("the daemon was started");
        child.signal(Signal::STOP);
        let begin = Instant::now();
        std::thread::sleep(time / 2);
        meanwhile();
        std::thread::sleep(time.saturating_sub(begin.elapsed()));
        child.signal(Signal::CONT);
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") * 1024
    }

    /// Waits until it answers on its local socket; panics with what it printed if it ends, or takes too long.
    pub fn wait_ready(&mut self) {
        let begin = Instant::now();
        loop {
            if self.get("/healthz").is_ok_and(|response| response.status == 200) {
                return;
            }
            let ended = self.child.as_mut().and_then(Kept::ended);
            assert!(ended.is_none() && begin.elapsed() < START, "not ready ({ended:?}):\n{}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs it as the user nobody, without any capability, until it ends by itself; panics if `limit` passes first.
    pub fn run_unprivileged(&mut self, limit: Duration) -> (ExitStatus, String) {
        // A copy: the way to the original may be closed to nobody.
        let copy = self.dir.path().join("netwatch");
        fs::copy(netwatch(), &copy).expect("the program can be copied");
        fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o755)).expect("our own directory");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("our own file");
        fs::create_dir_all(self.data_dir()).expect("our own directory");
        run("chown", ["-R", "nobody", &self.data_dir().to_string_lossy()]);
        let mut command = self.namespace.command("setpriv");
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--bounding-set", "-all"]);
        command.args(["--inh-caps", "-all", "--no-new-privs"]).arg(copy);
        let mut child = self.launch(command);
        let status = child.wait(limit);
        (status, self.output())
    }

    /// kill -9, and wait until it is gone.
    pub fn kill9(&mut self) {
        self.end(Signal::KILL, Duration::from_secs(5));
    }

    /// SIGTERM, and wait for its end; panics if that takes longer than `limit`.
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.end(Signal::TERM, limit)
    }

    /// Runs `<command> run --config ...` in our directory, its output in files there.
    fn launch(&mut self, mut command: Command) -> Kept {
        self.surround(command.arg("run"));
        self.starts = self.starts.saturating_add(1);
        let open = |stream| fs::File::create(self.dir.path().join(format!("{stream}.{}", self.starts)));
        let open = |stream| open(stream).expect("our own directory can be written");
        Kept::spawn(command.stdin(Stdio::null()).stdout(open("stdout")).stderr(open("stderr")))
    }

    /// The configuration, the directory and the environment that a command runs with.
    fn surround<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.arg("--config").arg(self.config_path()).current_dir(self.dir.path());
        for variable in ["STATE_DIRECTORY", "NETWATCH_CONFIG", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            command.env_remove(variable);
        }
        if let Some(authority) = &self.trust {
            command.env("SSL_CERT_FILE", authority);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)))
    }

    fn end(&mut self, signal: Signal, limit: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("the daemon was started");
        child.signal(signal);
        child.wait(limit)
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.ended().is_none())
    }

    /// What the last start printed, on both streams.
    pub fn output(&self) -> String {
        let read = |stream| fs::read_to_string(self.dir.path().join(format!("{stream}.{}", self.starts)));
        read("stdout").unwrap_or_default() + &read("stderr").unwrap_or_default()
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Asks over the local socket.
    ///
    /// # Errors
    /// When nobody listens, or no answer comes within 5 s.
    pub fn get(&self, path: &str) -> std::io::Result<Response> {
        http::get(self.socket()?, path)
    }

    /// Asks over TCP, from inside the namespace, as a browser would.
    ///
    /// # Errors
    /// When nobody listens, or no answer comes within 5 s.
    pub fn get_tcp(&self, path: &str) -> std::io::Result<Response> {
        let stream = self.namespace.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)), LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        http::get(stream, path)
    }

    /// Opens the event stream over the local socket.
    ///
    /// # Errors
    /// When there is none.
    pub fn events(&self) -> std::io::Result<Events<UnixStream>> {
        Events::open(self.socket()?, "/api/v1/events")
    }

    /// Where its local socket is.
    pub fn socket_path(&self) -> PathBuf {
        self.data_dir().join("netwatch.sock")
    }

    fn socket(&self) -> std::io::Result<UnixStream> {
        let stream = UnixStream::connect(self.socket_path())?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(stream)
    }

    /// All targets as the API shows them, in its order; panics if the answer breaks the contract.
    pub fn targets(&self) -> Vec<(String, Target)> {
        let answer = self.get("/api/v1/targets?limit=1000").expect("the daemon answers").json();
        let rows = answer["targets"].as_array().unwrap_or_else(|| panic!("no targets in {answer}"));
        rows.iter().map(|row| (text(row, "name").expect("a target has a name"), target(row))).collect()
    }

    /// One target as the API shows it; panics if it is not there.
    pub fn target(&self, name: &str) -> Target {
        let found = self.targets().into_iter().find(|(found, _)| found == name);
        found.unwrap_or_else(|| panic!("the API shows no target {name}")).1
    }

    /// Waits until a target has this status (as in the API) and returns it. The API has no targets at all until the daemon
    /// has told it of them.
    pub fn wait_status(&self, name: &str, status: &str, limit: Duration) -> Target {
        wait_for(&format!("{name} to be {status}"), limit, || {
            let mut targets = self.targets().into_iter();
            targets.find_map(|(found, target)| (found == name && target.status == status).then_some(target))
        })
    }

    /// Waits until every target has this status.
    pub fn wait_all(&self, status: &str, limit: Duration) {
        wait_for(&format!("every target to be {status}"), limit, || {
            let targets = self.targets();
            (!targets.is_empty() && targets.iter().all(|(_, target)| target.status == status)).then_some(())
        });
    }

    /// `server_status.txt`.
    pub fn server_status(&self) -> Vec<StatusLine> {
        files::server_status(&self.data_dir())
    }

    /// `mail_log.txt`.
    pub fn mail_log(&self) -> Vec<MailLine> {
        files::mail_log(&self.data_dir())
    }

    /// These, and no others, are told of within `limit`, each in a mail of its own.
    pub fn assert_told_only(&self, dead: &[&str], limit: Duration) {
        self.assert_told_with(dead, &[], limit);
    }

    /// The same beside these self-alerts, by subject.
    pub fn assert_told_with(&self, dead: &[&str], alerts: &[&str], limit: Duration) {
        let subjects = || self.mail_log().into_iter().map(|mail| mail.subject).collect::<BTreeSet<_>>();
        let of_devices = dead.iter().map(|name| format!("NO RESPONDE: {name}"));
        let expected: BTreeSet<String> = of_devices.chain(alerts.iter().map(|alert| (*alert).to_owned())).collect();
        wait_for(&format!("mails of {expected:?}"), limit, || subjects().is_superset(&expected).then_some(()));
        assert_eq!(subjects(), expected, "nobody is told of anything else");
        assert_eq!(self.mail_log().len(), expected.len(), "each once: {:?}", self.mail_log());
    }

    /// `error_log.txt` as (component, message).
    pub fn error_log(&self) -> Vec<(String, String)> {
        files::error_log(&self.data_dir())
    }
}

fn netwatch() -> PathBuf {
    program("netwatch", "NETWATCH_BIN", "netwatch-cli")
}

fn target(row: &Value) -> Target {
    Target {
        status: text(row, "status").expect("a target has a status"),
        rtt_ms: row["rtt_ms"].as_f64(),
        last_reply_ns: text(row, "last_reply").map(|time| time_ns(&time)),
        since_ns: text(row, "since").map(|time| time_ns(&time)),
        cause: text(row, "cause"),
    }
}

fn text(row: &Value, key: &str) -> Option<String> {
    row[key].as_str().map(str::to_owned)
}
