//! What must hold for queues: each message has one consumer at a time, none is lost, and one that is
//! accepted never comes again.

use std::collections::HashSet;

use super::check::Map;
use super::check_topics::stompers;
use super::client::{self, Client, Quit};
use super::stomper::{Habit, Stomper};
use super::subscription::{Got, Mode, Subscription, To, Verdict};
use super::world::World;

/// A message by its queue, its publisher and its number there.
type Name = (usize, usize, u32);

/// A message as a consumer got it.
#[derive(Clone, Copy)]
struct Delivery<'a> {
    client: &'a Client,
    stomper: &'a Stomper,
    subscription: &'a Subscription,
    got: &'a Got,
}

/// What there was to be known of queues when a world had come to rest, before everybody left.
pub struct Rest {
    /// Clients that were still there.
    stayed: HashSet<usize>,
    /// Messages that those held and had not settled.
    held: HashSet<Name>,
    /// Queues with a consumer that takes whatever comes.
    served: HashSet<usize>,
    /// Whether there are consumers of which nobody knows what they hold.
    has_vanished: bool,
}

/// What has been delivered so far is right.
pub fn deliveries(world: &World) -> Result<(), String> {
    for (name, deliveries) in by_message(world)? {
        let fresh = deliveries.iter().filter(|d| !d.got.redelivered);
        if fresh.count() > 1 {
            return Err(format!(
                "message {name:?} came twice as if for the first time"
            ));
        }
        exclusive(name, &deliveries)?;
    }
    Ok(())
}

/// What is held, and by whom; nothing but what clients hold is unsettled.
pub fn rest(world: &World) -> Result<Rest, String> {
    let mut rest = Rest {
        stayed: HashSet::new(),
        held: HashSet::new(),
        served: HashSet::new(),
        has_vanished: false,
    };
    let mut held = 0;
    for (client, stomper) in stompers(world) {
        if client.has_quit == Some(Quit::Vanish) {
            rest.has_vanished = true;
        }
        if !client.is_open() || !client.speaks_stomp() {
            continue;
        }
        rest.stayed.insert(client.index);
        for subscription in &stomper.subscriptions {
            let (To::Queue(queue), None) = (subscription.to, subscription.ended) else {
                continue;
            };
            if subscription.mode == Mode::Auto || stomper.habit != Habit::Never {
                rest.served.insert(queue);
            }
            held += subscription.held();
            if subscription.mode != Mode::Auto {
                let unsettled = subscription.got.iter().filter(|got| got.settled.is_none());
                let names = unsettled.filter_map(|got| name(queue, got));
                rest.held.extend(names);
            }
        }
    }
    let shards = world.drivers.iter();
    let unsettled: u64 = shards.map(|d| d.shard.counters().queue_unsettled).sum();
    if unsettled < held as u64 || (unsettled > held as u64 && !rest.has_vanished) {
        return Err(format!(
            "consumers hold {held} messages, their queues believe {unsettled}"
        ));
    }
    Ok(rest)
}

/// When collectors have emptied the queues: each message whose sender has a receipt was accepted by
/// somebody, or discarded, or was still there; and what was accepted was not.
pub fn collected(world: &World, rest: &Rest) -> Result<(), String> {
    let all = by_message(world)?;
    let collectors = world.clients.len() - world.plan.queues;
    let mut lost = Vec::new();
    for (client, stomper) in stompers(world) {
        for sent in &stomper.sent {
            let To::Queue(queue) = sent.to else { continue };
            let name = (queue, sent.publisher, sent.number);
            let deliveries = all.get(&name).map_or(&[][..], |all| all);
            let (last, before): (Vec<_>, Vec<_>) = deliveries
                .iter()
                .partition(|d| d.client.index >= collectors);
            let is_accepted = before.iter().any(|d| has_accepted(d, rest));
            if is_accepted && !last.is_empty() {
                return Err(format!("message {name:?} was accepted and came again"));
            }
            let is_left = rest.served.contains(&queue) && !rest.held.contains(&name);
            if is_left
                && !rest.has_vanished
                && !last.is_empty()
                && rest.stayed.contains(&client.index)
            {
                return Err(format!("message {name:?} lay there, and a consumer waited"));
            }
            let may_be_gone = before.iter().any(|d| may_have_accepted(d));
            let is_confirmed = stomper.has_receipt(sent.receipt);
            if is_confirmed && last.is_empty() && !may_be_gone && !has_bin(world, queue, rest) {
                lost.push(name);
            }
        }
    }
    let shards = world.drivers.iter();
    let discarded: u64 = shards.map(|d| d.shard.counters().queue_discarded).sum();
    if lost.len() as u64 > discarded {
        return Err(format!(
            "messages {lost:?} are lost, and {discarded} were discarded"
        ));
    }
    Ok(())
}

/// All deliveries of queues' messages, those of a message in the order in which they were read.
fn by_message(world: &World) -> Result<Map<Name, Vec<Delivery<'_>>>, String> {
    let mut all: Map<Name, Vec<Delivery<'_>>> = Map::default();
    let mut names: Map<(usize, u64, u64), Name> = Map::default();
    let sent = all_sent(world);
    for (client, stomper) in stompers(world) {
        for subscription in &stomper.subscriptions {
            let To::Queue(queue) = subscription.to else {
                continue;
            };
            for got in &subscription.got {
                let Some(name) = name(queue, got).filter(|name| sent.contains_key(name)) else {
                    let text = String::from_utf8_lossy(&got.body);
                    return Err(format!("nobody has sent {text:.20} to queue {queue}"));
                };
                let position = (queue, got.epoch, got.offset);
                if *names.entry(position).or_insert(name) != name {
                    return Err(format!("two messages are {position:?}"));
                }
                all.entry(name).or_default().push(Delivery {
                    client,
                    stomper,
                    subscription,
                    got,
                });
            }
        }
    }
    for deliveries in all.values_mut() {
        deliveries.sort_by_key(|delivery| delivery.got.at);
    }
    Ok(all)
}

/// Of consumers that stay nobody gets what another holds or has accepted; what one has had before
/// comes as redelivered.
fn exclusive(name: Name, deliveries: &[Delivery<'_>]) -> Result<(), String> {
    let stays = |d: &&Delivery<'_>| d.client.is_open() && d.subscription.ended.is_none();
    let staying: Vec<_> = deliveries.iter().filter(stays).collect();
    for (later, delivery) in staying.iter().enumerate().skip(1) {
        if !delivery.got.redelivered {
            return Err(format!("message {name:?} came again as if it had not"));
        }
        for earlier in &staying[..later] {
            let has_returned = earlier
                .got
                .settled
                .is_some_and(|s| s.verdict == Verdict::Return && s.at < delivery.got.at);
            if !has_returned {
                return Err(format!(
                    "clients {} and {} both have message {name:?}",
                    earlier.client.index, delivery.client.index
                ));
            }
        }
    }
    Ok(())
}

/// Whether the queue must have heard that the message is accepted.
fn has_accepted(delivery: &Delivery<'_>, rest: &Rest) -> bool {
    if delivery.subscription.mode == Mode::Auto {
        return true;
    }
    // Who was slow when the others left may have been closed before it was heard.
    let was_slow = matches!(delivery.client.told, Some((1013, _)));
    let has_stayed = rest.stayed.contains(&delivery.client.index) && !was_slow;
    delivery.got.settled.is_some_and(|settled| {
        let is_heard = has_stayed || delivery.stomper.has_receipt(settled.receipt);
        settled.verdict == Verdict::Accept && is_heard
    })
}

/// Whether the queue may have heard that the message is accepted.
fn may_have_accepted(delivery: &Delivery<'_>) -> bool {
    let verdict = delivery.got.settled.map(|settled| settled.verdict);
    delivery.subscription.mode == Mode::Auto || verdict == Some(Verdict::Accept)
}

/// Whether a queue had a consumer that took messages without a word and may not have read them all.
fn has_bin(world: &World, queue: usize, rest: &Rest) -> bool {
    stompers(world).any(|(client, stomper)| {
        let took_leave = matches!(client.told, Some((1000, _))) && stomper.disconnect.is_some();
        // Who was slow when the others left has not read all that came to it then.
        let was_slow = matches!(client.told, Some((1013, _)));
        let has_stayed = rest.stayed.contains(&client.index) && !was_slow;
        let has_read = took_leave || has_stayed;
        let mut autos = stomper.subscriptions.iter();
        autos.any(|one| {
            let is_over = one.ended.is_some_and(|(_, r)| stomper.has_receipt(r));
            one.to == To::Queue(queue) && one.mode == Mode::Auto && !has_read && !is_over
        })
    })
}

fn name(queue: usize, got: &Got) -> Option<Name> {
    let (publisher, number) = client::parse_payload(&got.body)?;
    Some((queue, publisher, number))
}

/// All messages that were sent to queues, but for those of transactions that were aborted.
fn all_sent(world: &World) -> Map<Name, ()> {
    let all = stompers(world).flat_map(|(_, stomper)| &stomper.sent);
    let of_queues = all.filter_map(|sent| match sent.to {
        To::Queue(queue) => Some(((queue, sent.publisher, sent.number), ())),
        To::Topic(_) => None,
    });
    of_queues.collect()
}
