//! A connection that is an event stream: the answer to one HTTP request, which does not end.

use bytes::BytesMut;

use super::{Open, Progress, Session, State, Surroundings};
use crate::endpoint::{Closed, Command, ConnectionName, Error, Transport};
use crate::sse;
use crate::ws::close::CloseCode;

/// Bytes behind the request that count as one piece of them; a client may send 254 pieces.
const PIECE_BYTES: usize = 256;

impl Session {
    /// Passes over what a client sends behind its request for an event stream. A client that goes on talking is
    /// closed: after 254 reads, or some 64 KiB.
    pub(super) fn pass_over(&mut self, bytes: usize, around: &mut Surroundings<'_>) -> Progress {
        if let State::Open(Open {
            transport: Transport::EventStream(pieces),
            ..
        }) = &mut self.0
            && bytes > 0
        {
            let more = u8::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u8::MAX);
            *pieces = pieces.saturating_add(more);
            if *pieces == u8::MAX {
                return self.refuse_talk(around);
            }
        }
        Progress::default()
    }

    fn refuse_talk(&mut self, around: &mut Surroundings<'_>) -> Progress {
        let code = CloseCode::POLICY;
        let reason = "an event stream is one request: too many bytes came behind it";
        self.say_farewell(code, reason, around);
        self.put_close(code, reason, around);
        around.commands.push(Command::Close);
        let closed = Closed::by_server(code, reason);
        self.leave(&closed, Some(&Error::Limit { code, reason }), around);
        Progress {
            refused: true,
            ..Progress::default()
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
