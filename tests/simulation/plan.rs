//! What a seed draws before its world begins: sizes, bounds, and how likely each fault is.

use std::sync::Arc;

use pushring::config::Config;

use super::keeping::Keepings;
use super::rng::Rng;

/// How a deliberately broken driver breaks, to prove that the checks see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Mailboxes lose a publication now and then.
    DropDelivery,
    /// Mailboxes hand a publication out twice now and then.
    RepeatDelivery,
    /// Mailboxes change the order of two deliveries now and then.
    SwapDeliveries,
    /// Short sends are reported with one byte too many.
    InflateShortSend,
    /// A full socket is not reported at all.
    HideFullSocket,
    /// A ticket's answer is handed out twice.
    RepeatAnswer,
    /// Mailboxes lose the answer to a ticket now and then.
    DropAnswer,
    /// Mailboxes lose a message of a queue now and then.
    DropHanded,
    /// Mailboxes hand a message of a queue out twice now and then.
    RepeatHanded,
    /// Mailboxes change the order of two deliveries when one is a message of a queue.
    SwapHanded,
    /// Mailboxes lose what a consumer says about its messages now and then.
    DropSettle,
    /// Mailboxes lose a publication of what a subscriber has missed.
    DropRecovered,
    /// Mailboxes repeat one of them.
    RepeatRecovered,
    /// Mailboxes make a gap of it.
    ForgeGap,
    /// Mailboxes make nothing missed of a gap.
    HideGap,
    /// The shard does not hear of a socket that has been closed.
    ForgetClosed,
    /// Nobody is told that there is room in a mailbox again.
    ForgetRoom,
    /// A socket that takes bytes again is not reported.
    ForgetWritable,
    /// A new process is not given what slow connections have not been sent.
    LeaveBacklogs,
    /// Nor the beginnings of requests and messages.
    LeaveInput,
    /// Nor the subscriptions whose sessions are handed each publication.
    LeaveHandouts,
    /// Nor the messages of queues for consumers that are behind.
    LeaveParked,
    /// Nor messages that wait for their channel's interval to be over.
    LeaveHeld,
    /// Nor the shards that channels have subscribers on.
    LeaveInterests,
    /// Nor what channels keep.
    LeaveHistories,
    /// Nor whether owners want to hear of each subscriber that leaves.
    LeaveCounted,
    /// Nor the messages of queues that nobody has yet.
    LeaveReady,
}

impl Sabotage {
    /// Whether it strikes when a new process takes over, and only then.
    pub fn is_of_upgrade(self) -> bool {
        use Sabotage::*;
        matches!(
            self,
            LeaveBacklogs
                | LeaveInput
                | LeaveHandouts
                | LeaveParked
                | LeaveHeld
                | LeaveInterests
                | LeaveHistories
                | LeaveCounted
                | LeaveReady
        )
    }
}

/// Everything a seed decides beforehand. Chances are in a thousand.
pub struct Plan {
    pub shards: usize,
    pub channels: usize,
    pub queues: usize,
    /// Steps with faults and new clients.
    pub steps: usize,
    pub clients: usize,
    pub config: Arc<Config>,
    /// A send goes through in part although there is room.
    pub short_send: usize,
    /// A send finds the socket full although there is room.
    pub full_socket: usize,
    /// A poll reports what is not there.
    pub spurious_poll: usize,
    /// A receive brings a part of what is there.
    pub short_receive: usize,
    /// A shard has no turn in a step, because its core is busy.
    pub late_turn: usize,
    /// A flush takes too long and goes on in the next turn.
    pub long_flush: usize,
    /// A peer takes mail while it is posted, so that more than a mailbox holds is posted at once.
    pub busy_peer: usize,
    /// The clock jumps.
    pub clock_jump: usize,
    /// The control thread leaves its mail alone in a step.
    pub control_rests: usize,
    /// The control thread publishes in a step.
    pub control_publishes: usize,
    /// Other settings come in a step.
    pub reloads: usize,
    /// A new process takes over in a step, or tries to.
    pub upgrades: usize,
    /// A client resets, vanishes or leaves some time.
    pub client_quits: usize,
    /// A client misbehaves.
    pub client_misbehaves: usize,
    /// A subscriber reads slowly, or not at all for some time.
    pub client_slow: usize,
    /// A subscriber goes on where another one has stopped.
    pub client_returns: usize,
    /// What channels keep.
    pub keepings: Keepings,
    /// Within how many ms all connections are closed, in a world that ends so.
    pub drain_ms: Option<u64>,
    /// Tokens that a turn attends to, and mail of one kind and peer that it takes.
    pub tokens_a_turn: usize,
    pub mail_a_turn: usize,
    pub sabotage: Option<Sabotage>,
}

impl Plan {
    pub fn draw(rng: &mut Rng, sabotage: Option<Sabotage>) -> Result<Self, String> {
        let mut config = Config::default();
        config.mailbox.entries = rng.within(2..=12);
        config.fanout.scatter_entries = rng.pick(&[1, 2, 3, 5, 16, 256]);
        config.fanout.sends_per_turn_max = rng.pick(&[1, 2, 7, 50, 4_096]);
        config.fanout.lane_bytes_max = rng.pick(&[64, 500, 4_096, 1_048_576]);
        config.slow_consumer.backlog_bytes_max = rng.pick(&[600, 3_000, 20_000, 1_048_576]);
        config.slow_consumer.backlog_age_ms_max = rng.pick(&[200, 2_000, 30_000]);
        config.limits.message_bytes_max = 4_096;
        // In no more worlds than that, because inflating naively takes its time.
        config.deflate.enabled = rng.chance(200);
        config.deflate.message_bytes_min = rng.pick(&[0, 100, 256]);
        config.deflate.level = rng.pick(&[1, 6]);
        config.deflate.window_bits_max = rng.pick(&[8, 11, 15]);
        config.deflate.client_context = rng.chance(300);
        config.limits.accepts_per_second_max = rng.pick(&[0, 0, 0, 100]);
        // Not within a world's time, however the clock jumps: a channel that begins anew has another
        // order.
        config.timeouts.channel_idle_ms = 3_600_000;
        config.queues.queues_max = rng.pick(&[1, 100, 100, 100]);
        config.queues.queue_messages_max = rng.pick(&[4, 100_000, 100_000]);
        config.queues.queue_bytes_max = rng.pick(&[10_000, 1 << 26, 1 << 26]);
        config.queues.window_bytes_max = rng.pick(&[1_024, 4_000, 1 << 20]);
        config.queues.deliveries_max = rng.pick(&[1, 3, 16, 1_000]);
        config.stomp.beat_send_ms = rng.pick(&[0, 100, 10_000]);
        config.stomp.connect_ms = rng.pick(&[10_000, 60_000]);
        config.timeouts.head_ms = rng.pick(&[300, 5_000]);
        config.timeouts.ping_interval_ms = rng.pick(&[300, 25_000]);
        let channels = rng.within(1..=4);
        let keepings = Keepings::draw(channels, rng);
        config.namespaces = keepings.namespaces()?;
        config.limits.history_bytes_max = 1 << 40;
        Ok(Self {
            shards: rng.within(1..=7),
            channels,
            keepings,
            queues: rng.within(1..=3),
            steps: rng.within(60..=160),
            clients: rng.within(4..=20),
            config: Arc::new(config),
            short_send: some(rng, 300),
            full_socket: some(rng, 300),
            spurious_poll: some(rng, 100),
            short_receive: some(rng, 600),
            late_turn: some(rng, 700),
            long_flush: some(rng, 500),
            busy_peer: some(rng, 900),
            clock_jump: some(rng, 30),
            control_rests: some(rng, 950),
            control_publishes: some(rng, 800),
            reloads: some(rng, 60),
            upgrades: match sabotage.is_none_or(Sabotage::is_of_upgrade) {
                true => some(rng, 40),
                // Shards that wait for mail that is lost never rest.
                false => 0,
            },
            client_quits: some(rng, 500),
            client_misbehaves: some(rng, 300),
            client_slow: some(rng, 700),
            client_returns: some(rng, 900),
            drain_ms: rng.chance(300).then(|| rng.within(20..=400) as u64),
            tokens_a_turn: rng.pick(&[1, 3, 512]),
            mail_a_turn: rng.pick(&[1, 4, 1_024]),
            sabotage,
        })
    }
}

/// A chance of this kind of fault; in every third world there is none.
fn some(rng: &mut Rng, most: usize) -> usize {
    if rng.chance(333) {
        0
    } else {
        rng.within(1..=most)
    }
}
