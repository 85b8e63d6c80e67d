//! The slices under way inside the engine, and their results on the way out: gathered, and told 20 times a second at most.

use std::collections::HashMap;
use std::time::Duration;

use super::handover::Results;
use crate::model::{Mono, Sample};
use crate::probe::CheckId;

/// The shortest time from one telling to the next.
const TELLING: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) struct Batches {
    batches: Vec<Option<Batch>>,
    free: Vec<u32>,
    /// The place of each number.
    places: HashMap<u64, u32>,
    /// Batches with something to tell.
    news: Vec<u32>,
    told: Option<Mono>,
}

#[derive(Debug)]
struct Batch {
    number: u64,
    results: Results,
    finished: Vec<(CheckId, Sample)>,
    left: usize,
    slots: Vec<u32>,
    has_news: bool,
}

impl Batches {
    /// Takes in a slice of `checks` checks.
    pub(super) fn open(&mut self, number: u64, results: Results, checks: usize) -> u32 {
        let batch = Batch {
            number,
            results,
            finished: Vec::new(),
            left: checks,
            slots: Vec::with_capacity(checks),
            has_news: false,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.batches.push(None);
            u32::try_from(self.batches.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.batches.get_mut(index as usize) {
            *place = Some(batch);
        }
        self.places.insert(number, index);
        index
    }

    /// A check of the slice is in this slot.
    pub(super) fn occupies(&mut self, index: u32, slot: u32) {
        if let Some(batch) = self.batch(index) {
            batch.slots.push(slot);
        }
    }

    /// A check of the slice has finished.
    pub(super) fn finished(&mut self, index: u32, check: CheckId, sample: Sample) {
        let Some(batch) = self.batch(index) else { return };
        batch.finished.push((check, sample));
        batch.left = batch.left.saturating_sub(1);
        if !std::mem::replace(&mut batch.has_news, true) {
            self.news.push(index);
        }
    }

    /// Forgets the slice of this number; its place and slots, so that the checks there can be forgotten too.
    pub(super) fn cancel(&mut self, number: u64) -> Option<(u32, Vec<u32>)> {
        let index = self.places.remove(&number)?;
        let batch = self.batches.get_mut(index as usize)?.take()?;
        if batch.has_news {
            self.news.retain(|news| *news != index);
        }
        self.free.push(index);
        Some((index, batch.slots))
    }

    /// When [`tell`](Batches::tell) is worth calling.
    pub(super) fn next(&self) -> Option<Mono> {
        (!self.news.is_empty()).then(|| self.told.map_or(Mono::ZERO, |told| told.plus(TELLING)))
    }

    /// Hands out what has finished, if the time for it has come.
    pub(super) fn tell(&mut self, now: Mono) {
        if self.next().is_none_or(|next| now < next) {
            return;
        }
        self.told = Some(now);
        let Batches { batches, free, news, places, .. } = self;
        news.retain(|index| {
            let Some(place) = batches.get_mut(*index as usize) else { return false };
            let Some(batch) = place else { return false };
            if !batch.results.offer(&mut batch.finished) {
                return true;
            }
            batch.has_news = false;
            if batch.left == 0 {
                places.remove(&batch.number);
                *place = None;
                free.push(*index);
            }
            false
        });
    }

    fn batch(&mut self, index: u32) -> Option<&mut Batch> {
        self.batches.get_mut(index as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::super::handover::{Command, handover};
    use super::*;
    use crate::model::{Cause, TargetId};

    /// The results of a slice that nobody waits for.
    fn results(numbers: usize) -> Vec<Results> {
        let (asking, inbox) = handover().unwrap();
        let tickets: Vec<_> = (0..numbers).map(|_| asking.submit(&[])).collect();
        drop(tickets);
        let submitted = inbox.commands.try_iter().filter_map(|command| match command {
            Command::Submit(submission) => Some(submission.results),
            _ => None,
        });
        submitted.collect()
    }

    #[test]
    fn slices_end_and_are_forgotten_each_by_its_number() {
        let mut batches = Batches::default();
        for (number, results) in results(10_000).into_iter().enumerate() {
            let index = batches.open(number as u64, results, 1);
            batches.occupies(index, number as u32);
        }
        for number in (0..10_000).rev().step_by(2) {
            assert_eq!(batches.cancel(number), Some((number as u32, vec![number as u32])));
            assert_eq!(batches.cancel(number), None);
        }
        for index in (0..10_000).step_by(2) {
            let sample = Sample::unknown(TargetId::from_index(0), Mono::ZERO, Mono::ZERO, 1, Cause::NoResult);
            batches.finished(index, CheckId::new(0), sample);
        }
        batches.tell(Mono::ZERO);
        assert!(batches.places.is_empty() && batches.batches.iter().all(Option::is_none));
        assert_eq!((batches.free.len(), batches.news.len()), (10_000, 0));
    }
}
