//! Heart-beats, both ways.

use super::client::{Kind, Options};
use super::event::Event;
use super::site::Site;

/// Often enough for a short test, seldom enough for a busy machine: a client is closed after two and a half times that.
const EVERY_MS: u32 = 300;

/// Longer than any side waits for the other.
const BEATS: usize = 6;

fn site(kind: Kind) -> Site {
    let config = format!("[stomp]\nbeat_send_ms = {EVERY_MS}\nbeat_receive_ms = {EVERY_MS}\n");
    Site::start_with(kind, &config)
}

pub fn who_wants_none_gets_none(kind: Kind) {
    let mut site = site(kind);
    site.connect("quiet");
    // The other connection's heart-beats tell the time.
    site.connect_with("clock", &Options::beats(EVERY_MS, EVERY_MS));
    for _ in 0..BEATS {
        site.client.beat("clock");
    }
    for beat in [Event::Beat, Event::BeatSent] {
        assert!(!site.client.has_told("quiet", &beat));
    }
    site.client.settle("quiet");
}

pub fn they_are_kept_in_both_directions(kind: Kind) {
    for version in ["1.1", "1.2"] {
        let mut site = site(kind);
        let options = Options {
            beats_ms: (EVERY_MS, EVERY_MS),
            ..Options::version(version)
        };
        let url = site.url();
        let connected = site.client.connect("alive", &url, &options);
        assert_eq!(
            connected.headers["heart-beat"],
            format!("{EVERY_MS},{EVERY_MS}")
        );
        for _ in 0..BEATS {
            site.client.beat("alive");
            site.client.beat_sent("alive");
        }
        site.client.settle("alive");
    }
}

pub fn one_direction_is_enough(kind: Kind) {
    let mut site = site(kind);
    site.connect_with("speaks", &Options::beats(EVERY_MS, 0));
    site.connect_with("listens", &Options::beats(0, EVERY_MS));
    for _ in 0..BEATS {
        site.client.beat_sent("speaks");
        site.client.beat("listens");
    }
    for id in ["speaks", "listens"] {
        site.client.settle(id);
    }
    assert!(!site.client.has_told("speaks", &Event::Beat));
    assert!(!site.client.has_told("listens", &Event::BeatSent));
}

pub fn a_client_that_falls_silent_gets_an_error_and_is_closed(kind: Kind) {
    let mut site = site(kind);
    for id in ["silent", "alive"] {
        site.connect_with(id, &Options::beats(EVERY_MS, EVERY_MS));
        site.client.beat_sent(id);
    }
    site.client.mute("silent");
    let error = site.client.error("silent");
    assert!(error.headers.contains_key("message"), "{error:?}");
    assert_eq!(site.client.closed("silent"), 1002, "{error:?}");
    site.client.settle("alive");
}
