//! Event streams over plain sockets, read by a reader that shares no code with the server.

#[path = "../../src/sse/tests/naive.rs"]
mod naive;

use std::net::SocketAddr;

use super::http::Answer;
use super::wire::{Socket, head};
pub use naive::{Event, Reader};

/// The lines of a request for a stream, to be changed by the tests.
pub fn request_lines(path: &str) -> Vec<String> {
    [
        &format!("GET {path} HTTP/1.1"),
        "Host: 127.0.0.1",
        "Accept: text/event-stream",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// A stream that the server has begun.
pub struct Stream {
    pub socket: Socket,
    pub reader: Reader,
    pub head: Answer,
}

impl Stream {
    pub fn open(address: SocketAddr, path: &str) -> Self {
        Self::open_with(address, path, &[])
    }

    /// The same with more header lines.
    pub fn open_with(address: SocketAddr, path: &str, lines: &[&str]) -> Self {
        let mut all = request_lines(path);
        all.extend(lines.iter().map(|&line| line.to_owned()));
        Self::ask(address, &all)
    }

    /// The same with all lines of one's own.
    pub fn ask(address: SocketAddr, lines: &[String]) -> Self {
        let mut socket = Socket::connect(address);
        socket.send(&head(lines));
        Self::over(socket)
    }

    /// The same over a socket on which the request has been sent.
    pub fn over(mut socket: Socket) -> Self {
        let head = socket.answer_head();
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        Self {
            socket,
            reader: Reader::default(),
            head,
        }
    }

    /// The same as a client that has had that event last.
    pub fn resume(address: SocketAddr, path: &str, last_event_id: &str) -> Self {
        Self::open_with(address, path, &[&format!("Last-Event-ID: {last_event_id}")])
    }

    /// Waits until the subscription has begun, which the stream's position tells. Returns that.
    pub fn position(&mut self) -> String {
        while self.reader.last_event_id.is_empty() {
            assert!(self.read_more(), "the stream has ended");
        }
        self.reader.last_event_id.clone()
    }

    /// The next event; `None` at the end of the stream.
    pub fn next(&mut self) -> Option<Event> {
        while self.reader.events.is_empty() && self.read_more() {}
        self.reader.events.pop_front()
    }

    /// The next event, which must be one without a type.
    pub fn message(&mut self) -> String {
        let event = self.next().expect("the stream has ended");
        assert_eq!(event.kind, "message", "{event:?}");
        event.data
    }

    /// Takes in what the server says next; `false` at the end, which must come between blocks.
    pub fn read_more(&mut self) -> bool {
        let bytes = self.socket.some_bytes();
        self.reader.read(&bytes);
        let ended = bytes.is_empty();
        assert!(
            !(ended && self.reader.is_inside()),
            "the stream ends within a block"
        );
        !ended
    }
}
