//! The provider's network as it really is: what hangs on what, and when each device is silent. It is settled before the
//! first check, and nothing that netwatch does changes it.

use std::time::Duration;

use fastrand::Rng;

use super::chance::{between, exponential, source, troubles};
use super::class::Class;
use super::options::WorldOptions;
use super::span::{Span, Spans};
use crate::model::Mono;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How many towns there are.
const TOWNS: usize = 5;

/// A device as it really is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Device {
    /// What it hangs on: any one of these is enough. Empty for one beside netwatch.
    pub uplinks: Vec<usize>,
    /// Which town it stands in.
    pub town: usize,
    /// The share of echoes that its radio link loses.
    pub loss: f64,
    /// How long an answer takes.
    pub rtt: Duration,
    /// When it does not answer somebody beside netwatch whose own uplink works.
    pub silent: Spans,
    /// When nothing passes through it.
    pub broken: Spans,
}

/// The devices of a world; each comes after what it hangs on.
pub(super) fn devices(options: &WorldOptions) -> Vec<Device> {
    let end = Mono::ZERO.plus(options.turmoil);
    let power = power(options, end);
    let mut devices: Vec<Device> = Vec::with_capacity(options.devices);
    for number in 0..options.devices {
        let mut shape = source(options.seed, "shape", number);
        let uplinks = uplinks(&mut shape, number);
        let town = uplinks.first().map_or(number % TOWNS, |uplink| devices[*uplink].town);
        let town = if shape.u8(0..4) == 0 { shape.usize(0..TOWNS) } else { town };
        let mut own = Spans::default();
        if options.classes.has(Class::Devices) {
            own = deaths(&mut source(options.seed, "devices", number), end);
        }
        if options.classes.has(Class::Power) {
            own = own.union(&power[town]);
        }
        let mut flapping = source(options.seed, "flapping", number);
        if options.classes.has(Class::Flapping) && flapping.u8(0..20) == 0 {
            own = own.union(&flaps(&mut flapping, end));
        }
        let mut management = Spans::default();
        if options.classes.has(Class::Management) {
            let mut rng = source(options.seed, "management", number);
            management = troubles(&mut rng, end, 36 * HOUR, |rng| exponential(rng, 40 * MINUTE));
        }
        let cut = cut(options, &devices, &uplinks, number, end);
        let mut radio = source(options.seed, "radio", number);
        let is_radio = options.classes.has(Class::Radio) && radio.u8(0..5) == 0;
        let broken = own.union(&cut);
        devices.push(Device {
            uplinks,
            town,
            loss: if is_radio { 0.01 + 0.14 * radio.f64() } else { 0.0 },
            rtt: Duration::from_micros(shape.u64(200..80_000)),
            silent: broken.union(&management),
            broken,
        });
    }
    devices
}

fn uplinks(rng: &mut Rng, number: usize) -> Vec<usize> {
    if number < 2 {
        return Vec::new();
    }
    let nearest = rng.usize(0..number.div_ceil(2));
    let mut uplinks = vec![nearest];
    let other = rng.usize(0..number.div_ceil(2));
    if rng.u8(0..7) == 0 && other != nearest {
        uplinks.push(other);
    }
    uplinks
}

/// When a device is dead by itself: now for seconds, now for minutes, now for hours.
fn deaths(rng: &mut Rng, end: Mono) -> Spans {
    let mut deaths = troubles(rng, end, 14 * HOUR, |rng| match rng.u8(0..10) {
        0..3 => between(rng, Duration::from_secs(5), 2 * MINUTE),
        3..8 => exponential(rng, 8 * MINUTE),
        _ => between(rng, HOUR, 4 * HOUR),
    });
    if rng.u8(0..40) == 0 {
        // It is connected some time after netwatch was started, and has never answered until then.
        let connected = Mono::ZERO.plus(between(rng, MINUTE, 5 * HOUR)).min(end);
        deaths = deaths.union(&Spans::new([Span::new(Mono::ZERO, connected)]));
    }
    deaths
}

fn flaps(rng: &mut Rng, end: Mono) -> Spans {
    let sessions = troubles(rng, end, 6 * HOUR, |rng| between(rng, HOUR, 2 * HOUR));
    let mut flaps = Vec::new();
    for session in sessions.iter() {
        let mut at = session.from;
        while at < session.to {
            let to = at.plus(between(rng, MINUTE, 5 * MINUTE));
            flaps.push(Span::new(at, to.min(end)));
            at = to.plus(between(rng, MINUTE, 5 * MINUTE));
        }
    }
    Spans::new(flaps)
}

fn power(options: &WorldOptions, end: Mono) -> Vec<Spans> {
    let town = |number| {
        let mut rng = source(options.seed, "power", number);
        troubles(&mut rng, end, 18 * HOUR, |rng| between(rng, 2 * MINUTE, 50 * MINUTE))
    };
    (0..TOWNS).map(town).collect()
}

/// When every way to a device is cut.
fn cut(options: &WorldOptions, devices: &[Device], uplinks: &[usize], number: usize, end: Mono) -> Spans {
    let ways = uplinks.iter().enumerate().map(|(place, uplink)| {
        let mut way = devices[*uplink].broken.clone();
        if options.classes.has(Class::Links) {
            let mut rng = source(options.seed, "links", number * 2 + place);
            way = way.union(&troubles(&mut rng, end, 40 * HOUR, |rng| exponential(rng, 12 * MINUTE)));
        }
        way
    });
    ways.reduce(|cut, way| cut.intersection(&way)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_broken_device_is_silent_unless_there_is_another_way() {
        let devices = devices(&WorldOptions::new(3));
        let mut behind = 0;
        for device in devices.iter().filter(|device| !device.uplinks.is_empty()) {
            let ways = device.uplinks.iter().map(|uplink| devices[*uplink].broken.clone());
            let cut = ways.reduce(|all, way| all.intersection(&way)).unwrap_or_default();
            assert!(cut.iter().all(|span| device.silent.covers(span)));
            behind += cut.iter().count();
        }
        assert!(behind > 20, "a world in which nothing hangs on anything proves nothing: {behind}");
    }
}
