//! What the devices of the ISP shall do: plain data, written by a test or by hand as JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The whole far side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Decides every draw, together with the address and the number of the echo.
    pub seed: u64,
    /// The prefixes that are routed to the ISP, as `10.1.0.0/16` or `fd00:1::/32`.
    pub prefixes: Vec<String>,
    /// The devices that exist.
    #[serde(default)]
    pub devices: BTreeMap<IpAddr, Behaviour>,
    /// What every other address of the prefixes does; absent: nothing answers there.
    #[serde(default)]
    pub others: Option<Behaviour>,
}

impl Scenario {
    /// A far side without devices, for these prefixes.
    pub fn new(seed: u64, prefixes: &[&str]) -> Scenario {
        let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        Scenario { seed, prefixes, devices: BTreeMap::new(), others: None }
    }

    /// The same with a device at this address; panics if it is no address.
    #[must_use]
    pub fn device(mut self, address: &str, behaviour: Behaviour) -> Scenario {
        let address = address.parse().unwrap_or_else(|_| panic!("{address} is no IP address"));
        self.devices.insert(address, behaviour);
        self
    }
}

/// How one address answers. The default answers every echo at once and truly.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Silent until told otherwise.
    pub down: bool,
    /// How long every answer takes at least, in milliseconds.
    pub delay_ms: f64,
    /// Up to this much longer, evenly spread, in milliseconds.
    pub jitter_ms: f64,
    /// The share of echoes that are lost, from 0 to 1.
    pub loss: f64,
    /// When it is silent, counted from the start of the scenario.
    pub outages: Vec<Outage>,
    /// What it answers falsely; the first that applies to an echo decides.
    pub lies: Vec<Told>,
    /// Silent to echoes that carry less than this many bytes: dead for one program, alive for another.
    pub deaf_below: usize,
    /// False packets beside whatever it answers, and though it is silent.
    pub flood: Option<Flood>,
}

impl Behaviour {
    /// Answers every echo at once and truly.
    pub fn honest() -> Behaviour {
        Behaviour::default()
    }

    /// The same with a flood of false packets.
    #[must_use]
    pub fn flooding(self, flood: Flood) -> Behaviour {
        Behaviour { flood: Some(flood), ..self }
    }

    /// Never answers.
    pub fn dead() -> Behaviour {
        Behaviour { down: true, ..Behaviour::default() }
    }

    /// Answers after this many milliseconds.
    pub fn slow(delay_ms: f64) -> Behaviour {
        Behaviour { delay_ms, ..Behaviour::default() }
    }

    /// Tells this lie at each `every`-th echo, beginning with the `every`-th; 1 is always.
    pub fn lying(lie: Lie, every: u64) -> Behaviour {
        Behaviour { lies: vec![Told { lie, every }], ..Behaviour::default() }
    }
}

/// False packets that follow each echo to a device. None of them is what an honest device would have sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    /// What they are.
    pub of: Forged,
    /// How many follow each echo.
    pub each: u32,
    /// Over how long they are spread, in milliseconds.
    pub over_ms: f64,
}

/// What is in a flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forged {
    /// Whole echo replies by somebody who wants to pass for the device: guessed, replayed, altered, from elsewhere.
    Replies,
    /// Replies and ICMP errors damaged at random: bits, lengths, pieces of one in the other.
    Mutants,
}

/// A window of silence, in seconds since the start of the scenario: `from <= t < to`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Its first moment.
    pub from_s: f64,
    /// The first moment after it.
    pub to_s: f64,
}

/// A lie and how often it is told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Which.
    pub lie: Lie,
    /// At every which echo of the address; 1 is always, 0 never.
    pub every: u64,
}

/// A false answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Lie {
    /// The true answer, `copies` times more.
    Duplicate {
        /// How many copies follow the answer.
        copies: u32,
    },
    /// The true answer, this late (beside the device's own delay).
    Late {
        /// In milliseconds.
        ms: f64,
    },
    /// One byte of the payload is another.
    AlteredPayload,
    /// From another address; the neighbour with the lowest bit flipped unless one is named.
    WrongSource {
        /// The address it comes from.
        #[serde(default)]
        from: Option<IpAddr>,
    },
    /// The ICMP checksum does not fit.
    WrongChecksum,
    /// Another identifier.
    WrongIdentifier,
    /// Another sequence number.
    WrongSequence,
    /// The payload ends after this many bytes.
    Cut {
        /// How many bytes of the payload are left.
        keep: usize,
    },
    /// The request itself, sent back as a request.
    Reflected,
    /// An ICMP "unreachable" that quotes the request.
    Unreachable {
        /// The code, of the request's address family.
        code: u8,
        /// The router that says so; the device itself unless one is named.
        #[serde(default)]
        from: Option<IpAddr>,
    },
    /// An ICMP "time exceeded in transit" that quotes the request.
    TimeExceeded {
        /// The router that says so; the device itself unless one is named.
        #[serde(default)]
        from: Option<IpAddr>,
    },
}

impl Lie {
    /// Its name in the truth log.
    pub fn name(&self) -> &'static str {
        match self {
            Lie::Duplicate { .. } => "duplicate",
            Lie::Late { .. } => "late",
            Lie::AlteredPayload => "altered_payload",
            Lie::WrongSource { .. } => "wrong_source",
            Lie::WrongChecksum => "wrong_checksum",
            Lie::WrongIdentifier => "wrong_identifier",
            Lie::WrongSequence => "wrong_sequence",
            Lie::Cut { .. } => "cut",
            Lie::Reflected => "reflected",
            Lie::Unreachable { .. } => "unreachable",
            Lie::TimeExceeded { .. } => "time_exceeded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_written_by_hand_needs_only_what_differs() {
        let text = r#"{"seed": 7, "prefixes": ["10.1.0.0/16"], "devices": {
            "10.1.0.1": {},
            "10.1.0.2": {"delay_ms": 12.5, "lies": [{"every": 3, "lie": {"kind": "cut", "keep": 4}}]}}}"#;
        let scenario: Scenario = serde_json::from_str(text).unwrap();
        assert_eq!(scenario.devices[&"10.1.0.1".parse::<IpAddr>().unwrap()], Behaviour::honest());
        let again: Scenario = serde_json::from_str(&serde_json::to_string(&scenario).unwrap()).unwrap();
        assert_eq!(again, scenario);
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(serde_json::from_str::<Behaviour>(r#"{"dealy_ms": 1}"#).is_err());
    }
}
