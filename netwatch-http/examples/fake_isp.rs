//! A made-up ISP on the page, to look at it and to test it: no privileges, no packets, the same by the same seed.
//!
//! `cargo run -p netwatch-http --example fake_isp -- --targets 40`. Lines on standard input change the world:
//! `down NAME`, `up NAME`, `slow NAME`, `mail on|off|one` (one line waits), `refuse ADDRESS`, `accept ADDRESS`,
//! `journal on|off`, `room on|off` (on the disk), `damaged` (the database was), `sight on|off` (netwatch itself is cut off), `flapping NAME`, `freeze` (nothing is reported any more).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use netwatch_core::{
    Cause, Delivery, DeliveryOutcome, Echo, Event, Group, GroupId, Locale, Loss, MailId, Mono, NotifierPolicy, Now,
    Outage, OutageId, Plan, Rtt, Sample, Settings, Start, Status, StatusSink, Target, TargetId, TargetView, Transition,
    Wall,
};
use netwatch_http::{Dashboard, serve_tcp};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;

#[derive(Parser)]
struct Args {
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    #[arg(long, default_value_t = 40)]
    targets: usize,
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Some devices are down, slow, unknown or never answered
    #[arg(long)]
    trouble: bool,
    /// No check has ended yet
    #[arg(long)]
    pending: bool,
    /// Nothing is asked
    #[arg(long)]
    paused: bool,
    /// Behind every third device
    #[arg(long, default_value_t = 480)]
    customers: u32,
    /// Names that try to run scripts
    #[arg(long)]
    hostile: bool,
    #[arg(long)]
    english: bool,
    #[arg(long, default_value_t = 2000)]
    interval_ms: u64,
}

const GROUPS: [&str; 5] = ["Núcleo", "DSLAM", "OLT", "Enlaces", "Controladores"];
const KINDS: [&str; 5] = ["core", "dslam", "olt", "ptp", "ctrl"];
const PLACES: [&str; 10] =
    ["centro", "norte", "sur", "cerro", "pueblo", "itauguá", "luque", "areguá", "limpio", "villeta"];
const HOSTILE: [&str; 6] = [
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "\"><svg onload=window.pwned=1>",
    "javascript:window.pwned=1",
    "{{constructor.constructor('window.pwned=1')()}}",
    "&lt;script&gt;window.pwned=1&lt;/script&gt;\u{202e}",
];

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Fine,
    Slow,
    Lossy,
    Down,
    Never,
    NoRoute,
    Unasked,
    Paused,
}

struct World {
    dashboard: Dashboard,
    plan: Arc<Plan>,
    begun: Instant,
    random: fastrand::Rng,
    fates: Vec<Fate>,
    statuses: Vec<Status>,
    base: Vec<f64>,
    last_good: Vec<Option<Wall>>,
    numbers: u64,
    frozen: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let listener = TcpListener::bind(args.listen).await?;
    println!("http://{}", listener.local_addr()?);
    let dashboard = Dashboard::new();
    let mut world = World::new(&args, dashboard.clone());
    world.begin().await;
    tokio::spawn(async move { world.run(args.interval_ms).await });
    serve_tcp(listener, dashboard, async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await?;
    Ok(())
}

impl World {
    fn new(args: &Args, dashboard: Dashboard) -> World {
        let mut random = fastrand::Rng::with_seed(args.seed);
        let mut settings = Settings::default();
        settings.interval = Duration::from_millis(args.interval_ms);
        settings.spacing = settings.interval / 10;
        settings.timeout = settings.interval / 5;
        settings.tolerance = Duration::from_secs(120);
        let settings = Arc::new(settings);
        let targets = (0..args.targets).map(|at| target(at, args, settings.clone())).collect();
        let mut plan = Plan::new(targets).with_notifier(NotifierPolicy::new("turno"));
        plan.groups = GROUPS.into_iter().map(Group::new).collect();
        plan.locale = if args.english { Locale::En } else { Locale::Es };
        let fate = |at: usize| match (args.trouble, at % 1000) {
            _ if args.paused => Fate::Paused,
            _ if args.pending => Fate::Unasked,
            (true, 11 | 23) => Fate::Down,
            (true, 17) => Fate::Slow,
            (true, 28) => Fate::Lossy,
            (true, 33) => Fate::NoRoute,
            (true, 36 | 38) => Fate::Never,
            _ => Fate::Fine,
        };
        World {
            dashboard,
            plan: Arc::new(plan),
            begun: Instant::now(),
            base: (0..args.targets).map(|_| 0.4 + random.f64().powi(3) * 40.0).collect(),
            random,
            fates: (0..args.targets).map(fate).collect(),
            statuses: vec![Status::Pending; args.targets],
            last_good: vec![None; args.targets],
            numbers: 0,
            frozen: false,
        }
    }

    fn now(&self) -> Now {
        Now::new(Mono::from_nanos(1 << 40).plus(self.begun.elapsed()), SystemTime::now().into())
    }

    /// Where a world that has been running for a while stands.
    async fn begin(&mut self) {
        let now = self.now();
        let mut events = Vec::new();
        let views = (0..self.fates.len()).map(|at| {
            let id = TargetId::from_index(at);
            let mut view = TargetView::pending(id, now.wall.minus(Duration::from_secs(86_400 + at as u64)));
            let ago = Duration::from_secs(if at % 2 == 0 { 95 } else { 767 + at as u64 % 97 });
            view.status = status_of(self.fates[at]);
            view.last_good = match self.fates[at] {
                Fate::Never | Fate::Unasked | Fate::Paused => None,
                Fate::Down | Fate::NoRoute => Some(now.wall.minus(ago)),
                _ => Some(now.wall),
            };
            view.cause = match self.fates[at] {
                Fate::NoRoute => Some(Cause::NoRoute),
                Fate::Paused => Some(Cause::Paused),
                _ => None,
            };
            if matches!(view.status, Status::Down) {
                view.since = view.last_good.unwrap_or(view.since);
                view.outage = Some(self.outage(at, view.last_good, now.wall, &mut events, ago));
            } else if view.status == Status::Unknown {
                view.since = now.wall.minus(ago);
            }
            self.statuses[at] = view.status;
            self.last_good[at] = view.last_good;
            view
        });
        let views = views.collect::<Vec<_>>();
        self.dashboard.start(&Start::new(now, self.plan.clone(), views)).await;
        self.dashboard.events(&events).await;
        for _ in 0..6 {
            let asked: Vec<usize> = (0..self.fates.len()).filter(|&at| self.fates[at].is_asked()).collect();
            let samples: Vec<Sample> = asked.into_iter().map(|at| self.sample(at)).collect();
            self.dashboard.samples(&samples).await;
        }
    }

    fn outage(&mut self, at: usize, good: Option<Wall>, now: Wall, events: &mut Vec<Event>, ago: Duration) -> Outage {
        self.numbers += 1;
        let name = self.plan.targets[at].name.clone();
        let mut outage = Outage::open(OutageId::new(self.numbers), name.clone(), good, now.minus(ago));
        let tolerance = self.plan.targets[at].settings.tolerance;
        if ago > tolerance {
            outage.due = Some(now.minus(ago).plus(tolerance));
            let mail = now.minus(ago).plus(tolerance + Duration::from_secs(11));
            let mut sent = Delivery::new(mail, "turno", MailId::new(self.numbers), "<1@isp>", DeliveryOutcome::Sent);
            sent.recipients = vec!["turno@example.net".into()];
            sent.targets = vec![name];
            events.push(Event::Delivery(sent));
        }
        outage
    }

    async fn run(&mut self, interval_ms: u64) {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        let mut listening = true;
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        let slots = (interval_ms / 100).max(1) as usize;
        let mut slot = 0;
        loop {
            tokio::select! {
                _ = beat.tick() => {
                    slot = (slot + 1) % slots;
                    self.round(slot, slots).await;
                }
                line = lines.next_line(), if listening => match line {
                    Ok(Some(line)) => self.command(&line).await,
                    _ => listening = false,
                },
            }
        }
    }

    async fn round(&mut self, slot: usize, slots: usize) {
        if self.frozen {
            return;
        }
        let due = (0..self.fates.len()).filter(|&at| at % slots == slot && self.fates[at].is_asked());
        let due: Vec<usize> = due.collect();
        let samples: Vec<Sample> = due.iter().map(|&at| self.sample(at)).collect();
        self.dashboard.samples(&samples).await;
        for at in due {
            self.settle(at).await;
        }
    }

    /// Tells of a status that has become another.
    async fn settle(&mut self, at: usize) {
        let (from, to) = (self.statuses[at], status_of(self.fates[at]));
        if from == to {
            return;
        }
        let now = self.now().wall;
        let name = self.plan.targets[at].name.clone();
        let mut transition = Transition::new(TargetId::from_index(at), name, from, to, now);
        transition.last_good = self.last_good[at];
        if to == Status::Down {
            transition.since = self.last_good[at].unwrap_or(now);
            let outage = self.outage(at, self.last_good[at], now, &mut Vec::new(), Duration::ZERO);
            self.dashboard.events(&[Event::OutageOpened(TargetId::from_index(at), outage)]).await;
        }
        self.statuses[at] = to;
        self.dashboard.transitions(&[transition]).await;
    }

    fn sample(&mut self, at: usize) -> Sample {
        let now = self.now();
        let id = TargetId::from_index(at);
        let factor = if self.fates[at] == Fate::Slow { 12.0 } else { 1.0 };
        let floor = if self.fates[at] == Fate::Slow { 160.0 } else { 0.0 };
        let echoes = (0..5).map(|n| match self.fates[at] {
            Fate::Down | Fate::Never => Echo::Lost(Loss::NoReply),
            Fate::NoRoute => Echo::Unknown(Cause::NoRoute),
            Fate::Lossy if n % 3 == 0 => Echo::Lost(Loss::NoReply),
            _ => {
                let ms = floor + self.base[at] * factor * (1.0 + 0.1 * self.random.f64());
                Echo::Reply(Rtt::from_duration(Duration::from_secs_f64(ms / 1000.0)))
            }
        });
        let sample = Sample::new(id, now.mono, now.mono, echoes.collect());
        if sample.last_reply.is_some() {
            self.last_good[at] = Some(now.wall);
        }
        sample
    }

    async fn delivery(&mut self, recipient: &str, outcome: DeliveryOutcome) {
        self.numbers += 1;
        let mut told = Delivery::new(self.now().wall, "turno", MailId::new(self.numbers), "<1@isp>", outcome);
        told.recipients = vec![recipient.into()];
        told.reason = (told.outcome == DeliveryOutcome::Failed).then(|| "550 5.1.1 no such user here".into());
        self.dashboard.events(&[Event::Delivery(told)]).await;
    }

    async fn command(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let at = self.plan.targets.iter().position(|target| &*target.name == rest);
        let since = (rest != "on").then(|| self.now().wall.minus(Duration::from_secs(1800)));
        let error = since.map(|_| "connection refused".to_owned());
        match (verb, at) {
            ("down", Some(at)) => self.fates[at] = Fate::Down,
            ("up", Some(at)) => self.fates[at] = Fate::Fine,
            ("slow", Some(at)) => self.fates[at] = Fate::Slow,
            ("freeze", _) => self.frozen = true,
            ("mail", _) => {
                let waiting = match rest {
                    "off" => 4,
                    "one" => 1,
                    _ => 0,
                };
                let notifier = "turno".into();
                let path = Event::MailPath { notifier, waiting, failing_since: since, last_sent: None, error };
                self.dashboard.events(&[path]).await;
            }
            ("refuse", _) => self.delivery(rest, DeliveryOutcome::Failed).await,
            ("accept", _) => self.delivery(rest, DeliveryOutcome::Sent).await,
            ("journal", _) => self.dashboard.events(&[Event::Journal { failing_since: since, error }]).await,
            ("room", _) => {
                let error = since.map(|_| "the disk of /var/lib/netwatch is almost full".to_owned());
                self.dashboard.events(&[Event::Journal { failing_since: None, error }]).await;
            }
            ("damaged", _) => {
                let message = "/var/lib/netwatch/netwatch.db was damaged; it is kept as netwatch.db.damaged".to_owned();
                let at = self.now().wall;
                self.dashboard.events(&[Event::Trouble { at, component: "store", message }]).await;
            }
            ("sight", _) => self.dashboard.events(&[Event::Blind { since }]).await,
            ("flapping", Some(at)) => {
                self.dashboard.events(&[Event::Flapping { target: TargetId::from_index(at), since }]).await;
            }
            _ => eprintln!("not understood: {line:?}"),
        }
    }
}

impl Fate {
    fn is_asked(self) -> bool {
        !matches!(self, Fate::Unasked | Fate::Paused)
    }
}

fn target(at: usize, args: &Args, settings: Arc<Settings>) -> Target {
    let kind = at % GROUPS.len();
    let number = at / GROUPS.len();
    let place = PLACES[number % PLACES.len()];
    let name = match (args.hostile, number / PLACES.len()) {
        (true, _) if at < HOSTILE.len() => HOSTILE[at].to_owned(),
        (_, 0) => format!("{}-{place}", KINDS[kind]),
        (_, round) => format!("{}-{place}-{}", KINDS[kind], round + 1),
    };
    let [_, _, high, low] = (at as u32).to_be_bytes();
    let mut target = Target::at(name, IpAddr::V4(Ipv4Addr::new(192, 168, high, low)));
    target.group = Some(GroupId::from_index(kind));
    target.settings = settings;
    target.customers = (at % 3 == 2).then_some(args.customers);
    target.paused = args.paused;
    if at % 4 == 3 { target.with_note("llave en portería; ANDE 021 160") } else { target }
}

fn status_of(fate: Fate) -> Status {
    match fate {
        Fate::Fine => Status::Ok,
        Fate::Slow | Fate::Lossy => Status::Warning,
        Fate::Down | Fate::Never => Status::Down,
        Fate::NoRoute | Fate::Paused => Status::Unknown,
        Fate::Unasked => Status::Pending,
    }
}
