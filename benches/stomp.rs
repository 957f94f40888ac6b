//! Reading and writing frames of STOMP. Each measurement checks its answer first.

#![forbid(unsafe_code)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pushring::stomp::encode::{self, MessageHead};
use pushring::stomp::{Command, Frame, Item, Limits, Reader, UserHeaders, Version};

const LIMITS: Limits = Limits {
    headers_max: 64,
    head_bytes_max: 8_192,
    body_bytes_max: 65_536,
};

/// One SEND, whole in the input.
fn read_whole(input: &[u8]) -> Frame<'_> {
    match Reader::new().read(input, &LIMITS, Some(Version::V1_2)) {
        Ok((taken, Some(Item::Frame(frame)))) if taken == input.len() => frame,
        other => panic!("{other:?}"),
    }
}

/// The same in two pieces: is it whole, and how long is its body?
fn read_cut(input: &[u8], at: usize) -> Option<usize> {
    let mut reader = Reader::new();
    let (first, second) = input.split_at(at);
    reader.read(first, &LIMITS, Some(Version::V1_2)).ok()?;
    match reader.read(second, &LIMITS, Some(Version::V1_2)).ok()? {
        (_, Some(Item::Frame(frame))) => Some(frame.body().len()),
        _ => None,
    }
}

/// What an endpoint asks a SEND for.
fn take(frame: &Frame<'_>) -> (usize, UserHeaders) {
    let known = ["destination", "receipt", "transaction"];
    let found = known.iter().filter_map(|name| frame.header(name));
    (found.count() + frame.body().len(), frame.user_headers())
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read SEND of 128");
    let body = "x".repeat(128);
    let plain = "SEND\ndestination:/topic/prices\ncontent-length:128\n\n";
    let rich = "SEND\ndestination:/topic/prices\ncontent-type:application/json\nx-id:17\ncontent-length:128\n\n";
    let escaped = "SEND\ndestination:/topic/prices\\ceur\nreceipt:r\\c1\ncontent-length:128\n\n";
    let unmeasured = "SEND\ndestination:/topic/prices\n\n";
    for (name, head, found, carried) in [
        ("plain", plain, 1, ""),
        (
            "user headers",
            rich,
            1,
            "content-type:application/json\nx-id:17\n",
        ),
        ("escapes", escaped, 2, ""),
        ("no content-length", unmeasured, 1, ""),
    ] {
        let input = format!("{head}{body}\0").into_bytes();
        let frame = read_whole(&input);
        assert_eq!(frame.command, Command::Send);
        let (len, headers) = take(&frame);
        assert_eq!(
            (len, &headers.as_bytes()[..]),
            (found + 128, carried.as_bytes())
        );
        group.throughput(Throughput::Bytes(input.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| take(&read_whole(black_box(&input))));
        });
    }
    let input = format!("{plain}{body}\0").into_bytes();
    for (name, at) in [("cut in the head", 20), ("cut in the body", 100)] {
        assert_eq!(read_cut(&input, at), Some(128));
        group.bench_function(name, |b| {
            b.iter(|| read_cut(black_box(&input), at));
        });
    }
    group.finish();
}

fn write(c: &mut Criterion) {
    let mut group = c.benchmark_group("write MESSAGE");
    for (name, version, headers) in [
        ("1.2", Version::V1_2, ""),
        (
            "1.2, user headers",
            Version::V1_2,
            "content-type:application/json\nx-id:17\n",
        ),
        ("1.0", Version::V1_0, ""),
    ] {
        for len in [128, 16_384] {
            let body = vec![b'x'; len];
            let head = MessageHead {
                version,
                subscription: "sub-0",
                message_id: "1732240000-17",
                destination: "/topic/prices",
                ack: None,
                redelivered: false,
                headers: headers.as_bytes(),
                default_content_type: Some("text/plain"),
            };
            let mut out = Vec::with_capacity(len + 1_000);
            encode::put_message(&mut out, &head, &body);
            let content_type = if headers.is_empty() {
                "content-type:text/plain\n"
            } else {
                headers
            };
            let expected = format!(
                "MESSAGE\nsubscription:sub-0\nmessage-id:1732240000-17\ndestination:/topic/prices\n\
                 content-length:{len}\n{content_type}\n{}\0",
                "x".repeat(len)
            );
            assert_eq!(out, expected.as_bytes());
            assert_eq!(encode::message_len(&head, len), out.len());
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_function(BenchmarkId::new(name, len), |b| {
                b.iter(|| {
                    out.clear();
                    encode::put_message(&mut out, black_box(&head), black_box(&body));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, read, write);
criterion_main!(benches);
