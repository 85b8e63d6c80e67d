//! Scratch: a paced load. args: targets seconds interval_s pings
#![allow(clippy::all, clippy::unwrap_used, missing_docs)]
use netwatch_core::{Check, CheckId, Echo, IcmpOptions, IcmpProbe, Mono, Probe, Report, Sample, Settings, TargetId};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

static R: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
struct Sink;
impl Report for Sink {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        let mut c = [0u64; 3];
        for (_, s) in samples {
            for e in s.echoes.iter() {
                match e {
                    Echo::Reply(_) => c[0] += 1,
                    Echo::Lost(_) => c[1] += 1,
                    _ => c[2] += 1,
                }
            }
        }
        for i in 0..3 {
            R[i].fetch_add(c[i], Relaxed);
        }
    }
}
fn now() -> Mono {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Mono::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}
fn threads() -> Vec<(String, u64, u64, u64)> {
    let mut v = vec![];
    for t in std::fs::read_dir("/proc/self/task").unwrap() {
        let p = t.unwrap().path();
        let name = std::fs::read_to_string(p.join("comm")).unwrap().trim().to_string();
        let sched = std::fs::read_to_string(p.join("schedstat")).unwrap();
        let stat = std::fs::read_to_string(p.join("stat")).unwrap();
        let rest = stat.rsplit_once(')').unwrap().1.to_string();
        let f: Vec<&str> = rest.split_whitespace().collect();
        v.push((
            name,
            sched.split(' ').next().unwrap().parse().unwrap(),
            f[11].parse().unwrap(),
            f[12].parse().unwrap(),
        ));
    }
    v
}
fn rss() -> u64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    s.lines().find(|l| l.starts_with("VmRSS")).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}
fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let (n, secs, interval, pings) = (a[0], a[1], a[2], a[3]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        println!("rss before {} kB", rss());
        let probe = Arc::new(IcmpProbe::open(IcmpOptions::default().with_receive_buffer(64 << 20)).unwrap());
        let mut settings = Settings::default();
        settings.pings = pings as u16;
        let settings = Arc::new(settings);
        let name: Arc<str> = "x".into();
        let start = now().plus(Duration::from_millis(200));
        let period = interval * 1_000_000_000;
        let mut k = 0u64; // k-th check overall
        let end = start.plus(Duration::from_secs(secs));
        loop {
            let t = now();
            if t > end {
                break;
            }
            let mut due = vec![];
            loop {
                let at = start.plus(Duration::from_nanos((k as u128 * period as u128 / n as u128) as u64));
                if at > t.plus(Duration::from_millis(100)) {
                    break;
                }
                let target = k % n;
                let ip = Ipv4Addr::from(0xc612_0000u32 + ((target as u32).wrapping_mul(7919) % 131072));
                due.push(Check::new(
                    CheckId::new(k),
                    TargetId::from_index(target as usize),
                    Arc::clone(&name),
                    SocketAddr::from((ip, 0)),
                    at,
                    Arc::clone(&settings),
                ));
                k += 1;
            }
            if !due.is_empty() {
                let probe = Arc::clone(&probe);
                tokio::task::spawn_local(async move {
                    probe.check_many(&due, &Sink).await;
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(pings * 1000 + 2200)).await;
        println!("rss after {} kB", rss());
        let c = probe.counters();
        println!("{c:?}");
        println!("reply/lost/unknown {R:?}");
        let sent = c.sent.max(1) as f64;
        for (name, run, u, s) in threads() {
            println!(
                "{name}: {:.3} us/echo run, user {:.3} sys {:.3}",
                run as f64 / 1000.0 / sent,
                u as f64 * 10_000.0 / sent,
                s as f64 * 10_000.0 / sent
            );
        }
    }));
}
