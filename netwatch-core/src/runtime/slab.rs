//! Where the checks under way stand: a place of memory for each, found by the number of its check without a search.
//!
//! A check's number is its place and how often that place was taken before, so that a report of a check that has ended
//! finds nothing, however late it comes. Memory follows the most checks that were ever under way together.

use crate::model::{Mono, TargetId};
use crate::probe::CheckId;

/// A check that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) target: TargetId,
    pub(super) at: Mono,
    pub(super) pings: u16,
    /// The place of its probe in the driver's list; the last place stands for those beyond it.
    pub(super) prober: u8,
    /// Its sample is out already, as unknown; the probe is still at it.
    pub(super) given_up: bool,
}

/// Checks by their numbers.
#[derive(Debug, Default)]
pub(super) struct Slab {
    places: Vec<Place>,
    /// The place that was left last; it knows the one before.
    free: Option<u32>,
}

#[derive(Debug)]
struct Place {
    /// Counts who was here.
    turn: u32,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Check(Open),
    /// The next free place.
    Free(Option<u32>),
}

impl Slab {
    /// Room for so many from the start: what would grow by copying leaves holes that nothing fits into.
    pub(super) fn with_room(checks: usize) -> Slab {
        Slab { places: Vec::with_capacity(checks), free: None }
    }

    /// Takes a check in, under a number that no check had before. `None` with 2^32 under way.
    pub(super) fn insert(&mut self, check: Open) -> Option<CheckId> {
        let Some(at) = self.free else {
            let at = u32::try_from(self.places.len()).ok()?;
            self.places.push(Place { turn: 0, held: Held::Check(check) });
            return Some(number(at, 0));
        };
        let place = self.places.get_mut(at as usize)?;
        if let Held::Free(next) = place.held {
            self.free = next;
        }
        place.held = Held::Check(check);
        Some(number(at, place.turn))
    }

    /// The check of this number, if it is under way.
    pub(super) fn get(&self, id: CheckId) -> Option<&Open> {
        let (at, turn) = place_and_turn(id);
        match self.places.get(at as usize)? {
            Place { turn: now, held: Held::Check(check) } if *now == turn => Some(check),
            _ => None,
        }
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, id: CheckId) -> Option<&mut Open> {
        let (at, turn) = place_and_turn(id);
        match self.places.get_mut(at as usize)? {
            Place { turn: now, held: Held::Check(check) } if *now == turn => Some(check),
            _ => None,
        }
    }

    /// Ends the check of this number.
    pub(super) fn remove(&mut self, id: CheckId) -> Option<Open> {
        let check = *self.get(id)?;
        let (at, _) = place_and_turn(id);
        let place = self.places.get_mut(at as usize)?;
        // After 2^32 turns a number comes again; the report it might be taken for is centuries old.
        *place = Place { turn: place.turn.wrapping_add(1), held: Held::Free(self.free.replace(at)) };
        Some(check)
    }

    /// Ends every check of which `keep` says so; it may change the others.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(CheckId, &mut Open) -> bool) {
        for at in 0..u32::try_from(self.places.len()).unwrap_or(u32::MAX) {
            let Some(place) = self.places.get_mut(at as usize) else { return };
            let id = number(at, place.turn);
            if let Held::Check(check) = &mut place.held
                && !keep(id, check)
            {
                self.remove(id);
            }
        }
    }

    /// How many places there are.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }
}

fn number(place: u32, turn: u32) -> CheckId {
    CheckId::new(u64::from(turn) << 32 | u64::from(place))
}

fn place_and_turn(id: CheckId) -> (u32, u32) {
    (id.number() as u32, (id.number() >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(n: usize) -> Open {
        Open { target: TargetId::from_index(n), at: Mono::ZERO, pings: 5, prober: 0, given_up: false }
    }

    proptest! {
        #[test]
        fn a_number_finds_its_check_until_that_ends_and_never_another(
            steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200),
        ) {
            let mut slab = Slab::default();
            let (mut under_way, mut ended) = (Vec::new(), Vec::new());
            for (n, (begins, which)) in steps.into_iter().enumerate() {
                if begins || under_way.is_empty() {
                    under_way.push((slab.insert(check(n)).expect("room"), check(n)));
                } else {
                    let (id, held) = under_way.swap_remove(which.index(under_way.len()));
                    prop_assert_eq!(slab.remove(id), Some(held));
                    ended.push(id);
                }
                prop_assert!(under_way.iter().all(|(id, held)| slab.get(*id) == Some(held)));
                prop_assert!(ended.iter().all(|id| slab.get(*id).is_none()));
            }
            prop_assert!(ended.into_iter().all(|id| slab.remove(id).is_none()));
        }
    }

    #[test]
    fn what_is_not_kept_has_ended_and_the_rest_is_found_as_it_was_changed() {
        let mut slab = Slab::default();
        let ids: Vec<CheckId> = (0..4).map(|n| slab.insert(check(n)).expect("room")).collect();
        slab.retain(|_, held| {
            let even = held.target.index() % 2 == 0;
            held.target = TargetId::from_index(held.target.index() + 10);
            even
        });
        let left: Vec<Option<usize>> = ids.iter().map(|id| slab.get(*id).map(|held| held.target.index())).collect();
        assert_eq!(left, [Some(10), None, Some(12), None]);
        assert!((0..2).all(|n| slab.insert(check(n)).is_some()));
        assert_eq!(slab.places(), 4);
    }

    #[test]
    fn places_are_used_again() {
        let mut slab = Slab::default();
        for n in 0..100 {
            let id = slab.insert(check(n)).expect("room");
            slab.remove(id).expect("it was there");
        }
        assert_eq!(slab.places(), 1);
    }
}
