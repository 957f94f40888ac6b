//! Real clients whose tokens expire again and again: `tests/rights/clients.mjs` drives them.
//!
//! tests/run installs them; without them this test fails.

use std::path::Path;
use std::process::Command;

use crate::support::metrics::Metrics;
use crate::support::server::{Options, Server};
use crate::support::token::SECRET;

#[test]
fn clients_that_bring_a_new_token_when_theirs_has_expired_miss_nothing() {
    let config = format!(
        "[auth]\nhmac_secret = \"{SECRET}\"\n\
         [[namespace]]\nchannels = \"prices\"\nhistory_size = 1_000\nhistory_ttl = \"10m\"\n"
    );
    let server = Server::start(Options::with_config(&config));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new("node")
        .arg(root.join("tests/rights/clients.mjs"))
        .arg(server.addresses.public.to_string())
        .arg(server.addresses.internal.to_string())
        .arg(SECRET)
        .arg(root.join("docs"))
        .arg(root.join("target/tools/browser"))
        .arg(root.join("target/tools/node"))
        .status()
        .unwrap_or_else(|error| panic!("cannot run node: {error}: run tests/install-tools"));
    assert!(status.success(), "{status}: see above");
    let closed =
        Metrics::get(&mut server.http()).sum_where("closes_total", "reason=\"token_expired\"");
    assert!(
        closed >= 6,
        "each of the two three times at least: {closed}"
    );
}
