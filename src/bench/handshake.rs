//! The client's side of opening a connection: its socket and the opening handshake (RFC 6455, section 4.1).

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// The longest response head that is taken for one.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Connections from one source address: below the 28,232 ephemeral ports that each has.
const CONNECTIONS_PER_SOURCE: u32 = 4_000;
/// Source addresses used: 127.0.0.2 and on.
const SOURCES: u32 = 200;

/// What every connection of a run asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The `Host` header.
    pub host: String,
    /// `Sec-WebSocket-Protocol`.
    pub subprotocol: Option<String>,
    /// More header fields.
    pub headers: Vec<(String, String)>,
    /// Whether permessage-deflate is offered, without context takeover on either side.
    pub deflate: bool,
}

impl Request {
    /// The request's bytes. The key is RFC 6455's example, so that the right answer is known.
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            self.host
        );
        if let Some(subprotocol) = &self.subprotocol {
            head += &format!("Sec-WebSocket-Protocol: {subprotocol}\r\n");
        }
        if self.deflate {
            head += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
                     client_no_context_takeover\r\n";
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        head.into_bytes()
    }

    /// Reads the response head at the start of `received`.
    ///
    /// # Errors
    /// One sentence with the beginning of what came, unless the server has switched protocols as it must.
    pub fn accepted(&self, received: &[u8]) -> Result<Option<Accepted>, String> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let head_len = match response.parse(received) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if received.len() <= HEAD_BYTES_MAX => return Ok(None),
            _ => return Err(refused("no HTTP response", received)),
        };
        let header = |name: &str| {
            let mut all = response.headers.iter();
            all.find(|header| header.name.eq_ignore_ascii_case(name))
                .map(|header| String::from_utf8_lossy(header.value).into_owned())
        };
        if response.code != Some(101) {
            return Err(refused("the upgrade was refused", received));
        }
        if header("Sec-WebSocket-Accept").as_deref() != Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
            return Err(refused("the Sec-WebSocket-Accept is wrong", received));
        }
        if header("Sec-WebSocket-Protocol") != self.subprotocol {
            return Err(refused("the subprotocol was not agreed to", received));
        }
        let compressed = match header("Sec-WebSocket-Extensions") {
            None => false,
            Some(agreed)
                if self.deflate
                    && agreed.trim().starts_with("permessage-deflate")
                    && agreed.contains("server_no_context_takeover") =>
            {
                true
            }
            Some(_) => {
                return Err(refused(
                    "the extensions are not those that were offered",
                    received,
                ));
            }
        };
        Ok(Some(Accepted {
            head_len,
            compressed,
        }))
    }
}

/// A completed opening handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Bytes of the response head; what follows is the first frames.
    pub head_len: usize,
    /// Whether the server agreed to permessage-deflate.
    pub compressed: bool,
}

/// Begins to connect without waiting; `index` chooses the source address where the server is on loopback.
///
/// Closing the socket resets the connection, so that thousands of them leave no TIME_WAIT behind for the next round.
pub fn connect(
    server: SocketAddr,
    index: u32,
    receive_buffer: Option<usize>,
) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(server),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if let SocketAddr::V4(address) = server
        && address.ip().is_loopback()
    {
        let source = 2 + (index / CONNECTIONS_PER_SOURCE) % SOURCES;
        let source = Ipv4Addr::new(127, 0, 0, source as u8);
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddrV4::new(source, 0).into())?;
    }
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&server.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

fn refused(what: &str, received: &[u8]) -> String {
    let beginning = String::from_utf8_lossy(&received[..received.len().min(160)]);
    format!("{what}: {beginning:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(deflate: bool) -> Request {
        Request {
            host: "127.0.0.1:1".to_owned(),
            subprotocol: Some("v12.stomp".to_owned()),
            headers: vec![("Origin".to_owned(), "http://localhost".to_owned())],
            deflate,
        }
    }

    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: v12.stomp\r\n";

    #[test]
    fn the_request_says_what_was_asked_for() {
        let bytes = request(true).bytes("/sub/x");
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("GET /sub/x HTTP/1.1\r\n"));
        for line in [
            "Origin: http://localhost\r\n",
            "Sec-WebSocket-Protocol: v12.stomp\r\n",
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover;",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn a_good_answer_is_taken_and_what_follows_is_left() {
        let answer = format!("{GOOD}\r\n\u{1}more");
        let accepted = request(false).accepted(answer.as_bytes()).unwrap().unwrap();
        assert_eq!(&answer[accepted.head_len..], "\u{1}more");
        assert!(!accepted.compressed);
        assert_eq!(request(false).accepted(&answer.as_bytes()[..50]), Ok(None));
    }

    #[test]
    fn another_answer_than_was_offered_is_refused() {
        let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        for (answer, deflate) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n".to_owned(), false),
            (format!("{GOOD}{extension}"), false),
            // It would keep a context for every connection, which nobody could check cheaply.
            (format!("{GOOD}{extension}"), true),
            (GOOD.replace("s3pP", "s3pp") + "\r\n", false),
            (GOOD.replace("v12", "v11") + "\r\n", false),
        ] {
            let accepted = request(deflate).accepted(answer.as_bytes());
            assert!(accepted.is_err(), "{answer} {accepted:?}");
        }
    }
}
