//! What must hold of what channels keep when a world has come to rest: of gaps, of what is published only so often, and of
//! subscriptions to many channels.

use std::collections::HashMap;

use super::check::may_have_holes;
use super::client::{Client, Pattern, Role};
use super::keeping::Due;
use super::world::World;

/// Who has asked for what it had missed was told of a gap where it is gone, and nowhere else.
pub fn gaps(world: &World) -> Result<(), String> {
    for (client, due) in returned(world) {
        let told = match client.told {
            Some((4410, _)) => true,
            _ => client.gap.is_some(),
        };
        let about = |what: &str| {
            let (since, began) = (client.since, client.began[0]);
            Err(format!(
                "client {} {what}: {since:?} at {began:?}",
                client.index
            ))
        };
        match due {
            Due::Behind(_) if told => return about("was told of a gap"),
            Due::Gap if !told && client.is_open() => return about("was told of no gap"),
            Due::Gap if !client.wants_stream && !client.received.is_empty() => {
                return about("got something in place of a gap");
            }
            Due::Gap
                if client.gap.is_some()
                    && client.gap != client.began[0].map(|began| began.position) =>
            {
                return about("was told another place");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Raw subscribers and event streams that have said where they stood, and what they were to get.
pub fn returned(world: &World) -> impl Iterator<Item = (&Client, Due)> {
    let clients = world.clients.iter().filter(|client| {
        client.role == Role::Subscriber && client.since.is_some() && client.was_let_in()
    });
    clients.filter_map(|client| {
        let log = &world.streams.logs[client.channel];
        let keeping = world.plan.keepings.of(client.channel);
        Some((client, keeping.due(log, client.began[0]?, client.since)))
    })
}

/// Nothing was published too early, and the newest message in the end.
pub fn pace(world: &World, channel: usize, order: &[Option<Vec<u8>>]) -> Result<(), String> {
    let log = &world.streams.logs[channel];
    let every_ms = world.plan.keepings.of(channel).every_ms;
    if let Some(place) = log.too_early(every_ms) {
        return Err(format!(
            "publication {} of channel {channel} came too early",
            place + 2
        ));
    }
    match (&log.newest, order.last()) {
        (Some(newest), Some(Some(last))) if newest != last => Err(format!(
            "the newest message of channel {channel} is not its last"
        )),
        _ => Ok(()),
    }
}

/// Who is subscribed to a pattern has all of each channel that it fits, from somewhere about its beginning on.
pub fn patterns(world: &World, channel: usize, order: &[Option<Vec<u8>>]) -> Result<(), String> {
    let places: HashMap<&[u8], u64> = order
        .iter()
        .zip(0..)
        .filter_map(|(payload, place)| Some((payload.as_deref()?, place)))
        .collect();
    for client in &world.clients {
        if let Some(pattern) = &client.pattern {
            let all = client.received.iter();
            let got: Vec<u64> = all
                .filter_map(|payload| places.get(&payload[..]).copied())
                .collect();
            of_pattern(world, channel, client, pattern, &got)?;
        }
    }
    Ok(())
}

/// The same of one subscriber: which of a channel's publications it has got, by their places from 0 on.
fn of_pattern(
    world: &World,
    channel: usize,
    client: &Client,
    pattern: &Pattern,
    got: &[u64],
) -> Result<(), String> {
    let about = |what: &str| {
        Err(format!(
            "client {} {what} of channel {channel}",
            client.index
        ))
    };
    if !world.plan.keepings.reaches(channel) {
        return match got.is_empty() {
            true => Ok(()),
            false => about("has publications by a pattern that does not reach those"),
        };
    }
    // Where nobody knows all publications, those that it has got may be missing from them.
    if may_have_holes(world, channel) {
        return Ok(());
    }
    if got.windows(2).any(|pair| pair[0] + 1 != pair[1]) {
        return about("has a gap or a repeat");
    }
    let published = world.streams.logs[channel].len();
    // What it is to get at least begins there.
    let until = pattern.until.get(channel).copied();
    match (got.first(), until) {
        (Some(_), None) => return about("has something before its subscription"),
        (Some(&first), Some(until)) if !(pattern.after[channel]..=until).contains(&first) => {
            return about("has begun at another place");
        }
        _ => {}
    }
    let all = got.last().map_or(until, |last| Some(last + 1));
    match all {
        Some(all) if client.is_open() && all < published => about("lacks the last publications"),
        None if client.is_open() => about("was never subscribed to those"),
        _ => Ok(()),
    }
}
