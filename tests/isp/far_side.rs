//! What becomes of an echo: pure, decided by the scenario, the seed and the number of the echo.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use netwatch_tests::isp::{Behaviour, Flood, Forged, Lie, Scenario};

use crate::forge::Forger;
use crate::packet::{Kind, Message, Request, break_checksum, encode, quote};

/// All devices, and how many echoes each has seen.
#[derive(Debug)]
pub(crate) struct FarSide {
    scenario: Scenario,
    seen: HashMap<IpAddr, u64>,
    forger: Forger,
}

/// The decision on one echo.
#[derive(Debug, PartialEq)]
pub(crate) struct Verdict {
    /// How many-th echo to this device it was, from 1.
    pub(crate) nth: u64,
    /// As in the truth log.
    pub(crate) fate: &'static str,
    /// The packets that go back, each after this time.
    pub(crate) answers: Vec<(Duration, Vec<u8>)>,
    /// What is to follow beside them.
    pub(crate) flood: Option<Flood>,
}

impl FarSide {
    pub(crate) fn new(scenario: Scenario) -> FarSide {
        FarSide { forger: Forger::new(scenario.seed), scenario, seen: HashMap::new() }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.scenario.seed
    }

    /// The behaviour of one device, to be changed; it begins to exist if it did not.
    pub(crate) fn device(&mut self, address: IpAddr) -> &mut Behaviour {
        let others = self.scenario.others.clone();
        self.scenario.devices.entry(address).or_insert_with(|| others.unwrap_or_else(Behaviour::dead))
    }

    /// Decides on a request that came `since_start` after the scenario began.
    pub(crate) fn decide(&mut self, request: &Request, since_start: Duration) -> Verdict {
        let mut verdict = self.answer(request, since_start);
        if verdict.fate == "honest" {
            self.forger.remember(request.to, verdict.answers.first().map(|(_, packet)| packet.as_slice()));
        }
        verdict.flood = self.scenario.devices.get(&request.to).and_then(|behaviour| behaviour.flood);
        verdict
    }

    /// The `n`-th false packet that follows this request, unless it came out true.
    pub(crate) fn forge(&mut self, request: &Request, of: Forged, n: u32) -> Option<Vec<u8>> {
        self.forger.packet(request, of, n)
    }

    fn answer(&mut self, request: &Request, since_start: Duration) -> Verdict {
        let seen = self.seen.entry(request.to).or_insert(0);
        *seen = seen.saturating_add(1);
        let nth = *seen;
        let silent = |fate| Verdict { nth, fate, answers: Vec::new(), flood: None };
        let Some(behaviour) = self.scenario.devices.get(&request.to).or(self.scenario.others.as_ref()) else {
            return silent("nobody");
        };
        let second = since_start.as_secs_f64();
        if behaviour.down {
            return silent("down");
        }
        if request.payload.len() < behaviour.deaf_below {
            return silent("deaf");
        }
        if behaviour.outages.iter().any(|window| window.from_s <= second && second < window.to_s) {
            return silent("outage");
        }
        if draw(self.scenario.seed, request.to, nth, 1) < behaviour.loss {
            return silent("lost");
        }
        let jitter = behaviour.jitter_ms * draw(self.scenario.seed, request.to, nth, 2);
        let delay = millis(behaviour.delay_ms + jitter);
        let lie = behaviour.lies.iter().find(|told| told.every > 0 && nth.is_multiple_of(told.every));
        match lie {
            None => Verdict {
                nth,
                fate: "honest",
                answers: reply(request).map(|packet| (delay, packet)).into_iter().collect(),
                flood: None,
            },
            Some(told) => {
                Verdict { nth, fate: told.lie.name(), answers: lie_about(request, &told.lie, delay), flood: None }
            }
        }
    }
}

pub(crate) fn reply(request: &Request) -> Option<Vec<u8>> {
    encode(&echo(request, Kind::EchoReply, &request.payload))
}

pub(crate) fn echo<'a>(request: &Request, kind: Kind, body: &'a [u8]) -> Message<'a> {
    let [a, b] = request.id.to_be_bytes();
    let [c, d] = request.seq.to_be_bytes();
    Message { from: request.to, to: request.from, kind, word: [a, b, c, d], body }
}

fn lie_about(request: &Request, lie: &Lie, delay: Duration) -> Vec<(Duration, Vec<u8>)> {
    let mut copies = 1;
    let mut delay = delay;
    let mut message = echo(request, Kind::EchoReply, &request.payload);
    let mut altered = request.payload.clone();
    match *lie {
        Lie::Duplicate { copies: more } => copies = 1 + u64::from(more.min(100)),
        Lie::Late { ms } => delay = delay.saturating_add(millis(ms)),
        Lie::AlteredPayload => {
            if let Some(last) = altered.last_mut() {
                *last ^= 0x01;
            }
            message.body = &altered;
        }
        Lie::WrongSource { from } => message.from = from.unwrap_or_else(|| neighbour(request.to)),
        Lie::WrongIdentifier => message.word[1] ^= 0x01,
        Lie::WrongSequence => message.word[3] ^= 0x80,
        Lie::Cut { keep } => message.body = request.payload.get(..keep).unwrap_or(&request.payload),
        Lie::Reflected => message.kind = Kind::EchoRequest,
        Lie::Unreachable { code, from } => message = error(request, Kind::Unreachable { code }, from),
        Lie::TimeExceeded { from } => message = error(request, Kind::TimeExceeded, from),
        Lie::WrongChecksum => {}
    }
    let Some(mut packet) = encode(&message) else { return Vec::new() };
    if matches!(lie, Lie::WrongChecksum) {
        break_checksum(&mut packet);
    }
    (0..copies).map(|_| (delay, packet.clone())).collect()
}

pub(crate) fn error(request: &Request, kind: Kind, router: Option<IpAddr>) -> Message<'_> {
    Message { from: router.unwrap_or(request.to), to: request.from, kind, word: [0; 4], body: quote(request) }
}

pub(crate) fn neighbour(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::from((v4.to_bits() ^ 1).to_be_bytes()),
        IpAddr::V6(v6) => IpAddr::from((v6.to_bits() ^ 1).to_be_bytes()),
    }
}

fn millis(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

/// A number from 0 (included) to 1 (not), the same for the same arguments whatever happens elsewhere.
fn draw(seed: u64, address: IpAddr, nth: u64, purpose: u64) -> f64 {
    let bits = match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let words = [
        seed,
        u64::try_from(bits >> 64).unwrap_or(0),
        u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0),
        nth,
        purpose,
    ];
    let mixed = words.into_iter().fold(0, |state, word| mix(state ^ word));
    let top = u32::try_from(mixed >> 32).unwrap_or(0);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::decode;
    use netwatch_tests::isp::Outage;

    const HERE: &str = "10.9.9.9";
    const DEVICE: &str = "10.1.0.5";

    fn request() -> Request {
        let (from, to) = (HERE.parse().unwrap(), DEVICE.parse().unwrap());
        let message = Message { from, to, kind: Kind::EchoRequest, word: [0x12, 0x34, 0, 7], body: b"a cookie" };
        decode(&encode(&message).unwrap()).unwrap()
    }

    fn world(behaviour: Behaviour) -> FarSide {
        FarSide::new(Scenario::new(7, &["10.1.0.0/16"]).device(DEVICE, behaviour))
    }

    fn fates(behaviour: Behaviour, count: usize) -> Vec<&'static str> {
        let mut world = world(behaviour);
        (0..count).map(|_| world.decide(&request(), Duration::ZERO).fate).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_losses_at_about_the_asked_share() {
        let lossy = Behaviour { loss: 0.3, ..Behaviour::default() };
        let first = fates(lossy.clone(), 10_000);
        assert_eq!(first, fates(lossy, 10_000));
        let lost = first.iter().filter(|fate| **fate == "lost").count();
        assert!((2_800..3_200).contains(&lost), "{lost} of 10,000");
    }

    #[test]
    fn a_lie_is_told_at_every_nth_echo_only() {
        let fates = fates(Behaviour::lying(Lie::AlteredPayload, 3), 7);
        let expected = ["honest", "honest", "altered_payload", "honest", "honest", "altered_payload", "honest"];
        assert_eq!(fates, expected);
    }

    #[test]
    fn an_outage_window_holds_its_first_moment_and_not_its_last() {
        let outages = vec![Outage { from_s: 1.0, to_s: 2.0 }];
        let mut world = world(Behaviour { outages, ..Behaviour::default() });
        let mut at = |ms| world.decide(&request(), Duration::from_millis(ms)).fate;
        assert_eq!([at(999), at(1000), at(1999), at(2000)], ["honest", "outage", "outage", "honest"]);
    }

    #[test]
    fn an_address_without_a_device_is_silent_unless_the_others_answer() {
        let mut empty = FarSide::new(Scenario::new(7, &[]));
        assert_eq!(empty.decide(&request(), Duration::ZERO).fate, "nobody");
        let mut all = FarSide::new(Scenario { others: Some(Behaviour::honest()), ..Scenario::new(7, &[]) });
        assert_eq!(all.decide(&request(), Duration::ZERO).fate, "honest");
    }

    #[test]
    fn every_lie_differs_from_the_truth_in_what_its_name_says() {
        let truth = reply(&request()).unwrap();
        let told = |lie| lie_about(&request(), &lie, Duration::ZERO).remove(0).1;
        for (lie, first, last) in [
            (Lie::AlteredPayload, 22, 36),
            (Lie::WrongIdentifier, 22, 26),
            (Lie::WrongSequence, 22, 28),
            (Lie::WrongChecksum, 22, 24),
        ] {
            let packet = told(lie);
            assert_eq!(packet.len(), truth.len(), "{lie:?}");
            let differ: Vec<_> = (0..truth.len()).filter(|at| packet[*at] != truth[*at]).collect();
            assert!(!differ.is_empty() && differ.iter().all(|at| (first..last).contains(at)), "{lie:?}: {differ:?}");
        }
        assert_eq!(told(Lie::Cut { keep: 4 }).len(), truth.len() - 4);
        assert_eq!(&told(Lie::WrongSource { from: None })[12..16], &[10, 1, 0, 4]);
        assert!(told(Lie::TimeExceeded { from: None }).ends_with(b"a cookie"), "an error quotes the request");
        assert_eq!(lie_about(&request(), &Lie::Duplicate { copies: 2 }, Duration::ZERO).len(), 3);
    }
}
