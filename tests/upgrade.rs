//! Live upgrades of the whole server: another program takes it over in the same process, and no client notices.

#![forbid(unsafe_code)]

mod support;

#[path = "fire/centrifuge.rs"]
mod centrifuge;
#[path = "upgrade/channel.rs"]
mod channel;
#[allow(dead_code, reason = "tests/fire.rs uses the rest")]
#[path = "fire/conversation.rs"]
mod conversation;
#[path = "upgrade/crowd.rs"]
mod crowd;
#[path = "fire/event_stream.rs"]
mod event_stream;
#[path = "upgrade/halves.rs"]
mod halves;
#[path = "upgrade/kept.rs"]
mod kept;
#[path = "fire/payload.rs"]
mod payload;
#[path = "upgrade/process.rs"]
mod process;
#[path = "upgrade/publishers.rs"]
mod publishers;
#[path = "fire/raw.rs"]
mod raw;
#[path = "upgrade/refusals.rs"]
mod refusals;
#[path = "fire/stomp.rs"]
mod stomp;
#[allow(dead_code, reason = "benches/upgrade.rs uses the rest")]
#[path = "upgrade/trial.rs"]
mod trial;
#[path = "upgrade/under_load.rs"]
mod under_load;
#[path = "upgrade/upgrading.rs"]
mod upgrading;
#[allow(dead_code, reason = "tests/fire.rs uses the rest")]
#[path = "fire/web_socket.rs"]
mod web_socket;

/// A place of a channel's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    epoch: u64,
    offset: u64,
}
