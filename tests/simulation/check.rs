//! What must hold when a world has come to rest.

use std::collections::HashMap;

use pushring::publication::Position;

use super::check_recovery;
use super::check_topics;
use super::client::{self, Client, Pace, Place, Quit, Role};
use super::keeping;
use super::stomper::ABORTED;
use super::world::{CONTROL, World};

/// As the library's, cheap to fill and the same in every run.
pub type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// One of a client's subscriptions, and what came of it.
struct Subscription<'a> {
    client: &'a Client,
    channel: usize,
    start: Option<u64>,
    received: Vec<&'a Vec<u8>>,
}

/// All subscriptions of a world; whose channel a publication is of says its publisher.
fn subscriptions(world: &World) -> impl Iterator<Item = Subscription<'_>> {
    let channel_of = |payload: &Vec<u8>| match client::parse_payload(payload) {
        Some((publisher, _)) if publisher >= CONTROL => Some(publisher - CONTROL),
        Some((publisher, _)) => world.clients.get(publisher).map(|client| client.channel),
        None => None,
    };
    world.clients.iter().flat_map(move |client| {
        client
            .channels()
            .enumerate()
            .map(move |(subscription, channel)| {
                // With one channel, whatever it got is taken for that channel's.
                let is_of = |payload: &&Vec<u8>| {
                    client.others.is_empty() || channel_of(payload) == Some(channel)
                };
                Subscription {
                    client,
                    channel,
                    start: keeping::start(
                        &world.plan.keepings,
                        &world.streams,
                        client,
                        subscription,
                    ),
                    received: client.received.iter().filter(is_of).collect(),
                }
            })
    })
}

/// No shard did, and no client was sent, what may not be.
pub fn faults(world: &World) -> Result<(), String> {
    for driver in &world.drivers {
        if let Some(fault) = &driver.fault {
            return Err(fault.clone());
        }
    }
    for client in &world.clients {
        if let Some(fault) = &client.fault {
            return Err(format!("client {} was sent {fault}", client.index));
        }
    }
    Ok(())
}

/// Everything that every client received is what it should have been.
pub fn deliveries(world: &World) -> Result<(), String> {
    faults(world)?;
    for client in &world.clients {
        if matches!(client.role, Role::Publisher(_)) && !client.received.is_empty() {
            return Err(format!("client {} got publications unasked", client.index));
        }
    }
    for channel in 0..world.plan.channels {
        let order = total_order(world, channel)?;
        publishers(world, channel, &order)?;
        check_topics::channel(world, channel, &order)?;
        calls(world, channel, &order)?;
        check_recovery::pace(world, channel, &order)?;
        check_recovery::patterns(world, channel, &order)?;
    }
    check_recovery::gaps(world)?;
    subscribers(world)
}

/// Owners know all subscriptions of their channels, where they are to, and no others.
pub fn presence(world: &World) -> Result<(), String> {
    if !world.plan.keepings.presence {
        return Ok(());
    }
    let shards = world.drivers.iter().map(|driver| driver.shard.residue());
    let (mut known, mut there) = (0, 0);
    for shard in shards {
        known += shard.members + shard.consumers;
        there += shard.subscriptions;
    }
    match known == there {
        true => Ok(()),
        false => Err(format!(
            "there are {there} subscriptions, and their owners know {known}"
        )),
    }
}

/// Every shard works with the newest settings; those that were asked for before a drain were taken over before it.
pub fn reloads(world: &World) -> Result<(), String> {
    match &world.reload_fault {
        Some(fault) => Err(fault.clone()),
        None => world.reloads.check(),
    }
}

/// A drain has ended: all connections are closed, and whoever read was told so, in time.
pub fn drained(world: &World) -> Result<(), String> {
    let drain_ms = world.plan.drain_ms.unwrap_or(0);
    for driver in &world.drivers {
        let Some(began_ms) = driver.drain_began_ms else {
            return Err("a shard was never told to drain".to_owned());
        };
        for index in driver.clients() {
            let client = &world.clients[index];
            if client.has_quit.is_none() && client.told.is_none() && client.was_let_in() {
                return Err(format!("client {index} was not told of the drain"));
            }
        }
        // Word of a drain stands behind other mail, of which some worlds take one letter a turn.
        let mail_ms = if world.plan.mail_a_turn == 1 { 400 } else { 0 };
        // Where a turn makes one or two sends, what goes before the close frames takes long.
        let has_few_sends = world.plan.config.fanout.sends_per_turn_max <= 2;
        let sending_ms = if has_few_sends { 400 } else { 0 };
        let late = world.clients.iter().find(|client| {
            let slack_ms = 300 + mail_ms + sending_ms + reading_ms(world, client);
            let late_ms = began_ms + drain_ms + slack_ms;
            std::ptr::eq(driver, &raw const world.drivers[client.shard])
                && is_plain(world, client)
                && client
                    .told
                    .is_some_and(|(code, at_ms)| code == 1001 && at_ms > late_ms)
        });
        if let Some(client) = late {
            return Err(format!(
                "client {} was told of the drain {} ms after its end",
                client.index,
                client.told.map_or(0, |(_, at_ms)| at_ms) - began_ms - drain_ms
            ));
        }
    }
    for client in &world.clients {
        let was_open = client.was_let_in() && client.place != Place::TurnedAway;
        if was_open
            && is_plain(world, client)
            && !may_be_cut_short(world, client)
            && !matches!(client.told, Some((1001 | 1013 | 4410, _)))
        {
            return Err(format!(
                "client {} saw {:?} instead of 1001",
                client.index, client.told
            ));
        }
    }
    flushed(world)
}

/// Who was told of a drain had got everything by then that was answered before the drain began.
fn flushed(world: &World) -> Result<(), String> {
    for subscription in subscriptions(world) {
        let client = subscription.client;
        let Some(start) = subscription.start.filter(|_| is_plain(world, client)) else {
            continue;
        };
        let answered = world.answered[subscription.channel];
        let got = start + subscription.received.len() as u64;
        if matches!(client.told, Some((1001, _))) && got < answered {
            return Err(format!(
                "client {} was told of the drain before publications {} to {answered}",
                client.index,
                got + 1
            ));
        }
    }
    check_topics::flushed(world)
}

/// How long a client may take to read all that its backlog can hold: a step in which it reads its
/// small socket empty takes 4 ms.
fn reading_ms(world: &World, client: &Client) -> u64 {
    let backlog = world.plan.config.slow_consumer.backlog_bytes_max + 10_000;
    4 * (backlog / client.socket.capacity) as u64
}

/// Whether a drain may end before the client has read what goes before the close frame.
fn may_be_cut_short(world: &World, client: &Client) -> bool {
    let linger_ms = world.plan.config.timeouts.linger_ms;
    world.plan.drain_ms.is_some() && reading_ms(world, client) > linger_ms
}

/// Whether nothing was done to the client and it did nothing that excuses a connection's end
/// without a word.
pub fn is_plain(world: &World, client: &Client) -> bool {
    !world.jumped
        && client.has_quit.is_none()
        && client.pace == Pace::Fast
        && !matches!(client.role, Role::Rogue(_))
}

/// Whether the one subscriber that sees everything was closed: by a drain, or taken for silent
/// because the clock jumped. Anything else that closes it is found by [`subscribers`].
pub fn may_have_holes(world: &World, channel: usize) -> bool {
    world
        .clients
        .iter()
        .any(|client| client.reference && client.channel == channel && !client.is_open())
}

/// The publications of a channel by offset, put together from what its subscribers saw.
fn total_order(world: &World, channel: usize) -> Result<Vec<Option<Vec<u8>>>, String> {
    let count = world.streams.logs[channel].len();
    let mut order: Vec<Option<Vec<u8>>> = vec![None; count as usize];
    for subscription in subscriptions(world).filter(|s| s.channel == channel) {
        let Subscription {
            client,
            start,
            received,
            ..
        } = subscription;
        if received.is_empty() {
            continue;
        }
        let Some(start) = start else {
            return Err(format!(
                "client {} got publications before its subscription",
                client.index
            ));
        };
        for (i, &payload) in received.iter().enumerate() {
            let about = (client.index, channel);
            place(&mut order, start as usize + i, payload, about)?;
        }
    }
    for (client, subscription) in check_topics::subscriptions(world, channel) {
        for got in subscription.got.iter().filter(|got| !got.is_gap) {
            let index = (got.offset as usize).wrapping_sub(1);
            place(&mut order, index, &got.body, (client.index, channel))?;
        }
    }
    if !may_have_holes(world, channel) && order.iter().any(Option::is_none) {
        return Err(format!("a publication of channel {channel} reached nobody"));
    }
    Ok(order)
}

/// Puts a publication where a client has seen it, and where no other has seen another.
fn place(
    order: &mut [Option<Vec<u8>>],
    index: usize,
    payload: &[u8],
    (client, channel): (usize, usize),
) -> Result<(), String> {
    let Some(place) = order.get_mut(index) else {
        return Err(format!("client {client} got more than was published"));
    };
    match place {
        None => *place = Some(payload.to_vec()),
        Some(other) if other == payload => {}
        Some(other) => {
            return Err(format!(
                "client {client} got {} where others got {} (channel {channel}, offset {})",
                shown(payload),
                shown(other),
                index + 1
            ));
        }
    }
    Ok(())
}

/// Each publisher's messages are in its own order, and all there if it was left in peace.
fn publishers(world: &World, channel: usize, order: &[Option<Vec<u8>>]) -> Result<(), String> {
    let publishes_all = world.plan.keepings.of(channel).publishes_all();
    let mut next: Map<usize, u32> = Map::default();
    let mut hole = false;
    for payload in order {
        let Some(payload) = payload else {
            hole = true;
            continue;
        };
        let Some((publisher, number)) = client::parse_payload(payload) else {
            return Err(format!("nobody published {}", shown(payload)));
        };
        if publisher >= ABORTED {
            return Err(format!("{} was published, and not sent", shown(payload)));
        }
        let expected = next.entry(publisher).or_default();
        if number < *expected || (number > *expected && !hole && publishes_all) {
            return Err(format!(
                "publisher {publisher}: number {number} came where {expected} was due"
            ));
        }
        *expected = number + 1;
    }
    if hole || may_have_holes(world, channel) || !publishes_all {
        return Ok(());
    }
    for client in world.clients.iter().filter(|c| c.channel == channel) {
        let published = next.get(&client.index).copied().unwrap_or(0);
        let total = match (client.role, &client.stomper) {
            (Role::Publisher(total), _) => Some(total),
            (_, stomper) => stomper.as_ref().map(|stomper| stomper.topic_messages),
        };
        if let Some(total) = total
            && client.is_open()
            && published != total
        {
            return Err(format!(
                "publisher {} sent {total} messages, {published} were published",
                client.index
            ));
        }
    }
    Ok(())
}

/// Every ticket has come back once, with the place that the publication really got, or a newer one that has replaced it.
fn calls(world: &World, channel: usize, order: &[Option<Vec<u8>>]) -> Result<(), String> {
    for (number, call) in world.calls.iter().enumerate() {
        if call.channel != channel {
            continue;
        }
        let [Ok(Position { offset, .. })] = call.answers[..] else {
            return Err(format!(
                "call {number} was answered with {:?}",
                call.answers
            ));
        };
        let may_be_replaced = !world.plan.keepings.of(channel).publishes_all();
        match order.get(offset as usize - 1) {
            Some(Some(payload)) if *payload == call.payload || may_be_replaced => {}
            Some(None) if may_have_holes(world, channel) => {}
            other => {
                return Err(format!(
                    "call {number} (publisher {}) was told offset {offset}, where {:?} is",
                    CONTROL + channel,
                    other.map(|payload| payload.as_deref().map(shown))
                ));
            }
        }
    }
    Ok(())
}

/// Who stayed has everything, and who has not was closed for a reason.
fn subscribers(world: &World) -> Result<(), String> {
    for client in &world.clients {
        let is_single = client.role == Role::Subscriber && client.pattern.is_none();
        if client.place == Place::Connected && is_single && client.is_open() {
            stayed(world, client)?;
        }
        let answered = client.status == Some(503) && world.plan.drain_ms.is_some();
        let excused = answered || may_be_cut_short(world, client);
        if is_plain(world, client) && client.saw_end && client.told.is_none() && !excused {
            return Err(format!(
                "client {} ({:?}, status {:?}) was dropped without a word",
                client.index, client.role, client.status
            ));
        }
        if let Some((code, _)) = client.told
            && client.has_quit != Some(Quit::Close)
            && !is_expected(world, client, code)
        {
            let error = client.stomper.as_ref().and_then(|s| s.error.as_deref());
            return Err(format!(
                "client {} was closed with {code}: {error:?}",
                client.index
            ));
        }
        if client.reference && client.told.is_some() && world.plan.drain_ms.is_none() {
            return Err(format!(
                "client {} was closed with {:?}",
                client.index, client.told
            ));
        }
    }
    Ok(())
}

/// Who stayed has everything of each of its channels, and nothing else.
fn stayed(world: &World, client: &Client) -> Result<(), String> {
    let mut all = 0;
    for subscription in subscriptions(world).filter(|s| std::ptr::eq(s.client, client)) {
        let channel = subscription.channel;
        let Some(start) = subscription.start else {
            return Err(format!("client {} was never subscribed", client.index));
        };
        let due = world.streams.logs[channel].len() - start;
        let got = subscription.received.len();
        if got as u64 != due {
            return Err(format!(
                "client {} stayed and got {got} of {due} publications of channel {channel}",
                client.index
            ));
        }
        all += got;
    }
    if all != client.received.len() {
        return Err(format!(
            "client {} got publications of channels that it is not on",
            client.index
        ));
    }
    Ok(())
}

/// Whether a client of that kind may be closed with that code.
fn is_expected(world: &World, client: &Client, code: u16) -> bool {
    match (client.role, code) {
        (_, 1001) => world.plan.drain_ms.is_some(),
        (Role::Rogue(_), _) => true,
        (Role::Stomp, 1000) => client.has_quit == Some(Quit::Disconnect),
        // CONNECT in time, the clock permitting.
        (Role::Stomp, 1002) => {
            let error = client.stomper.as_ref().and_then(|s| s.error.as_deref());
            world.jumped && error.is_some_and(|error| error.starts_with("no CONNECT within"))
        }
        (_, 1013) => !client.reference,
        // It has been looked at whether that is right.
        (Role::Subscriber, 4410) => client.since.is_some(),
        _ => false,
    }
}

fn shown(payload: &[u8]) -> String {
    let end = payload.len().min(20);
    String::from_utf8_lossy(&payload[..end]).into_owned()
}
