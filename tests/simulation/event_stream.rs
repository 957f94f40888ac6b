//! What the client of an event stream hears.

#[path = "../../src/sse/tests/naive.rs"]
mod naive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use naive::{Event, Reader};

use super::wire::Said;

/// A stream that has begun.
#[derive(Default)]
pub struct EventStream {
    reader: Reader,
    /// The offset that the last id had.
    last: Option<u64>,
    is_over: bool,
}

impl EventStream {
    /// Takes bytes in; an error where no server may have sent them.
    pub fn push(&mut self, bytes: &[u8], said: &mut Vec<Said>) -> Result<(), String> {
        // Byte by byte, so that each id is seen.
        for byte in bytes {
            self.reader.read(std::slice::from_ref(byte));
            let Some(event) = self.reader.events.pop_front() else {
                self.note_position()?;
                continue;
            };
            if self.is_over {
                return Err("an event behind the last word".to_owned());
            }
            said.push(self.publication(&event)?);
        }
        for comment in self.reader.comments.drain(..) {
            let code = match comment.as_str() {
                "" => continue,
                reason if reason.contains("too slow") => 1013,
                reason if reason.contains("shutting down") => 1001,
                _ => 0,
            };
            self.is_over = true;
            said.push(Said::Close(Some(code)));
        }
        Ok(())
    }

    /// Whether the bytes so far end in the middle of something.
    pub fn is_inside(&self) -> bool {
        self.reader.is_inside()
    }

    fn publication(&mut self, event: &Event) -> Result<Said, String> {
        // Several channels have no place together.
        let has_place = !event.last_event_id.is_empty() && !event.last_event_id.starts_with("0:");
        if has_place {
            let offset = offset_of(&event.last_event_id)?;
            // What it has missed comes in front of any word of where the stream stands.
            let last = self.last.replace(offset);
            if event.kind == "gap" && last.is_none() && event.data == event.last_event_id {
                return Ok(Said::Gap(offset));
            }
            if last.is_some_and(|last| last + 1 != offset) {
                return Err(format!("the id {offset} behind {last:?}"));
            }
        }
        match &*event.kind {
            "message" => Ok(Said::Data {
                text: true,
                payload: event.data.clone().into_bytes(),
            }),
            "binary" => Ok(Said::Data {
                text: false,
                payload: BASE64
                    .decode(&event.data)
                    .map_err(|error| format!("no base64: {error}"))?,
            }),
            other => Err(format!("an event of the type {other}")),
        }
    }

    /// The position that a stream begins with is no event.
    fn note_position(&mut self) -> Result<(), String> {
        if self.last.is_none() && !self.reader.last_event_id.is_empty() {
            self.last = Some(offset_of(&self.reader.last_event_id)?);
        }
        Ok(())
    }
}

fn offset_of(id: &str) -> Result<u64, String> {
    id.split_once(':')
        .and_then(|(_, offset)| offset.parse().ok())
        .ok_or_else(|| format!("the id {id:?}"))
}
