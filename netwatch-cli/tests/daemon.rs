//! The daemon as a process: it starts, answers on its local socket, lets no second one beside it, and stops when told,
//! with everything saved. It pings loopback only, in a network namespace of its own, and so needs root.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
[defaults]
interval = "1s"
pings = 2
spacing = "100ms"
timeout = "300ms"
[[target]]
name = "this"
address = "127.0.0.1"
[[target]]
name = "this too"
address = "::1"
"#;

/// The program in a namespace of its own, whose only interface is loopback, and down until `ip` says otherwise.
fn netwatch(dir: &Path, wrapper: &[&str], arguments: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_netwatch");
    let script = format!("ip link set lo up && exec {} {program} {arguments}", wrapper.join(" "));
    let mut command = Command::new("unshare");
    command
        .args(["--net", "sh", "-c", &script])
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("HOME", dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Daemon(Child);

impl Daemon {
    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status().unwrap().success());
    }

    /// What it wrote, its exit status, and how long it took to end.
    fn end(mut self) -> (String, Option<i32>, Duration) {
        let begun = Instant::now();
        until("the daemon ends", || self.0.try_wait().unwrap().is_some());
        let code = self.0.wait().unwrap().code();
        let took = begun.elapsed();
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (said, code, took)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never came true: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ask(dir: &Path, arguments: &str) -> Output {
    netwatch(dir, &[], arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn it_starts_answers_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("netwatch.toml"), CONFIG).unwrap();
    let daemon = Daemon(netwatch(dir.path(), &[], "run --data-dir data").spawn().unwrap());
    let socket = dir.path().join("data/netwatch.sock");
    until("the socket is there", || socket.exists());
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    until("both answer", || text(&ask(dir.path(), "status --data-dir data").stdout).contains("2 equipos: 2 OK"));

    let json = ask(dir.path(), "status --json --data-dir data");
    assert_eq!(json.status.code(), Some(0));
    let answer: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(answer["targets"][1]["name"], "this too");

    let second = ask(dir.path(), "run --data-dir data");
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another netwatch"), "{}", text(&second.stderr));

    daemon.signal("TERM");
    let (said, code, took) = daemon.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(took < Duration::from_secs(2), "it took {took:?} to stop");
    assert!(said.contains("http://127.0.0.1:8080/") && said.contains("todo está guardado"), "{said}");
    assert!(!socket.exists(), "the socket goes with the daemon");
}

/// Runs `arguments` beside a daemon; its exit status, and all that it wrote.
fn tell(dir: &Path, arguments: &str) -> (Option<i32>, String) {
    let output = ask(dir, &format!("{arguments} --data-dir data"));
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_hangup_has_the_configuration_read_again_and_a_bad_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("netwatch.toml");
    std::fs::write(&file, CONFIG).unwrap();
    let daemon = Daemon(netwatch(dir.path(), &[], "run --data-dir data").spawn().unwrap());
    until("both answer", || tell(dir.path(), "status").1.contains("2 equipos: 2 OK"));

    let errors = || std::fs::read_to_string(dir.path().join("data/error_log.txt")).unwrap_or_default();
    std::fs::write(&file, format!("{CONFIG}adress = \"127.0.0.1\"\nintervall = \"1s\"\n")).unwrap();
    daemon.signal("HUP");
    until("the bad one is told of", || errors().contains("\tconfig\t"));
    let line = errors().lines().find(|line| line.contains("\tconfig\t")).unwrap().to_owned();
    assert!(line.contains("the old one stays in force"), "{line}");
    assert!(line.contains("adress") && line.contains("intervall") && line.contains("netwatch.toml:"), "{line}");
    std::fs::write(&file, format!("{CONFIG}note = \"changed\"\n[http]\nlisten = \"127.0.0.1:8081\"\n")).unwrap();
    assert!(tell(dir.path(), "status").1.contains("2 equipos"));
    daemon.signal("HUP");
    until("what cannot change is told of", || errors().contains("127.0.0.1:8081"));
    until("both answer again", || tell(dir.path(), "status").1.contains("2 equipos: 2 OK"));
    let third = "[[target]]\nname = \"a third\"\naddress = \"127.0.0.3\"\n";
    std::fs::write(&file, format!("{CONFIG}{third}")).unwrap();
    daemon.signal("HUP");
    until("the third answers too", || tell(dir.path(), "status").1.contains("3 equipos: 3 OK"));
    daemon.signal("TERM");
    let (said, code, _) = daemon.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is in force") && said.contains("intervall"), "{said}");
}

#[test]
fn technicians_are_told_why_something_cannot_be_done() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("netwatch.toml"), CONFIG).unwrap();
    let nobody_runs = tell(dir.path(), "ack this --by ana");
    assert!(nobody_runs.0 == Some(1) && nobody_runs.1.contains("does not seem to run"), "{nobody_runs:?}");
    let _daemon = Daemon(netwatch(dir.path(), &[], "run --data-dir data").spawn().unwrap());
    until("both answer", || tell(dir.path(), "status").1.contains("2 equipos: 2 OK"));
    for (arguments, code, says) in [
        ("ack 'this too' --by ana", 1, "no open outage"),
        ("ack 'that?/%' --by ana", 1, "no target has that name"),
        ("ack this", 2, "--by"),
        ("maintenance add --target nobody --for 1h --reason x --by ana", 1, "no target has the name"),
        ("maintenance add --group DSLAM --for 1h --reason x --by ana", 1, "no group has the name"),
        ("maintenance add --target this --until 2020-01-01T00:00:00Z --reason x --by ana", 1, "`to` must be later"),
        ("maintenance add --target this --until soon --reason x --by ana", 2, "not a time"),
        ("maintenance add --target this --for 1h --by ana", 2, "--reason"),
        ("maintenance end 4711", 1, "4711"),
        ("maintenance list", 0, "No hay ningún mantenimiento"),
    ] {
        let (ended, said) = tell(dir.path(), arguments);
        assert!(ended == Some(code) && said.contains(says), "{arguments}: {ended:?} {said}");
    }
    let (_, entered) = tell(dir.path(), "maintenance add --target 'this too' --for 1h --reason fibra --by ana --json");
    let entered: serde_json::Value = serde_json::from_str(entered.trim()).unwrap();
    let id = entered["id"].as_u64().unwrap();
    let (_, listed) = tell(dir.path(), "maintenance list");
    assert!(listed.contains("this too") && listed.contains("fibra") && listed.contains("ana"), "{listed}");
    assert_eq!(tell(dir.path(), &format!("maintenance end {id}")).0, Some(0));
    assert!(tell(dir.path(), "maintenance list").1.contains("No hay ningún mantenimiento"));
}

/// The subjects of the mails in a folder, in the order in which they were written.
fn subjects(mail: &Path) -> Vec<String> {
    let Ok(found) = std::fs::read_dir(mail) else { return Vec::new() };
    let mut files: Vec<_> = found.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some()).collect();
    files.sort();
    let subject = |path| {
        let mail = std::fs::read_to_string(path).unwrap();
        mail.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned()
    };
    files.into_iter().map(subject).collect()
}

#[test]
fn a_drill_goes_the_way_of_a_real_outage_and_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let notifier = "[[notifier]]\nname = \"noc\"\nkind = \"file\"\ngroup_wait = \"0s\"\ngroup_interval = \"0s\"\n";
    std::fs::write(dir.path().join("netwatch.toml"), format!("{CONFIG}{notifier}")).unwrap();
    let daemon = Daemon(netwatch(dir.path(), &[], "run --data-dir data").spawn().unwrap());
    until("both answer", || text(&ask(dir.path(), "status --data-dir data").stdout).contains("2 equipos: 2 OK"));
    let (code, said) = tell(dir.path(), "drill this --by ana");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("SIMULACRO") && said.contains("netwatch why this"), "{said}");
    let mail = dir.path().join("data/mail");
    until("the drill is told", || !subjects(&mail).is_empty());
    assert_eq!(subjects(&mail), ["SIMULACRO: NO RESPONDE: this"]);
    for (arguments, says) in
        [("drill this --by ana", "less than 10 min ago"), ("drill nobody --by ana", "no target has that name")]
    {
        let (code, said) = tell(dir.path(), arguments);
        assert_eq!((code, said.contains(says)), (Some(1), true), "{said}");
    }
    assert!(text(&ask(dir.path(), "status --data-dir data").stdout).contains("2 equipos: 2 OK"), "nothing is down");
    daemon.signal("TERM");
    let (said, code, _) = daemon.end();
    assert_eq!(code, Some(0), "{said}");
    let again = Daemon(netwatch(dir.path(), &[], "run --data-dir data").spawn().unwrap());
    until("its end is told", || subjects(&mail).len() == 2);
    assert_eq!(subjects(&mail)[1], "SIMULACRO: OK: this");
    until("why", || tell(dir.path(), "why this").1.contains("ana hizo un simulacro"));
    again.signal("TERM");
    again.end();
}

#[test]
fn mails_are_in_the_operators_words_and_in_the_built_in_ones_where_those_are_broken() {
    let dir = tempfile::tempdir().unwrap();
    let words = |name: &str, text: &str| {
        std::fs::create_dir_all(dir.path().join("words")).unwrap();
        std::fs::write(dir.path().join("words").join(name), text).unwrap();
    };
    let configure = |more: &str| {
        let quick = CONFIG.replace("timeout", "tolerance = \"0s\"\ntimeout");
        let notifier = "[[notifier]]\nname = \"noc\"\nkind = \"file\"\ngroup_wait = \"0s\"\ngroup_interval = \"0s\"\n";
        let text = format!("templates = \"words\"\n{quick}{more}{notifier}");
        std::fs::write(dir.path().join("netwatch.toml"), text).unwrap();
    };
    words("subject.txt", "[NOC] {{ builtin.subject }}\n");
    words("mail.txt", "{{ sujet }}");
    configure("");
    let mute = ["sh -c 'echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all; exec \"$@\"' sh"];
    let daemon = Daemon(netwatch(dir.path(), &mute, "run --data-dir data").spawn().unwrap());
    let mail = dir.path().join("data/mail");
    until("the first is told", || !subjects(&mail).is_empty());
    assert_eq!(subjects(&mail), ["[NOC] NO RESPONDE: this"]);
    let errors = || {
        let all = std::fs::read_to_string(dir.path().join("data/error_log.txt")).unwrap_or_default();
        all.lines().filter(|line| line.contains("\trender\t")).map(str::to_owned).collect::<Vec<_>>()
    };
    until("the broken one is told of", || !errors().is_empty());
    assert!(errors()[0].contains("the template for the text of a mail failed") && errors()[0].contains("line 1"));

    words("subject.txt", "[OTRO] {{ builtin.subject }}\n");
    words("mail.txt", "021 555 0100\n");
    configure("[[target]]\nname = \"third\"\naddress = \"127.0.0.3\"\n");
    daemon.signal("HUP");
    until("the other is told", || subjects(&mail).len() == 2);
    assert_eq!(subjects(&mail)[1], "[OTRO] NO RESPONDE: third");
    daemon.signal("TERM");
    let (said, code, _) = daemon.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: the template for the text of mails is broken"), "{said}");
    assert_eq!(errors().len(), 1, "what was mended is not told of again: {:?}", errors());
}

#[test]
fn each_notifier_can_be_tried_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let refused = "[[notifier]]\nname = \"jefe\"\nkind = \"smtp\"\nserver = \"127.0.0.1\"\nport = 9\nsecurity = \"none\"\nfrom = \"n@example.net\"\nto = [\"j@example.net\"]\n";
    let notifiers = format!("[[notifier]]\nname = \"noc\"\nkind = \"file\"\n{refused}");
    std::fs::write(dir.path().join("netwatch.toml"), format!("{CONFIG}{notifiers}")).unwrap();
    let (code, said) = tell(dir.path(), "notify-test noc");
    assert_eq!((code, said.trim()), (Some(0), "noc: aceptado"));
    let mails = subjects(&dir.path().join("data/mail"));
    assert!(mails.len() == 1 && mails[0].starts_with("Prueba de netwatch"), "{mails:?}");
    let (code, said) = tell(dir.path(), "notify-test --json");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["notifiers"][0]["error"]), (Some(1), &serde_json::Value::Null));
    let error = said["notifiers"][1]["error"].as_str().unwrap();
    assert!(error.contains("127.0.0.1:9") && error.contains("refused"), "{error}");
    let (code, said) = tell(dir.path(), "notify-test nobody");
    assert_eq!((code, said.contains("no notifier has the name")), (Some(2), true), "{said}");
    assert!(!dir.path().join("data/netwatch.db").exists(), "nothing is recorded");
}

#[test]
fn status_ends_well_only_if_netwatch_can_tell() {
    let beside = |paused: bool| {
        let dir = tempfile::tempdir().unwrap();
        let other = format!("[[target]]\nname = \"far\"\naddress = \"192.0.2.1\"\npaused = {paused}\n");
        std::fs::write(dir.path().join("netwatch.toml"), format!("{CONFIG}{other}")).unwrap();
        let daemon = Daemon(netwatch(dir.path(), &[], "run --data-dir data").spawn().unwrap());
        let mut answer = None;
        until("the two others answer", || {
            let asked = ask(dir.path(), "status --data-dir data");
            let settled = text(&asked.stdout).contains("3 equipos: 1 DESCONOCIDO, 2 OK");
            answer = settled.then_some((asked.status.code(), text(&asked.stdout)));
            settled && !text(&asked.stdout).contains("recién iniciado")
        });
        drop(daemon);
        answer.unwrap()
    };
    let (code, said) = beside(false);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("el servidor de netwatch no tiene ruta hacia la dirección"), "{said}");
    let (code, said) = beside(true);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("en pausa"), "{said}");
}

#[test]
fn the_banner_names_the_port_that_the_system_chose() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("netwatch.toml"), format!("{CONFIG}[http]\nlisten = \"127.0.0.1:0\"\n")).unwrap();
    let daemon = Daemon(netwatch(dir.path(), &[], "run --data-dir data").spawn().unwrap());
    until("it runs", || dir.path().join("data/netwatch.sock").exists());
    daemon.signal("TERM");
    let (said, code, _) = daemon.end();
    assert_eq!(code, Some(0), "{said}");
    let (_, port) = said.split_once("http://127.0.0.1:").unwrap();
    let port: u16 = port.split_once('/').unwrap().0.parse().unwrap();
    assert_ne!(port, 0, "{said}");
}

#[test]
fn without_a_configuration_it_watches_this_host_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon(netwatch(dir.path(), &[], "--data-dir data").spawn().unwrap());
    until("it runs", || dir.path().join("data/netwatch.sock").exists());
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    until("this host answers", || {
        let shown = text(&ask(dir.path(), "status --data-dir data").stdout);
        shown.lines().any(|line| line.starts_with("OK") && line.contains(name.trim()) && line.contains("127.0.0.1"))
    });
    daemon.signal("INT");
    let (said, code, _) = daemon.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("se vigilan el servidor de netwatch") && said.contains("/etc/netwatch/netwatch.toml"),
        "{said}"
    );
}

#[test]
fn without_permission_it_ends_at_once_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::write(dir.path().join("netwatch.toml"), CONFIG).unwrap();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "timeout", "5"];
    for arguments in ["run --data-dir data", "ping 127.0.0.1 -c 1"] {
        let begun = Instant::now();
        let output = netwatch(dir.path(), &nobody, arguments).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert!(said.contains("setcap") && said.contains("ping_group_range"), "{said}");
        assert!(output.stdout.is_empty(), "nothing runs, so nothing is announced");
    }
    assert!(!dir.path().join("data").exists(), "nothing was created");
}

#[test]
fn ping_tells_who_answered() {
    let dir = tempfile::tempdir().unwrap();
    let both = ask(dir.path(), "ping --json -c 2 -i 100ms 127.0.0.1 ::1");
    assert_eq!(both.status.code(), Some(0), "{}", text(&both.stderr));
    let said = text(&both.stdout);
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["answered"] == 2 && line["loss"] == 0.0), "{said}");
    // There is no route to it in this namespace: that is not the host's silence.
    let one = ask(dir.path(), "ping --json -c 1 127.0.0.1 192.0.2.1");
    assert_eq!(one.status.code(), Some(1));
    let said = text(&one.stdout);
    let second: serde_json::Value = serde_json::from_str(said.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&second["unknown"], &second["cause"]), (&1.into(), &"no_route".into()), "{said}");
}

/// Of a device that never answers, told to a command and to two webhooks where nobody listens.
const TOLD: &str = r#"
locale = "en"
[defaults]
interval = "1s"
pings = 2
spacing = "100ms"
timeout = "300ms"
tolerance = "0s"
[[target]]
name = "$(id) <b>"
address = "127.0.0.1"
[[notifier]]
name = "sms"
kind = "exec"
command = ["SCRIPT", "DIR"]
group_wait = "0s"
[[notifier]]
name = "chat"
kind = "webhook"
format = "slack"
url_file = "url"
group_wait = "0s"
[[notifier]]
name = "pager"
kind = "webhook"
format = "pagerduty"
url = "http://127.0.0.1:9/canary-quokka"
routing_key_env = "ROUTING_KEY"
group_wait = "0s"
"#;

#[test]
fn a_dead_device_is_told_to_a_command_and_nothing_that_is_written_holds_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let script = write("tell", "#!/bin/sh\ncat >\"$1/told.new\" && mv \"$1/told.new\" \"$1/told\"\n", 0o755);
    let here = dir.path().to_str().unwrap();
    let config = TOLD.replace("SCRIPT", script.to_str().unwrap()).replace("DIR", here);
    write("netwatch.toml", &config, 0o600);
    write("url", "http://127.0.0.1:9/services/canary-quokka\n", 0o600);
    let mute = ["sh -c 'echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all; exec \"$@\"' sh"];
    let arguments = "run --data-dir data --log-level trace";
    let daemon = Daemon(netwatch(dir.path(), &mute, arguments).env("ROUTING_KEY", "canary-quokka").spawn().unwrap());

    until("the command was told", || dir.path().join("told").exists());
    let told = std::fs::read(dir.path().join("told")).unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert_eq!((&facts["kind"], &facts["targets"]), (&"opened".into(), &1.into()));
    assert_eq!(facts["lines"][0]["target"], "$(id) <b>");
    assert_eq!(facts["subject"], "DOWN: $(id) <b>");

    let errors = || std::fs::read_to_string(dir.path().join("data/error_log.txt")).unwrap_or_default();
    let refused = |what: &str| errors().contains(&format!("{what} webhook at 127.0.0.1:9: cannot connect"));
    until("both webhooks have failed", || refused("slack") && refused("pagerduty"));
    let sent = std::fs::read_to_string(dir.path().join("data/mail_log.txt")).unwrap();
    assert!(sent.contains("\tSENT\t") && sent.contains("\tDEFERRED\t"), "{sent}");
    let status = ask(dir.path(), "status --json --data-dir data");
    let why = || ask(dir.path(), "why --data-dir data --json '$(id) <b>'");
    until("the ledger says why", || text(&why().stdout).contains("cannot connect"));
    let why = why();
    daemon.signal("TERM");
    let (said, code, _) = daemon.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("webhook slack 127.0.0.1"), "the banner names the host: {said}");

    let canary = |bytes: &[u8]| bytes.windows(6).any(|six| six.eq_ignore_ascii_case(b"quokka"));
    assert!(canary(config.as_bytes()), "it would be found");
    for file in std::fs::read_dir(dir.path().join("data")).unwrap().filter_map(|file| Some(file.ok()?.path())) {
        assert!(!canary(&std::fs::read(&file).unwrap_or_default()), "{} holds a secret", file.display());
    }
    for output in [said.as_bytes(), &status.stdout, &status.stderr, &why.stdout, &why.stderr, &told] {
        assert!(!canary(output), "{}", String::from_utf8_lossy(output));
    }
}
