//! A history in words, for whoever looks into a broken promise.

use std::fmt::Write;

use super::Violation;
use crate::model::{Event, Line, Mono};
use crate::testing::world::{Happening, History, Spans};

/// What is worth reading of a history: all of it, or the last so many things before a violation that have to do with it.
pub fn trace(history: &History, about: Option<&Violation>, most: usize) -> String {
    let filter = Filter::new(history, about);
    let mut lines: Vec<(Mono, String)> = Vec::new();
    for entry in &history.entries {
        if let Some(text) = filter.words(&entry.what) {
            lines.push((entry.now.mono, format!("step {:>7}  {text}", entry.step)));
        }
    }
    filter.truth(&mut lines);
    lines.sort_by_key(|(at, _)| *at);
    if let Some(violation) = about {
        let limit = violation.at.plus(std::time::Duration::from_secs(600));
        lines.retain(|(at, _)| *at <= limit);
        lines.drain(..lines.len().saturating_sub(most));
    }
    let mut text = String::new();
    for (at, line) in lines {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}  {line}", time(at));
    }
    text
}

/// Virtual time, as hours, minutes and seconds since the beginning.
fn time(at: Mono) -> String {
    let millis = at.as_nanos() / 1_000_000;
    let seconds = millis / 1000;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, millis % 1000)
}

struct Filter<'a> {
    history: &'a History,
    device: Option<usize>,
    notifier: Option<&'a str>,
    is_all: bool,
    names: Vec<&'a str>,
}

impl<'a> Filter<'a> {
    fn new(history: &'a History, about: Option<&'a Violation>) -> Filter<'a> {
        let device = about.and_then(|violation| violation.device);
        let notifier = about.and_then(|violation| violation.notifier.as_deref());
        let mut names: Vec<&str> = Vec::new();
        for version in &history.operators.versions {
            names.extend(device.and_then(|device| version.target(device)).map(|target| &*target.name));
        }
        Filter { history, device, notifier, is_all: about.is_none(), names }
    }

    fn names(&self, name: &str) -> bool {
        self.is_all || self.names.contains(&name)
    }

    fn is_told(&self, notifier: &str, lines: &[Line]) -> bool {
        let is_for = self.is_all || self.notifier.is_none_or(|other| other == notifier);
        is_for && (self.device.is_none() || lines.iter().any(|line| self.names(&line.outage.target)))
    }

    fn words(&self, what: &Happening) -> Option<String> {
        match what {
            Happening::Started(version) => Some(format!("the program runs under version {version}")),
            Happening::Halted(halt) => Some(format!("the program: {halt:?}")),
            Happening::Reloaded(version) => Some(format!("version {version} is taken over")),
            Happening::Transition(t) if self.names(&t.name) => {
                Some(format!("{}: {:?} to {:?} {}", t.name, t.from, t.to, t.cause.map_or("", |cause| cause.code())))
            }
            Happening::Transition(_) => None,
            Happening::Event(event) => self.event(event),
            Happening::Drafted(draft) if self.is_told(&draft.notifier, &draft.lines) => {
                Some(format!("{}: mail {} drafted: {}", draft.notifier, draft.id.number(), told(&draft.lines)))
            }
            Happening::Attempted(mail) if self.is_told(&mail.notifier, &mail.lines) => {
                Some(format!("{}: {} attempted for {:?}", mail.notifier, mail.message_id, mail.recipients))
            }
            Happening::Taken(mail, to) if self.is_told(&mail.notifier, &mail.lines) => {
                Some(format!("{}: {} taken for {to:?}: {}", mail.notifier, mail.message_id, told(&mail.lines)))
            }
            Happening::Answered { message_id, notifier, is_accepted, error, .. }
                if self.is_all || self.notifier.is_some_and(|other| *other == **notifier) =>
            {
                Some(format!("{notifier}: {message_id} answered: accepted {is_accepted} {error:?}"))
            }
            Happening::Acknowledged { device, outage } if self.is_all || self.device == Some(*device) => {
                Some(format!("somebody acknowledges device {device}: {:?}", outage.as_ref().map(|o| o.id.number())))
            }
            Happening::Maintained(number, id) => {
                let work = self.history.operators.works.get(*number);
                let devices = work.map(|work| work.devices.as_slice()).unwrap_or_default();
                let concerns = self.is_all || self.device.is_some_and(|device| devices.contains(&device));
                concerns.then(|| format!("maintenance {} of devices {devices:?} is entered", id.number()))
            }
            Happening::Finished(number, found) => Some(format!("work {number} is ended by hand; known: {found}")),
            Happening::CommitFailed(seq) if self.is_all => Some(format!("commit {seq} failed")),
            _ => None,
        }
    }

    fn event(&self, event: &Event) -> Option<String> {
        match event {
            Event::OutageOpened(_, o) | Event::OutageDue(_, o) | Event::OutageClosed(_, o) if self.names(&o.target) => {
                let word = match event {
                    Event::OutageOpened(..) => "opens",
                    Event::OutageDue(..) => "is due",
                    _ => "closes",
                };
                Some(format!("{}: outage {} {word}", o.target, o.id.number()))
            }
            Event::Ledger(entry) if self.names(&entry.target) => {
                let outage = entry.outage.map_or(0, |outage| outage.number());
                let notifier = entry.notifier.as_deref().unwrap_or("all");
                let concerns = self.notifier.is_none_or(|other| notifier == "all" || other == notifier);
                concerns.then(|| format!("{}: ledger, outage {outage}, {notifier}: {:?}", entry.target, entry.decision))
            }
            Event::Blind { .. } | Event::Journal { .. } | Event::Trouble { .. } => Some(format!("{event:?}")),
            Event::Flapping { target, since } if self.is_all => Some(format!("{target:?} flaps since {since:?}")),
            _ => None,
        }
    }

    /// What is true of the device and of netwatch itself.
    fn truth(&self, lines: &mut Vec<(Mono, String)>) {
        let fate = &self.history.fate;
        let mut spans = |what: &str, spans: &Spans| {
            for span in spans.iter() {
                lines.push((span.from, format!("in truth       {what} begins")));
                lines.push((span.to, format!("in truth       {what} ends")));
            }
        };
        spans("a failing journal", &fate.journal);
        spans("being cut off", &fate.blind());
        for (number, device) in self.history.devices.iter().enumerate() {
            let is_parent = self.device.is_some_and(|own| self.history.devices[own].uplinks.contains(&number));
            if self.is_all || self.device == Some(number) || is_parent {
                spans(&format!("silence of device {number} (on {:?})", device.uplinks), &device.silent);
            }
        }
        if let Some(device) = self.device {
            spans("local trouble", &fate.local_to(device));
            spans("bad luck with every echo", &self.history.unlucky[device]);
        }
        for (at, by) in &fate.steps {
            lines.push((*at, format!("in truth       the clock steps by {} s", by / 1_000_000_000)));
        }
    }
}

/// The lines of a mail in a few words.
fn told(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines.iter().take(12) {
        let (topic, kind, number) = (line.topic.code(), line.kind.code(), line.outage.id.number());
        // Writing to a string does not fail.
        let _ = write!(text, "{} {topic} {kind} ({number}); ", line.subject.name);
    }
    if lines.len() > 12 {
        text.push_str("and more");
    }
    text
}
