//! Publishers of every way to publish, each as fast as its channel's subscribers take it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::channel::Channel;
use crate::payload;
use crate::support::http::Http;
use crate::support::server::Addresses;
use crate::support::stomp::Stomp;
use crate::support::wire::Socket;
use crate::support::wire::{FIN, TEXT, frame};

/// Frames written at once: a receive of the server's ends within one.
const TOGETHER_MAX: u64 = 50;
/// How often a publisher that is far ahead looks again.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How a channel is published to.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// `/pub/{channel}`; waits for nothing.
    Raw,
    /// `POST /pub/{channel}` over a connection that is kept; every answer must name the next offset.
    Http,
    /// SEND with receipts, of which the last is waited for.
    Stomp,
}

const WAYS: [Way; 4] = [Way::Raw, Way::Http, Way::Raw, Way::Stomp];

/// One for each channel. Dropping them ends them.
pub struct Publishers {
    ended: Arc<AtomicBool>,
    /// Connections that had to be made anew, because the server had said that it would close them.
    pub reconnects: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Publishers {
    /// None is farther ahead of what its channel's subscribers have on average than that: the slowest would be closed as slow
    /// consumers otherwise.
    pub fn start(addresses: Addresses, channels: &[Arc<Channel>], ahead_max: u64) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let reconnects = Arc::new(AtomicU64::new(0));
        let ways = WAYS.into_iter().cycle();
        let threads = channels.iter().zip(ways).map(|(channel, way)| {
            let publisher = Publisher {
                addresses,
                channel: Arc::clone(channel),
                ahead_max,
                ended: Arc::clone(&ended),
                reconnects: Arc::clone(&reconnects),
            };
            thread::spawn(move || match way {
                Way::Raw => publisher.publish_raw(),
                Way::Http => publisher.publish_over_http(),
                Way::Stomp => publisher.publish_over_stomp(),
            })
        });
        Self {
            threads: threads.collect(),
            ended,
            reconnects,
        }
    }

    /// Connections to the public listener that publishers of so many channels have.
    pub fn connections(channels: usize) -> usize {
        let ways = WAYS.into_iter().cycle().take(channels);
        ways.filter(|way| !matches!(way, Way::Http)).count()
    }

    /// Ends them; an error if one has met with what may not be.
    pub fn end(mut self) -> Result<(), String> {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| "a publisher has failed")?;
        }
        Ok(())
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

struct Publisher {
    addresses: Addresses,
    channel: Arc<Channel>,
    ahead_max: u64,
    ended: Arc<AtomicBool>,
    reconnects: Arc<AtomicU64>,
}

impl Publisher {
    /// Waits until there is room; the numbers to publish next, or nothing at the end.
    fn next(&self, together_max: u64) -> Option<std::ops::RangeInclusive<u64>> {
        loop {
            if self.ended.load(Ordering::Relaxed) {
                return None;
            }
            let published = self.channel.published();
            let room = (self.channel.mean_heard() + self.ahead_max).saturating_sub(published);
            if room > 0 {
                return Some(published + 1..=published + room.min(together_max));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn note_published(&self, last: u64) {
        self.channel.published.store(last, Ordering::Relaxed);
    }

    fn payload(&self, number: u64) -> String {
        payload::of(self.channel.index, number)
    }

    fn publish_raw(&self) {
        let path = format!("/pub/{}", self.channel.name);
        let mut socket = Socket::open(self.addresses.public, &path);
        while let Some(numbers) = self.next(TOGETHER_MAX) {
            let last = *numbers.end();
            let frames: Vec<u8> = numbers
                .flat_map(|number| frame(FIN | TEXT, self.payload(number).as_bytes()))
                .collect();
            socket.send(&frames);
            self.note_published(last);
        }
    }

    fn publish_over_http(&self) {
        let mut http = Http::connect(self.addresses.internal);
        let path = format!("/pub/{}", self.channel.name);
        while let Some(numbers) = self.next(1) {
            let number = *numbers.end();
            let answer = http
                .try_request("POST", &path, &[], self.payload(number).as_bytes())
                .unwrap_or_else(|error| panic!("publication {number} is not answered: {error}"));
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.json()["offset"], number, "{answer:?}");
            self.note_published(number);
            if answer.header("connection") == Some("close") {
                self.reconnects.fetch_add(1, Ordering::Relaxed);
                http = connect_again(self.addresses.internal);
            }
        }
    }

    fn publish_over_stomp(&self) {
        let mut stomp = Stomp::connect(self.addresses.public, "1.2");
        let name = &self.channel.name;
        while let Some(numbers) = self.next(TOGETHER_MAX) {
            for number in numbers.clone() {
                let payload = self.payload(number);
                stomp.send(&format!(
                    "SEND\ndestination:/topic/{name}\ncontent-type:text/plain\nreceipt:{number}\n\n{payload}"
                ));
            }
            self.note_published(*numbers.end());
            for number in numbers {
                let receipt = stomp.frame();
                assert_eq!(receipt.command, "RECEIPT", "{receipt:?}");
                assert_eq!(receipt.must("receipt-id"), number.to_string());
            }
        }
    }
}

/// While a program becomes another, connections wait to be accepted.
fn connect_again(address: SocketAddr) -> Http {
    let connected: io::Result<Http> = Http::try_connect(address);
    connected.unwrap_or_else(|error| panic!("cannot connect again: {error}"))
}
