//! A sink of your own: how often each device answered, printed at the end.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use netwatch_core::{
    Check, Echo, ForgetfulJournal, Loss, Netwatch, Plan, Probe, Rtt, Sample, Settings, StatusSink, Target, TargetId,
    Transition, async_trait,
};

#[derive(Default)]
struct Availability(Mutex<BTreeMap<TargetId, (usize, usize)>>);

#[async_trait]
impl StatusSink for Availability {
    async fn transitions(&self, changed: &[Transition]) {
        changed.iter().for_each(|change| println!("{} is {}", change.name, change.to.file_word()));
    }

    async fn samples(&self, samples: &[Sample]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for sample in samples {
            let (answered, asked) = counts.entry(sample.target).or_default();
            *answered += sample.replies();
            *asked += sample.echoes.len();
        }
    }

    async fn stop(&self) {
        for (target, (answered, asked)) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            println!("device {}: {answered} of {asked} echoes answered", target.index());
        }
    }
}

struct Pretend;

#[async_trait]
impl Probe for Pretend {
    async fn check(&self, check: &Check) -> Sample {
        let echo = if check.name() == "dead" { Echo::Lost(Loss::NoReply) } else { Echo::Reply(Rtt::default()) };
        Sample::new(check.target, check.at, check.at, [echo].into_iter().collect())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = Settings::default();
    (settings.pings, settings.interval, settings.timeout) = (1, Duration::from_millis(250), Duration::from_millis(200));
    let device =
        |name| Ok(Target::at(name, "127.0.0.1".parse()?).with_settings(settings.clone()).with_probe("pretend"));
    let targets = ["alive", "dead"].into_iter().map(device).collect::<Result<_, Box<dyn Error>>>()?;
    let builder = Netwatch::builder(Plan::new(targets), Box::new(ForgetfulJournal::new()));
    let netwatch = builder.probe("pretend", Arc::new(Pretend)).sink("availability", Arc::new(Availability::default()));
    Ok(netwatch.build()?.run(tokio::time::sleep(Duration::from_secs(2))).await?)
}
