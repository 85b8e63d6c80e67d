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
        "\u{feff}name;address;family;group;tags;customers;paused;warn_loss;parents;critical\r\nolt-9;olt-9.example.net;6;OLT;norte;12;true;20%;\"core-1;core-2\";true\r\n",
    );
    let password = write(dir.path(), "password", "hunter2\n");
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let heartbeat = write(dir.path(), "heartbeat", "http://192.0.2.9/alive\n");
    std::fs::set_permissions(&heartbeat, std::fs::Permissions::from_mode(0o600)).unwrap();
    let address = write(dir.path(), "address", "https://api.telegram.org/bot1:hunter2/sendMessage\n");
    std::fs::set_permissions(&address, std::fs::Permissions::from_mode(0o600)).unwrap();
    write(dir.path(), "body.json", "{\"text\": {{ subject }}, \"lines\": {{ lines }}}");
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
        tolerance = "2m"
        router_rate = 2
        parents = ["core-1"]
        tags = ["sur"]
        critical = false
        [[target]]
        name = "core-1"
        address = "192.0.2.1"
        [[target]]
        name = "core-2"
        address = "192.0.2.2"
        [[target]]
        name = "olt-1"
        address = "fe80::1%eth0"
        group = "OLT"
        tags = ["centro"]
        customers = 480
        note = "llave en portería; ANDE 021 160"
        paused = false
        critical = true
        parents = ["core-1", "core-2"]
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
        hours = "22:00-07:00"
        reminder = "6h"
        summary = "07:00"
        groups = ["OLT"]
        targets = ["core-1", "olt-9"]
        tags = ["norte", "sur"]
        escalate_to = "files"
        escalate_after = "45m"
        budget = "target"
        recovery = true
        attempt_timeout = "30s"
        [[notifier]]
        name = "files"
        kind = "file"
        [[notifier]]
        name = "chat"
        kind = "webhook"
        url_env = "SLACK_URL"
        format = "slack"
        attempt_timeout = "20s"
        hours = "07:00-22:00"
        [[notifier]]
        name = "telegram"
        kind = "webhook"
        url_file = "address"
        format = "telegram"
        chat_id = "-1001234567890"
        [[notifier]]
        name = "teams"
        kind = "webhook"
        url = "https://teams.example.net/workflows/1"
        format = "teams"
        [[notifier]]
        name = "push"
        kind = "webhook"
        url = "https://ntfy.example.net/noc"
        format = "ntfy"
        token_env = "NTFY_TOKEN"
        [[notifier]]
        name = "pager"
        kind = "webhook"
        url = "https://events.pagerduty.com/v2/enqueue"
        format = "pagerduty"
        routing_key_env = "PAGERDUTY_KEY"
        [[notifier]]
        name = "ours"
        kind = "webhook"
        url = "http://192.0.2.9:9000/netwatch"
        allow_insecure = true
        format = "json"
        body_file = "body.json"
        [[notifier]]
        name = "sms"
        kind = "exec"
        command = ["/bin/sh", "-c", "true"]
        attempt_timeout = "10s"
        [[notifier]]
        name = "logs"
        kind = "syslog"
        server = "192.0.2.14"
        port = 1514
        transport = "tls"
        facility = "local7"
        [http]
        listen = "[::1]:8080"
        allow_insecure = false
        [[maintenance]]
        group = "OLT"
        weekly = "sat,sun 23:00-04:00"
        reason = "actualización"
        [[maintenance]]
        targets = ["olt-9"]
        tags = ["norte"]
        daily = "02:00-04:00"
        [[maintenance]]
        tags = ["sur"]
        from = "2026-12-01T02:00:00-03:00"
        to = 2026-12-01T09:00:00Z
        [self]
        witnesses = ["192.0.2.254", "core-1", "ns.example.net"]
        heartbeat_url_file = "heartbeat"
        heartbeat_interval = "2m"
        heartbeat_allow_insecure = true
        "#,
    );
    let secrets = [
        ("SLACK_URL", "https://hooks.slack.com/services/hunter2"),
        ("NTFY_TOKEN", "hunter2"),
        ("PAGERDUTY_KEY", "hunter2"),
    ];
    let (code, said, warned) = check(&file, &secrets);
    assert_eq!((code, warned.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("4 targets, 1 group, 10 notifiers"), "{said}");
    let (code, _, warned) = check(&file, &[]);
    assert_eq!(code, Some(0), "a secret may be readable elsewhere: {warned}");
    assert!(warned.matches("is not set").count() == 3 && warned.contains("the routing key should be here"), "{warned}");
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, warned) = check(&file, &secrets);
    assert_eq!(code, Some(0));
    assert!(warned.contains("others can read the password file") && !warned.contains("hunter2"), "{warned}");
}

#[test]
fn the_whole_example_of_the_product_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "devices.csv", "name,address,group,parents,tags,critical\ncore-1,10.0.0.1,,,,true\n");
    let text = r#"
        locale = "es"
        time_zone = "America/Asuncion"
        data_dir = "/var/lib/netwatch"
        [defaults]
        interval = "10s"
        [[group]]
        name = "DSLAM"
        tolerance = "2m"
        router_rate = 50
        [[target]]
        name = "dslam-centro"
        address = "192.168.10.2"
        group = "DSLAM"
        parents = ["core-1"]
        tags = ["centro"]
        customers = 480
        note = "llave en portería; ANDE 021 160"
        critical = false
        paused = false
        probe = "icmp"
        [[targets_from]]
        file = "devices.csv"
        [[notifier]]
        name = "noc"
        kind = "smtp"
        server = "smtp.gmail.com"
        port = 587
        security = "starttls"
        username = "noc@example.net"
        password_env = "SMTP_PASSWORD"
        from = "netwatch <noc@example.net>"
        to = ["turno@example.net"]
        min_interval = "1h"
        [[maintenance]]
        group = "DSLAM"
        weekly = "sun 02:00-04:00"
        [self]
        witnesses = ["gateway"]
        heartbeat_url = "https://hc.example.net/alive"
        [http]
        listen = "127.0.0.1:8080"
        "#;
    let (code, said, warned) = check(&write(dir.path(), "netwatch.toml", text), &[("SMTP_PASSWORD", "hunter2")]);
    assert_eq!(code, Some(0), "{warned}");
    assert!(said.contains("2 targets, 1 group, 1 notifier"), "{said}");
    assert!(warned.is_empty() || warned.contains("this machine has no default gateway"), "{warned}");
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

#[test]
fn the_setup_of_a_provider_is_accepted() {
    let isp = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/isp.toml");
    let password = [("SMTP_PASSWORD", "hunter2")];
    let (code, said, warned) = check(&isp, &password);
    assert_eq!(code, Some(0), "{warned}");
    // A machine without a default gateway is told that this witness is missing.
    assert!(warned.is_empty() || warned.contains("this machine has no default gateway"), "{warned}");
    assert!(said.contains("is fine"), "{said}");
}

/// What `check` warns of in this configuration, which it accepts.
fn doubts(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (code, said, warned) = check(&write(dir.path(), "netwatch.toml", text), &[]);
    assert_eq!(code, Some(0), "{warned}");
    assert_eq!(said.contains("warning"), !warned.is_empty(), "{said}");
    warned.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn what_works_but_is_hardly_meant_is_shown_where_it_can_be_changed() {
    let warned = doubts(
        r#"
        [[group]]
        name = "OLT"
        parents = ["slow"]
        [[target]]
        name = "slow"
        address = "192.0.2.1"
        interval = "5m"
        [[target]]
        name = "olt-1"
        address = "192.0.2.2"
        group = "OLT"
        tolerance = "5m"
        [[target]]
        name = "olt-2"
        address = "192.0.2.3"
        group = "OLT"
        [[target]]
        name = "mail"
        address = "192.0.2.25"
        parents = ["olt-1", "olt-2"]
        tolerance = "5s"
        [[target]]
        name = "far"
        address = "198.51.100.1"
        warn_rtt = "3s"
        [[notifier]]
        name = "noc"
        kind = "smtp"
        server = "192.0.2.25"
        from = "noc@example.net"
        to = ["turno@example.net"]
        [[notifier]]
        name = "files"
        kind = "file"
        escalate_after = "1h"
        "#,
    );
    insta::assert_snapshot!(warned);
}

#[test]
fn what_is_as_it_should_be_raises_no_doubt() {
    let text = r#"
        [[group]]
        name = "OLT"
        parents = ["agg-1", "agg-2"]
        [[target]]
        name = "agg-1"
        address = "192.0.2.1"
        group = "OLT"
        [[target]]
        name = "agg-2"
        address = "192.0.2.2"
        group = "OLT"
        [[target]]
        name = "olt-1"
        address = "192.0.2.3"
        group = "OLT"
        [[target]]
        name = "alone"
        address = "192.0.2.4"
        group = "OLT"
        parents = []
        [[target]]
        name = "mail"
        address = "192.0.2.25"
        [[notifier]]
        name = "noc"
        kind = "smtp"
        server = "192.0.2.25"
        from = "noc@example.net"
        to = ["turno@example.net"]
        escalate_to = "files"
        [[notifier]]
        name = "files"
        kind = "file"
        "#;
    assert_eq!(doubts(text), "");
}

/// What `check` says of this `[self]`, with `$HEARTBEAT` set to this: its exit status and its complaints.
fn heartbeat(own: &str, variable: &str) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("[[target]]\nname = \"a\"\naddress = \"192.0.2.1\"\n[self]\n{own}\n");
    let (code, _, said) = check(&write(dir.path(), "netwatch.toml", &text), &[("HEARTBEAT", variable)]);
    (code, said)
}

#[test]
fn a_heartbeat_goes_out_in_the_clear_only_where_nobody_can_read_it_or_somebody_says_so() {
    for fine in [
        "heartbeat_url = \"https://hc.example.net/s3cret\"",
        "heartbeat_url = \"http://127.0.0.1:8000/s3cret\"",
        "heartbeat_url = \"http://[::1]/s3cret\"",
        "heartbeat_url = \"http://localhost/s3cret\"",
        "heartbeat_url = \"http://192.0.2.9/s3cret\"\nheartbeat_allow_insecure = true",
        "heartbeat_url_env = \"HEARTBEAT\"",
    ] {
        assert_eq!(heartbeat(fine, "https://hc.example.net/s3cret\n"), (Some(0), String::new()), "{fine}");
    }
    for (own, says) in [
        ("heartbeat_url = \"http://192.0.2.9/s3cret\"", "in the clear"),
        ("heartbeat_url = \"http://localhost.example.net/s3cret\"", "in the clear"),
        ("heartbeat_url = \"http://192.0.2.9/s3cret\"\nheartbeat_allow_insecure = false", "in the clear"),
        ("heartbeat_url = \"ftp://192.0.2.9/s3cret\"", "only be http or https"),
        ("heartbeat_url = \"https://me:s3cret@192.0.2.9/\"", "no login"),
        ("heartbeat_url = \"/s3cret\"", "not an address to call"),
        ("heartbeat_url = \"https:///s3cret\"", "not an address to call"),
        ("heartbeat_url_env = \"HEARTBEAT\"", "not an address to call"),
        ("heartbeat_url_file = \"gone\"", "cannot read"),
        ("heartbeat_interval = \"1m\"", "no heartbeat that this is about"),
        ("heartbeat_url = \"https://a.example/s3cret\"\nheartbeat_url_env = \"HEARTBEAT\"", "named twice"),
    ] {
        let (code, said) = heartbeat(own, "s3cret s3cret");
        assert!(code == Some(2) && said.contains(says), "{own}: {said}");
        assert!(!said.contains("s3cret") || says == "named twice", "{own}: {said}");
    }
}

/// The text of the fenced blocks of this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    text.split(&begin).skip(1).filter_map(|rest| Some(rest.split("```").next()?.to_owned())).collect()
}

#[test]
fn the_examples_of_the_manual_for_webhooks_commands_and_log_servers_are_accepted() {
    let manual = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/OPERATIONS.md")).unwrap();
    let section = manual.split("## Webhooks, commands and log servers").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().to_str().unwrap();
    let private = |name: &str, text: &str| {
        let path = write(dir.path(), name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    private("slack-url", "https://hooks.slack.com/services/T0/B0/hunter2\n");
    private("telegram-url", "https://api.telegram.org/bot1:hunter2/sendMessage\n");
    private("teams-url", "https://teams.example.net/workflows/hunter2\n");
    private("ntfy-token", "tk_hunter2\n");
    private("pagerduty-key", "hunter2\n");
    let template = blocks(section, "text").remove(0);
    assert!(template.contains("{{ subject }}"), "{template}");
    private("body.json", &template);
    let script = write(dir.path(), "send-sms", &blocks(section, "sh").remove(0));
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let toml = blocks(section, "toml").concat().replace("/etc/netwatch", here).replace("/usr/local/bin", here);
    let (without_ca, ca): (Vec<&str>, Vec<&str>) = toml.lines().partition(|line| !line.starts_with("ca_file"));
    assert_eq!(ca.len(), 1, "an authority of one's own is an example");
    let text = format!("[[target]]\nname = \"a\"\naddress = \"192.0.2.1\"\n{}\n", without_ca.join("\n"));
    let (code, said, warned) = check(&write(dir.path(), "netwatch.toml", &text), &[]);
    assert_eq!((code, warned.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("8 notifiers"), "{said}");
}

#[test]
fn the_templates_of_the_package_and_of_the_manual_are_accepted() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manual = std::fs::read_to_string(here.join("../docs/OPERATIONS.md")).unwrap();
    let section = manual.split("### Mails in your own words").nth(1).unwrap().split("\n## ").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("own");
    std::fs::create_dir(&own).unwrap();
    write(&own, "mail.txt", &blocks(section, "text").remove(0));
    let of_the_manual = blocks(section, "toml").concat().replace("/etc/netwatch/templates", own.to_str().unwrap());
    let of_the_package = format!("templates = {:?}\n", here.join("packaging/templates"));
    for templates in [of_the_manual, of_the_package] {
        let text = format!("{templates}[[target]]\nname = \"a\"\naddress = \"192.0.2.1\"\n");
        let (code, said, warned) = check(&write(dir.path(), "netwatch.toml", &text), &[]);
        assert_eq!((code, warned.as_str()), (Some(0), ""), "{said}");
    }
}
