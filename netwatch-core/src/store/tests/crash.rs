//! Killed, full, failing: what was acknowledged is there, nothing is half there, and it goes on by itself.
//!
//! The tests run themselves again as a child process, told by an environment variable, where a process must die or
//! live under limits of its own.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::Connection;

use super::{database, loaded, nth, open, whole};
use crate::journal::Journal;
use crate::model::{Change, Commit, SavedNotifier};

const CHILD_DIR: &str = "NETWATCH_STORE_TEST_DIR";

pub(super) fn child_dir() -> Option<PathBuf> {
    std::env::var_os(CHILD_DIR).map(PathBuf::from)
}

/// The command that runs a test of a module as a child working in `dir`; `wrapper` is put before it.
pub(super) fn child(wrapper: &[&str], module: &str, test: &str, dir: &Path) -> Command {
    let this = std::env::current_exe().unwrap();
    let path = format!("{}::{test}", module.split_once("::").unwrap().1);
    let mut words = wrapper.iter().map(Into::into).chain([this.into_os_string()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", &path, "--nocapture"]).env(CHILD_DIR, dir);
    command
}

pub(super) fn assert_child_passed(mut command: Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complained}");
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_nothing_is_half_there() {
    if let Some(dir) = child_dir() {
        let mut journal = open(&dir);
        let first = whole(&journal.load().unwrap()).unwrap() + 1;
        for n in first.. {
            journal.commit(&nth(n)).unwrap();
            println!("acknowledged {n}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut reached = 0;
    for round in 0..20_usize {
        let mut command =
            child(&[], module_path!(), "what_was_acknowledged_survives_a_kill_and_nothing_is_half_there", dir.path());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut acknowledgements = 0;
        let mut last = reached;
        for line in lines {
            let Some(n) = line.unwrap().strip_prefix("acknowledged ").map(|n| n.parse().unwrap()) else { continue };
            last = n;
            acknowledgements += 1;
            if acknowledgements == 1 + round * 3 {
                process.kill().unwrap();
            }
        }
        process.wait().unwrap();
        let there = whole(&loaded(dir.path())).expect("a whole number of commits");
        assert!(there == last || there == last + 1, "{last} were acknowledged, {there} are there");
        assert!(there > reached, "no progress in round {round}");
        reached = there;
    }
}

#[test]
fn a_full_disk_fails_commits_until_there_is_room() {
    let Some(dir) = child_dir() else {
        let dir = tempfile::tempdir().unwrap();
        let mount = "mount -t tmpfs -o size=1m,mode=0700 netwatch-test \"$0\" && exec \"$@\"";
        let place = dir.path().to_str().unwrap();
        let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, place];
        return assert_child_passed(child(
            &wrapper,
            module_path!(),
            "a_full_disk_fails_commits_until_there_is_room",
            dir.path(),
        ));
    };
    let mut journal = open(&dir);
    let mut acknowledged = 0;
    for round in 0..3 {
        fill(&dir.join("ballast"));
        let error = loop {
            match journal.commit(&nth(acknowledged + 1)) {
                Ok(()) => acknowledged += 1,
                Err(error) => break error,
            }
            assert!(acknowledged < 10_000, "the disk is not full");
        };
        assert!(error.to_string().contains("make room"), "{error}");
        assert!(journal.commit(&nth(acknowledged + 1)).is_err(), "still full");
        assert_eq!(whole(&journal.load().unwrap()), Some(acknowledged), "round {round}");
        fs::remove_file(dir.join("ballast")).unwrap();
        acknowledged += 1;
        journal.commit(&nth(acknowledged)).unwrap();
    }
    drop(journal);
    assert_eq!(whole(&loaded(&dir)), Some(acknowledged));
}

/// Writes until the disk is full to the last byte.
pub(super) fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    for size in [4096, 1] {
        loop {
            match file.write(&vec![b'x'; size]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn after_an_io_error_the_file_is_opened_anew_and_nothing_is_lost() {
    let Some(dir) = child_dir() else {
        let dir = tempfile::tempdir().unwrap();
        // Over the limit on a file's size write(2) fails with EFBIG once the signal is ignored: setrlimit(2).
        let wrapper = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
        let test = "after_an_io_error_the_file_is_opened_anew_and_nothing_is_lost";
        return assert_child_passed(child(&wrapper, module_path!(), test, dir.path()));
    };
    let mut journal = open(&dir);
    (1..=5).for_each(|n| journal.commit(&nth(n)).unwrap());
    limit_file_size("8192");
    let error = journal.commit(&nth(6)).unwrap_err();
    assert!(error.to_string().contains("I/O error"), "{error}");
    limit_file_size("unlimited");
    journal.commit(&nth(6)).unwrap();
    assert_eq!(whole(&journal.load().unwrap()), Some(6));
    drop(journal);
    assert_eq!(whole(&loaded(&dir)), Some(6));
}

fn limit_file_size(bytes: &str) {
    let pid = std::process::id().to_string();
    let limit = format!("--fsize={bytes}:unlimited");
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
}

#[test]
fn a_disk_that_forgot_what_it_acknowledged_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    open(dir.path()).commit(&nth(1)).unwrap();
    let old = fs::read(&path).unwrap();
    let mut journal = open(dir.path());
    journal.commit(&nth(2)).unwrap();
    let refuse = "CREATE TRIGGER t BEFORE INSERT ON notifiers BEGIN SELECT RAISE(ABORT, 'no'); END";
    Connection::open(&path).unwrap().execute_batch(refuse).unwrap();
    let refused = Commit::new(3, vec![Change::PutNotifier(SavedNotifier::new("noc", None))]);
    journal.commit(&refused).unwrap_err();
    let new = fs::read(&path).unwrap();

    fs::write(&path, old).unwrap();
    let error = journal.commit(&nth(3)).unwrap_err();
    assert!(error.to_string().contains("kept 1 commits where 2 were acknowledged"), "{error}");
    fs::remove_file(&path).unwrap();
    journal.commit(&nth(3)).unwrap_err();
    assert!(!path.exists(), "a file that vanished is not replaced by an empty one");
    fs::write(&path, b"").unwrap();
    journal.commit(&nth(3)).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), b"", "nor is an emptied one filled");

    fs::write(&path, new).unwrap();
    journal.commit(&nth(3)).unwrap();
    assert_eq!(whole(&journal.load().unwrap()), Some(3));
}

#[test]
fn after_an_error_no_commit_depends_on_the_old_log() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut journal = open(dir.path());
    journal.commit(&nth(1)).unwrap();
    // Another program that has the file open keeps SQLite from emptying the log when the journal's connection ends.
    let other = Connection::open(database(dir.path())).unwrap();
    other.execute_batch("CREATE TRIGGER t BEFORE INSERT ON notifiers BEGIN SELECT RAISE(ABORT, 'no'); END").unwrap();
    let refused = Commit::new(2, vec![Change::PutNotifier(SavedNotifier::new("noc", None))]);
    journal.commit(&refused).unwrap_err();
    journal.commit(&nth(2)).unwrap();
    fs::copy(database(dir.path()), database(copy.path())).unwrap();
    assert_eq!(whole(&loaded(copy.path())), Some(1), "the file alone holds what was acknowledged before the error");
}

#[test]
fn a_lock_held_by_another_program_fails_the_commit_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    let other = Connection::open(database(dir.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = journal.commit(&nth(1)).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    journal.commit(&nth(1)).unwrap();
    assert_eq!(whole(&journal.load().unwrap()), Some(1));
}
