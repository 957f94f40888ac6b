//! Calls of the HTTP API: parsing, and cutting `data` out. The result is checked first.

#![forbid(unsafe_code)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pushring::json;
use serde::Deserialize;

#[derive(Deserialize)]
struct Publish {
    channel: String,
}

fn publish(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse publish");
    for items in [2, 80, 1_300] {
        let data = format!(
            "[{}]",
            vec![r#"{"price":1.10,"symbol":"EURUSD","at":1e5}"#; items].join(",")
        );
        let body = Bytes::from(format!(r#"{{"channel":"prices","data":{data}}}"#));
        let (call, found) = json::parse::<Publish>(&body).expect("a good call");
        assert_eq!(
            (call.channel.as_str(), &found[..]),
            ("prices", data.as_bytes())
        );
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("{} bytes", body.len()), |b| {
            b.iter(|| json::parse::<Publish>(black_box(&body)));
        });
    }
    group.finish();
}

criterion_group!(benches, publish);
criterion_main!(benches);
