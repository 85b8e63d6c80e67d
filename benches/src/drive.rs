//! The engine alone, asked as the daemon asks it: slices of checks, twenty times a second, shortly ahead of their time.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netwatch_core::{Check, CheckId, IcmpProbe, Mono, Probe, Report, Sample, Settings, TargetId};
use nix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

const TICK: Duration = Duration::from_millis(50);
const AHEAD: Duration = Duration::from_millis(100);

/// Who is asked, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round<'a> {
    /// The devices.
    pub(crate) addresses: &'a [IpAddr],
    /// How many checks of each.
    pub(crate) laps: u32,
}

/// Samples as they came. `CheckId / addresses` is the lap, the target's index that of the address.
#[derive(Debug, Default)]
pub(crate) struct Collected(Mutex<Vec<Sample>>);

impl Collected {
    /// All of them, in order of device and time.
    pub(crate) fn take(&self) -> Vec<Sample> {
        let mut all = std::mem::take(&mut *self.0.lock().expect("nobody panics with it"));
        all.sort_unstable_by_key(|sample| (sample.target, sample.at));
        all
    }
}

impl Report for Collected {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        let mut all = self.0.lock().expect("nobody panics with it");
        all.extend(samples.iter().map(|(_, sample)| sample.clone()));
    }
}

/// For when only the cost counts.
#[derive(Debug)]
pub(crate) struct Forgotten;

impl Report for Forgotten {
    fn report(&self, _: &[(CheckId, Sample)]) {}
}

impl Round<'_> {
    /// Asks all of them and returns when the last sample is in.
    pub(crate) fn run(&self, probe: &Arc<IcmpProbe>, out: &Arc<impl Report + 'static>) {
        let settings = Arc::new(Settings::default());
        let (count, name): (usize, Arc<str>) = (self.addresses.len(), "device".into());
        let begin = monotonic().plus(Duration::from_millis(200));
        let lap = settings.interval;
        let at = |number: usize| {
            let phase = lap.as_nanos() * (number % count) as u128 / count as u128;
            let laps = u32::try_from(number / count).expect("few laps");
            begin.plus(lap * laps).plus(Duration::from_nanos(u64::try_from(phase).expect("less than a lap")))
        };
        let stride = stride(count);
        let check = |number: usize| {
            let place = (number % count) * stride % count;
            let address = SocketAddr::new(self.addresses[place], 0);
            let (id, target) = (CheckId::new(number as u64), TargetId::from_index(place));
            Check::new(id, target, Arc::clone(&name), address, at(number), Arc::clone(&settings))
        };
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let (mut next, end, mut slices) = (0, count * self.laps as usize, JoinSet::new());
            let mut ticks = tokio::time::interval(TICK);
            while next < end {
                ticks.tick().await;
                let until = monotonic().plus(AHEAD);
                let first = next;
                while next < end && at(next) < until {
                    next += 1;
                }
                let due: Vec<Check> = (first..next).map(check).collect();
                let (probe, out) = (Arc::clone(probe), Arc::clone(out));
                slices.spawn(async move { probe.check_many(due, &*out).await });
                while slices.try_join_next().is_some() {}
            }
            slices.join_all().await;
        });
    }
}

/// `CLOCK_MONOTONIC`, the engine's clock.
pub(crate) fn monotonic() -> Mono {
    Mono::from_nanos(u64::try_from(nanos(ClockId::CLOCK_MONOTONIC)).expect("after the start"))
}

/// `CLOCK_REALTIME - CLOCK_MONOTONIC`, in nanoseconds: the closest of some readings.
pub(crate) fn offset() -> i64 {
    let look = || {
        let before = nanos(ClockId::CLOCK_MONOTONIC);
        let real = nanos(ClockId::CLOCK_REALTIME);
        let after = nanos(ClockId::CLOCK_MONOTONIC);
        (after - before, real - before - (after - before) / 2)
    };
    (0..20).map(|_| look()).min().map_or(0, |(_, offset)| offset)
}

fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock).expect("a clock that every Linux has");
    time.tv_sec() * 1_000_000_000 + time.tv_nsec()
}

/// A step that visits every one of `count` places, far from the last: neighbours in the list are not asked back to back.
fn stride(count: usize) -> usize {
    let common = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let start = (count as f64 * 0.618) as usize;
    (start.max(1)..).find(|step| common(*step, count) == 1).expect("count + 1 is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_leaves_nobody_out() {
        for count in [1, 2, 10, 1000, 4096] {
            let mut places: Vec<_> = (0..count).map(|number| number * stride(count) % count).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), count);
        }
    }
}
