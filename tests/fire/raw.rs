//! The raw protocol: `/sub/{channel}?epoch=…&offset=…`, and a close with 4410 where that cannot be had.

use crate::Place;
use crate::conversation::{Conversation, Heard};
use crate::support::wire::{handshake_lines, head};
use crate::web_socket::{Said, WebSocket};

pub struct Raw {
    path: String,
    deflates: bool,
    socket: WebSocket,
}

impl Raw {
    /// One that offers permessage-deflate or does not.
    pub fn new(channel: &str, since: Option<Place>, deflates: bool) -> Self {
        let query = since.map_or_else(String::new, |Place { epoch, offset }| {
            format!("?epoch={epoch:x}&offset={offset}")
        });
        Self {
            path: format!("/sub/{channel}{query}"),
            deflates,
            socket: WebSocket::default(),
        }
    }
}

impl Conversation for Raw {
    fn begin(&mut self) -> Vec<u8> {
        let mut lines = handshake_lines(&self.path);
        let offer = "Sec-WebSocket-Extensions: permessage-deflate";
        lines.extend(self.deflates.then(|| offer.to_owned()));
        head(&lines)
    }

    fn take(
        &mut self,
        bytes: &[u8],
        heard: &mut Vec<Heard>,
        outgoing: &mut Vec<u8>,
    ) -> Result<(), String> {
        self.socket.take(bytes, outgoing, |said, _| {
            heard.push(match said {
                Said::Open => return Ok(()),
                Said::Text(payload) => Heard::Publication {
                    offset: None,
                    payload: String::from_utf8(payload).map_err(|error| error.to_string())?,
                },
                Said::Closed { code: 4410, .. } => Heard::Gap(None),
                Said::Closed { code: 1013, .. } => Heard::TooSlow,
                Said::Closed { code, reason } => return Err(format!("closed: {code} {reason}")),
            });
            Ok(())
        })
    }

    fn is_inside(&self) -> bool {
        self.socket.is_inside()
    }
}
