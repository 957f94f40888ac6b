//! What one slow connection has not been able to take yet.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::pool::{Index, Pool, Restored};
use crate::publication::Position;
use crate::session::Framing;
use crate::sse;
use crate::ws::{frame, handshake};

struct Chunk {
    /// Whole frames or events, shared with everyone else who gets them.
    bytes: Bytes,
    /// How much of it the socket has taken.
    sent: usize,
    /// What it is of, where it may be dropped.
    of: Option<Droppable>,
}

/// Publications of one subscription that may be dropped before they have begun to go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Droppable {
    /// The connection's number of the subscription.
    pub subscription: u32,
    /// The place of the last of them in its channel's stream.
    pub last: Position,
    /// How many there are.
    pub frames: u32,
}

impl Chunk {
    fn is_droppable(&self) -> bool {
        self.of.is_some() && self.sent == 0
    }
}

/// What a backlog is made of again by another process.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedBacklog {
    /// The frames, how much of them is sent, what they are of.
    chunks: Vec<(Index, usize, Option<Droppable>)>,
    since_ms: u64,
    closed: bool,
}

/// A queue of references to shared frames; its bounds are the policy of who fills it.
pub struct Backlog {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    since_ms: u64,
    /// Cut down to what a close needs; takes nothing more.
    closed: bool,
}

impl Backlog {
    /// An empty backlog that began at a moment.
    pub fn new(now_ms: u64) -> Self {
        Self {
            chunks: VecDeque::new(),
            bytes: 0,
            since_ms: now_ms,
            closed: false,
        }
    }

    /// What [`Backlog::restore`] needs. The frames go into the pool: others wait for the same.
    pub fn save(&self, pool: &mut Pool) -> SavedBacklog {
        let chunks = self.chunks.iter();
        SavedBacklog {
            chunks: chunks
                .map(|chunk| (pool.add(&chunk.bytes), chunk.sent, chunk.of))
                .collect(),
            since_ms: self.since_ms,
            closed: self.closed,
        }
    }

    /// The backlog that was saved; `None` where the pool does not have what it is made of.
    pub fn restore(saved: SavedBacklog, pool: &Restored) -> Option<Self> {
        let mut backlog = Self::new(saved.since_ms);
        for (index, sent, of) in saved.chunks {
            let bytes = pool.bytes(index)?;
            backlog.bytes += bytes.len().checked_sub(sent)?;
            backlog.chunks.push_back(Chunk { bytes, sent, of });
        }
        backlog.closed = saved.closed;
        Some(backlog)
    }

    /// Queues whole frames of which `sent` bytes have gone out.
    pub fn push(&mut self, bytes: Bytes, sent: usize) {
        if self.closed {
            return;
        }
        self.bytes += bytes.len() - sent;
        self.chunks.push_back(Chunk {
            bytes,
            sent,
            of: None,
        });
    }

    /// Queues whole frames that [`Backlog::drop_all`] may drop.
    pub fn push_droppable(&mut self, bytes: Bytes, of: Droppable) {
        if self.closed {
            return;
        }
        self.bytes += bytes.len();
        self.chunks.push_back(Chunk {
            bytes,
            sent: 0,
            of: Some(of),
        });
    }

    /// Queues a whole frame in place of those of the same subscription that have not begun to go out, and
    /// returns how many those were.
    pub fn push_newest(&mut self, bytes: Bytes, of: Droppable) -> u32 {
        let dropped = self.take(|other| other.subscription == of.subscription);
        self.push_droppable(bytes, of);
        dropped.iter().map(|dropped| dropped.frames).sum()
    }

    /// Whether there is something that may be dropped.
    pub fn has_droppable(&self) -> bool {
        self.chunks.iter().any(Chunk::is_droppable)
    }

    /// Drops all that may be dropped: what it was, once for each subscription, with its last place.
    pub fn drop_all(&mut self) -> Vec<Droppable> {
        let mut all: Vec<Droppable> = Vec::new();
        for dropped in self.take(|_| true) {
            match all
                .iter_mut()
                .find(|one| one.subscription == dropped.subscription)
            {
                Some(one) => {
                    one.last = dropped.last;
                    one.frames += dropped.frames;
                }
                None => all.push(dropped),
            }
        }
        all
    }

    /// Takes chunks out that may be dropped and of which that is true.
    fn take(&mut self, is_taken: impl Fn(&Droppable) -> bool) -> Vec<Droppable> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        self.chunks.retain(|chunk| match &chunk.of {
            Some(of) if chunk.sent == 0 && is_taken(of) => {
                taken.push(*of);
                bytes += chunk.bytes.len();
                false
            }
            _ => true,
        });
        self.bytes -= bytes;
        taken
    }

    /// Bytes not yet taken by the socket.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the socket has taken everything.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether it was cut to its last words: nothing may go out behind them.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Since when the connection has been behind, in ms.
    pub fn since_ms(&self) -> u64 {
        self.since_ms
    }

    /// The unsent rest of the oldest chunk.
    pub fn front(&self) -> Option<Bytes> {
        self.chunks.front().map(|c| c.bytes.slice(c.sent..))
    }

    /// Notes that the socket has taken so many bytes of the oldest chunk.
    pub fn advance(&mut self, sent: usize) {
        if let Some(chunk) = self.chunks.front_mut() {
            chunk.sent += sent;
            self.bytes -= sent;
            if chunk.sent >= chunk.bytes.len() {
                self.chunks.pop_front();
            }
        }
    }

    /// Drops everything but the rest of the frame or event that is half sent, queues the last words
    /// behind it and takes nothing more. The answer to the connection's request, which can stand
    /// nowhere but in front, stays whole.
    pub fn cut_to(&mut self, last_words: Bytes, framing: Framing) {
        let half_sent = self
            .chunks
            .pop_front()
            .filter(|chunk| chunk.sent > 0 || answer_len(&chunk.bytes) > 0);
        self.chunks.clear();
        self.bytes = 0;
        if let Some(mut chunk) = half_sent {
            chunk
                .bytes
                .truncate(part_end(&chunk.bytes, chunk.sent, framing));
            if chunk.sent < chunk.bytes.len() {
                self.bytes = chunk.bytes.len() - chunk.sent;
                self.chunks.push_back(chunk);
            }
        }
        self.push(last_words, 0);
        self.closed = true;
    }
}

/// Where the frame or event ends that byte `sent` lies in; `sent` itself when it lies between two. The
/// answer to the request counts as one that has been begun.
fn part_end(bytes: &[u8], sent: usize, framing: Framing) -> usize {
    let mut end = answer_len(bytes);
    if framing == Framing::Blocks {
        return end + sse::block_end(&bytes[end..], sent.saturating_sub(end));
    }
    while end < sent {
        match frame::server_frame_len(&bytes[end..]) {
            Some(len) => end += len,
            None => return bytes.len(),
        }
    }
    end.min(bytes.len())
}

/// Bytes of the answer to the request that stands in front, 0 for none. No frame of the server's
/// begins as it does: `H` would be an unfinished one with a reserved bit. Nor does an event.
fn answer_len(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"HTTP/") {
        handshake::head_end(bytes, 0).unwrap_or(bytes.len())
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publication::Kind;
    use crate::ws::frame::Opcode;

    fn frames(payloads: &[&[u8]]) -> Bytes {
        let mut out = Vec::new();
        for payload in payloads {
            frame::put_frame(&mut out, Opcode::Text, payload);
        }
        out.into()
    }

    fn drain(backlog: &mut Backlog) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(bytes) = backlog.front() {
            out.extend_from_slice(&bytes);
            backlog.advance(bytes.len());
        }
        assert_eq!(backlog.bytes(), 0);
        out
    }

    fn droppable(subscription: u32, offset: u64) -> Droppable {
        Droppable {
            subscription,
            last: Position { epoch: 1, offset },
            frames: 1,
        }
    }

    #[test]
    fn what_may_be_dropped_is_dropped_unless_it_has_begun_to_go_out() {
        let mut backlog = Backlog::new(0);
        backlog.push_droppable(Bytes::from_static(b"begun"), droppable(1, 1));
        backlog.advance(2);
        backlog.push_droppable(Bytes::from_static(b"second"), droppable(1, 2));
        backlog.push(Bytes::from_static(b"reply"), 0);
        backlog.push_droppable(Bytes::from_static(b"other"), droppable(2, 7));
        backlog.push_droppable(Bytes::from_static(b"third"), droppable(1, 3));
        assert!(backlog.has_droppable());
        let both = Droppable {
            frames: 2,
            ..droppable(1, 3)
        };
        assert_eq!(backlog.drop_all(), [both, droppable(2, 7)]);
        assert!(!backlog.has_droppable());
        assert_eq!(backlog.bytes(), "gunreply".len());
        assert_eq!(drain(&mut backlog), b"gunreply");
    }

    #[test]
    fn the_newest_takes_the_place_of_what_waits_of_the_same_subscription() {
        let mut backlog = Backlog::new(0);
        assert_eq!(
            backlog.push_newest(Bytes::from_static(b"one "), droppable(1, 1)),
            0
        );
        assert_eq!(
            backlog.push_newest(Bytes::from_static(b"other "), droppable(2, 1)),
            0
        );
        assert_eq!(
            backlog.push_newest(Bytes::from_static(b"two "), droppable(1, 2)),
            1
        );
        backlog.advance(1);
        assert_eq!(
            backlog.push_newest(Bytes::from_static(b"three"), droppable(2, 2)),
            0
        );
        assert_eq!(drain(&mut backlog), b"ther two three");
    }

    #[test]
    fn chunks_leave_in_order_without_the_part_already_sent() {
        let mut backlog = Backlog::new(5);
        backlog.push(Bytes::from_static(b"hello "), 2);
        backlog.push(Bytes::from_static(b"world"), 0);
        assert_eq!(backlog.bytes(), 9);
        backlog.advance(1);
        assert_eq!(backlog.bytes(), 8);
        assert_eq!(drain(&mut backlog), b"lo world");
        assert!(backlog.is_empty());
    }

    #[test]
    fn cutting_keeps_the_rest_of_the_half_sent_frame_whatever_was_sent() {
        let payloads: [&[u8]; 3] = [b"first", &[b'x'; 300], b"third"];
        let all = frames(&payloads);
        let borders = [0, 7, 7 + 304, all.len()];
        for sent in 0..all.len() {
            let mut backlog = Backlog::new(0);
            backlog.push(all.clone(), sent);
            backlog.push(frames(&[b"later"]), 0);
            backlog.cut_to(Bytes::from_static(b"BYE"), Framing::Frames);
            backlog.push(frames(&[b"too late"]), 0);
            let end = *borders.iter().find(|&&b| b >= sent).unwrap();
            let expected = [&all[sent..end], b"BYE"].concat();
            assert_eq!(drain(&mut backlog), expected, "{sent} bytes sent");
        }
    }

    #[test]
    fn cutting_keeps_the_answer_to_the_handshake_whole_whatever_was_sent() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        let all = Bytes::from([&answer[..], &frames(&[b"pong"])].concat());
        for sent in 0..all.len() {
            let mut backlog = Backlog::new(0);
            backlog.push(all.clone(), sent);
            backlog.cut_to(Bytes::from_static(b"BYE"), Framing::Frames);
            let end = if sent <= answer.len() {
                answer.len()
            } else {
                all.len()
            };
            let expected = [&all[sent..end], b"BYE"].concat();
            assert_eq!(drain(&mut backlog), expected, "{sent} bytes sent");
        }
    }
    #[test]
    fn cutting_keeps_the_rest_of_the_half_sent_event_and_the_head_of_the_stream() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_vec();
        for head in [head, Vec::new()] {
            let mut all = head.clone();
            let mut borders = vec![0, head.len()];
            for payload in ["first", "second\n\nin lines", ""] {
                sse::put_message(&mut all, Kind::Text, payload.as_bytes());
                borders.push(all.len());
            }
            for sent in 0..all.len() {
                let mut backlog = Backlog::new(0);
                backlog.push(all.clone().into(), sent);
                backlog.push(Bytes::from_static(b"data: later\n\n"), 0);
                backlog.cut_to(Bytes::from_static(b"BYE"), Framing::Blocks);
                let begun = |&border: &usize| border >= sent && (border > 0 || head.is_empty());
                let end = borders.iter().copied().find(begun).unwrap();
                let expected = [&all[sent..end], b"BYE"].concat();
                assert_eq!(drain(&mut backlog), expected, "{sent} bytes sent");
            }
        }
    }
}
