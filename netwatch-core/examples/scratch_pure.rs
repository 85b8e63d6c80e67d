//! Scratch
#![allow(missing_docs)]
use netwatch_core::PayloadRule;
use netwatch_core::icmp_internals::{Table, reply_to};
fn main() {
    let a: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let mut t = Table::new(a[0], PayloadRule::Strict);
    let mut n = 0usize;
    for _ in 0..a[1] {
        let mut replies = Vec::new();
        if a[2] == 0 {
            t.send(|p| n += p.len());
        } else {
            t.send(|r| replies.push(reply_to(r)));
            if a[2] > 1 {
                n += replies.iter().filter(|r| t.receive(r)).count();
            }
        }
        if a[2] != 1 || true {
            n += t.finish();
        }
    }
    println!("{n}");
}
