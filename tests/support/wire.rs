//! WebSocket by hand: a socket on which every byte can be chosen, right or wrong.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::http::{Answer, read_answer, read_head};
use super::{DEADLINE, Message};

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

const MASKED: u8 = 0x80;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The lines of a valid opening handshake, to be changed by the tests.
pub fn handshake_lines(path: &str) -> Vec<String> {
    [
        &format!("GET {path} HTTP/1.1"),
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The lines as they go over the wire.
pub fn head(lines: &[String]) -> Vec<u8> {
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

/// A client's frame: masked, its length in the shortest form. `first` is the opcode with [`FIN`] and the RSV bits.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        length @ 0..=125 => Length::Seven(length as u8),
        length @ 126..=0xffff => Length::Sixteen(length as u16),
        length => Length::SixtyFour(length as u64),
    };
    let mut frame = frame_head(first, length);
    frame.extend(masked(payload));
    frame
}

/// How a frame's length is written.
pub enum Length {
    Seven(u8),
    Sixteen(u16),
    SixtyFour(u64),
}

/// Everything of a client's frame before the payload, the mask bit set.
pub fn frame_head(first: u8, length: Length) -> Vec<u8> {
    let mut head = vec![first];
    match length {
        Length::Seven(length) => head.push(MASKED | length),
        Length::Sixteen(length) => {
            head.push(MASKED | 126);
            head.extend(length.to_be_bytes());
        }
        Length::SixtyFour(length) => {
            head.push(MASKED | 127);
            head.extend(length.to_be_bytes());
        }
    }
    head.extend(KEY);
    head
}

/// A payload as it goes behind [`frame_head`].
pub fn masked(payload: &[u8]) -> Vec<u8> {
    payload
        .iter()
        .zip(KEY.iter().cycle())
        .map(|(byte, key)| byte ^ key)
        .collect()
}

/// A close frame's payload.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// What the server said.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Message(Message),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close {
        code: Option<u16>,
        reason: String,
    },
    /// The server has shut its side down, in order or by a reset.
    End,
}

/// A plain socket to the public listener.
pub struct Socket {
    stream: BufReader<TcpStream>,
}

impl Socket {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// The same over a connection made elsewhere.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// A WebSocket, its handshake done.
    pub fn open(address: SocketAddr, path: &str) -> Self {
        Self::open_with(address, path, &[]).0
    }

    /// The same with more header lines, and the server's answer.
    pub fn open_with(address: SocketAddr, path: &str, lines: &[&str]) -> (Self, Answer) {
        let mut socket = Self::connect(address);
        let mut all = handshake_lines(path);
        all.extend(lines.iter().map(|&line| line.to_owned()));
        socket.send(&head(&all));
        let answer = socket.answer();
        assert_eq!(answer.status, 101, "{path}: {answer:?}");
        (socket, answer)
    }

    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Sends what the server may refuse to take to its end.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub fn send_text(&mut self, text: &str) {
        self.send(&frame(FIN | TEXT, text.as_bytes()));
    }

    /// Says that nothing more will be sent.
    pub fn shut_down_writing(&self) {
        self.stream().shutdown(Shutdown::Write).unwrap();
    }

    /// The answer to an HTTP request.
    pub fn answer(&mut self) -> Answer {
        read_answer(&mut self.stream).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The head of the answer to an HTTP request.
    pub fn answer_head(&mut self) -> Answer {
        read_head(&mut self.stream).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The next bytes, whatever they are; none at the end.
    pub fn some_bytes(&mut self) -> Vec<u8> {
        let bytes = match self.stream.fill_buf() {
            Ok(bytes) => bytes.to_vec(),
            Err(error) if is_end(&error) => Vec::new(),
            Err(error) => panic!("nothing was said in {DEADLINE:?}: {error}"),
        };
        self.stream.consume(bytes.len());
        bytes
    }

    /// Whether the server has closed the connection after what has been read.
    pub fn is_ended(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(rest) => rest.is_empty(),
            Err(error) => is_end(&error) || panic!("{error}"),
        }
    }

    /// The next frame. Checks what holds for every frame to a client that agreed to no extension: no mask, no RSV bit, the
    /// shortest form of the length, no fragments.
    pub fn next(&mut self) -> Said {
        let Some((first, payload)) = self.next_frame() else {
            return Said::End;
        };
        assert_eq!(first & 0xf0, FIN, "FIN set, RSV clear: {first:#010b}");
        match first & 0x0f {
            TEXT => Said::Message(Message::Text(String::from_utf8(payload).unwrap())),
            BINARY => Said::Message(Message::Binary(payload)),
            PING => Said::Ping(payload),
            PONG => Said::Pong(payload),
            CLOSE => said_close(&payload),
            other => panic!("a frame with opcode {other:#x}"),
        }
    }

    /// The next frame's first byte and payload; `None` at the end. No mask, the shortest form of the length.
    pub fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut start = [0; 2];
        match self.stream.read_exact(&mut start) {
            Ok(()) => {}
            Err(error) if is_end(&error) => return None,
            Err(error) => panic!("nothing was said in {DEADLINE:?}: {error}"),
        }
        let [first, second] = start;
        assert_eq!(second & MASKED, 0, "a server's frame is not masked");
        let length = match second {
            126 => {
                let length = u64::from(u16::from_be_bytes(self.read_array()));
                assert!(length > 125, "not the shortest form");
                length
            }
            127 => {
                let length = u64::from_be_bytes(self.read_array());
                assert!(length > 0xffff, "not the shortest form");
                length
            }
            short => short.into(),
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).unwrap();
        Some((first, payload))
    }

    fn read_array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The next frame, which must be a message.
    pub fn message(&mut self) -> Message {
        match self.next() {
            Said::Message(message) => message,
            other => panic!("a message is expected, not {other:?}"),
        }
    }

    /// The code that the server closes with next, after which its end must come.
    pub fn close_code(&mut self) -> u16 {
        match self.next() {
            Said::Close {
                code: Some(code), ..
            } => {
                assert_eq!(self.next(), Said::End, "after a close frame comes the end");
                code
            }
            other => panic!("a close frame with a code is expected, not {other:?}"),
        }
    }
}

fn said_close(payload: &[u8]) -> Said {
    let Some((code, reason)) = payload.split_first_chunk() else {
        assert!(payload.is_empty(), "half a close code");
        return Said::Close {
            code: None,
            reason: String::new(),
        };
    };
    Said::Close {
        code: Some(u16::from_be_bytes(*code)),
        reason: String::from_utf8(reason.to_vec()).unwrap(),
    }
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}
