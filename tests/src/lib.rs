//! The lab that the whole-system tests stand on.
//!
//! Everything happens in network namespaces without a route out ([`netns`]). The devices are played by a program of
//! ours behind a TUN device ([`isp`]), which writes down what it really did; mail goes to Debian's OpenSMTPD or to a
//! server that misbehaves on demand ([`mail`]); the program under test runs as a process ([`daemon`]) and is looked at
//! only from outside: its files, its API, its mails. [`stage`] puts the three together for a scenario.
//!
//! The lab needs root and Debian's iproute2, nftables, iputils-ping, openssl, opensmtpd and util-linux. Where something
//! is missing it fails loudly: it never skips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::exhaustive_structs,
    clippy::exhaustive_enums,
    reason = "test support outside the published crates: a lab that cannot do its part must fail the test at once"
)]

pub mod answerer;
pub mod capture;
pub mod config;
pub mod daemon;
pub mod disk;
pub mod files;
pub mod http;
pub mod isp;
pub mod limits;
pub mod mail;
pub mod netns;
pub mod process;
pub mod scene;
pub mod stage;
pub mod volume;
pub mod watch;
