//! What clients write and read, done naively and without the library's own codec.

/// The sample key of RFC 6455, section 1.3, and the answer that it must get.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// An opening handshake.
pub fn request(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: push.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
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
    Data { text: bool, payload: Vec<u8> },
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

/// Collects the server's bytes and finds in them what it says.
#[derive(Default)]
pub struct Incoming {
    buffer: Vec<u8>,
    status: Option<u16>,
    closed: bool,
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
            said.push(Said::Status(status));
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
        !self.buffer.is_empty()
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
        if first & 0xf0 != 0x80 || second & 0x80 != 0 {
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
        let payload = self.buffer[header_len..header_len + len].to_vec();
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
