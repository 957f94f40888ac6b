//! The sockets of a shard's connections and their polls, by slot.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::ready::{Armed, Token};
use crate::shard::ConnectionId;

const CHUNK: usize = 256;

/// One socket.
struct Entry {
    id: ConnectionId,
    fd: OwnedFd,
    /// Watches for something to read; `None` while the connection is not to be read.
    read: Option<Armed>,
    /// Waits for its polls to complete, and is closed then.
    closing: bool,
}

/// See the module's documentation.
#[derive(Default)]
pub struct Sockets {
    /// Grown by chunks for the same reason as the connections' table.
    chunks: Vec<Box<[Option<Entry>]>>,
    /// Descriptors once more, dense, for scattering.
    fds: Vec<RawFd>,
    /// Polls for sending, which only slow connections have.
    writes: HashMap<u32, Armed>,
}

impl Sockets {
    /// Takes a socket in and watches for something to read.
    pub fn insert(&mut self, id: ConnectionId, fd: OwnedFd) {
        let slot = id.slot as usize;
        while self.chunks.len() <= slot / CHUNK {
            self.chunks.push((0..CHUNK).map(|_| None).collect());
            self.fds.reserve_exact(CHUNK);
            self.fds.resize(self.chunks.len() * CHUNK, -1);
        }
        self.fds[slot] = fd.as_raw_fd();
        self.chunks[slot / CHUNK][slot % CHUNK] = Some(Entry {
            id,
            fd,
            read: None,
            closing: false,
        });
        self.watch_read(id);
    }

    /// All that are not being closed, with their descriptors.
    pub fn iter(&self) -> impl Iterator<Item = (ConnectionId, BorrowedFd<'_>)> {
        let entries = self.chunks.iter().flat_map(|chunk| chunk.iter().flatten());
        entries
            .filter(|entry| !entry.closing)
            .map(|entry| (entry.id, entry.fd.as_fd()))
    }

    /// Descriptors by slot, for those connections that are there.
    pub fn fds(&self) -> &[RawFd] {
        &self.fds
    }

    /// The connection in a slot and its descriptor.
    pub fn get(&self, slot: u32) -> Option<(ConnectionId, BorrowedFd<'_>)> {
        self.entry(slot).map(|entry| (entry.id, entry.fd.as_fd()))
    }

    /// Watches for something to read, once.
    pub fn watch_read(&mut self, id: ConnectionId) {
        if let Some(entry) = self.entry_mut(id.slot)
            && entry.id == id
            && !entry.closing
            && entry.read.is_none()
        {
            let token = Token::Read(id.slot);
            entry.read = Some(Armed::new(token, entry.fd.as_fd(), libc::POLLIN));
        }
    }

    /// Watches for room to write, once.
    pub fn watch_write(&mut self, id: ConnectionId) {
        if self.writes.contains_key(&id.slot) {
            return;
        }
        if let Some(entry) = self.entry(id.slot)
            && entry.id == id
            && !entry.closing
        {
            let token = Token::Write(id.slot);
            let armed = Armed::new(token, entry.fd.as_fd(), libc::POLLOUT);
            self.writes.insert(id.slot, armed);
        }
    }

    /// The token of a poll has come up: whether it is so and the connection lives.
    pub fn complete(&mut self, token: Token) -> bool {
        match token {
            Token::Read(slot) => {
                let Some(entry) = self.entry_mut(slot) else {
                    return false;
                };
                if entry.read.as_mut().is_some_and(|r| r.is_complete(token)) {
                    entry.read = None;
                    return !entry.closing;
                }
                false
            }
            Token::Write(slot) => {
                if self
                    .writes
                    .get_mut(&slot)
                    .is_some_and(|w| w.is_complete(token))
                {
                    self.writes.remove(&slot);
                    return self.entry(slot).is_some_and(|entry| !entry.closing);
                }
                false
            }
            Token::Listener | Token::Doorbell => false,
        }
    }

    /// Tells the peer that nothing more will be sent.
    pub fn finish(&self, id: ConnectionId) {
        if let Some(entry) = self.entry(id.slot)
            && entry.id == id
        {
            // An error means that the peer has gone before: the poll says so as well.
            let _ = socket2::SockRef::from(&entry.fd).shutdown(std::net::Shutdown::Write);
        }
    }

    /// First step of a close: the polls that the kernel still has will complete.
    pub fn shut_down(&mut self, id: ConnectionId) {
        if let Some(entry) = self.entry_mut(id.slot)
            && entry.id == id
        {
            entry.closing = true;
            // An error means that it is shut down already.
            let _ = socket2::SockRef::from(&entry.fd).shutdown(std::net::Shutdown::Both);
        }
    }

    /// Last step of a close: closes the socket of a slot if it is shut down and no poll is left.
    /// Returns the connection that is gone then.
    pub fn close_if_idle(&mut self, slot: u32) -> Option<ConnectionId> {
        if self.writes.contains_key(&slot) {
            return None;
        }
        let place = self
            .chunks
            .get_mut(slot as usize / CHUNK)
            .map(|chunk| &mut chunk[slot as usize % CHUNK])?;
        let entry = place.take_if(|entry| entry.closing && entry.read.is_none())?;
        self.fds[slot as usize] = -1;
        Some(entry.id)
    }

    fn entry(&self, slot: u32) -> Option<&Entry> {
        self.chunks.get(slot as usize / CHUNK)?[slot as usize % CHUNK].as_ref()
    }

    fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.chunks.get_mut(slot as usize / CHUNK)?[slot as usize % CHUNK].as_mut()
    }
}
