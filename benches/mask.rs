//! Unmasking in place, beside a plain copy of as many bytes: the copy is the speed to come near.
//!
//! Payloads lie one after another, each behind its frame header, as they do in a receive buffer.
//! Short ones are measured a batch at a time: one payload unmasked over and over would wait for its
//! own stores of the turn before, which no server does. Every answer is checked before it is
//! measured.

#![forbid(unsafe_code)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pushring::ws::mask::unmask;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Payload lengths in bytes.
const LENGTHS: [usize; 7] = [16, 32, 64, 128, 1024, 16 * 1024, 64 * 1024];

/// Payload bytes in a batch of short payloads: with their copies they fit in a first-level cache.
const BATCH_BYTES: usize = 8 * 1024;

const CACHE_LINE_BYTES: usize = 64;

fn compare(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for length in LENGTHS {
        let mut received = Frames::new(length);
        let mut copy = Frames::new(length);
        check(&mut received, &mut copy);

        group.throughput(Throughput::Bytes((received.count * length) as u64));
        group.bench_function(BenchmarkId::new("copy", length), |bencher| {
            bencher.iter(|| {
                for (to, from) in copy.payloads().zip(received.payloads()) {
                    black_box(to).copy_from_slice(black_box(from));
                }
            });
        });
        group.bench_function(BenchmarkId::new("unmask", length), |bencher| {
            bencher.iter(|| {
                for payload in received.payloads() {
                    unmask(black_box(payload), black_box(KEY), black_box(0));
                }
            });
        });
        group.bench_function(BenchmarkId::new("unmask_bytewise", length), |bencher| {
            bencher.iter(|| {
                for payload in received.payloads() {
                    unmask_bytewise(black_box(payload), black_box(KEY));
                }
            });
        });
    }
    group.finish();
}

/// Panics unless what is about to be measured gives the right bytes, at every phase of the key.
fn check(received: &mut Frames, copy: &mut Frames) {
    let clear: Vec<u8> = (0..received.length)
        .map(|at| (at * 31 % 251) as u8)
        .collect();
    for (payload, copied) in received.payloads().zip(copy.payloads()) {
        for offset in 0..4 {
            let mut key = KEY;
            key.rotate_left(offset);
            payload.copy_from_slice(&clear);
            unmask_bytewise(payload, key);
            assert!(payload != clear, "the masked bytes differ");
            unmask(payload, KEY, offset);
            assert!(payload == clear, "{} bytes at offset {offset}", clear.len());
        }
        copied.copy_from_slice(payload);
        assert!(copied == clear, "the copy has the same bytes");
    }
}

/// RFC 6455 section 5.3 to the letter, as the compiler makes it.
#[inline(never)]
fn unmask_bytewise(bytes: &mut [u8], key: [u8; 4]) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte ^= key[at % 4];
    }
}

/// Masked frames one after another, the first at the start of a cache line wherever the allocator
/// puts them, so that runs are alike.
struct Frames {
    bytes: Vec<u8>,
    start: usize,
    header: usize,
    /// Payload bytes in each frame.
    length: usize,
    count: usize,
}

impl Frames {
    fn new(length: usize) -> Self {
        let header = header_bytes(length);
        let count = (BATCH_BYTES / length).max(1);
        let bytes = vec![0; CACHE_LINE_BYTES + count * (header + length)];
        let start = bytes.as_ptr().align_offset(CACHE_LINE_BYTES);
        Self {
            bytes,
            start,
            header,
            length,
            count,
        }
    }

    fn payloads(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let header = self.header;
        self.bytes[self.start..]
            .chunks_exact_mut(header + self.length)
            .take(self.count)
            .map(move |frame| &mut frame[header..])
    }
}

/// Bytes before the payload of a masked frame (RFC 6455 section 5.2).
fn header_bytes(length: usize) -> usize {
    match length {
        0..=125 => 6,
        126..=65_535 => 8,
        _ => 14,
    }
}

criterion_group!(benches, compare);
criterion_main!(benches);
