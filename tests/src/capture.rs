//! The truth about round-trip times: what tcpdump saw of every echo at the monitor's own interface, in the kernel's stamps.
//!
//! A request is stamped as it is handed to the driver, a reply as the driver hands it over; netwatch has no part in either.
//! Which echo of a check a captured request is, follows from the order in which requests to one address left.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::netns::Namespace;
use crate::process::{Kept, wait_for};

/// Of each packet this much is kept: link header, IP header and the identifiers.
const SNAP: usize = 96;
/// The kernel's ring, in KiB: a second of 100,000 packets each way.
const RING: &str = "65536";
/// A pcap file with nanoseconds (pcap-savefile(5)), in this machine's byte order.
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;
const ETHERNET: usize = 14;

/// A running capture of ICMP echoes.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Kept,
    dir: TempDir,
}

/// A request and, if there was one, its first reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// The ICMP identifier.
    pub ident: u16,
    /// The ICMP sequence number.
    pub sequence: u16,
    /// When the request left, in nanoseconds since the UNIX epoch.
    pub sent: i64,
    /// When the reply came.
    pub answered: Option<i64>,
}

impl Exchange {
    /// The true round-trip time.
    pub fn rtt(&self) -> Option<Duration> {
        let nanos = self.answered?.checked_sub(self.sent)?;
        u64::try_from(nanos).ok().map(Duration::from_nanos)
    }
}

/// What was captured.
#[derive(Debug, Default)]
pub struct Captured {
    /// The requests to each address, in the order in which they left.
    pub exchanges: HashMap<IpAddr, Vec<Exchange>>,
    /// How many packets the capture itself missed. More than none, and orders cannot be trusted.
    pub missed: u64,
}

impl Capture {
    /// Starts to capture at an Ethernet interface (a veth, for instance) of the namespace; returns once it does. Panics without tcpdump.
    pub fn start(namespace: &Namespace, interface: &str) -> Capture {
        let dir =
            tempfile::Builder::new().prefix("nwlab-capture").tempdir_in("/dev/shm").expect("/dev/shm holds files");
        let mut command = namespace.command("tcpdump");
        command
            .args(["-i", interface, "-n", "-Z", "root", "-B", RING, "-s", &SNAP.to_string()])
            .args(["--time-stamp-precision=nano", "-w", "packets", "icmp or icmp6"])
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("words")).expect("a new file"));
        let tcpdump = Kept::spawn(&mut command);
        let capture = Capture { tcpdump, dir };
        wait_for("tcpdump (is it installed?)", Duration::from_secs(10), || {
            capture.words().contains("listening on").then_some(())
        });
        capture
    }

    /// Stops and reads what was captured.
    pub fn stop(mut self) -> Captured {
        // What was seen last is still on its way through the ring.
        std::thread::sleep(Duration::from_millis(1200));
        self.tcpdump.signal(Signal::INT);
        self.tcpdump.wait(Duration::from_secs(30));
        let file = std::fs::read(self.dir.path().join("packets")).expect("tcpdump wrote its file");
        let mut captured = read(&file);
        captured.missed = self.words().lines().find_map(missed).expect("tcpdump tells what it missed");
        captured
    }

    fn words(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("words")).unwrap_or_default()
    }
}

impl Captured {
    /// How far off the measured round-trip times to one address are, in nanoseconds; too long is above 0. `measured` are its echoes
    /// in the order of their sending, those that were not sent left out; `None` for one without an RTT.
    pub fn errors(&self, to: IpAddr, measured: &[Option<Duration>]) -> Vec<i64> {
        let exchanges = self.exchanges.get(&to).map_or(&[][..], Vec::as_slice);
        let pairs = exchanges.iter().zip(measured).filter_map(|(truth, rtt)| Some((truth.rtt()?, (*rtt)?)));
        pairs.map(|(truth, rtt)| rtt.as_nanos() as i64 - truth.as_nanos() as i64).collect()
    }
}

/// The value below which this share of the errors' sizes lies, in nanoseconds; `None` of none.
pub fn percentile(errors: &[i64], share: f64) -> Option<u64> {
    let mut sizes: Vec<u64> = errors.iter().map(|error| error.unsigned_abs()).collect();
    sizes.sort_unstable();
    let place = (sizes.len() as f64 * share) as usize;
    sizes.get(place.min(sizes.len().saturating_sub(1))).copied()
}

fn missed(line: &str) -> Option<u64> {
    line.strip_suffix("packets dropped by kernel")
        .or(line.strip_suffix("packet dropped by kernel"))?
        .trim()
        .parse()
        .ok()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn read(file: &[u8]) -> Captured {
    assert_eq!(word(file, 0), MAGIC_NANOSECONDS, "a file with nanoseconds");
    let mut captured = Captured::default();
    let mut rest = &file[FILE_HEADER..];
    while rest.len() >= PACKET_HEADER {
        let stamp = i64::from(word(rest, 0)) * 1_000_000_000 + i64::from(word(rest, 4));
        let length = word(rest, 8) as usize;
        let Some(frame) = rest.get(PACKET_HEADER..PACKET_HEADER + length) else { break };
        if let Some(echo) = echo(&frame[ETHERNET..]) {
            captured.take(echo, stamp);
        }
        rest = &rest[PACKET_HEADER + length..];
    }
    captured
}

impl Captured {
    fn take(&mut self, echo: Echo, stamp: i64) {
        let Echo { is_request, peer, ident, sequence } = echo;
        let all = self.exchanges.entry(peer).or_default();
        if is_request {
            all.push(Exchange { ident, sequence, sent: stamp, answered: None });
        } else if let Some(request) =
            all.iter_mut().rev().find(|request| (request.ident, request.sequence) == (ident, sequence))
        {
            request.answered.get_or_insert(stamp);
        }
    }
}

struct Echo {
    is_request: bool,
    /// The destination of a request, the source of a reply.
    peer: IpAddr,
    ident: u16,
    sequence: u16,
}

fn echo(packet: &[u8]) -> Option<Echo> {
    let (source, to, message): (IpAddr, IpAddr, &[u8]) = match packet.first()? >> 4 {
        4 => {
            let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?).into());
            (address(12)?, address(16)?, packet.get(usize::from(packet.first()? & 15) * 4..)?)
        }
        6 => {
            let address = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?).into());
            (address(8)?, address(24)?, packet.get(40..)?)
        }
        _ => return None,
    };
    let [kind, 0, _, _, i0, i1, s0, s1, ..] = *message else { return None };
    let is_request = match kind {
        8 | 128 => true,
        0 | 129 => false,
        _ => return None,
    };
    let peer = if is_request { to } else { source };
    Some(Echo { is_request, peer, ident: u16::from_be_bytes([i0, i1]), sequence: u16::from_be_bytes([s0, s1]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_sizes() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[-4, 1, 2, -3], 0.5), Some(3));
        assert_eq!(percentile(&[-4, 1, 2, -3], 1.0), Some(4));
    }

    #[test]
    fn the_kth_request_to_an_address_is_its_kth_echo() {
        let to: IpAddr = "10.0.0.1".parse().unwrap();
        let mut captured = Captured::default();
        for (is_request, sequence, stamp) in [(true, 1, 100), (true, 2, 200), (false, 2, 250), (false, 2, 900)] {
            captured.take(Echo { is_request, peer: to, ident: 7, sequence }, stamp);
        }
        let rtts = [Some(Duration::from_nanos(9)), Some(Duration::from_nanos(57))];
        assert_eq!(captured.errors(to, &rtts), [7], "the first was not answered, the second counts its first reply");
    }

    #[test]
    fn what_tcpdump_missed_is_read_from_its_words() {
        assert_eq!(missed("12 packets dropped by kernel"), Some(12));
        assert_eq!(missed("12 packets captured"), None);
    }

    #[test]
    fn a_capture_sees_a_ping_and_its_reply() {
        let (mon, isp) = (Namespace::new(), Namespace::new());
        mon.veth("v0", &isp, "v1");
        mon.address("v0", "10.9.0.1/24");
        isp.address("v1", "10.9.0.2/24");
        mon.run("ping -c 1 -W 5 10.9.0.2");
        let capture = Capture::start(&mon, "v0");
        mon.run("ping -c 2 -i 0.2 -W 5 10.9.0.2");
        let captured = capture.stop();
        let exchanges = &captured.exchanges[&"10.9.0.2".parse::<IpAddr>().unwrap()];
        assert_eq!((exchanges.len(), captured.missed), (2, 0), "{exchanges:?}");
        assert!(exchanges.iter().all(|exchange| exchange.rtt().is_some_and(|rtt| rtt < Duration::from_secs(1))));
    }
}
