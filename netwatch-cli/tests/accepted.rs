//! What is right is accepted; what is merely doubtful is a warning, and says so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn check(file: &Path, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    netwatch(&["check", "--config", file.to_str().unwrap()], variables)
}

fn netwatch(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let empty = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_netwatch"))
        .args(arguments)
        .current_dir(empty.path())
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn write(dir: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_originals_setup_is_accepted_and_run_only_with_its_password() {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/original.toml");
    let (code, said, warned) = check(&original, &[]);
    assert_eq!(code, Some(0), "{warned}");
    assert!(said.contains("is fine: 10 targets, 0 groups, 1 notifier; 1 warning"), "{said}");
    assert!(warned.contains("warning: the environment variable `SMTP_PASSWORD` is not set"), "{warned}");
    let (code, said, warned) = check(&original, &[("SMTP_PASSWORD", "hunter2")]);
    assert_eq!((code, warned.as_str()), (Some(0), ""), "{said}");
    let (code, said, refused) = netwatch(&["run", "--config", original.to_str().unwrap()], &[("HOME", "/nowhere")]);
    assert_eq!((code, said.as_str()), (Some(2), ""), "{refused}");
    assert!(refused.contains("error: the environment variable `SMTP_PASSWORD` is not set"), "{refused}");
}

#[test]
fn everything_that_this_version_knows_is_accepted_together() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "devices.csv",
        "\u{feff}name;address;family;group;tags;customers;paused;warn_loss\r\nolt-9;olt-9.example.net;6;OLT;norte;12;true;20%\r\n",
    );
    let password = write(dir.path(), "password", "hunter2\n");
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = write(
        dir.path(),
        "netwatch.toml",
        r#"
        locale = "en"
        time_zone = "America/Asuncion"
        data_dir = "data"
        [defaults]
        interval = "10s"
        pings = 3
        spacing = "500ms"
        timeout = "1s"
        tolerance = "1m30s"
        settle = "14d"
        warn_rtt = "80ms"
        warn_loss = 0.3
        payload = "any"
        [[group]]
        name = "OLT"
        interval = "1m"
        router_rate = 2
        [[target]]
        name = "olt-1"
        address = "fe80::1%eth0"
        group = "OLT"
        tags = ["centro"]
        customers = 480
        note = "llave en portería; ANDE 021 160"
        paused = false
        critical = false
        parents = []
        probes = []
        probe = "icmp"
        [[targets_from]]
        file = "devices.csv"
        [[notifier]]
        name = "noc"
        kind = "smtp"
        server = "192.0.2.25"
        port = 2525
        security = "tls"
        username = "noc"
        password_file = "password"
        from = "netwatch <noc@example.net>"
        to = ["turno@example.net"]
        group_wait = "10s"
        group_interval = "2m"
        min_interval = "1d"
        summary = ""
        budget = "target"
        recovery = true
        attempt_timeout = "30s"
        [[notifier]]
        name = "files"
        kind = "file"
        [http]
        listen = "[::1]:8080"
        allow_insecure = false
        [self]
        witnesses = []
        "#,
    );
    let (code, said, warned) = check(&file, &[]);
    assert_eq!((code, warned.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("2 targets, 1 group, 2 notifiers"), "{said}");
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, warned) = check(&file, &[]);
    assert_eq!(code, Some(0));
    assert!(warned.contains("others can read the password file") && !warned.contains("hunter2"), "{warned}");
}

#[test]
fn two_targets_at_one_address_are_worth_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "[[target]]\nname = \"a\"\naddress = \"2001:db8::1\"\n[[target]]\nname = \"b\"\naddress = \"2001:DB8:0::1\"\n";
    let (code, _, warned) = check(&write(dir.path(), "netwatch.toml", text), &[]);
    assert_eq!(code, Some(0));
    assert!(warned.contains("\"a\" and \"b\" have the same address"), "{warned}");
}
