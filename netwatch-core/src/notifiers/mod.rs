//! Notifiers that come with netwatch: mail through a server, mail as files for as long as there is none, webhooks,
//! commands and syslog.
//!
//! Each writes the same bytes for the same notification, so a copy that was sent again is a copy.

#[cfg(feature = "smtp")]
mod address;
#[cfg(feature = "exec")]
mod exec;
#[cfg(any(feature = "exec", feature = "webhook"))]
mod facts;
#[cfg(feature = "smtp")]
mod file;
#[cfg(feature = "smtp")]
mod message;
#[cfg(any(feature = "syslog", feature = "webhook"))]
mod phrase;
#[cfg(any(feature = "smtp", feature = "webhook"))]
mod secret;
#[cfg(feature = "smtp")]
mod smtp;
#[cfg(feature = "syslog")]
mod syslog;
#[cfg(any(feature = "syslog", feature = "webhook"))]
mod trust;
#[cfg(feature = "webhook")]
mod webhook;

#[cfg(feature = "smtp")]
pub use address::InvalidAddress;
#[cfg(feature = "exec")]
pub use exec::{ExecConfig, ExecConfigError, ExecNotifier};
#[cfg(feature = "smtp")]
pub use file::FileNotifier;
#[cfg(any(feature = "smtp", feature = "webhook"))]
pub use secret::Secret;
#[cfg(feature = "smtp")]
pub use smtp::{Security, SmtpConfig, SmtpConfigError, SmtpNotifier};
#[cfg(feature = "syslog")]
pub use syslog::{SyslogConfig, SyslogConfigError, SyslogFacility, SyslogNotifier, SyslogTransport};
#[cfg(any(feature = "syslog", feature = "webhook"))]
pub use trust::TrustError;
#[cfg(feature = "webhook")]
pub use webhook::{WebhookConfig, WebhookConfigError, WebhookFormat, WebhookNotifier};
