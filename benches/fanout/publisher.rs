//! The one connection that publishes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};

use crate::client::{CHANNEL, Protocol};
use crate::handshake::{self, Offer};
use crate::stomp::{self, Receipts, Step};

/// Its socket never blocks.
pub struct Publisher {
    stream: TcpStream,
    /// Encoded and not yet written, from `written` on.
    out: Vec<u8>,
    written: usize,
    published: u64,
    /// Where it publishes by SEND; each asks for a receipt.
    receipts: Option<Receipts>,
}

impl Publisher {
    /// Connects: by STOMP where subscribers speak it, otherwise to `/pub/{channel}` without any offer, so that runs with
    /// compression and without publish alike.
    pub fn connect(server: SocketAddrV4, protocol: Protocol) -> io::Result<Self> {
        let is_stomp = matches!(protocol, Protocol::Stomp(_));
        let (path, offer) = match is_stomp {
            true => (stomp::PATH.to_owned(), Offer::Stomp),
            false => (format!("/pub/{CHANNEL}"), Offer::Nothing),
        };
        let mut stream = handshake::begin(server, &path, offer, 0)?;
        handshake::finish(&mut stream, offer)?;
        if is_stomp {
            Step::Connect.ask(&mut stream)?;
            Step::Connect.finish(&mut stream)?;
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            out: Vec::new(),
            written: 0,
            published: 0,
            receipts: is_stomp.then(Receipts::default),
        })
    }

    /// Its socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Encodes the next publication; [`flush`](Self::flush) sends it.
    pub fn publish(&mut self, payload: &[u8]) {
        match self.receipts {
            Some(_) => stomp::push_send(&mut self.out, self.published, payload),
            None => handshake::push_masked(&mut self.out, payload),
        }
        self.published += 1;
    }

    /// Receipts so far, none where it asks for none.
    pub fn receipts(&self) -> u64 {
        self.receipts.as_ref().map_or(0, Receipts::count)
    }

    /// Publications whose receipt has not come.
    pub fn without_receipt(&self) -> u64 {
        match self.receipts {
            Some(_) => self.published - self.receipts(),
            None => 0,
        }
    }

    /// Writes what the socket takes now.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads what the server tells it. Receipts are checked, everything else is discarded; only that it hangs up matters.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    return Err(io::Error::other(
                        "the server closed the publisher's connection",
                    ));
                }
                Ok(count) => {
                    if let Some(receipts) = &mut self.receipts {
                        receipts.read(&buffer[..count])?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
