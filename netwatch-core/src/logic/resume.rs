//! Going on where the last run ended, under a plan that may be another one.
//!
//! What is still open and due is owed to everybody who does not know of it. What was owed to a notifier that is gone is
//! owed to those that are new: it was renamed or replaced. A target that is gone is closed in the record.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::monitor::{Monitor, Output, subject};
use super::teller::put;
use crate::model::{Change, Event, Line, LineId, LineKind, Now, Outage, Saved, SavedMail, SavedNotifier, TargetId};

impl Monitor {
    /// Takes back what is owed and under way, and owes what the new plan makes owed.
    pub(super) fn resume(&mut self, now: Now, saved: &Saved) {
        self.drop_absent_targets(now, saved);
        self.restore_tellers(now, saved);
        self.adopt_orphans(now, saved);
        self.owe_open_outages(now);
    }

    fn drop_absent_targets(&mut self, now: Now, saved: &Saved) {
        let present: BTreeSet<&str> = self.plan.targets.iter().map(|target| &*target.name).collect();
        for (name, target) in saved.targets.iter().filter(|(name, _)| !present.contains(&***name)) {
            if let Some(mut outage) = target.outage.clone() {
                outage.closed = Some(now.wall);
                self.journaling.put(Change::PutOutage(outage));
            }
            self.journaling.put(Change::DropTarget(name.clone()));
        }
    }

    fn restore_tellers(&mut self, now: Now, saved: &Saved) {
        for teller in &mut self.tellers {
            let name = teller.desk.policy().name.clone();
            teller.desk.restore(now, saved);
            let mine = saved.lines.values().filter(|(notifier, _)| *notifier == name);
            let mut lines: Vec<Line> = mine.map(|(_, line)| line.clone()).collect();
            for mail in saved.mails.values().filter(|mail| mail.notifier == name) {
                match recipients_left(mail, &teller.desk.policy().recipients) {
                    Some(recipients) => teller.outbox.restore(now, mail, recipients),
                    None => {
                        self.journaling.put(Change::DropMail(mail.id));
                        lines.extend(mail.lines.iter().filter(|_| !mail.told).cloned());
                    }
                }
            }
            // Ends before beginnings, so that an outage that closed meanwhile finds its end and becomes one line.
            lines.sort_by_key(|line| (line.kind == LineKind::Opened, line.id));
            for entry in teller.desk.put_back(now, lines) {
                put(&mut self.journaling, &name, entry);
            }
        }
    }

    fn adopt_orphans(&mut self, now: Now, saved: &Saved) {
        let plan = self.plan.clone();
        let is_present = |name: &Arc<str>| plan.notifiers.iter().any(|policy| policy.name == *name);
        let mut orphans: Vec<(Arc<str>, Line)> = Vec::new();
        for (notifier, line) in saved.lines.values().filter(|(notifier, _)| !is_present(notifier)) {
            self.journaling.put(Change::DropLine(line.id));
            orphans.push((notifier.clone(), line.clone()));
        }
        for mail in saved.mails.values().filter(|mail| !is_present(&mail.notifier)) {
            self.journaling.put(Change::DropMail(mail.id));
            let lines = mail.lines.iter().filter(|_| !mail.told).cloned();
            orphans.extend(lines.map(|line| (mail.notifier.clone(), line)));
        }
        let mut is_adopted = false;
        for teller in &mut self.tellers {
            let name = teller.desk.policy().name.clone();
            if saved.notifiers.contains_key(&name) {
                continue;
            }
            is_adopted = true;
            self.journaling.put(Change::PutNotifier(SavedNotifier::new(name.clone(), None)));
            for (_, orphan) in &orphans {
                let mut line = orphan.clone();
                self.last_number = self.last_number.saturating_add(1);
                line.id = LineId::new(self.last_number);
                if line.kind == LineKind::Opened && line.outage.closed.is_some() {
                    line.kind = LineKind::Missed;
                }
                put(&mut self.journaling, &name, teller.desk.owe(now, line));
            }
        }
        if let Some((notifier, _)) = orphans.first().filter(|_| !is_adopted) {
            let names: BTreeSet<&str> = orphans.iter().map(|(_, line)| &*line.subject.name).collect();
            let names = names.into_iter().take(20).collect::<Vec<_>>().join(", ");
            let message = format!(
                "{} lines were owed to notifiers that are no longer configured (such as {notifier:?}) and no new one takes \
                 them over; they are dropped: {names}",
                orphans.len()
            );
            self.outputs.push_back(Output::Event(Event::Trouble { at: now.wall, component: "telling", message }));
        }
    }

    fn owe_open_outages(&mut self, now: Now) {
        let open = self.targets.iter().enumerate().filter_map(|(index, state)| {
            let outage = state.outage().filter(|outage| outage.due.is_some())?;
            Some((TargetId::from_index(index), outage.clone()))
        });
        let open: Vec<(TargetId, Outage)> = open.collect();
        for (id, outage) in open {
            for teller in &mut self.tellers {
                let mut mails = teller.outbox.mails_mut();
                let under_way = mails.any(|mail| mail.tells(outage.id));
                if !under_way && !teller.desk.knows(&outage) {
                    self.last_number = self.last_number.saturating_add(1);
                    let line_id = LineId::new(self.last_number);
                    let subject = subject(&self.plan, id);
                    let line = Line::new(line_id, LineKind::Opened, subject, outage.clone(), now.wall);
                    let name = teller.desk.policy().name.clone();
                    put(&mut self.journaling, &name, teller.desk.owe(now, line));
                }
            }
        }
    }
}

/// Who of a mail's recipients is still configured; `None` if that is nobody, so that the mail has nowhere to go.
fn recipients_left(mail: &SavedMail, configured: &[Arc<str>]) -> Option<Vec<Arc<str>>> {
    let left: Vec<Arc<str>> = mail.recipients.iter().filter(|to| configured.contains(to)).cloned().collect();
    (!left.is_empty() || mail.recipients.is_empty()).then_some(left)
}
