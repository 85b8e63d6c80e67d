//! Whether dead devices disturb the live ones: the same list with all alive and with a share dead, in turns.

use std::collections::HashSet;
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use netwatch_tests::capture::{Capture, Captured};

use crate::Common;
use crate::accuracy::micros;
use crate::daemon::{INTERVAL, Netwatch};
use crate::lab::{INTERFACE, Lab, alive, dead};
use crate::report::Report;
use crate::stats::Series;

/// What was seen of the live devices in one world.
#[derive(Debug, Default)]
struct World {
    said_p50: Series,
    said_p99: Series,
    true_p50: Series,
    true_p99: Series,
    period_p50: Series,
    period_p99: Series,
    down: u64,
}

/// The command. `percent` of the devices are dead in the second world.
pub(crate) fn measure(count: usize, percent: usize, common: &Common) {
    let lab = Lab::new();
    let is_dead = |number: usize| number % 100 < percent;
    let mut worlds = [(0, World::default()), (percent, World::default())];
    for _ in 0..common.runs {
        for (share, world) in &mut worlds {
            let address =
                |number: usize| if *share > 0 && is_dead(number) { dead(number) } else { alive(false, number) };
            let devices: Vec<IpAddr> = (0..count).map(address).collect();
            let live: HashSet<IpAddr> = (0..count).filter(|number| !is_dead(*number)).map(address).collect();
            look(&lab, &devices, &live, Duration::from_secs(common.seconds), world);
        }
    }
    let head = [
        "devices",
        "dead, %",
        "RTT shown p50, us",
        "p99, us",
        "true RTT p50, us",
        "p99, us",
        "off the second p50, us",
        "p99, us",
        "NO RESPONDE",
    ];
    let mut report = Report::new("dead", &head);
    for (share, world) in worlds {
        report.row([
            count.to_string(),
            share.to_string(),
            format!("{:.1}", world.said_p50),
            format!("{:.1}", world.said_p99),
            format!("{:.1}", world.true_p50),
            format!("{:.1}", world.true_p99),
            format!("{:.0}", world.period_p50),
            format!("{:.0}", world.period_p99),
            world.down.to_string(),
        ]);
    }
    report.remark(format!(
        "Of the same live devices in both worlds; median and extremes of {} runs of {} s. RTT shown: by the API. Off the second: how \
         far the time between two requests of a check is from 1 s, by the capture.",
        common.runs, common.seconds
    ));
    report.finish(common.write);
}

fn look(lab: &Lab, devices: &[IpAddr], live: &HashSet<IpAddr>, window: Duration, world: &mut World) {
    let daemon = Netwatch::start(lab, devices, false);
    thread::sleep(INTERVAL * 2 + Duration::from_secs(3));
    let capture = Capture::start(&lab.monitor, INTERFACE);
    thread::sleep(window);
    let captured = capture.stop();
    assert_eq!(captured.missed, 0, "the capture missed packets: nothing can be said");
    let rows = daemon.list();
    world.down = world.down.max(rows.iter().filter(|row| row["status"] == "down").count() as u64);
    daemon.stop();
    let of_live = rows.iter().filter(|row| {
        let address = row["address"].as_str().and_then(|address| address.parse().ok());
        address.is_some_and(|address| live.contains(&address))
    });
    let said: Vec<i64> = of_live.filter_map(|row| Some((row["rtt_ms"].as_f64()? * 1e6) as i64)).collect();
    let exchanges = || live.iter().filter_map(|address| captured.exchanges.get(address)).flatten();
    let truth: Vec<i64> = exchanges().filter_map(|one| i64::try_from(one.rtt()?.as_nanos()).ok()).collect();
    let period = periods(&captured, live);
    for (series, values, share) in [
        (&mut world.said_p50, &said, 0.5),
        (&mut world.said_p99, &said, 0.99),
        (&mut world.true_p50, &truth, 0.5),
        (&mut world.true_p99, &truth, 0.99),
        (&mut world.period_p50, &period, 0.5),
        (&mut world.period_p99, &period, 0.99),
    ] {
        series.push(micros(values, share));
    }
}

/// How far each gap between two requests of one check is from the second that it should be.
fn periods(captured: &Captured, live: &HashSet<IpAddr>) -> Vec<i64> {
    let second = 1_000_000_000;
    let of_one = live.iter().filter_map(|address| captured.exchanges.get(address));
    let gaps = of_one.flat_map(|all| all.windows(2).map(|pair| pair[1].sent - pair[0].sent));
    gaps.filter(|gap| *gap < 2 * second).map(|gap| gap - second).collect()
}
