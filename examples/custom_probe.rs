//! A probe of your own: is a TCP port open? It is for two seconds, then the door closes.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netwatch_core::{
    Cause, Check, Echo, ForgetfulJournal, Loss, Netwatch, Plan, Probe, Rtt, Sample, Settings, StatusSink, Target,
    Transition, async_trait,
};
use tokio::net::{TcpListener, TcpStream};

struct TcpProbe(u16);

#[async_trait]
impl Probe for TcpProbe {
    async fn check(&self, check: &Check) -> Sample {
        let begun = Instant::now();
        let connect = TcpStream::connect((check.address.ip(), self.0));
        let echo = match tokio::time::timeout(check.settings.timeout, connect).await {
            Ok(Ok(_)) => Echo::Reply(Rtt::from_duration(begun.elapsed())),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Echo::Lost(Loss::BadReply),
            // This machine could not ask, so it cannot tell.
            Ok(Err(_)) => Echo::Unknown(Cause::ProbeFailed),
            Err(_) => Echo::Lost(Loss::NoReply),
        };
        Sample::new(check.target, check.at, check.at.plus(begun.elapsed()), [echo].into_iter().collect())
    }
}

struct Print;

#[async_trait]
impl StatusSink for Print {
    async fn transitions(&self, changed: &[Transition]) {
        changed.iter().for_each(|change| println!("{}: {}", change.name, change.to.file_word()));
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let door = TcpListener::bind("127.0.0.1:0").await?;
    let port = door.local_addr()?.port();
    let mut settings = Settings::default();
    (settings.pings, settings.interval, settings.timeout) = (1, Duration::from_millis(500), Duration::from_millis(400));
    let target = Target::at("door", "127.0.0.1".parse()?).with_settings(settings).with_probe("tcp");
    let netwatch = Netwatch::builder(Plan::new(vec![target]), Box::new(ForgetfulJournal::new()))
        .probe("tcp", Arc::new(TcpProbe(port)))
        .sink("terminal", Arc::new(Print))
        .build()?;
    let end = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(door);
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    Ok(netwatch.run(end).await?)
}
