//! Collects the request head, however it is cut.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ws::handshake::{self, HeadLimits, Refusal};

/// A complete head, and where in the input the bytes behind it begin.
pub type Complete<'a> = (Cow<'a, [u8]>, usize);

/// What has arrived of a request head so far, and whose it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeadBuffer {
    bytes: Vec<u8>,
    /// Where the connection comes from.
    pub peer: IpAddr,
    /// The request is answered with this whatever it is, if it is there.
    pub refusal: Option<Refusal>,
}

impl HeadBuffer {
    pub fn new(peer: IpAddr, refusal: Option<Refusal>) -> Self {
        Self {
            bytes: Vec::new(),
            peer,
            refusal,
        }
    }

    /// Whether it can be what has arrived of a head: not the whole of one.
    pub fn is_sound(&self) -> bool {
        handshake::head_end(&self.bytes, 0).is_none()
    }

    /// Adds input. When that completes the head: the head, and where in the input the bytes
    /// behind it begin, which are the first frames.
    ///
    /// # Errors
    /// A head that cannot become one any more.
    pub fn take<'a>(
        &mut self,
        input: &'a [u8],
        limits: &HeadLimits,
    ) -> Result<Option<Complete<'a>>, Refusal> {
        // The usual case, a head in one piece, is parsed where it lies.
        if self.bytes.is_empty()
            && let Some(head_len) = handshake::head_end(input, 0)
        {
            return Ok(Some((Cow::Borrowed(&input[..head_len]), head_len)));
        }
        let before = self.bytes.len();
        // No more is kept than shows that the limit is passed, whatever is sent.
        let room = (limits.head_bytes_max + 1).saturating_sub(before);
        self.bytes
            .extend_from_slice(&input[..input.len().min(room)]);
        match handshake::head_end(&self.bytes, before) {
            Some(head_len) => {
                let mut head = std::mem::take(&mut self.bytes);
                head.truncate(head_len);
                Ok(Some((Cow::Owned(head), head_len - before)))
            }
            None => {
                handshake::check_incomplete(&self.bytes, limits)?;
                Ok(None)
            }
        }
    }
}
