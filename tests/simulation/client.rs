//! The far ends of the sockets: what clients send, and what they make of what they receive.

use std::collections::VecDeque;

/// What a client is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Subscribes before anything is published, reads everything at once, never fails.
    Witness,
    Subscriber,
    Publisher,
    /// Sends what no client may send.
    Misbehaver,
}

/// How a client takes what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Fast,
    /// So many bytes a round at the most.
    Slow(usize),
    /// Not one more byte.
    Stopped,
}

pub struct Client {
    pub role: Role,
    pub channel: usize,
    pub pace: Pace,
    /// Bytes on their way to the server.
    pub to_server: VecDeque<u8>,
    /// The client has closed its sending side behind these bytes.
    pub finished: bool,
    /// The connection has been reset.
    pub reset: bool,
    /// The server has closed its side and everything before that has been read.
    pub ended: bool,
    /// Status of the answer to the opening handshake.
    pub status: Option<u16>,
    pub messages: Vec<String>,
    pub close_code: Option<u16>,
    /// For publishers: how many messages have been written.
    pub written: usize,
    received: Vec<u8>,
}

impl Client {
    pub fn new(role: Role, channel: usize, pace: Pace) -> Self {
        let path = match role {
            Role::Publisher => format!("/pub/c{channel}"),
            _ => format!("/sub/c{channel}"),
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        Self {
            role,
            channel,
            pace,
            to_server: request.into_bytes().into(),
            finished: false,
            reset: false,
            ended: false,
            status: None,
            messages: Vec::new(),
            close_code: None,
            written: 0,
            received: Vec::new(),
        }
    }

    /// Whether it is connected as far as it knows, and has been told nothing else.
    pub fn is_open(&self) -> bool {
        !self.reset && !self.ended && !self.finished && self.close_code.is_none()
    }

    /// Queues a masked frame.
    pub fn send_frame(&mut self, first: u8, payload: &[u8]) {
        assert!(payload.len() < 126);
        let key = [7, 77, 177, 254];
        self.to_server.push_back(first);
        self.to_server.push_back(0x80 | payload.len() as u8);
        self.to_server.extend(key);
        self.to_server
            .extend(payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
    }

    /// Takes bytes from the server in; an error where they are not what a server may send.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.received.extend_from_slice(bytes);
        if self.status.is_none() {
            let text = String::from_utf8_lossy(&self.received).into_owned();
            let Some(end) = text.find("\r\n\r\n") else {
                return Ok(());
            };
            let status = text.get(9..12).and_then(|s| s.parse().ok());
            self.status = Some(status.ok_or("no status in the answer")?);
            self.received.drain(..end + 4);
        }
        if self.status != Some(101) {
            return Ok(());
        }
        while let Some((opcode, payload)) = self.next_frame()? {
            if self.close_code.is_some() {
                return Err("a frame behind the close frame".into());
            }
            match opcode {
                0x1 => self
                    .messages
                    .push(String::from_utf8(payload).map_err(|e| e.to_string())?),
                0x8 => {
                    self.close_code = Some(match payload[..] {
                        [a, b, ..] => u16::from_be_bytes([a, b]),
                        _ => 1005,
                    });
                }
                0x9 if !self.finished => self.send_frame(0x8a, &payload),
                0x9 | 0xa => {}
                other => return Err(format!("opcode {other}")),
            }
        }
        Ok(())
    }

    fn next_frame(&mut self) -> Result<Option<(u8, Vec<u8>)>, String> {
        let [first, second, ..] = self.received[..] else {
            return Ok(None);
        };
        if first & 0xf0 != 0x80 || second & 0x80 != 0 {
            return Err(format!(
                "bytes {first:#x} {second:#x} begin no frame of a server"
            ));
        }
        let (len, header) = match second {
            126 => {
                let Some(len) = self.received.get(2..4) else {
                    return Ok(None);
                };
                (usize::from(u16::from_be_bytes([len[0], len[1]])), 4)
            }
            127 => return Err("no message is that long".into()),
            len => (usize::from(len), 2),
        };
        if self.received.len() < header + len {
            return Ok(None);
        }
        let frame: Vec<u8> = self.received.drain(..header + len).collect();
        Ok(Some((first & 0xf, frame[header..].to_vec())))
    }
}
