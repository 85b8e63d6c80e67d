//! No packet but the honest reply counts as one, whatever its IP header looks like.
#![no_main]

use netwatch_core::PayloadRule;
use netwatch_core::icmp_internals::{Table, reply_to};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (mut table, mut honest) = (Table::new(1, PayloadRule::Strict), Vec::new());
    table.send(|request| honest = reply_to(request));
    if table.receive(bytes) {
        let header = usize::from(bytes[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        assert_eq!(&bytes[header..total], &honest[20..], "counted though it is not the reply");
        assert_eq!(&bytes[12..16], &honest[12..16], "counted though it came from elsewhere");
        assert!(!table.receive(bytes), "counted twice");
    }
    assert_eq!(table.finish(), usize::from(table_was_answered(bytes, &honest)));
});

/// The same question, asked independently: is this the honest message from the honest source in a whole IPv4 packet?
fn table_was_answered(bytes: &[u8], honest: &[u8]) -> bool {
    let Some(first) = bytes.first() else { return false };
    let header = usize::from(first & 15) * 4;
    let total = bytes.get(2..4).map_or(0, |t| usize::from(u16::from_be_bytes([t[0], t[1]])));
    let unfragmented = bytes.get(6..8).is_some_and(|f| f[0] & 0x1f == 0 && f[1] == 0);
    first >> 4 == 4
        && header >= 20
        && unfragmented
        && bytes.get(9) == Some(&1)
        && bytes.get(12..16) == Some(&honest[12..16])
        && bytes.get(header..total) == Some(&honest[20..])
}
