//! What a mail says, as facts: everything owed at that moment, what lies behind each device, how the groups stand, and, for a
//! reminder or a summary, how everything stands.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::monitor::{Monitor, Output};
use crate::model::{
    Behind, GroupCount, GroupId, Line, LineId, LineKind, MailId, Now, Standing, StandingKind, Status, Subject,
    TargetId, Topic,
};

/// Lists that everything may be in hold the most important of this number.
const MOST: usize = 100;

/// How much an outage matters: critical, customers, devices behind.
type Weight = (bool, u64, u32);

impl Monitor {
    /// Lets everything that is owed to a notifier leave as one mail, if there is something to say.
    pub(super) fn draft(&mut self, now: Now, teller: usize) {
        let standing = self.standing(now, teller);
        let Some(telling) = self.tellers.get_mut(teller) else { return };
        if telling.desk.standing.take().is_some() {
            // As long as it is under way there is no other; if it does not leave, the desk has it again. Where everybody has
            // been seen to, it is as if it had been sent.
            telling.desk.last_standing = Some((now.mono, now.wall));
        }
        telling.desk.look_at_hours(now);
        // A reminder of nothing lets nothing else leave before its time.
        let is_due = telling.desk.release().is_some_and(|release| release <= now.mono);
        if standing.is_none() && !is_due {
            return;
        }
        let id = MailId::new(self.next_number());
        let Some(telling) = self.tellers.get_mut(teller) else { return };
        let (mut lines, held) = telling.desk.take_all(now);
        let core = lines.iter().any(|line| self.is_core_loss(now, line));
        for line in &mut lines {
            line.behind = self.behind_line(line);
        }
        let groups = self.group_counts(&lines);
        let Some(telling) = self.tellers.get_mut(teller) else { return };
        let mut draft = telling.draft(now, id, &self.options, lines, standing.as_ref().map(|standing| standing.kind));
        (draft.standing, draft.groups, draft.held, draft.core) = (standing, groups, held, core);
        self.outputs.push_back(Output::Compose(draft));
    }

    fn is_core_loss(&self, now: Now, line: &Line) -> bool {
        line.topic == Topic::Outage
            && line.kind != LineKind::Closed
            && self.core_loss.holds(now.mono_at(line.outage.first_bad))
    }

    fn behind_line(&self, line: &Line) -> Behind {
        if line.topic != Topic::Outage || line.kind != LineKind::Opened {
            return line.behind;
        }
        self.place_of(&line.outage.target).map_or(line.behind, |id| self.count_behind(id))
    }

    fn count_behind(&self, id: TargetId) -> Behind {
        let behind = self.behind(id);
        let customers = behind.iter().filter_map(|id| self.plan.target(*id)?.customers);
        let sum = customers.map(u64::from).fold(0_u64, u64::saturating_add);
        Behind::new(u32::try_from(behind.len()).unwrap_or(u32::MAX), sum)
    }

    /// How the groups of the devices that a mail names stand.
    fn group_counts(&self, lines: &[Line]) -> Vec<GroupCount> {
        let named =
            lines.iter().filter(|line| line.kind == LineKind::Opened).filter_map(|line| line.subject.group.as_ref());
        let mut counts: HashMap<&str, (u32, u32)> = named.map(|name| (name.as_ref(), (0, 0))).collect();
        if counts.is_empty() {
            return Vec::new();
        }
        let mut by_group: Vec<(u32, u32)> = vec![(0, 0); self.plan.groups.len()];
        for (target, state) in self.plan.targets.iter().zip(&self.targets) {
            if let Some(count) = target.group.map(GroupId::index).and_then(|group| by_group.get_mut(group)) {
                count.0 = count.0.saturating_add(u32::from(state.is_down()));
                count.1 = count.1.saturating_add(1);
            }
        }
        for (group, count) in self.plan.groups.iter().zip(by_group) {
            if let Some(place) = counts.get_mut(group.name.as_ref()) {
                *place = count;
            }
        }
        let in_order =
            self.plan.groups.iter().filter_map(|group| Some((&group.name, counts.get(group.name.as_ref())?)));
        in_order.take(MOST).map(|(name, (down, total))| GroupCount::new(name.clone(), *down, *total)).collect()
    }

    /// How everything stands, if this notifier is to be told; a reminder of nothing is none.
    fn standing(&self, now: Now, teller: usize) -> Option<Standing> {
        let telling = self.tellers.get(teller)?;
        let kind = telling.desk.standing?;
        let mut standing = Standing::new(kind);
        let mut open: Vec<(Reverse<Weight>, TargetId)> = Vec::new();
        for (index, state) in self.targets.iter().enumerate() {
            let id = TargetId::from_index(index);
            if kind == StandingKind::Summary && state.status == Status::Warning && self.is_for(teller, id) {
                standing.warnings_total += 1;
                if standing.warnings.len() < MOST {
                    standing.warnings.push(self.subject(id));
                }
            }
            let Some(outage) = state.outage().filter(|outage| outage.due.is_some()) else { continue };
            let is_listed = match kind {
                StandingKind::Reminder => {
                    state.is_down()
                        && outage.ack.is_none()
                        && !self.is_paused(id)
                        && telling.desk.knows(Topic::Outage, outage)
                }
                StandingKind::Summary => self.is_for(teller, id),
            };
            if is_listed {
                let behind = if self.topology.is_flat() { Behind::default() } else { self.count_behind(id) };
                let own = self.plan.target(id).and_then(|target| target.customers).map_or(0, u64::from);
                let customers = own.saturating_add(behind.customers);
                open.push((Reverse((self.topology.is_critical(id), customers, behind.devices)), id));
            }
        }
        standing.open_total = open.len();
        open.sort_unstable();
        let line = |id: TargetId| -> Option<Line> {
            let outage = self.targets.get(id.index())?.outage()?.clone();
            let mut line = Line::new(LineId::new(0), LineKind::Opened, self.subject(id), outage, now.wall);
            line.critical = self.topology.is_critical(id);
            line.behind = if self.topology.is_flat() { Behind::default() } else { self.count_behind(id) };
            Some(line)
        };
        standing.open = open.iter().take(MOST).filter_map(|(_, id)| line(*id)).collect();
        (kind == StandingKind::Summary || standing.open_total > 0).then_some(standing)
    }

    /// The device a line speaks of, as it is configured now.
    pub(super) fn subject(&self, id: TargetId) -> Subject {
        let Some(target) = self.plan.target(id) else { return Subject::new("", "") };
        let mut subject = Subject::new(target.name.clone(), target.host.to_string());
        subject.group = self.plan.group_of(target).cloned();
        subject.note = target.note().cloned();
        subject.customers = target.customers;
        subject
    }
}
