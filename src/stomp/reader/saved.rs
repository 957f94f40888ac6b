//! A reader written down, and made of that again.

#![forbid(unsafe_code)]

use super::{Partial, Reader};
use crate::stomp::{Limits, Version};

/// What has been taken in has passed its limits once.
const UNLIMITED: Limits = Limits {
    headers_max: usize::MAX,
    head_bytes_max: usize::MAX,
    body_bytes_max: usize::MAX,
};

impl Reader {
    /// What has come of an item that is not whole: bytes that [`Reader::restore`] makes the same reader of.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        match self.0.as_deref() {
            None => Vec::new(),
            Some(Partial::Return) => b"\r".to_vec(),
            Some(Partial::Head(_, text)) => text.clone(),
            Some(Partial::Body(_, text, body)) => [text.as_bytes(), body].concat(),
        }
    }

    /// The reader that was saved, with the version that its session has agreed on, if it has. `None` if the bytes
    /// are not the beginning of an item, or more than that.
    #[must_use]
    pub fn restore(saved: &[u8], version: Option<Version>) -> Option<Self> {
        let mut reader = Self::new();
        match reader.read(saved, &UNLIMITED, version) {
            Ok((taken, None)) if taken == saved.len() => Some(reader),
            Ok(_) | Err(_) => None,
        }
    }
}
