//! netwatch inside another program: a device dies and comes back, and its people are told of both.
//!
//! Here the device is played by the program itself, so that this runs anywhere; `IcmpProbe` asks real ones.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use netwatch_core::{
    Check, DeliveryError, Echo, ForgetfulJournal, Loss, Netwatch, Notification, Notifier, NotifierPolicy, Plan, Probe,
    Receipt, Rtt, Sample, Settings, Target, async_trait,
};

/// Answers, except to its fourth, fifth and sixth check.
struct Device(AtomicU32);

#[async_trait]
impl Probe for Device {
    async fn check(&self, check: &Check) -> Sample {
        let dead = (3..6).contains(&self.0.fetch_add(1, Ordering::Relaxed));
        let echo = if dead { Echo::Lost(Loss::NoReply) } else { Echo::Reply(Rtt::default()) };
        Sample::new(check.target, check.at, check.at, [echo].into_iter().collect())
    }
}

struct Print;

#[async_trait]
impl Notifier for Print {
    async fn deliver(&self, notification: &Notification) -> Result<Receipt, DeliveryError> {
        println!("{}", notification.content.subject);
        Ok(Receipt::accepted(&notification.recipients))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = Settings::default();
    (settings.pings, settings.interval, settings.timeout) = (1, Duration::from_millis(250), Duration::from_millis(200));
    (settings.tolerance, settings.settle) = (Duration::ZERO, Duration::ZERO);
    let mut policy = NotifierPolicy::new("terminal");
    (policy.group_wait, policy.group_interval) = (Duration::ZERO, Duration::ZERO);
    let target = Target::at("olt-1", "127.0.0.1".parse()?).with_settings(settings).with_probe("device");

    let netwatch = Netwatch::builder(Plan::new(vec![target]).with_notifier(policy), Box::new(ForgetfulJournal::new()))
        .probe("device", Arc::new(Device(AtomicU32::new(0))))
        .notifier("terminal", Arc::new(Print))
        .build()?;
    netwatch.run(tokio::time::sleep(Duration::from_secs(4))).await?;
    Ok(())
}
