//! The ICMP engine: one thread asks every device, and never invents a loss.
//!
//! `mod.rs` is the door ([`IcmpProbe`]); `handover` carries slices of checks in and samples out; `engine` is the thread. Pure
//! and testable without a network: `wire`, `quote` and `filler` (bytes), `cookie`, `keys` and `flow` (whose is it?), `inflight` with `slot`,
//! `state` and `manner` (what is under way), `judge` (does it count?), `tempo` and `pacer` on `wheel` (when), `stamps` (two clocks),
//! `pulse`, `drops` and `doubt` (when we could not see). Thin edges: `sys`, `socket`, `lane`, `clock`.

mod accuracy;
mod batches;
mod canary;
pub(crate) mod clock;
mod cookie;
mod counters;
mod departures;
mod doubt;
mod drops;
mod engine;
#[cfg(feature = "test-util")]
pub mod exposed;
mod filler;
mod flow;
mod handover;
mod inflight;
mod judge;
mod kernel;
mod keys;
mod lane;
mod limits;
mod manner;
mod neighbours;
mod options;
mod pacer;
mod pulse;
mod quote;
mod slot;
mod socket;
mod stamps;
mod state;
mod sys;
mod tempo;
#[cfg(test)]
mod tests;
mod transmit;
mod wheel;
mod wire;

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;

pub use accuracy::Accuracy;
pub use counters::Counters;
pub use options::{IcmpOptions, OpenError};
pub use socket::SocketKind;

use crate::model::{Cause, Family, Mono, Sample, TargetId};
use crate::probe::{Check, CheckId, Probe, Report};

/// Pings: ICMP and ICMPv6 echo, for any number of devices from one thread.
///
/// A reply counts only if it came in time, from the address that was asked, with our identifier and sequence, a right
/// checksum and an unaltered payload that only this run of this program can have made. What this machine prevented
/// itself (a send error, a full buffer, a stop) is [unknown](crate::Echo::Unknown), with its cause; an echo that is more than 50 ms
/// late is not sent. An ICMP error explains a loss but causes none. Needs no executor.
///
/// ```no_run
/// use netwatch_core::{IcmpOptions, IcmpProbe};
///
/// let probe = IcmpProbe::open(IcmpOptions::default())?;
/// println!("{:?}", probe.counters());
/// # Ok::<(), netwatch_core::OpenError>(())
/// ```
#[derive(Debug)]
pub struct IcmpProbe {
    handover: handover::Handover,
    tally: Arc<counters::Tally>,
    instrument: Arc<accuracy::Instrument>,
    kinds: [Option<SocketKind>; 2],
    buffers: [Option<usize>; 2],
    send_buffers: [Option<usize>; 2],
    thread: Option<JoinHandle<()>>,
}

impl IcmpProbe {
    /// Opens the sockets and starts the thread. One address family is enough; checks of the other are unknown.
    ///
    /// # Errors
    /// When no ICMP socket can be had. The message carries the remedy.
    pub fn open(options: IcmpOptions) -> Result<IcmpProbe, OpenError> {
        let channels = options::open_channels(&options)?;
        let kinds = channels.each_ref().map(|channel| channel.as_ref().map(|channel| channel.kind));
        let buffers = channels.each_ref().map(|channel| channel.as_ref().map(|channel| channel.receive_buffer()));
        let send_buffers = channels.each_ref().map(|channel| channel.as_ref().map(|channel| channel.send_buffer()));
        let [k0, k1, veils] = random().map_err(OpenError::NotStarted)?;
        let (cookies, seed) = (cookie::Cookies::new([k0, k1]), veils as u32);
        let now = clock::mono();
        let lane = |channel| {
            let filler = filler::Filler::to(options.payload);
            lane::Lane::new(channel, cookies.clone(), filler, (veils >> 32) as u32, now)
        };
        let lanes = channels.map(|channel| channel.map(lane));
        let tally = Arc::new(counters::Tally::default());
        let (handover, inbox) = handover::handover().map_err(OpenError::NotStarted)?;
        let shared = Arc::clone(&tally);
        let instrument = Arc::new(accuracy::Instrument::new(now));
        let told = Arc::clone(&instrument);
        let thread = std::thread::Builder::new()
            .name("netwatch-icmp".into())
            .spawn(move || {
                let mut engine = engine::Engine::new(inbox, lanes, shared, told, seed);
                engine.make_room(options.targets);
                engine.run();
            })
            .map_err(OpenError::NotStarted)?;
        Ok(IcmpProbe { handover, tally, instrument, kinds, buffers, send_buffers, thread: Some(thread) })
    }

    /// What was sent and seen since it was opened.
    pub fn counters(&self) -> Counters {
        self.tally.snapshot()
    }

    /// How true the round-trip times are that it measures.
    pub fn accuracy(&self) -> Accuracy {
        self.instrument.snapshot()
    }

    /// Whether the engine's thread runs. It ends only by a defect of its own, which it has told on standard error; from then on
    /// every check is unknown ([`Cause::ProbeFailed`]), and a new probe has to be opened.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Which kind of socket serves the family; `None` if none could be opened.
    pub fn socket_kind(&self, family: Family) -> Option<SocketKind> {
        of(family, self.kinds)
    }

    /// The receive buffer that the kernel granted the family's socket, in bytes, which may be less than was asked for
    /// ([`IcmpOptions::receive_buffer`]); `None` if no socket could be opened.
    pub fn receive_buffer(&self, family: Family) -> Option<usize> {
        of(family, self.buffers)
    }

    /// The send buffer that the kernel granted the family's socket, in bytes ([`IcmpOptions::send_buffer`]); `None` if no socket
    /// could be opened.
    pub fn send_buffer(&self, family: Family) -> Option<usize> {
        of(family, self.send_buffers)
    }
}

fn of<T>(family: Family, [v4, v6]: [Option<T>; 2]) -> Option<T> {
    match family {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}

impl Drop for IcmpProbe {
    fn drop(&mut self) {
        self.handover.stop();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Probe for IcmpProbe {
    async fn check(&self, check: &Check) -> Sample {
        let one = Collector::default();
        self.check_many(vec![check.clone()], &one).await;
        let sample = one.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        sample.unwrap_or_else(|| Left::of(check).failed())
    }

    async fn check_many(&self, due: Vec<Check>, out: &dyn Report) {
        if due.is_empty() {
            return;
        }
        let mut ticket = self.handover.submit(&due);
        let left: Box<[Left]> = due.iter().map(Left::of).collect();
        drop(due);
        let (mut finished, mut reported) = (Vec::new(), Vec::new());
        loop {
            let is_over = poll_fn(|context| ticket.poll(context, &mut finished)).await;
            reported.extend(finished.iter().map(|(id, _)| *id));
            if !finished.is_empty() {
                out.report(&std::mem::take(&mut finished));
            }
            if is_over {
                break;
            }
        }
        if reported.len() < left.len() {
            reported.sort_unstable();
            let left = left.iter().filter(|check| reported.binary_search(&check.id).is_err());
            out.report(&left.map(|check| (check.id, check.failed())).collect::<Vec<_>>());
        }
    }

    /// When the engine is to come round at the latest; long past once its thread has ended.
    fn due_back(&self) -> Option<Mono> {
        if self.is_alive() { self.handover.due_back() } else { Some(Mono::ZERO) }
    }
}

/// What has to be known of a check whose engine ended before it did.
struct Left {
    id: CheckId,
    at: Mono,
    target: TargetId,
    pings: u16,
}

impl Left {
    fn of(check: &Check) -> Left {
        Left { id: check.id, at: check.at, target: check.target, pings: check.settings.pings }
    }

    fn failed(&self) -> Sample {
        Sample::unknown(self.target, self.at, clock::mono(), self.pings, Cause::ProbeFailed)
    }
}

/// Takes the sample of one check.
#[derive(Default)]
struct Collector(Mutex<Option<Sample>>);

impl Report for Collector {
    fn report(&self, samples: &[(CheckId, Sample)]) {
        let sample = samples.first().map(|(_, sample)| sample.clone());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sample;
    }
}

/// Three numbers that nobody can guess.
fn random() -> io::Result<[u64; 3]> {
    use std::io::Read;
    let mut bytes = [[0; 8]; 3];
    std::fs::File::open("/dev/urandom")?.read_exact(bytes.as_flattened_mut())?;
    Ok(bytes.map(u64::from_ne_bytes))
}
