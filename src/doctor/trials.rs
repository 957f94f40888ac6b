//! What no file says: it is tried out.

use std::net::SocketAddr;
use std::time::Instant;

use super::Machine;
use crate::config::Config;
use crate::reactor::{RingTrial, SetupError, try_address};

/// What came of trying things out.
#[derive(Debug)]
pub struct Trials {
    /// Rings as the shards have them.
    pub rings: RingTrial,
    /// The address of the public listener.
    pub listen: Result<(), SetupError>,
    /// The address of the internal listener.
    pub internal: Result<(), SetupError>,
    /// How long it takes to read the clock, in nanoseconds.
    pub clock_ns: u64,
}

impl Trials {
    /// Tries everything out, by this process and with its rights; takes some milliseconds, and nothing stays as it was not.
    #[must_use]
    pub fn make(config: &Config, machine: &Machine) -> Self {
        let address = |address: SocketAddr, flag| try_address(address, flag);
        Self {
            rings: RingTrial::make(config, machine.shards(config)),
            listen: address(config.listen, "listen"),
            internal: address(config.internal, "internal"),
            clock_ns: clock_ns(),
        }
    }
}

/// The shortest of several means: whatever interrupts them only makes them longer.
fn clock_ns() -> u64 {
    const READINGS: u32 = 200;
    let mean = || {
        let began = Instant::now();
        for _ in 1..READINGS {
            std::hint::black_box(Instant::now());
        }
        began.elapsed().as_nanos() as u64 / u64::from(READINGS)
    };
    (0..20).map(|_| mean()).min().unwrap_or_default()
}
