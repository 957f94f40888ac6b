//! Several shards and the mailboxes between them in a seeded world: short sends, full sockets,
//! resets, half frames, slow and vanished peers, full mailboxes, jumps of the clock; raw clients, those
//! of event streams and those of STOMP, of which some acknowledge late, never, or give messages of queues back;
//! live upgrades at any moment, some of which are given up.
//!
//! A seed repeats its world exactly. `PUSHRING_SIM_SEEDS` says how many are run (1,000), and
//! `PUSHRING_SIM_SEED` names the one to be repeated.

#![forbid(unsafe_code)]

#[path = "../src/ws/deflate/tests/naive.rs"]
mod inflate;

mod simulation {
    pub mod cast;
    pub mod check;
    pub mod check_queues;
    pub mod check_recovery;
    pub mod check_topics;
    pub mod client;
    pub mod damage;
    pub mod driver;
    pub mod event_stream;
    pub mod frame;
    pub mod keeping;
    pub mod mail;
    pub mod mischief;
    pub mod plan;
    pub mod post;
    pub mod reloads;
    pub mod rng;
    pub mod saying;
    pub mod socket;
    pub mod stomper;
    pub mod subscription;
    pub mod upgrade;
    pub mod wire;
    pub mod world;
}

use std::panic::{AssertUnwindSafe, catch_unwind};

use pushring::metrics::Counters;
use simulation::check;
use simulation::check_queues;
use simulation::check_recovery;
use simulation::check_topics;
use simulation::keeping::Due;
use simulation::plan::{Plan, Sabotage};
use simulation::rng::Rng;
use simulation::world::World;

/// What has been met with, over all seeds.
#[derive(Default)]
struct Met {
    sabotaged: u64,
    mailboxes_full: u64,
    /// Messages of queues that went from shard to shard, that came for somebody who was behind, that
    /// clients got for another time, and with which a window was full.
    handed: u64,
    handed_behind: u64,
    redelivered: u64,
    windows_filled: u64,
    receipts: u64,
    disconnects: u64,
    /// Clients that got what they had missed, or were told that it is gone.
    recoveries: u64,
    stream_recoveries: u64,
    stomp_recoveries: u64,
    gaps: u64,
    stream_gaps: u64,
    stomp_gaps: u64,
    held: u64,
    by_pattern: u64,
    reloads: u64,
    /// Processes that took over from others, such that did not after all, and connections with a backlog that were handed on.
    upgrades: u64,
    upgrades_given_up: u64,
    upgraded_behind: u64,
    /// Event streams that were too slow, and that were told of a drain.
    streams_slow: u64,
    streams_drained: u64,
    counters: Counters,
}

#[test]
fn no_seed_finds_a_loss_a_repeat_a_wrong_order_or_a_leak() {
    let seeds = match number("PUSHRING_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PUSHRING_SIM_SEEDS").unwrap_or(1_000),
    };
    let mut met = Met::default();
    let mut failures = Vec::new();
    for seed in seeds.clone() {
        if let Err(fault) = run(seed, None, &mut met) {
            eprintln!("{fault}\n  PUSHRING_SIM_SEED={seed} cargo test --test simulation");
            failures.push(seed);
        }
        if failures.len() == 10 {
            break;
        }
    }
    assert!(
        failures.is_empty(),
        "seeds {failures:?} have failed; see above how to repeat each"
    );
    if seeds.end - seeds.start >= 300 {
        all_kinds_of_trouble_were_met(&met);
    }
}

/// Checks that see nothing wrong prove nothing where nothing has gone wrong.
fn all_kinds_of_trouble_were_met(met: &Met) {
    let c = &met.counters;
    for (what, times) in [
        ("full mailboxes", met.mailboxes_full),
        ("paused publishers", c.publisher_pauses),
        ("short sends", c.exceptions_short),
        ("full sockets", c.exceptions_full),
        ("dead peers", c.exceptions_dead),
        ("slow consumers", c.closed_slow),
        ("silent peers", c.closed_silent),
        ("late heads", c.refused_late),
        ("bad requests", c.refused_request),
        ("bad frames", c.closed_protocol),
        ("drains", c.closed_drain),
        ("reloads", met.reloads),
        ("upgrades", met.upgrades),
        ("upgrades that were given up", met.upgrades_given_up),
        ("slow connections that were handed on", met.upgraded_behind),
        ("pings", c.pings),
        ("event streams", c.event_streams),
        ("comments on idle event streams", c.keep_alives),
        ("event streams that were too slow", met.streams_slow),
        (
            "event streams that were told of a drain",
            met.streams_drained,
        ),
        ("deliveries", c.deliveries),
        ("merged sends", c.merged),
        ("compressed publications", c.compressions),
        ("compressed messages of clients", c.decompressions),
        ("messages of queues", c.queued),
        ("consumers on another shard than their queue", met.handed),
        ("messages for consumers that were behind", met.handed_behind),
        ("redeliveries", met.redelivered),
        ("discarded messages", c.queue_discarded),
        ("full windows", met.windows_filled),
        ("receipts", met.receipts),
        ("windows that were waited for too long", c.closed_window),
        ("full queues", c.publications_refused_queue),
        ("refused consumers", c.subscriptions_refused),
        ("orderly disconnects", met.disconnects),
        ("recoveries of WebSockets", met.recoveries),
        ("recoveries of event streams", met.stream_recoveries),
        ("recoveries of STOMP subscriptions", met.stomp_recoveries),
        ("gaps of WebSockets", met.gaps),
        ("gaps of event streams", met.stream_gaps),
        ("gaps of STOMP subscriptions", met.stomp_gaps),
        ("publications that were held back", met.held),
        ("publications by a pattern", met.by_pattern),
    ] {
        println!("{what}: {times}");
        assert!(times > 0, "no seed met with {what}");
    }
}

fn objections(sabotage: Sabotage, wanted: &str) {
    let mut struck = 0;
    let mut objected = 0;
    for seed in 0..300 {
        let mut met = Met::default();
        let result = run(seed, Some(sabotage), &mut met);
        if met.sabotaged == 0 {
            assert!(result.is_ok(), "seed {seed}, left in peace: {result:?}");
            continue;
        }
        struck += 1;
        if let Err(fault) = result {
            objected += 1;
            println!("seed {seed}: {fault}");
        }
        if struck >= 10 && objected >= 5 {
            break;
        }
    }
    assert!(struck >= 10, "{wanted}: only {struck} worlds were struck");
    assert!(
        objected > 0,
        "{wanted}: {struck} worlds were struck and no check has seen it"
    );
    println!("{wanted}: {struck} worlds struck, {objected} objections");
}

#[test]
fn a_lost_delivery_is_seen() {
    objections(Sabotage::DropDelivery, "a lost delivery");
}

#[test]
fn a_repeated_delivery_is_seen() {
    objections(Sabotage::RepeatDelivery, "a repeated delivery");
}

#[test]
fn two_deliveries_in_the_wrong_order_are_seen() {
    objections(Sabotage::SwapDeliveries, "a wrong order");
}

#[test]
fn a_wrong_count_of_sent_bytes_is_seen() {
    objections(Sabotage::InflateShortSend, "a wrong count");
}

#[test]
fn a_full_socket_that_is_not_reported_is_seen() {
    objections(Sabotage::HideFullSocket, "a hidden exception");
}

#[test]
fn a_second_answer_is_seen() {
    objections(Sabotage::RepeatAnswer, "a second answer");
}

#[test]
fn a_lost_answer_is_seen() {
    objections(Sabotage::DropAnswer, "a lost answer");
}

#[test]
fn a_lost_message_of_a_queue_is_seen() {
    objections(Sabotage::DropHanded, "a lost message of a queue");
}

#[test]
fn a_repeated_message_of_a_queue_is_seen() {
    objections(Sabotage::RepeatHanded, "a repeated message of a queue");
}

#[test]
fn messages_of_a_queue_in_the_wrong_order_are_seen() {
    objections(Sabotage::SwapHanded, "a queue's wrong order");
}

#[test]
fn a_lost_acknowledgement_is_seen() {
    objections(Sabotage::DropSettle, "a lost acknowledgement");
}

#[test]
fn a_publication_that_lacks_in_what_was_missed_is_seen() {
    objections(Sabotage::DropRecovered, "a lost publication of the past");
}

#[test]
fn a_publication_that_is_recovered_twice_is_seen() {
    objections(
        Sabotage::RepeatRecovered,
        "a repeated publication of the past",
    );
}

#[test]
fn a_gap_where_there_is_none_is_seen() {
    objections(Sabotage::ForgeGap, "a forged gap");
}

#[test]
fn a_gap_that_nobody_is_told_of_is_seen() {
    objections(Sabotage::HideGap, "a hidden gap");
}

#[test]
fn a_slot_that_leaks_is_seen() {
    objections(Sabotage::ForgetClosed, "a leak");
}

#[test]
fn mail_that_waits_for_ever_is_seen() {
    objections(Sabotage::ForgetRoom, "mail that waits");
}

#[test]
fn a_slow_connection_that_is_never_resumed_is_seen() {
    objections(Sabotage::ForgetWritable, "a connection that waits");
}

#[test]
fn a_backlog_that_is_not_handed_on_is_seen() {
    objections(Sabotage::LeaveBacklogs, "a backlog left behind");
}

#[test]
fn an_unfinished_message_that_is_not_handed_on_is_seen() {
    objections(Sabotage::LeaveInput, "input left behind");
}

#[test]
fn a_subscriber_of_its_own_kind_that_is_not_handed_on_is_seen() {
    objections(Sabotage::LeaveHandouts, "handouts left behind");
}

#[test]
fn a_message_for_a_slow_consumer_that_is_not_handed_on_is_seen() {
    objections(Sabotage::LeaveParked, "parked messages left behind");
}

#[test]
fn a_held_publication_that_is_not_handed_on_is_seen() {
    objections(Sabotage::LeaveHeld, "held publications left behind");
}

#[test]
fn an_interest_that_is_not_handed_on_is_seen() {
    objections(Sabotage::LeaveInterests, "interests left behind");
}

#[test]
fn a_history_that_is_not_handed_on_is_seen() {
    objections(Sabotage::LeaveHistories, "histories left behind");
}

#[test]
fn an_owner_that_nobody_tells_who_leaves_any_more_is_seen() {
    objections(Sabotage::LeaveCounted, "counts left behind");
}

#[test]
fn a_message_of_a_queue_that_is_not_handed_on_is_seen() {
    objections(Sabotage::LeaveReady, "messages of queues left behind");
}

/// Runs one seed's world; what is wrong with it, if anything is.
fn run(seed: u64, sabotage: Option<Sabotage>, met: &mut Met) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let plan = Plan::draw(&mut rng, sabotage)?;
    let mut world = World::new(plan, rng)?;
    let result = catch_unwind(AssertUnwindSafe(|| live(&mut world)))
        .unwrap_or_else(|_| Err("a shard has panicked, see above".to_owned()));
    met.sabotaged += world.sabotaged + world.mail.sabotaged;
    met.mailboxes_full += world.mail.times_full;
    met.handed += world.mail.handed;
    met.handed_behind += world.handed_behind;
    met.reloads += world.reloads.count();
    met.upgrades += world.upgrades.done;
    met.upgrades_given_up += world.upgrades.given_up;
    met.upgraded_behind += world.upgrades.behind;
    for (client, stomper) in check_topics::stompers(&world) {
        let got = stomper.subscriptions.iter().flat_map(|one| &one.got);
        met.redelivered += got.filter(|got| got.redelivered).count() as u64;
        met.windows_filled += stomper.windows_filled;
        met.receipts += stomper.receipts.iter().flatten().count() as u64;
        let told = client.told.map(|(code, _)| code);
        met.disconnects += u64::from(stomper.disconnect.is_some() && told == Some(1000));
    }
    for (client, due) in check_recovery::returned(&world) {
        let has_missed = matches!(due, Due::Behind(start)
            if client.began[0].is_some_and(|began| start < began.position));
        met.recoveries += u64::from(has_missed && !client.wants_stream);
        met.stream_recoveries += u64::from(has_missed && client.wants_stream);
        met.gaps += u64::from(client.told.is_some_and(|(code, _)| code == 4410));
        met.stream_gaps += u64::from(client.gap.is_some());
    }
    for (_, stomper) in check_topics::stompers(&world) {
        for one in stomper.subscriptions.iter().filter(|s| s.since.is_some()) {
            let Some(first) = one.got.first() else {
                continue;
            };
            let has_missed = one.start.is_some_and(|(from, _)| first.offset <= from);
            met.stomp_recoveries += u64::from(has_missed && !first.is_gap);
            met.stomp_gaps += u64::from(first.is_gap);
        }
    }
    met.held += world.streams.logs.iter().map(|log| log.held).sum::<u64>();
    let of_patterns = world.clients.iter().filter(|c| c.pattern.is_some());
    met.by_pattern += of_patterns.map(|c| c.received.len() as u64).sum::<u64>();
    for client in world.clients.iter().filter(|client| client.wants_stream) {
        match client.told {
            Some((1013, _)) => met.streams_slow += 1,
            Some((1001, _)) => met.streams_drained += 1,
            _ => {}
        }
    }
    for driver in &world.drivers {
        add(&mut met.counters, &driver.shard.counters());
    }
    result
}

fn live(world: &mut World) -> Result<(), String> {
    world.seat_references()?;
    world.run_traffic()?;
    world.quiesce()?;
    check::reloads(world)?;
    check::presence(world)?;
    if world.plan.drain_ms.is_some() {
        world.finish_drain()?;
    }
    check::deliveries(world)?;
    check_topics::receipts(world)?;
    check_queues::deliveries(world)?;
    if world.plan.drain_ms.is_some() {
        check::drained(world)?;
    }
    let rest = check_queues::rest(world)?;
    world.leave_all()?;
    check::faults(world)?;
    check_topics::receipts(world)?;
    world.forget_all()?;
    if world.plan.drain_ms.is_none() {
        world.collect()?;
        check::faults(world)?;
        check_queues::deliveries(world)?;
        check_queues::collected(world, &rest)?;
        world.forget_all()?;
    }
    let drained = world.drivers.iter().all(|d| d.shard.is_drained());
    if world.plan.drain_ms.is_some() && !drained {
        return Err("a shard does not know that it has drained".to_owned());
    }
    Ok(())
}

fn add(sum: &mut Counters, more: &Counters) {
    sum.publisher_pauses += more.publisher_pauses;
    sum.merged += more.merged;
    sum.exceptions_short += more.exceptions_short;
    sum.exceptions_full += more.exceptions_full;
    sum.exceptions_dead += more.exceptions_dead;
    sum.closed_slow += more.closed_slow;
    sum.closed_silent += more.closed_silent;
    sum.refused_late += more.refused_late;
    sum.refused_request += more.refused_request;
    sum.closed_protocol += more.closed_protocol;
    sum.closed_drain += more.closed_drain;
    sum.pings += more.pings;
    sum.event_streams += more.event_streams;
    sum.keep_alives += more.keep_alives;
    sum.deliveries += more.deliveries;
    sum.compressions += more.compressions;
    sum.decompressions += more.decompressions;
    sum.queued += more.queued;
    sum.queue_discarded += more.queue_discarded;
    sum.closed_window += more.closed_window;
    sum.publications_refused_queue += more.publications_refused_queue;
    sum.subscriptions_refused += more.subscriptions_refused;
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    match value.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{variable} must be a number, not {value:?}"),
    }
}
