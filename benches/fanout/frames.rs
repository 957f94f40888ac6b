//! Server-to-client WebSocket frames, cut out of a byte stream that may be split anywhere.
//!
//! Only what a raw subscriber may be sent is accepted: unfragmented data frames and control frames, unmasked, without
//! reserved bits (RFC 6455, section 5.2) but the first, and that only where compression was agreed on (RFC 7692). Nothing is allocated but the copy of a frame that a read has cut in two.

/// One frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole text or binary message.
    Message(&'a [u8]),
    /// The same compressed.
    Compressed(&'a [u8]),
    /// A ping, to be answered with the same payload (section 5.5.2).
    Ping(&'a [u8]),
    /// A pong, which needs no answer.
    Pong,
    /// A close frame; the payload is the code and the reason (section 5.5.1).
    Close(&'a [u8]),
}

/// What a server must not have sent to a raw subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The mask bit is set on a frame from the server (section 5.1).
    #[error("the server masked a frame")]
    Masked,
    /// A reserved bit is set though no extension was offered.
    #[error("the server set a reserved bit")]
    Reserved,
    /// A publication has to arrive as one frame.
    #[error("the server fragmented a message")]
    Fragmented,
    /// An opcode that RFC 6455 does not define.
    #[error("the server sent an unknown opcode")]
    Opcode,
}

/// Reassembles the frames of one connection.
#[derive(Default)]
pub struct FrameReader {
    tail: Vec<u8>,
    takes_compressed: bool,
}

impl FrameReader {
    /// A reader of a connection that has agreed to permessage-deflate.
    pub fn of_compressed() -> Self {
        Self {
            tail: Vec::new(),
            takes_compressed: true,
        }
    }

    /// Takes the next `bytes` of the stream and hands every frame that is complete now to `each`, in order.
    ///
    /// After an error the stream's frame boundaries are unknown: nothing more may be read from it.
    pub fn read(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Frame<'_>),
    ) -> Result<(), Violation> {
        if !self.tail.is_empty() {
            match self.complete_tail(bytes, &mut each)? {
                Some(rest) => bytes = rest,
                None => return Ok(()),
            }
        }
        while let Some(length) = frame_length(bytes, self.takes_compressed)? {
            let Some((frame, rest)) = bytes.split_at_checked(length.total()) else {
                break;
            };
            each(classify(frame[0], &frame[length.header..])?);
            bytes = rest;
        }
        self.tail.extend_from_slice(bytes);
        Ok(())
    }

    /// Feeds the frame that an earlier read began. Returns what is left of `bytes` once it is whole.
    fn complete_tail<'b>(
        &mut self,
        mut bytes: &'b [u8],
        each: &mut impl FnMut(Frame<'_>),
    ) -> Result<Option<&'b [u8]>, Violation> {
        loop {
            let wanted = match frame_length(&self.tail, self.takes_compressed)? {
                Some(length) if length.total() == self.tail.len() => {
                    each(classify(self.tail[0], &self.tail[length.header..])?);
                    self.tail.clear();
                    return Ok(Some(bytes));
                }
                Some(length) => length.total() - self.tail.len(),
                None => 1,
            };
            if bytes.is_empty() {
                return Ok(None);
            }
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.tail.extend_from_slice(taken);
            bytes = rest;
        }
    }
}

/// Bytes of a frame's header and of its payload.
struct FrameLength {
    header: usize,
    payload: usize,
}

impl FrameLength {
    fn total(&self) -> usize {
        self.header.saturating_add(self.payload)
    }
}

/// The length of the frame that `bytes` begins with, or `None` while its header is not complete.
fn frame_length(bytes: &[u8], takes_compressed: bool) -> Result<Option<FrameLength>, Violation> {
    let Some(&[first, second]) = bytes.first_chunk() else {
        return Ok(None);
    };
    if first & 0x70 != 0 && !(takes_compressed && matches!(first, 0xc1 | 0xc2)) {
        return Err(Violation::Reserved);
    }
    if second & 0x80 != 0 {
        return Err(Violation::Masked);
    }
    Ok(match second {
        126 => bytes.first_chunk().map(|&[_, _, a, b]| FrameLength {
            header: 4,
            payload: usize::from(u16::from_be_bytes([a, b])),
        }),
        127 => bytes
            .get(2..10)
            .and_then(|length| length.first_chunk())
            .map(|&length| FrameLength {
                header: 10,
                payload: usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX),
            }),
        short => Some(FrameLength {
            header: 2,
            payload: usize::from(short),
        }),
    })
}

fn classify(first: u8, payload: &[u8]) -> Result<Frame<'_>, Violation> {
    match first {
        0x81 | 0x82 => Ok(Frame::Message(payload)),
        0xc1 | 0xc2 => Ok(Frame::Compressed(payload)),
        0x89 => Ok(Frame::Ping(payload)),
        0x8a => Ok(Frame::Pong),
        0x88 => Ok(Frame::Close(payload)),
        0x00..=0x02 | 0x80 => Err(Violation::Fragmented),
        _ => Err(Violation::Opcode),
    }
}
