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

refused! { syntax unknown_keys durations does_not_fit addresses names figures mail not_yet bulk }

#[test]
fn a_password_in_the_file_is_not_shown() {
    assert!(!refusal("mail.toml").contains("hunter2"));
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
