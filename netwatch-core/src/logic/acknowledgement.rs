//! Acknowledgement: somebody sees to an outage. That stops its reminders and its escalation, and ends with it.

use std::sync::Arc;

use super::monitor::Monitor;
use crate::model::{Ack, Change, Decision, Event, Now, Outage};

impl Monitor {
    /// Somebody sees to the open outage of this target: no reminders and no escalation until it ends. Returns the outage;
    /// `None` if the target has none, or does not exist.
    pub fn handle_acknowledge(&mut self, now: Now, target: &str, by: &str, note: &str) -> Option<Outage> {
        let acknowledged = self.acknowledge(now, target, by, note);
        self.settle_outputs(now);
        acknowledged
    }

    fn acknowledge(&mut self, now: Now, target: &str, by: &str, note: &str) -> Option<Outage> {
        let id = self.place_of(target)?;
        let outage = self.targets.get_mut(id.index())?.outage_mut()?;
        outage.ack = Some(Arc::new(Ack::new(now.wall, by, note)));
        let outage = outage.clone();
        self.journaling.put(Change::PutOutage(outage.clone()));
        self.save_target(now, id);
        self.note(now, id, Decision::Acknowledged { by: by.into() });
        self.tell(Event::Acknowledged(id, outage.clone()));
        Some(outage)
    }
}
