//! A command does not inherit what netwatch may do: under systemd the right to open raw sockets is ambient, and what is
//! ambient goes on to every program that is started. It needs root, to have something to lose.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::process::Command;

use netwatch_core::{Content, ExecConfig, ExecNotifier, MailId, Notification, Notifier, Wall};
use rustix::thread::{CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities};

#[tokio::test]
async fn what_is_ambient_is_not_passed_on() {
    // Of this thread alone, from which the notifier's own comes.
    let mut sets = capabilities(None).unwrap();
    sets.inheritable |= CapabilitySet::NET_RAW;
    set_capabilities(None, sets).expect("this test needs root");
    configure_capability_in_ambient_set(CapabilitySet::NET_RAW, true).expect("this test needs root");

    let directory = tempfile::tempdir().unwrap();
    let script = format!("grep CapAmb /proc/self/status >{}/ambient", directory.path().display());
    let command: Vec<String> = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    let ambient = || std::fs::read_to_string(directory.path().join("ambient")).unwrap().trim().to_owned();

    assert!(Command::new(&command[0]).args(&command[1..]).status().unwrap().success());
    assert_eq!(ambient(), "CapAmb:\t0000000000002000", "there is something to lose");

    let notification = Notification::new(MailId::new(1), "<1@x>", Wall::default(), Content::new("a", "b", ""));
    ExecNotifier::new(ExecConfig::new(command)).unwrap().deliver(&notification).await.unwrap();
    assert_eq!(ambient(), "CapAmb:\t0000000000000000");
    let kept = capabilities(None).unwrap();
    assert!(kept.effective.contains(CapabilitySet::NET_RAW), "netwatch itself keeps it");
}
