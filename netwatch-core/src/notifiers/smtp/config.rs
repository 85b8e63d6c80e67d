//! How a mail server is reached, checked before the first mail needs it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::notifiers::{InvalidAddress, Secret};

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Security {
    /// Plain at first, then TLS by STARTTLS (RFC 3207), or no mail at all. Usually port 587.
    StartTls,
    /// TLS from the first byte (RFC 8314). Usually port 465.
    Tls,
    /// Readable by everybody on the way. Usually port 25. No login.
    None,
}

impl Security {
    /// The port on which this is usual.
    pub const fn default_port(self) -> u16 {
        match self {
            Security::StartTls => 587,
            Security::Tls => 465,
            Security::None => 25,
        }
    }
}

/// How a mail server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SmtpConfig {
    /// The server's name or IP address. With TLS, its certificate must bear it.
    pub server: String,
    /// The port; default the usual one of `security`.
    pub port: u16,
    /// How the connection is protected; default [`Security::StartTls`].
    pub security: Security,
    /// Whom to log in as; needs a password.
    pub username: Option<String>,
    /// The password of `username`; refused with [`Security::None`].
    pub password: Option<Secret>,
    /// Who writes: `netwatch <noc@example.net>`.
    pub from: String,
    /// Everybody whom the header `To` names, whichever of them an attempt is still for, so that every copy has the same
    /// bytes. Default: none, and the header names those the attempt is for.
    pub to: Vec<Arc<str>>,
    /// When an attempt ends, whatever the server does; default 60 s.
    pub timeout: Duration,
    /// Certificates (PEM) of authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// What to call oneself in EHLO; default this machine's name if it has a domain, else `[127.0.0.1]`.
    pub hello_name: Option<String>,
}

impl SmtpConfig {
    /// This server with STARTTLS on port 587, without a login.
    pub fn new(server: impl Into<String>, from: impl Into<String>) -> SmtpConfig {
        SmtpConfig {
            server: server.into(),
            port: Security::StartTls.default_port(),
            security: Security::StartTls,
            username: None,
            password: None,
            from: from.into(),
            to: Vec::new(),
            timeout: Duration::from_secs(60),
            ca_file: None,
            hello_name: None,
        }
    }

    /// The same server, with this protection on its usual port.
    #[must_use]
    pub fn with_security(mut self, security: Security) -> SmtpConfig {
        self.security = security;
        self.port = security.default_port();
        self
    }
}

/// A mail server cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmtpConfigError {
    /// The sender or a recipient is not an address.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// The server is neither a host name nor an IP address.
    #[error(
        "{server:?} is neither a host name nor an IP address: write the mail server's name alone, the port beside it"
    )]
    Server {
        /// The server as configured.
        server: String,
    },
    /// A password would cross the network readable.
    #[error("a password for {server} is refused without TLS: use security \"starttls\" or \"tls\", or no login")]
    PasswordWithoutTls {
        /// The server as configured.
        server: String,
    },
    /// Half a login.
    #[error("a login to {server} needs both a user name and a password; {missing} is missing")]
    IncompleteLogin {
        /// The server as configured.
        server: String,
        /// Which half is missing.
        missing: &'static str,
    },
    /// The name for EHLO is not a host name.
    #[error("{name:?} is not a host name to greet the mail server with")]
    HelloName {
        /// The name as configured.
        name: String,
    },
    /// An attempt could never end well.
    #[error("a time limit of zero lets no mail through: use 60 s")]
    Timeout,
    /// The certificates to trust could not be read.
    #[error("cannot use {path:?} as certificates to trust: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS cannot be used here.
    #[error("cannot prepare TLS for {server}: {reason}; if this system has no certificates, install ca-certificates")]
    Tls {
        /// The server as configured.
        server: String,
        /// What is wrong.
        reason: String,
    },
}
