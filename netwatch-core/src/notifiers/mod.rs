//! Notifiers that come with netwatch: mail through a server, and mail as files for as long as there is none.
//!
//! Both write the same bytes for the same notification, so a copy that was sent again is a copy.

mod address;
mod file;
mod message;
mod secret;
mod smtp;

pub use address::InvalidAddress;
pub use file::FileNotifier;
pub use secret::Secret;
pub use smtp::{Security, SmtpConfig, SmtpConfigError, SmtpNotifier};
