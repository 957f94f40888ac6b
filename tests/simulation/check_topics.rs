//! What must hold for STOMP clients when a world has come to rest: of topics and of receipts.

use super::check::{Map, is_plain, may_have_holes};
use super::client::{self, Client, Quit};
use super::keeping::{Began, Due, Since};
use super::stomper::{Habit, Stomper};
use super::subscription::{Mode, Subscription, To};
use super::world::World;

/// All STOMP clients of a world.
pub fn stompers(world: &World) -> impl Iterator<Item = (&Client, &Stomper)> {
    let clients = world.clients.iter();
    clients.filter_map(|client| Some((client, client.stomper.as_deref()?)))
}

/// The STOMP subscriptions to a channel.
pub fn subscriptions(
    world: &World,
    channel: usize,
) -> impl Iterator<Item = (&Client, &Subscription)> {
    stompers(world)
        .flat_map(|(client, stomper)| stomper.subscriptions.iter().map(move |s| (client, s)))
        .filter(move |(_, subscription)| subscription.to == To::Topic(channel))
}

/// What STOMP clients had to do with a channel, of which that is all that was published.
pub fn channel(world: &World, channel: usize, order: &[Option<Vec<u8>>]) -> Result<(), String> {
    for (client, subscription) in subscriptions(world, channel) {
        began_in_time(world, channel, client, subscription)?;
        if client.is_open() && client.speaks_stomp() && subscription.ended.is_none() {
            stayed(world, channel, client, subscription)?;
        }
    }
    // Where the newest alone is published, nobody may get it.
    if may_have_holes(world, channel) || !world.plan.keepings.of(channel).publishes_all() {
        return Ok(());
    }
    let payloads = order.iter().flatten();
    let published: Map<_, ()> = payloads
        .filter_map(|payload| Some((client::parse_payload(payload)?, ())))
        .collect();
    for (client, stomper) in stompers(world) {
        for sent in stomper.sent.iter().filter(|s| s.to == To::Topic(channel)) {
            let is_published = published.contains_key(&(sent.publisher, sent.number));
            if stomper.has_receipt(sent.receipt) && !is_published {
                return Err(format!(
                    "client {} has a receipt for message {}, which nobody got",
                    client.index, sent.number
                ));
            }
        }
    }
    Ok(())
}

/// Who stays has all its receipts, and who takes its leave is told so.
pub fn receipts(world: &World) -> Result<(), String> {
    for (client, stomper) in stompers(world) {
        let missing = stomper.receipts.iter().position(Option::is_none);
        if client.is_open()
            && client.speaks_stomp()
            && let Some(missing) = missing
        {
            return Err(format!(
                "client {} never got receipt r{missing}",
                client.index
            ));
        }
        if client.has_quit != Some(Quit::Disconnect) || stomper.disconnect.is_none() {
            continue;
        }
        match client.told {
            Some((1000, _)) if missing.is_some() => {
                return Err(format!(
                    "client {} was let go without receipts",
                    client.index
                ));
            }
            None if !client.saw_end => {
                return Err(format!("client {} is not let go", client.index));
            }
            _ => {}
        }
    }
    for (client, stomper) in stompers(world) {
        let is_silent = !stomper.connected && client.is_open();
        if is_silent && is_plain(world, client) {
            return Err(format!("client {} was never CONNECTED", client.index));
        }
    }
    Ok(())
}

/// Who was told of a drain had got everything by then that was answered before the drain began, but
/// for what its window had no room for.
pub fn flushed(world: &World) -> Result<(), String> {
    for channel in 0..world.plan.channels {
        for (client, subscription) in subscriptions(world, channel) {
            let told = matches!(client.told, Some((1001, _))) && is_plain(world, client);
            // An ACK may have come too late to make room for anything.
            let acknowledges = subscription.mode != Mode::Auto
                && (client.stomper.as_ref()).is_some_and(|s| s.habit != Habit::Never);
            let Some((_, start)) = subscription.start.filter(|_| told && !acknowledges) else {
                continue;
            };
            let last = subscription.got.last().map_or(start, |got| got.offset);
            let answered = world.answered[channel];
            if last < answered && subscription.ended.is_none() && !subscription.is_full() {
                return Err(format!(
                    "client {} was told of the drain before publications {} to {answered}",
                    client.index,
                    last + 1
                ));
            }
        }
    }
    Ok(())
}

/// The first publication is the first one that there was behind the subscription's begin, or the first that was missed, or
/// a gap where that is gone.
fn began_in_time(
    world: &World,
    channel: usize,
    client: &Client,
    subscription: &Subscription,
) -> Result<(), String> {
    let Some(first) = subscription.got.first() else {
        return Ok(());
    };
    let is_right = |position: &u64| match due(world, channel, subscription, *position) {
        Due::Behind(start) => !first.is_gap && first.offset == start + 1,
        Due::Gap => first.is_gap && first.offset == *position,
    };
    // Its own publications may have come with it.
    match subscription.start {
        Some((from, to)) if (from..=to).any(|position| is_right(&position)) => Ok(()),
        start => Err(format!(
            "client {} got {}{} first, and began behind {start:?}, asking for {:?}",
            client.index,
            if first.is_gap { "a gap at " } else { "" },
            first.offset,
            subscription.since
        )),
    }
}

/// What a subscription is to get that began at that place.
fn due(world: &World, channel: usize, subscription: &Subscription, position: u64) -> Due {
    let began = Began {
        position,
        at_ms: subscription.began_ms,
    };
    let since = subscription.since.map(|offset| Since {
        offset,
        epoch: None,
        is_of_another: false,
    });
    let log = &world.streams.logs[channel];
    world.plan.keepings.of(channel).due(log, began, since)
}

/// Who stayed has everything, but for what its window has no room for.
fn stayed(
    world: &World,
    channel: usize,
    client: &Client,
    subscription: &Subscription,
) -> Result<(), String> {
    let Some((_, position)) = subscription.start else {
        return Err(format!("client {} was never subscribed", client.index));
    };
    let published = world.streams.logs[channel].len();
    let last = match (
        subscription.got.last(),
        due(world, channel, subscription, position),
    ) {
        (Some(got), _) => got.offset,
        (None, Due::Behind(start)) => start,
        (None, Due::Gap) => {
            return Err(format!("client {} was told of no gap", client.index));
        }
    };
    if last != published && !subscription.is_full() {
        return Err(format!(
            "client {} stayed and got publications up to {last} of {published} of {:?}",
            client.index, subscription.to
        ));
    }
    Ok(())
}
