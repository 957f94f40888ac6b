//! From a client's bytes, however they are cut, to messages and control frames.

#![forbid(unsafe_code)]

mod saved;

use std::borrow::Cow;

pub use saved::{DamagedReader, SavedReader};

use super::close::{self, CloseCode, CloseError};
use super::deflate::{self, DecompressError, Decompression, History};
use super::frame::{self, FrameError, HEADER_LEN_MAX, Header, Opcode};
use super::mask;

/// Bounds of what a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest message in bytes, all fragments together.
    pub message_bytes_max: usize,
}

/// Something whole that has been received.
///
/// What lay in one piece in the input is lent, what had to be put together is owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// To be answered by a pong with the same payload (RFC 6455, section 5.5.2).
    Ping(Cow<'a, [u8]>),
    /// The answer to a ping, or a sign of life.
    Pong,
    /// The closing handshake; nothing after it counts (section 5.5.1).
    Close(Option<(u16, Cow<'a, str>)>),
}

/// What ends a connection; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A header that must not be sent.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A close frame that must not be sent.
    #[error(transparent)]
    Close(#[from] CloseError),
    /// Section 5.4.
    #[error("a continuation frame with no message begun")]
    NothingToContinue,
    /// Section 5.4.
    #[error("a new message inside of a fragmented one")]
    Interleaved,
    /// Section 8.1.
    #[error("a text message is not UTF-8")]
    NotUtf8,
    /// Known from the header, before the payload is read.
    #[error("a message has more than {0} bytes")]
    TooBig(usize),
    /// RFC 7692, section 7.2.2.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
}

impl ReadError {
    /// The code to close the connection with.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::Frame(error) => error.close_code(),
            Self::Close(error) => error.close_code(),
            Self::NothingToContinue | Self::Interleaved => CloseCode::PROTOCOL,
            Self::NotUtf8 => CloseCode::INVALID_PAYLOAD,
            Self::TooBig(_) | Self::Decompress(DecompressError::TooBig(_)) => CloseCode::TOO_BIG,
            // RFC 7692 names no code. Frame and extension were used as agreed, so that the protocol (1002) is not what
            // was broken: it is a payload that is not of the kind it says it is, as text that is not UTF-8.
            Self::Decompress(DecompressError::Damaged) => CloseCode::INVALID_PAYLOAD,
            Self::Decompress(DecompressError::TooManyFinalBlocks) => CloseCode::POLICY,
        }
    }
}

/// The receiving side of one connection. Between two messages it holds no memory but itself, and what a client that keeps
/// its context may refer back to.
#[derive(Default)]
pub struct Reader(Option<Box<Partial>>);

/// What has come of a header, a frame, a message.
#[derive(Default)]
struct Partial {
    header: [u8; HEADER_LEN_MAX],
    header_len: usize,
    /// The frame whose payload is being received, and how much of it has been.
    frame: Option<(Header, u64)>,
    control: Vec<u8>,
    /// Text or binary, while a message is in progress.
    message_kind: Option<Opcode>,
    message: Vec<u8>,
    /// Whether it is collected to be decompressed.
    is_compressed: bool,
    /// So many bytes of a text message are known to be UTF-8.
    checked: usize,
    /// The end of the compressed messages before, of a client that keeps its context.
    history: History,
}

impl Reader {
    /// Takes input in up to the end of the next item at most: how many bytes that were, and the
    /// item if it is whole. Call it until all input is taken. The input is unmasked in place.
    ///
    /// Compressed messages are taken where `decompression` is there, and it must be there for all of a connection's input
    /// or for none. They are decompressed when they are whole.
    ///
    /// # Errors
    /// [`ReadError`], as early as the bytes show it; the reader is of no use any more.
    pub fn read<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &Limits,
        decompression: Option<Decompression<'_>>,
    ) -> Result<(usize, Option<Item<'a>>), ReadError> {
        match self.0.take() {
            None => self.read_whole(input, limits, decompression),
            Some(partial) => self.read_part(partial, input, limits, decompression),
        }
    }

    /// With nothing in progress: the usual case is that one whole message lies in the input.
    fn read_whole<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &Limits,
        decompression: Option<Decompression<'_>>,
    ) -> Result<(usize, Option<Item<'a>>), ReadError> {
        let header = frame::decode_client_header(input, decompression.is_some())?;
        let keeps_context = decompression.as_ref().is_some_and(|d| d.keeps_context);
        let whole = header.and_then(|header| {
            let payload_len = usize::try_from(header.payload_len).ok()?;
            let end = header.header_len.checked_add(payload_len)?;
            let is_alone = header.fin && header.opcode != Opcode::Continuation;
            (is_alone && end <= input.len() && !(header.rsv1 && keeps_context))
                .then_some((header, end))
        });
        let Some((header, end)) = whole else {
            return self.read_part(Box::default(), input, limits, decompression);
        };
        if !header.opcode.is_control() {
            check_len(0, header.payload_len, header.rsv1, limits)?;
        }
        let payload = &mut input[header.header_len..end];
        mask::unmask(payload, header.mask, 0);
        let payload: Cow<'a, [u8]> = match decompression {
            Some(decompression) if header.rsv1 => {
                let max = limits.message_bytes_max;
                let history = &History::default();
                Cow::Owned(
                    decompression
                        .decompressor
                        .decompress(payload, history, max)?,
                )
            }
            _ => Cow::Borrowed(payload),
        };
        Ok((end, Some(item(header.opcode, payload)?)))
    }

    fn read_part<'a>(
        &mut self,
        mut partial: Box<Partial>,
        input: &mut [u8],
        limits: &Limits,
        decompression: Option<Decompression<'_>>,
    ) -> Result<(usize, Option<Item<'a>>), ReadError> {
        let header_bytes = match partial.frame {
            Some(_) => 0,
            None => partial.take_header(input, limits, decompression.is_some())?,
        };
        let taken = header_bytes + partial.take_payload(&mut input[header_bytes..])?;
        let item = partial.take_item(limits, decompression)?;
        if !partial.is_idle() || !partial.history.is_empty() {
            self.0 = Some(partial);
        }
        Ok((taken, item))
    }
}

impl Partial {
    /// Adds input to the header; returns the bytes taken.
    fn take_header(
        &mut self,
        input: &[u8],
        limits: &Limits,
        allow_compressed: bool,
    ) -> Result<usize, ReadError> {
        let before = self.header_len;
        let more = input.len().min(HEADER_LEN_MAX - before);
        self.header[before..before + more].copy_from_slice(&input[..more]);
        let header = &self.header[..before + more];
        let Some(header) = frame::decode_client_header(header, allow_compressed)? else {
            self.header_len += more;
            return Ok(more);
        };
        self.header_len = 0;
        match (header.opcode, self.message_kind) {
            (Opcode::Continuation, None) => return Err(ReadError::NothingToContinue),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(ReadError::Interleaved),
            (Opcode::Text | Opcode::Binary, None) => {
                self.message_kind = Some(header.opcode);
                self.is_compressed = header.rsv1;
            }
            _ => {}
        }
        if !header.opcode.is_control() {
            let before = self.message.len();
            check_len(before, header.payload_len, self.is_compressed, limits)?;
        }
        self.frame = Some((header, 0));
        Ok(header.header_len - before)
    }

    /// Adds input to the payload of the frame in progress; returns the bytes taken.
    fn take_payload(&mut self, input: &mut [u8]) -> Result<usize, ReadError> {
        let Some((header, received)) = &mut self.frame else {
            return Ok(0);
        };
        let missing = header.payload_len - *received;
        let more = input
            .len()
            .min(usize::try_from(missing).unwrap_or(usize::MAX));
        let payload = &mut input[..more];
        // Only the phase of the key matters, so the low bits are enough.
        mask::unmask(payload, header.mask, (*received % 4) as usize);
        *received += more as u64;
        if header.opcode.is_control() {
            self.control.extend_from_slice(payload);
        } else {
            self.message.extend_from_slice(payload);
            self.check_text()?;
        }
        Ok(more)
    }

    /// Looks at the bytes of a text message that have come since it was last looked at. A
    /// character may be cut, but what there is of it must be the beginning of one.
    fn check_text(&mut self) -> Result<(), ReadError> {
        if self.message_kind != Some(Opcode::Text) || self.is_compressed {
            return Ok(());
        }
        match simdutf8::compat::from_utf8(&self.message[self.checked..]) {
            Ok(_) => self.checked = self.message.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(ReadError::NotUtf8),
        }
        Ok(())
    }

    /// The control frame or message that has become whole.
    fn take_item<'a>(
        &mut self,
        limits: &Limits,
        decompression: Option<Decompression<'_>>,
    ) -> Result<Option<Item<'a>>, ReadError> {
        let Some((header, _)) = self
            .frame
            .take_if(|(h, received)| *received == h.payload_len)
        else {
            return Ok(None);
        };
        if header.opcode.is_control() {
            let payload = std::mem::take(&mut self.control);
            return item(header.opcode, Cow::Owned(payload)).map(Some);
        }
        if !header.fin {
            return Ok(None);
        }
        let Some(kind) = self.message_kind.take() else {
            return Ok(None);
        };
        let mut message = std::mem::take(&mut self.message);
        if std::mem::take(&mut self.is_compressed) {
            let decompression = decompression.ok_or(FrameError::ReservedBit)?;
            message = self.decompress(&message, limits, decompression)?;
        } else if kind == Opcode::Text && self.checked != message.len() {
            return Err(ReadError::NotUtf8);
        }
        self.checked = 0;
        item(kind, Cow::Owned(message)).map(Some)
    }

    fn decompress(
        &mut self,
        compressed: &[u8],
        limits: &Limits,
        decompression: Decompression<'_>,
    ) -> Result<Vec<u8>, DecompressError> {
        let max = limits.message_bytes_max;
        let message = decompression
            .decompressor
            .decompress(compressed, &self.history, max)?;
        if decompression.keeps_context {
            self.history.push(&message, decompression.window);
        }
        Ok(message)
    }

    fn is_idle(&self) -> bool {
        self.header_len == 0 && self.frame.is_none() && self.message_kind.is_none()
    }
}

fn check_len(
    before: usize,
    more: u64,
    is_compressed: bool,
    limits: &Limits,
) -> Result<(), ReadError> {
    let max = match limits.message_bytes_max {
        max if is_compressed => deflate::compressed_len_max(max),
        max => max,
    };
    if more > max.saturating_sub(before) as u64 {
        return Err(ReadError::TooBig(limits.message_bytes_max));
    }
    Ok(())
}

fn text(payload: Cow<'_, [u8]>) -> Result<Cow<'_, str>, ReadError> {
    match payload {
        Cow::Borrowed(payload) => simdutf8::basic::from_utf8(payload)
            .map(Cow::Borrowed)
            .map_err(|_| ReadError::NotUtf8),
        Cow::Owned(payload) => String::from_utf8(payload)
            .map(Cow::Owned)
            .map_err(|_| ReadError::NotUtf8),
    }
}

fn item(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Item<'_>, ReadError> {
    Ok(match opcode {
        Opcode::Text => Item::Text(text(payload)?),
        Opcode::Binary | Opcode::Continuation => Item::Binary(payload),
        Opcode::Ping => Item::Ping(payload),
        Opcode::Pong => Item::Pong,
        Opcode::Close => Item::Close(match payload {
            Cow::Borrowed(payload) => {
                close::parse_close(payload)?.map(|(code, reason)| (code, Cow::Borrowed(reason)))
            }
            Cow::Owned(payload) => close::parse_close(&payload)?
                .map(|(code, reason)| (code, Cow::Owned(reason.to_owned()))),
        }),
    })
}

#[cfg(test)]
mod tests;
