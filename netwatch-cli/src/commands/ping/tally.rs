//! What became of the echoes to one host: counted for ever, remembered for a while.

use std::collections::VecDeque;
use std::net::SocketAddr;

use netwatch_core::{Cause, Echo, Loss, Rtt};
use serde::Serialize;

use super::hosts::Wanted;

/// So many fates are remembered; medians and histories are of these. Nobody who asks for fewer echoes notices.
const REMEMBERED: usize = crate::args::REMEMBERED as usize;

/// The echoes to one host so far.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) host: Box<str>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) unknown: u64,
    pub(crate) least: Option<Rtt>,
    pub(crate) most: Option<Rtt>,
    /// What was learned last.
    pub(crate) last: Option<Echo>,
    /// Why an echo is unknown, or nothing can be asked.
    pub(crate) cause: Option<Cause>,
    /// Why an echo is lost, where something said so.
    pub(crate) loss: Option<Loss>,
    /// Of the RTTs that were measured,
    total_ms: f64,
    /// and how many they are.
    measured: u64,
    /// In the order of their sending, from the round `first` on.
    fates: VecDeque<Option<Echo>>,
    first: u32,
}

#[derive(Serialize)]
struct TallyDto<'a> {
    host: &'a str,
    address: Option<String>,
    sent: u64,
    answered: u64,
    lost: u64,
    unknown: u64,
    loss: Option<f64>,
    rtt_min_ms: Option<f64>,
    rtt_median_ms: Option<f64>,
    rtt_avg_ms: Option<f64>,
    rtt_max_ms: Option<f64>,
    cause: Option<&'a str>,
}

impl Tally {
    /// Nothing yet.
    pub(crate) fn new(wanted: Wanted) -> Tally {
        Tally {
            host: wanted.host,
            address: wanted.address,
            answered: 0,
            lost: 0,
            unknown: 0,
            least: None,
            most: None,
            last: None,
            cause: None,
            loss: None,
            total_ms: 0.0,
            measured: 0,
            fates: VecDeque::new(),
            first: 0,
        }
    }

    /// A lookup has ended. A host without an address cannot be asked.
    pub(crate) fn locate(&mut self, address: Result<SocketAddr, Cause>) {
        self.address = address.ok();
        self.cause = address.err().or(self.cause);
    }

    /// The echo of this round, counted from 0, has its fate.
    pub(crate) fn add(&mut self, round: u32, echo: Echo) {
        match echo {
            Echo::Reply(rtt) => {
                self.answered = self.answered.saturating_add(1);
                if rtt.is_measured() {
                    self.measured = self.measured.saturating_add(1);
                    self.total_ms += rtt.as_millis_f64();
                    self.least = Some(self.least.map_or(rtt, |least| least.min(rtt)));
                    self.most = self.most.max(Some(rtt));
                }
            }
            Echo::Lost(loss) => {
                self.lost = self.lost.saturating_add(1);
                self.loss = Some(loss).filter(|loss| *loss != Loss::NoReply).or(self.loss);
            }
            Echo::Unknown(cause) => {
                self.unknown = self.unknown.saturating_add(1);
                self.cause = Some(cause);
            }
            _ => self.unknown = self.unknown.saturating_add(1),
        }
        self.last = Some(echo);
        self.remember(round, echo);
    }

    /// How many echoes have their fate.
    pub(crate) fn sent(&self) -> u64 {
        self.answered.saturating_add(self.lost).saturating_add(self.unknown)
    }

    /// The share of the echoes whose fate is known that is lost.
    pub(crate) fn loss_share(&self) -> Option<f64> {
        let known = self.answered.saturating_add(self.lost);
        (known > 0).then(|| self.lost as f64 / known as f64)
    }

    /// Whether it is known that nothing answers: asked, and every fate known.
    pub(crate) fn is_silent(&self) -> bool {
        self.lost > 0 && self.answered == 0 && self.unknown == 0
    }

    /// Whether the last that was learned is a reply.
    pub(crate) fn last_is_reply(&self) -> bool {
        matches!(self.last, Some(Echo::Reply(_)))
    }

    /// Of the RTTs that were measured the middle one, the lower one of two.
    pub(crate) fn median(&self) -> Option<Rtt> {
        let reply = |fate: &Option<Echo>| match fate {
            Some(Echo::Reply(rtt)) => Some(*rtt).filter(|rtt| rtt.is_measured()),
            _ => None,
        };
        let mut rtts: Vec<Rtt> = self.fates.iter().filter_map(reply).collect();
        let middle = rtts.len().checked_sub(1)? / 2;
        Some(*rtts.select_nth_unstable(middle).1)
    }

    /// What is remembered, in the order of sending; `None` where the fate is open.
    pub(crate) fn fates(&self) -> impl DoubleEndedIterator<Item = Option<Echo>> + ExactSizeIterator {
        self.fates.iter().copied()
    }

    /// One JSON object on one line. Times are milliseconds, the loss a share of the echoes whose fate is known.
    pub(crate) fn json(&self) -> String {
        let dto = TallyDto {
            host: &self.host,
            address: self.address.map(shown),
            sent: self.sent(),
            answered: self.answered,
            lost: self.lost,
            unknown: self.unknown,
            loss: self.loss_share(),
            rtt_min_ms: self.least.map(Rtt::as_millis_f64),
            rtt_median_ms: self.median().map(Rtt::as_millis_f64),
            rtt_avg_ms: (self.measured > 0).then(|| self.total_ms / self.measured as f64),
            rtt_max_ms: self.most.map(Rtt::as_millis_f64),
            cause: self.cause.map(Cause::code),
        };
        serde_json::to_string(&dto).unwrap_or_default()
    }

    fn remember(&mut self, round: u32, echo: Echo) {
        let Some(place) = round.checked_sub(self.first) else { return };
        let place = place as usize;
        if place >= self.fates.len() {
            self.fates.resize(place.saturating_add(1), None);
        }
        if let Some(fate) = self.fates.get_mut(place) {
            *fate = Some(echo);
        }
        while self.fates.len() > REMEMBERED {
            self.fates.pop_front();
            self.first = self.first.saturating_add(1);
        }
    }
}

/// The address without its port, which means nothing here, but with its scope.
pub(crate) fn shown(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        other => other.ip().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    pub(crate) fn reply(us: u64) -> Echo {
        Echo::Reply(Rtt::from_duration(Duration::from_micros(us)))
    }

    fn tally() -> Tally {
        Tally::new(Wanted { host: "192.0.2.1".into(), address: "192.0.2.1:0".parse().ok() })
    }

    #[test]
    fn every_fate_is_counted_and_unknown_is_no_loss() {
        let mut tally = tally();
        let fates =
            [reply(3000), Echo::Lost(Loss::HostUnreachable), reply(1000), Echo::Unknown(Cause::NoRoute), reply(2000)];
        // The order of arrival is another one.
        for round in [1, 0, 2, 4, 3] {
            tally.add(round, fates[round as usize]);
        }
        assert_eq!(tally.fates().flatten().collect::<Vec<_>>(), fates);
        let json: serde_json::Value = serde_json::from_str(&tally.json()).unwrap();
        let expected = serde_json::json!({
            "host": "192.0.2.1", "address": "192.0.2.1", "sent": 5, "answered": 3, "lost": 1, "unknown": 1, "loss": 0.25,
            "rtt_min_ms": 1.0, "rtt_median_ms": 2.0, "rtt_avg_ms": 2.0, "rtt_max_ms": 3.0, "cause": "no_route",
        });
        assert_eq!(json, expected);
        assert!(!tally.is_silent() && tally.loss == Some(Loss::HostUnreachable));
    }

    #[test]
    fn what_could_not_be_asked_is_not_silent() {
        let mut tally = tally();
        tally.locate(Err(Cause::Unresolved));
        assert!(!tally.is_silent() && tally.json().contains("\"cause\":\"unresolved\""));
        let mut tally = self::tally();
        tally.add(0, Echo::Unknown(Cause::NoRoute));
        tally.add(1, Echo::Lost(Loss::NoReply));
        assert!(!tally.is_silent(), "one echo that nobody knows of may have been answered");
    }

    #[test]
    fn a_reply_whose_rtt_was_not_measured_is_an_answer_and_no_figure() {
        let mut tally = tally();
        tally.add(0, Echo::Reply(Rtt::UNMEASURED));
        let figures = |tally: &Tally| {
            let json: serde_json::Value = serde_json::from_str(&tally.json()).unwrap();
            ["answered", "rtt_min_ms", "rtt_median_ms", "rtt_avg_ms", "rtt_max_ms"].map(|name| json[name].as_f64())
        };
        assert_eq!(figures(&tally), [Some(1.0), None, None, None, None]);
        tally.add(1, reply(1000));
        tally.add(2, Echo::Reply(Rtt::UNMEASURED));
        tally.add(3, reply(2000));
        assert_eq!(figures(&tally), [4.0, 1.0, 1.0, 1.5, 2.0].map(Some));
    }

    #[test]
    fn an_endless_ping_forgets_but_goes_on_counting() {
        let mut tally = tally();
        (0..10_000).for_each(|round| tally.add(round, reply(1000 + u64::from(round))));
        assert_eq!((tally.sent(), tally.fates().len()), (10_000, REMEMBERED));
        assert_eq!(tally.least, Some(Rtt::from_duration(Duration::from_micros(1000))));
        tally.add(3, Echo::Lost(Loss::NoReply));
        assert_eq!((tally.lost, tally.fates().flatten().count()), (1, REMEMBERED));
    }
}
