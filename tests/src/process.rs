//! Running other programs: errors that name the command, waits with an end, children that never outlive their test.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Runs a program to its end and returns what it printed; panics with its command line and its words if it failed.
pub fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let mut command = Command::new(program);
    command.args(args);
    finish(&mut command).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a prepared command to its end.
///
/// # Errors
/// The command line with the exit status and standard error, if it could not be started or failed.
pub fn finish(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cannot run {shown}: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{shown} failed ({}): {}", output.status, words.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a prepared command with this text as its standard input; panics if it fails.
pub fn feed(command: &mut Command, input: &str) {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {shown}: {error}"));
    child.stdin.take().expect("stdin is a pipe").write_all(input.as_bytes()).expect("the child reads its input");
    let output = child.wait_with_output().expect("the child can be waited for");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{shown} failed on\n{input}\n{words}");
}

/// Asks again every 10 ms until there is an answer; panics with `what` when `limit` has passed.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < limit, "waited {limit:?} in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The program of this name: `$NAME` (for netwatch `$NETWATCH_BIN`) or `target/<profile>/<name>` beside the running
/// test. Panics with the command that builds it if it is not there.
pub fn program(name: &str, variable: &str, package: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable} names {}, which is no file", path.display());
        return path;
    }
    let test = std::env::current_exe().expect("a running test knows its path");
    let profile = test.ancestors().find(|dir| dir.join(".fingerprint").is_dir()).unwrap_or_else(|| Path::new("."));
    let path = profile.join(name);
    let release = if profile.ends_with("release") { " --release" } else { "" };
    assert!(
        path.is_file(),
        "{} is missing: build it with `cargo build{release} -p {package} --bin {name}`, or name it in {variable}",
        path.display()
    );
    path
}

/// Panics unless the process is root: namespaces, TUN devices and smtpd need it.
pub fn require_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test makes network namespaces: run it as root (tests/run does)"
    );
}

/// A child that is killed, and waited for, when its handle goes.
#[derive(Debug)]
pub struct Kept {
    child: Child,
    shown: String,
    over: Option<ExitStatus>,
}

impl Kept {
    /// Starts the command; panics if that fails.
    pub fn spawn(command: &mut Command) -> Kept {
        let shown = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {shown}: {error}"));
        Kept { child, shown, over: None }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.over.is_none() {
            self.over = self.child.try_wait().expect("a child can be waited for");
        }
        self.over
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_some() {
            return;
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid is a small number");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.shown));
    }

    /// Waits for its end; panics if `limit` passes first.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.shown);
        wait_for(&what, limit, || self.ended())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // A failure here can only mean that it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
