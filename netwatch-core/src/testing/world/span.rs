//! Stretches of simulated time, and lists of them: what is true when.

use std::time::Duration;

use crate::model::Mono;

/// A stretch of simulated time: from its beginning (inclusive) to its end (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Span {
    /// When it begins.
    pub from: Mono,
    /// When it is over.
    pub to: Mono,
}

impl Span {
    /// From `from` to `to`.
    pub fn new(from: Mono, to: Mono) -> Span {
        Span { from, to }
    }

    /// Whether `at` lies in it.
    pub fn contains(&self, at: Mono) -> bool {
        self.from <= at && at < self.to
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        self.to.since(self.from)
    }

    /// The same, begun so much earlier and ended so much later.
    #[must_use]
    pub fn widened(&self, before: Duration, after: Duration) -> Span {
        Span::new(self.from.minus(before), self.to.plus(after))
    }
}

/// Spans in the order of time that do not touch each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spans(Vec<Span>);

impl Spans {
    /// These, put in order and joined where they touch.
    pub fn new(spans: impl IntoIterator<Item = Span>) -> Spans {
        let mut sorted: Vec<Span> = spans.into_iter().filter(|span| span.from < span.to).collect();
        sorted.sort_unstable_by_key(|span| (span.from, span.to));
        let mut joined: Vec<Span> = Vec::with_capacity(sorted.len());
        for span in sorted {
            match joined.last_mut() {
                Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
                _ => joined.push(span),
            }
        }
        Spans(joined)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Span> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The span that holds `at`.
    pub fn at(&self, at: Mono) -> Option<Span> {
        self.0.get(self.place(at)).copied().filter(|span| span.from <= at)
    }

    /// Whether one of them holds `at`.
    pub fn contains(&self, at: Mono) -> bool {
        self.at(at).is_some()
    }

    /// When the first of them begins that is not over at `at`.
    pub fn next_from(&self, at: Mono) -> Option<Mono> {
        self.0.get(self.place(at)).map(|span| span.from)
    }

    /// Whether any of them has a part in `span`.
    pub fn touches(&self, span: Span) -> bool {
        self.next_from(span.from).is_some_and(|from| from < span.to)
    }

    /// Whether one of them holds all of `span`.
    pub fn covers(&self, span: Span) -> bool {
        self.at(span.from).is_some_and(|holds| span.to <= holds.to)
    }

    /// What is in these or in the others.
    #[must_use]
    pub fn union(&self, others: &Spans) -> Spans {
        Spans::new(self.iter().chain(others.iter()))
    }

    /// What is in these and in the others.
    #[must_use]
    pub fn intersection(&self, others: &Spans) -> Spans {
        let common = self.iter().flat_map(|span| {
            let parts = others.0.iter().skip(others.place(span.from)).take_while(move |other| other.from < span.to);
            parts.map(move |other| Span::new(span.from.max(other.from), span.to.min(other.to)))
        });
        Spans::new(common)
    }

    /// What of `span` is in none of them.
    pub fn gaps(&self, span: Span) -> Vec<Span> {
        let mut gaps = Vec::new();
        let mut from = span.from;
        for other in self.0.iter().skip(self.place(span.from)).take_while(|other| other.from < span.to) {
            if from < other.from {
                gaps.push(Span::new(from, other.from));
            }
            from = from.max(other.to);
        }
        if from < span.to {
            gaps.push(Span::new(from, span.to));
        }
        gaps
    }

    /// Each begun so much earlier and ended so much later.
    #[must_use]
    pub fn widened(&self, before: Duration, after: Duration) -> Spans {
        Spans::new(self.iter().map(|span| span.widened(before, after)))
    }

    /// The place of the first that is not over at `at`.
    fn place(&self, at: Mono) -> usize {
        self.0.partition_point(|span| span.to <= at)
    }
}

impl FromIterator<Span> for Spans {
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> Spans {
        Spans::new(spans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(pairs: &[(u64, u64)]) -> Spans {
        pairs.iter().map(|&(from, to)| Span::new(Mono::from_nanos(from), Mono::from_nanos(to))).collect()
    }

    #[test]
    fn lists_are_joined_cut_and_complemented() {
        let (left, right) = (spans(&[(5, 9), (0, 2), (2, 3)]), spans(&[(1, 6), (8, 20)]));
        assert_eq!(left, spans(&[(0, 3), (5, 9)]));
        assert_eq!(left.intersection(&right), spans(&[(1, 3), (5, 6), (8, 9)]));
        assert_eq!(left.union(&right), spans(&[(0, 20)]));
        let whole = Span::new(Mono::from_nanos(1), Mono::from_nanos(12));
        assert_eq!(left.gaps(whole), spans(&[(3, 5), (9, 12)]).0);
    }

    #[test]
    fn a_span_is_found_by_an_instant() {
        let list = spans(&[(0, 3), (5, 9)]);
        let at = Mono::from_nanos;
        assert_eq!((list.contains(at(2)), list.contains(at(3)), list.contains(at(8))), (true, false, true));
        assert_eq!(list.next_from(at(3)), Some(at(5)));
        assert!(list.covers(Span::new(at(5), at(9))) && !list.covers(Span::new(at(5), at(10))));
        assert!(!list.touches(Span::new(at(3), at(5))) && list.touches(Span::new(at(3), at(6))));
    }
}
