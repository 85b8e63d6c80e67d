//! The long run: many devices for minutes, and where every echo went.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Common;
use crate::cost::{Meter, Whose};
use crate::daemon::{INTERVAL, Netwatch};
use crate::floor::Floor;
use crate::lab::{Lab, alive};
use crate::report::Report;

/// How often the statuses are looked at; the API's loss is that of the last six checks, a minute.
const LOOK: Duration = Duration::from_secs(50);

/// To list more devices than this would be a load of its own.
const MOST_LISTED: usize = 100_000;

/// For how long, and in which way.
#[derive(Debug, clap::Args)]
pub(crate) struct How {
    /// For how long each.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// IPv6 instead of IPv4.
    #[arg(long)]
    v6: bool,
    /// Runs the daemon as nobody, with CAP_NET_RAW alone.
    #[arg(long)]
    cap_net_raw: bool,
    /// The block of docs/PERFORMANCE.md; by default that of the way.
    #[arg(long)]
    name: Option<String>,
}

/// The command. `sizes` are numbers of targets.
pub(crate) fn measure(sizes: &[usize], how: &How, common: &Common) {
    let How { minutes, v6: is_v6, cap_net_raw, ref name } = *how;
    let lab = Lab::new();
    let head = [
        "targets",
        "minutes",
        "planned",
        "sent, %",
        "skipped by the lab",
        "devices with loss",
        "devices not OK",
        "us an echo",
        "floor at that rate, us",
        "floor's echoes/s",
        "resident, MB",
        "B a target over 40 MB",
        "stolen, s",
    ];
    let name = match (name, is_v6, cap_net_raw) {
        (Some(name), _, _) => name,
        (None, false, false) => "sustain",
        (None, true, _) => "sustain-v6",
        (None, false, true) => "sustain-cap-net-raw",
    };
    let mut report = Report::new(name, &head);
    for size in sizes {
        let devices: Vec<IpAddr> = (0..*size).map(|number| alive(is_v6, number)).collect();
        let daemon = Netwatch::start(&lab, &devices, cap_net_raw);
        thread::sleep(INTERVAL * 2);
        let meter = Meter::start(&lab, Whose::Process(daemon.pid()));
        let (begin, end, before) = (Instant::now(), Duration::from_secs_f64(minutes * 60.0), daemon.counters());
        let (mut lossy, mut not_ok) = (0, 0);
        while begin.elapsed() < end {
            thread::sleep(LOOK.min(end.saturating_sub(begin.elapsed())));
            let statuses = daemon.statuses();
            let of = |status: &str| statuses[status].as_u64().expect("a count");
            not_ok = not_ok.max(of("total") - of("ok"));
            if *size <= MOST_LISTED {
                lossy = lossy.max(daemon.with_loss());
            }
        }
        let (spent, after) = (meter.stop(&lab), daemon.counters());
        let (resident, _) = crate::cost::memory(daemon.pid());
        daemon.stop();
        let rate = u64::try_from(*size / 2).expect("a number of devices");
        let (floor, _) = Floor { is_v6, ..Floor::paced(rate) }.run(&lab, Duration::from_secs(common.seconds));
        let planned = *size as f64 * 5.0 * spent.wall.as_secs_f64() / INTERVAL.as_secs_f64();
        report.row([
            size.to_string(),
            format!("{:.1}", spent.wall.as_secs_f64() / 60.0),
            format!("{planned:.0}"),
            format!("{:.4}", (spent.answered.requests as f64 / planned * 100.0).min(100.0)),
            (spent.answered.requests.saturating_sub(spent.answered.replies)).to_string(),
            if *size <= MOST_LISTED { lossy.to_string() } else { "-".to_owned() },
            not_ok.to_string(),
            format!("{:.2}", spent.per_echo()),
            format!("{:.2}", floor.per_echo()),
            format!("{:.0}", floor.answered.requests as f64 / floor.wall.as_secs_f64()),
            format!("{:.1}", resident as f64 / 1e6),
            format!("{:.0}", (resident as f64 - 40e6).max(0.0) / *size as f64),
            format!("{:.2}", spent.stolen.as_secs_f64()),
        ]);
        let grown: Vec<String> = grown(&before, &after).into_iter().map(|(name, by)| format!("{name} {by}")).collect();
        report.remark(format!("{size} targets, netwatch's own counters over these minutes: {}.", grown.join(", ")));
    }
    report.remark(
        "Planned is what the intervals ask for; an echo that would leave more than 50 ms late is not sent (*unknown*), so that what \
         was sent was on time. Skipped by the lab: IcmpInEchos - IcmpOutEchoReps of the answering kernel. Devices with loss, and not \
         OK: the most at any look, one look a minute.",
    );
    report.finish(common.write);
}

/// The counters that grew.
fn grown(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let by = |name: &String, value: &u64| value - before.get(name).copied().unwrap_or(0).min(*value);
    after.iter().map(|(name, value)| (name.clone(), by(name, value))).filter(|(_, by)| *by > 0).collect()
}

/// All whole numbers of a JSON value under the names that lead to them.
pub(crate) fn numbers(value: &Value, name: &str, into: &mut BTreeMap<String, u64>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(field, value)| {
            let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
            numbers(value, &name, into);
        }),
        Value::Number(number) => {
            number.as_u64().map(|number| into.insert(name.to_owned(), number));
        }
        _ => {}
    }
}
