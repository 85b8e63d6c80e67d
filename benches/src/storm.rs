//! What the pure half takes for the worst minute: a hundred thousand devices fall silent within 10 s, and everything behind
//! one parent is looked at anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use netwatch_core::{
    Echo, Locale, Loss, Monitor, MonitorOptions, Mono, NotifierPolicy, Now, Output, Plan, Receipt, Render, Rtt, Sample,
    Saved, Settings, Target, TargetId, Wall, Words,
};

use crate::Common;
use crate::lab::alive;
use crate::report::Report;
use crate::stats::Series;

/// What the driver collects in a tick at 100,000 devices.
const BATCH: usize = 512;

/// The command.
pub(crate) fn measure(size: usize, common: &Common) {
    let head = ["what", "ms", "mails", "bytes of the largest"];
    let mut report = Report::new("storm", &head);
    let cases =
        [("no parents", Shape::Flat), ("ten to a parent, five levels", Shape::Tree), ("all behind one", Shape::Star)];
    for (what, shape) in cases {
        let (mut millis, mut found) = (Series::new(), Storm::default());
        for _ in 0..common.runs {
            found = storm(size, shape);
            millis.push(found.time.as_secs_f64() * 1e3);
        }
        report.row([what.to_owned(), format!("{millis:.0}"), found.mails.to_string(), found.bytes.to_string()]);
    }
    let mut millis = Series::new();
    for _ in 0..common.runs {
        millis.push(one_change(size).as_secs_f64() * 1e3);
    }
    report.row(["one parent of all returns".to_owned(), format!("{millis:.0}"), "-".to_owned(), "-".to_owned()]);
    report.remark(format!(
        "{size} devices answer, then every check is silent for a minute. The time is that of all calls of the Monitor in that minute, \
         with the words of the mails, in Spanish. The last row is the one call in which the parent of all the others, which are \
         silent, answers again. Bytes: subject, text and HTML. Median and extremes of {} runs.",
        common.runs
    ));
    report.finish(common.write);
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Flat,
    Tree,
    Star,
}

#[derive(Default)]
struct Storm {
    time: Duration,
    mails: usize,
    bytes: usize,
}

struct World {
    monitor: Monitor,
    words: Words,
    size: usize,
    storm: Storm,
}

const START: Now = Now::new(Mono::from_nanos(1_000_000_000), Wall::from_unix_nanos(1_800_000_000_000_000_000));

fn world(size: usize, shape: Shape) -> World {
    let settings = Arc::new(Settings::default());
    let target = |number: usize| {
        let target = Target::at(format!("d{number:07}"), alive(false, number)).with_settings(Arc::clone(&settings));
        match shape {
            Shape::Tree if number > 0 => target.with_parents([TargetId::from_index((number - 1) / 10)]),
            Shape::Star if number > 0 => target.with_parents([TargetId::from_index(0)]),
            _ => target,
        }
    };
    let mut policy = NotifierPolicy::new("noc");
    policy.recipients = vec!["noc@example.net".into()];
    let plan = Arc::new(Plan::new((0..size).map(target).collect()).with_notifier(policy));
    let monitor = Monitor::new(plan, &Saved::default(), START, MonitorOptions::new([7; 16], "example.net"));
    let words = Words::new(Locale::Es, Some("America/Asuncion"), None).expect("the zone exists");
    let mut world = World { monitor, words, size, storm: Storm::default() };
    world.lap(0, true);
    world.storm = Storm::default();
    world
}

impl World {
    /// A check of every device, each at its time within 10 s.
    fn lap(&mut self, number: u32, answered: bool) {
        let interval = Duration::from_secs(10);
        for first in (0..self.size).step_by(BATCH) {
            let mut now = START;
            let batch: Vec<Sample> = (first..(first + BATCH).min(self.size))
                .map(|device| {
                    let at = interval * number + interval.mul_f64(device as f64 / self.size as f64);
                    let ended = at + Duration::from_secs(6);
                    now = Now::new(START.mono.plus(ended), START.wall.plus(ended));
                    sample(device, START.mono.plus(at), now.mono, answered)
                })
                .collect();
            self.call(now, |monitor| {
                monitor.handle_samples(now, &batch);
                if monitor.poll_timeout().is_some_and(|at| at <= now.mono) {
                    monitor.handle_timeout(now);
                }
            });
        }
    }

    fn call(&mut self, now: Now, call: impl FnOnce(&mut Monitor)) {
        let begin = Instant::now();
        call(&mut self.monitor);
        while let Some(output) = self.monitor.poll_output() {
            match output {
                Output::Commit(commit) => self.monitor.handle_committed(now, commit.seq),
                Output::Compose(draft) => {
                    let content = self.words.render(&draft);
                    let bytes = content.subject.len() + content.text.len() + content.html.len();
                    self.storm.bytes = self.storm.bytes.max(bytes);
                    self.monitor.handle_composed(now, draft.id, content);
                }
                Output::Deliver(mail) => {
                    self.storm.mails += 1;
                    self.monitor.handle_delivered(now, mail.id, Ok(Receipt::accepted(&mail.recipients)));
                }
                _ => {}
            }
        }
        self.storm.time += begin.elapsed();
    }
}

fn sample(device: usize, at: Mono, ended: Mono, answered: bool) -> Sample {
    let rtt = Rtt::from_duration(Duration::from_micros(900));
    let echo = if answered { Echo::Reply(rtt) } else { Echo::Lost(Loss::NoReply) };
    Sample::new(TargetId::from_index(device), at, ended, [echo; 5].into_iter().collect())
}

fn storm(size: usize, shape: Shape) -> Storm {
    let mut world = world(size, shape);
    (1..=6).for_each(|number| world.lap(number, false));
    world.storm
}

fn one_change(size: usize) -> Duration {
    let mut world = world(size, Shape::Star);
    (1..=6).for_each(|number| world.lap(number, false));
    world.storm = Storm::default();
    let at = Duration::from_secs(70);
    let now = Now::new(START.mono.plus(at + Duration::from_secs(1)), START.wall.plus(at + Duration::from_secs(1)));
    let returns = sample(0, START.mono.plus(at), now.mono, true);
    world.call(now, |monitor| monitor.handle_samples(now, &[returns]));
    world.storm.time
}
