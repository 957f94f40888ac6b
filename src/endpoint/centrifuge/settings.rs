//! What holds for all connections of the protocol.

use crate::config::Config;

/// What a command may add to the longest message.
const ENVELOPE_BYTES_MAX: usize = 4_096;

/// The configuration's part of it.
pub struct Settings {
    /// How long the connect command may take, in ms.
    pub connect_ms: u32,
    /// How often a connection is sent a ping, in ms.
    pub ping_interval_ms: u64,
    /// How long a ping may be unanswered, in ms.
    pub pong_timeout_ms: u64,
    /// For how long a connection or a subscription goes on whose token has expired, in ms.
    pub expired_ms: u64,
    /// Bytes of one publication's data.
    pub data_bytes_max: usize,
    /// Bytes of a WebSocket message, which may hold several commands.
    pub message_bytes_max: usize,
    /// Subscriptions at one time.
    pub subscriptions_max: usize,
}

impl Settings {
    pub fn new(config: &Config) -> Self {
        let data_bytes_max = config.limits.message_bytes_max;
        Self {
            connect_ms: config.centrifuge.connect_ms,
            ping_interval_ms: config.timeouts.ping_interval_ms,
            pong_timeout_ms: config.timeouts.pong_timeout_ms,
            expired_ms: u64::from(config.centrifuge.expired_ms),
            data_bytes_max,
            message_bytes_max: (data_bytes_max + ENVELOPE_BYTES_MAX)
                .max(config.centrifuge.commands_bytes_max),
            subscriptions_max: config.limits.subscriptions_max,
        }
    }

    /// The interval of pings as the client is told it: in whole seconds, never too short.
    pub fn ping_s(&self) -> u64 {
        self.ping_interval_ms.div_ceil(1_000)
    }
}
