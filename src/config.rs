//! The configuration: every setting with its meaning, unit, bounds and default, in one table.
//!
//! [`Config`] and its sections are plain values that every floor may read. They are written down once, in the table below;
//! the structures, [`Config::default`], the bounds that [`load`] enforces, the names of the `PUSHRING_*` variables, the
//! search for the nearest known name and the reference file `tuning/pushring.toml` are all made from it ([`settings`]).
//!
//! Three layers are put over the defaults, the later one winning: a TOML file, `PUSHRING_*` variables, the flags of the
//! command line. Whatever is wrong in any of them is a [`ConfigError`] that reads as one line.

#![forbid(unsafe_code)]

#[macro_use]
mod table;

mod check;
mod duration;
mod error;
mod file;
mod layers;
mod nearest;
mod pattern;
mod reference;
mod reload;
mod secret;
mod value;
mod variables;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

pub use check::Warning;
#[cfg(test)]
pub(crate) use check::{API_KEY_BYTES_MIN, SECRET_BYTES_MIN};
pub(crate) use duration::parse_ms as duration_ms;
pub(crate) use error::one_line;
pub use error::{ConfigError, Expected, Fault, Place, Problem, Refusal};
pub use layers::{Difference, Overrides, Resolved, Source, load, resolve};
pub use pattern::{ChannelPattern, PatternError};
pub use reference::reference;
pub use reload::{Change, Kept};
pub use secret::Secret;
pub use table::{
    Bounds, Section, Setting, namespace_section, namespace_settings, sections, settings,
};
pub use variables::{CONFIG_VARIABLE, environment};

use table::Field;
use value::{Value, Words};

settings_table! {
    /// All settings of one server.
    Config [
        /// Settings by channel: every `[[namespace]]`.
        namespaces: Vec<NamespaceConfig>;
    ] {
        /// The public listener, where clients connect: IP address and port, IPv6 in brackets (`[::1]:8000`).
        /// An address that other machines can reach is refused as long as nothing checks who connects (`auth.hmac_secret` or
        /// `auth.jwks_file`) and `insecure` is false.
        listen: SocketAddr = loopback(8000);

        /// The internal listener: publishing over HTTP, metrics, health. Whoever reaches it may publish to every channel,
        /// unless there are `auth.api_keys`. An address that other machines can reach is refused without them, as long as
        /// `insecure` is false.
        internal: SocketAddr = loopback(8001);

        /// How many shards to run. Each is one thread, pinned to a core of its own while there are enough of them.
        shards: usize = 0, 0..=64 "shards", 0 = "one for each core of the process's affinity mask";

        /// Whether the public listener serves /echo, which sends every message back to its sender. For conformance tests.
        echo: bool = false;

        /// Whether to listen on addresses that other machines can reach although no authentication is configured.
        /// Every start says so.
        insecure: bool = false;
    }

    /// Which web pages may open a WebSocket or read an event stream: the `Origin` header of the request.
    origins: OriginsConfig {
        /// The origins to let in; every other one is answered with 403. An entry is `*` (any origin), an exact origin
        /// (`https://app.example.com`), or one with `*` for a label or the port (`https://*.example.com:*`).
        allowed: Vec<String> = strings(&["*"]);

        /// Whether a handshake without an `Origin` header is let in. Browsers always send one, other programs seldom do;
        /// false makes the server one for browsers only.
        missing_allowed: bool = true;
    }

    /// Who may connect, subscribe and publish. Tokens are JSON Web Tokens; which channels need one is said by each
    /// `[[namespace]]`. With `hmac_secret` or `jwks_file` all channels of which none speaks need one.
    auth: AuthConfig {
        /// The key of tokens that are signed with HS256, HS384 or HS512: 32 random bytes at least.
        hmac_secret: Option<Secret> = None;

        /// A file with the public keys of tokens that are signed with RS256, ES256 or EdDSA: a JSON Web Key Set (RFC 7517).
        /// It is read again with the configuration.
        jwks_file: Option<PathBuf> = None;

        /// The keys of which callers of the internal listener have to show one, in `X-API-Key` or as
        /// `Authorization: apikey ...`: 16 random characters each at least. Several hold at the same time, so that one can be
        /// exchanged for another.
        api_keys: Vec<Secret> = Vec::new();

        /// What tokens must have in `aud`.
        audience: Option<String> = None;

        /// What tokens must have in `iss`.
        issuer: Option<String> = None;
    }

    /// What one connection, one peer or one shard may use. Each refusal is counted.
    limits: Limits {
        /// Open connections of one shard; one more is refused.
        connections_max: usize = 200_000, 1..=10_000_000 "connections a shard";

        /// Open connections of one shard from the same IP address; one more is refused.
        connections_per_peer_max: usize = 0, 0..=10_000_000 "connections a shard and address", 0 = "no limit";

        /// New connections that one shard takes in a second. Those beyond it wait in the kernel's listen queue.
        accepts_per_second_max: u32 = 0, 0..=1_000_000 "connections a second and shard", 0 = "no limit";

        /// Messages that one connection may send in a second.
        messages_per_second_max: u32 = 0, 0..=10_000_000 "messages a second", 0 = "no limit";

        /// Bytes that one connection may send in a second.
        bytes_per_second_max: u64 = 0, 0..=17_179_869_184 "bytes a second", 0 = "no limit";

        /// The longest message, whether a client sends it or it is published over HTTP. A longer one is refused before it
        /// is read: a WebSocket is closed with code 1009.
        message_bytes_max: usize = 65_536, 1..=67_108_864 "bytes";

        /// Channels that one connection may be subscribed to at the same time.
        subscriptions_max: usize = 128, 1..=1_000_000 "subscriptions a connection";

        /// Channels that one shard may own at the same time.
        channels_max: usize = 1_000_000, 1..=100_000_000 "channels a shard";

        /// Bytes that one shard may keep as histories of all its channels; beyond it those publications are given up that
        /// would be given up first anyway.
        history_bytes_max: usize = 268_435_456, 1_024..=1_099_511_627_776 "bytes a shard";

        /// Bytes of missed publications, encoded for subscribers that have come back, that one shard may have waiting to be
        /// sent, each once however many wait for it. Who comes back while there are more is told of a gap.
        recovery_bytes_max: usize = 268_435_456, 1_024..=1_099_511_627_776 "bytes a shard";

        /// Idempotency keys of publications that one shard remembers for five minutes; with more the oldest are forgotten.
        idempotency_keys_max: usize = 65_536, 0..=10_000_000 "keys a shard", 0 = "every message is published";

        /// The longest request head (request line and header fields together); a longer one is answered with 431.
        head_bytes_max: usize = 8_192, 512..=65_536 "bytes";

        /// The most header fields of one request; more are answered with 431.
        headers_max: usize = 64, 8..=256 "header fields";
    }

    /// How long the server waits for what.
    timeouts: Timeouts {
        /// How long a new connection may take to send its request head; then it is answered with 408 and closed.
        head_ms: u64 = 5_000, 10..=600_000 "milliseconds";

        /// How often a connection is sent a ping, or a comment if it is an event stream.
        ping_interval_ms: u64 = 25_000, 10..=3_600_000 "milliseconds";

        /// How long a client may leave a ping unanswered; then its connection is closed.
        pong_timeout_ms: u64 = 8_000, 10..=3_600_000 "milliseconds";

        /// How long to wait for the client's close frame after the server's own; then the socket is closed without it.
        linger_ms: u64 = 1_000, 10..=60_000 "milliseconds";

        /// How long a shutdown takes to send its close frames (code 1001), so that not all clients come back at once.
        drain_ms: u64 = 5_000, 10..=600_000 "milliseconds";

        /// How long a new program may take to say whether it can take the server over in a live upgrade.
        upgrade_test_ms: u64 = 10_000, 10..=600_000 "milliseconds";

        /// How long a server that is told to end (SIGTERM) goes on as before, but for `/ready`, which answers 503 at once: so long a
        /// load balancer may take to notice, and sends clients here meanwhile.
        ready_delay_ms: u64 = 0, 0..=600_000 "milliseconds", 0 = "connections are closed at once";

        /// How long a channel that has no subscriber and gets no message is kept.
        channel_idle_ms: u64 = 60_000, 10..=86_400_000 "milliseconds";
    }

    /// Event streams (Server-Sent Events), at /sub.
    sse: SseConfig {
        /// How long a client is told to wait before it connects again. Each is told another time between half of this and
        /// one and a half, so that not all clients come back at once.
        retry_ms: u64 = 2_000, 10..=600_000 "milliseconds";
    }

    /// STOMP over WebSocket, at /stomp and /ws.
    stomp: StompConfig {
        /// The most header lines of one frame.
        frame_headers_max: usize = 64, 8..=1_024 "header lines";

        /// The longest command line and header lines of one frame together.
        frame_head_bytes_max: usize = 8_192, 512..=65_536 "bytes";

        /// How long a new connection may take to send CONNECT; then it is sent an ERROR and closed.
        connect_ms: u32 = 10_000, 10..=600_000 "milliseconds";

        /// The shortest interval at which the server sends heart-beats to clients that want some.
        beat_send_ms: u32 = 10_000, 0..=3_600_000 "milliseconds", 0 = "never";

        /// The shortest interval at which the server wants heart-beats of clients that can send some. A client that says
        /// nothing for two and a half times what was agreed on is sent an ERROR and closed.
        beat_receive_ms: u32 = 10_000, 0..=3_600_000 "milliseconds", 0 = "none are wanted";

        /// Messages that an acknowledging subscription may have unacknowledged, where its header `prefetch-count` does
        /// not say otherwise.
        prefetch_count: u32 = 256, 1..=65_536 "messages a subscription";

        /// Transactions that one connection may have begun at the same time.
        transactions_max: usize = 16, 1..=1_024 "transactions a connection";

        /// Frames in one transaction.
        transaction_frames_max: usize = 1_024, 1..=65_536 "frames a transaction";

        /// Bytes that all transactions of one connection may hold.
        transaction_bytes_max: usize = 1_048_576, 1_024..=1_073_741_824 "bytes a connection";
    }

    /// Centrifugo's client protocol, at /connection/websocket.
    centrifuge: CentrifugeConfig {
        /// How long a new connection may take to send its connect command; then it is closed with code 3502.
        connect_ms: u32 = 10_000, 10..=600_000 "milliseconds";

        /// For how long a connection or a subscription goes on whose token has expired, so that the client can bring
        /// another one. Clients begin to do that when it expires. Then the connection is closed with code 3005, or the
        /// subscription ended with code 2501.
        expired_ms: u32 = 25_000, 0..=600_000 "milliseconds", 0 = "it ends when it expires";

        /// The longest WebSocket message, which may hold many commands: a client that has lost its connection subscribes
        /// to all its channels at once. No less than `limits.message_bytes_max` and 4,096 in any case. A longer one closes the
        /// connection with code 1009, after which clients do not come back.
        commands_bytes_max: usize = 131_072, 1_024..=67_108_864 "bytes a message";
    }

    /// Queues: STOMP's destinations /queue/{name}, of which each message goes to one consumer at a time. They are kept in
    /// memory by the shard that owns them.
    queues: QueuesConfig {
        /// Queues of one shard that have messages or consumers.
        queues_max: usize = 100_000, 1..=10_000_000 "queues a shard";

        /// Messages in one queue, those that consumers have not settled included; one more is refused.
        queue_messages_max: usize = 100_000, 1..=10_000_000 "messages a queue";

        /// Bytes in one queue.
        queue_bytes_max: usize = 67_108_864, 1_024..=17_179_869_184 "bytes a queue";

        /// Bytes in all queues of one shard.
        shard_bytes_max: usize = 268_435_456, 1_024..=1_099_511_627_776 "bytes a shard";

        /// Bytes that one consumer may have unsettled; one message always may.
        window_bytes_max: usize = 1_048_576, 1_024..=1_073_741_824 "bytes a consumer";

        /// How often one message is given to a consumer before it is discarded, for it may be what ends them.
        deliveries_max: u32 = 16, 1..=1_000_000 "deliveries a message";
    }

    /// When a connection that takes its messages too slowly is closed (code 1013): as soon as one of the two is passed.
    slow_consumer: SlowConsumer {
        /// Bytes that may wait for one connection. Should be no less than `limits.message_bytes_max`.
        backlog_bytes_max: usize = 1_048_576, 1_024..=1_073_741_824 "bytes";

        /// How old the oldest waiting byte may become.
        backlog_age_ms_max: u64 = 30_000, 10..=3_600_000 "milliseconds";
    }

    /// How a shard sends one buffer to many sockets. For measuring and tuning.
    fanout: Fanout {
        /// Sends that are handed to the kernel with one io_uring_enter of the send ring.
        scatter_entries: u32 = 1_024, 16..=4_096 "sends an io_uring_enter";

        /// Sends in one turn of the shard's loop before it looks at sockets, timers and mailboxes again.
        sends_per_turn_max: usize = 4_096, 16..=1_048_576 "sends a turn";

        /// Bytes that are put together for one connection from all that its channels have for it, to leave in one send.
        merge_bytes_max: usize = 16_384, 0..=65_536 "bytes a send", 0 = "each channel sends for itself";

        /// Bytes that one lane may hold unsent; beyond it those who publish to its channel are made to wait.
        lane_bytes_max: usize = 262_144, 4_096..=1_073_741_824 "bytes a lane";

        /// After a flush of hundreds of short sends, during which more was published, a shard waits for so much of the time
        /// that the flush took, 2 ms at the most, so that more leaves with one send. Subscribers wait a little longer for
        /// less CPU.
        rest_percent: u32 = 50, 0..=1_000 "percent of the flush", 0 = "it never waits";

        /// The scratch buffer into which a shard receives, and so the most that it takes from one socket at a time.
        recv_bytes: usize = 65_536, 4_096..=1_048_576 "bytes a shard";
    }

    /// Compression of messages, where a client offers it (permessage-deflate, RFC 7692). A publication is compressed once for
    /// all of a channel's subscribers on a shard whose clients agreed to the same window, however many they are.
    deflate: DeflateConfig {
        /// Whether offers are accepted.
        enabled: bool = true;

        /// The shortest message that is compressed. Shorter ones, and those that would not become smaller, are sent as they
        /// are.
        message_bytes_min: usize = 256, 0..=67_108_864 "bytes";

        /// How much work goes into it: 1 is the fastest, 9 makes the smallest messages.
        level: u32 = 6, 1..=9 "as zlib counts levels";

        /// Memory of a compressor for what it has found: 2 to the power of this and 9 bytes. There is one for each window in
        /// use on a shard, and it has about 128 KiB and four times its window besides.
        memory_level: u32 = 8, 1..=9 "as zlib counts memory levels";

        /// The largest window that is agreed to, as the power of 2 that its bytes are: 15 is 32 KiB. Every window in use makes
        /// lanes of its own.
        window_bits_max: u32 = 15, 8..=15 "bits";

        /// Whether clients may refer back to their earlier messages. What they send becomes smaller; each that has sent
        /// something costs as much memory as its window has bytes.
        client_context: bool = false;
    }

    /// The queues between shards.
    mailbox: Mailbox {
        /// Entries of each queue; there is one from every shard to every other.
        entries: usize = 4_096, 16..=65_536 "entries a pair of shards";
    }

    /// The io_uring runtime of each shard, and its listening socket.
    reactor: ReactorConfig {
        /// Submission entries of the reactor's ring. Its memory counts against the memlock limit (`ulimit -l`).
        ring_entries: u32 = 1_024, 64..=4_096 "entries a shard";

        /// Connections that may wait to be accepted. The kernel cuts it to net.core.somaxconn.
        listen_backlog: u32 = 4_096, 1..=65_535 "connections a listening socket";
    }

    /// What the server writes to standard error or to the journal.
    log: Log {
        /// The least important level that is still written.
        level: LogLevel = LogLevel::Info;

        /// Lines for people (text) or for programs (json, one object a line) on standard error, or entries with fields in
        /// systemd's journal. `auto` is the journal where standard error leads to it, as it does in a service of systemd, and else
        /// text.
        format: LogFormat = LogFormat::Auto;
    }
}

repeated_section! {
    /// Settings by channel. There can be many of these tables: for one channel the one with its very name holds, else the one
    /// with the longest beginning of it, else the defaults.
    namespace: NamespaceConfig {
        /// For which channels: the one of this name (`news`), or all whose names begin alike (`news:*`; `*` for all there are).
        channels: ChannelPattern = ChannelPattern::all();

        /// How many of a channel's last publications are kept, for those who come back.
        history_size: usize = 0, 0..=1_000_000 "publications a channel", 0 = "none are kept";

        /// How long they are kept.
        history_ttl: Duration = Duration::from_secs(600), 10..=2_592_000_000 "milliseconds";

        /// Bytes that the history of one channel may have; the oldest publications go first.
        history_bytes_max: usize = 1_048_576, 1_024..=17_179_869_184 "bytes a channel";

        /// Bytes that the histories of all these channels together may have on one shard; the publications go first that
        /// would expire first.
        histories_bytes_max: usize = 0, 0..=1_099_511_627_776 "bytes a shard", 0 = "limits.history_bytes_max alone bounds them";

        /// Whether it is known who is subscribed.
        presence: bool = false;

        /// Whether subscribers are told who comes and who goes.
        join_leave: bool = false;

        /// Whether a new subscriber is sent the last publication at once. It is kept for that also where no history is.
        cache: bool = false;

        /// The shortest time between two publications to a subscriber: of those that come faster it gets the newest.
        latest_every_ms: u64 = 0, 0..=3_600_000 "milliseconds", 0 = "it gets all";

        /// What happens to a subscriber that takes publications too slowly (`slow_consumer.backlog_bytes_max`): its connection
        /// is closed, the oldest are dropped and it is told so, or of those that wait only the newest is kept.
        slow_consumer: SlowPolicy = SlowPolicy::Disconnect;

        /// Who may subscribe: anyone, those whose token says so, or nobody. Without it those with a token where
        /// `auth.hmac_secret` or `auth.jwks_file` is set, else anyone.
        subscribe: Option<Who> = None;

        /// Who may publish from a connection, likewise. Calls of the internal listener always may.
        publish: Option<Who> = None;

        /// Whether a subscription can be to many channels: in names that are parted by `.`, `*` stands for one part and `>`
        /// for all that follow.
        wildcards: bool = false;

        /// Subscribers that one channel may have; one more is refused.
        subscribers_max: usize = 0, 0..=100_000_000 "subscribers a channel", 0 = "no limit";
    }
}

setting_words! {
    /// What happens to a subscriber that takes publications too slowly.
    SlowPolicy {
        /// Its connection is closed (code 1013).
        Disconnect = "disconnect",
        /// The oldest publications that wait for it are dropped, and it is told that there is a gap.
        DropOldest = "drop_oldest",
        /// Of the publications that wait for it only the newest is kept.
        Conflate = "conflate",
    }
}

setting_words! {
    /// Who may do something with a channel from a connection.
    Who {
        /// Every connection.
        Anyone = "anyone",
        /// Connections with a token that says so.
        Token = "token",
        /// None.
        Nobody = "nobody",
    }
}

setting_words! {
    /// How important a log line is, from the most to the least.
    LogLevel {
        /// The server cannot do what it is for.
        Error = "error",
        /// Something needs an operator's eye.
        Warn = "warn",
        /// What an operator wants to know of a normal run.
        Info = "info",
        /// Steps of single connections.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

setting_words! {
    /// Where log lines go, and their shape.
    LogFormat {
        /// The journal where standard error leads to it, else text.
        Auto = "auto",
        /// Entries of systemd's journal, with their fields.
        Journal = "journal",
        /// For people.
        Text = "text",
        /// For programs: one JSON object a line.
        Json = "json",
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
