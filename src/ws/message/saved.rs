//! What a client has sent of a message that is not whole yet, as one version of the program hands it to the next.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Partial, Reader};
use crate::ws::deflate::History;
use crate::ws::frame::{self, HEADER_LEN_MAX, Header, Opcode};

/// All that a [`Reader`] holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedReader(Option<Box<SavedPartial>>);

/// What a reader cannot have held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was saved of a connection's unfinished message is damaged")]
pub struct DamagedReader;

/// As [`Partial`]. Its bytes are of a type that is written and read as a whole and not one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedPartial {
    header: Bytes,
    frame: Option<(Header, u64)>,
    control: Bytes,
    message_kind: Option<Opcode>,
    message: Bytes,
    is_compressed: bool,
    checked: usize,
    history: Bytes,
}

impl Reader {
    /// All that it holds, to go on with elsewhere.
    pub fn save(&self) -> SavedReader {
        SavedReader(self.0.as_ref().map(|partial| Box::new(partial.save())))
    }

    /// A reader that goes on where the saved one was.
    ///
    /// # Errors
    /// [`DamagedReader`].
    pub fn restore(saved: SavedReader) -> Result<Self, DamagedReader> {
        let partial = saved.0.map(|saved| Partial::restore(*saved));
        Ok(Self(partial.transpose()?.map(Box::new)))
    }
}

impl Partial {
    fn save(&self) -> SavedPartial {
        let Self {
            header,
            header_len,
            frame,
            control,
            message_kind,
            message,
            is_compressed,
            checked,
            history,
        } = self;
        SavedPartial {
            header: Bytes::copy_from_slice(&header[..*header_len]),
            frame: *frame,
            control: Bytes::copy_from_slice(control),
            message_kind: *message_kind,
            message: Bytes::copy_from_slice(message),
            is_compressed: *is_compressed,
            checked: *checked,
            history: Bytes::copy_from_slice(history.as_bytes()),
        }
    }

    fn restore(saved: SavedPartial) -> Result<Self, DamagedReader> {
        saved.check().ok_or(DamagedReader)?;
        let mut header = [0; HEADER_LEN_MAX];
        header[..saved.header.len()].copy_from_slice(&saved.header);
        Ok(Self {
            header,
            header_len: saved.header.len(),
            frame: saved.frame,
            control: saved.control.into(),
            message_kind: saved.message_kind,
            message: saved.message.into(),
            is_compressed: saved.is_compressed,
            checked: saved.checked,
            history: History::of_bytes(saved.history.into()),
        })
    }
}

impl SavedPartial {
    /// Whether reading on relies on nothing that is not so.
    fn check(&self) -> Option<()> {
        let is_begun = frame::decode_client_header(&self.header, true) == Ok(None);
        let is_under_way = |(header, received): &(Header, u64)| {
            *received < header.payload_len && self.header.is_empty()
        };
        let is_sound = self.header.len() < HEADER_LEN_MAX
            && is_begun
            && self.frame.as_ref().is_none_or(is_under_way)
            && self.checked <= self.message.len()
            && self
                .message_kind
                .is_none_or(|kind| matches!(kind, Opcode::Text | Opcode::Binary));
        is_sound.then_some(())
    }
}
