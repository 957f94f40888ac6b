//! Several shards and the mailboxes between them in a seeded world: short sends, full sockets,
//! resets, half frames, slow and vanished peers, full mailboxes, jumps of the clock.
//!
//! A seed repeats its world exactly. `PUSHRING_SIM_SEEDS` says how many are run (1,000), and
//! `PUSHRING_SIM_SEED` names the one to be repeated.

#![forbid(unsafe_code)]

#[path = "../src/ws/deflate/tests/naive.rs"]
mod inflate;

mod simulation {
    pub mod check;
    pub mod client;
    pub mod driver;
    pub mod mail;
    pub mod plan;
    pub mod rng;
    pub mod socket;
    pub mod wire;
    pub mod world;
}

use std::panic::{AssertUnwindSafe, catch_unwind};

use pushring::metrics::Counters;
use simulation::check;
use simulation::plan::{Plan, Sabotage};
use simulation::rng::Rng;
use simulation::world::World;

/// What has been met with, over all seeds.
#[derive(Default)]
struct Met {
    sabotaged: u64,
    mailboxes_full: u64,
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
        ("pings", c.pings),
        ("deliveries", c.deliveries),
        ("merged sends", c.merged),
        ("compressed publications", c.compressions),
        ("compressed messages of clients", c.decompressions),
    ] {
        println!("{what}: {times}");
        assert!(times > 0, "no seed met with {what}");
    }
}

fn objections(sabotage: Sabotage, wanted: &str) {
    let mut struck = 0;
    let mut objected = 0;
    for seed in 0..60 {
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

/// Runs one seed's world; what is wrong with it, if anything is.
fn run(seed: u64, sabotage: Option<Sabotage>, met: &mut Met) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let plan = Plan::draw(&mut rng, sabotage);
    let mut world = World::new(plan, rng)?;
    let result = catch_unwind(AssertUnwindSafe(|| live(&mut world)))
        .unwrap_or_else(|_| Err("a shard has panicked, see above".to_owned()));
    met.sabotaged += world.sabotaged + world.mail.sabotaged;
    met.mailboxes_full += world.mail.times_full;
    for driver in &world.drivers {
        add(&mut met.counters, &driver.shard.counters());
    }
    result
}

fn live(world: &mut World) -> Result<(), String> {
    world.seat_references()?;
    world.run_traffic();
    world.quiesce()?;
    if world.plan.drain_ms.is_some() {
        world.finish_drain()?;
    }
    check::deliveries(world)?;
    if world.plan.drain_ms.is_some() {
        check::drained(world)?;
    }
    world.leave_all()?;
    world.forget_all()?;
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
    sum.deliveries += more.deliveries;
    sum.compressions += more.compressions;
    sum.decompressions += more.decompressions;
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    match value.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{variable} must be a number, not {value:?}"),
    }
}
