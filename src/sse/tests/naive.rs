//! What a client makes of an event stream, as the HTML Standard, section 9.2.6 "Interpreting an event stream", has it step by
//! step. It shares no code with the server.

use std::collections::VecDeque;

/// An event as a page hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `message` where the stream names no type.
    pub kind: String,
    pub data: String,
    pub last_event_id: String,
}

/// See the module's documentation.
#[derive(Default)]
pub struct Reader {
    line: Vec<u8>,
    after_cr: bool,
    began: bool,
    data: String,
    kind: String,
    id_buffer: String,
    /// What the client names when it connects again.
    pub last_event_id: String,
    /// After how long it does.
    pub retry_ms: Option<u64>,
    /// Lines that begin with a colon, without it.
    pub comments: Vec<String>,
    /// Events that nobody has taken yet.
    pub events: VecDeque<Event>,
}

impl Reader {
    /// Takes the next bytes of the stream, whatever they are cut from.
    pub fn read(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\n' if std::mem::take(&mut self.after_cr) => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    let line = String::from_utf8_lossy(&line).into_owned();
                    let is_first = !std::mem::replace(&mut self.began, true);
                    let mark = if is_first { "\u{feff}" } else { "" };
                    self.take_line(line.strip_prefix(mark).unwrap_or(&line));
                }
                byte => {
                    self.after_cr = false;
                    self.line.push(byte);
                }
            }
        }
    }

    /// Whether what has been read ends within a line or a block.
    pub fn is_inside(&self) -> bool {
        let of_block = [&self.data, &self.kind];
        !self.line.is_empty()
            || of_block.iter().any(|part| !part.is_empty())
            || self.id_buffer != self.last_event_id
    }

    fn take_line(&mut self, line: &str) {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.comments.push(value.to_owned()),
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id_buffer),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok().or(self.retry_ms);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        self.id_buffer.clone_into(&mut self.last_event_id);
        let kind = std::mem::take(&mut self.kind);
        let data = std::mem::take(&mut self.data);
        let Some(data) = data.strip_suffix('\n') else {
            return;
        };
        self.events.push_back(Event {
            kind: if kind.is_empty() {
                "message".to_owned()
            } else {
                kind
            },
            data: data.to_owned(),
            last_event_id: self.last_event_id.clone(),
        });
    }
}
