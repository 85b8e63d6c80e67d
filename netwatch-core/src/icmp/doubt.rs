//! When the engine could not see: a reply that was due in such a time may have been missed here, so it is not lost.

use std::collections::VecDeque;

use crate::model::{Cause, Mono};

const MOST: usize = 64;

/// The times in which replies may have been missed, the latest last.
#[derive(Debug, Default)]
pub(super) struct Doubts(VecDeque<(Mono, Mono, Cause)>);

impl Doubts {
    /// From `from` to `to` replies may have been missed, because of `cause`.
    pub(super) fn add(&mut self, from: Mono, to: Mono, cause: Cause) {
        match self.0.back_mut() {
            Some((_, end, last)) if *last == cause && from <= *end => *end = to.max(*end),
            _ => self.0.push_back((from, to, cause)),
        }
        if self.0.len() > MOST
            && let Some((first, _, _)) = self.0.pop_front()
            && let Some((from, _, _)) = self.0.front_mut()
        {
            *from = first;
        }
    }

    /// Why the reply to an echo that waited from `sent` to `deadline` may have been missed.
    pub(super) fn about(&self, sent: Mono, deadline: Mono) -> Option<Cause> {
        let touching = self.0.iter().rev().find(|(from, to, _)| sent <= *to && *from <= deadline);
        touching.map(|(_, _, cause)| *cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn only_what_waited_through_the_gap_is_in_doubt() {
        let mut doubts = Doubts::default();
        doubts.add(at(100), at(200), Cause::Stalled);
        assert_eq!(doubts.about(at(0), at(99)), None);
        assert_eq!(doubts.about(at(201), at(300)), None);
        for (sent, deadline) in [(0, 100), (0, 300), (150, 160), (200, 400)] {
            assert_eq!(doubts.about(at(sent), at(deadline)), Some(Cause::Stalled));
        }
    }

    #[test]
    fn the_oldest_times_are_merged_rather_than_forgotten() {
        let mut doubts = Doubts::default();
        for n in 0..200 {
            doubts.add(at(n * 10), at(n * 10 + 1), Cause::ReceiveOverflow);
        }
        assert_eq!(doubts.0.len(), MOST);
        assert_eq!(doubts.about(at(0), at(1)), Some(Cause::ReceiveOverflow));
    }
}
