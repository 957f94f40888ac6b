//! The client's end of a WebSocket whose bytes come as they like.

use pushring::ws::deflate::{Decompressor, History};

use crate::support::wire::{CLOSE, FIN, PING, PONG, TEXT, frame};

/// The bit of a compressed message.
const RSV1: u8 = 0x40;
/// The longest message that is decompressed, in bytes.
const MESSAGE_BYTES_MAX: usize = 1_000_000;

/// What the server says.
#[derive(Debug)]
pub enum Said {
    /// The answer to the handshake, which is 101.
    Open,
    /// A message of text, which all are here.
    Text(Vec<u8>),
    /// A close frame.
    Closed { code: u16, reason: String },
}

/// Cuts the server's bytes into what they say. Answers pings.
#[derive(Default)]
pub struct WebSocket {
    bytes: Vec<u8>,
    is_open: bool,
    is_closed: bool,
    /// permessage-deflate was agreed on.
    deflates: bool,
}

impl WebSocket {
    /// Takes the next bytes in; an error where no server may have sent them.
    pub fn take(
        &mut self,
        bytes: &[u8],
        outgoing: &mut Vec<u8>,
        mut each: impl FnMut(Said, &mut Vec<u8>) -> Result<(), String>,
    ) -> Result<(), String> {
        self.bytes.extend_from_slice(bytes);
        let mut at = 0;
        if !self.is_open {
            let Some(end) = head_end(&self.bytes) else {
                return Ok(());
            };
            let head = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
            if !head.starts_with("HTTP/1.1 101 ") {
                return Err(format!("not let in: {head}"));
            }
            self.is_open = true;
            self.deflates = head.contains("permessage-deflate");
            at = end;
            each(Said::Open, outgoing)?;
        }
        while let Some((first, payload, end)) = next_frame(&self.bytes[at..])? {
            if self.is_closed {
                return Err("something behind the close frame".to_owned());
            }
            let mut payload = self.bytes[at..][payload].to_vec();
            at += end;
            if first & RSV1 != 0 {
                if !self.deflates {
                    return Err("a compressed message that was not agreed on".to_owned());
                }
                let inflated = Decompressor::default().decompress(
                    &payload,
                    &History::default(),
                    MESSAGE_BYTES_MAX,
                );
                payload = inflated.map_err(|error| error.to_string())?;
            }
            match first & 0x0f {
                TEXT => each(Said::Text(payload), outgoing)?,
                PING => outgoing.extend(frame(FIN | PONG, &payload)),
                CLOSE => {
                    self.is_closed = true;
                    each(closed(&payload), outgoing)?;
                }
                _ => return Err(format!("a frame that begins with {first:#04x}")),
            }
        }
        self.bytes.drain(..at);
        Ok(())
    }

    /// Whether the bytes end within a frame.
    pub fn is_inside(&self) -> bool {
        self.is_open && !self.bytes.is_empty()
    }
}

/// Where an HTTP head ends, if it does.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

/// First byte, place of the payload and end of the frame that the bytes begin with, if they hold all of it.
fn next_frame(bytes: &[u8]) -> Result<Option<(u8, std::ops::Range<usize>, usize)>, String> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & !RSV1 & 0xf0 != FIN || second & 0x80 != 0 {
        return Err(format!(
            "a frame that begins with {first:#04x} {second:#04x}"
        ));
    }
    let (begin, length) = match (second, rest) {
        (126, &[a, b, ..]) => (4, usize::from(u16::from_be_bytes([a, b]))),
        (127, rest) if rest.len() >= 8 => {
            let mut length = [0; 8];
            length.copy_from_slice(&rest[..8]);
            (10, u64::from_be_bytes(length) as usize)
        }
        (126 | 127, _) => return Ok(None),
        (short, _) => (2, usize::from(short)),
    };
    let end = begin + length;
    Ok((bytes.len() >= end).then_some((first, begin..end, end)))
}

fn closed(payload: &[u8]) -> Said {
    let code = payload
        .first_chunk()
        .map_or(1005, |code| u16::from_be_bytes(*code));
    let reason = payload.get(2..).unwrap_or_default();
    let reason = String::from_utf8_lossy(reason).into_owned();
    Said::Closed { code, reason }
}
