//! A small server of the raw protocol that does to each delivery what a test tells it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use sha1::{Digest, Sha1};

/// One publication on its way to one subscriber.
pub struct Message<'a> {
    /// In the order of their connections, from 0.
    pub subscriber: usize,
    /// The number that its payload carries.
    pub sequence: u64,
    pub payload: &'a [u8],
}

/// What becomes of it.
pub enum Action {
    Send(Vec<u8>),
    /// Closes the subscriber's connection with this code.
    Close(u16),
    /// Sends it to nobody, and tells a publisher over HTTP.
    Refuse,
}

impl Action {
    pub fn send(payload: &[u8]) -> Self {
        Self::Send(payload.to_vec())
    }
}

/// How the server treats connections, whatever they publish.
#[derive(Clone, Copy)]
pub struct Manners {
    /// Every so many subscribers are refused.
    pub refuses_every: usize,
    /// What it does to a connection behind the answer to a POST.
    pub ending: Ending,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            refuses_every: usize::MAX,
            ending: Ending::Never,
        }
    }
}

/// When a connection that publishes over HTTP is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Never,
    /// Behind every answer, which says so (RFC 9112, section 9.6).
    Announced,
    /// Behind every answer, before the publication is delivered, without a word.
    Silent,
    /// Within the answer.
    Torn,
}

type Fault = Box<dyn FnMut(Message<'_>) -> Vec<Action> + Send>;

/// The server's threads end with the test.
pub struct Faulty {
    address: SocketAddr,
}

struct State {
    subscribers: Vec<Option<TcpStream>>,
    fault: Fault,
}

impl Faulty {
    pub fn start(fault: impl FnMut(Message<'_>) -> Vec<Action> + Send + 'static) -> Self {
        Self::start_with(Manners::default(), fault)
    }

    pub fn start_with(
        manners: Manners,
        fault: impl FnMut(Message<'_>) -> Vec<Action> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            subscribers: Vec::new(),
            fault: Box::new(fault),
        }));
        thread::spawn(move || {
            let mut asked = 0;
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                let Some(head) = read_head(&mut stream) else {
                    continue;
                };
                if head.starts_with("GET /sub/") {
                    asked += 1;
                    if asked % manners.refuses_every == 0 {
                        let _ = stream.write_all(b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n");
                        continue;
                    }
                    upgrade(&mut stream, &head);
                    state.lock().unwrap().subscribers.push(Some(stream));
                } else if head.starts_with("GET /pub/") {
                    upgrade(&mut stream, &head);
                    let state = Arc::clone(&state);
                    thread::spawn(move || take_frames(stream, &state));
                } else {
                    let state = Arc::clone(&state);
                    thread::spawn(move || take_posts(stream, head, manners.ending, &state));
                }
            }
        });
        Self { address }
    }

    pub fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.address)
    }
}

/// Reads to the empty line and not a byte further. `None` for one that only looked whether the port is open.
fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn upgrade(stream: &mut TcpStream, head: &str) {
    let key = header(head, "Sec-WebSocket-Key").unwrap();
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    // It may have gone again.
    let _ = stream.write_all(response.as_bytes());
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A publisher's frames: whole messages, masked, below 64 KiB.
fn take_frames(mut stream: TcpStream, state: &Mutex<State>) {
    let mut exactly = |length: usize| {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    while let Some(header) = exactly(2) {
        let length = match header[1] & 0x7f {
            126 => exactly(2).map(|bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))),
            short => Some(usize::from(short)),
        };
        let (Some(length), Some(mask)) = (length, exactly(4)) else {
            return;
        };
        let Some(mut payload) = exactly(length) else {
            return;
        };
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        if header[0] == 0x81 {
            publish(&payload, state);
        }
    }
}

fn take_posts(mut stream: TcpStream, first: String, ending: Ending, state: &Mutex<State>) {
    let mut head = Some(first);
    while let Some(request) = head {
        let length = header(&request, "Content-Length").unwrap().parse().unwrap();
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).is_err() {
            return;
        }
        if ending == Ending::Silent {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            // Until the publisher has noticed, or its next request could meet the end on its way.
            linger(stream);
            publish(&payload, state);
            return;
        }
        let accepted = publish(&payload, state);
        let answer: &[u8] = match (accepted, ending) {
            (_, Ending::Torn) => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
            (true, Ending::Announced) => {
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
            }
            (true, _) => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            (false, _) => b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        };
        if stream.write_all(answer).is_err() {
            return;
        }
        if ending != Ending::Never {
            return linger(stream);
        }
        head = read_head(&mut stream);
    }
}

/// Ends a connection without a reset, which could overtake the answer where more was sent than read.
fn linger(mut stream: TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// Does with a publication what the test says. False if it was refused.
fn publish(payload: &[u8], state: &Mutex<State>) -> bool {
    let mut accepted = true;
    let State { subscribers, fault } = &mut *state.lock().unwrap();
    for (subscriber, place) in subscribers.iter_mut().enumerate() {
        let actions = fault(Message {
            subscriber,
            sequence: sequence(payload),
            payload,
        });
        for action in actions {
            let frame = match &action {
                Action::Send(payload) => frame(0x81, payload),
                Action::Close(code) => frame(0x88, &code.to_be_bytes()),
                Action::Refuse => {
                    accepted = false;
                    continue;
                }
            };
            let Some(stream) = place else { continue };
            let sent = stream.write_all(&frame);
            if sent.is_err() || matches!(action, Action::Close(_)) {
                *place = None;
            }
        }
    }
    accepted
}

/// Twelve hexadecimal digits behind run and channel.
fn sequence(payload: &[u8]) -> u64 {
    let digits = std::str::from_utf8(&payload[12..24]).unwrap();
    u64::from_str_radix(digits, 16).unwrap()
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}
