//! For every rule a source that breaks it, and one that only seems to.

use super::{Root, check_lock, check_name, check_source, check_top_level};

const LIB: &str = "//! x\nmod icmp; mod journal; mod logic; mod model; mod notify; mod probe; mod runtime; mod sink; mod store;\n\
                   pub use async_trait::async_trait;\npub use model::{Sample, Status};\npub use probe::{Check, Probe};\n\
                   pub use runtime::Netwatch;\n";

/// The lines of the findings for this source, without its `//!` line.
fn lines(file: &str, body: &str) -> Vec<usize> {
    let text = format!("//! Why.\n{body}");
    check_source(file, &text, &Root::read(LIB)).into_iter().map(|finding| finding.line).collect()
}

#[track_caller]
fn caught(file: &str, body: &str, line: usize) {
    assert_eq!(lines(file, body), [line], "{file}: {body}");
}

#[track_caller]
fn fine(file: &str, body: &str) {
    let found = check_source(file, &format!("//! Why.\n{body}"), &Root::read(LIB));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_step_uphill_is_caught() {
    caught("netwatch-core/src/model/a.rs", "use crate::logic::Monitor;", 2);
    caught("netwatch-core/src/model/mod.rs", "use super::probe::Probe;", 2);
    caught("netwatch-core/src/logic/a.rs", "\nuse super::super::probe::Check;", 3);
    caught("netwatch-core/src/logic/a.rs", "use crate::{model::Sample,\n runtime::Netwatch};", 3);
    caught("netwatch-core/src/logic/a.rs", "use crate::icmp::wire;", 2);
    caught("netwatch-core/src/icmp/a.rs", "use crate::logic::Verdict;", 2);
    caught("netwatch-core/src/icmp/a.rs", "fn f() { crate::runtime::now(); }", 2);
    caught("netwatch-core/src/probe.rs", "use crate::sink::StatusSink;", 2);
    caught("netwatch-core/src/probe.rs", "use super::logic::Verdict;", 2);
    caught("netwatch-core/src/sink.rs", "fn f(_: crate::journal::Journal) {}", 2);
    caught("netwatch-core/src/store/a.rs", "use crate::runtime::Netwatch;", 2);
    caught("netwatch-core/src/store/a.rs", "mod b { use super::super::super::icmp::X; }", 2);
    caught("netwatch-core/src/runtime/a.rs", "use crate::testing::SimProbe;", 2);
}

#[test]
fn a_step_uphill_through_the_crates_root_is_caught() {
    caught("netwatch-core/src/logic/a.rs", "use crate::Check;", 2);
    caught("netwatch-core/src/logic/a.rs", "use crate::{Status, Netwatch};", 2);
    caught("netwatch-core/src/logic/a.rs", "use crate::*;", 2);
    caught("netwatch-core/src/logic/mod.rs", "use super::*;", 2);
    fine("netwatch-core/src/logic/a.rs", "use crate::Status;");
}

#[test]
fn a_step_downhill_is_fine() {
    fine("netwatch-core/src/model/a.rs", "use super::time::Now;\npub(crate) fn f(_: crate::model::Mono) {}");
    fine("netwatch-core/src/logic/a.rs", "use crate::model::Sample;\nuse super::verdict::Verdict;");
    fine(
        "netwatch-core/src/logic/a.rs",
        "/// See [`Netwatch`](crate::runtime::Netwatch).\nfn f() {} // crate::icmp::X",
    );
    fine(
        "netwatch-core/src/icmp/a.rs",
        "use crate::probe::Probe;\nuse super::wire;\nconst S: &str = \"crate::logic::X\";",
    );
    fine("netwatch-core/src/store/a.rs", "use crate::journal::Journal;\nuse crate::logic::Verdict;");
    fine("netwatch-core/src/runtime/a.rs", "use crate::logic::Monitor;\nuse crate::{Check, store::S};");
}

#[test]
fn tests_may_look_uphill_but_only_tests() {
    fine(
        "netwatch-core/src/logic/a.rs",
        "#[cfg(test)]\n#[allow(unused)]\nmod tests {\n use crate::runtime::Netwatch; }",
    );
    fine("netwatch-core/src/logic/a/tests.rs", "use crate::runtime::Netwatch;");
    caught("netwatch-core/src/logic/a.rs", "#[cfg(test)]\nmod tests;\nuse crate::runtime::Netwatch;", 4);
    caught("netwatch-core/src/logic/a.rs", "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::runtime::Netwatch;", 4);
    caught("netwatch-core/src/logic/a.rs", "#[cfg(not(test))]\nuse crate::runtime::Netwatch;", 3);
}

#[test]
fn our_crates_do_not_know_what_stands_above_them() {
    caught("netwatch-core/src/lib.rs", "use netwatch_http::Dashboard;", 2);
    caught("netwatch-http/src/lib.rs", "use netwatch_cli::Config;", 2);
    caught("netwatch-cli/src/main.rs", "use netwatch_tests::lab;", 2);
    caught("examples/a.rs", "fn f() { netwatch_cli::main() }", 2);
    fine("netwatch-cli/src/main.rs", "use netwatch_http::Dashboard;");
}

#[test]
fn the_pure_half_has_no_clock_no_network_no_disk_and_no_dice() {
    for (body, line) in [
        ("use std::time::Instant;", 2),
        ("use std::time::{Duration,\n Instant};", 3),
        ("fn f() { let _ = std::time::SystemTime::now(); }", 2),
        ("use std::time::SystemTime;\nfn f() { let _ = SystemTime::now(); }", 3),
        ("use tokio::sync::mpsc;", 2),
        ("fn f() { tokio::spawn(x); }", 2),
        ("\nasync fn f() {}", 3),
        ("fn f() { g(async {}) }", 2),
        ("use std::fs;", 2),
        ("fn f() { std::fs::read(\"x\"); }", 2),
        ("use std::{net::UdpSocket};", 2),
        ("use std::net::{IpAddr, TcpStream};", 2),
        ("use std::thread;", 2),
        ("use std::env::var;", 2),
        ("use std::io::Write;", 2),
        ("fn f() { fastrand::u8(..); }", 2),
        ("use rand::Rng;", 2),
    ] {
        caught("netwatch-core/src/logic/a.rs", body, line);
        caught("netwatch-core/src/model/a.rs", body, line);
        fine("netwatch-core/src/runtime/a.rs", body);
    }
    fine("netwatch-core/src/model/a.rs", "use std::net::IpAddr;\nuse std::time::{Duration, SystemTime, UNIX_EPOCH};");
}

#[test]
fn unsafe_stands_in_two_files() {
    caught("netwatch-core/src/icmp/socket.rs", "fn f() { unsafe { g() } }", 2);
    caught("netwatch-cli/src/main.rs", "unsafe fn f() {}", 2);
    caught("tests/src/lib.rs", "\nunsafe impl Send for X {}", 3);
    caught("tests/src/disk.rs", "fn f() { unsafe { g() } }", 2);
    caught("netwatch-core/src/store/vfs.rs", "fn f() { unsafe { g() } }", 2);
    fine("netwatch-core/src/icmp/sys.rs", "fn f() { unsafe { g() } }");
    fine("tests/src/disk/vfs.rs", "fn f() { unsafe { g() } }");
    fine("netwatch-core/src/icmp/socket.rs", "// unsafe is a word here\nconst S: &str = \"unsafe\";");
}

#[test]
fn a_long_file_is_caught() {
    assert_eq!(lines("netwatch-cli/src/a.rs", &"\n".repeat(600)), [601]);
    assert!(lines("netwatch-cli/src/a.rs", &"\n".repeat(599)).is_empty());
}

#[test]
fn a_file_that_does_not_say_why_it_exists_is_caught() {
    let opening = |text: &str| check_source("examples/a.rs", text, &Root::default()).len();
    assert_eq!(opening("fn main() {}\n"), 1);
    assert_eq!(opening("/// Of the function.\nfn main() {}\n"), 1);
    assert_eq!(opening("// Not documentation.\n"), 1);
    assert_eq!(opening(""), 1);
    assert_eq!(opening("//! Why.\n"), 0);
    assert_eq!(opening("#![no_main]\n//! Why.\n"), 0);
}

#[test]
fn unfinished_work_is_caught() {
    for name in ["todo", "unimplemented", "dbg"] {
        caught("netwatch-cli/src/a.rs", &format!("fn f() {{\n    {name}!()\n}}"), 3);
    }
    for mark in ["TO".to_owned() + "DO", "FIX".to_owned() + "ME"] {
        caught("netwatch-cli/src/a.rs", &format!("fn f() {{}} // {mark}: later"), 2);
    }
    let attribute = ["#[", "ignore", "]"].concat();
    caught("netwatch-cli/src/a.rs", &format!("{attribute}\nfn f() {{}}"), 2);
    caught("netwatch-cli/src/a.rs", &format!("{} = \"slow\"]\nfn f() {{}}", attribute.trim_end_matches(']')), 2);
    fine("netwatch-cli/src/a.rs", "const S: &str = \"TODO BIEN\";\nfn ignore() {}");
}

#[test]
fn what_does_not_parse_is_not_passed_over() {
    caught("netwatch-cli/src/a.rs", "fn f( {", 1);
}

#[test]
fn a_forbidden_package_is_caught() {
    let lock =
        "[[package]]\nname = \"ring\"\n\n[[package]]\nname = \"aws-lc-sys\"\n[[package]]\nname = \"openssl-probe\"\n";
    let found = check_lock("Cargo.lock", lock);
    assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [5]);
    assert_eq!(check_lock("Cargo.lock", "name = \"native-tls\"\nname = \"openssl-sys\"\n").len(), 2);
}

#[test]
fn a_package_from_elsewhere_is_caught() {
    let from = |place: &str| check_lock("Cargo.lock", &format!("name = \"a\"\nsource = \"{place}\"\n")).len();
    assert_eq!(from("git+https://example.net/a?rev=1#1"), 1);
    assert_eq!(from("registry+https://example.net/index"), 1);
    assert_eq!(from("registry+https://github.com/rust-lang/crates.io-index"), 0);
}

#[test]
fn a_stray_at_the_top_level_is_caught() {
    let found = check_top_level(["README.md", "scripts", "src", "tests"]);
    assert_eq!(found.iter().map(|finding| finding.file.as_str()).collect::<Vec<_>>(), ["scripts", "src"]);
}

#[test]
fn a_build_script_is_caught() {
    assert!(check_name("netwatch-core/build.rs").is_some());
    assert!(check_name("netwatch-core/src/lib.rs").is_none());
}
