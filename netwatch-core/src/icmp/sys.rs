//! The system calls that no safe crate offers, as safe functions: batched send and receive with control messages, and
//! socket options in bytes. The only file of the library with `unsafe`.
//!
//! Every function gives the kernel pointers into buffers that it holds exclusively for the length of the call, with lengths taken
//! from those same buffers. What comes back is read as plain bytes, so a surprising answer cannot do harm.

#![allow(unsafe_code)]

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Messages in one call.
pub(super) const BATCH: usize = 64;
/// A longer message is no answer to a 32-byte echo; a quoting error fits (1,280 bytes at most, RFC 4443).
const MESSAGE: usize = 1500;
const CONTROL: usize = 256;
const NAME: usize = size_of::<libc::sockaddr_in6>();

/// Sets a socket option to these bytes.
pub(super) fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let length = value.len() as libc::socklen_t;
    // SAFETY: `value` is readable for `length` bytes during the call, and the kernel only reads it.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Switches a socket option on.
pub(super) fn switch_on(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<()> {
    set_option(fd, level, name, &1_i32.to_ne_bytes())
}

/// How many packets the kernel has dropped at this socket (`SK_MEMINFO_DROPS` of `SO_MEMINFO`).
pub(super) fn drops(fd: BorrowedFd<'_>) -> io::Result<u32> {
    const FIELDS: usize = 9;
    const DROPS: usize = 8;
    let mut info = [0_u32; FIELDS];
    let mut length = size_of_val(&info) as libc::socklen_t;
    let (level, name) = (libc::SOL_SOCKET, libc::SO_MEMINFO);
    // SAFETY: `info` is writable for `length` bytes, which is what the kernel is told; any bit pattern is a valid u32.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, info.as_mut_ptr().cast(), &raw mut length) };
    if result == 0 { Ok(info.get(DROPS).copied().unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}

/// Lets this thread's sleeps end on time, instead of up to 50 us later (`PR_SET_TIMERSLACK`).
pub(super) fn sleep_precisely() {
    let (one, none): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: this option takes a number, no pointer, and concerns only the calling thread.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, one, none, none, none) };
}

/// Packets on their way out, at most [`BATCH`].
pub(super) struct Outgoing {
    messages: Box<[Message]>,
    /// The same at the end of every packet.
    tail: Box<[u8]>,
    vectors: Box<[[libc::iovec; 2]]>,
    headers: Box<[libc::mmsghdr]>,
    length: usize,
    /// The packet at this place asks for a transmit stamp.
    stamped: Option<usize>,
    ask: Ask,
}

/// A control message that asks for a transmit stamp by the kernel's software (`SO_TIMESTAMPING`, linux/net_tstamp.h).
#[repr(C, align(8))]
struct Ask([u8; 24]);

impl Ask {
    fn new() -> Ask {
        const LENGTH: u64 = 20;
        let head = LENGTH.to_ne_bytes().into_iter().chain(libc::SOL_SOCKET.to_ne_bytes());
        let bytes =
            head.chain(libc::SO_TIMESTAMPING.to_ne_bytes()).chain(libc::SOF_TIMESTAMPING_TX_SOFTWARE.to_ne_bytes());
        let mut ask = Ask([0; 24]);
        for (place, byte) in ask.0.iter_mut().zip(bytes) {
            *place = byte;
        }
        ask
    }
}

#[derive(Clone, Copy)]
struct Message {
    name: [u8; NAME],
    name_length: usize,
    data: [u8; super::wire::PACKET_V4],
    data_length: usize,
}

// SAFETY: the pointers in `vectors` and `headers` are set anew before each call that follows them, and nothing else does.
unsafe impl Send for Outgoing {}

impl Outgoing {
    /// No packet yet; each will end with `tail`.
    pub(super) fn with_tail(tail: Box<[u8]>) -> Outgoing {
        let empty = Message { name: [0; NAME], name_length: 0, data: [0; super::wire::PACKET_V4], data_length: 0 };
        Outgoing {
            messages: vec![empty; BATCH].into(),
            tail,
            vectors: vec![[NO_VECTOR; 2]; BATCH].into(),
            headers: vec![NO_HEADER; BATCH].into(),
            length: 0,
            stamped: None,
            ask: Ask::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.length = 0;
        self.stamped = None;
    }

    /// The packet at this place asks for a transmit stamp, which comes back in the socket's error queue.
    pub(super) fn ask_for_a_stamp(&mut self, place: usize) {
        self.stamped = Some(place);
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Adds a packet of up to 52 bytes without its tail; what is longer is cut. `false` if there is no room.
    pub(super) fn push(&mut self, to: SocketAddr, packet: &[u8]) -> bool {
        let Some(message) = self.messages.get_mut(self.length) else { return false };
        message.name_length = write_name(&mut message.name, to);
        message.data_length = packet.len().min(message.data.len());
        if let Some((place, packet)) =
            message.data.get_mut(..message.data_length).zip(packet.get(..message.data_length))
        {
            place.copy_from_slice(packet);
        }
        self.length += 1;
        true
    }

    /// Sends `most` packets from the place `from` on, in one call; how many the kernel took. An error is that of the packet at
    /// `from`.
    pub(super) fn send(&mut self, fd: BorrowedFd<'_>, from: usize, most: usize) -> io::Result<usize> {
        let stamped = self.stamped.and_then(|place| place.checked_sub(from));
        let messages = self.messages.iter_mut().take(self.length).skip(from).take(most);
        let mut count: libc::c_uint = 0;
        for ((message, vector), header) in messages.zip(&mut self.vectors).zip(&mut self.headers) {
            *vector = [
                libc::iovec { iov_base: message.data.as_mut_ptr().cast(), iov_len: message.data_length },
                libc::iovec { iov_base: self.tail.as_mut_ptr().cast(), iov_len: self.tail.len() },
            ];
            header.msg_hdr.msg_name = message.name.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = message.name_length as libc::socklen_t;
            header.msg_hdr.msg_iov = vector.as_mut_ptr();
            header.msg_hdr.msg_iovlen = if self.tail.is_empty() { 1 } else { 2 };
            header.msg_hdr.msg_control = ptr::null_mut();
            header.msg_hdr.msg_controllen = 0;
            count += 1;
        }
        if let Some(header) = stamped.and_then(|place| self.headers.get_mut(place)) {
            header.msg_hdr.msg_control = self.ask.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = self.ask.0.len() as _;
        }
        loop {
            // SAFETY: the first `count` headers point into `self`, which is exclusively ours and outlives the call; name, data, tail
            // and control lengths are those of the buffers or less.
            let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), self.headers.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
            match usize::try_from(sent) {
                Ok(sent) => return Ok(sent),
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
    }
}

/// Buffers for a batch of packets on their way in.
pub(super) struct Ingoing {
    names: Box<[[u8; NAME]]>,
    data: Box<[[u8; MESSAGE]]>,
    control: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    /// Whether it is told who sent a packet.
    is_named: bool,
    /// How many headers, from the first on, the kernel may have written to since they were made ready.
    used: usize,
    received: usize,
}

// SAFETY: the pointers in `vectors` and `headers` lead to the boxed buffers beside them, which never move, and are followed only in
// calls that hold all of it exclusively.
unsafe impl Send for Ingoing {}

/// Control messages; the kernel wants them aligned like `cmsghdr`.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// A packet that was received.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) data: &'a [u8],
    name: &'a [u8],
    /// The kernel's receive stamp, nanoseconds since the UNIX epoch.
    pub(super) stamp: Option<i64>,
    /// There was more of it than fits.
    pub(super) is_cut: bool,
    /// What the error queue says of it.
    pub(super) error: Option<QueuedError>,
}

/// A `sock_extended_err` (ip(7), `IP_RECVERR`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueuedError {
    pub(super) origin: u8,
    pub(super) kind: u8,
    pub(super) code: u8,
}

impl Packet<'_> {
    /// Whose it is; in the error queue, where our packet was going.
    pub(super) fn from(&self) -> Option<SocketAddr> {
        address_of(self.name)
    }
}

impl Ingoing {
    /// `is_named`: each packet comes with its source; a raw IPv4 packet bears it in itself.
    pub(super) fn new(is_named: bool) -> Ingoing {
        Ingoing {
            names: vec![[0; NAME]; BATCH].into(),
            data: vec![[0; MESSAGE]; BATCH].into(),
            control: vec![Control([0; CONTROL]); BATCH].into(),
            vectors: vec![NO_VECTOR; BATCH].into(),
            headers: vec![NO_HEADER; BATCH].into(),
            is_named,
            used: BATCH,
            received: 0,
        }
    }

    /// Receives what is there, without waiting, from the socket or from its error queue; how many packets.
    pub(super) fn receive(&mut self, fd: BorrowedFd<'_>, error_queue: bool) -> io::Result<usize> {
        self.received = 0;
        let used = std::mem::replace(&mut self.used, BATCH);
        let buffers = self.names.iter_mut().zip(&mut self.data).zip(&mut self.control).take(used);
        for ((((name, data), control), vector), header) in buffers.zip(&mut self.vectors).zip(&mut self.headers) {
            *vector = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: MESSAGE };
            if self.is_named {
                header.msg_hdr.msg_name = name.as_mut_ptr().cast();
                header.msg_hdr.msg_namelen = NAME as libc::socklen_t;
            }
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL as _;
        }
        let flags = libc::MSG_DONTWAIT | if error_queue { libc::MSG_ERRQUEUE } else { 0 };
        let received = loop {
            let (fd, count) = (fd.as_raw_fd(), BATCH as libc::c_uint);
            // SAFETY: all `BATCH` headers point into `self`, which is exclusively ours and outlives the call, with the lengths
            // of those buffers; no timeout is passed.
            let received = unsafe { libc::recvmmsg(fd, self.headers.as_mut_ptr(), count, flags, ptr::null_mut()) };
            match usize::try_from(received) {
                Ok(received) => break received,
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        };
        // It writes to the headers of what it hands over, and to the one it found nothing for.
        self.used = received.saturating_add(1).min(BATCH);
        self.received = received;
        Ok(received)
    }

    /// The packets of the last [`receive`](Ingoing::receive).
    pub(super) fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let buffers = self.names.iter().zip(&self.data).zip(&self.control).zip(&self.headers).take(self.received);
        buffers.map(|(((name, data), control), header)| {
            let (stamp, error) = read_control(control.0.get(..header.msg_hdr.msg_controllen).unwrap_or_default());
            Packet {
                data: data.get(..header.msg_len as usize).unwrap_or(data),
                name: name.get(..header.msg_hdr.msg_namelen as usize).unwrap_or(name),
                stamp,
                is_cut: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                error,
            }
        })
    }
}

const NO_VECTOR: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

// SAFETY: `mmsghdr` is plain old data; null pointers and zero lengths are what an unused one holds.
const NO_HEADER: libc::mmsghdr = unsafe { std::mem::zeroed() };

/// Finds the receive stamp and the extended error among control messages (cmsg(3)).
pub(super) fn read_control(mut control: &[u8]) -> (Option<i64>, Option<QueuedError>) {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    let (mut stamp, mut error) = (None, None);
    while let Some((header, _)) = control.split_first_chunk::<HEADER>() {
        let Some((length, rest)) = header.split_first_chunk::<8>() else { break };
        let length = usize::from_ne_bytes(*length);
        let (Some(level), Some(kind)) = (int_at(rest, 0), int_at(rest, 4)) else { break };
        let Some(body) = control.get(HEADER..length) else { break };
        match (level, kind) {
            // The first of the three stamps of `scm_timestamping` is the software's.
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS | libc::SCM_TIMESTAMPING) => stamp = read_stamp(body),
            (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR) => error = read_error(body),
            _ => {}
        }
        control = control.get(length.next_multiple_of(8)..).unwrap_or_default();
    }
    (stamp, error)
}

fn int_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
}

fn read_stamp(body: &[u8]) -> Option<i64> {
    let (seconds, rest) = body.split_first_chunk::<8>()?;
    let nanos = rest.first_chunk::<8>()?;
    i64::from_ne_bytes(*seconds).checked_mul(1_000_000_000)?.checked_add(i64::from_ne_bytes(*nanos))
}

fn read_error(body: &[u8]) -> Option<QueuedError> {
    match *body {
        [_, _, _, _, origin, kind, code, ..] => Some(QueuedError { origin, kind, code }),
        _ => None,
    }
}

/// Writes a `sockaddr_in` or `sockaddr_in6` (ip(7), ipv6(7)); its length.
fn write_name(name: &mut [u8; NAME], address: SocketAddr) -> usize {
    let [p0, p1] = address.port().to_be_bytes();
    match address {
        SocketAddr::V4(v4) => {
            let [f0, f1] = (libc::AF_INET as u16).to_ne_bytes();
            let [a, b, c, d] = v4.ip().octets();
            let plain: [u8; size_of::<libc::sockaddr_in>()] = [f0, f1, p0, p1, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0];
            if let Some(place) = name.first_chunk_mut() {
                *place = plain;
            }
            plain.len()
        }
        SocketAddr::V6(v6) => {
            let [f0, f1] = (libc::AF_INET6 as u16).to_ne_bytes();
            let [i0, i1, i2, i3] = v6.flowinfo().to_be_bytes();
            if let Some((head, rest)) = name.split_first_chunk_mut::<8>()
                && let Some((ip, rest)) = rest.split_first_chunk_mut::<16>()
                && let Some(scope) = rest.first_chunk_mut::<4>()
            {
                *head = [f0, f1, p0, p1, i0, i1, i2, i3];
                (*ip, *scope) = (v6.ip().octets(), v6.scope_id().to_ne_bytes());
            }
            NAME
        }
    }
}

fn address_of(name: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = name.split_first_chunk::<2>()?;
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => {
            let octets: [u8; 4] = *rest.get(2..)?.first_chunk()?;
            Some(SocketAddrV4::new(Ipv4Addr::from(octets), 0).into())
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = *rest.get(6..)?.first_chunk()?;
            let scope = u32::from_ne_bytes(*rest.get(22..)?.first_chunk()?);
            Some(SocketAddrV6::new(Ipv6Addr::from(octets), 0, 0, scope).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernels_form() {
        for address in ["192.0.2.7:0", "[2001:db8::7]:0", "[fe80::1%5]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            let mut name = [0xff; NAME];
            let length = write_name(&mut name, address);
            assert_eq!(address_of(&name[..length]), Some(address));
        }
        assert_eq!(address_of(&[]), None);
        assert_eq!(address_of(&[10, 0, 0, 0, 0]), None);
    }

    #[test]
    fn control_messages_that_lie_about_their_length_are_left() {
        for length in [0_usize, 1, 15, 17, 4096, usize::MAX] {
            let mut control = [0_u8; 48];
            control[..8].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(read_control(&control), (None, None), "{length}");
        }
    }
}
