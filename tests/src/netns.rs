//! Network namespaces: small worlds of their own, never connected to the machine's network, gone when their handle goes.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::{self, finish, require_root, run};

const PREFIX: &str = "nwlab-";
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A network namespace with its loopback up and nothing else. Dropping it kills what still runs inside and deletes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace whose name is unique on the machine: `nwlab-<pid>-<n>`. Panics when not root.
    ///
    /// Namespaces that a killed test process has left behind are deleted on the way.
    pub fn new() -> Namespace {
        require_root();
        sweep();
        let name = format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        run("ip", ["netns", "add", &name]);
        let namespace = Namespace { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name, as `ip netns exec` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `ip -n <namespace> <words>`; panics if it fails.
    pub fn ip(&self, words: &str) -> String {
        let args = ["-n", &self.name].into_iter().chain(words.split_whitespace());
        run("ip", args)
    }

    /// `tc -n <namespace> <words>`; panics if it fails.
    pub fn tc(&self, words: &str) -> String {
        let args = ["-n", &self.name].into_iter().chain(words.split_whitespace());
        run("tc", args)
    }

    /// A command that will run inside. The process keeps the pid of the spawned child.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program.as_ref());
        command
    }

    /// Runs a program inside to its end and returns what it printed.
    ///
    /// # Errors
    /// The command line with the exit status and standard error, if it failed.
    pub fn try_run(&self, line: &str) -> Result<String, String> {
        let mut words = line.split_whitespace();
        let mut command = self.command(words.next().expect("a command line has a first word"));
        finish(command.args(words))
    }

    /// Runs a program inside to its end and returns what it printed; panics if it fails.
    pub fn run(&self, line: &str) -> String {
        self.try_run(line).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Loads nftables rules (`nft -f -`); panics if they are refused.
    pub fn nft(&self, rules: &str) {
        process::feed(self.command("nft").args(["-f", "-"]), rules);
    }

    /// Sets a sysctl of the namespace, as in `net.ipv4.ping_group_range`.
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        self.inside(|| std::fs::write(&path, value).unwrap_or_else(|error| panic!("cannot write {path}: {error}")));
    }

    /// Joins this namespace to another by a pair of virtual Ethernet interfaces, both up, without addresses.
    pub fn veth(&self, mine: &str, other: &Namespace, theirs: &str) {
        self.ip(&format!("link add {mine} type veth peer name {theirs} netns {}", other.name));
        self.ip(&format!("link set {mine} up"));
        other.ip(&format!("link set {theirs} up"));
    }

    /// Adds an address, usable at once (no duplicate address detection).
    pub fn address(&self, interface: &str, address: &str) {
        let nodad = if address.contains(':') { "nodad" } else { "" };
        self.ip(&format!("addr add {address} dev {interface} {nodad}"));
    }

    /// Calls `work` on a thread that is inside the namespace. Sockets it opens stay inside for their whole life.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let entered = move || {
            enter(&self.name);
            work()
        };
        thread::scope(|scope| match scope.spawn(entered).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// A listener inside.
    pub fn listen(&self, address: SocketAddr) -> TcpListener {
        self.inside(|| TcpListener::bind(address).unwrap_or_else(|error| panic!("cannot listen on {address}: {error}")))
    }

    /// A connection from inside.
    ///
    /// # Errors
    /// When nothing listens there, or nothing answers within `limit`.
    pub fn connect(&self, address: SocketAddr, limit: Duration) -> std::io::Result<TcpStream> {
        self.inside(|| TcpStream::connect_timeout(&address, limit))
    }

    fn pids(&self) -> Vec<Pid> {
        let listed = finish(Command::new("ip").args(["netns", "pids", &self.name])).unwrap_or_default();
        listed.split_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect()
    }
}

impl Default for Namespace {
    fn default() -> Namespace {
        Namespace::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        for pid in self.pids() {
            // It may have ended since it was listed.
            let _ = kill_process(pid, Signal::KILL);
        }
        if let Err(error) = finish(Command::new("ip").args(["netns", "del", &self.name])) {
            eprintln!("left behind: {error}");
        }
    }
}

/// Moves the calling thread, and every thread it starts from then on, into the namespace of this name.
pub(crate) fn enter(name: &str) {
    let path = format!("/run/netns/{name}");
    let file = File::open(&path).unwrap_or_else(|error| panic!("cannot open {path}: {error}"));
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .unwrap_or_else(|error| panic!("cannot enter {path}: {error}"));
}

/// Deletes the namespaces of test processes that no longer exist.
fn sweep() {
    let listed = finish(Command::new("ip").args(["netns", "list"])).unwrap_or_default();
    for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        let Some(pid) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else { continue };
        let dead = pid.parse::<u32>().is_ok_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        if dead {
            // Another test process may be sweeping too; the second deletion fails and does not matter.
            drop(Namespace { name: name.to_owned() });
        }
    }
}
