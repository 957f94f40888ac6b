//! Polls of the reactor's ring, and the list of those that have completed.
//!
//! A task for every connection would cost some hundred bytes each. Instead one driver holds the
//! polls of all connections, and each has a waker that does nothing but write its token on the
//! thread's list; the driver then asks just those.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use io_uring::{cqueue, opcode, types};
use tokio_uring::{InFlightOneshot, OneshotOutputTransform, UnsubmittedOneshot};

/// Who a poll is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// The connection in that slot can be read.
    Read(u32),
    /// The connection in that slot takes bytes again.
    Write(u32),
    /// A connection waits to be accepted.
    Listener,
    /// Mail has come.
    Doorbell,
}

impl Token {
    const fn to_bits(self) -> usize {
        match self {
            Self::Read(slot) => (slot as usize) << 2,
            Self::Write(slot) => (slot as usize) << 2 | 1,
            Self::Listener => 2,
            Self::Doorbell => 3,
        }
    }

    const fn from_bits(bits: usize) -> Self {
        match bits & 3 {
            0 => Self::Read((bits >> 2) as u32),
            1 => Self::Write((bits >> 2) as u32),
            2 => Self::Listener,
            _ => Self::Doorbell,
        }
    }
}

thread_local! {
    /// Tokens of completed polls.
    static READY: RefCell<Vec<Token>> = const { RefCell::new(Vec::new()) };
    /// The driver's task, while it waits for tokens.
    static DRIVER: Cell<Option<Waker>> = const { Cell::new(None) };
}

/// Moves the tokens that have come up to the end of `into`.
pub fn take_ready(into: &mut std::collections::VecDeque<Token>) {
    READY.with_borrow_mut(|ready| into.extend(ready.drain(..)));
}

/// Whether no token has come up.
pub fn is_empty() -> bool {
    READY.with_borrow(Vec::is_empty)
}

/// Waits until a token comes up. The first poll never is ready, so that the thread parks and what
/// has been armed is submitted.
pub async fn wait() {
    let mut parked = false;
    std::future::poll_fn(|cx| {
        if parked && !is_empty() {
            return Poll::Ready(());
        }
        parked = true;
        DRIVER.set(Some(cx.waker().clone()));
        Poll::Pending
    })
    .await;
}

/// A one-shot poll that the kernel has, or will have when the thread parks.
pub struct Armed(InFlightOneshot<(), Revents>);

impl Armed {
    /// Watches a descriptor for one of the events (`libc::POLL…`), once.
    pub fn new(token: Token, fd: BorrowedFd<'_>, events: libc::c_short) -> Self {
        Self::with_flags(token, fd, events as u32)
    }

    /// The same for a descriptor that other threads watch, too: of those who do it this way, the kernel wakes the one that has
    /// waited longest, and the others sleep on.
    pub fn new_in_turn(token: Token, fd: BorrowedFd<'_>, events: libc::c_short) -> Self {
        Self::with_flags(token, fd, events as u32 | libc::EPOLLEXCLUSIVE as u32)
    }

    fn with_flags(token: Token, fd: BorrowedFd<'_>, flags: u32) -> Self {
        let entry = opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), flags).build();
        let mut armed = Self(UnsubmittedOneshot::new((), Revents, entry).submit());
        if armed.is_complete(token) {
            READY.with_borrow_mut(|ready| ready.push(token));
        }
        armed
    }

    /// Whether the poll has completed. To be asked after its token came up; if it has, drop it.
    pub fn is_complete(&mut self, token: Token) -> bool {
        let waker = waker(token);
        Pin::new(&mut self.0)
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
    }
}

use std::future::Future;

/// Takes the events that a poll found, which nobody asks for: the next call on the socket tells.
struct Revents;

impl OneshotOutputTransform for Revents {
    type Output = ();
    type StoredData = ();

    fn transform_oneshot_output(self, (): (), _: cqueue::Entry) {}
}

fn waker(token: Token) -> Waker {
    // SAFETY: the functions of the table only use the data as a number and the thread's own list,
    // whichever thread they are called on. The data owns nothing, so copies need no counting.
    unsafe { Waker::from_raw(raw_waker(token.to_bits() as *const ())) }
}

fn raw_waker(token: *const ()) -> RawWaker {
    RawWaker::new(token, &VTABLE)
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(raw_waker, wake, wake, |_| {});

fn wake(token: *const ()) {
    READY.with_borrow_mut(|ready| ready.push(Token::from_bits(token as usize)));
    if let Some(driver) = DRIVER.take() {
        driver.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_trip_through_a_pointer() {
        for token in [
            Token::Read(0),
            Token::Read(u32::MAX),
            Token::Write(0),
            Token::Write(u32::MAX),
            Token::Listener,
            Token::Doorbell,
        ] {
            assert_eq!(Token::from_bits(token.to_bits()), token);
        }
    }
}
