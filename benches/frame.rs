//! Encoding and decoding of frames. Each measurement checks its answer first.

#![forbid(unsafe_code)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pushring::ws::frame::{self, Opcode};
use pushring::ws::message::{Item, Limits, Reader};

const LIMITS: Limits = Limits {
    message_bytes_max: 65_536,
};

fn client_frame(payload: &[u8]) -> Vec<u8> {
    let key = [0x11, 0x22, 0x33, 0x44];
    let mut out = vec![0x82];
    match u16::try_from(payload.len()) {
        Ok(len @ 0..126) => out.push(0x80 | len as u8),
        Ok(len) => {
            out.push(0x80 | 126);
            out.extend(len.to_be_bytes());
        }
        Err(_) => {
            out.push(0x80 | 127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend(key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
    out
}

/// Messages in a buffer, and their bytes.
fn read_all(buffer: &mut [u8]) -> (usize, usize) {
    let mut reader = Reader::default();
    let (mut at, mut messages, mut bytes) = (0, 0, 0);
    while at < buffer.len() {
        let (taken, item) = reader
            .read(&mut buffer[at..], &LIMITS, None)
            .expect("valid frames");
        at += taken;
        if let Some(Item::Binary(payload)) = item {
            messages += 1;
            bytes += payload.len();
            assert_eq!((payload.first(), payload.last()), (Some(&7), Some(&7)));
        }
    }
    (messages, bytes)
}

fn decode(c: &mut Criterion) {
    let header = client_frame(&[7; 300]);
    let decoded = frame::decode_client_header(&header, false);
    assert_eq!(decoded.expect("valid").expect("complete").payload_len, 300);
    c.bench_function("decode_client_header", |b| {
        b.iter(|| frame::decode_client_header(black_box(&header), false));
    });
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("put_frame");
    for len in [16, 128, 1_024, 65_536] {
        let payload = vec![b'x'; len];
        let mut out = Vec::with_capacity(frame::frame_len(len));
        frame::put_frame(&mut out, Opcode::Text, &payload);
        assert_eq!(frame::server_frame_len(&out), Some(out.len()));
        assert_eq!((out[0], &out[out.len() - len..]), (0x81, &payload[..]));
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(len.to_string(), |b| {
            b.iter(|| {
                out.clear();
                frame::put_frame(&mut out, Opcode::Text, black_box(&payload));
            });
        });
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    for len in [16, 128, 4_096] {
        let count = 65_536 / len;
        let stream = client_frame(&vec![7; len]).repeat(count);
        assert_eq!(read_all(&mut stream.clone()), (count, count * len));
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("64 KiB of {len}"), |b| {
            b.iter_batched_ref(
                || stream.clone(),
                |stream| read_all(stream),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, decode, encode, read);
criterion_main!(benches);
