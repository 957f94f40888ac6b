//! STOMP by hand: frames as the test writes them, byte for byte, and what the server says to them.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::DEADLINE;
use super::http::Answer;
use super::wire::{BINARY, CLOSE, FIN, Socket, TEXT, close_payload, frame};

/// The subprotocols as the tutorials' clients offer them.
pub const PROTOCOLS: &str = "v10.stomp, v11.stomp, v12.stomp";

/// A frame as it stood on the wire: escapes are left as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub command: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether it came in a binary WebSocket message.
    pub binary: bool,
}

impl Frame {
    /// The first header of that name, which is the one that counts.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key == name);
        values.next().map(|(_, value)| value.as_str())
    }

    /// A header that must be there, with its escapes translated.
    pub fn unescaped(&self, name: &str) -> String {
        let mut text = String::new();
        let mut rest = self.must(name).chars();
        while let Some(character) = rest.next() {
            if character != '\\' {
                text.push(character);
                continue;
            }
            text.push(match rest.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('c') => ':',
                Some('\\') => '\\',
                other => panic!("an undefined escape, {other:?}: {self:?}"),
            });
        }
        text
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A header that must be there.
    pub fn must(&self, name: &str) -> &str {
        self.header(name)
            .unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }
}

/// What a server says over STOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Frame(Frame),
    /// An end of line between frames.
    Beat,
    Closed {
        code: Option<u16>,
        reason: String,
    },
    /// The server has shut its side down; a close frame may have come before.
    End,
}

/// A WebSocket connection on which STOMP is spoken. A thread of its own reads it at all times.
pub struct Stomp {
    writer: TcpStream,
    heard: Receiver<Heard>,
    /// What a test has passed over so far.
    kept: VecDeque<Heard>,
}

impl Stomp {
    /// Opens a WebSocket at that path that offers the subprotocols (none when empty), and says nothing yet.
    pub fn open(address: SocketAddr, path: &str, protocols: &str) -> (Self, Answer) {
        let offer = format!("Sec-WebSocket-Protocol: {protocols}");
        let lines = [offer.as_str()];
        let lines = if protocols.is_empty() {
            &[]
        } else {
            &lines[..]
        };
        let (socket, answer) = Socket::open_with(address, path, lines);
        (Self::over(socket), answer)
    }

    /// The same over a WebSocket that is open already.
    pub fn over(socket: Socket) -> Self {
        let writer = socket.stream().try_clone().unwrap();
        writer.set_read_timeout(None).unwrap();
        let (tell, heard) = mpsc::channel();
        thread::spawn(move || listen(socket, &tell));
        Self {
            writer,
            heard,
            kept: VecDeque::new(),
        }
    }

    /// Opens a WebSocket at `/stomp` and connects in that version.
    pub fn connect(address: SocketAddr, version: &str) -> Self {
        Self::connect_with(address, version, "").0
    }

    /// The same with more header lines, each with its end of line, and the CONNECTED frame.
    pub fn connect_with(address: SocketAddr, version: &str, lines: &str) -> (Self, Frame) {
        let mut stomp = Self::open(address, "/stomp", PROTOCOLS).0;
        stomp.send(&connect_frame(version, lines));
        let connected = stomp.frame();
        assert_eq!(connected.command, "CONNECTED", "{connected:?}");
        (stomp, connected)
    }

    /// Sends one text message that holds the frame and the NUL behind it.
    pub fn send(&mut self, frame: &str) {
        self.send_text(format!("{frame}\0").as_bytes());
    }

    /// Sends the bytes as one text message, with nothing added.
    pub fn send_text(&mut self, bytes: &[u8]) {
        self.send_raw(&frame(FIN | TEXT, bytes)).unwrap();
    }

    /// Sends the bytes as one binary message, with nothing added.
    pub fn send_binary(&mut self, bytes: &[u8]) {
        self.send_raw(&frame(FIN | BINARY, bytes)).unwrap();
    }

    /// Sends bytes below WebSocket's frames; it fails when the server has closed.
    pub fn send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// Begins to close the WebSocket.
    pub fn close(&mut self) {
        // It fails when the server was first, which is as good.
        let _ = self.send_raw(&frame(FIN | CLOSE, &close_payload(1000, "")));
    }

    /// Goes without a word.
    pub fn drop_connection(&mut self) {
        let _ = self.writer.shutdown(Shutdown::Both);
    }

    /// What is said next, within that time.
    pub fn hear_within(&mut self, at_most: Duration) -> Option<Heard> {
        if let Some(kept) = self.kept.pop_front() {
            return Some(kept);
        }
        match self.heard.recv_timeout(at_most) {
            Ok(heard) => Some(heard),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Heard::End),
        }
    }

    /// What is said next.
    pub fn hear(&mut self) -> Heard {
        self.hear_within(DEADLINE)
            .unwrap_or_else(|| panic!("nothing was said in {DEADLINE:?}"))
    }

    /// What is said next, heart-beats apart.
    pub fn next(&mut self) -> Heard {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.hear_within(until.saturating_duration_since(Instant::now())) {
                Some(Heard::Beat) => {}
                Some(heard) => return heard,
                None => panic!("nothing but heart-beats was said in {DEADLINE:?}"),
            }
        }
    }

    /// The next frame, which must come.
    pub fn frame(&mut self) -> Frame {
        match self.next() {
            Heard::Frame(frame) => frame,
            other => panic!("a frame is expected, not {other:?}"),
        }
    }

    /// The next frame, which must be a MESSAGE.
    pub fn message(&mut self) -> Frame {
        self.expect("MESSAGE")
    }

    /// The next frame, which must be the RECEIPT of that id.
    pub fn receipt(&mut self, id: &str) {
        let frame = self.expect("RECEIPT");
        assert_eq!(frame.header("receipt-id"), Some(id), "{frame:?}");
    }

    /// The next frame, which must be an ERROR, and the code with which the server closes then.
    pub fn error(&mut self) -> (Frame, u16) {
        let frame = self.expect("ERROR");
        let code = self.close_code();
        (frame, code)
    }

    /// The code that the server closes with next, after which its end must come.
    pub fn close_code(&mut self) -> u16 {
        match self.next() {
            Heard::Closed {
                code: Some(code), ..
            } => {
                assert_eq!(self.next(), Heard::End, "after a close frame comes the end");
                code
            }
            other => panic!("a close frame with a code is expected, not {other:?}"),
        }
    }

    fn expect(&mut self, command: &str) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.command, command, "{frame:?}");
        frame
    }

    /// Subscribes and waits until the subscription is active.
    pub fn subscribe(&mut self, id: &str, destination: &str, lines: &str) {
        self.send(&format!(
            "SUBSCRIBE\nid:{id}\ndestination:{destination}\n{lines}receipt:subscribe {id}\n\n"
        ));
        self.receipt(&format!("subscribe {id}"));
    }

    /// Sends a message and waits for the receipt, which must come next.
    pub fn publish(&mut self, destination: &str, body: &str) {
        self.send(&format!(
            "SEND\ndestination:{destination}\nreceipt:sent\n\n{body}"
        ));
        self.receipt("sent");
    }

    /// Sends a message whose receipt may come before or behind what else comes: the frames that came before it are kept
    /// for later.
    pub fn publish_among(&mut self, destination: &str, body: &str) {
        self.send(&format!(
            "SEND\ndestination:{destination}\nreceipt:sent among\n\n{body}"
        ));
        self.receipt_among("sent among");
    }

    /// Waits for the RECEIPT of that id; what comes before it is kept for later.
    pub fn receipt_among(&mut self, id: &str) {
        let mut before = VecDeque::new();
        loop {
            let frame = self.frame();
            if frame.header("receipt-id") == Some(id) {
                assert_eq!(frame.command, "RECEIPT", "{frame:?}");
                break;
            }
            before.push_back(Heard::Frame(frame));
        }
        before.append(&mut self.kept);
        self.kept = before;
    }

    /// Asserts that the connection is well and has been told nothing: an ABORT of a transaction just begun is answered
    /// next.
    pub fn assert_undisturbed(&mut self) {
        self.send("BEGIN\ntransaction:are you there\n\n");
        self.send("ABORT\ntransaction:are you there\nreceipt:undisturbed\n\n");
        self.receipt("undisturbed");
    }
}

impl Drop for Stomp {
    fn drop(&mut self) {
        self.drop_connection();
    }
}

/// A CONNECT frame for just that version, without the NUL.
pub fn connect_frame(version: &str, lines: &str) -> String {
    match version {
        "1.0" => format!("CONNECT\n{lines}\n"),
        version => format!("CONNECT\naccept-version:{version}\nhost:/\n{lines}\n"),
    }
}

/// Tells what the server says until its end.
fn listen(mut socket: Socket, tell: &Sender<Heard>) {
    let mut frames = Frames::default();
    loop {
        match socket.next_frame() {
            Some((first, payload)) if first & 0x0f == CLOSE => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                let reason = payload.get(2..).unwrap_or_default();
                let reason = String::from_utf8_lossy(reason).into_owned();
                let _ = tell.send(Heard::Closed { code, reason });
            }
            Some((first, payload)) if matches!(first & 0x0f, TEXT | BINARY) => {
                for heard in frames.take(&payload, first & 0x0f == BINARY) {
                    let _ = tell.send(heard);
                }
            }
            Some(_) => {}
            None => {
                assert!(
                    frames.bytes.is_empty(),
                    "it ended inside a frame: {frames:?}"
                );
                let _ = tell.send(Heard::End);
                return;
            }
        }
    }
}

/// Cuts a stream into frames.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// The frames that end, and the ends of line that stand between frames, in more of the stream.
    pub fn take(&mut self, more: &[u8], binary: bool) -> Vec<Heard> {
        self.bytes.extend_from_slice(more);
        let mut heard = Vec::new();
        loop {
            if self.bytes.first() == Some(&b'\n') {
                self.bytes.remove(0);
                heard.push(Heard::Beat);
            } else if let Some((mut frame, length)) = parse(&self.bytes) {
                frame.binary = binary;
                self.bytes.drain(..length);
                heard.push(Heard::Frame(frame));
            } else {
                return heard;
            }
        }
    }
}

/// The frame that the bytes begin with, if they hold all of it, and its length with the NUL.
fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let head_end = bytes.windows(2).position(|two| two == b"\n\n")?;
    let head = std::str::from_utf8(&bytes[..head_end])
        .unwrap_or_else(|error| panic!("a head that is not UTF-8 ({error}): {bytes:?}"));
    let mut lines = head.split('\n');
    let mut frame = Frame {
        command: lines.next().unwrap_or_default().to_owned(),
        headers: lines
            .map(|line| {
                let (name, value) = line
                    .split_once(':')
                    .unwrap_or_else(|| panic!("a header without colon: {head:?}"));
                (name.to_owned(), value.to_owned())
            })
            .collect(),
        body: Vec::new(),
        binary: false,
    };
    let rest = &bytes[head_end + 2..];
    let length = match frame.header("content-length") {
        Some(length) => length
            .parse()
            .unwrap_or_else(|error| panic!("content-length: {error}: {head:?}")),
        None => rest.iter().position(|&byte| byte == 0)?,
    };
    let end = rest.get(length)?;
    assert_eq!(*end, 0, "no NUL behind the body: {frame:?}");
    frame.body = rest[..length].to_vec();
    Some((frame, head_end + 2 + length + 1))
}
