//! A record of inputs, put through the pure half again: exactly as it was, or under another plan, to see which mails that
//! would have sent.

use std::collections::HashMap;
use std::sync::Arc;

use super::monitor::{Monitor, MonitorOptions, Output};
use crate::model::{Content, Draft, Input, Mono, Notification, Now, Plan, Receipt, Sample, Saved, TargetId};

/// Everything that happened in a run: what it began with, and its inputs in their order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Record {
    /// The plan at the beginning.
    pub plan: Arc<Plan>,
    /// What the journal held at the beginning.
    pub saved: Saved,
    /// What the run was made with.
    pub options: MonitorOptions,
    /// When it began.
    pub begin: Now,
    /// What happened, and when.
    pub inputs: Vec<(Now, Input)>,
}

impl Record {
    /// A run in which nothing has happened yet.
    pub fn new(plan: Arc<Plan>, saved: Saved, options: MonitorOptions, begin: Now) -> Record {
        Record { plan, saved, options, begin, inputs: Vec::new() }
    }
}

/// Puts a record through again and gives everything that came out, each with the time of the input it followed.
///
/// The same record gives the same outputs, always: a decision that somebody asks about can be taken again.
pub fn replay(record: &Record) -> Vec<(Now, Output)> {
    let mut monitor = Monitor::new(record.plan.clone(), &record.saved, record.begin, record.options.clone());
    let mut outputs = Vec::new();
    drain(&mut monitor, record.begin, &mut outputs);
    for (now, input) in &record.inputs {
        monitor.handle(*now, input);
        drain(&mut monitor, *now, &mut outputs);
    }
    outputs
}

fn drain(monitor: &mut Monitor, now: Now, outputs: &mut Vec<(Now, Output)>) {
    while let Some(output) = monitor.poll_output() {
        outputs.push((now, output));
    }
}

/// Puts what was seen through another plan, with a journal and mail servers that always work, and gives the mails that it
/// would have sent. Devices are the same by name; reloads in the record are left out.
pub fn rehearse(record: &Record, plan: Arc<Plan>) -> Vec<(Now, Notification)> {
    let places: HashMap<&str, TargetId> = plan
        .targets
        .iter()
        .enumerate()
        .map(|(index, target)| (target.name.as_ref(), TargetId::from_index(index)))
        .collect();
    let place = |id: TargetId| places.get(record.plan.target(id)?.name.as_ref()).copied();
    let monitor = Monitor::new(plan.clone(), &Saved::default(), record.begin, record.options.clone());
    let mut rehearsal = Rehearsal { monitor, mails: Vec::new() };
    rehearsal.carry_out(record.begin);
    for (now, input) in &record.inputs {
        rehearsal.pass(*now);
        match input {
            Input::Samples(samples) => {
                let mine = |sample: &Sample| Some(sample.clone().of(place(sample.target)?));
                let samples: Vec<Sample> = samples.iter().filter_map(mine).collect();
                rehearsal.monitor.handle_samples(*now, &samples);
            }
            Input::Witness { .. }
            | Input::Connected(_)
            | Input::Acknowledge { .. }
            | Input::Maintain(_)
            | Input::EndMaintenance(_) => rehearsal.monitor.handle(*now, input),
            // What follows from what was decided then is decided anew.
            _ => {}
        }
        rehearsal.carry_out(*now);
    }
    rehearsal.mails
}

struct Rehearsal {
    monitor: Monitor,
    mails: Vec<(Now, Notification)>,
}

impl Rehearsal {
    /// Lets the time pass until then.
    fn pass(&mut self, until: Now) {
        let mut last = None;
        while let Some(at) = self.monitor.poll_timeout().filter(|at| *at < until.mono && Some(*at) != last) {
            let now = Now::new(at.max(Mono::ZERO), until.wall_at(at));
            self.monitor.handle_timeout(now);
            self.carry_out(now);
            last = Some(at);
        }
    }

    fn carry_out(&mut self, now: Now) {
        while let Some(output) = self.monitor.poll_output() {
            match output {
                Output::Commit(commit) => self.monitor.handle_committed(now, commit.seq),
                Output::Compose(draft) => self.monitor.handle_composed(now, draft.id, bare_words(&draft)),
                Output::Deliver(notification) => {
                    let receipt = Receipt::accepted(&notification.recipients);
                    self.monitor.handle_delivered(now, notification.id, Ok(receipt));
                    self.mails.push((now, notification));
                }
                Output::Transition(_) | Output::Event(_) | Output::AskWitnesses => {}
            }
        }
    }
}

/// A mail that is only counted needs no more.
fn bare_words(draft: &Draft) -> Content {
    let names: Vec<&str> = draft.lines.iter().take(3).map(|line| line.subject.name.as_ref()).collect();
    Content::new(names.join(", "), "", "")
}
