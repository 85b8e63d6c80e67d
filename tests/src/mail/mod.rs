//! Mail servers to send to: a real one that keeps what it accepts ([`OpenSmtpd`]) and one that misbehaves as told
//! ([`Scripted`]); and a small client of our own to test them with.

mod cert;
mod client;
mod front;
mod gate;
mod message;
mod opensmtpd;
mod scripted;
mod wire;

pub use cert::{Certificates, Flaw};
pub use client::{Client, Reply};
pub use gate::Moment;
pub use message::{Message, all_ids};
pub use opensmtpd::OpenSmtpd;
pub use scripted::{Accepted, Act, Scripted, Session, Stage};

/// The name that logs in to either server.
pub const USER: &str = "labuser";
/// Its password.
pub const PASSWORD: &str = "labpass-7f3a";
