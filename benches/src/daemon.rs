//! The whole program, as a customer runs it: `netwatch run` with a list of devices, journal, text files and page, in the lab.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use netwatch_tests::http;
use netwatch_tests::process::{Kept, program, run};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::Common;
use crate::cost::{Meter, Spent, Whose};
use crate::floor::Floor;
use crate::lab::{Lab, alive};
use crate::report::Report;
use crate::stats::Series;

/// Every device is asked 5 times in 10 s: netwatch's defaults.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Netwatch {
    child: Kept,
    dir: TempDir,
}

impl Netwatch {
    /// Starts it with these devices and waits until it answers; with CAP_NET_RAW alone if asked to.
    pub(crate) fn start(lab: &Lab, devices: &[IpAddr], cap_net_raw: bool) -> Netwatch {
        let dir = tempfile::Builder::new().prefix("netwatch-bench-").tempdir().expect("a temporary directory");
        configure(&dir, devices);
        let binary = program("netwatch", "NETWATCH_BIN", "netwatch-cli");
        let mut command = if cap_net_raw {
            // A copy: the way to the original may be closed to nobody.
            let copy = dir.path().join("netwatch");
            fs::copy(binary, &copy).expect("the program can be copied");
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("our own directory");
            run("chown", ["-R", "nobody", &dir.path().join("data").to_string_lossy()]);
            let mut command = lab.monitor.command("setpriv");
            command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--no-new-privs"]);
            command.args(["--inh-caps", "-all,+net_raw", "--ambient-caps", "-all,+net_raw"]);
            command.args(["--bounding-set", "-all,+net_raw"]).arg(copy);
            command
        } else {
            lab.monitor.command(binary)
        };
        command.arg("run").arg("--config").arg(dir.path().join("netwatch.toml")).current_dir(dir.path());
        ["STATE_DIRECTORY", "NETWATCH_CONFIG", "NOTIFY_SOCKET", "RUST_LOG"].iter().for_each(|name| {
            command.env_remove(name);
        });
        let open = |name| fs::File::create(dir.path().join(name)).expect("our own directory");
        let child = Kept::spawn(command.stdin(Stdio::null()).stdout(open("stdout")).stderr(open("stderr")));
        let mut daemon = Netwatch { child, dir };
        let begin = Instant::now();
        while daemon.health().is_none() {
            let ended = daemon.child.ended();
            let waited = begin.elapsed();
            assert!(ended.is_none() && waited.as_secs() < 180, "not ready ({ended:?}):\n{}", daemon.output());
            thread::sleep(Duration::from_millis(50));
        }
        daemon
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// `/healthz` as JSON; `None` while it does not answer.
    pub(crate) fn health(&self) -> Option<Value> {
        let answer = self.get("/healthz").ok()?;
        serde_json::from_str(&answer).ok()
    }

    /// How many targets there are of each status.
    pub(crate) fn statuses(&self) -> Value {
        let answer = self.get("/api/v1/targets?limit=1").expect("the API answers");
        serde_json::from_str::<Value>(&answer).expect("JSON")["counts"].clone()
    }

    /// The whole numbers of `/healthz` by their names: whatever it counts.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        crate::sustain::numbers(&self.health().unwrap_or_default(), "", &mut found);
        found
    }

    /// All devices as the API lists them.
    pub(crate) fn list(&self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let answer =
                self.get(&format!("/api/v1/targets?limit=1000&offset={}", all.len())).expect("the API answers");
            let mut answer: Value = serde_json::from_str(&answer).expect("JSON");
            let Value::Array(rows) = answer["targets"].take() else { panic!("no targets in {answer}") };
            if rows.is_empty() {
                return all;
            }
            all.extend(rows);
        }
    }

    /// How many devices have lost an echo in their last six checks.
    pub(crate) fn with_loss(&self) -> usize {
        self.list().iter().filter(|row| row["loss"].as_f64().is_some_and(|loss| loss > 0.0)).count()
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(mut self) {
        self.child.signal(Signal::TERM);
        self.child.wait(Duration::from_secs(60));
    }

    fn get(&self, path: &str) -> std::io::Result<String> {
        let stream = UnixStream::connect(self.dir.path().join("data/netwatch.sock"))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(http::get(stream, path)?.body)
    }

    fn output(&self) -> String {
        let read = |name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("stdout") + &read("stderr")
    }
}

/// A file of devices, and the configuration that names it. All else is as it is by default, except that mail goes to files.
fn configure(dir: &TempDir, devices: &[IpAddr]) {
    let mut list = String::from("name,address\n");
    for (number, address) in devices.iter().enumerate() {
        let _ = writeln!(list, "d{number:07},{address}");
    }
    let data: PathBuf = dir.path().join("data");
    let text = format!(
        "locale = \"es\"\ntime_zone = \"America/Asuncion\"\ndata_dir = {:?}\n\n[[targets_from]]\nfile = \"devices.csv\"\n\n\
         [[notifier]]\nname = \"noc\"\nkind = \"file\"\nfrom = \"netwatch <noc@example.net>\"\nto = [\"turno@example.net\"]\n\n\
         [http]\nlisten = \"127.0.0.1:8080\"\n",
        data.to_string_lossy()
    );
    fs::create_dir_all(&data).expect("our own directory");
    fs::write(dir.path().join("devices.csv"), list).expect("our own directory");
    fs::write(dir.path().join("netwatch.toml"), text).expect("our own directory");
}

/// What a daemon took over a window, after a lap to warm up.
#[derive(Debug)]
pub(crate) struct Taken<T> {
    /// CPU, wall time, steal, and what the answering side counted.
    pub(crate) spent: Spent,
    /// Resident bytes, and PSS.
    pub(crate) memory: (u64, u64),
    /// What it was asked at the end.
    pub(crate) asked: T,
}

/// Runs a daemon over a lap to warm up and then over the window; then asks it.
pub(crate) fn observe<T>(
    lab: &Lab,
    devices: &[IpAddr],
    cap_net_raw: bool,
    window: Duration,
    ask: impl FnOnce(&Netwatch) -> T,
) -> Taken<T> {
    let daemon = Netwatch::start(lab, devices, cap_net_raw);
    thread::sleep(INTERVAL + Duration::from_secs(3));
    let meter = Meter::start(lab, Whose::Process(daemon.pid()));
    thread::sleep(window);
    let spent = meter.stop(lab);
    let memory = crate::cost::memory(daemon.pid());
    let asked = ask(&daemon);
    daemon.stop();
    Taken { spent, memory, asked }
}

/// Devices that answer, as many as make this rate.
pub(crate) fn devices(rate: u64) -> Vec<IpAddr> {
    (0..usize::try_from(rate * 2).expect("a small rate")).map(|number| alive(false, number)).collect()
}

/// The command: floor and daemon in turns, at each rate.
pub(crate) fn against_floor(rates: &[u64], cap_net_raw: bool, common: &Common) {
    let lab = Lab::new();
    let head =
        ["echoes/s", "targets", "floor, us an echo", "daemon, us an echo", "daemon / floor", "PSS, MB", "unanswered"];
    let name = if cap_net_raw { "daemon-cap-net-raw" } else { "daemon" };
    let mut report = Report::new(name, &head);
    let window = Duration::from_secs(common.seconds);
    for rate in rates {
        let devices = devices(*rate);
        let [mut floor, mut whole, mut ratio, mut pss] = [const { Series::new() }; 4];
        let (mut unanswered, mut stolen) = (0, Duration::ZERO);
        for _ in 0..common.runs {
            let (bare, _) = Floor::paced(*rate).run(&lab, window);
            let taken = observe(&lab, &devices, cap_net_raw, window, Netwatch::statuses);
            floor.push(bare.per_echo());
            whole.push(taken.spent.per_echo());
            ratio.push(taken.spent.per_echo() / bare.per_echo());
            pss.push(taken.memory.1 as f64 / 1e6);
            unanswered +=
                taken.spent.answered.requests - taken.spent.answered.replies.min(taken.spent.answered.requests);
            stolen += bare.stolen + taken.spent.stolen;
            eprintln!("{rate}/s: {ratio} {}", taken.asked);
        }
        report.row([
            rate.to_string(),
            devices.len().to_string(),
            floor.to_string(),
            whole.to_string(),
            ratio.to_string(),
            format!("{pss:.1}"),
            unanswered.to_string(),
        ]);
        report.remark(format!("At {rate}/s the machine's host took {:.2} s in all.", stolen.as_secs_f64()));
    }
    report.remark(format!("Median and extremes of {} runs of {} s.", common.runs, common.seconds));
    report.finish(common.write);
}
