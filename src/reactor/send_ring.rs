//! The send ring: one buffer to many sockets with one system call, and nothing in flight after it.
//!
//! Every send is made with `MSG_DONTWAIT`, so the kernel finishes it one way or the other before
//! `io_uring_enter` returns, and then holds no pointer into the buffer. A send that went through
//! whole says nothing (`CQE_SKIP_SUCCESS`); `MSG_WAITALL` makes a short one count as an exception.

use std::io;
use std::os::fd::RawFd;

use io_uring::{IoUring, opcode, squeue, types};

use crate::shard::{Batch, Exception};

/// The shard's second ring.
pub struct SendRing {
    ring: IoUring,
}

impl SendRing {
    /// A ring for batches of at most `entries`. The calling thread is the only one that may use it.
    pub fn new(entries: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            // The kernel need not lock against other submitters.
            .setup_single_issuer()
            // A bad entry is an exception of its own and stops none of those behind it.
            .setup_submit_all()
            .build(entries)?;
        Ok(Self { ring })
    }

    /// Bytes that the kernel has mapped for a ring of so many entries.
    pub fn bytes(entries: u32) -> u64 {
        // Without a size of its own the completion queue is twice as long.
        super::rings::ring_bytes(entries, entries * 2)
    }

    /// Carries a batch out. `fds` is indexed by slot. What did not go through whole is added to
    /// `exceptions`.
    pub fn scatter(
        &mut self,
        batch: &Batch,
        fds: &[RawFd],
        exceptions: &mut Vec<Exception>,
    ) -> io::Result<()> {
        let sends = batch.iter();
        self.send_all(
            sends.map(|(slot, bytes)| (fds[slot as usize], bytes)),
            exceptions,
        )
    }

    /// The same of sends that name their sockets.
    pub(super) fn send_all<'a>(
        &mut self,
        sends: impl Iterator<Item = (RawFd, &'a [u8])>,
        exceptions: &mut Vec<Exception>,
    ) -> io::Result<()> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        let mut queue = self.ring.submission();
        for (index, (fd, bytes)) in sends.enumerate() {
            let entry = opcode::Send::new(types::Fd(fd), bytes.as_ptr(), bytes.len() as u32)
                .flags(flags)
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(index as u64);
            // SAFETY: the bytes are borrowed for longer than this call, and the kernel is done with
            // them when the submission below has returned (see the module's documentation).
            if unsafe { queue.push(&entry) }.is_err() {
                // The ring is made for whole batches; should one be larger, the rest counts as
                // not sent and is tried again by way of the backlog.
                exceptions.push(Exception {
                    send: index as u32,
                    result: -libc::EAGAIN,
                });
            }
        }
        drop(queue);
        self.submit()?;
        exceptions.extend(self.ring.completion().map(|completion| Exception {
            send: completion.user_data() as u32,
            result: completion.result(),
        }));
        Ok(())
    }

    /// Submits everything queued: only then is nothing left that points into the batch.
    fn submit(&mut self) -> io::Result<()> {
        loop {
            match self.ring.submit() {
                Ok(_) if self.ring.submission().is_empty() => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
