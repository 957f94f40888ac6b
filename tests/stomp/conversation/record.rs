//! A server's answers as a text that can be read and compared: what differs from run to run has a name in its place.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::support::stomp::{Frame, Heard};

/// Bodies are shown up to this many bytes.
const SHOWN_MAX: usize = 100;

/// A value shorter than this is not looked for in texts: it could stand there for something else.
const TELLING: usize = 6;

/// The names that stand for the values of one situation.
pub struct Names {
    /// What `$` stands for.
    unique: String,
    named: HashMap<(&'static str, String), String>,
}

impl Names {
    pub fn new(unique: String) -> Self {
        Self {
            unique,
            named: HashMap::new(),
        }
    }

    /// An answer as it is recorded.
    pub fn line(&mut self, who: char, heard: &Heard) -> String {
        match heard {
            Heard::Frame(frame) => self.frame_line(who, frame),
            Heard::Beat => format!("{who}< (heart-beat)"),
            Heard::Closed { code, reason } => {
                let code = code.map_or("without a code".to_owned(), |code| code.to_string());
                let reason = self.replaced(reason);
                let colon = if reason.is_empty() { "" } else { ": " };
                format!("{who}< (closed {code}{colon}{reason})")
            }
            Heard::End => format!("{who}< (ended without a close frame)"),
        }
    }

    fn frame_line(&mut self, who: char, frame: &Frame) -> String {
        let mut headers: Vec<(&str, String)> = Vec::new();
        for (name, value) in &frame.headers {
            headers.push((name, self.header_value(name, value)));
        }
        // Their order says nothing, but for that of repeated ones.
        headers.sort_by_key(|&(name, _)| name);
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let head = shown(
            self.replaced(&format!("{}\n{headers}\n", frame.command))
                .as_bytes(),
        );
        let kind = if frame.binary { " (binary)" } else { "" };
        format!("{who}<{kind} {head}{}", self.body(&frame.body))
    }

    fn header_value(&mut self, name: &str, value: &str) -> String {
        match name {
            "session" => self.name("session", value),
            "message-id" => self.name("message", value),
            "ack" => self.name("ack", value),
            "server" => match value.split_once('/') {
                Some((server, _)) => format!("{server}/<version>"),
                None => value.to_owned(),
            },
            _ => value.to_owned(),
        }
    }

    fn name(&mut self, kind: &'static str, value: &str) -> String {
        let count = self.named.keys().filter(|(of, _)| *of == kind).count();
        self.named
            .entry((kind, value.to_owned()))
            .or_insert_with(|| format!("<{kind} {}>", count + 1))
            .clone()
    }

    fn body(&self, body: &[u8]) -> String {
        if body.len() > SHOWN_MAX && body.iter().all(|&byte| byte == body[0]) {
            return format!("({} times {:?})", body.len(), char::from(body[0]));
        }
        match std::str::from_utf8(body) {
            Ok(text) => shown(self.replaced(text).as_bytes()),
            Err(_) => shown(body),
        }
    }

    /// The text with names in place of values.
    fn replaced(&self, text: &str) -> String {
        let mut text = text.replace(&self.unique, "$");
        let mut telling: Vec<_> = self.named.iter().collect();
        telling.retain(|((_, value), _)| value.len() >= TELLING);
        // A longer one may have a shorter one inside.
        telling.sort_by_key(|((kind, value), _)| (Reverse(value.len()), *kind));
        for ((_, value), name) in telling {
            text = text.replace(value, name);
        }
        text
    }
}

/// The bytes as the script writes them.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\0' => text.push_str("\\0"),
                '\\' => text.push_str("\\\\"),
                control if control.is_control() => {
                    text.push_str(&format!("\\x{:02x}", u32::from(control)));
                }
                plain => text.push(plain),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The order in which answers to one step are recorded: which of those to different frames comes first is the server's
/// choice, but for the messages of one subscription, the last words and the end.
pub fn order(heard: &Heard) -> (u8, String) {
    match heard {
        Heard::Frame(frame) => match frame.command.as_str() {
            "CONNECTED" => (0, String::new()),
            "RECEIPT" => (1, frame.header("receipt-id").unwrap_or_default().to_owned()),
            "ERROR" => (3, String::new()),
            _ => (
                2,
                frame.header("subscription").unwrap_or_default().to_owned(),
            ),
        },
        Heard::Beat => (4, String::new()),
        Heard::Closed { .. } | Heard::End => (5, String::new()),
    }
}

/// A record's situations: each name with its lines. Lines that begin with `#` say how it came about.
pub fn situations(record: &str) -> Vec<(&str, Vec<&str>)> {
    let mut situations: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in record.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            situations.push((name, Vec::new()));
        } else if !line.is_empty()
            && !line.starts_with('#')
            && let Some((_, lines)) = situations.last_mut()
        {
            lines.push(line);
        }
    }
    situations
}
