//! Who is in a world: a raw subscriber to each channel that sees everything, and others of all kinds.

use std::cell::Cell;
use std::rc::Rc;

use super::client::{Client, Pace, Pattern, Quit, Role};
use super::mischief::MISCHIEF;
use super::plan::Plan;
use super::rng::Rng;
use super::stomper::Stomper;

/// Clients of a world at the most; their peers' addresses end in their numbers.
const CLIENTS_MAX: usize = 60;

pub fn draw(plan: &Plan, clock: &Rc<Cell<u64>>, rng: &mut Rng) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..plan.channels)
        .map(|channel| {
            let shard = rng.below(plan.shards);
            let mut client = Client::new(channel, Role::Subscriber, channel, shard, 1 << 24);
            client.reference = true;
            client
        })
        .collect();
    for index in plan.channels..plan.channels + plan.clients {
        let role = if rng.chance(plan.client_misbehaves) {
            Role::Rogue(rng.pick(&MISCHIEF))
        } else if rng.chance(450) {
            Role::Stomp
        } else if rng.chance(300) {
            Role::Publisher(rng.within(1..=60) as u32)
        } else {
            Role::Subscriber
        };
        // Mostly large enough for the handshake's answer, as a real socket's always is.
        let capacity = rng.pick(&[150, 600, 4_000, 100_000]);
        let channel = rng.below(plan.channels);
        let shard = rng.below(plan.shards);
        let mut client = Client::new(index, role, channel, shard, capacity);
        client.offers_deflate = rng.chance(500);
        if role == Role::Stomp {
            let stomper = Stomper::draw(index, channel, plan, clock, rng);
            client.stomper = Some(Box::new(stomper));
        }
        if matches!(role, Role::Subscriber) && rng.chance(400) {
            let mut others: Vec<usize> = (0..plan.channels).filter(|&c| c != channel).collect();
            rng.shuffle(&mut others);
            others.truncate(rng.within(1..=3));
            client.add_channels(others);
        }
        client.wants_stream = role == Role::Subscriber && rng.chance(300);
        if role == Role::Subscriber && plan.keepings.wildcards && rng.chance(300) {
            client.add_channels(Vec::new());
            client.pattern = Some(Pattern {
                text: rng.pick(&["news.*", "news.>"]),
                after: Vec::new(),
                until: Vec::new(),
            });
        }
        client.connects_at = 1 + rng.below(plan.steps * 2 / 3);
        if rng.chance(plan.client_quits) {
            let at = rng.within(client.connects_at..=plan.steps);
            let quit = match role {
                Role::Rogue(_) => rng.pick(&[Quit::End, Quit::Reset, Quit::Vanish]),
                Role::Stomp => rng.pick(&[
                    Quit::Disconnect,
                    Quit::Disconnect,
                    Quit::Close,
                    Quit::End,
                    Quit::Reset,
                    Quit::Vanish,
                ]),
                // That the client of an event stream has vanished is found out by TCP alone, which resets.
                _ if client.wants_stream => rng.pick(&[Quit::End, Quit::Reset]),
                _ => rng.pick(&[Quit::Close, Quit::End, Quit::Reset, Quit::Vanish]),
            };
            client.quits = Some((at, quit));
        }
        if rng.chance(plan.client_slow) {
            client.pace = if rng.chance(500) {
                Pace::Slow(rng.pick(&[10, 100, 1_000]))
            } else {
                let from = rng.below(plan.steps);
                Pace::Stops(from, from + rng.within(1..=100))
            };
        }
        clients.push(client);
    }
    add_returns(&mut clients, plan, rng);
    clients
}

/// Subscribers to one channel come back, some of them several times; some are there for nothing else.
fn add_returns(clients: &mut Vec<Client>, plan: &Plan, rng: &mut Rng) {
    if plan.client_returns > 0 {
        for _ in 0..rng.below(6) {
            let (channel, shard) = (rng.below(plan.channels), rng.below(plan.shards));
            let mut client = Client::new(clients.len(), Role::Subscriber, channel, shard, 100_000);
            client.connects_at = 1 + rng.below(plan.steps / 3);
            let at = rng.within(client.connects_at..=plan.steps);
            client.quits = Some((at, rng.pick(&[Quit::End, Quit::Reset])));
            clients.push(client);
        }
    }
    for first in plan.channels..clients.len() {
        let mut before = first;
        while clients.len() < CLIENTS_MAX && rng.chance(plan.client_returns) {
            let Client {
                role,
                channel,
                connects_at,
                ..
            } = clients[before];
            let is_alone = clients[before].others.is_empty() && clients[before].pattern.is_none();
            if role != Role::Subscriber || !is_alone || connects_at > plan.steps {
                break;
            }
            let capacity = rng.pick(&[150, 600, 4_000, 100_000]);
            let shard = rng.below(plan.shards);
            let mut client = Client::new(clients.len(), role, channel, shard, capacity);
            client.follows = Some(before);
            client.offers_deflate = rng.chance(500);
            client.wants_stream = rng.chance(300);
            // The last come when all is published.
            client.connects_at = rng.within(connects_at + 1..=plan.steps + 1);
            if rng.chance(plan.client_quits) && client.connects_at <= plan.steps {
                let at = rng.within(client.connects_at..=plan.steps);
                client.quits = Some((at, rng.pick(&[Quit::End, Quit::Reset])));
            }
            before = clients.len();
            clients.push(client);
        }
    }
}
