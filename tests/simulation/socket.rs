//! A fake socket: what the kernels of both ends hold between a shard and a client.

pub const EAGAIN: i32 = -11;
pub const EPIPE: i32 = -32;
pub const ECONNRESET: i32 = -104;

/// What a receive brings.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    Bytes(Vec<u8>),
    WouldBlock,
    End,
    Reset,
}

/// Both directions of one connection.
#[derive(Default)]
pub struct Socket {
    /// From the client, not received by the shard yet.
    pub inbound: Vec<u8>,
    /// From the shard, not read by the client yet.
    pub outbound: Vec<u8>,
    /// Bytes that the shard has received.
    pub taken: u64,
    /// Most bytes in `outbound`.
    pub capacity: usize,
    /// The client sends nothing more.
    pub client_ended: bool,
    /// The client's end has answered with a reset.
    pub is_reset: bool,
    reset_reported: bool,
    /// The shard sends nothing more.
    pub server_ended: bool,
    /// The shard's end is closed.
    pub server_closed: bool,
}

impl Socket {
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    /// `send(MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL)`: bytes taken or the negative error number.
    /// `most` cuts it short.
    pub fn send(&mut self, bytes: &[u8], most: usize) -> i32 {
        if self.is_reset {
            // The first to look is told of the reset, everyone after it of the broken pipe.
            let error = if self.reset_reported {
                EPIPE
            } else {
                ECONNRESET
            };
            self.reset_reported = true;
            return error;
        }
        if self.server_ended {
            return EPIPE;
        }
        let room = self.capacity.saturating_sub(self.outbound.len());
        let taken = bytes.len().min(room).min(most);
        if taken == 0 {
            return EAGAIN;
        }
        self.outbound.extend_from_slice(&bytes[..taken]);
        taken as i32
    }

    pub fn receive(&mut self, most: usize) -> Received {
        if self.is_reset {
            self.reset_reported = true;
            return Received::Reset;
        }
        if self.inbound.is_empty() {
            return if self.client_ended {
                Received::End
            } else {
                Received::WouldBlock
            };
        }
        let len = self.inbound.len().min(most);
        self.taken += len as u64;
        Received::Bytes(self.inbound.drain(..len).collect())
    }

    pub fn is_readable(&self) -> bool {
        !self.inbound.is_empty() || self.client_ended || self.is_reset
    }

    /// As the kernel has it: when a good part of the buffer is free.
    pub fn is_writable(&self) -> bool {
        self.is_reset || self.outbound.len() * 3 <= self.capacity * 2
    }

    /// The client's end answers everything with a reset from now on.
    pub fn reset(&mut self) {
        self.is_reset = true;
        self.inbound.clear();
        self.outbound.clear();
    }
}
