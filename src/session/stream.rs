//! A connection that is an event stream: the answer to one HTTP request, which does not end.

use bytes::BytesMut;

use super::{Attached, Progress, Session, Surroundings};
use crate::endpoint::{Closed, Command, ConnectionName, Error};
use crate::sse;
use crate::ws::close::CloseCode;

/// An event stream at an endpoint.
pub struct Streaming {
    pub attached: Attached,
    /// Bytes that the client has sent behind its request, which had nothing more to say.
    ignored_bytes: u32,
}

impl Streaming {
    pub fn new(attached: Attached) -> Self {
        Self {
            attached,
            ignored_bytes: 0,
        }
    }

    /// Passes over what a client sends behind its request; `false` when that is more than `bytes_max` altogether.
    pub fn ignore(&mut self, bytes: usize, bytes_max: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.ignored_bytes = self.ignored_bytes.saturating_add(bytes);
        self.ignored_bytes as usize <= bytes_max
    }
}

impl Session {
    /// The client of an event stream goes on talking.
    pub(super) fn refuse_talk(&mut self, around: &mut Surroundings<'_>) -> Progress {
        let code = CloseCode::POLICY;
        let reason = "an event stream is one request: too many bytes came behind it";
        self.say_farewell(code, reason, around);
        self.put_close(code, reason, around);
        around.commands.push(Command::Close);
        let closed = Closed::by_server(code, reason);
        self.leave(&closed, Some(&Error::Limit { code, reason }), around);
        Progress {
            messages: 0,
            refused: true,
        }
    }
}

/// The last words of a stream: why it ends, and after how long to come again.
pub fn put_end(out: &mut BytesMut, reason: &str, name: ConnectionName, retry_ms: u64) {
    if !reason.is_empty() {
        sse::put_comment(out, reason);
    }
    sse::put_retry(out, spread(name, retry_ms));
}

/// Between a half and one and a half of that time, another for each connection: whoever lost its connection at the same
/// time as all others is not to come back at the same time as well.
pub fn spread(name: ConnectionName, retry_ms: u64) -> u64 {
    // Connections are numbered in a row; the constants are those of SplitMix64, which spreads such numbers evenly.
    let mut hash = name.key.to_bits() ^ u64::from(name.shard).rotate_right(8);
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    retry_ms / 2 + hash % retry_ms.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Key;

    #[test]
    fn connections_are_told_times_all_over_the_range() {
        let mut tenths = [0; 10];
        for slot in 0..1_000 {
            let key = Key {
                slot,
                generation: 1,
            };
            let ms = spread(ConnectionName { shard: 1, key }, 2_000);
            assert!((1_000..3_000).contains(&ms), "{ms}");
            tenths[(ms - 1_000) as usize / 200] += 1;
        }
        assert!(
            tenths.iter().all(|count| (60..=140).contains(count)),
            "{tenths:?}"
        );
    }
}
