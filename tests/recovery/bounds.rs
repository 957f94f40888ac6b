//! Histories that share a bound.

use crate::support::Message;
use crate::support::metrics::Metrics;
use crate::support::server::{Options, Server};
use crate::support::wire::{Said, Socket};
use crate::{Place, publish};

#[test]
fn a_namespace_gives_up_its_oldest_publications_and_tells_of_the_gap_while_others_keep_theirs() {
    // One shard, whose bound is then the server's.
    let server = Server::start(Options {
        shards: 1,
        ..Options::with_config(
            "limits.message_bytes_max = 2_000\n\
             [[namespace]]\nchannels = \"bounded:*\"\nhistory_size = 1_000\nhistory_bytes_max = 8_000\n\
             histories_bytes_max = 8_000\n\
             [[namespace]]\nchannels = \"kept:*\"\nhistory_size = 1_000\n",
        )
    });
    let mut http = server.http();
    let payload = "x".repeat(1_000);
    let publish_all = |http: &mut _, kind: &str| -> Vec<Place> {
        let names = (0..20).map(|number| format!("{kind}:{number}"));
        names.map(|name| publish(http, &name, &payload)).collect()
    };
    let kept = publish_all(&mut http, "kept");
    let bounded = publish_all(&mut http, "bounded");
    let said = |kind: &str, number: usize, places: &[Place]| {
        let path = format!("/sub/{kind}:{number}?{}", places[number].at(0).query());
        Socket::open(server.addresses.public, &path).next()
    };
    for number in 0..20 {
        let text = Said::Message(Message::text(payload.as_str()));
        assert_eq!(said("kept", number, &kept), text, "kept:{number}");
        match said("bounded", number, &bounded) {
            Said::Message(_) => assert!(number >= 12, "bounded:{number} is beyond the bound"),
            Said::Close { code, .. } => {
                assert_eq!(code, Some(4410));
                assert!(number < 15, "bounded:{number} was one of the newest");
            }
            other => panic!("bounded:{number}: {other:?}"),
        }
    }
    let metrics = Metrics::wait(&mut http, "all are counted", |metrics| {
        metrics.sum("history_bytes") > 20_000
    });
    let cut = |bound: &str| metrics.sum_where("histories_cut_total", &format!("bound=\"{bound}\""));
    assert!((12..15).contains(&cut("namespace")), "{metrics:?}");
    assert_eq!((cut("channel"), cut("shard")), (0, 0), "{metrics:?}");
}
