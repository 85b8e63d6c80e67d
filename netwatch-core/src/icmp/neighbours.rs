//! How full the neighbour tables are, asked over rtnetlink: that works in every namespace, `/proc/net/stat/arp_cache` only in the first.
//!
//! Messages and attributes are those of linux/neighbour.h and rtnetlink(7). The parser is pure.

use std::io::{self, Read, Write};

use socket2::{Domain, Protocol, Socket, Type};

use super::limits::Table;
use crate::model::Family;

const RTM_GETNEIGHTBL: u16 = 66;
const RTM_NEWNEIGHTBL: u16 = 64;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NDTA_THRESH3: u16 = 4;
const NDTA_CONFIG: u16 = 5;
const NDTA_STATS: u16 = 7;
const HEADER: usize = 16;
/// Of `ndtmsg`.
const BODY: usize = 4;
/// Where `ndtc_entries` and `ndts_table_fulls` stand in their structures.
const ENTRIES: usize = 4;
const TABLE_FULLS: usize = 80;
/// A dump of as many messages has no end that matters here: a message holds many interfaces, and what is wanted comes first.
const MOST_MESSAGES: usize = 64;

/// A socket to ask with.
#[derive(Debug)]
pub(super) struct Neighbours(Socket);

impl Neighbours {
    pub(super) fn open() -> io::Result<Neighbours> {
        let domain = Domain::from(libc::AF_NETLINK);
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(libc::NETLINK_ROUTE)))?;
        // The kernel answers while it is asked; should it not, nobody waits.
        socket.set_nonblocking(true)?;
        Ok(Neighbours(socket))
    }

    /// The table of a family; empty if the kernel does not tell.
    pub(super) fn table(&self, family: Family) -> Table {
        self.ask(family).unwrap_or_default()
    }

    fn ask(&self, family: Family) -> io::Result<Table> {
        let family = match family {
            Family::V4 => libc::AF_INET as u8,
            Family::V6 => libc::AF_INET6 as u8,
        };
        let mut socket = &self.0;
        let mut text = vec![0; 32 << 10];
        // What is left of an earlier answer.
        while matches!(socket.read(&mut text), Ok(1..)) {}
        socket.write_all(&request(family))?;
        let mut table = Table::default();
        for _ in 0..MOST_MESSAGES {
            let length = socket.read(&mut text)?;
            let is_over = read(text.get(..length).unwrap_or_default(), family, &mut table);
            if is_over || table.most > 0 {
                break;
            }
        }
        Ok(table)
    }
}

fn request(family: u8) -> [u8; HEADER + BODY] {
    let mut request = [0; HEADER + BODY];
    let length = (HEADER + BODY) as u32;
    let parts =
        length.to_ne_bytes().into_iter().chain(RTM_GETNEIGHTBL.to_ne_bytes()).chain(NLM_F_REQUEST_DUMP.to_ne_bytes());
    for (place, byte) in request.iter_mut().zip(parts) {
        *place = byte;
    }
    if let Some(place) = request.get_mut(HEADER) {
        *place = family;
    }
    request
}

/// Reads the messages of one answer; `true` after the last one. What is not understood is passed over.
fn read(mut answer: &[u8], family: u8, table: &mut Table) -> bool {
    while let Some(length) = number::<4>(answer, 0).map(|length| length as usize) {
        if length < HEADER {
            return true;
        }
        let (Some(message), Some(kind)) = (answer.get(..length), number::<2>(answer, 4)) else { return true };
        if kind == u64::from(NLMSG_DONE) {
            return true;
        }
        if kind == u64::from(RTM_NEWNEIGHTBL) && message.get(HEADER) == Some(&family) {
            attributes(message.get(HEADER + BODY..).unwrap_or_default(), table);
        }
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

/// The thresholds stand only in the message of the table itself; those of its interfaces have none.
fn attributes(mut rest: &[u8], table: &mut Table) {
    let mut found = Table::default();
    while let (Some(length), Some(kind)) = (number::<2>(rest, 0).map(|length| length as usize), number::<2>(rest, 2)) {
        let Some(body) = rest.get(4..length) else { break };
        match u16::try_from(kind).unwrap_or(0) {
            NDTA_THRESH3 => found.most = number::<4>(body, 0).unwrap_or(0),
            NDTA_CONFIG => found.entries = number::<4>(body, ENTRIES).unwrap_or(0),
            NDTA_STATS => found.refused = number::<8>(body, TABLE_FULLS).unwrap_or(0),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    if found.most > 0 {
        *table = found;
    }
}

/// A number of so many bytes, in this machine's order.
fn number<const BYTES: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes: [u8; BYTES] = *bytes.get(at..)?.first_chunk()?;
    let mut wide = [0; 8];
    let place = if cfg!(target_endian = "little") { wide.get_mut(..BYTES) } else { wide.get_mut(8 - BYTES..) };
    place?.copy_from_slice(&bytes);
    Some(u64::from_ne_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + body.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, family: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let body = attributes.concat();
        let mut bytes = ((HEADER + BODY + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend([family, 0, 0, 0]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn the_table_of_the_family_is_found_among_others() {
        let (mut config, mut stats) = ([0; 32], [0; 88]);
        config[4..8].copy_from_slice(&1023_u32.to_ne_bytes());
        stats[80..].copy_from_slice(&77_u64.to_ne_bytes());
        let whole = |family| {
            let thresh3 = attribute(NDTA_THRESH3, &1024_u32.to_ne_bytes());
            message(
                RTM_NEWNEIGHTBL,
                family,
                &[attribute(1, b"arp_cache\0"), thresh3, attribute(5, &config), attribute(7, &stats)],
            )
        };
        let interface = message(RTM_NEWNEIGHTBL, 2, &[attribute(1, b"arp_cache\0")]);
        let mut table = Table::default();
        assert!(!read(&[whole(10), interface.clone()].concat(), 2, &mut table));
        assert_eq!(table, Table::default());
        assert!(read(&[whole(2), interface, message(NLMSG_DONE, 0, &[])].concat(), 2, &mut table));
        assert_eq!(table, Table { entries: 1023, most: 1024, refused: 77 });
    }

    #[test]
    fn this_kernel_tells_of_both_tables() {
        let neighbours = Neighbours::open().unwrap();
        for family in [Family::V4, Family::V6] {
            for _ in 0..3 {
                let table = neighbours.table(family);
                assert!(table.most > 0 && table.entries <= table.most + 64, "{family:?}: {table:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_answer_does_harm(answer in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..20) {
            let mut table = Table::default();
            read(&answer, 2, &mut table);
            let mut framed = message(RTM_NEWNEIGHTBL, 2, std::slice::from_ref(&answer));
            read(&framed, 2, &mut table);
            framed.truncate(framed.len() - at.min(framed.len()));
            read(&framed, 2, &mut table);
        }
    }
}
