//! What `pushring bench` itself takes for a delivery once its bytes are read: cutting frames, checking payloads, counting.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pushring::bench::frames::{Frame, FrameReader};
use pushring::bench::ledger::{Ledger, Plan};
use pushring::bench::payload::{Embedding, Form, PayloadKind, Stamp};
use pushring::ws::frame::{Opcode, put_frame};

/// Messages that one read brings.
const MESSAGES: u64 = 1_000;
/// Bytes of each payload.
const PAYLOAD_BYTES: usize = 128;

fn take(form: &Form, ledger: &mut Ledger, stream: &[u8]) -> u64 {
    let valid = FrameReader::default().read(stream, |frame| {
        if let Frame::Message(message) = frame
            && let Some(stamp) = form.read(message)
        {
            ledger.deliver(0, stamp, MESSAGES);
        }
    });
    assert_eq!(valid, Ok(()));
    ledger.delivered()
}

fn deliveries(criterion: &mut Criterion) {
    let mut form = Form::new(PayloadKind::Text, PAYLOAD_BYTES, 1, Embedding::Plain);
    let mut stream = Vec::new();
    for sequence in 0..MESSAGES {
        let stamp = Stamp {
            channel: 0,
            sequence,
            due_ns: sequence * 1_000,
        };
        put_frame(&mut stream, Opcode::Text, form.stamped(stamp));
    }
    let fresh = || {
        let mut ledger = Ledger::new(Plan { all: 1, each: 1 });
        ledger.subscribe(0);
        ledger
    };
    // Each delivery is counted, and everybody has everything then.
    let mut ledger = fresh();
    assert_eq!(take(&form, &mut ledger, &stream), MESSAGES);
    assert_eq!(ledger.everywhere(), MESSAGES);
    assert!(ledger.settle(|_| MESSAGES).are_clean());

    let mut group = criterion.benchmark_group("generator");
    group.throughput(Throughput::Elements(MESSAGES));
    group.bench_function("deliveries of 128 bytes", |bencher| {
        bencher.iter_batched_ref(
            fresh,
            |ledger| take(&form, ledger, black_box(&stream)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, deliveries);
criterion_main!(benches);
