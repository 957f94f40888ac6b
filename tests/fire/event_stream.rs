//! Event streams: `Last-Event-ID`, and `event: gap`.

use crate::Place;
use crate::conversation::{Conversation, Heard};
use crate::support::sse::{Reader, request_lines};
use crate::support::wire::head;
use crate::web_socket::head_end;

pub struct EventStream {
    request: Vec<u8>,
    /// The answer's head, until it is whole.
    head: Option<Vec<u8>>,
    reader: Reader,
}

impl EventStream {
    pub fn new(channel: &str, since: Option<Place>) -> Self {
        let mut lines = request_lines(&format!("/sub/{channel}"));
        lines.extend(
            since.map(|Place { epoch, offset }| format!("Last-Event-ID: {epoch:x}:{offset}")),
        );
        Self {
            request: head(&lines),
            head: Some(Vec::new()),
            reader: Reader::default(),
        }
    }
}

impl Conversation for EventStream {
    fn begin(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.request)
    }

    fn take(
        &mut self,
        bytes: &[u8],
        heard: &mut Vec<Heard>,
        _: &mut Vec<u8>,
    ) -> Result<(), String> {
        let mut bytes = bytes.to_vec();
        if let Some(head) = &mut self.head {
            head.extend_from_slice(&bytes);
            let Some(end) = head_end(head) else {
                return Ok(());
            };
            if !head.starts_with(b"HTTP/1.1 200 ") {
                return Err(format!("not let in: {}", String::from_utf8_lossy(head)));
            }
            bytes = head.split_off(end);
            self.head = None;
        }
        self.reader.read(&bytes);
        for event in self.reader.events.drain(..) {
            let place = Some(&event.last_event_id).filter(|id| !id.is_empty());
            let place = place.map(|id| place_of(id)).transpose()?;
            heard.push(match &*event.kind {
                "message" => Heard::Publication {
                    offset: place.map(|place| place.offset),
                    payload: event.data,
                },
                "gap" if event.data == event.last_event_id => Heard::Gap(place),
                other => return Err(format!("an event of the type {other}: {event:?}")),
            });
        }
        for comment in self.reader.comments.drain(..) {
            match &*comment {
                "" => {}
                reason if reason.contains("too slow") => heard.push(Heard::TooSlow),
                other => return Err(format!("the comment {other:?}")),
            }
        }
        Ok(())
    }

    fn is_inside(&self) -> bool {
        self.reader.is_inside()
    }
}

fn place_of(id: &str) -> Result<Place, String> {
    let parts = id.split_once(':').and_then(|(epoch, offset)| {
        let epoch = u64::from_str_radix(epoch, 16).ok()?;
        let offset = offset.parse().ok()?;
        Some(Place { epoch, offset })
    });
    parts.ok_or_else(|| format!("the id {id:?}"))
}
