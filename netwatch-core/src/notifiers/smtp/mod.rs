//! Mail through a server: one conversation for each attempt, bounded in time, with an exact account of its end.
//!
//! lettre speaks the protocol, but its own transport gives one answer for all recipients and bounds only the connect;
//! so this drives lettre's connection command by command under a time limit of its own. There is no pool: mails are
//! rare, and an idle connection is one more thing that can be dead.

mod config;
mod conversation;
mod reply;
mod stream;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout};

use self::conversation::{Progress, Recipient, Server};
use self::reply::Redactor;
use super::address;
use super::message;
use crate::model::{DeliveryError, Notification, Receipt, Stage};
use crate::notify::Notifier;

pub use self::config::{Security, SmtpConfig, SmtpConfigError};

/// How long a server may take to answer QUIT, once everything else is settled.
const QUIT_LIMIT: Duration = Duration::from_secs(1);

/// Sends mails through one server.
///
/// A failure is [permanent](DeliveryError::permanent) only if the server refused this mail or each of its recipients
/// for good. A 5xx to the greeting, the login or the sender says that server or configuration are broken: it counts
/// as a failure for now.
pub struct SmtpNotifier {
    server: Server,
    from: Mailbox,
    to: Vec<Mailbox>,
    limit: Duration,
}

impl SmtpNotifier {
    /// Mails through this server. Reads the certificates to trust, and connects to nothing.
    ///
    /// # Errors
    /// When an address, the server's name or the login cannot be used as configured, or no certificates can be read.
    ///
    /// ```
    /// use netwatch_core::{Secret, Security, SmtpConfig, SmtpConfigError, SmtpNotifier};
    ///
    /// let mut config = SmtpConfig::new("192.0.2.25", "netwatch <noc@example.net>").with_security(Security::None);
    /// assert!(SmtpNotifier::new(config.clone()).is_ok());
    /// config.username = Some("noc".into());
    /// config.password = Some(Secret::new("for nobody else"));
    /// assert!(matches!(SmtpNotifier::new(config), Err(SmtpConfigError::PasswordWithoutTls { .. })));
    /// ```
    pub fn new(config: SmtpConfig) -> Result<SmtpNotifier, SmtpConfigError> {
        let from = address::parse(&config.from)?;
        let to = config.to.iter().map(|to| address::parse(to)).collect::<Result<_, _>>()?;
        if ServerName::try_from(config.server.as_str()).is_err() {
            return Err(SmtpConfigError::Server { server: config.server });
        }
        if config.timeout.is_zero() {
            return Err(SmtpConfigError::Timeout);
        }
        let (login, redactor) = login(&config)?;
        let tls = match config.security {
            Security::None => None,
            Security::StartTls | Security::Tls => Some(tls(&config)?),
        };
        let hello = hello(config.hello_name)?;
        let server = Server {
            host: config.server,
            port: config.port,
            security: config.security,
            tls,
            hello,
            login,
            redactor,
            connect_limit: config.timeout / 4,
        };
        Ok(SmtpNotifier { server, from, to, limit: config.timeout })
    }
}

impl fmt::Debug for SmtpNotifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SmtpNotifier")
            .field("server", &self.server.host)
            .field("port", &self.server.port)
            .field("security", &self.server.security)
            .field("from", &self.from.to_string())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Notifier for SmtpNotifier {
    async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
        let recipients: Vec<(Recipient, Option<Mailbox>)> = notification.recipients.iter().map(recipient).collect();
        if recipients.is_empty() {
            return Err(DeliveryError::before_content("the mail has no recipient: give the notifier a `to`"));
        }
        let (recipients, named): (Vec<Recipient>, Vec<Option<Mailbox>>) = recipients.into_iter().unzip();
        let named: Vec<Mailbox> =
            if self.to.is_empty() { named.into_iter().flatten().collect() } else { self.to.clone() };
        let mail = message::compose(&self.from, &named, notification)
            .map_err(|error| DeliveryError::before_content(error.to_string()))?;
        // The connection itself ends the last line.
        let mail = mail.strip_suffix(b"\r\n").unwrap_or(&mail);

        let progress = Progress::default();
        let started = Instant::now();
        let mut connection = None;
        let outcome = timeout(self.limit, async {
            let connection = connection.insert(self.server.open(&progress).await?);
            self.server.send(connection, &progress, &self.from.email, &recipients, mail).await
        })
        .await
        .unwrap_or_else(|_| {
            let what = format!("no answer within {} s", self.limit.as_secs_f64());
            // Nothing more may be said in a conversation that stopped in the middle.
            connection = None;
            Err(self.server.error(progress.step(), &what))
        });
        let certain = !matches!(&outcome, Err(error) if error.stage == Stage::Uncertain);
        if let (Some(mut connection), true) = (connection, certain) {
            // The mail's fate is known: whatever comes of the farewell changes nothing.
            let left = self.limit.saturating_sub(started.elapsed()).min(QUIT_LIMIT);
            let _ = timeout(left, connection.quit()).await;
        }
        outcome
    }
}

fn recipient(name: &std::sync::Arc<str>) -> (Recipient, Option<Mailbox>) {
    match address::parse(name) {
        Ok(mailbox) => (Recipient { name: name.clone(), address: Ok(mailbox.email.clone()) }, Some(mailbox)),
        Err(error) => (Recipient { name: name.clone(), address: Err(error.to_string()) }, None),
    }
}

fn login(config: &SmtpConfig) -> Result<(Option<Credentials>, Redactor), SmtpConfigError> {
    let incomplete = |missing| SmtpConfigError::IncompleteLogin { server: config.server.clone(), missing };
    match (&config.username, &config.password) {
        (_, Some(_)) if config.security == Security::None => {
            Err(SmtpConfigError::PasswordWithoutTls { server: config.server.clone() })
        }
        (None, None) => Ok((None, Redactor::default())),
        (Some(_), None) => Err(incomplete("the password")),
        (None, Some(_)) => Err(incomplete("the user name")),
        (Some(username), Some(password)) => {
            let credentials = Credentials::new(username.clone(), password.reveal().to_owned());
            let redactor = Redactor::new(&credentials, password.reveal());
            Ok((Some(credentials), redactor))
        }
    }
}

/// The system's certificates and those of the configuration; lettre is built with ring as its only provider.
fn tls(config: &SmtpConfig) -> Result<TlsParameters, SmtpConfigError> {
    let mut builder = TlsParameters::builder(config.server.clone());
    if let Some(path) = &config.ca_file {
        builder = builder.add_root_certificate(authorities(path)?);
    }
    builder.build().map_err(|error| SmtpConfigError::Tls { server: config.server.clone(), reason: error.to_string() })
}

fn authorities(path: &Path) -> Result<Certificate, SmtpConfigError> {
    let failed = |reason: String| SmtpConfigError::CaFile { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    if !pem.windows(b"-----BEGIN CERTIFICATE-----".len()).any(|bytes| bytes == b"-----BEGIN CERTIFICATE-----") {
        return Err(failed("it holds no certificate in PEM form".to_owned()));
    }
    Certificate::from_pem(&pem).map_err(|error| failed(error.to_string()))
}

/// RFC 5321, 4.1.4: a domain name, or an address literal where there is none.
fn hello(name: Option<String>) -> Result<ClientId, SmtpConfigError> {
    let usable = |name: &str| name.len() <= 255 && matches!(ServerName::try_from(name), Ok(ServerName::DnsName(_)));
    match name {
        Some(name) if usable(&name) => Ok(ClientId::Domain(name)),
        Some(name) => Err(SmtpConfigError::HelloName { name }),
        None => {
            let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let own = own.trim();
            let qualified = own.contains('.') && usable(own);
            Ok(if qualified { ClientId::Domain(own.to_owned()) } else { ClientId::default() })
        }
    }
}
