//! Nobody notices: every subscriber of every protocol has everything, once and in order, on the connection that it had.

use std::time::Duration;

use crate::trial::Trial;
use crate::upgrading::Program;

#[test]
fn subscribers_and_publishers_of_all_protocols_notice_neither_upgrades_nor_refused_ones() {
    let trial = Trial {
        connections: 300,
        channels: 8,
        shards: 3,
        programs: vec![
            Program::Same,
            Program::OtherFormat,
            Program::Same,
            Program::Crashing,
            Program::Same,
            Program::Same,
        ],
        patience: Duration::from_secs(30),
    };
    let result = trial.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(
        result
            .rounds
            .iter()
            .all(|round| round.silence.longest >= round.silence.common),
        "all together are silent no longer than one of them"
    );
    println!(
        "{} publications, {} deliveries in {:?}; pauses {:?}, silences {:?}, undisturbed {:?}; {} reconnects",
        result.publications,
        result.deliveries,
        result.took,
        result.pauses(),
        result
            .rounds
            .iter()
            .map(|round| round.silence)
            .collect::<Vec<_>>(),
        result.undisturbed,
        result.reconnects
    );
    assert!(result.objections.is_empty(), "{:#?}", result.objections);
}
