//! The engine's thread: one loop that receives, settles, sends and sleeps, and waits for nothing but the network.
//!
//! It wakes up for what is to be sent and for what was handed over; at rates worth speaking of it never does for a reply, because
//! the kernel stamps those (`tempo` has the rules). The order matters: everything that has arrived is judged, by the kernel's stamps, before a timeout is taken for a loss. So
//! a loop that comes late, or a process that was stopped, loses no reply that the kernel had already received.

use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use super::accuracy::Instrument;
use super::batches::Batches;
use super::clock;
use super::counters::{Count, Tally};
use super::doubt::Doubts;
use super::handover::{Command, Inbox, Submission};
use super::inflight::{InFlight, SLACK};
use super::kernel::Kernel;
use super::keys::MOST_SLOTS;
use super::lane::{Desk, Lane};
use super::pacer::Pacer;
use super::pulse::{Pulse, STALL};
use super::stamps::Clocks;
use super::sys;
use super::tempo::{self, DRAIN_AFTER, Rate};
use super::wheel::Wheel;
use crate::model::{Cause, Mono, Sample};

/// A reply that the kernel stamps at the last moment of its timeout reaches the socket a little later.
const GRACE: Duration = Duration::from_millis(10);
/// The longest sleep while an echo is under way: an interruption is noticed within this and the next.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);
/// How often a family is read of which nobody is asked.
const REST: Duration = Duration::from_millis(20);
/// The longest that sending goes on before timeouts and what was handed over have their turn.
const LONGEST_TURN: Duration = Duration::from_millis(5);

pub(super) struct Engine {
    inbox: Inbox,
    /// IPv4, IPv6.
    lanes: [Option<Lane>; 2],
    inflight: InFlight,
    batches: Batches,
    pacer: Pacer,
    timeouts: Wheel,
    pulse: Pulse,
    /// When no family could see.
    stalls: Doubts,
    pub(super) clocks: Clocks,
    tally: Arc<Tally>,
    instrument: Arc<Instrument>,
    pub(super) kernel: Kernel,
    touched: Vec<u32>,
    due: Vec<u32>,
    rate: Rate,
    /// When sending began the last time.
    sent: Mono,
    /// Packets read since the last sleep.
    received: usize,
    /// Whether the last sleep would have ended with a reply.
    has_listened: bool,
}

impl Engine {
    pub(super) fn new(
        inbox: Inbox,
        lanes: [Option<Lane>; 2],
        tally: Arc<Tally>,
        instrument: Arc<Instrument>,
        seed: u32,
    ) -> Engine {
        let reading = clock::both();
        Engine {
            inbox,
            lanes,
            inflight: InFlight::new(seed),
            batches: Batches::default(),
            pacer: Pacer::new(reading.after),
            timeouts: Wheel::new(reading.after),
            pulse: Pulse::new(reading.after, clock::boot()),
            stalls: Doubts::default(),
            clocks: Clocks::new(reading),
            tally,
            instrument,
            kernel: Kernel::watch(reading.after),
            touched: Vec::new(),
            due: Vec::new(),
            rate: Rate::new(reading.after),
            sent: Mono::ZERO,
            received: 0,
            has_listened: true,
        }
    }

    /// Makes room for so many targets at once: tables that grow by copying leave holes behind that nothing fits into.
    pub(super) fn make_room(&mut self, targets: usize) {
        let slots = targets.min(MOST_SLOTS as usize);
        self.inflight.make_room(slots);
        self.pacer.make_room(slots);
        self.timeouts.make_room(slots);
    }

    /// Runs until it is told to stop, or nobody is left who could.
    pub(super) fn run(mut self) {
        sys::sleep_precisely();
        let mut drained = clock::mono();
        loop {
            let now = clock::mono();
            self.inbox.round.due_back(Some(now));
            if !self.listen() {
                return;
            }
            let is_all = self.receive();
            self.beat(Mono::ZERO);
            if is_all {
                drained = now;
                self.settle(now);
            } else if now.since(drained) > STALL {
                // More comes than can be read: what is not settled now never would be, and who knows what is still queued.
                self.stalls.add(drained, now, Cause::Stalled);
                self.settle(now);
            }
            self.tend_canaries();
            self.send();
            self.batches.tell(now);
            if self.inflight.is_idle() {
                drained = clock::mono();
            }
            self.beat(Mono::ZERO);
            match self.sleep() {
                Some(planned) => self.beat(planned),
                None => self.pulse.rest(clock::mono(), clock::boot()),
            }
        }
    }

    /// Looks whether the engine stood still since the last time; `planned` is when a sleep since then was to end.
    fn beat(&mut self, planned: Mono) {
        if let Some((from, to)) = self.pulse.beat(clock::mono(), clock::boot(), planned) {
            self.stalls.add(from, to, Cause::Stalled);
            self.tally.add(Count::Stalls, 1);
        }
    }

    /// Takes in what was handed over; `false` if it is time to stop.
    fn listen(&mut self) -> bool {
        use std::sync::mpsc::TryRecvError;
        loop {
            match self.inbox.commands.try_recv() {
                Ok(Command::Submit(submission)) => self.accept(submission),
                Ok(Command::Cancel(number)) => self.cancel(number),
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn accept(&mut self, submission: Submission) {
        let Submission { number, asks, results } = submission;
        let batch = self.batches.open(number, results, asks.len());
        for check in &asks {
            let lane = usize::from(check.address.is_ipv6());
            let slot = if self.lanes.get(lane).is_some_and(Option::is_some) {
                self.inflight.begin(check, batch).ok_or(Cause::NotSent)
            } else {
                Err(Cause::NoSocket)
            };
            match slot {
                Ok(slot) => {
                    self.batches.occupies(batch, slot);
                    self.pacer.plan(slot, check.at);
                }
                Err(cause) => {
                    let sample = Sample::unknown(check.target, check.at, clock::mono(), check.manner.pings, cause);
                    self.batches.finished(batch, check.id, sample);
                }
            }
        }
    }

    fn cancel(&mut self, number: u64) {
        let Some((batch, slots)) = self.batches.cancel(number) else { return };
        for slot in slots {
            if self.inflight.cancel(slot, batch) {
                self.pacer.forget(slot);
                self.timeouts.disarm(slot);
            }
        }
    }

    /// Judges all that has arrived; `false` if there may be more. Where nothing is under way nothing can be missed, and it is
    /// enough to look now and then.
    fn receive(&mut self) -> bool {
        let (now, is_busy, has_listened) = (clock::mono(), self.inflight.is_busy(), self.has_listened);
        let Engine { lanes, inflight, clocks, tally, instrument, kernel, touched, received, .. } = self;
        let mut desk = Desk { inflight, clocks, tally, instrument, kernel, touched, received };
        let mut is_all = true;
        for (lane, is_busy) in lanes.iter_mut().zip(is_busy) {
            if let Some(lane) = lane
                && (is_busy || has_listened || now.since(lane.read()) >= REST)
            {
                is_all &= lane.receive(now, &mut desk);
            }
        }
        // What has arrived brings no timeout nearer.
        while let Some(slot) = self.touched.pop() {
            self.finish(slot);
        }
        is_all
    }

    /// Settles the echoes whose timeout ended before `now`, which is before everything that has arrived was judged.
    fn settle(&mut self, now: Mono) {
        let until = now.minus(GRACE);
        self.timeouts.take(now, &mut self.due);
        let mut is_ending = [false; 2];
        for slot in &self.due {
            let is_over = self.inflight.deadline(*slot).is_some_and(|deadline| deadline <= until);
            if let Some(place) = self.inflight.is_v6(*slot).and_then(|v6| is_ending.get_mut(usize::from(v6))) {
                *place |= is_over;
            }
        }
        for (lane, is_ending) in self.lanes.iter_mut().zip(is_ending) {
            let Some(lane) = lane else { continue };
            if is_ending || now.since(lane.looked()) >= LONGEST_SLEEP {
                lane.look_for_overflow(clock::mono(), &self.tally);
            }
        }
        self.look_at_limits(is_ending.contains(&true));
        while let Some(slot) = self.due.pop() {
            let lane = self.inflight.is_v6(slot).and_then(|v6| self.lanes.get(usize::from(v6))?.as_ref());
            let (stalls, overflows) = (&self.stalls, lane.map(|lane| &lane.overflows));
            self.inflight.expire(slot, until, |sent, deadline| {
                stalls.about(sent, deadline).or_else(|| overflows?.about(sent, deadline))
            });
            self.touched.push(slot);
        }
        self.conclude();
    }

    /// Asks the kernel what it dropped before any socket.
    fn look_at_limits(&mut self, is_ending: bool) {
        let now = clock::mono();
        let Some(news) = self.kernel.look(now, is_ending) else { return };
        self.tally.add(Count::SoftnetDrops, news.softnet_drops);
        self.tally.add(Count::ConntrackDrops, news.conntrack_drops);
        if let Some((from, cause)) = news.doubt {
            self.stalls.add(from, now, cause);
        }
    }

    /// While anything is under way, this machine asks itself too.
    fn tend_canaries(&mut self) {
        if self.inflight.is_idle() {
            return;
        }
        let Engine { lanes, inflight, clocks, tally, instrument, kernel, touched, received, .. } = self;
        let mut desk = Desk { inflight, clocks, tally, instrument, kernel, touched, received };
        for lane in lanes.iter_mut().flatten() {
            lane.tend_canary(&mut desk);
        }
    }

    /// Sends what is due, in chunks, and looks for replies between them. What it does not get done in its time has to wait for
    /// the next turn, so that nothing else waits for ever.
    fn send(&mut self) {
        let begin = clock::mono();
        let mut sent = 0;
        self.rate.add(begin, 0);
        let chunk = tempo::chunk(self.rate.pps());
        loop {
            let now = clock::mono();
            let mut taken = 0;
            while taken < chunk
                && let Some((planned, slot)) = self.pacer.pop(now, |slot| self.inflight.next_departure(slot))
            {
                taken += 1;
                self.load(slot, planned, now);
            }
            if taken == 0 {
                return;
            }
            self.sent = begin;
            self.rate.add(now, taken);
            let Engine { lanes, inflight, clocks, tally, instrument, kernel, touched, received, .. } = self;
            let mut desk = Desk { inflight, clocks, tally, instrument, kernel, touched, received };
            for lane in lanes.iter_mut().flatten() {
                lane.send(&mut desk);
            }
            self.conclude();
            sent += taken;
            if sent >= DRAIN_AFTER {
                sent = 0;
                self.beat(Mono::ZERO);
                self.receive();
                self.beat(Mono::ZERO);
            }
            if now.since(begin) > LONGEST_TURN {
                return;
            }
        }
    }

    fn load(&mut self, slot: u32, planned: Mono, now: Mono) {
        let Some((echo, next)) = self.inflight.depart(slot, planned) else { return };
        if let Some(next) = next {
            self.pacer.plan(slot, next);
        }
        let lane = self.lanes.get_mut(usize::from(echo.to.is_ipv6())).and_then(Option::as_mut);
        let is_loaded = now.since(planned) <= SLACK && lane.is_some_and(|lane| lane.load(slot, &echo, &self.inflight));
        if !is_loaded {
            self.inflight.not_sent(slot, echo.stamp.ping, now, Cause::NotSent);
            self.tally.add(Count::NotSent, 1);
            self.touched.push(slot);
        }
    }

    /// Puts the timers of the touched slots right, and takes out the checks that have finished.
    fn conclude(&mut self) {
        while let Some(slot) = self.touched.pop() {
            if !self.finish(slot)
                && let Some(deadline) = self.inflight.deadline(slot)
            {
                // A timer that comes too early is armed again: most echoes are answered by then, and need none of their own.
                let at = Wheel::not_before(deadline.plus(GRACE));
                if !self.timeouts.is_armed_by(slot, at) {
                    self.timeouts.arm(slot, at);
                }
            }
        }
    }

    /// Takes the check out of the slot if it has finished.
    fn finish(&mut self, slot: u32) -> bool {
        if !self.inflight.is_finished(slot) {
            return false;
        }
        let Some(finished) = self.inflight.finish(slot) else { return false };
        self.timeouts.disarm(slot);
        self.batches.finished(finished.batch, finished.check, finished.sample);
        true
    }

    /// Sleeps until something is due, has arrived or was handed over; when it meant to wake up.
    fn sleep(&mut self) -> Option<Mono> {
        let now = clock::mono();
        self.rate.add(now, 0);
        let (pps, received) = (self.rate.pps(), std::mem::take(&mut self.received));
        let (inflight, is_busy) = (&self.inflight, !self.inflight.is_idle());
        let next = self.pacer.next(now, |slot| inflight.next_departure(slot));
        let listens = !is_busy || tempo::listens(pps, received);
        self.has_listened = listens;
        let patience = if listens { Duration::ZERO } else { tempo::patience(pps, received) };
        let longest = if listens { LONGEST_SLEEP } else { patience.min(LONGEST_SLEEP) };
        let wakes = [
            next.map(|next| tempo::wake(next, self.sent)),
            // Whatever wakes the engine next, it looks at the timeouts too.
            self.timeouts.next().map(|timeout| timeout.plus(patience)),
            self.batches.next(),
            is_busy.then(|| now.plus(longest)),
        ];
        let wake = wakes.into_iter().flatten().min();
        if wake.is_some_and(|wake| wake <= now) {
            return wake.map(|_| now);
        }
        self.inbox.round.due_back(wake);
        let timeout = wake.map(|wake| timespec(wake.since(now)));
        let bell = Arc::clone(&self.inbox.bell);
        let wait = |fds: &mut [PollFd<'_>]| {
            // An interrupted or refused poll is a short sleep; the loop looks for everything anyway.
            let _ = poll(fds, timeout.as_ref());
            fds.first().is_some_and(|bell| !bell.revents().is_empty())
        };
        let bell_fd = PollFd::new(&*bell, PollFlags::IN);
        let has_rung = match &self.lanes {
            [Some(v4), Some(v6)] if listens => wait(&mut [bell_fd, readable(v4), readable(v6)]),
            [Some(one), None] | [None, Some(one)] if listens => wait(&mut [bell_fd, readable(one)]),
            _ => wait(&mut [bell_fd]),
        };
        if has_rung {
            let _ = rustix::io::read(&*bell, &mut [0; 8]);
        }
        wake
    }
}

fn readable(lane: &Lane) -> PollFd<'_> {
    PollFd::from_borrowed_fd(lane.receiver(), PollFlags::IN)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
