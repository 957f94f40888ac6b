//! The opening handshake of a browser. The answer is checked first.

#![forbid(unsafe_code)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use pushring::ws::handshake::{self, HeadLimits, Origins};

const LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 8_192,
    headers_max: 64,
};

const REQUEST: &[u8] = b"GET /sub/news HTTP/1.1\r\n\
    Host: push.example.com\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: https://app.example.com\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

fn shake(request: &[u8], origins: &Origins, out: &mut Vec<u8>) {
    let head_len = handshake::head_end(request, 0).expect("a whole head");
    let upgrade = handshake::with_head(&request[..head_len], &LIMITS, |head| {
        handshake::upgrade(head, origins, &[])
    })
    .expect("a good handshake");
    upgrade.put_response(out);
}

fn handshake(c: &mut Criterion) {
    let origins = Origins::parse(&["https://*.example.com"], false).expect("a pattern");
    let mut out = Vec::new();
    shake(REQUEST, &origins, &mut out);
    let answer = String::from_utf8_lossy(&out);
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    c.bench_function("handshake", |b| {
        b.iter(|| {
            out.clear();
            shake(black_box(REQUEST), &origins, &mut out);
        });
    });
}

criterion_group!(benches, handshake);
criterion_main!(benches);
