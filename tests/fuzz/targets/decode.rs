//! No packet, however hostile, makes a decoder panic or read what is not there.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netwatch_core::icmp_internals::decode(bytes));
