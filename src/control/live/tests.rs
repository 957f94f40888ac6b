use super::snapshot::{Counted, Figures, Rates};
use super::*;
use crate::metrics::{Counters, ShardMetrics};

fn text(bytes: Option<Bytes>) -> String {
    String::from_utf8(bytes.expect("something").to_vec()).expect("UTF-8")
}

fn empty() -> Snapshot {
    let json = include_str!("example.json");
    serde_json::from_str(json).expect("a snapshot")
}

#[test]
fn a_reader_is_greeted_and_gets_whole_snapshots_with_ids_that_count_up() {
    let live = Live::new();
    let (mut reader, is_first) = live.join().expect("room");
    assert!(is_first);
    assert!(live.hand_out(&empty()));
    assert!(live.hand_out(&empty()));
    let greeting = text(reader.try_recv().ok());
    assert!(greeting.starts_with(": pushring"), "{greeting}");
    assert!(greeting.ends_with("\n\nretry: 2000\n\n"), "{greeting}");
    for number in 1..=2 {
        let event = text(reader.try_recv().ok());
        let mut lines = event.lines();
        let id = lines.next().and_then(|line| line.strip_prefix("id: "));
        let position = id.and_then(sse::parse_id).expect("an id");
        assert_eq!((position.epoch, position.offset), (live.epoch, number));
        let json = lines.next().and_then(|line| line.strip_prefix("data: "));
        let snapshot: Snapshot = serde_json::from_str(json.expect("data")).expect("a snapshot");
        assert_eq!(snapshot, empty());
        assert_eq!(lines.collect::<Vec<_>>(), [""]);
    }
}

#[test]
fn collecting_begins_with_the_first_reader_and_ends_with_the_last() {
    let live = Live::new();
    let (first, is_first) = live.join().expect("room");
    let (mut second, is_second_first) = live.join().expect("room");
    assert!(is_first && !is_second_first);
    drop(first);
    assert!(live.hand_out(&empty()));
    let (mut third, _) = live.join().expect("room");
    for reader in [&mut second, &mut third] {
        assert!(text(reader.try_recv().ok()).starts_with(':'));
        assert!(
            text(reader.try_recv().ok()).starts_with("id:"),
            "the newest at once"
        );
    }
    drop((second, third));
    assert!(!live.hand_out(&empty()), "nobody reads");
    let (mut again, is_first) = live.join().expect("room");
    assert!(is_first);
    assert!(text(again.try_recv().ok()).starts_with(':'));
    assert!(
        again.try_recv().is_err(),
        "what was known before is of no use"
    );
}

#[test]
fn ended_streams_say_what_they_had_to_say_and_are_over() {
    let live = Live::new();
    let (mut reader, _) = live.join().expect("room");
    live.end();
    assert!(reader.try_recv().is_ok());
    assert_eq!(
        reader.try_recv(),
        Err(mpsc::error::TryRecvError::Disconnected)
    );
    let (_back, is_first) = live.join().expect("room");
    assert!(!is_first, "it is still collected");
    assert!(live.hand_out(&empty()));
}

#[test]
fn a_reader_that_does_not_read_holds_nothing_up_and_keeps_little() {
    let live = Live::new();
    let (mut slow, _) = live.join().expect("room");
    (0..100).for_each(|_| assert!(live.hand_out(&empty())));
    let mut kept = 0;
    while slow.try_recv().is_ok() {
        kept += 1;
    }
    assert_eq!(kept, WAITING_MAX + 2);
}

#[test]
fn there_is_room_for_so_many_readers_and_again_when_one_goes() {
    let live = Live::new();
    let mut readers: Vec<_> = (0..READERS_MAX)
        .map(|_| live.join().expect("room"))
        .collect();
    assert!(live.join().is_none());
    readers.pop();
    assert!(live.join().is_some());
}

fn counted(deliveries: u64, turn_ns: u64, turns: &[u64]) -> Counted {
    let metrics = ShardMetrics::default();
    turns.iter().for_each(|&turn_us| metrics.note_turn(turn_us));
    let counters = Counters {
        deliveries,
        turn_ns,
        conflated: 1,
        dropped: 2,
        ..Counters::default()
    };
    metrics.publish(&counters);
    Counted {
        counters: metrics.counters(),
        turns: metrics.turns(),
    }
}

#[test]
fn rates_are_what_lies_between_two_looks_a_second() {
    let before = counted(1_000, 0, &[1; 50]);
    let mut turns = vec![1; 50];
    turns.extend([100; 90]);
    turns.extend([4_000; 10]);
    let after = counted(4_000, 500_000_000, &turns);
    let rates = Rates::between(&before, &after, 2_000, 1);
    assert_eq!(rates.deliveries, 1_500.0);
    assert_eq!(rates.busy, 0.25);
    assert_eq!(rates.turn_p50_us, Some(100));
    assert_eq!(rates.turn_p99_us, Some(4_000));
    assert_eq!((rates.dropped, rates.publications), (0.0, 0.0));
    let idle = Rates::between(&after, &after, 1_000, 1);
    assert_eq!(
        (idle.deliveries, idle.busy, idle.turn_p99_us),
        (0.0, 0.0, None)
    );
}

#[test]
fn the_sum_of_shards_has_all_their_numbers_and_turns() {
    let one = counted(10, 1_000, &[5, 5]);
    let other = counted(5, 3_000, &[5, 900]);
    let sum = Counted::sum(&[one, other]);
    let figures = Figures::of(&sum);
    assert_eq!((figures.deliveries, figures.dropped), (15, 6));
    assert_eq!(sum.turns.iter().sum::<u64>(), 4);
    let nothing = counted(0, 0, &[]);
    let rates = Rates::between(&nothing, &sum, 1_000, 2);
    assert_eq!(
        (rates.turn_p50_us, rates.turn_max_us),
        (Some(5), Some(1_000))
    );
}
