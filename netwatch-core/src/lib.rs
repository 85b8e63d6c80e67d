//! Watch devices and tell people: the library behind netwatch.
//!
//! A [`Plan`] names the devices ([`Target`]) and who is told ([`NotifierPolicy`]). A [`Schedule`] says when each device
//! is asked, a [`Probe`] asks it, and a [`Monitor`] decides what the answers mean: which device is down, which outage
//! is due, which mail leaves and when. What must survive a crash is in the [`Journal`] before anything is told; a
//! [`Notifier`] carries the mails, and a [`StatusSink`] shows how things stand.
//!
//! Two rules hold everywhere. *Unknown is not down*: what netwatch itself caused or cannot exclude is never taken for
//! a device's silence. *The pure half decides*: [`Schedule`] and [`Monitor`] take the time as an argument and do no
//! I/O, so that what they do can be tested, and replayed.
//!
//! # With tokio
//!
//! The feature `runtime` brings the driver, `Netwatch`: it gives each part its own task or thread, so that nothing
//! that is slow or stuck delays a check, and ends within 2 s with everything saved. Here a probe of our own asks; the
//! feature `icmp` has the real one.
//!
//! ```
//! # #[cfg(feature = "runtime")] {
//! use std::{sync::Arc, time::Duration};
//! use netwatch_core::*;
//!
//! struct AlwaysThere;
//!
//! #[async_trait]
//! impl Probe for AlwaysThere {
//!     async fn check(&self, check: &Check) -> Sample {
//!         Sample::new(check.target, check.at, check.at, [Echo::Reply(Rtt::default())].into_iter().collect())
//!     }
//! }
//!
//! struct Print;
//!
//! #[async_trait]
//! impl StatusSink for Print {
//!     async fn transitions(&self, changed: &[Transition]) {
//!         changed.iter().for_each(|change| println!("{}: {}", change.name, change.to.file_word()));
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let plan = Plan::new(vec![Target::at("olt-1", "192.0.2.1".parse()?).with_probe("mine")]);
//! let netwatch = Netwatch::builder(plan, Box::new(ForgetfulJournal::new()))
//!     .probe("mine", Arc::new(AlwaysThere))
//!     .sink("terminal", Arc::new(Print))
//!     .build()?;
//! netwatch.run(tokio::time::sleep(Duration::from_millis(20))).await?; // or until a signal comes
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap(); }
//! ```
//!
//! # Without
//!
//! Without features there are the vocabulary, the pure half and the traits, and the run loop is yours. One invariant
//! holds it together: after every `handle_*`, take [`Monitor::poll_output`] until it is empty, and carry out what it
//! gave in that order.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use netwatch_core::*;
//!
//! let plan = Arc::new(Plan::new(vec![Target::at("olt-1", "192.0.2.1".parse()?)]));
//! let mut journal = ForgetfulJournal::new();
//! let mut now = Now::new(Mono::ZERO, Wall::from_unix_nanos(1_700_000_000_000_000_000)); // read your clocks
//! let saved = journal.load()?;
//! let mut monitor = Monitor::new(plan.clone(), &saved, now, MonitorOptions::new([7; 16], "noc.example.net"));
//! let mut schedule = Schedule::new(&plan, [7; 16], now.mono);
//! let mut due = Vec::new();
//! for _ in 0..1000 {
//!     now = Now::new(now.mono.plus(Duration::from_millis(50)), now.wall.plus(Duration::from_millis(50))); // and wait
//!     schedule.poll_due(now.mono, &mut due);
//!     let asked = due.drain(..).map(|due| {
//!         let echo = Echo::Lost(Loss::NoReply); // ask the device
//!         Sample::new(due.target, due.at, now.mono, [echo].into_iter().collect())
//!     });
//!     monitor.handle_samples(now, &asked.collect::<Vec<_>>());
//!     if monitor.poll_timeout().is_some_and(|at| at <= now.mono) {
//!         monitor.handle_timeout(now);
//!     }
//!     while let Some(output) = monitor.poll_output() {
//!         match output {
//!             Output::Commit(commit) => match journal.commit(&commit) {
//!                 Ok(()) => monitor.handle_committed(now, commit.seq),
//!                 Err(error) => monitor.handle_commit_failed(now, commit.seq, &error.to_string()),
//!             },
//!             Output::Compose(draft) => {
//!                 let subject = format!("{} lines", draft.lines.len());
//!                 monitor.handle_composed(now, draft.id, Content::new(subject, "", ""));
//!             }
//!             Output::Deliver(mail) => {
//!                 monitor.handle_delivered(now, mail.id, Ok(Receipt::accepted(&mail.recipients)));
//!             }
//!             Output::Transition(change) => println!("{}: {}", change.name, change.to.file_word()),
//!             _ => {}
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `icmp` | yes | the ICMP engine, as a [`Probe`]: raw sockets or the unprivileged ping socket |
//! | `runtime` | yes | the driver on tokio, the words of the mails, the text files, what this machine knows of itself |
//! | `resolver` | no | lookups of names that honour how long an answer may be kept; without it the system looks them up |
//! | `templates` | no | mails in the operators' own words: templates for subject, text and HTML |
//! | `store` | no | the SQLite [`Journal`] and the ledger beside it |
//! | `smtp` | no | [`Notifier`]s for mail servers and for `.eml` files |
//! | `webhook` | no | a [`Notifier`] for webhooks: Slack, Telegram, Teams, ntfy, PagerDuty, JSON or a template |
//! | `exec` | no | a [`Notifier`] that starts a command |
//! | `syslog` | no | a [`Notifier`] for log servers: RFC 5424 over UDP, TCP and TLS |
//! | `test-util` | no | fakes, recorders and a virtual world for tests of your own |

#[cfg(feature = "runtime")]
mod host;
#[cfg(feature = "icmp")]
mod icmp;
mod journal;
mod logic;
mod model;
#[cfg(any(feature = "exec", feature = "smtp", feature = "syslog", feature = "webhook"))]
mod notifiers;
mod notify;
#[cfg(feature = "runtime")]
mod plain;
mod probe;
#[cfg(feature = "runtime")]
mod render;
#[cfg(feature = "runtime")]
mod runtime;
mod sink;
#[cfg(feature = "runtime")]
mod sinks;
#[cfg(feature = "store")]
mod store;
#[cfg(feature = "test-util")]
pub mod testing;

pub use async_trait::async_trait;
#[cfg(feature = "runtime")]
pub use host::{Gateway, HostError, gateways, hostname, resolvers};
#[cfg(all(feature = "icmp", feature = "test-util"))]
#[doc(hidden)]
pub use icmp::exposed as icmp_internals;
#[cfg(feature = "icmp")]
pub use icmp::{Accuracy, Counters, IcmpOptions, IcmpProbe, OpenError, SocketKind};
pub use journal::{CommitError, ForgetfulJournal, Journal, LoadError};
pub use logic::{
    Due, Finding, Monitor, MonitorOptions, Output, Record, RouterNeed, Schedule, Service, SettingsFinding, Verdict,
    Window, lint, lint_settings, parent_cycle, rehearse, replay, router_needs,
};
pub use model::*;
#[cfg(any(feature = "smtp", feature = "webhook"))]
pub use notifiers::Secret;
#[cfg(any(feature = "syslog", feature = "webhook"))]
pub use notifiers::TrustError;
#[cfg(feature = "exec")]
pub use notifiers::{ExecConfig, ExecConfigError, ExecNotifier};
#[cfg(feature = "smtp")]
pub use notifiers::{FileNotifier, InvalidAddress, Security, SmtpConfig, SmtpConfigError, SmtpNotifier};
#[cfg(feature = "syslog")]
pub use notifiers::{SyslogConfig, SyslogConfigError, SyslogFacility, SyslogNotifier, SyslogTransport};
#[cfg(feature = "webhook")]
pub use notifiers::{WebhookConfig, WebhookConfigError, WebhookFormat, WebhookNotifier};
pub use notify::Notifier;
pub use probe::{Check, CheckId, Probe, Report};
#[cfg(feature = "runtime")]
pub use render::{Render, TimeZoneError, Words};
#[cfg(feature = "templates")]
pub use render::{TemplateError, TemplatePart, Templates};
#[cfg(feature = "runtime")]
pub use runtime::{
    AcknowledgeError, BuildError, Builder, DrillError, EndMaintenanceError, Ended, Handle, MaintainError, Netwatch,
    Part, Progress, Reload, ReloadError, RunError,
};
pub use sink::StatusSink;
#[cfg(feature = "runtime")]
pub use sinks::TextFiles;
#[cfg(feature = "store")]
pub use store::{DirLock, LedgerError, LockError, SqliteJournal, SqliteLedger};
