//! The canary: this machine asks itself, through the same sockets and the same stamps as everybody.
//!
//! It shows how far off our round-trip times are when no device answers ([`accuracy`](super::accuracy)), and how long an answer takes
//! that no network delays. It is no target: it counts nowhere, and its silence says nothing of any device, as a
//! host may be told not to answer pings (`net.ipv4.icmp_echo_ignore_all`) while it can ask very well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::cookie::Stamp;
use super::keys::{EchoKey, MOST_SLOTS};
use super::stamps::Arrival;
use crate::model::{Family, Mono};

/// The slot of its keys; no check ever gets it.
pub(super) const SLOT: u32 = MOST_SLOTS - 1;
/// From one to the next.
const INTERVAL: Duration = Duration::from_millis(250);
/// It is silent after this.
const TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Canary {
    pub(super) address: IpAddr,
    number: u16,
    generation: u32,
    next: Mono,
    /// When each of the last ones left that are not answered yet.
    waiting: [Option<(Stamp, Mono)>; 4],
    answered: Mono,
    /// What the last answer that was heard says, if that is news: its round-trip time, if it is known.
    pub(super) heard: Option<Option<Duration>>,
}

impl Canary {
    pub(super) fn new(family: Family, seed: u32, now: Mono) -> Canary {
        let address = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        Canary { address, number: 0, generation: seed, next: now, waiting: [None; 4], answered: now, heard: None }
    }

    /// What the next one carries, if it is time for it.
    pub(super) fn due(&mut self, now: Mono) -> Option<Stamp> {
        if now < self.next {
            return None;
        }
        self.next = now.plus(INTERVAL);
        self.number = self.number.wrapping_add(1);
        Some(Stamp { key: EchoKey::new(0, SLOT, self.number), generation: self.generation, ping: self.number })
    }

    /// It left.
    pub(super) fn sent(&mut self, stamp: Stamp, sent: Mono) {
        if let Some(place) = self.waiting.get_mut(usize::from(stamp.ping % 4)) {
            *place = Some((stamp, sent));
        }
    }

    /// A reply to one of its keys came, with this in its payload. Whether it is one that was waited for.
    pub(super) fn reply(&mut self, stamp: Option<Stamp>, arrival: impl FnOnce(Mono) -> Arrival) -> bool {
        let mut waiting = self.waiting.iter_mut();
        let place = waiting.find(|place| place.is_some_and(|(ours, _)| Some(ours) == stamp));
        let Some((_, sent)) = place.and_then(Option::take) else { return false };
        let arrival = arrival(sent);
        self.answered = self.answered.max(arrival.at);
        self.heard = Some(arrival.is_known.then(|| arrival.at.since(sent)));
        true
    }

    /// Whether it has not answered for long.
    pub(super) fn is_silent(&self, now: Mono) -> bool {
        now.since(self.answered) > TIMEOUT + INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn it_asks_a_few_times_a_second_and_knows_its_answer() {
        let mut canary = Canary::new(Family::V4, 7, ms(0));
        let first = canary.due(ms(0)).unwrap();
        canary.sent(first, ms(0));
        assert_eq!(canary.due(ms(249)), None);
        let second = canary.due(ms(250)).unwrap();
        canary.sent(second, ms(250));
        assert!(canary.reply(Some(first), |_| Arrival::known(ms(3))));
        assert_eq!(canary.heard.take(), Some(Some(Duration::from_millis(3))));
        assert!(!canary.reply(Some(first), |_| Arrival::known(ms(3))), "once");
        assert!(canary.reply(Some(second), |_| Arrival { at: ms(260), is_known: false }));
        assert_eq!(canary.heard, Some(None));
    }

    #[test]
    fn nobody_else_speaks_for_it() {
        let mut canary = Canary::new(Family::V6, 7, ms(0));
        let ours = canary.due(ms(0)).unwrap();
        canary.sent(ours, ms(0));
        assert!(!canary.reply(None, Arrival::known));
        assert!(!canary.reply(Some(Stamp { generation: 8, ..ours }), Arrival::known));
        assert!(!canary.is_silent(ms(1_250)) && canary.is_silent(ms(1_251)));
    }
}
