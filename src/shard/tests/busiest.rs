//! Which channels are the busiest, and how they are.

use super::*;
use crate::shard::mail::{Look, Survey, Surveyed};

/// The control thread, the peer behind the only shard.
const CONTROL: usize = 1;

fn ask(shard: &mut Shard, survey: Survey) -> Surveyed {
    let ticket = Ticket {
        asker: 7,
        subscription: 0,
    };
    let survey = Box::new(survey);
    shard.handle_request(0, CONTROL, Request::Survey { ticket, survey });
    match shard.poll_delivery(CONTROL) {
        Some(Delivery::Surveyed { answer, .. }) => *answer,
        other => panic!("no answer to a survey: {other:?}"),
    }
}

type Named<N> = Vec<(String, N)>;

fn busiest(shard: &mut Shard, channels_max: usize) -> (Named<u64>, Named<usize>) {
    fn named<N>(all: Vec<(ChannelName, N)>) -> Named<N> {
        all.into_iter()
            .map(|(channel, number)| (channel.to_string(), number))
            .collect()
    }
    match ask(shard, Survey::Busiest { channels_max }) {
        Surveyed::Busiest {
            published,
            subscribed,
        } => (named(published), named(subscribed)),
        other => panic!("not the busiest: {other:?}"),
    }
}

fn of<N: Copy>(all: &[(&str, N)]) -> Named<N> {
    all.iter()
        .map(|(channel, number)| ((*channel).to_owned(), *number))
        .collect()
}

fn look(shard: &mut Shard, channels: &[&str]) -> Vec<Look> {
    let channels = channels
        .iter()
        .map(|name| ChannelName::parse(name).expect("a short name"));
    match ask(shard, Survey::Looks(channels.collect())) {
        Surveyed::Looks { shard: 0, looks } => looks,
        other => panic!("no looks: {other:?}"),
    }
}

#[test]
fn the_busiest_channels_are_those_with_the_most_since_the_last_time_and_with_the_most_subscribers()
{
    let mut shard = shard(Config::default());
    for (channel, subscribers) in [("a", 1), ("b", 3), ("c", 2)] {
        (0..subscribers).for_each(|_| _ = subscribe(&mut shard, channel));
    }
    for (channel, publications) in [("a", 5), ("c", 2), ("d", 9), ("e", 2)] {
        (0..publications).for_each(|_| publish(&mut shard, channel));
    }
    let (published, subscribed) = busiest(&mut shard, 10);
    assert_eq!(published, of(&[("d", 9), ("a", 5), ("c", 2), ("e", 2)]));
    assert_eq!(subscribed, of(&[("b", 3), ("c", 2), ("a", 1)]));
    publish(&mut shard, "e");
    assert_eq!(
        busiest(&mut shard, 10).0,
        of(&[("e", 1)]),
        "since the last time"
    );
    assert_eq!(busiest(&mut shard, 10).0, of(&[]));
    publish(&mut shard, "a");
    publish(&mut shard, "b");
    publish(&mut shard, "b");
    let (published, subscribed) = busiest(&mut shard, 1);
    assert_eq!((published, subscribed), (of(&[("b", 2)]), of(&[("b", 3)])));
}

#[test]
fn what_is_said_to_single_users_is_not_among_the_busiest() {
    let mut shard = shard(Config::default());
    let request = Request::Publish {
        channel: ChannelName::of_user("ann", "mail").expect("a short name"),
        draft: Draft::new(Kind::Text, Bytes::from_static(b"hello")),
        ticket: None,
    };
    shard.handle_request(0, 0, request);
    assert_eq!(busiest(&mut shard, 10), (of(&[]), of(&[])));
}

#[test]
fn a_look_says_where_a_channel_stands_and_which_of_its_subscribers_are_behind() {
    let mut shard = shard(Config::default());
    let slow = subscribe_to(&mut shard, &["news", "other"]);
    subscribe(&mut shard, "news");
    turn(&mut shard);
    publish(&mut shard, "news");
    let looks = look(&mut shard, &["other", "nobody's", "news"]);
    assert_eq!(
        looks
            .iter()
            .map(|look| look.subscribers)
            .collect::<Vec<_>>(),
        [1, 0, 2]
    );
    assert!(looks.iter().all(|look| look.behind == 0));
    assert_eq!(looks[1], Look::default());
    assert_eq!(looks[2].position.map(|position| position.offset), Some(1));

    let mut batch = Batch::default();
    shard.begin_turn(0, 0);
    while shard.poll_batch(0, &mut batch) {
        let is_slow = |((slot, _), send): ((u32, &[u8]), u32)| (slot == slow.slot).then_some(send);
        let exceptions = batch.iter().zip(0..).filter_map(is_slow);
        let exceptions: Vec<_> = exceptions
            .map(|send| Exception { send, result: -11 })
            .collect();
        shard.handle_scattered(0, &batch, &exceptions);
    }
    shard.end_turn();
    let looks = look(&mut shard, &["news", "other"]);
    assert_eq!(
        looks.iter().map(|look| look.behind).collect::<Vec<_>>(),
        [1, 1]
    );
    shard.handle_writable(slow);
    turn(&mut shard);
    assert_eq!(look(&mut shard, &["news"])[0].behind, 0, "it has caught up");
}
