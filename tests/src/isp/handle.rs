//! A running ISP: the program started in a namespace, its routes, its control socket, its truth log.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use super::{Behaviour, Scenario, Truth};
use crate::netns::Namespace;
use crate::process::{Kept, program, wait_for};

/// The name of the TUN interface.
pub const INTERFACE: &str = "isp0";
/// The address that this namespace has on the TUN interface.
pub const HERE_V4: &str = "10.255.255.1";
/// The same for IPv6.
pub const HERE_V6: &str = "fd00:ffff::1";

/// The ISP behind a TUN device of a namespace. Dropping it takes the device away.
#[derive(Debug)]
pub struct Isp {
    child: Kept,
    dir: TempDir,
}

impl Isp {
    /// Starts the ISP in the namespace and routes the scenario's prefixes to it.
    pub fn start(namespace: &Namespace, scenario: &Scenario) -> Isp {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let text = serde_json::to_string_pretty(scenario).expect("a scenario is plain data");
        std::fs::write(dir.path().join("scenario.json"), text).expect("the scenario can be written");
        let program = program("netwatch-isp", "NETWATCH_ISP_BIN", "netwatch-tests");
        let mut command = namespace.command(program);
        command.args(["--tun", INTERFACE]);
        for (option, file) in [("--scenario", "scenario.json"), ("--truth", "truth.jsonl"), ("--control", "control")] {
            command.arg(option).arg(dir.path().join(file));
        }
        // It ends when its standard input does, so it cannot outlive a test that was killed.
        let log = std::fs::File::create(dir.path().join("log")).expect("the log can be made");
        let child = Kept::spawn(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log));
        let mut isp = Isp { child, dir };
        isp.wait_until_ready();
        isp.route(namespace, scenario);
        isp
    }

    /// Silences a device, and returns when that has taken effect.
    pub fn down(&self, address: &str) {
        self.control(&format!("down {address}"));
    }

    /// Ends what [`down`](Isp::down) began.
    pub fn up(&self, address: &str) {
        self.control(&format!("up {address}"));
    }

    /// Gives a device another behaviour.
    pub fn set(&self, address: &str, behaviour: &Behaviour) {
        let behaviour = serde_json::to_string(behaviour).expect("a behaviour is plain data");
        self.control(&format!("set {address} {behaviour}"));
    }

    /// Sends one command to the control socket and waits until it has taken effect; panics if it is refused.
    pub fn control(&self, line: &str) {
        let mut stream = UnixStream::connect(self.file("control")).expect("the ISP listens on its control socket");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a time limit can be set");
        writeln!(stream, "{line}").expect("the ISP reads its control socket");
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).expect("the ISP answers a command");
        assert_eq!(answer.trim(), "ok", "the ISP refused {line:?}");
    }

    /// What it did so far.
    pub fn truth(&self) -> Truth {
        Truth::read(&self.file("truth.jsonl"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn wait_until_ready(&mut self) {
        let control = self.file("control");
        wait_for("the ISP's control socket", Duration::from_secs(10), || {
            if let Some(status) = self.child.ended() {
                let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                panic!("netwatch-isp ended ({status}): {log}");
            }
            control.exists().then_some(())
        });
    }

    fn route(&self, namespace: &Namespace, scenario: &Scenario) {
        namespace.address(INTERFACE, &format!("{HERE_V4}/32"));
        namespace.address(INTERFACE, &format!("{HERE_V6}/128"));
        // What does not fit into its queue is lost without a word: a lab that is slow for a moment must not lose anything.
        namespace.ip(&format!("link set {INTERFACE} txqueuelen 50000 up"));
        for prefix in &scenario.prefixes {
            namespace.ip(&format!("route add {prefix} dev {INTERFACE}"));
        }
        // The clock of the outage windows starts when packets can flow.
        self.control("start");
    }
}
