//! What many recoveries cost the server.

use std::fmt::Write as _;

use crate::publish;
use crate::support::centrifuge::{Centrifuge, Heard};
use crate::support::metrics::Metrics;
use crate::support::server::{Options, Server};

/// One small message asks again and again for all that a channel keeps.
#[test]
fn one_client_cannot_have_the_server_keep_a_history_many_times_over() {
    const TIMES: usize = 300;
    let server = Server::start(Options {
        shards: 1,
        ..Options::with_config(
            "limits.recovery_bytes_max = 4_000_000\n\
             [[namespace]]\nchannels = \"*\"\nhistory_size = 1_000\nhistory_bytes_max = 10_000_000\n",
        )
    });
    let mut http = server.http();
    let payload = format!("\"{}\"", "x".repeat(50_000));
    for _ in 0..20 {
        publish(&mut http, "news", &payload);
    }
    let mut client = Centrifuge::connect(server.addresses.public);
    let mut commands = String::new();
    for id in 0..TIMES {
        let (subscribe, leave) = (2 * id + 10, 2 * id + 11);
        let _ = writeln!(
            commands,
            "{{\"id\":{subscribe},\"subscribe\":{{\"channel\":\"news\",\"recover\":true}}}}\n\
             {{\"id\":{leave},\"unsubscribe\":{{\"channel\":\"news\"}}}}"
        );
    }
    let before = server.resident_bytes();
    client.say(&commands);
    let last = 2 * TIMES + 9;
    let mut most = 0;
    loop {
        most = most.max(server.resident_bytes().saturating_sub(before));
        match client.next() {
            Heard::Said(said) if said["id"] == last => break,
            Heard::Said(_) | Heard::Ping => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(
        most < 60_000_000,
        "{most} bytes more for {TIMES} histories of 1 MB"
    );
    let metrics = Metrics::wait(&mut http, "it is all sent", |metrics| {
        metrics.sum("recovery_bytes") == 0
    });
    assert!(metrics.sum("recoveries_refused_total") > 0, "{metrics:?}");
}
