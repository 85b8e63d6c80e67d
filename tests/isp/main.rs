//! `netwatch-isp`: plays the devices of an Internet provider behind a TUN device, honestly or not, and writes down what
//! it did. Started inside a network namespace by the tests; see `netwatch_tests::isp`.

mod control;
mod far_side;
mod forge;
mod packet;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use netwatch_tests::isp::{Flood, Record, Scenario, now_ns};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tun_rs::{DeviceBuilder, SyncDevice};

use far_side::FarSide;

/// Answers that may wait at a time; what comes beyond is written down as unsent.
const WAITING_AT_MOST: usize = 200_000;
/// Packets read before answers that are due get their turn.
const READ_AT_A_TIME: usize = 256;
/// Packets of a flood that are forged before everything else gets its turn.
const FORGED_AT_A_TIME: u32 = 32;

/// Plays an Internet provider's devices behind a TUN device.
#[derive(Debug, Parser)]
struct Args {
    /// Name of the TUN interface to make.
    #[arg(long)]
    tun: String,
    /// The scenario, JSON.
    #[arg(long)]
    scenario: PathBuf,
    /// Where the truth log goes, JSON lines.
    #[arg(long)]
    truth: PathBuf,
    /// Path of the control socket; it exists once the device does.
    #[arg(long)]
    control: PathBuf,
}

/// What the packet loop and the control socket both touch.
#[derive(Debug)]
struct Shared {
    far_side: FarSide,
    started: Instant,
    log: Log,
}

/// The truth log being written.
#[derive(Debug)]
struct Log(BufWriter<File>);

impl Log {
    fn write(&mut self, record: &Record) {
        let written = serde_json::to_writer(&mut self.0, record).is_ok() && self.0.write_all(b"\n").is_ok();
        Log::must(written);
    }

    /// Makes what was written visible to readers.
    fn flush(&mut self) {
        Log::must(self.0.flush().is_ok());
    }

    /// Without its truth log a run proves nothing: ends the program.
    fn must(written: bool) {
        if !written {
            eprintln!("cannot write the truth log");
            std::process::exit(1);
        }
    }
}

/// An answer that waits for its time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    due: Instant,
    order: u64,
    device: IpAddr,
    nth: u64,
    what: &'static str,
    packet: Vec<u8>,
}

/// A flood that follows a request.
#[derive(Debug)]
struct Flooding {
    request: packet::Request,
    flood: Flood,
    begin: Instant,
    done: u32,
}

impl Flooding {
    /// When its next packet is due.
    fn due(&self) -> Instant {
        let over = Duration::try_from_secs_f64(self.flood.over_ms / 1000.0).unwrap_or_default();
        self.begin + over.mul_f64(f64::from(self.done) / f64::from(self.flood.each.max(1)))
    }

    fn is_over(&self) -> bool {
        self.done >= self.flood.each
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let text =
        std::fs::read_to_string(&args.scenario).with_context(|| format!("reading {}", args.scenario.display()))?;
    let scenario: Scenario = serde_json::from_str(&text).with_context(|| format!("in {}", args.scenario.display()))?;
    let truth = File::create(&args.truth).with_context(|| format!("creating {}", args.truth.display()))?;
    let device = DeviceBuilder::new().name(&args.tun).mtu(1500).build_sync().context("making the TUN device")?;
    device.set_nonblocking(true).context("preparing the TUN device")?;
    let far_side = FarSide::new(scenario);
    let shared = Shared { far_side, started: Instant::now(), log: Log(BufWriter::new(truth)) };
    let shared = Arc::new(Mutex::new(shared));
    let listener = UnixListener::bind(&args.control).with_context(|| format!("binding {}", args.control.display()))?;
    let served = Arc::clone(&shared);
    thread::spawn(move || control::serve(&listener, &served));
    thread::spawn(end_with_stdin);
    play(&device, &shared)
}

/// Ends the program when its parent has gone, which closes our standard input.
fn end_with_stdin() {
    let mut nothing = [0; 64];
    while matches!(std::io::stdin().read(&mut nothing), Ok(read) if read > 0) {}
    std::process::exit(0);
}

fn play(device: &SyncDevice, shared: &Mutex<Shared>) -> anyhow::Result<()> {
    let mut waiting: BinaryHeap<Reverse<Waiting>> = BinaryHeap::new();
    let mut floods: VecDeque<Flooding> = VecDeque::new();
    let mut sent_of_floods: HashMap<IpAddr, u64> = HashMap::new();
    let mut order = 0_u64;
    let mut buffer = vec![0_u8; 65_536];
    loop {
        let idle = Duration::from_secs(1);
        let due = waiting.peek().map(|first| first.0.due).into_iter().chain(floods.iter().map(Flooding::due)).min();
        let until = due.map_or(idle, |due| due.saturating_duration_since(Instant::now()));
        wait_readable(device, until.min(idle))?;
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..READ_AT_A_TIME {
            let length = match device.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => break,
                Err(error) => return Err(error).context("reading the TUN device"),
            };
            let Some(request) = buffer.get(..length).and_then(packet::decode) else { continue };
            let (now, at_ns) = (Instant::now(), now_ns());
            let since_start = now.saturating_duration_since(shared.started);
            let verdict = shared.far_side.decide(&request, since_start);
            let (nth, what, device) = (verdict.nth, verdict.fate, request.to);
            let fate = what.to_owned();
            shared.log.write(&Record::Request { at_ns, device, nth, id: request.id, seq: request.seq, fate });
            if let Some(flood) = verdict.flood {
                let sent = sent_of_floods.get(&device).copied().unwrap_or(0);
                shared.log.write(&Record::Flooded { at_ns, device, sent });
                floods.push_back(Flooding { request, flood, begin: now, done: 0 });
            }
            for (delay, packet) in verdict.answers {
                if waiting.len() >= WAITING_AT_MOST {
                    let why = "too many answers wait".to_owned();
                    shared.log.write(&Record::Unsent { at_ns, device, nth, why });
                    continue;
                }
                order = order.wrapping_add(1);
                waiting.push(Reverse(Waiting { due: now + delay, order, device, nth, what, packet }));
            }
        }
        send_due(device, &mut waiting, &mut shared.log);
        flood(device, &mut floods, &mut sent_of_floods, &mut shared.far_side);
        shared.log.flush();
    }
}

fn send_due(device: &SyncDevice, waiting: &mut BinaryHeap<Reverse<Waiting>>, log: &mut Log) {
    while waiting.peek().is_some_and(|first| first.0.due <= Instant::now()) {
        let Some(Reverse(answer)) = waiting.pop() else { return };
        let at_ns = now_ns();
        let record = match device.send(&answer.packet) {
            Ok(_) => Record::Sent { at_ns, device: answer.device, nth: answer.nth, what: answer.what.to_owned() },
            Err(error) => Record::Unsent { at_ns, device: answer.device, nth: answer.nth, why: error.to_string() },
        };
        log.write(&record);
    }
}

/// Sends some of what is due of the floods; requests and answers come first.
fn flood(
    device: &SyncDevice,
    floods: &mut VecDeque<Flooding>,
    sent_of_floods: &mut HashMap<IpAddr, u64>,
    far_side: &mut FarSide,
) {
    let now = Instant::now();
    let Some(at) = floods.iter().position(|flooding| flooding.due() <= now) else { return };
    let Some(flooding) = floods.get_mut(at) else { return };
    let sent = sent_of_floods.entry(flooding.request.to).or_default();
    for _ in 0..FORGED_AT_A_TIME {
        if flooding.is_over() || flooding.due() > now {
            break;
        }
        let packet = far_side.forge(&flooding.request, flooding.flood.of, flooding.done);
        flooding.done = flooding.done.saturating_add(1);
        *sent = sent.saturating_add(u64::from(packet.is_some_and(|packet| device.send(&packet).is_ok())));
    }
    if flooding.is_over() {
        floods.remove(at);
    }
}

fn wait_readable(device: &SyncDevice, limit: Duration) -> anyhow::Result<()> {
    let limit = Timespec::try_from(limit).context("a time limit of at most a second")?;
    match poll(&mut [PollFd::new(device, PollFlags::IN)], Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error).context("waiting for the TUN device"),
    }
}
