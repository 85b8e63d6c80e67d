//! Makes a failure smaller: fewer classes of misfortune, fewer devices, fewer hours, as long as the same rule of the same
//! promise is broken.

use std::time::Duration;

use netwatch_core::testing::promises::Violation;
use netwatch_core::testing::world::{History, WorldOptions};

use crate::live;

/// The numbers of devices and of hours that are tried.
const DEVICES: [usize; 7] = [2, 3, 5, 8, 12, 20, 35];
const HOURS: [u32; 6] = [1, 2, 3, 6, 10, 15];

/// The smallest day that breaks the same rule, with its history and its violation if it is smaller.
pub(crate) fn smallest(options: WorldOptions, wanted: &Violation) -> (WorldOptions, Option<(History, Violation)>) {
    let mut best = (options, None);
    let try_it = |best: &mut (WorldOptions, Option<(History, Violation)>), options: WorldOptions| {
        let verdict = live(options);
        let is_same = |found: &Violation| (found.promise, found.rule) == (wanted.promise, wanted.rule);
        let found = verdict.violations.into_iter().find(is_same);
        let Some(kept) = verdict.history.zip(found) else { return false };
        *best = (options, Some(kept));
        true
    };
    for round in 0..2 {
        for class in best.0.classes.iter() {
            let mut fewer = best.0;
            fewer.classes = fewer.classes.without(class);
            try_it(&mut best, fewer);
        }
        if round > 0 {
            break;
        }
        for hours in HOURS {
            let mut shorter = best.0;
            shorter.turmoil = Duration::from_secs(3600) * hours;
            if shorter.turmoil < best.0.turmoil && try_it(&mut best, shorter) {
                break;
            }
        }
        for devices in DEVICES {
            let mut fewer = best.0;
            fewer.devices = devices;
            if devices < best.0.devices && try_it(&mut best, fewer) {
                break;
            }
        }
    }
    best
}
