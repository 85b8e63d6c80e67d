//! The sockets of one address family, and what the kernel's answers mean.
//!
//! Raw: one socket that receives and one that only sends. The IPv4 sender is an `IPPROTO_RAW` socket with `IP_RECVERR`:
//! without that option Linux reports a packet dropped by a full queue as sent (net/ipv4/raw.c); the option must not be
//! on the receiver, where an ICMP error would make the next receive fail. The sender's option is harmless because ICMP errors are
//! looked up by protocol. Where raw sockets are not allowed: one ping socket (`SOCK_DGRAM`, icmp(7)) for both directions.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use socket2::{Domain, Protocol, Socket, Type};

use super::options::IcmpOptions;
use super::sys;
use super::wire;
use crate::model::{Cause, Family};

/// `ICMP_FILTER` at `SOL_RAW` (linux/icmp.h); libc has no name for it.
const SOL_RAW: i32 = 255;
const ICMP_FILTER: i32 = 1;
/// `ICMP6_FILTER` (linux/icmpv6.h).
const ICMP6_FILTER: i32 = 1;

/// What happened to IPv6 in this network namespace.
const COUNTERS_V6: &str = "/proc/thread-self/net/snmp6";

/// Which kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketKind {
    /// Raw sockets (`CAP_NET_RAW`).
    Raw,
    /// The unprivileged ping socket (`net.ipv4.ping_group_range`). The kernel chooses its identifier, so a target that stays silent
    /// gets no fresh one there, as it does on a raw socket.
    Ping,
}

/// The sockets of one address family.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) family: Family,
    pub(super) kind: SocketKind,
    receiver: Socket,
    /// A ping socket sends where it receives.
    sender: Option<Socket>,
    /// The identifier that the kernel gave to a ping socket.
    pub(super) ident: u16,
    /// For what the sockets of IPv6 do not tell.
    counters: Option<File>,
    /// Whether the kernel stamps what is sent, if a packet asks for it.
    pub(super) stamps_departures: bool,
}

impl Channel {
    /// Opens raw sockets.
    pub(super) fn raw(family: Family, options: &IcmpOptions) -> io::Result<Channel> {
        let (receiver, sender) = match family {
            Family::V4 => {
                let receiver = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
                let pass = [wire::V4_ECHO_REPLY, wire::V4_UNREACHABLE, wire::V4_TIME_EXCEEDED, wire::V4_PARAMETER];
                let block = !pass.iter().fold(0_u32, |bits, kind| bits | 1 << kind);
                sys::set_option(receiver.as_fd(), SOL_RAW, ICMP_FILTER, &block.to_ne_bytes())?;
                let sender = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
                sys::switch_on(sender.as_fd(), libc::SOL_IP, libc::IP_RECVERR)?;
                (receiver, sender)
            }
            Family::V6 => {
                let receiver = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
                filter_v6(
                    &receiver,
                    &[
                        wire::V6_ECHO_REPLY,
                        wire::V6_UNREACHABLE,
                        wire::V6_TOO_BIG,
                        wire::V6_TIME_EXCEEDED,
                        wire::V6_PARAMETER,
                    ],
                )?;
                let sender = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
                filter_v6(&sender, &[])?;
                (receiver, sender)
            }
        };
        prepare_receiver(&receiver, options.receive_buffer)?;
        prepare_sender(&sender, options.send_buffer)?;
        Ok(Channel {
            stamps_departures: stamp_departures(&sender).is_ok(),
            family,
            kind: SocketKind::Raw,
            receiver,
            sender: Some(sender),
            ident: 0,
            counters: File::open(COUNTERS_V6).ok().filter(|_| family == Family::V6),
        })
    }

    /// Opens a ping socket; for IPv6 only if it can be known what the kernel refused to send.
    pub(super) fn ping(family: Family, options: &IcmpOptions) -> io::Result<Channel> {
        let any: SocketAddr;
        let socket = match family {
            Family::V4 => {
                any = (Ipv4Addr::UNSPECIFIED, 0).into();
                let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::ICMPV4))?;
                sys::switch_on(socket.as_fd(), libc::SOL_IP, libc::IP_RECVERR)?;
                socket
            }
            Family::V6 => {
                any = (Ipv6Addr::UNSPECIFIED, 0).into();
                let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::ICMPV6))?;
                sys::switch_on(socket.as_fd(), libc::SOL_IPV6, libc::IPV6_RECVERR)?;
                socket
            }
        };
        let counters = match family {
            Family::V4 => None,
            Family::V6 => Some(File::open(COUNTERS_V6)?),
        };
        prepare_receiver(&socket, options.receive_buffer)?;
        prepare_sender(&socket, options.send_buffer)?;
        socket.bind(&any.into())?;
        let ident = socket.local_addr()?.as_socket().map_or(0, |address| address.port());
        Ok(Channel {
            family,
            kind: SocketKind::Ping,
            receiver: socket,
            sender: None,
            ident,
            counters,
            stamps_departures: false,
        })
    }

    pub(super) fn receiver(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }

    pub(super) fn sender(&self) -> BorrowedFd<'_> {
        self.sender.as_ref().unwrap_or(&self.receiver).as_fd()
    }

    /// The receive buffer that the kernel granted, in bytes.
    pub(super) fn receive_buffer(&self) -> usize {
        self.receiver.recv_buffer_size().unwrap_or(0)
    }

    /// The send buffer that the kernel granted, in bytes.
    pub(super) fn send_buffer(&self) -> usize {
        self.sender.as_ref().unwrap_or(&self.receiver).send_buffer_size().unwrap_or(0)
    }

    /// How many packets the kernel dropped at the receiver.
    pub(super) fn drops(&self) -> u32 {
        sys::drops(self.receiver()).unwrap_or(0)
    }

    /// How many ICMPv6 packets with a wrong checksum this machine has seen: a raw socket counts them among its drops.
    pub(super) fn bad_checksums(&self) -> u64 {
        match self.kind {
            SocketKind::Raw => self.counter("Icmp6InCsumErrors").unwrap_or(0),
            SocketKind::Ping => 0,
        }
    }

    /// Whether the kernel says of some packets that it refused that they were sent. For IPv6 ping sockets it does
    /// (`ping_v6_sendmsg` drops the error).
    pub(super) fn hides_refusals(&self) -> bool {
        self.kind == SocketKind::Ping && self.family == Family::V6
    }

    /// How many packets this machine refused to send, as far as the send itself does not tell. It is the only sign of a firewall
    /// that refuses our output, and others' packets are counted too; `None` if it cannot be read.
    pub(super) fn hidden_refusals(&self) -> Option<u64> {
        if self.hides_refusals() { self.counter("Ip6OutDiscards") } else { Some(0) }
    }

    fn counter(&self, name: &str) -> Option<u64> {
        let mut text = [0; 8192];
        let length = self.counters.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = str::from_utf8(text.get(..length)?).ok()?;
        let mut lines = text.lines().map(str::split_whitespace);
        lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()).flatten())?.parse().ok()
    }
}

/// What it means that an echo could not be sent.
pub(super) fn cause_of(error: &io::Error) -> Cause {
    match error.raw_os_error().unwrap_or(0) {
        libc::ENETUNREACH | libc::EHOSTUNREACH => Cause::NoRoute,
        libc::ENETDOWN => Cause::InterfaceDown,
        libc::ENODEV | libc::ENXIO | libc::EADDRNOTAVAIL | libc::EINVAL => Cause::NoInterface,
        libc::EPERM | libc::EACCES => Cause::OutputRefused,
        libc::ENOBUFS | libc::EAGAIN => Cause::QueueFull,
        libc::EMSGSIZE => Cause::TooLong,
        other => Cause::SendFailed(other),
    }
}

fn filter_v6(socket: &Socket, pass: &[u8]) -> io::Result<()> {
    let mut block = [u32::MAX; 8];
    for kind in pass {
        if let Some(word) = block.get_mut(usize::from(kind >> 5)) {
            *word &= !(1 << (kind & 31));
        }
    }
    let bytes: Vec<u8> = block.iter().flat_map(|word| word.to_ne_bytes()).collect();
    sys::set_option(socket.as_fd(), libc::IPPROTO_ICMPV6, ICMP6_FILTER, &bytes)
}

fn prepare_receiver(socket: &Socket, buffer: usize) -> io::Result<()> {
    sys::switch_on(socket.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)?;
    resize(socket, buffer, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)?;
    socket.set_nonblocking(true)
}

/// Has the stamps that packets ask for reported in the error queue, without the packet. An old kernel knows no such thing.
fn stamp_departures(socket: &Socket) -> io::Result<()> {
    let flags = libc::SOF_TIMESTAMPING_SOFTWARE | libc::SOF_TIMESTAMPING_OPT_TSONLY;
    sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &flags.to_ne_bytes())
}

fn prepare_sender(socket: &Socket, buffer: usize) -> io::Result<()> {
    resize(socket, buffer, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)?;
    socket.set_nonblocking(true)
}

/// Asks for a buffer of so many bytes, of which the kernel gives twice what it is asked for (socket(7)): beyond the limit for all
/// if we may (`CAP_NET_ADMIN`), else up to it.
fn resize(socket: &Socket, bytes: usize, force: i32, ask: i32) -> io::Result<()> {
    let size = i32::try_from(bytes / 2).unwrap_or(i32::MAX).to_ne_bytes();
    sys::set_option(socket.as_fd(), libc::SOL_SOCKET, force, &size)
        .or_else(|_| sys::set_option(socket.as_fd(), libc::SOL_SOCKET, ask, &size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_send_error_has_its_cause() {
        let expected = [
            (libc::ENETUNREACH, Cause::NoRoute),
            (libc::EHOSTUNREACH, Cause::NoRoute),
            (libc::ENETDOWN, Cause::InterfaceDown),
            (libc::ENODEV, Cause::NoInterface),
            (libc::ENXIO, Cause::NoInterface),
            (libc::EADDRNOTAVAIL, Cause::NoInterface),
            (libc::EINVAL, Cause::NoInterface),
            (libc::EPERM, Cause::OutputRefused),
            (libc::EACCES, Cause::OutputRefused),
            (libc::ENOBUFS, Cause::QueueFull),
            (libc::EAGAIN, Cause::QueueFull),
            (libc::EMSGSIZE, Cause::TooLong),
            (libc::EIO, Cause::SendFailed(libc::EIO)),
        ];
        for (errno, cause) in expected {
            assert_eq!(cause_of(&io::Error::from_raw_os_error(errno)), cause);
        }
    }
}
