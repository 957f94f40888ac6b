//! How long clients of Centrifugo's protocol may leave a ping unanswered.

use super::*;

/// The time of day at the beginning, in ms since 1970.
const UNIX_MS: u64 = 1_800_000_000_000;

/// How far the time of day is put back.
const BACK_MS: u64 = 3_600_000;

/// A short text, masked with zeros.
fn say(shard: &mut Shard, now_ms: u64, id: ConnectionId, text: &str) {
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    shard.handle_input(now_ms, id, &mut frame);
}

/// What the shard sends in a turn at that time, as text.
fn sent(shard: &mut Shard, now_ms: u64, unix_ms: u64) -> String {
    let mut sent = Vec::new();
    let mut batch = Batch::default();
    shard.begin_turn(now_ms, unix_ms);
    shard.handle_timeout(now_ms);
    while shard.poll_batch(now_ms, &mut batch) {
        sent.extend(batch.iter().flat_map(|(_, bytes)| bytes.to_vec()));
        shard.handle_scattered(now_ms, &batch, &[]);
    }
    shard.end_turn();
    String::from_utf8_lossy(&sent).into_owned()
}

/// When a client that answers so many pings and no other is closed, counted from the ping that it leaves; the time of day is put
/// back right behind each ping.
fn closed_after(answers: usize) -> u64 {
    let mut shard = shard(Config::default());
    let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    shard.handle_input(0, id, &mut head("/connection/websocket", ""));
    sent(&mut shard, 0, UNIX_MS);
    say(&mut shard, 0, id, "{\"id\":1,\"connect\":{}}");
    assert!(sent(&mut shard, 0, UNIX_MS).contains("\"ping\":25"));
    let mut unix_ms = UNIX_MS;
    let mut pings = 0;
    let mut pinged_ms = 0;
    for now_ms in (100..300_000).step_by(100) {
        unix_ms += 100;
        let said = sent(&mut shard, now_ms, unix_ms);
        if said.ends_with("{}") {
            pings += 1;
            pinged_ms = now_ms;
            unix_ms -= BACK_MS;
        }
        // Its WebSocket lives: a frame of no payload that is no text is a ping.
        if said.ends_with("\u{fffd}\0") {
            shard.handle_input(now_ms, id, &mut [0x8A, 0x80, 0, 0, 0, 0]);
        }
        if said.contains("no pong") {
            assert_eq!(pings, answers + 1);
            return now_ms - pinged_ms;
        }
        if (1..=answers).contains(&pings) && now_ms == pinged_ms + 7_000 {
            say(&mut shard, now_ms, id, "{}");
        }
    }
    panic!("it is never closed");
}

#[test]
fn a_clock_that_is_put_back_keeps_no_silent_client_and_closes_none_that_answers() {
    for answers in [0, 3] {
        let after_ms = closed_after(answers);
        assert!((8_000..9_000).contains(&after_ms), "{after_ms} ms");
    }
}
