//! What holds for which channels.

/// What holds for the channels of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Publications kept for those who come back; 0 to keep none.
    pub history_size: usize,
    /// How old they may become, in ms.
    pub history_ttl_ms: u64,
    /// Bytes of them.
    pub history_bytes_max: usize,
    /// Whether it can be asked who is subscribed.
    pub presence: bool,
    /// Whether subscribers are told who comes and leaves.
    pub join_leave: bool,
    /// Whether new subscribers get the newest publication.
    pub cache: bool,
    /// The shortest time between two publications, in ms, of which the newest message leaves; 0 for none.
    pub latest_every_ms: u64,
    /// Subscriptions of one channel; 0 for no limit.
    pub subscribers_max: usize,
}

impl Default for Namespace {
    fn default() -> Self {
        Self {
            history_size: 0,
            history_ttl_ms: 600_000,
            history_bytes_max: 1_048_576,
            presence: false,
            join_leave: false,
            cache: false,
            latest_every_ms: 0,
            subscribers_max: 0,
        }
    }
}

/// All namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    general: Namespace,
}

impl Namespaces {
    /// One for all channels.
    pub fn uniform(general: Namespace) -> Self {
        Self { general }
    }

    /// What holds for a channel.
    pub fn of(&self, _channel: &str) -> &Namespace {
        &self.general
    }
}
