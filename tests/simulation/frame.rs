//! STOMP frames, written and read naively and without the library's own codec.

use std::fmt::Write as _;

/// A frame as the server has sent it.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub command: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Frame {
    /// The frame that a message of the server's is; one, and nothing behind it.
    pub fn parse(message: &[u8]) -> Result<Self, String> {
        let refused = |what: &str| {
            let text = String::from_utf8_lossy(message);
            Err(format!("a STOMP frame {what}: {text:?}"))
        };
        let Some(end) = message.windows(2).position(|two| two == b"\n\n") else {
            return refused("without an end of its head");
        };
        let Ok(head) = std::str::from_utf8(&message[..end]) else {
            return refused("whose head is not UTF-8");
        };
        let mut lines = head.split('\n');
        let command = lines.next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                return refused("with a line that is no header");
            };
            headers.push((name.to_owned(), value.to_owned()));
        }
        let [body @ .., 0] = &message[end + 2..] else {
            return refused("without its last byte");
        };
        let frame = Self {
            command,
            headers,
            body: body.to_vec(),
        };
        let counted = frame.header("content-length").map(str::parse);
        if counted.is_some_and(|len| len != Ok(body.len())) {
            return refused("whose length is not what it says");
        }
        Ok(frame)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| &**value)
    }

    /// A header that it must have.
    pub fn required(&self, name: &str) -> Result<&str, String> {
        self.header(name)
            .ok_or_else(|| format!("a {} without {name}", self.command))
    }
}

/// A client's frame; headers without a value are left out.
pub fn frame(command: &str, headers: &[(&str, Option<&str>)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{command}\n");
    for (name, value) in headers {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = writeln!(head, "{name}:{value}");
        }
    }
    head.push('\n');
    [head.as_bytes(), body, b"\0"].concat()
}
