//! How clients of each protocol say where they stand, and what they hear.

use memchr::memmem;
use pushring::bench::frames::{Opcode, put_frame};

use crate::server::{CHANNEL, Place};

/// What clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// The raw protocol: `/sub/{channel}?epoch=…&offset=…`.
    Raw,
    /// Centrifugo's protocol: a subscribe command with `recover`.
    Centrifuge,
}

/// What a message says.
pub enum Heard<'a> {
    /// A publication's payload.
    Payload(&'a [u8]),
    /// The subscription has begun.
    Begun,
    /// To be answered.
    Ping,
    /// Something that may be said.
    Nothing,
    /// Something that may not.
    Foreign,
}

impl Protocol {
    /// The name in tables and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Centrifuge => "centrifuge",
        }
    }

    /// The path of the WebSocket.
    pub fn path(self, since: Option<&Place>) -> String {
        match (self, since) {
            (Self::Raw, None) => format!("/sub/{CHANNEL}"),
            (Self::Raw, Some(Place { epoch, offset })) => {
                format!("/sub/{CHANNEL}?epoch={epoch}&offset={offset}")
            }
            (Self::Centrifuge, _) => "/connection/websocket".to_owned(),
        }
    }

    /// What is said once the WebSocket is open: one frame, or nothing.
    pub fn commands(self, since: Option<&Place>) -> Vec<u8> {
        let mut out = Vec::new();
        if self == Self::Centrifuge {
            let since = since.map_or_else(String::new, |Place { epoch, offset }| {
                format!(r#","recover":true,"epoch":"{epoch}","offset":{offset}"#)
            });
            let commands = format!(
                "{{\"id\":1,\"connect\":{{}}}}\n{{\"id\":2,\"subscribe\":{{\"channel\":\"{CHANNEL}\"{since}}}}}"
            );
            put_frame(&mut out, Opcode::Text, commands.as_bytes());
        }
        out
    }

    /// Takes a message and hands what it says to `each`, in order. Payloads stand in it as they were published.
    pub fn read(self, message: &[u8], mut each: impl FnMut(Heard<'_>)) {
        if self == Self::Raw {
            return each(Heard::Payload(message));
        }
        let lines = message.split(|&byte| byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            each(heard(line));
        }
    }
}

/// What a line of Centrifugo's protocol says.
fn heard(line: &[u8]) -> Heard<'_> {
    if line.starts_with(b"{\"push\":{\"channel\":") {
        return payload(line).map_or(Heard::Foreign, Heard::Payload);
    }
    if line == b"{}" {
        return Heard::Ping;
    }
    let reply: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
    match (reply["id"].as_u64(), reply.get("error")) {
        (Some(1), None) => Heard::Nothing,
        (Some(2), None) if reply["subscribe"].get("recovered") != Some(&false.into()) => {
            Heard::Begun
        }
        _ => Heard::Foreign,
    }
}

/// The text that a push has as its data, quotes included; the bench's have no quotes inside.
fn payload(line: &[u8]) -> Option<&[u8]> {
    const DATA: &[u8] = b"\"data\":";
    let data = &line[memmem::find(line, DATA)? + DATA.len()..];
    let end = 1 + memchr::memchr(b'"', data.get(1..)?)?;
    data.get(..=end)
}
