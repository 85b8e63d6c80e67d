//! The truth log: what the ISP saw and did, one JSON object a line, in the order in which it happened.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970 on CLOCK_REALTIME: the clock of the truth log.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// One line of the log. All times are nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Record {
    /// The scenario began (again).
    Start {
        /// When.
        at_ns: u64,
        /// The seed of its draws.
        seed: u64,
    },
    /// An echo request came.
    Request {
        /// When.
        at_ns: u64,
        /// The device that was asked.
        device: IpAddr,
        /// How many-th echo to this device, from 1.
        nth: u64,
        /// The ICMP identifier.
        id: u16,
        /// The ICMP sequence number.
        seq: u16,
        /// What becomes of it: `honest`, `down`, `outage`, `lost`, `nobody`, or the name of a lie.
        fate: String,
    },
    /// An answer left.
    Sent {
        /// When.
        at_ns: u64,
        /// The device whose answer it is (even if it bears another source).
        device: IpAddr,
        /// Which of its echoes it answers.
        nth: u64,
        /// `honest`, or the name of the lie.
        what: String,
    },
    /// An answer could not be sent: the interface was down, or too many waited.
    Unsent {
        /// When.
        at_ns: u64,
        /// The device whose answer it was.
        device: IpAddr,
        /// Which of its echoes.
        nth: u64,
        /// Why.
        why: String,
    },
    /// So many packets of a device's flood have left so far.
    Flooded {
        /// When.
        at_ns: u64,
        /// The device.
        device: IpAddr,
        /// Since the program began.
        sent: u64,
    },
    /// A command came through the control socket and took effect.
    Control {
        /// When.
        at_ns: u64,
        /// The command.
        line: String,
    },
}

/// The log as read at some moment.
#[derive(Debug, Clone)]
pub struct Truth {
    /// Every line, oldest first.
    pub records: Vec<Record>,
}

impl Truth {
    /// Reads the log as far as it is written; panics if there is none or it holds anything else.
    pub fn read(path: &Path) -> Truth {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("cannot read the truth log {}: {error}", PathBuf::from(path).display()));
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let records = whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("truth log: {error} in {line}")))
            .collect();
        Truth { records }
    }

    /// When answers that count left for this device's echoes, oldest first: honest ones and the first of duplicates.
    pub fn answers(&self, device: IpAddr) -> Vec<u64> {
        let mut answered = std::collections::BTreeSet::new();
        let mut at = Vec::new();
        for record in &self.records {
            let Record::Sent { at_ns, device: of, nth, what } = record else { continue };
            if *of == device && matches!(what.as_str(), "honest" | "duplicate") && answered.insert(*nth) {
                at.push(*at_ns);
            }
        }
        at
    }

    /// When the device last answered before this moment.
    pub fn last_answer_before(&self, device: IpAddr, moment_ns: u64) -> Option<u64> {
        self.answers(device).into_iter().take_while(|at| *at <= moment_ns).last()
    }

    /// How many echoes came for this device.
    pub fn requests(&self, device: IpAddr) -> usize {
        self.request_times(device).len()
    }

    /// When echoes came for this device, oldest first.
    pub fn request_times(&self, device: IpAddr) -> Vec<u64> {
        let one = |record: &Record| match record {
            Record::Request { at_ns, device: of, .. } if *of == device => Some(*at_ns),
            _ => None,
        };
        self.records.iter().filter_map(one).collect()
    }

    /// How many echoes to this device met this fate.
    pub fn fates(&self, device: IpAddr, fate: &str) -> usize {
        let of = |record: &&Record| matches!(record, Record::Request { device: d, fate: f, .. } if *d == device && f == fate);
        self.records.iter().filter(of).count()
    }

    /// How many packets of this kind left for this device.
    pub fn sent(&self, device: IpAddr, kind: &str) -> usize {
        let of =
            |record: &&Record| matches!(record, Record::Sent { device: d, what: w, .. } if *d == device && w == kind);
        self.records.iter().filter(of).count()
    }

    /// How many packets of the device's flood have left.
    pub fn flooded(&self, device: IpAddr) -> u64 {
        let of = |record: &Record| match record {
            Record::Flooded { device: d, sent, .. } if *d == device => Some(*sent),
            _ => None,
        };
        self.records.iter().rev().find_map(of).unwrap_or(0)
    }

    /// The identifiers under which echoes came for this device.
    pub fn identifiers(&self, device: IpAddr) -> std::collections::BTreeSet<u16> {
        let of = |record: &Record| match record {
            Record::Request { device: d, id, .. } if *d == device => Some(*id),
            _ => None,
        };
        self.records.iter().filter_map(of).collect()
    }

    /// When this control command last took effect.
    pub fn controlled(&self, command: &str) -> Option<u64> {
        self.records.iter().rev().find_map(|record| match record {
            Record::Control { at_ns, line } if line == command => Some(*at_ns),
            _ => None,
        })
    }
}
