//! The bare process: nothing but a `send(2)` loop over all subscribers.
//!
//! It blocks while it accepts and blocks on its one publisher; between the two system calls that matter it does only what
//! cannot be left out: cut and unmask the published frames, put a server's frame header before them. It has no limits,
//! no protocol errors, no close handshake, and takes nobody new once the publisher has come.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

use base64::Engine;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{MsgFlags, send};
use sha1::{Digest, Sha1};

/// What one read from the publisher takes: everything that 64 publications of ordinary size come to.
const READ_BYTES: usize = 256 * 1024;

/// When the loop sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends {
    /// Every publication for itself.
    EachMessage,
    /// What one read brought, as one buffer.
    EachTurn,
}

/// Serves until the publisher hangs up.
pub fn serve(listen: SocketAddrV4, sends: Sends) -> io::Result<()> {
    let listener = TcpListener::bind(listen)?;
    let mut subscribers = Vec::new();
    loop {
        let (mut stream, _) = listener.accept()?;
        match upgrade(&mut stream)?.as_deref() {
            Some(path) if path.starts_with("/sub/") => subscribers.push(stream),
            Some(path) if path.starts_with("/pub/") => {
                return fan_out(stream, &mut subscribers, sends);
            }
            _ => {}
        }
    }
}

/// Reads the request; answers an upgrade with the handshake and returns its path, anything else with an empty 200.
fn upgrade(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut received = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let count = stream.read(&mut chunk)?;
        received.extend_from_slice(&chunk[..count]);
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&received).map_err(io::Error::other)? {
            httparse::Status::Partial if count == 0 => return Ok(None),
            httparse::Status::Partial => continue,
            httparse::Status::Complete(_) => {}
        }
        let mut headers = request.headers.iter();
        let key = headers.find(|header| header.name.eq_ignore_ascii_case("Sec-WebSocket-Key"));
        let (Some(key), Some(path)) = (key, request.path) else {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            return Ok(None);
        };
        let digest = Sha1::new()
            .chain_update(key.value)
            .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
            .finalize();
        let accept = base64::engine::general_purpose::STANDARD.encode(digest);
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(response.as_bytes())?;
        return Ok(Some(path.to_owned()));
    }
}

fn fan_out(
    mut publisher: TcpStream,
    subscribers: &mut Vec<TcpStream>,
    sends: Sends,
) -> io::Result<()> {
    let mut input = vec![0; READ_BYTES];
    let mut filled = 0;
    let mut frames = Vec::with_capacity(READ_BYTES);
    loop {
        let count = publisher.read(&mut input[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut taken = 0;
        while let Some(length) = publish(&input[taken..filled], &mut frames)? {
            taken += length;
            if sends == Sends::EachMessage {
                send_to_all(subscribers, &frames)?;
                frames.clear();
            }
        }
        if !frames.is_empty() {
            send_to_all(subscribers, &frames)?;
            frames.clear();
        }
        input.copy_within(taken..filled, 0);
        filled -= taken;
    }
}

/// Appends the publication at the start of `input` to `frames` as a server's frame. Returns the bytes it took of
/// `input`, or `None` while it is not complete.
fn publish(input: &[u8], frames: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let Some(&[first, second]) = input.first_chunk() else {
        return Ok(None);
    };
    if second & 0x80 == 0 || second == 0xff {
        return Err(io::Error::other(
            "a publisher's frames are masked and below 64 KiB",
        ));
    }
    let (header, payload) = match (second & 0x7f, input.get(2..4)) {
        (126, Some(&[a, b])) => (4, usize::from(u16::from_be_bytes([a, b]))),
        (126, _) => return Ok(None),
        (short, _) => (2, usize::from(short)),
    };
    let Some(masked) = input.get(header..header + 4 + payload) else {
        return Ok(None);
    };
    let (mask, payload) = masked.split_at(4);
    frames.push(first);
    frames.push(second & 0x7f);
    frames.extend_from_slice(&input[2..header]);
    frames.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    Ok(Some(header + masked.len()))
}

fn send_to_all(subscribers: &mut Vec<TcpStream>, bytes: &[u8]) -> io::Result<()> {
    let mut gone = Vec::new();
    for (index, subscriber) in subscribers.iter().enumerate() {
        match send(
            subscriber.as_raw_fd(),
            bytes,
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        ) {
            Ok(count) if count == bytes.len() => {}
            Ok(count) => send_rest(subscriber, &bytes[count..], index, &mut gone)?,
            Err(Errno::EAGAIN) => send_rest(subscriber, bytes, index, &mut gone)?,
            Err(_) => gone.push(index),
        }
    }
    for index in gone.into_iter().rev() {
        subscribers.swap_remove(index);
    }
    Ok(())
}

/// The slow path: waits until the subscriber has taken all of `bytes`.
#[cold]
fn send_rest(
    subscriber: &TcpStream,
    mut bytes: &[u8],
    index: usize,
    gone: &mut Vec<usize>,
) -> io::Result<()> {
    while !bytes.is_empty() {
        nix::poll::poll(
            &mut [PollFd::new(subscriber.as_fd(), PollFlags::POLLOUT)],
            PollTimeout::NONE,
        )?;
        match send(
            subscriber.as_raw_fd(),
            bytes,
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        ) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => {
                gone.push(index);
                return Ok(());
            }
        }
    }
    Ok(())
}
