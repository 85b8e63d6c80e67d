//! How the engine is opened, and the remedy when it may not be.

use std::io;
use std::path::PathBuf;

use super::socket::{Channel, SocketKind};
use super::wire::PAYLOAD;
use crate::model::Family;

/// How to open the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IcmpOptions {
    /// Receive buffer of each address family, in bytes; default 16 MiB. Without `CAP_NET_ADMIN` the kernel gives no more than
    /// twice `net.core.rmem_max`. A waiting reply takes about 832 bytes of it.
    pub receive_buffer: usize,
    /// Send buffer of each address family, in bytes; default 8 MiB. It is limited in the same way by `net.core.wmem_max`.
    pub send_buffer: usize,
    /// Bytes of payload in each echo, from 24 (the default, which is the cookie alone) to 1,472, the most that an Ethernet frame
    /// holds over IPv4. What lies outside is taken to be the nearer of the two.
    pub payload: usize,
    /// How many targets there is room for from the start; default none. More may be asked at any time: what is needed then is
    /// taken bit by bit, and half as much again may stay behind in pieces.
    pub targets: usize,
    /// Which sockets may be used; default either, raw first.
    pub sockets: Option<SocketKind>,
}

/// What a small packet takes of a socket's buffer, in bytes: its own and the kernel's.
const PACKET: f64 = 832.0;
/// The receive buffer holds the replies of this many seconds, the time for which the engine may be kept from running.
const STALL: f64 = 0.5;
/// The send buffer holds the requests of this many seconds: those between two wakes, and those in a device's queue.
const QUEUE: f64 = 0.02;
/// It also holds the requests that wait up to 3 s for a neighbour that answers no ARP (mcast_solicit of arp(7), 1 s apart):
/// thousands, when a segment dies. With less, its silence would look like a queue of ours that is full.
const LEAST_SEND_BUFFER: usize = 8 << 20;
/// A small plan gets room for what others may send us.
const LEAST_BUFFER: usize = 8 << 20;
const LARGEST_BUFFER: usize = 64 << 20;

impl Default for IcmpOptions {
    fn default() -> IcmpOptions {
        IcmpOptions {
            receive_buffer: 16 << 20,
            send_buffer: LEAST_SEND_BUFFER,
            payload: PAYLOAD,
            targets: 0,
            sockets: None,
        }
    }
}

impl IcmpOptions {
    /// The same options with only this kind of socket.
    #[must_use]
    pub fn with_sockets(mut self, kind: SocketKind) -> IcmpOptions {
        self.sockets = Some(kind);
        self
    }

    /// The same options with buffers for a plan of so many echoes a second: the receive buffer holds the replies of half a
    /// second, and has 8 MiB at least and 64 MiB at most.
    ///
    /// ```
    /// use netwatch_core::IcmpOptions;
    /// // A hundred thousand devices, five echoes each in ten seconds.
    /// assert_eq!(IcmpOptions::default().with_planned_rate(50_000.0).receive_buffer, 20_800_000);
    /// ```
    #[must_use]
    pub fn with_planned_rate(mut self, echoes_per_second: f64) -> IcmpOptions {
        let held = |seconds: f64, least| ((echoes_per_second * PACKET * seconds) as usize).clamp(least, LARGEST_BUFFER);
        (self.receive_buffer, self.send_buffer) = (held(STALL, LEAST_BUFFER), held(QUEUE, LEAST_SEND_BUFFER));
        self
    }

    /// The same options with room for so many targets from the start.
    #[must_use]
    pub fn with_targets(mut self, targets: usize) -> IcmpOptions {
        self.targets = targets;
        self
    }

    /// The same options with so many bytes of payload in each echo.
    #[must_use]
    pub fn with_payload(mut self, bytes: usize) -> IcmpOptions {
        self.payload = bytes;
        self
    }

    /// The same options with a receive buffer of this many bytes.
    #[must_use]
    pub fn with_receive_buffer(mut self, bytes: usize) -> IcmpOptions {
        self.receive_buffer = bytes;
        self
    }
}

/// Why no device can be pinged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Neither a raw socket nor a ping socket is allowed.
    #[error(
        "cannot ping: this program may open neither a raw socket ({raw}) nor an unprivileged ping socket ({ping})\n\
         allow it one of them, as root:\n  \
         setcap cap_net_raw+ep {}\n  \
         sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"",
        executable.display()
    )]
    NotAllowed {
        /// This program's file.
        executable: PathBuf,
        /// What opening a raw socket said.
        raw: io::Error,
        /// What opening a ping socket said.
        ping: io::Error,
    },
    /// Sockets of neither address family can be had, for another reason than permission.
    #[error("cannot ping: no ICMP socket for IPv4 ({v4}), none for IPv6 ({v6})")]
    NoSocket {
        /// What IPv4 said.
        v4: io::Error,
        /// What IPv6 said.
        v6: io::Error,
    },
    /// The engine's thread did not start.
    #[error("cannot ping: the engine did not start: {0}")]
    NotStarted(io::Error),
}

/// Opens the sockets of both families, or of the one that is there.
pub(super) fn open_channels(options: &IcmpOptions) -> Result<[Option<Channel>; 2], OpenError> {
    match (open(Family::V4, options), open(Family::V6, options)) {
        (Err(v4), Err(v6)) => Err(refusal(v4, v6)),
        (v4, v6) => Ok([v4.ok(), v6.ok()]),
    }
}

/// What opening a raw socket and a ping socket said; `None` where it was not tried.
struct Refused {
    raw: Option<io::Error>,
    ping: Option<io::Error>,
}

fn open(family: Family, options: &IcmpOptions) -> Result<Channel, Refused> {
    let mut refused = Refused { raw: None, ping: None };
    if options.sockets != Some(SocketKind::Ping) {
        match Channel::raw(family, options) {
            Ok(channel) => return Ok(channel),
            Err(error) => refused.raw = Some(error),
        }
    }
    if options.sockets != Some(SocketKind::Raw) {
        match Channel::ping(family, options) {
            Ok(channel) => return Ok(channel),
            Err(error) => refused.ping = Some(error),
        }
    }
    Err(refused)
}

fn refusal(v4: Refused, v6: Refused) -> OpenError {
    let is_forbidden = |refused: &Refused| {
        let mut errors = [&refused.raw, &refused.ping].into_iter().flatten();
        errors.any(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    let not_tried = || io::Error::other("not tried");
    if is_forbidden(&v4) || is_forbidden(&v6) {
        let told = if is_forbidden(&v4) { v4 } else { v6 };
        return OpenError::NotAllowed {
            executable: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("PROGRAM")),
            raw: told.raw.unwrap_or_else(not_tried),
            ping: told.ping.unwrap_or_else(not_tried),
        };
    }
    let last = |refused: Refused| refused.ping.or(refused.raw).unwrap_or_else(not_tried);
    OpenError::NoSocket { v4: last(v4), v6: last(v6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_follow_the_plan_between_their_bounds() {
        let mib = |pps: f64| {
            let options = IcmpOptions::default().with_planned_rate(pps);
            (options.receive_buffer >> 20, options.send_buffer >> 20)
        };
        assert_eq!(mib(0.0), (8, 8));
        assert_eq!(mib(f64::NAN), (8, 8));
        assert_eq!(mib(50_000.0), (19, 8));
        assert_eq!(mib(500_000.0), (64, 8));
        assert_eq!(mib(f64::INFINITY), (64, 64));
    }
}
