//! What clients write and read, done naively and without the library's own codec.

use super::event_stream::EventStream;
use super::keeping::Since;
use crate::inflate;

/// The sample key of RFC 6455, section 1.3, and the answer that it must get.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Set in a frame's first byte when its message is compressed.
pub const COMPRESSED: u8 = 0x40;

/// An opening handshake; with an offer of permessage-deflate, if it is to have one.
pub fn request(path: &str, offers_deflate: bool) -> Vec<u8> {
    let offer = match offers_deflate {
        true => "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        false => "",
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: push.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    )
    .into_bytes()
}

/// A request for an event stream, perhaps with the place as browsers say it, which counts for more than the path's.
pub fn stream_request(path: &str, since: Option<&Since>) -> Vec<u8> {
    let head = "Host: push.example\r\nAccept: text/event-stream";
    let last = since.and_then(|since| Some((since.epoch?, since.offset)));
    let last = last.map_or_else(String::new, |(epoch, offset)| {
        format!("\r\nLast-Event-ID: {epoch:x}:{offset}")
    });
    format!("GET {path} HTTP/1.1\r\n{head}{last}\r\n\r\n").into_bytes()
}

/// A payload as a compressor writes it that finds nothing to make shorter: one stored block.
pub fn stored(payload: &[u8]) -> Vec<u8> {
    let [a, b] = (payload.len() as u16).to_le_bytes();
    [&[0, a, b, !a, !b], payload, &[0]].concat()
}

/// A masked frame, final.
pub fn masked(opcode: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=65_535 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    out.extend(
        payload
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ key[i % 4]),
    );
    out
}

/// Something whole that the server has said.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Status(u16),
    Data {
        text: bool,
        payload: Vec<u8>,
    },
    /// What was missed is not kept any more; the stream goes on behind that offset.
    Gap(u64),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

/// Collects the server's bytes and finds in them what it says.
#[derive(Default)]
pub struct Incoming {
    buffer: Vec<u8>,
    status: Option<u16>,
    /// The window of the server that has agreed to an offer, in bytes.
    window_bytes: Option<usize>,
    closed: bool,
    /// What has begun in a WebSocket's place.
    stream: Option<EventStream>,
}

impl Incoming {
    /// Adds bytes; an error where no server may have sent them.
    pub fn push(&mut self, bytes: &[u8], said: &mut Vec<Said>) -> Result<(), String> {
        self.buffer.extend_from_slice(bytes);
        if self.status.is_none() {
            let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") else {
                return self.check_head_so_far();
            };
            let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
            let head = String::from_utf8(head).map_err(|_| "a head that is not UTF-8")?;
            let status = head
                .strip_prefix("HTTP/1.1 ")
                .and_then(|rest| rest.get(..3)?.parse().ok())
                .ok_or_else(|| format!("no HTTP answer: {head:?}"))?;
            if status == 101 && !head.contains(ACCEPT) {
                return Err(format!("the wrong Sec-WebSocket-Accept: {head:?}"));
            }
            self.status = Some(status);
            self.window_bytes = window_bytes(&head)?;
            if head.contains("\r\nContent-Type: text/event-stream\r\n") {
                self.stream = Some(EventStream::default());
            }
            said.push(Said::Status(status));
        }
        if let Some(stream) = &mut self.stream {
            return stream.push(&std::mem::take(&mut self.buffer), said);
        }
        if self.status != Some(101) {
            self.buffer.clear();
            return Ok(());
        }
        while let Some((frame, len)) = self.frame()? {
            if self.closed {
                return Err("something after the close frame".to_owned());
            }
            self.closed = matches!(frame, Said::Close(_));
            said.push(frame);
            self.buffer.drain(..len);
        }
        Ok(())
    }

    /// Bytes that make no whole yet.
    pub fn has_half(&self) -> bool {
        !self.buffer.is_empty() || self.stream.as_ref().is_some_and(EventStream::is_inside)
    }

    /// Whether it is an event stream that has begun.
    pub fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether the server has agreed to an offer of compression.
    pub fn has_agreed(&self) -> bool {
        self.window_bytes.is_some()
    }

    fn check_head_so_far(&self) -> Result<(), String> {
        let begin = b"HTTP/1.1 ";
        let len = begin.len().min(self.buffer.len());
        if self.buffer[..len] == begin[..len] {
            Ok(())
        } else {
            Err(format!(
                "bytes before the answer: {:?}",
                &self.buffer[..len]
            ))
        }
    }

    fn frame(&self) -> Result<Option<(Said, usize)>, String> {
        let &[first, second, ..] = &self.buffer[..] else {
            return Ok(None);
        };
        let is_compressed = first & COMPRESSED != 0;
        let may_be = self.has_agreed() && matches!(first & 0x0f, TEXT | BINARY);
        if first & 0xb0 != 0x80 || second & 0x80 != 0 || (is_compressed && !may_be) {
            return Err(format!(
                "a frame that begins with {first:#04x} {second:#04x}"
            ));
        }
        let (header_len, len) = match second {
            126 if self.buffer.len() < 4 => return Ok(None),
            126 => (
                4,
                usize::from(u16::from_be_bytes([self.buffer[2], self.buffer[3]])),
            ),
            127 if self.buffer.len() < 10 => return Ok(None),
            127 => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&self.buffer[2..10]);
                (10, u64::from_be_bytes(bytes) as usize)
            }
            short => (2, usize::from(short)),
        };
        if self.buffer.len() < header_len + len {
            return Ok(None);
        }
        let mut payload = self.buffer[header_len..header_len + len].to_vec();
        if let Some(window_bytes) = self.window_bytes.filter(|_| is_compressed) {
            let bounds = inflate::Bounds {
                window_bytes,
                message_bytes_max: usize::MAX,
                final_blocks_max: 0,
            };
            payload = inflate::message(&payload, &[], &bounds)
                .map_err(|refused| format!("a compressed message: {refused:?}"))?;
        }
        let said = match first & 0x0f {
            TEXT => Said::Data {
                text: true,
                payload,
            },
            BINARY => Said::Data {
                text: false,
                payload,
            },
            CLOSE => Said::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
            PING => Said::Ping(payload),
            PONG => Said::Pong,
            other => return Err(format!("a frame with opcode {other}")),
        };
        Ok(Some((said, header_len + len)))
    }
}

/// The server's window that the answer to a handshake agrees to, if it agrees to compression.
fn window_bytes(head: &str) -> Result<Option<usize>, String> {
    let Some((_, agreed)) = head.split_once("\r\nSec-WebSocket-Extensions: ") else {
        return Ok(None);
    };
    let agreed = agreed.lines().next().unwrap_or_default();
    if !agreed.starts_with("permessage-deflate; server_no_context_takeover") {
        return Err(format!("agreed to what was not offered: {agreed:?}"));
    }
    let bits = match agreed.split_once("server_max_window_bits=") {
        Some((_, rest)) => rest.split(';').next().unwrap_or_default().parse(),
        None => Ok(15),
    };
    let bits: u32 = bits.map_err(|_| format!("a window that is none: {agreed:?}"))?;
    Ok(Some(1 << bits))
}
