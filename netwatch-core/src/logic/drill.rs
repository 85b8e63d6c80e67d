//! A drill: an outage that is none goes the way of a real one, to everybody whom a real one would concern, and ends by itself.

use std::time::Duration;

use super::monitor::Monitor;
use crate::model::{Decision, DrillRefusal, Incident, Mono, Now, Outage, OutageId, TargetId, Topic};

/// How long a drill lasts.
const LASTS: Duration = Duration::from_secs(60);
/// No other begins this soon after one.
const APART: Duration = Duration::from_secs(600);

/// The last drill.
#[derive(Debug, Default)]
pub(super) struct Drills {
    begun: Option<Mono>,
    open: Option<OutageId>,
}

impl Drills {
    /// When the present one ends.
    pub(super) fn timeout(&self) -> Option<Mono> {
        self.open.and(self.begun).map(|begun| begun.plus(LASTS))
    }
}

impl Monitor {
    /// Rehearses an outage of this target: whoever would be told of one is told of the drill, in a mail that is marked as one,
    /// and of its end a minute later. Nothing of it is recorded as an outage. Returns what is told.
    ///
    /// # Errors
    /// When there is no such target, nobody would be told of it, or the last drill was less than 10 min ago.
    pub fn handle_drill(&mut self, now: Now, target: &str, by: &str) -> Result<Outage, DrillRefusal> {
        let begun = self.drill(now, target, by);
        self.settle_outputs(now);
        begun
    }

    fn drill(&mut self, now: Now, target: &str, by: &str) -> Result<Outage, DrillRefusal> {
        let id = self.place_of(target).ok_or_else(|| DrillRefusal::NoTarget { target: target.into() })?;
        if !(0..self.tellers.len()).any(|teller| self.is_for(teller, id)) {
            return Err(DrillRefusal::Nobody { target: target.into() });
        }
        if let Some(begun) = self.drills.begun.filter(|begun| now.mono.since(*begun) < APART) {
            return Err(DrillRefusal::TooSoon { again: now.wall_at(begun.plus(APART)) });
        }
        Ok(self.begin_drill(now, id, by))
    }

    fn begin_drill(&mut self, now: Now, id: TargetId, by: &str) -> Outage {
        let name = self.name_of(id);
        let incident = Incident::new(Topic::Drill, self.new_incident(now, name));
        self.drills = Drills { begun: Some(now.mono), open: Some(incident.id()) };
        let outage = incident.outage.clone();
        self.note_outage(now, &outage, Decision::Drill { by: by.into() });
        self.open_incident(now, incident, Some(id));
        outage
    }

    /// Ends a drill whose time is over.
    pub(super) fn look_at_drill(&mut self, now: Now) {
        if self.drills.timeout().is_some_and(|at| at <= now.mono)
            && let Some(open) = self.drills.open.take()
        {
            self.close_incident(now, open);
        }
    }
}
