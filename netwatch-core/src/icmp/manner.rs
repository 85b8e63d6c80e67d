//! How checks are made: few devices are asked in a manner of their own, so a slot holds a number instead of durations.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{PayloadRule, Settings};

/// What of a target's settings concerns its echoes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Manner {
    pub(super) pings: u16,
    /// In nanoseconds, as the timeout: they are added and compared for every echo.
    pub(super) spacing: u64,
    pub(super) timeout: u64,
    pub(super) rule: PayloadRule,
}

impl Manner {
    pub(super) fn of(settings: &Settings) -> Manner {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Manner {
            pings: settings.pings.max(1),
            spacing: nanos(settings.spacing),
            timeout: nanos(settings.timeout),
            rule: settings.payload,
        }
    }
}

/// All manners in use, each once, with the number of slots that hold it.
#[derive(Debug, Default)]
pub(super) struct Manners {
    kept: Vec<(Manner, u32)>,
    free: Vec<u32>,
    places: HashMap<Manner, u32>,
    /// The one asked for last: most likely the next as well.
    last: Option<(Manner, u32)>,
}

impl Manners {
    /// The number of this manner, which one slot more holds.
    pub(super) fn hold(&mut self, manner: Manner) -> u32 {
        let known = self.last.filter(|(last, _)| *last == manner).map(|(_, number)| number);
        let number = known.or_else(|| self.places.get(&manner).copied()).unwrap_or_else(|| self.add(manner));
        self.last = Some((manner, number));
        if let Some((_, holders)) = self.kept.get_mut(number as usize) {
            *holders += 1;
        }
        number
    }

    /// One slot less holds the manner of this number.
    pub(super) fn release(&mut self, number: u32) {
        let Some((manner, holders)) = self.kept.get_mut(number as usize) else { return };
        *holders = holders.saturating_sub(1);
        if *holders == 0 {
            self.places.remove(manner);
            self.free.push(number);
            self.last = None;
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&Manner> {
        self.kept.get(number as usize).map(|(manner, _)| manner)
    }

    fn add(&mut self, manner: Manner) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.kept.push((manner, 0));
            u32::try_from(self.kept.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.kept.get_mut(number as usize) {
            *place = (manner, 0);
        }
        self.places.insert(manner, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ms: u64) -> Manner {
        Manner { timeout: ms * 1_000_000, ..Manner::of(&Settings::default()) }
    }

    #[test]
    fn equal_settings_share_a_number_and_reloads_leave_nothing_behind() {
        let mut manners = Manners::default();
        let held: Vec<u32> = (0..100).map(|_| manners.hold(of(1))).collect();
        assert!(held.iter().all(|number| *number == held[0]));
        for ms in 2..1_000 {
            let number = manners.hold(of(ms));
            assert_eq!(manners.get(number), Some(&of(ms)));
            assert_eq!(manners.get(held[0]), Some(&of(1)));
            manners.release(number);
        }
        assert_eq!(manners.kept.len(), 2);
        for number in held {
            manners.release(number);
        }
        assert!(manners.places.is_empty());
    }
}
