//! The one connection that publishes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};

use crate::client::{CHANNEL, Protocol};
use crate::dialogue::{Confirmations, Step};
use crate::handshake::{self, Offer};
use crate::{centrifuge, stomp};

/// Its socket never blocks.
pub struct Publisher {
    stream: TcpStream,
    /// Encoded and not yet written, from `written` on.
    out: Vec<u8>,
    written: usize,
    published: u64,
    /// Where each publication is confirmed.
    confirmations: Option<Confirmations>,
}

impl Publisher {
    /// Connects: in the protocol that subscribers speak, otherwise to `/pub/{channel}` without any offer, so that runs with
    /// compression and without publish alike.
    pub fn connect(server: SocketAddrV4, protocol: Protocol) -> io::Result<Self> {
        let (path, offer) = match protocol {
            Protocol::Stomp(_) => (stomp::PATH.to_owned(), Offer::Stomp),
            Protocol::Centrifuge => (centrifuge::PATH.to_owned(), Offer::Nothing),
            Protocol::Raw | Protocol::Deflate => (format!("/pub/{CHANNEL}"), Offer::Nothing),
        };
        let mut stream = handshake::begin(server, &path, offer, 0)?;
        handshake::finish(&mut stream, offer)?;
        if let Some(connect) = Step::first(protocol) {
            connect.ask(&mut stream)?;
            connect.finish(&mut stream)?;
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            out: Vec::new(),
            written: 0,
            published: 0,
            confirmations: Confirmations::of(protocol),
        })
    }

    /// Its socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Encodes the next publication; [`flush`](Self::flush) sends it.
    pub fn publish(&mut self, payload: &[u8]) {
        match &self.confirmations {
            Some(all) => all.push_publication(&mut self.out, self.published, payload),
            None => handshake::push_masked(&mut self.out, payload),
        }
        self.published += 1;
    }

    /// Publications confirmed so far, none where they are not.
    pub fn confirmed(&self) -> u64 {
        self.confirmations.as_ref().map_or(0, Confirmations::count)
    }

    /// Publications whose confirmation has not come.
    pub fn unconfirmed(&self) -> u64 {
        match self.confirmations {
            Some(_) => self.published - self.confirmed(),
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

    /// Reads what the server tells it. Confirmations are checked, everything else is discarded; only that it hangs up
    /// matters.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    return Err(io::Error::other(
                        "the server closed the publisher's connection",
                    ));
                }
                Ok(count) => {
                    if let Some(all) = &mut self.confirmations {
                        all.read(&buffer[..count], &mut self.out)?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
