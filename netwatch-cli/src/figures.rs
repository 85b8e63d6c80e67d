//! What `/healthz` and `netwatch status` tell of the ICMP engine: what it counted, and how far off its round-trip times are.

use std::sync::{Arc, Weak};
use std::time::Duration;

use netwatch_core::{Accuracy, Counters, Family, IcmpProbe};

/// A figure and its name in the API.
type Figure = (&'static str, Option<u64>);

/// Looks at the probe for as long as somebody else keeps it.
pub(crate) fn of(probe: &Arc<IcmpProbe>) -> impl Fn() -> Vec<Figure> + Send + 'static {
    let probe: Weak<IcmpProbe> = Arc::downgrade(probe);
    move || {
        let Some(probe) = probe.upgrade() else { return Vec::new() };
        let buffer = |family| probe.receive_buffer(family).map(|bytes| bytes as u64);
        let mut all = counted(&probe.counters());
        all.extend(accuracy(&probe.accuracy()));
        all.extend([("receive_buffer_v4", buffer(Family::V4)), ("receive_buffer_v6", buffer(Family::V6))]);
        all
    }
}

fn counted(counters: &Counters) -> Vec<Figure> {
    let all = [
        ("sent", counters.sent),
        ("replies", counters.replies),
        ("duplicates", counters.duplicates),
        ("late", counters.late),
        ("foreign_source", counters.foreign_source),
        ("wrong_identifier", counters.wrong_identifier),
        ("not_ours", counters.not_ours),
        ("bad_checksum", counters.bad_checksum),
        ("corrupt", counters.corrupt),
        ("truncated", counters.truncated),
        ("errors_matched", counters.errors_matched),
        ("errors_unmatched", counters.errors_unmatched),
        ("malformed", counters.malformed),
        ("receive_overflow", counters.receive_overflow),
        ("send_errors", counters.send_errors),
        ("not_sent", counters.not_sent),
        ("stalls", counters.stalls),
        ("softnet_drops", counters.softnet_drops),
        ("conntrack_drops", counters.conntrack_drops),
    ];
    all.into_iter().map(|(name, count)| (name, Some(count))).collect()
}

fn accuracy(accuracy: &Accuracy) -> [Figure; 4] {
    [
        ("rtt_error_samples", Some(accuracy.samples)),
        ("rtt_error_p50_us", accuracy.p50.map(micros)),
        ("rtt_error_p99_us", accuracy.p99.map(micros)),
        ("canary_rtt_us", accuracy.canary_rtt.map(micros)),
    ]
}

/// Microseconds, rounded up: an error is never told smaller than it is.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_counted_is_told_by_name() {
        let mut counters = Counters::default();
        (counters.sent, counters.softnet_drops) = (7, 3);
        let all = counted(&counters);
        assert!(all.contains(&("sent", Some(7))) && all.contains(&("softnet_drops", Some(3))));
        assert_eq!(micros(Duration::from_nanos(12_001)), 13);
        let none = accuracy(&Accuracy::default());
        assert!(none.contains(&("rtt_error_p99_us", None)) && none.contains(&("rtt_error_samples", Some(0))));
    }
}
