//! Shards that are saved and made again by another process.

use super::*;
use crate::endpoint::Addressee;
use crate::shard::lifecycle::Reason;

/// What another process makes of the bytes of a shard.
fn successor(shard: &Shard, now_ms: u64) -> Shard {
    assert!(shard.is_at_rest(), "only what rests is saved");
    let bytes = postcard::to_allocvec(&shard.save()).expect("memory");
    restored(shard, &bytes, now_ms).expect("what was saved")
}

/// `None` where the bytes are no shard.
fn restored(shard: &Shard, bytes: &[u8], now_ms: u64) -> Option<Shard> {
    let saved: SavedShard = postcard::from_bytes(bytes).ok()?;
    let identity = Identity {
        first_epoch: shard.identity.first_epoch + (1 << 40),
        ..shard.identity.clone()
    };
    let sessions = session::Settings::new(&shard.config).expect("the default origins");
    let config = Arc::new(Config::clone(&shard.config));
    let rules = Arc::new(Rules::default());
    Shard::restore(identity, config, Arc::new(sessions), rules, saved, now_ms).ok()
}

fn accept(shard: &mut Shard, now_ms: u64) -> ConnectionId {
    shard.handle_accept(now_ms, IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// A turn in which no socket takes anything.
fn turn_with_full_sockets(shard: &mut Shard) {
    let mut batch = Batch::default();
    shard.begin_turn(0, 0);
    while shard.poll_batch(0, &mut batch) {
        let all = 0..batch.len() as u32;
        let exceptions: Vec<_> = all.map(|send| Exception { send, result: -11 }).collect();
        shard.handle_scattered(0, &batch, &exceptions);
    }
    shard.end_turn();
}

fn effects(shard: &mut Shard) -> Vec<Effect> {
    std::iter::from_fn(|| shard.poll_effect()).collect()
}

/// What a connection waits for first.
fn front(shard: &Shard, id: ConnectionId) -> Bytes {
    let connection = shard.connections.table.get(id).expect("a connection");
    let backlog = connection.backlog.as_ref().expect("a backlog");
    backlog.front().expect("something that waits")
}

/// A masked text frame of a client's.
fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[test]
fn what_slow_connections_wait_for_is_the_same_memory_for_all_of_them_again() {
    let mut shard = shard(Config::default());
    let all: Vec<_> = (0..5).map(|_| subscribe(&mut shard, "news")).collect();
    turn(&mut shard);
    publish(&mut shard, "news");
    turn_with_full_sockets(&mut shard);
    effects(&mut shard);
    let mut new = successor(&shard, 0);
    let first = front(&new, all[0]);
    assert_eq!(first, front(&shard, all[0]));
    for &id in &all {
        assert_eq!(front(&new, id).as_ptr(), first.as_ptr());
        assert!(new.connections.is_stalled(id.slot));
    }
    let (old_counters, counters) = (shard.counters(), new.counters());
    assert_eq!(counters.backlogged, 5);
    assert_eq!(counters.backlog_bytes, old_counters.backlog_bytes);
    let watched: Vec<_> = all.iter().map(|&id| Effect::Watch(id)).collect();
    assert_eq!(effects(&mut new), watched);
    for &id in &all {
        new.handle_writable(id);
    }
    assert_eq!(turn(&mut new).len(), 5);
    assert_eq!(
        (new.counters().backlogged, new.counters().backlog_bytes),
        (0, 0)
    );
}

#[test]
fn subscribers_who_get_the_same_bytes_are_in_one_lane_again() {
    let mut shard = shard(Config::default());
    for _ in 0..10 {
        subscribe(&mut shard, "news");
        subscribe_to(&mut shard, &["news", "other"]);
        subscribe_deflating(&mut shard, "news", 10);
        let id = accept(&mut shard, 0);
        let mut request =
            b"GET /sub/news HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n".to_vec();
        shard.handle_input(0, id, &mut request);
    }
    turn(&mut shard);
    effects(&mut shard);
    let mut new = successor(&shard, 0);
    assert_eq!(new.counters().lanes, shard.counters().lanes);
    assert_eq!(new.residue(), shard.residue());
    for shard in [&mut shard, &mut new] {
        publish(shard, "news");
    }
    assert_eq!(turn(&mut new).len(), 40);
    turn(&mut shard);
    assert_eq!(new.counters(), shard.counters());
    // The positions in the lanes are right: everybody can leave, and nothing is left.
    let all: Vec<_> = new.connections.table.iter().map(|(id, _)| id).collect();
    for id in all {
        new.handle_end(0, id);
        new.handle_closed(id);
    }
    turn(&mut new);
    assert_eq!(new.residue().lanes + new.residue().subscriptions, 0);
}

#[test]
fn all_deadlines_come_up_when_they_would_have() {
    let mut config = Config::default();
    config.timeouts.head_ms = 3_000;
    config.timeouts.ping_interval_ms = 5_000;
    config.timeouts.pong_timeout_ms = 2_000;
    config.slow_consumer.backlog_age_ms_max = 4_000;
    let mut shard = shard(config);
    let slow = subscribe(&mut shard, "news");
    turn_with_full_sockets(&mut shard);
    assert!(shard.connections.is_stalled(slow.slot));
    let mut heads = 0;
    for ms in (0..1_500).step_by(100) {
        // A request that never becomes whole, and another that does.
        accept(&mut shard, ms);
        let id = accept(&mut shard, ms);
        shard.handle_input(ms, id, &mut head("/sub/news", ""));
        heads += 1;
    }
    turn(&mut shard);
    effects(&mut shard);
    let mut new = successor(&shard, 1_500);
    effects(&mut new);
    let mut batch = Batch::default();
    for now_ms in (1_500..20_000).step_by(50) {
        for shard in [&mut shard, &mut new] {
            shard.begin_turn(now_ms, 0);
            shard.handle_timeout(now_ms);
            while shard.poll_batch(now_ms, &mut batch) {
                shard.handle_scattered(now_ms, &batch, &[]);
            }
            shard.end_turn();
            for effect in effects(shard) {
                if let Effect::Close(id) = effect {
                    shard.handle_closed(id);
                }
            }
        }
        assert_eq!(new.counters(), shard.counters(), "at {now_ms} ms");
    }
    let counters = new.counters();
    assert_eq!(
        (
            counters.refused_late,
            counters.closed_silent,
            counters.closed_slow
        ),
        (heads, heads, 1)
    );
    assert_eq!(new.residue(), Residue::default());
}

#[test]
fn users_and_limits_of_addresses_and_rates_are_as_before() {
    let mut config = Config::default();
    config.limits.connections_per_peer_max = 2;
    config.limits.messages_per_second_max = 3;
    let mut shard = shard(config);
    let publisher = accept(&mut shard, 0);
    shard.handle_input(0, publisher, &mut head("/pub/news", ""));
    let other = subscribe(&mut shard, "news");
    for (id, client) in [(publisher, "a"), (other, "b")] {
        shard.identify(id, "ann", client);
    }
    for _ in 0..3 {
        shard.handle_input(0, publisher, &mut text_frame("hello"));
    }
    turn(&mut shard);
    effects(&mut shard);
    let mut new = successor(&shard, 0);
    assert_eq!(new.counters(), shard.counters());
    assert_eq!(new.counters().users, 1);
    let meant = Addressee {
        client: Some("b".into()),
        ..Addressee::user("ann")
    };
    assert_eq!(new.users.find(&meant, |_| String::new()), [other]);
    new.handle_input(0, publisher, &mut text_frame("one too many"));
    assert_eq!(new.counters().closed_rate, 1);
    subscribe(&mut new, "news");
    assert_eq!(new.counters().refused_peer, 1);
}

#[test]
fn a_connection_that_has_heard_its_last_word_is_finished_and_does_not_linger_longer() {
    let mut config = Config::default();
    config.timeouts.linger_ms = 1_000;
    let mut shard = shard(config);
    let (slow, quick) = (subscribe(&mut shard, "news"), subscribe(&mut shard, "news"));
    turn(&mut shard);
    publish(&mut shard, "news");
    turn_with_full_sockets(&mut shard);
    shard.handle_writable(quick);
    turn(&mut shard);
    for id in [slow, quick] {
        assert!(shard.end(0, id, Reason::Shutdown));
    }
    turn(&mut shard);
    assert_eq!(effects(&mut shard).last(), Some(&Effect::Finish(quick)));
    let mut new = successor(&shard, 500);
    assert_eq!(new.residue(), shard.residue());
    effects(&mut new);
    new.handle_writable(slow);
    // What was published, and the last word.
    assert_eq!(turn(&mut new), [slow.slot, slow.slot]);
    assert!(effects(&mut new).contains(&Effect::Finish(slow)));
    new.handle_timeout(1_100);
    let closed = effects(&mut new);
    for id in [slow, quick] {
        assert!(closed.contains(&Effect::Close(id)));
        new.handle_closed(id);
    }
    assert_eq!(new.counters().closed, 2);
    assert_eq!(new.residue(), Residue::default());
}

#[test]
fn the_name_of_a_connection_that_was_being_closed_is_not_given_out_again() {
    let mut shard = shard(Config::default());
    let (gone, stays) = (subscribe(&mut shard, "news"), subscribe(&mut shard, "news"));
    turn(&mut shard);
    // Its socket is still with the driver when the shard is saved.
    shard.handle_end(0, gone);
    turn(&mut shard);
    effects(&mut shard);
    let mut new = successor(&shard, 0);
    assert_eq!((new.counters().connections, new.counters().closed), (1, 1));
    let next = subscribe(&mut new, "news");
    assert_eq!(next.slot, gone.slot);
    assert_ne!(next, gone);
    assert!(new.connections.table.get(stays).is_some());
}

#[test]
fn damaged_bytes_are_refused_and_never_a_panic() {
    let mut shard = shard(Config::default());
    for _ in 0..2 {
        subscribe_to(&mut shard, &["a", "b"]);
    }
    let publisher = accept(&mut shard, 0);
    shard.handle_input(0, publisher, &mut head("/pub/a", ""));
    let half = &text_frame("never whole")[..9];
    shard.handle_input(0, publisher, &mut half.to_vec());
    let late = accept(&mut shard, 0);
    shard.handle_input(0, late, &mut b"GET /su".to_vec());
    shard.identify(publisher, "ann", "a");
    turn(&mut shard);
    publish(&mut shard, "a");
    turn_with_full_sockets(&mut shard);
    effects(&mut shard);
    let bytes = postcard::to_allocvec(&shard.save()).expect("memory");
    assert!(restored(&shard, &bytes, 0).is_some());
    for len in 0..bytes.len() {
        assert!(
            restored(&shard, &bytes[..len], 0).is_none(),
            "of {len} bytes"
        );
    }
    // Whether a changed byte can be seen at all is for the checksum of the whole to say.
    for at in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            restored(&shard, &damaged, 0);
        }
    }
}
