//! What holds for all STOMP connections.

use crate::config::Config;
use crate::stomp::{HeartBeat, Limits};

/// The configuration's part of it.
pub struct Settings {
    /// Of frames.
    pub limits: Limits,
    /// What the server offers and wants.
    pub heart_beat: HeartBeat,
    /// How long CONNECT may take, in ms.
    pub connect_ms: u32,
    /// The window of a subscription that names none.
    pub prefetch_count: u32,
    /// Bytes that may wait for the acknowledgements of one subscription.
    pub waiting_bytes_max: usize,
    /// Subscriptions at one time.
    pub subscriptions_max: usize,
    /// Transactions at one time.
    pub transactions_max: usize,
    /// Frames of one transaction.
    pub transaction_frames_max: usize,
    /// Bytes of all transactions.
    pub transaction_bytes_max: usize,
}

impl Settings {
    pub fn new(config: &Config) -> Self {
        Self {
            limits: Limits {
                headers_max: config.stomp.frame_headers_max,
                head_bytes_max: config.stomp.frame_head_bytes_max,
                body_bytes_max: config.limits.message_bytes_max,
            },
            heart_beat: HeartBeat {
                can_send_every_ms: config.stomp.beat_send_ms,
                wants_every_ms: config.stomp.beat_receive_ms,
            },
            connect_ms: config.stomp.connect_ms,
            prefetch_count: config.stomp.prefetch_count,
            waiting_bytes_max: config.slow_consumer.backlog_bytes_max,
            subscriptions_max: config.limits.subscriptions_max,
            transactions_max: config.stomp.transactions_max,
            transaction_frames_max: config.stomp.transaction_frames_max,
            transaction_bytes_max: config.stomp.transaction_bytes_max,
        }
    }

    /// The longest WebSocket message: the longest frame with the NUL that ends it.
    pub fn message_bytes_max(&self) -> usize {
        self.limits.head_bytes_max + self.limits.body_bytes_max + 1
    }
}
