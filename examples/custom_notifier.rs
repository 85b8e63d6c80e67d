//! A notifier of your own: one syslog datagram (RFC 5424) for each mail. The server is played by this program.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use netwatch_core::{
    Check, DeliveryError, Echo, ForgetfulJournal, Loss, Netwatch, Notification, Notifier, NotifierPolicy, Plan, Probe,
    Receipt, Sample, Settings, Target, async_trait,
};
use tokio::net::UdpSocket;

struct Syslog(SocketAddr);

#[async_trait]
impl Notifier for Syslog {
    async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
        let failed = |error| DeliveryError::before_content(format!("syslog to {}: {error}", self.0));
        let socket = UdpSocket::bind("127.0.0.1:0").await.map_err(failed)?;
        let line = format!("<129>1 - - netwatch - - - {}", notification.content.subject);
        socket.send_to(line.as_bytes(), self.0).await.map_err(failed)?;
        Ok(Receipt::accepted(&notification.recipients))
    }
}

struct Dead;

#[async_trait]
impl Probe for Dead {
    async fn check(&self, check: &Check) -> Sample {
        Sample::new(check.target, check.at, check.at, [Echo::Lost(Loss::NoReply)].into_iter().collect())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = UdpSocket::bind("127.0.0.1:0").await?;
    let mut settings = Settings::default();
    (settings.pings, settings.interval, settings.timeout) = (1, Duration::from_millis(500), Duration::from_millis(400));
    settings.tolerance = Duration::ZERO;
    let mut policy = NotifierPolicy::new("syslog");
    policy.group_wait = Duration::ZERO;
    let target = Target::at("olt-1", "127.0.0.1".parse()?).with_settings(settings).with_probe("dead");
    let netwatch = Netwatch::builder(Plan::new(vec![target]).with_notifier(policy), Box::new(ForgetfulJournal::new()))
        .probe("dead", Arc::new(Dead))
        .notifier("syslog", Arc::new(Syslog(server.local_addr()?)))
        .build()?;
    netwatch.run(tokio::time::sleep(Duration::from_secs(2))).await?;
    let mut line = [0; 1024];
    let (length, _) = tokio::time::timeout(Duration::from_secs(1), server.recv_from(&mut line)).await??;
    println!("{}", String::from_utf8_lossy(line.get(..length).unwrap_or_default()));
    Ok(())
}
