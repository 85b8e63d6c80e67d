//! In which order targets are asked, so that those behind one router come as far apart as can be.
//!
//! Of `n` places, a router's `m` targets get one in each of `m` equal parts: the i-th not before `i n / m` and not
//! after `(i + 1) n / m`. Whoever must be placed first is placed first; that always works out (Tijdeman, "The chairman
//! assignment problem", 1980). So among any `k` places that follow each other a router's targets have fewer than
//! `k m / n + 2`. Which of its targets a router is asked for first is a keyed shuffle.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::model::TargetId;

/// A target to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// What it shares with others: whoever stands before them on the way. 0 if that is not known, which is something
    /// that they share as well.
    pub(super) router: u32,
    /// Its place in the keyed shuffle.
    pub(super) shuffled: u64,
    /// Who it is.
    pub(super) target: TargetId,
}

/// The targets in the order in which they are to be asked.
pub(super) fn spread(mut places: Vec<Place>) -> Vec<TargetId> {
    places.sort_unstable();
    let n = places.len() as u64;
    let routers: Vec<&[Place]> = places.chunk_by(|one, other| one.router == other.router).collect();
    let mut routers: Vec<Router<'_>> = routers.into_iter().map(|members| Router { members, placed: 0 }).collect();
    let mut waiting: BinaryHeap<Reverse<(u64, usize)>> =
        (0..routers.len()).map(|router| Reverse((0, router))).collect();
    let mut ready: BinaryHeap<Reverse<(u64, u64, usize)>> = BinaryHeap::new();
    let mut order: Vec<Place> = Vec::with_capacity(places.len());
    for place in 0..n {
        while let Some(Reverse((from, router))) = waiting.peek().copied() {
            if from > place && !ready.is_empty() {
                break;
            }
            waiting.pop();
            if let Some(router_of) = routers.get(router) {
                ready.push(Reverse((router_of.until(n), router_of.tie(), router)));
            }
        }
        let Some(Reverse((_, _, router))) = ready.pop() else { break };
        let Some(router_of) = routers.get_mut(router) else { break };
        order.extend(router_of.members.get(router_of.placed));
        router_of.placed = router_of.placed.saturating_add(1);
        if router_of.placed < router_of.members.len() {
            waiting.push(Reverse((router_of.from(n), router)));
        }
    }
    part_neighbours(&mut order);
    order.into_iter().map(|place| place.target).collect()
}

struct Router<'a> {
    members: &'a [Place],
    placed: usize,
}

impl Router<'_> {
    /// The first place that its next target may have: floor(i n / m).
    fn from(&self, n: u64) -> u64 {
        (self.placed as u64).saturating_mul(n) / self.size()
    }

    /// The place before which its next target must have one: ceil((i + 1) n / m).
    fn until(&self, n: u64) -> u64 {
        (self.placed as u64).saturating_add(1).saturating_mul(n).div_ceil(self.size())
    }

    /// Decides between routers that are equally pressed.
    fn tie(&self) -> u64 {
        self.members.first().map_or(0, |first| first.shuffled)
    }

    fn size(&self) -> u64 {
        (self.members.len() as u64).max(1)
    }
}

/// Neighbours in the list that came to be neighbours in time, too, are parted: the second changes places with another
/// target of the same router, if that parts them.
fn part_neighbours(order: &mut [Place]) {
    for at in 1..order.len() {
        if !follows_its_neighbour(order, at) {
            continue;
        }
        let others = (at.saturating_add(1)..order.len()).chain(0..at);
        for other in others {
            if order.get(at).map(|here| here.router) != order.get(other).map(|there| there.router) {
                continue;
            }
            order.swap(at, other);
            let touched = [at, at.saturating_add(1), other, other.saturating_add(1)];
            if !touched.into_iter().any(|place| follows_its_neighbour(order, place)) {
                break;
            }
            order.swap(at, other);
        }
    }
}

fn follows_its_neighbour(order: &[Place], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| order.get(before));
    let pair = before.zip(order.get(at));
    pair.is_some_and(|(before, here)| before.target.index().abs_diff(here.target.index()) == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(sizes: &[usize], salt: u64) -> Vec<Place> {
        let routers = sizes.iter().enumerate().flat_map(|(router, size)| vec![router as u32; *size]);
        let place = |(target, router): (usize, u32)| Place {
            router,
            shuffled: (target as u64 ^ salt).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(salt | 1),
            target: TargetId::from_index(target),
        };
        routers.enumerate().map(place).collect()
    }

    proptest! {
        #[test]
        fn no_stretch_holds_more_of_a_router_than_its_share_and_one(
            sizes in prop::collection::vec(prop_oneof![Just(1_usize), 1_usize..8, 1_usize..80], 1..30),
            salt: u64,
        ) {
            let places = places(&sizes, salt);
            let n = places.len();
            let order = spread(places.clone());
            let mut all: Vec<usize> = order.iter().map(|target| target.index()).collect();
            let routers: Vec<u32> = all.iter().map(|target| places[*target].router).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..n).collect::<Vec<_>>(), "everybody once");
            for (router, &m) in sizes.iter().enumerate() {
                // Before each place of two laps: how many of this router came.
                let mut before = vec![0];
                for at in 0..2 * n {
                    let mine = usize::from(routers[at % n] == router as u32);
                    before.push(before[at] + mine);
                }
                for stretch in 1..=n {
                    let most = (0..n).map(|at| before[at + stretch] - before[at]).max().unwrap();
                    prop_assert!(most <= (stretch * m).div_ceil(n) + 1, "{most} of {m} in {stretch} of {n}");
                }
            }
        }

        #[test]
        fn each_target_of_a_router_has_its_place_in_its_own_part(
            sizes in prop::collection::vec(prop_oneof![Just(1_usize), 1_usize..8, 1_usize..80], 1..30),
            salt: u64,
        ) {
            let places = places(&sizes, salt);
            let n = places.len();
            let order = spread(places.clone());
            for (router, &m) in sizes.iter().enumerate() {
                let mine = (0..n).filter(|at| places[order[*at].index()].router == router as u32);
                for (i, at) in mine.enumerate() {
                    let part = i * n / m..((i + 1) * n).div_ceil(m);
                    prop_assert!(part.contains(&at), "target {i} of {m} is at {at} of {n}, outside {part:?}");
                }
            }
        }

        #[test]
        fn neighbours_in_the_list_do_not_follow_each_other(size in 9_usize..200, salt: u64) {
            let order = spread(places(&[size], salt));
            let close = order.windows(2).filter(|pair| pair[0].index().abs_diff(pair[1].index()) == 1).count();
            prop_assert_eq!(close, 0);
        }
    }

    #[test]
    fn neighbours_behind_routers_of_their_own_are_parted_too() {
        let order = spread(places(&[1; 300], 7));
        let close = order.windows(2).filter(|pair| pair[0].index().abs_diff(pair[1].index()) == 1).count();
        assert!(close < 10, "{close} of 300 follow their neighbour");
    }

    #[test]
    fn the_key_decides_which_router_is_asked_first() {
        let first: std::collections::BTreeSet<usize> =
            (1..40).map(|salt| spread(places(&[1; 50], salt))[0].index()).collect();
        assert!(first.len() > 5, "always one of {first:?}");
    }

    #[test]
    fn one_target_more_moves_the_others_little() {
        let sizes = [40; 25];
        let before = spread(places(&sizes, 7));
        let mut more = places(&sizes, 7);
        more.push(Place { router: 3, shuffled: u64::MAX / 3, target: TargetId::from_index(more.len()) });
        let after = spread(more);
        let share = |order: &[TargetId], target: usize| {
            order.iter().position(|other| other.index() == target).unwrap() as f64 / order.len() as f64
        };
        let moved = (0..1000).filter(|&target| (share(&before, target) - share(&after, target)).abs() > 0.05).count();
        assert!(moved < 20, "{moved} of 1000 targets moved by more than a twentieth of the interval");
    }
}
