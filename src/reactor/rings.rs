//! How the rings of a shard are set up: the reactor's own and the send ring.

use std::time::{Duration, Instant};

use super::SetupError;
use super::send_ring::SendRing;
use crate::config::Config;

/// How long there may be no memory for rings after an upgrade, and how often it is tried.
const RINGS_MAX: Duration = Duration::from_secs(2);
const RINGS_EVERY: Duration = Duration::from_millis(2);

/// Sets both rings up. Where the process has just been upgraded in place, the kernel may still count the rings of the program
/// before it: then there is room for these a moment later.
///
/// # Errors
/// [`SetupError`].
pub(super) fn set_up(
    config: &Config,
    upgraded: bool,
) -> Result<(tokio_uring::Runtime, SendRing), SetupError> {
    let began = Instant::now();
    loop {
        let rings = runtime(config.reactor.ring_entries).and_then(|runtime| {
            let ring = SendRing::new(config.fanout.scatter_entries);
            Ok((runtime, ring.map_err(SetupError::from_ring)?))
        });
        let again = upgraded && began.elapsed() < RINGS_MAX;
        match rings {
            Err(SetupError::NoMemory { .. }) if again => std::thread::sleep(RINGS_EVERY),
            rings => return rings,
        }
    }
}

/// Sets both rings up as small as they can be, to see whether that is allowed here.
///
/// # Errors
/// [`SetupError`].
pub fn try_rings() -> Result<(), SetupError> {
    runtime(1)?;
    SendRing::new(1).map_err(SetupError::from_ring)?;
    Ok(())
}

fn runtime(entries: u32) -> Result<tokio_uring::Runtime, SetupError> {
    let mut builder = tokio_uring::builder();
    builder.entries(entries).uring_builder(&own_ring(entries));
    tokio_uring::Runtime::new(&builder).map_err(SetupError::from_ring)
}

/// How the reactor's own ring is set up.
pub(super) fn own_ring(entries: u32) -> io_uring::Builder {
    let mut ring = tokio_uring::uring_builder();
    // One thread submits, so the kernel need not lock against others; completions are run when
    // the thread enters the kernel anyway instead of interrupting it; and a burst of completions
    // finds room without the kernel's overflow list.
    ring.setup_single_issuer()
        .setup_coop_taskrun()
        .setup_cqsize(completions(entries));
    ring
}

/// Completion entries of the reactor's own ring.
pub(super) fn completions(entries: u32) -> u32 {
    entries * 4
}

/// Bytes that the kernel has mapped for a ring: 64 an entry, and in pages of their own 16 a completion, 4 an entry and a head.
/// Measured on Linux 6.18, where it counts against RLIMIT_MEMLOCK.
pub(super) fn ring_bytes(entries: u32, completions: u32) -> u64 {
    const PAGE: u64 = 4_096;
    const HEAD: u64 = 320;
    // The kernel rounds both up.
    let entries = u64::from(entries.next_power_of_two());
    let completions = u64::from(completions.next_power_of_two());
    let pages = |bytes: u64| bytes.div_ceil(PAGE) * PAGE;
    pages(entries * 64) + pages(HEAD + completions * 16 + entries * 4)
}
