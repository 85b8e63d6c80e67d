//! syslog: a message a line of the notification, to whatever collects the provider's logs (RFC 5424).
//!
//! A message takes 1,024 octets at most over UDP: with the headers of IPv6 that fits any link (1,280 octets), so that
//! nothing is fragmented, and it is what the oldest servers take. Over TCP and TLS it is 2,048, which every server of RFC
//! 5425 must take.

mod config;
mod message;
mod transport;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::timeout;

use self::message::Manner;
use self::transport::{Begun, Failure};
use super::trust;
use crate::model::{DeliveryError, Notification, Receipt, Stage};
use crate::notify::Notifier;
use crate::plain;

pub use self::config::{SyslogConfig, SyslogConfigError, SyslogFacility, SyslogTransport};

const UDP_OCTETS: usize = 1024;
const STREAM_OCTETS: usize = 2048;

/// Sends notifications to a log server.
///
/// Over UDP a message counts as accepted when it was sent and nobody said that the port is closed: no more can be known.
/// Over TCP and TLS every attempt has a connection of its own, and counts as accepted when the server has closed it after
/// netwatch did; one that goes away earlier is noticed, and the messages are sent again.
pub struct SyslogNotifier {
    server: String,
    port: u16,
    transport: SyslogTransport,
    name: ServerName<'static>,
    tls: Option<Arc<ClientConfig>>,
    manner: Manner,
    limit: Duration,
}

impl SyslogNotifier {
    /// Messages to this server. Reads the certificates to trust, and connects to nothing.
    ///
    /// # Errors
    /// When the server's name cannot be used, or no certificates can be read.
    ///
    /// ```
    /// use netwatch_core::{SyslogConfig, SyslogConfigError, SyslogNotifier};
    ///
    /// assert!(SyslogNotifier::new(SyslogConfig::new("192.0.2.14")).is_ok());
    /// let wrong = SyslogNotifier::new(SyslogConfig::new("logs.example.net:514"));
    /// assert!(matches!(wrong, Err(SyslogConfigError::Server { .. })));
    /// ```
    pub fn new(config: SyslogConfig) -> Result<SyslogNotifier, SyslogConfigError> {
        let Ok(name) = ServerName::try_from(config.server.clone()) else {
            return Err(SyslogConfigError::Server { server: config.server });
        };
        if config.timeout.is_zero() {
            return Err(SyslogConfigError::Timeout);
        }
        let tls = match config.transport {
            SyslogTransport::Tls => Some(trust::client(config.ca_file.as_deref())?),
            SyslogTransport::Udp | SyslogTransport::Tcp => None,
        };
        let own = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let manner = Manner {
            facility: config.facility,
            hostname: message::hostname(config.hostname.unwrap_or_else(own).trim()),
            locale: config.locale,
            most: if config.transport == SyslogTransport::Udp { UDP_OCTETS } else { STREAM_OCTETS },
        };
        Ok(SyslogNotifier {
            server: config.server,
            port: config.port,
            transport: config.transport,
            name,
            tls,
            manner,
            limit: config.timeout,
        })
    }

    async fn send(&self, messages: &[Vec<u8>], begun: &Begun) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure {
            stage: Stage::BeforeContent,
            what: plain::quote(&format!("cannot resolve the name: {error}")),
        };
        let found = tokio::net::lookup_host((self.server.as_str(), self.port)).await.map_err(failed)?;
        let addresses: Vec<SocketAddr> = found.collect();
        match self.transport {
            SyslogTransport::Udp => transport::udp(&addresses, messages, begun).await,
            SyslogTransport::Tcp | SyslogTransport::Tls => {
                let tls = self.tls.as_ref().map(|tls| (tls, self.name.clone()));
                transport::stream(&addresses, tls, messages, self.limit / 4, begun).await
            }
        }
    }
}

impl fmt::Debug for SyslogNotifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SyslogNotifier")
            .field("server", &self.server)
            .field("port", &self.port)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for SyslogNotifier {
    async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
        let messages = self.manner.messages(notification);
        let begun = Begun::default();
        let failure = match timeout(self.limit, self.send(&messages, &begun)).await {
            Ok(Ok(())) => return Ok(Receipt::accepted(&notification.recipients)),
            Ok(Err(failure)) => failure,
            Err(_elapsed) => {
                let what = format!("it did not take everything and close within {} s", self.limit.as_secs_f32());
                Failure { stage: begun.stage(), what }
            }
        };
        let message = format!("syslog server {}:{}: {}", self.server, self.port, failure.what);
        Err(match failure.stage {
            Stage::BeforeContent => DeliveryError::before_content(message),
            Stage::Uncertain => DeliveryError::uncertain(message),
        })
    }
}
