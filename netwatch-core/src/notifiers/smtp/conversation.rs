//! One conversation with a mail server, and how far it came.
//!
//! The order is RFC 5321's: connect, EHLO, STARTTLS, AUTH, MAIL, a RCPT for each recipient, DATA, the content. Only
//! the content makes the end of an attempt uncertain, and only while there is no final reply.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Response, Severity};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::config::Security;
use super::reply::Redactor;
use super::stream::LineStream;
use crate::model::{DeliveryError, Receipt, Stage};

/// What an attempt was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    Connect,
    Greeting,
    StartTls,
    Login,
    Sender,
    Recipient,
    Data,
    Content,
}

const STEPS: [Step; 8] = [
    Step::Connect,
    Step::Greeting,
    Step::StartTls,
    Step::Login,
    Step::Sender,
    Step::Recipient,
    Step::Data,
    Step::Content,
];

impl Step {
    /// What is certain when an attempt ends here without an answer.
    fn stage(self) -> Stage {
        if self == Step::Content { Stage::Uncertain } else { Stage::BeforeContent }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Step::Connect => "connecting",
            Step::Greeting => "greeting",
            Step::StartTls => "STARTTLS",
            Step::Login => "login",
            Step::Sender => "MAIL FROM",
            Step::Recipient => "RCPT TO",
            Step::Data => "DATA",
            Step::Content => "content",
        })
    }
}

/// How far an attempt has come: what is left of it when time is up.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU8);

impl Progress {
    pub(super) fn step(&self) -> Step {
        STEPS.get(usize::from(self.0.load(Ordering::Acquire))).copied().unwrap_or(Step::Content)
    }

    fn reach(&self, step: Step) {
        self.0.store(step as u8, Ordering::Release);
    }
}

/// Where and how to talk.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) tls: Option<TlsParameters>,
    pub(super) hello: ClientId,
    pub(super) login: Option<Credentials>,
    pub(super) redactor: Redactor,
    /// How long one of several addresses may take to accept the connection.
    pub(super) connect_limit: Duration,
}

impl Server {
    /// An error at this step, naming the server.
    pub(super) fn error(&self, step: Step, what: &str) -> DeliveryError {
        let message = format!("{}:{}: {step}: {what}", self.host, self.port);
        match step.stage() {
            Stage::BeforeContent => DeliveryError::before_content(message),
            Stage::Uncertain => DeliveryError::uncertain(message),
        }
    }

    fn failure(&self, step: Step, error: &Error) -> DeliveryError {
        self.error(step, &self.redactor.explain(error))
    }

    /// A connection that is greeted, encrypted and logged in as configured.
    pub(super) async fn open(&self, progress: &Progress) -> Result<AsyncSmtpConnection, DeliveryError> {
        progress.reach(Step::Connect);
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error| self.error(Step::Connect, &format!("cannot resolve the name: {error}")))?
            .collect();
        let mut connection = match (self.security, &self.tls) {
            (Security::Tls, Some(tls)) => {
                let limit = Some(self.connect_limit);
                AsyncSmtpConnection::connect_tokio1(&*addresses, limit, &self.hello, Some(tls.clone()), None)
                    .await
                    .map_err(|error| self.failure(Step::Connect, &error))?
            }
            _ => {
                let stream = LineStream::new(self.connect(&addresses).await?);
                progress.reach(Step::Greeting);
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello)
                    .await
                    .map_err(|error| self.failure(Step::Greeting, &error))?
            }
        };
        if let (Security::StartTls, Some(tls)) = (self.security, &self.tls) {
            progress.reach(Step::StartTls);
            if !connection.can_starttls() {
                let refusal = "the server does not offer it, and without it nothing is sent";
                return Err(self.error(Step::StartTls, refusal));
            }
            connection
                .starttls(tls.clone(), &self.hello)
                .await
                .map_err(|error| self.failure(Step::StartTls, &error))?;
        }
        if self.security != Security::None && !connection.is_encrypted() {
            return Err(self.error(Step::StartTls, "the connection is not encrypted, and so nothing is sent"));
        }
        if let Some(login) = &self.login {
            progress.reach(Step::Login);
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let reply = connection.auth(&mechanisms, login).await.map_err(|error| self.failure(Step::Login, &error))?;
            self.completed(Step::Login, &reply)?;
        }
        Ok(connection)
    }

    async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, DeliveryError> {
        let mut failures = Vec::new();
        for address in addresses {
            match timeout(self.connect_limit, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failures.push(format!("{address}: {error}")),
                Err(_) => failures.push(format!("{address}: no answer")),
            }
        }
        if failures.is_empty() {
            failures.push("the name has no address".to_owned());
        }
        Err(self.error(Step::Connect, &self.redactor.clean(&failures.join("; "))))
    }

    /// Hands the mail over, to as many of the recipients as the server takes.
    pub(super) async fn send(
        &self,
        connection: &mut AsyncSmtpConnection,
        progress: &Progress,
        from: &Address,
        recipients: &[Recipient],
        mail: &[u8],
    ) -> Result<Receipt, DeliveryError> {
        progress.reach(Step::Sender);
        let reply = connection
            .command(Mail::new(Some(from.clone()), Vec::new()))
            .await
            .map_err(|error| self.failure(Step::Sender, &error))?;
        self.completed(Step::Sender, &reply)?;

        progress.reach(Step::Recipient);
        let receipt = self.recipients(connection, recipients).await?;
        if receipt.accepted.is_empty() {
            return Err(self.nobody(receipt));
        }

        progress.reach(Step::Data);
        let refused = |error| with_refused(error, &receipt);
        match connection.command(Data).await {
            Ok(reply) if reply.has_code(354) => {}
            Ok(reply) => return Err(refused(self.unexpected(Step::Data, &reply))),
            Err(error) => return Err(refused(self.verdict(Step::Data, &error))),
        }

        progress.reach(Step::Content);
        match connection.message(mail).await {
            Ok(reply) => self.completed(Step::Content, &reply).map_err(refused)?,
            Err(error) => return Err(refused(self.verdict(Step::Content, &error))),
        }
        Ok(receipt)
    }

    async fn recipients(
        &self,
        connection: &mut AsyncSmtpConnection,
        recipients: &[Recipient],
    ) -> Result<Receipt, DeliveryError> {
        let mut receipt = Receipt::default();
        for Recipient { name, address } in recipients {
            let address = match address {
                Ok(address) => address.clone(),
                Err(reason) => {
                    receipt.refused.push((Arc::clone(name), reason.clone()));
                    continue;
                }
            };
            match connection.command(Rcpt::new(address, Vec::new())).await {
                Ok(reply) => {
                    self.completed(Step::Recipient, &reply)?;
                    receipt.accepted.push(Arc::clone(name));
                }
                Err(error) if error.is_permanent() && !too_many(&error) => {
                    receipt.refused.push((Arc::clone(name), self.redactor.explain(&error)));
                }
                Err(error) if error.is_transient() || error.is_permanent() => {
                    receipt.deferred.push((Arc::clone(name), self.redactor.explain(&error)));
                }
                Err(error) => return Err(with_refused(self.failure(Step::Recipient, &error), &receipt)),
            }
        }
        Ok(receipt)
    }

    /// What it means that no recipient was taken: final only if each was refused for good.
    fn nobody(&self, receipt: Receipt) -> DeliveryError {
        let reasons: Vec<String> =
            receipt.refused.iter().chain(&receipt.deferred).map(|(to, reason)| format!("{to}: {reason}")).collect();
        let mut error = self.error(Step::Recipient, &format!("nobody was accepted: {}", reasons.join("; ")));
        error.permanent = receipt.deferred.is_empty();
        error.refused = receipt.refused;
        error
    }

    /// What a failure at DATA or after the content means. A definite reply is a verdict on this mail (RFC 5321, 4.2.5:
    /// the server has not kept it); anything else leaves the step's own uncertainty.
    fn verdict(&self, step: Step, error: &Error) -> DeliveryError {
        let failure = self.failure(step, error);
        if error.is_permanent() {
            DeliveryError::permanent(failure.message)
        } else if error.is_transient() {
            DeliveryError::before_content(failure.message)
        } else {
            failure
        }
    }

    fn completed(&self, step: Step, reply: &Response) -> Result<(), DeliveryError> {
        if reply.code().severity == Severity::PositiveCompletion { Ok(()) } else { Err(self.unexpected(step, reply)) }
    }

    fn unexpected(&self, step: Step, reply: &Response) -> DeliveryError {
        let text: Vec<&str> = reply.message().collect();
        let what = self.redactor.clean(&format!("unexpected reply {} {}", reply.code(), text.join(" ")));
        self.error(step, &what)
    }
}

/// Somebody the mail is for: the name the notification knows them by, and the address if it is one.
pub(super) struct Recipient {
    pub(super) name: Arc<str>,
    pub(super) address: Result<Address, String>,
}

/// RFC 5321, 4.5.3.1.10: 552 to RCPT means too many recipients, and is to be treated as 452.
fn too_many(error: &Error) -> bool {
    error.status().is_some_and(|code| u16::from(code) == 552)
}

fn with_refused(mut error: DeliveryError, receipt: &Receipt) -> DeliveryError {
    error.refused.clone_from(&receipt.refused);
    error
}
