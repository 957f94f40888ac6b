//! The client's side of opening a connection: sockets, the opening handshake (RFC 6455, section 4.1), masked frames.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// The longest response head that is taken for one.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// How long one connection may take to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections from one source address: far below the ports that one has, and little for a server that counts by address.
const CONNECTIONS_PER_SOURCE: u32 = 1_000;
/// Not zero, so that a server has to unmask.
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];

/// What a client offers beside a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Nothing, and the server must answer nothing.
    Nothing,
    /// permessage-deflate, as browsers do; the server must agree, and not keep its context.
    Deflate,
    /// The subprotocol `v12.stomp`, which the server must choose.
    Stomp,
}

/// A socket bound to the source address for connection `index`; connecting it is left to the caller.
///
/// Closing it resets the connection, so that thousands of them leave no TIME_WAIT behind for the next round.
pub fn socket_from(index: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    let source = Ipv4Addr::new(127, 0, 0, 2 + (index / CONNECTIONS_PER_SOURCE) as u8);
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind(&SocketAddrV4::new(source, 0).into())?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

/// Connects and sends the handshake's request without waiting for the answer.
pub fn begin(server: SocketAddrV4, path: &str, offer: Offer, index: u32) -> io::Result<TcpStream> {
    let socket = socket_from(index)?;
    socket.set_read_timeout(Some(OPEN_TIMEOUT))?;
    socket.set_write_timeout(Some(OPEN_TIMEOUT))?;
    socket.connect_timeout(&server.into(), OPEN_TIMEOUT)?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(&request(server, path, offer))?;
    Ok(stream)
}

/// Reads the answer to [`begin`] and returns the bytes that came after the response head.
pub fn finish(stream: &mut TcpStream, offer: Offer) -> io::Result<Vec<u8>> {
    let mut received = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        match stream.read(&mut chunk)? {
            0 => return Err(refused("the connection was closed", &received)),
            count => received.extend_from_slice(&chunk[..count]),
        }
        if let Some(head) = accepted(&received, offer)? {
            return Ok(received.split_off(head));
        }
    }
}

/// The request of the handshake. The key is RFC 6455's example, so that the right answer is known.
pub fn request(server: SocketAddrV4, path: &str, offer: Offer) -> Vec<u8> {
    let offered = match offer {
        Offer::Nothing => "",
        Offer::Deflate => {
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        }
        Offer::Stomp => "Sec-WebSocket-Protocol: v12.stomp\r\n",
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offered}\r\n"
    )
    .into_bytes()
}

/// The length of the response head at the start of `received`, or `None` while it is not complete. An error unless the
/// server has switched protocols with the right `Sec-WebSocket-Accept` and the extension or subprotocol offered, if one was.
pub fn accepted(received: &[u8], offer: Offer) -> io::Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(received) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if received.len() <= HEAD_BYTES_MAX => return Ok(None),
        _ => return Err(refused("no HTTP response head", received)),
    };
    let header = |name: &str| {
        let mut all = response.headers.iter();
        all.find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    };
    if response.code != Some(101)
        || header("Sec-WebSocket-Accept") != Some(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    {
        return Err(refused("the upgrade was refused", received));
    }
    let agreed = header("Sec-WebSocket-Extensions").map(String::from_utf8_lossy);
    let chosen = header("Sec-WebSocket-Protocol");
    let as_offered = match offer {
        Offer::Nothing => agreed.is_none() && chosen.is_none(),
        Offer::Stomp => agreed.is_none() && chosen == Some(b"v12.stomp"),
        Offer::Deflate => agreed.is_some_and(|agreed| {
            agreed.starts_with("permessage-deflate;")
                && agreed.contains("server_no_context_takeover")
                && chosen.is_none()
        }),
    };
    if !as_offered {
        return Err(refused(
            "the extensions or the subprotocol are not those that were offered",
            received,
        ));
    }
    Ok(Some(head))
}

/// Appends `payload` to `out` as one masked text frame of a client (section 5.2), payloads up to 65,535 bytes.
pub fn push_masked(out: &mut Vec<u8>, payload: &[u8]) {
    push_masked_as(0x81, out, payload);
}

/// Appends the pong that answers a ping with `payload` (section 5.5.3).
pub fn push_pong(out: &mut Vec<u8>, payload: &[u8]) {
    push_masked_as(0x8a, out, payload);
}

fn push_masked_as(first: u8, out: &mut Vec<u8>, payload: &[u8]) {
    out.push(first);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
}

fn refused(what: &str, received: &[u8]) -> io::Error {
    let beginning = String::from_utf8_lossy(&received[..received.len().min(200)]);
    io::Error::other(format!("{what}: {beginning:?}"))
}
