//! Where the log server is and how it is spoken to, checked before the first message needs it.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::Locale;
use crate::notifiers::TrustError;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SyslogTransport {
    /// A datagram a message (RFC 5426). Nobody ever says that one arrived.
    Udp,
    /// A connection, messages framed by octet counting (RFC 6587, 3.4.1).
    Tcp,
    /// The same under TLS (RFC 5425).
    Tls,
}

impl SyslogTransport {
    /// All of them.
    pub const ALL: [SyslogTransport; 3] = [SyslogTransport::Udp, SyslogTransport::Tcp, SyslogTransport::Tls];

    /// Its name in a configuration.
    pub const fn code(self) -> &'static str {
        match self {
            SyslogTransport::Udp => "udp",
            SyslogTransport::Tcp => "tcp",
            SyslogTransport::Tls => "tls",
        }
    }

    /// The port on which this is usual: 514, or 6514 with TLS. TCP has none of its own; 514 is what servers use.
    pub const fn default_port(self) -> u16 {
        match self {
            SyslogTransport::Udp | SyslogTransport::Tcp => 514,
            SyslogTransport::Tls => 6514,
        }
    }
}

/// What kind of program speaks (RFC 5424, 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SyslogFacility(u8);

impl SyslogFacility {
    /// The names, in the order of their numbers.
    pub const NAMES: [&'static str; 24] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
        "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ];
    /// A system daemon: number 3.
    pub const DAEMON: SyslogFacility = SyslogFacility(3);

    /// The facility of this name.
    ///
    /// ```
    /// use netwatch_core::SyslogFacility;
    ///
    /// assert_eq!(SyslogFacility::from_code("local7").map(SyslogFacility::number), Some(23));
    /// assert_eq!(SyslogFacility::from_code("local8"), None);
    /// ```
    pub fn from_code(name: &str) -> Option<SyslogFacility> {
        let number = SyslogFacility::NAMES.iter().position(|known| *known == name)?;
        u8::try_from(number).ok().map(SyslogFacility)
    }

    /// Its number, from 0 to 23.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// How a log server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyslogConfig {
    /// The server's name or IP address. With TLS, its certificate must bear it.
    pub server: String,
    /// The port; default the usual one of `transport`.
    pub port: u16,
    /// How messages travel; default [`SyslogTransport::Tcp`].
    pub transport: SyslogTransport,
    /// What kind of program speaks; default [`SyslogFacility::DAEMON`].
    pub facility: SyslogFacility,
    /// Certificates (PEM) of authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// When an attempt ends, whatever the server does; default 30 s.
    pub timeout: Duration,
    /// The language of the messages; default the library's.
    pub locale: Locale,
    /// What to call this machine; default its name.
    pub hostname: Option<String>,
}

impl SyslogConfig {
    /// This server, over TCP.
    pub fn new(server: impl Into<String>) -> SyslogConfig {
        SyslogConfig {
            server: server.into(),
            port: SyslogTransport::Tcp.default_port(),
            transport: SyslogTransport::Tcp,
            facility: SyslogFacility::DAEMON,
            ca_file: None,
            timeout: Duration::from_secs(30),
            locale: Locale::default(),
            hostname: None,
        }
    }

    /// The same server, by this transport on its usual port.
    #[must_use]
    pub fn with_transport(mut self, transport: SyslogTransport) -> SyslogConfig {
        self.transport = transport;
        self.port = transport.default_port();
        self
    }
}

/// A log server cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyslogConfigError {
    /// The server is neither a host name nor an IP address.
    #[error(
        "{server:?} is neither a host name nor an IP address: write the log server's name alone, the port beside it"
    )]
    Server {
        /// The server as configured.
        server: String,
    },
    /// An attempt could never end well.
    #[error("a time limit of zero lets no message through: use 30 s")]
    Timeout,
    /// TLS cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}
