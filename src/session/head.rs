//! Collects the request head, however it is cut.

use super::Settings;
use super::route::{Route, route};
use crate::ws::handshake::{self, Refusal};

/// What has arrived of a request head so far.
pub struct HeadBuffer {
    bytes: Vec<u8>,
    /// The request is answered with this whatever it is, if it is there.
    refusal: Option<Refusal>,
}

impl HeadBuffer {
    pub fn new(refusal: Option<Refusal>) -> Self {
        Self {
            bytes: Vec::new(),
            refusal,
        }
    }

    /// Adds input. When that completes the head: where it leads, and where in the input the bytes
    /// behind it begin, which are the first frames.
    pub fn take(
        &mut self,
        input: &[u8],
        settings: &Settings,
    ) -> Result<Option<(Route, usize)>, Refusal> {
        // The usual case, a head in one piece, is parsed where it lies.
        if self.bytes.is_empty()
            && let Some(head_len) = handshake::head_end(input, 0)
        {
            return Ok(Some((self.route(&input[..head_len], settings)?, head_len)));
        }
        let before = self.bytes.len();
        // No more is kept than shows that the limit is passed, whatever is sent.
        let room = (settings.head.head_bytes_max + 1).saturating_sub(before);
        self.bytes
            .extend_from_slice(&input[..input.len().min(room)]);
        match handshake::head_end(&self.bytes, before) {
            Some(head_len) => {
                let bytes = std::mem::take(&mut self.bytes);
                let route = self.route(&bytes[..head_len], settings)?;
                Ok(Some((route, head_len - before)))
            }
            None => {
                handshake::check_incomplete(&self.bytes, &settings.head)?;
                Ok(None)
            }
        }
    }

    fn route(&mut self, head: &[u8], settings: &Settings) -> Result<Route, Refusal> {
        match self.refusal.take() {
            Some(refusal) => Err(refusal),
            None => handshake::with_head(head, &settings.head, |head| route(head, settings)),
        }
    }
}
