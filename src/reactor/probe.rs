//! Trying out whether the rings that shards need can be had here, one thing at a time.

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use io_uring::register::Probe;
use io_uring::{IoUring, opcode};

use super::SetupError;
use super::rings::{completions, own_ring, ring_bytes};
use super::send_ring::SendRing;
use crate::config::Config;

/// Entries of the rings that single features are tried out with.
const FEW_ENTRIES: u32 = 8;

/// What came of trying out rings as shards have them.
#[derive(Debug)]
pub struct RingTrial {
    /// Whether the rings of all shards can be had at the same time, as a server has them.
    pub set_up: Result<(), SetupError>,
    /// What they need, each tried out by itself. Empty where not even a plain ring can be had.
    pub features: Vec<Feature>,
    /// Whether sends say what they have to; nothing where there is no send ring.
    pub sends: Option<Result<(), SendFault>>,
    /// Memory of the rings of all shards, in bytes.
    pub bytes: u64,
}

/// Something that rings may or may not be able to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Its name, without what the names of its kind begin with.
    pub name: &'static str,
    /// The first kernel that has it.
    pub since: &'static str,
    /// Whether this one has.
    pub present: bool,
}

/// What is wrong with the sends of the send ring.
#[derive(Debug, thiserror::Error)]
pub enum SendFault {
    /// Something in it failed that has nothing to do with rings.
    #[error("a send could not be tried out: {0}")]
    Failed(#[from] io::Error),
    /// A send went through whole, and there was a completion.
    #[error("a send that went through whole made a completion ({0})")]
    NotSilent(i32),
    /// What was sent did not arrive.
    #[error("what was sent is not there when io_uring_enter returns")]
    NotThere,
    /// A socket was full, and the answer was another than EAGAIN or the bytes that had room.
    #[error("a send to a full socket was answered with {0}, not with EAGAIN ({again})", again = -libc::EAGAIN)]
    NotRefused(i32),
    /// A socket was full, and nothing said so.
    #[error("nothing was said of a send to a full socket")]
    NotSaid,
}

impl RingTrial {
    /// Tries out what so many shards would need with this configuration. Takes some milliseconds, and leaves nothing behind
    /// but memory that the kernel frees in the background.
    pub fn make(config: &Config, shards: usize) -> Self {
        let (own, send) = (config.reactor.ring_entries, config.fanout.scatter_entries);
        let bytes_a_shard = ring_bytes(own, completions(own)) + SendRing::bytes(send);
        Self {
            features: features(),
            sends: SendRing::new(FEW_ENTRIES).ok().map(try_sends),
            set_up: set_up(own, send, shards).map_err(SetupError::from_ring),
            bytes: bytes_a_shard * shards as u64,
        }
    }
}

/// The rings of all shards at the same time: they count together.
fn set_up(own: u32, send: u32, shards: usize) -> io::Result<()> {
    let mut rings = Vec::new();
    for _ in 0..shards {
        rings.push((own_ring(own).build(own)?, SendRing::new(send)?));
    }
    Ok(())
}

fn features() -> Vec<Feature> {
    let Ok(plain) = IoUring::new(FEW_ENTRIES) else {
        return Vec::new();
    };
    let with_flag = |set: fn(&mut io_uring::Builder) -> &mut io_uring::Builder| {
        let mut builder = IoUring::builder();
        set(&mut builder);
        builder.build(FEW_ENTRIES).is_ok()
    };
    let mut probe = Probe::new();
    // Without an answer nothing is there.
    let _ = plain.submitter().register_probe(&mut probe);
    let has = |opcode| probe.is_supported(opcode);
    let known = plain.params();
    [
        (
            "SINGLE_ISSUER",
            "6.0",
            with_flag(|ring| ring.setup_single_issuer()),
        ),
        (
            "COOP_TASKRUN",
            "5.19",
            with_flag(|ring| ring.setup_coop_taskrun()),
        ),
        (
            "SUBMIT_ALL",
            "5.18",
            with_flag(|ring| ring.setup_submit_all()),
        ),
        (
            "CQSIZE",
            "5.5",
            with_flag(|ring| ring.setup_cqsize(FEW_ENTRIES * 4)),
        ),
        ("CQE_SKIP", "5.17", known.is_feature_skip_cqe_on_success()),
        ("NODROP", "5.5", known.is_feature_nodrop()),
        ("NOP", "5.1", has(opcode::Nop::CODE)),
        ("POLL_ADD", "5.1", has(opcode::PollAdd::CODE)),
        ("SEND", "5.6", has(opcode::Send::CODE)),
        ("ASYNC_CANCEL", "5.5", has(opcode::AsyncCancel::CODE)),
    ]
    .map(|(name, since, present)| Feature {
        name,
        since,
        present,
    })
    .into()
}

/// What the fan-out is built on: a send that goes through whole says nothing, and has gone through when the call returns; a
/// full socket is said to be one.
fn try_sends(mut ring: SendRing) -> Result<(), SendFault> {
    let (near, mut far) = UnixStream::pair()?;
    let fd = near.as_raw_fd();
    let mut exceptions = Vec::new();
    ring.send_all([(fd, b"pushring".as_slice())].into_iter(), &mut exceptions)?;
    if let Some(exception) = exceptions.pop() {
        return Err(SendFault::NotSilent(exception.result));
    }
    let mut arrived = [0; 16];
    far.set_nonblocking(true)?;
    if !matches!(far.read(&mut arrived), Ok(8)) || !arrived.starts_with(b"pushring") {
        return Err(SendFault::NotThere);
    }
    // More than a socket's buffer has room for, unless somebody has made buffers of 64 MiB the default.
    let much = vec![0; 64 * 1_024];
    for _ in 0..1_024 {
        ring.send_all([(fd, much.as_slice())].into_iter(), &mut exceptions)?;
        match exceptions.pop() {
            None => {}
            Some(full) if full.result == -libc::EAGAIN => return Ok(()),
            Some(short) if (1..much.len() as i32).contains(&short.result) => {}
            Some(other) => return Err(SendFault::NotRefused(other.result)),
        }
    }
    Err(SendFault::NotSaid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_servers_run_nothing_is_missing() {
        let trial = RingTrial::make(&Config::default(), 2);
        trial.set_up.unwrap();
        trial.sends.unwrap().unwrap();
        assert_eq!(trial.features.len(), 10);
        let missing: Vec<_> = trial.features.iter().filter(|one| !one.present).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// As measured, by lowering the limit until io_uring_setup failed.
    #[test]
    fn rings_take_the_memory_that_the_kernel_counts() {
        for (entries, completions, kib) in [
            (1_024, 4_096, 136),
            (1_024, 2_048, 104),
            (64, 256, 12),
            (4_096, 16_384, 532),
            (1_000, 4_000, 136),
        ] {
            assert_eq!(ring_bytes(entries, completions), kib * 1_024);
        }
        let trial = RingTrial::make(&Config::default(), 2);
        assert_eq!(trial.bytes, 2 * 240 * 1_024);
    }

    #[test]
    fn more_entries_than_a_ring_can_have_are_refused_and_the_features_are_known_all_the_same() {
        let mut config = Config::default();
        config.reactor.ring_entries = 1 << 20;
        let trial = RingTrial::make(&config, 1);
        assert!(matches!(trial.set_up, Err(SetupError::TooOld)));
        assert!(trial.features.iter().all(|one| one.present));
    }
}
