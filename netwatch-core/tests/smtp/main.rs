//! What the mail notifier promises, against a server that breaks every promise of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic, and so may its helpers")]

mod faults;
mod mails;
mod server;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{
    Content, DeliveryError, MailId, Notification, Notifier, Receipt, Security, SmtpConfig, SmtpNotifier, Wall,
};

/// When an attempt ends whose server hangs: ample for everything before that, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(2);
/// When any other attempt ends: a test fails rather than hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A plain connection to the server at this port.
fn plain(port: u16) -> SmtpConfig {
    let mut config = SmtpConfig::new("127.0.0.1", "netwatch <noc@example.net>").with_security(Security::None);
    config.port = port;
    config.timeout = PATIENCE;
    config
}

/// A mail of these words for these recipients.
fn mail(content: Content, recipients: &[&str]) -> Notification {
    let date = Wall::from_unix_nanos(1_795_330_200_000_000_000);
    let mut notification = Notification::new(MailId::new(17), "<17.1.noc@netwatch>", date, content);
    notification.recipients = recipients.iter().map(|to| Arc::from(*to)).collect();
    notification
}

fn hello() -> Notification {
    mail(Content::new("NO RESPONDE: agg-3", "hola\n", "<p>hola</p>\n"), &["turno@example.net"])
}

/// One attempt, which must end by itself.
async fn attempt(config: SmtpConfig, notification: &Notification) -> Result<Receipt, DeliveryError> {
    let notifier = SmtpNotifier::new(config).unwrap();
    tokio::time::timeout(PATIENCE * 2, notifier.deliver(notification)).await.expect("the attempt ends by itself")
}
