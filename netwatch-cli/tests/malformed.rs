//! Whoever writes a wrong configuration is told what, where and what to write instead, all at once; and nothing is
//! started. Driven through the real program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs the program in an empty directory of its own, with nothing of this process's environment that it would read.
fn netwatch(arguments: &[&str], empty: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netwatch"))
        .args(arguments)
        .current_dir(empty)
        .env_clear()
        .env("HOME", empty)
        .env("TZ", "UTC")
        .output()
        .unwrap()
}

fn bad(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad").join(name)
}

/// What `run` says to this file, after asserting that it did nothing else.
fn refusal(name: &str) -> String {
    let empty = tempfile::tempdir().unwrap();
    let file = bad(name);
    let data = empty.path().join("data");
    let output =
        netwatch(&["--config", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap(), "run"], empty.path());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty(), "nothing was started, so nothing is announced");
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "nothing was created");
    assert!(!said.contains('\u{1b}'), "no colours where nobody sees them");
    let checked = netwatch(&["check", "--config", file.to_str().unwrap()], empty.path());
    assert_eq!(checked.status.code(), Some(2), "check refuses what run refuses");
    said.replace(bad("").to_str().unwrap(), "")
}

macro_rules! refused {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                insta::assert_snapshot!(refusal(concat!(stringify!($name), ".toml")));
            }
        )*
    };
}

refused! {
    syntax unknown_keys durations does_not_fit addresses names figures mail not_yet bulk router_rate parents
    maintenance telling heartbeat webhooks commands syslog
}

#[test]
fn a_secret_in_the_file_is_not_shown() {
    for file in ["mail.toml", "webhooks.toml"] {
        assert!(!refusal(file).contains("hunter2"), "{file}");
    }
    assert!(!refusal("heartbeat.toml").contains("canary"));
}

#[test]
fn a_template_or_a_program_that_is_broken_is_refused_by_check_and_does_not_keep_netwatch_from_watching() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[[target]]\nname = \"a\"\naddress = \"127.0.0.1\"\n[[notifier]]\nname = \"chat\"\nkind = \"webhook\"\nurl = \"https://h.example/hunter2\"\nbody_file = \"body.json\"\n[[notifier]]\nname = \"sms\"\nkind = \"exec\"\ncommand = [\"/nowhere/sms\"]\n[http]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(dir.path().join("netwatch.toml"), config).unwrap();
    std::fs::write(dir.path().join("body.json"), "{\"text\": {{ sujet }}}").unwrap();
    let checked = netwatch(&["check", "--config", "netwatch.toml"], dir.path());
    let said = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(2), "{said}");
    assert!(said.contains("error: the template is broken: line 1: undefined"), "{said}");
    assert!(said.contains("error: cannot start /nowhere/sms") && said.contains("netwatch.toml:8:13"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    // A data directory that cannot be ends it after the configuration was taken.
    let started = netwatch(&["run", "--config", "netwatch.toml", "--data-dir", "/proc/netwatch"], dir.path());
    let said = String::from_utf8(started.stderr).unwrap();
    assert!(said.contains("warning: the template is broken") && said.contains("warning: cannot start"), "{said}");
    assert_eq!(started.status.code(), Some(1), "the configuration is not what is wrong: {said}");
}

#[test]
fn a_template_of_the_mails_that_is_broken_is_shown_where_and_does_not_keep_netwatch_from_watching() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        "templates = \"words\"\n[[target]]\nname = \"a\"\naddress = \"127.0.0.1\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(dir.path().join("netwatch.toml"), config).unwrap();
    let checked = || {
        let output = netwatch(&["check", "--config", "netwatch.toml"], dir.path());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = checked();
    assert!(code == Some(2) && said.contains("cannot read the directory words"), "{said}");
    std::fs::create_dir(dir.path().join("words")).unwrap();
    let (code, said) = checked();
    assert!(code == Some(2) && said.contains("there is no template in words"), "{said}");
    let write = |name: &str, text: &[u8]| std::fs::write(dir.path().join("words").join(name), text).unwrap();
    write("subject.txt", b"[NOC] {{ builtin.subject }}\n");
    let (code, said) = checked();
    assert_eq!((code, said.as_str()), (Some(0), ""));
    write("mail.txt", b"guardia: 021 555\n\n{% if standing %}{{ standing.opened }}{% endif %}\n");
    write("mail.html", b"<p>\n{{ sujet }\n");
    let (code, said) = checked();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("error: the template for the text of mails is broken: undefined"), "{said}");
    assert!(said.contains("words/mail.txt:3:1") && said.contains("standing.opened"), "{said}");
    assert!(said.contains("error: the template for the html of mails is broken: syntax error"), "{said}");
    assert!(said.contains("words/mail.html:2:1"), "{said}");
    write("mail.html", b"espa\xf1ol\n");
    let (_, said) = checked();
    assert!(said.contains("words/mail.html cannot be used: it is not UTF-8"), "{said}");
    // A data directory that cannot be ends it after the configuration was taken.
    let started = netwatch(&["run", "--config", "netwatch.toml", "--data-dir", "/proc/netwatch"], dir.path());
    let said = String::from_utf8(started.stderr).unwrap();
    assert!(said.contains("warning: the template for the text of mails is broken"), "{said}");
    assert!(said.contains("the built-in words are used instead"), "{said}");
    assert_eq!(started.status.code(), Some(1), "the configuration is not what is wrong: {said}");
}

/// What `check` says to this configuration, which stands beside this `devices.csv`, and its exit status.
fn check(toml: &[u8], csv: &[u8]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("netwatch.toml"), toml).unwrap();
    std::fs::write(dir.path().join("devices.csv"), csv).unwrap();
    let output = netwatch(&["check", "--config", "netwatch.toml"], dir.path());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_list_without_a_target_is_refused_and_named() {
    let from = b"[[targets_from]]\nfile = \"devices.csv\"\n".as_slice();
    for csv in [b"name,address\n".as_slice(), b"name,address\n# core-1,10.0.0.1\n\n"] {
        let (code, said) = check(from, csv);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("error: devices.csv names no target") && said.contains("netwatch.toml:2:8"), "{said}");
        let (code, said) = check(&[from, b"[[target]]\nname = \"a\"\naddress = \"10.0.0.1\"\n"].concat(), csv);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("warning: devices.csv names no target"), "{said}");
    }
    for toml in ["", "target = []", "target = []\ntargets_from = []", "locale = \"es\""] {
        let (code, said) = check(toml.as_bytes(), b"");
        assert_eq!(code, Some(2), "{toml:?}");
        assert!(said.contains("there is no target"), "{said}");
    }
}

#[test]
fn a_file_that_is_not_utf8_is_shown_where_and_told_how_to_be_saved() {
    let from = b"[[targets_from]]\nfile = \"devices.csv\"\n";
    for (toml, place) in
        [(b"locale = \"es\" # espa\xf1ol\n".as_slice(), "netwatch.toml:1:21"), (from, "devices.csv:2:6")]
    {
        let (code, said) = check(toml, b"name;address\ncabal\xf1a;10.0.0.1\n");
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(place) && said.contains("save the file as UTF-8"), "{said}");
        assert!(said.contains("has 1 error;"), "{said}");
    }
}

#[test]
fn a_row_is_shown_where_it_stands_behind_comments_blank_lines_and_cells_of_several_lines() {
    let from = b"[[targets_from]]\nfile = \"devices.csv\"\n";
    let csv = "\u{feff}# ours\n\nname;address;note\r\na;10.0.0.1;\"two\nlines\"\n\n# more\nb;10.0.0.1;\nb;nö;\"\"\n";
    let (code, said) = check(from, csv.as_bytes());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("devices.csv:8:3") && said.contains("also at devices.csv:4"), "{said}");
    assert!(said.contains("devices.csv:9:1") && said.contains("the first is at devices.csv:8"), "{said}");
    assert!(said.contains("devices.csv:9:3") && said.contains("neither an address nor a name"), "{said}");
}

#[test]
fn a_directory_or_an_endless_file_is_said_to_be_one() {
    let empty = tempfile::tempdir().unwrap();
    for (file, why) in [(".", "is a directory"), ("/dev/zero", "not a regular file")] {
        let output = netwatch(&["check", "--config", file], empty.path());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
        let (code, said) = check(format!("[[targets_from]]\nfile = {file:?}\n").as_bytes(), b"");
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(why) && said.contains("netwatch.toml:2:8"), "{said}");
    }
}

#[test]
fn a_column_of_a_later_version_is_told_of_once_and_only_if_it_asks_for_something() {
    let from = b"[[targets_from]]\nfile = \"devices.csv\"\n";
    let (code, said) = check(from, b"name,address,tags,probes\na,10.0.0.1,,\nb,10.0.0.2,,\n");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let (code, said) = check(from, b"name,address,tags,probes\na,10.0.0.1,,tcp\nb,10.0.0.2,,tcp\n");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("devices.csv:1:19") && said.contains("has 1 error;"), "{said}");
}

#[test]
fn a_name_that_may_stand_in_a_lost_row_is_not_called_unknown() {
    let toml = "[[target]]\nname = \"a\"\naddress = \"10.0.0.1\"\nparents = [\"b\"]\n[[targets_from]]\nfile = \"devices.csv\"\n";
    let (code, said) = check(toml.as_bytes(), b"name,address\nb,10.0.0.2,10.0.0.3\n");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("this line has 3 cells") && said.contains("has 1 error;"), "{said}");
    let (_, said) = check(toml.as_bytes(), b"name,address\nc,10.0.0.2\n");
    assert!(said.contains("there is no target \"b\"") && said.contains("has 1 error;"), "{said}");
}

#[test]
fn a_hundred_thousand_targets_behind_each_other_are_refused_if_the_last_is_behind_the_first() {
    let from = b"[[targets_from]]\nfile = \"devices.csv\"\n";
    let row = |number: u32, parent: u32| {
        format!("t{number},10.{}.{}.{},t{parent}\n", number >> 16, (number >> 8) & 255, number & 255)
    };
    let chain: String = (1..100_000).map(|number| row(number, number - 1)).collect();
    let (code, said) = check(from, format!("name,address,parents\nt0,10.0.0.0,\n{chain}").as_bytes());
    assert_eq!((code, said.contains("error") || said.contains("warning")), (Some(0), false), "{said}");
    let (code, said) = check(from, format!("name,address,parents\n{}{chain}", row(0, 99_999)).as_bytes());
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("\"t0\" is reached through itself: t0 -> t99999 -> ") && said.contains(" more) -> t0"),
        "{said}"
    );
    assert!(said.contains("devices.csv:2:") && said.contains("has 1 error;"), "{said}");
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    let empty = tempfile::tempdir().unwrap();
    for command in ["run", "check", "status"] {
        let output = netwatch(&[command, "--config", "/nowhere/netwatch.toml"], empty.path());
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains("/nowhere/netwatch.toml"));
    }
}

#[test]
fn wrong_usage_is_told_apart_from_something_wrong() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(netwatch(&["frobnicate"], empty.path()).status.code(), Some(2));
    assert_eq!(netwatch(&["ping"], empty.path()).status.code(), Some(2));
    assert_eq!(netwatch(&["--version"], empty.path()).status.code(), Some(0));
    assert_eq!(netwatch(&["status", "--help"], empty.path()).status.code(), Some(0));
}

#[test]
fn status_without_a_daemon_says_so() {
    let empty = tempfile::tempdir().unwrap();
    let output = netwatch(&["status"], empty.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("netwatch does not seem to run"));
}
