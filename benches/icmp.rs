//! What the engine itself costs for an echo, without the kernel: encode, in-flight table, decode, judge.
//!
//! The figure to watch is the time per target, and that it does not grow from a thousand targets to a hundred thousand.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use netwatch_core::PayloadRule;
use netwatch_core::icmp_internals::{Table, decode, reply_to};

fn rounds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round");
    for targets in [1_000, 10_000, 100_000] {
        group.throughput(Throughput::Elements(targets as u64));
        group.bench_function(BenchmarkId::new("send", targets), |bencher| {
            bencher.iter_batched_ref(
                || Table::new(targets, PayloadRule::Strict),
                |table| {
                    table.send(|packet| {
                        black_box(packet);
                    })
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_function(BenchmarkId::new("receive", targets), |bencher| {
            bencher.iter_batched_ref(
                || {
                    let (mut table, mut replies) = (Table::new(targets, PayloadRule::Strict), Vec::new());
                    table.send(|request| replies.push(reply_to(request)));
                    (table, replies)
                },
                |(table, replies)| replies.iter().filter(|reply| table.receive(reply)).count(),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn hostile(criterion: &mut Criterion) {
    let mut request = Vec::new();
    Table::new(1, PayloadRule::Strict).send(|packet| request = packet.to_vec());
    let reply = reply_to(&request);
    criterion.bench_function("decode", |bencher| bencher.iter(|| decode(black_box(&reply))));
    criterion.bench_function("foreign reply", |bencher| {
        let (mut table, mut foreign) = (Table::new(1_000, PayloadRule::Strict), reply.clone());
        if let Some(byte) = foreign.get_mut(15) {
            *byte ^= 0x55;
        }
        bencher.iter(|| table.receive(black_box(&foreign)));
    });
}

criterion_group!(benches, rounds, hostile);
criterion_main!(benches);
