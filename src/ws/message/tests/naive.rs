//! The receiving side once more, byte by byte as the RFC words it, with the whole stream at hand.

use std::ops::RangeInclusive;

use super::super::{CloseError, DecompressError, FrameError, Item, ReadError};
use crate::ws::deflate::tests::naive::{self as inflate, Refused};
use crate::ws::deflate::{Agreement, FINAL_BLOCKS_MAX, compressed_len_max};

/// What a stream says.
#[derive(Debug, PartialEq)]
pub struct Decoded {
    pub items: Vec<Item<'static>>,
    pub error: Option<ReadError>,
    /// Bytes of the stream that show the error; all of them where there is none.
    pub known_at: usize,
    /// Whether the stream ends between two messages.
    pub is_idle: bool,
    /// Whether later messages may refer to earlier ones.
    pub has_history: bool,
}

/// Decodes a whole stream.
pub fn decode(stream: &[u8], message_bytes_max: usize, deflate: Option<Agreement>) -> Decoded {
    let mut decoder = Decoder {
        stream,
        deflate,
        at: 0,
        message: None,
        items: Vec::new(),
        history: Vec::new(),
    };
    let end = loop {
        if decoder.at == stream.len() {
            break Stop::Idle(decoder.message.is_none());
        }
        if let Err(stop) = decoder.frame(message_bytes_max) {
            break stop;
        }
    };
    let (error, is_idle) = match end {
        Stop::Idle(is_idle) => (None, is_idle),
        Stop::InFrame => (None, false),
        Stop::Broken(error) => (Some(error), false),
    };
    Decoded {
        items: decoder.items,
        error,
        known_at: decoder.at,
        is_idle,
        has_history: !decoder.history.is_empty(),
    }
}

/// Where decoding comes to its end.
enum Stop {
    /// Between two frames; whether that is between two messages too.
    Idle(bool),
    InFrame,
    Broken(ReadError),
}

impl<E: Into<ReadError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

struct Decoder<'a> {
    stream: &'a [u8],
    deflate: Option<Agreement>,
    /// Bytes looked at.
    at: usize,
    message: Option<Message>,
    items: Vec<Item<'static>>,
    /// All that a client which keeps its context has sent compressed.
    history: Vec<u8>,
}

struct Message {
    is_compressed: bool,
    is_text: bool,
    payload: Vec<u8>,
    utf8: Utf8,
}

impl Decoder<'_> {
    fn byte(&mut self) -> Result<u8, Stop> {
        let byte = *self.stream.get(self.at).ok_or(Stop::InFrame)?;
        self.at += 1;
        Ok(byte)
    }

    fn number(&mut self, first: u8, more: usize) -> Result<u64, Stop> {
        let mut number = u64::from(first);
        for _ in 0..more {
            number = number << 8 | u64::from(self.byte()?);
        }
        Ok(number)
    }

    fn frame(&mut self, message_bytes_max: usize) -> Result<(), Stop> {
        let first = self.byte()?;
        let (is_final, opcode) = (first >= 0x80, first % 16);
        let is_compressed = first & 0x40 != 0;
        if first & 0x30 != 0 || (is_compressed && self.deflate.is_none()) {
            return Err(FrameError::ReservedBit.into());
        }
        if ![0, 1, 2, 8, 9, 10].contains(&opcode) {
            return Err(FrameError::ReservedOpcode(opcode).into());
        }
        if opcode >= 8 && !is_final {
            return Err(FrameError::FragmentedControl.into());
        }
        if is_compressed && opcode != 1 && opcode != 2 {
            return Err(FrameError::ReservedBit.into());
        }
        let second = self.byte()?;
        if second < 0x80 {
            return Err(FrameError::Unmasked.into());
        }
        if opcode >= 8 && second - 0x80 > 125 {
            return Err(FrameError::LongControl.into());
        }
        let len = self.length(second - 0x80)?;
        let key = [self.byte()?, self.byte()?, self.byte()?, self.byte()?];
        match opcode {
            8..=10 => {
                let mut payload = Vec::new();
                self.payload(len, key, |byte| {
                    payload.push(byte);
                    Ok(())
                })?;
                self.items.push(control(opcode, &payload)?);
                return Ok(());
            }
            0 if self.message.is_none() => return Err(ReadError::NothingToContinue.into()),
            1 | 2 if self.message.is_some() => return Err(ReadError::Interleaved.into()),
            _ => {}
        }
        let mut message = self.message.take().unwrap_or_else(|| Message {
            is_compressed,
            is_text: opcode == 1,
            payload: Vec::new(),
            utf8: Utf8::default(),
        });
        let payload_max = match message.is_compressed {
            true => compressed_len_max(message_bytes_max),
            false => message_bytes_max,
        };
        if u128::from(len) + message.payload.len() as u128 > payload_max as u128 {
            return Err(ReadError::TooBig(message_bytes_max).into());
        }
        self.payload(len, key, |byte| {
            message.payload.push(byte);
            if message.is_text && !message.is_compressed && !message.utf8.goes_on_with(byte) {
                return Err(ReadError::NotUtf8);
            }
            Ok(())
        })?;
        if !is_final {
            self.message = Some(message);
            return Ok(());
        }
        if message.is_compressed {
            message.payload = self.decompress(&message.payload, message_bytes_max)?;
            for &byte in message.payload.iter().take_while(|_| message.is_text) {
                if !message.utf8.goes_on_with(byte) {
                    return Err(ReadError::NotUtf8.into());
                }
            }
        }
        if message.is_text && !message.utf8.may_end() {
            return Err(ReadError::NotUtf8.into());
        }
        self.items.push(if message.is_text {
            let text = String::from_utf8(message.payload).expect("UTF-8, checked byte by byte");
            Item::Text(text.into())
        } else {
            Item::Binary(message.payload.into())
        });
        Ok(())
    }

    fn decompress(&mut self, compressed: &[u8], max: usize) -> Result<Vec<u8>, ReadError> {
        let bounds = inflate::Bounds {
            window_bytes: 32_768,
            message_bytes_max: max,
            final_blocks_max: FINAL_BLOCKS_MAX,
        };
        let message =
            inflate::message(compressed, &self.history, &bounds).map_err(
                |refused| match refused {
                    Refused::Damaged => DecompressError::Damaged,
                    Refused::TooBig => DecompressError::TooBig(max),
                    Refused::TooManyFinalBlocks => DecompressError::TooManyFinalBlocks,
                },
            )?;
        if self.deflate.is_some_and(Agreement::client_keeps_context) {
            self.history.extend_from_slice(&message);
        }
        Ok(message)
    }

    fn length(&mut self, short: u8) -> Result<u64, Stop> {
        let (len, least) = match short {
            126 => (self.number(0, 2)?, 126),
            127 => {
                let first = self.byte()?;
                if first >= 0x80 {
                    return Err(FrameError::NegativeLength.into());
                }
                (self.number(first, 7)?, 65_536)
            }
            short => (u64::from(short), 0),
        };
        if len < least {
            return Err(FrameError::LongLength.into());
        }
        Ok(len)
    }

    fn payload(
        &mut self,
        len: u64,
        key: [u8; 4],
        mut take: impl FnMut(u8) -> Result<(), ReadError>,
    ) -> Result<(), Stop> {
        for (_, key) in (0..len).zip(key.into_iter().cycle()) {
            take(self.byte()? ^ key)?;
        }
        Ok(())
    }
}

fn control(opcode: u8, payload: &[u8]) -> Result<Item<'static>, ReadError> {
    Ok(match (opcode, payload) {
        (9, _) => Item::Ping(payload.to_vec().into()),
        (10, _) => Item::Pong,
        (_, []) => Item::Close(None),
        (_, [_]) => return Err(CloseError::OneByte.into()),
        (_, [high, low, reason @ ..]) => {
            let code = u16::from(*high) * 256 + u16::from(*low);
            if code <= 999
                || (1004..=1006).contains(&code)
                || (1015..=2999).contains(&code)
                || code >= 5000
            {
                return Err(CloseError::Code(code).into());
            }
            let reason = String::from_utf8(reason.to_vec()).map_err(|_| CloseError::Reason)?;
            Item::Close(Some((code, reason.into())))
        }
    })
}

/// The syntax of UTF-8 (RFC 3629, section 4): what may stand in the places to come.
#[derive(Default)]
struct Utf8(Vec<RangeInclusive<u8>>);

impl Utf8 {
    fn goes_on_with(&mut self, byte: u8) -> bool {
        if !self.0.is_empty() {
            return self.0.remove(0).contains(&byte);
        }
        let tail = 0x80..=0xbf;
        self.0 = match byte {
            0x00..=0x7f => vec![],
            0xc2..=0xdf => vec![tail],
            0xe0 => vec![0xa0..=0xbf, tail],
            0xed => vec![0x80..=0x9f, tail],
            0xe1..=0xef => vec![tail.clone(), tail],
            0xf0 => vec![0x90..=0xbf, tail.clone(), tail],
            0xf1..=0xf3 => vec![tail.clone(), tail.clone(), tail],
            0xf4 => vec![0x80..=0x8f, tail.clone(), tail],
            _ => return false,
        };
        true
    }

    fn may_end(&self) -> bool {
        self.0.is_empty()
    }
}
