//! surge-ping as its documentation shows it: one client, a task and a pinger for each device.
//!
//!     surge TARGETS PINGS SPACING_MS
//!
//! The devices are 10.0.0.1 and up; each begins at its share of the spacing. At the end one JSON object.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use surge_ping::{Client, Config, PingIdentifier, PingSequence};

#[derive(Default)]
struct Seen {
    sent: AtomicU64,
    received: AtomicU64,
    nanos: AtomicU64,
}

#[tokio::main]
async fn main() {
    let words: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [targets, pings, spacing] = words[..] else { panic!("usage: surge TARGETS PINGS SPACING_MS") };
    let spacing = Duration::from_millis(spacing);
    let client = Client::new(&Config::default()).expect("root may ping");
    let seen = Arc::new(Seen::default());
    let begin = tokio::time::Instant::now() + Duration::from_millis(500);
    let mut tasks = Vec::new();
    for target in 0..targets {
        let (client, seen) = (client.clone(), Arc::clone(&seen));
        tasks.push(tokio::spawn(async move {
            let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + target as u32));
            let mut pinger = client.pinger(address, PingIdentifier(target as u16)).await;
            pinger.timeout(Duration::from_secs(2));
            let first = begin + spacing.mul_f64(target as f64 / targets as f64);
            for ping in 0..pings {
                tokio::time::sleep_until(first + spacing * ping as u32).await;
                seen.sent.fetch_add(1, Ordering::Relaxed);
                if let Ok((_, rtt)) = pinger.ping(PingSequence(ping as u16), &[0; 24]).await {
                    seen.received.fetch_add(1, Ordering::Relaxed);
                    seen.nanos.fetch_add(rtt.as_nanos() as u64, Ordering::Relaxed);
                }
            }
        }));
    }
    for task in tasks {
        task.await.expect("no task panics");
    }
    let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
    let mean = read(&seen.nanos) as f64 / read(&seen.received).max(1) as f64 / 1e3;
    println!("{{\"sent\":{},\"received\":{},\"mean_us\":{mean:.3}}}", read(&seen.sent), read(&seen.received));
}
