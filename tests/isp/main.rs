//! `netwatch-isp`: plays the devices of an Internet provider behind a TUN device, honestly or not, and writes down what
//! it did. Started inside a network namespace by the tests; see `netwatch_tests::isp`.

mod control;
mod far_side;
mod forge;
mod packet;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
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
use netwatch_tests::isp::{Record, Scenario, now_ns};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tun_rs::{DeviceBuilder, SyncDevice};

use far_side::FarSide;

/// Answers that may wait at a time; what comes beyond is written down as unsent.
const WAITING_AT_MOST: usize = 200_000;
/// What the packets of a flood are: they are counted together, not written down one by one.
const FLOOD: &str = "flood";
/// Packets read before answers that are due get their turn.
const READ_AT_A_TIME: usize = 256;

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
    let mut flooded: HashMap<IpAddr, u64> = HashMap::new();
    let mut order = 0_u64;
    let mut buffer = vec![0_u8; 65_536];
    loop {
        let idle = Duration::from_secs(1);
        let until = waiting.peek().map_or(idle, |first| first.0.due.saturating_duration_since(Instant::now()));
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
            if !verdict.flood.is_empty() {
                let sent = flooded.get(&device).copied().unwrap_or(0);
                shared.log.write(&Record::Flooded { at_ns, device, sent });
            }
            let answers = verdict.answers.into_iter().map(|(delay, packet)| (delay, packet, what));
            let flood = verdict.flood.into_iter().map(|(delay, packet)| (delay, packet, FLOOD));
            for (delay, packet, what) in answers.chain(flood) {
                if waiting.len() >= WAITING_AT_MOST {
                    let why = "too many answers wait".to_owned();
                    shared.log.write(&Record::Unsent { at_ns, device, nth, why });
                    continue;
                }
                order = order.wrapping_add(1);
                waiting.push(Reverse(Waiting { due: now + delay, order, device, nth, what, packet }));
            }
        }
        send_due(device, &mut waiting, &mut flooded, &mut shared.log);
        shared.log.flush();
    }
}

fn send_due(
    device: &SyncDevice,
    waiting: &mut BinaryHeap<Reverse<Waiting>>,
    flooded: &mut HashMap<IpAddr, u64>,
    log: &mut Log,
) {
    while waiting.peek().is_some_and(|first| first.0.due <= Instant::now()) {
        let Some(Reverse(answer)) = waiting.pop() else { return };
        if answer.what == FLOOD {
            let sent = flooded.entry(answer.device).or_default();
            *sent = sent.saturating_add(u64::from(device.send(&answer.packet).is_ok()));
            continue;
        }
        let at_ns = now_ns();
        let record = match device.send(&answer.packet) {
            Ok(_) => Record::Sent { at_ns, device: answer.device, nth: answer.nth, what: answer.what.to_owned() },
            Err(error) => Record::Unsent { at_ns, device: answer.device, nth: answer.nth, why: error.to_string() },
        };
        log.write(&record);
    }
}

fn wait_readable(device: &SyncDevice, limit: Duration) -> anyhow::Result<()> {
    let limit = Timespec::try_from(limit).context("a time limit of at most a second")?;
    match poll(&mut [PollFd::new(device, PollFlags::IN)], Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error).context("waiting for the TUN device"),
    }
}
