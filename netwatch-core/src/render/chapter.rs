//! What a mail has to tell, by what happened, and in each part what matters most: the order in which it is read.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Behind, Draft, Line, LineKind, Topic, Trouble, Wall};

/// How many devices are described; the others are counted.
pub(super) const DESCRIBED: usize = 100;

/// What happened, what needs a person first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Section {
    /// A device does not answer.
    Down,
    /// netwatch is cut off.
    Blind,
    /// Something is wrong with netwatch itself.
    Alert,
    /// A device goes up and down.
    Flapping,
    /// netwatch cannot see devices.
    Unseen,
    /// An outage is over that nobody could be told of.
    Late,
    /// A device answers again.
    Back,
    /// A device that did not answer is watched no more.
    Removed,
    /// A device goes up and down no more.
    Settled,
    /// netwatch sees devices again.
    Seen,
    /// netwatch is no longer cut off.
    Sighted,
    /// What was wrong with netwatch itself is over.
    Mended,
    /// An outage is rehearsed.
    Drill,
    /// A rehearsal is over.
    Drilled,
}

impl Section {
    /// A stable name, for templates.
    #[cfg(feature = "templates")]
    pub(super) fn code(self) -> &'static str {
        match self {
            Section::Down => "down",
            Section::Blind => "blind",
            Section::Alert => "alert",
            Section::Flapping => "flapping",
            Section::Unseen => "unseen",
            Section::Late => "late",
            Section::Back => "back",
            Section::Removed => "removed",
            Section::Settled => "settled",
            Section::Seen => "seen",
            Section::Sighted => "sighted",
            Section::Mended => "mended",
            Section::Drill => "drill",
            Section::Drilled => "drilled",
        }
    }

    /// What its devices are marked with: red needs a person, amber may, green does not; grey is neither.
    pub(super) fn colour(self) -> &'static str {
        match self {
            Section::Down | Section::Blind | Section::Alert => "#d32f2f",
            Section::Flapping | Section::Unseen | Section::Late => "#e08a00",
            Section::Back | Section::Settled | Section::Seen | Section::Sighted | Section::Mended => "#2e9e4f",
            Section::Removed | Section::Drill | Section::Drilled => "#888888",
        }
    }

    /// Where this line belongs.
    fn of(line: &Line) -> Section {
        match (line.topic, line.kind) {
            (Topic::Outage, LineKind::Opened) => Section::Down,
            (Topic::Outage, _) if line.outage.removed => Section::Removed,
            (Topic::Outage, LineKind::Missed) => Section::Late,
            (Topic::Outage, LineKind::Closed) => Section::Back,
            (Topic::Flapping, LineKind::Opened) => Section::Flapping,
            (Topic::Flapping, _) => Section::Settled,
            (Topic::Unseen(_), LineKind::Opened) => Section::Unseen,
            (Topic::Unseen(_), _) => Section::Seen,
            (Topic::Blind, LineKind::Opened) => Section::Blind,
            (Topic::Blind, _) => Section::Sighted,
            // A step of the clock is over as soon as it is seen.
            (Topic::Trouble(Trouble::Clock), _) | (Topic::Trouble(_), LineKind::Opened) => Section::Alert,
            (Topic::Trouble(_), _) => Section::Mended,
            (Topic::Drill, LineKind::Opened) => Section::Drill,
            (Topic::Drill, _) => Section::Drilled,
        }
    }
}

/// The lines of one section.
#[derive(Debug)]
pub(super) struct Chapter<'a> {
    pub(super) section: Section,
    /// Those that matter most, in their order; no more than [`DESCRIBED`].
    pub(super) lines: Vec<&'a Line>,
    /// How many lines there are.
    pub(super) count: usize,
    /// Of all of them.
    pub(super) total: Total,
}

/// How much some lines are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Total {
    pub(super) devices: usize,
    pub(super) customers: u64,
    pub(super) behind: Behind,
}

impl Total {
    /// Of these lines.
    pub(super) fn of<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Total {
        lines.into_iter().fold(Total::default(), |sum, line| {
            let devices = if matches!(line.topic, Topic::Unseen(_)) { line.members.len() } else { 1 };
            let behind = Behind::new(
                sum.behind.devices.saturating_add(line.behind.devices),
                sum.behind.customers.saturating_add(line.behind.customers),
            );
            Total {
                devices: sum.devices.saturating_add(devices),
                customers: sum.customers.saturating_add(line.subject.customers.unwrap_or(0).into()),
                behind,
            }
        })
    }

    /// What of this is not in `part`.
    pub(super) fn without(self, part: Total) -> Total {
        Total {
            devices: self.devices.saturating_sub(part.devices),
            customers: self.customers.saturating_sub(part.customers),
            behind: self.behind,
        }
    }
}

/// The sections that have lines, in their order. Takes time in proportion to the lines, however many there are.
pub(super) fn chapters(draft: &Draft) -> Vec<Chapter<'_>> {
    let mut sections: BTreeMap<Section, Vec<&Line>> = BTreeMap::new();
    for line in &draft.lines {
        sections.entry(Section::of(line)).or_default().push(line);
    }
    sections.into_iter().map(|(section, lines)| chapter(section, lines, draft.at)).collect()
}

fn chapter(section: Section, mut lines: Vec<&Line>, at: Wall) -> Chapter<'_> {
    let (count, total) = (lines.len(), Total::of(lines.iter().copied()));
    let by_weight = |one: &&Line, other: &&Line| order(one, other, at);
    if count > DESCRIBED {
        lines.select_nth_unstable_by(DESCRIBED, by_weight);
        lines.truncate(DESCRIBED);
    }
    lines.sort_by(by_weight);
    Chapter { section, lines, count, total }
}

/// What matters most comes first: critical, then by customers, then by devices behind, then by how long it has lasted.
fn order(one: &Line, other: &Line, at: Wall) -> Ordering {
    let weight = |line: &Line| -> (bool, u64, u32, usize, Duration) {
        let customers = line.behind.customers.saturating_add(line.subject.customers.unwrap_or(0).into());
        let lasted = end(line, at).since(line.outage.started());
        (line.critical, customers, line.behind.devices, line.members.len(), lasted)
    };
    Reverse(weight(one)).cmp(&Reverse(weight(other))).then_with(|| one.subject.name.cmp(&other.subject.name))
}

/// When what the line tells of ended; `at` if it has not.
pub(super) fn end(line: &Line, at: Wall) -> Wall {
    line.outage.closed.unwrap_or(at)
}
