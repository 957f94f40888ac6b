//! STOMP: `since:` with the last `message-id`, and a MESSAGE with `gap:true`.

use crate::Place;
use crate::conversation::{Conversation, Heard};
use crate::support::stomp::{Frame, Frames, Heard as Piece, PROTOCOLS, connect_frame};
use crate::support::wire::{FIN, TEXT, frame, handshake_lines, head};
use crate::web_socket::{Said, WebSocket};

pub struct Stomp {
    version: &'static str,
    destination: String,
    mode: &'static str,
    since: Option<Place>,
    socket: WebSocket,
    frames: Frames,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connecting,
    Subscribing,
    /// What was asked for is not kept any more: the next MESSAGE says so.
    Gap,
    Subscribed,
}

impl Stomp {
    pub fn new(client: usize, channel: &str, mode: &'static str, since: Option<Place>) -> Self {
        Self {
            version: ["1.0", "1.1", "1.2"][client % 3],
            destination: format!("/topic/{channel}"),
            mode,
            since,
            socket: WebSocket::default(),
            frames: Frames::default(),
            step: Step::Connecting,
        }
    }
}

impl Conversation for Stomp {
    fn begin(&mut self) -> Vec<u8> {
        let mut lines = handshake_lines("/stomp");
        lines.push(format!("Sec-WebSocket-Protocol: {PROTOCOLS}"));
        head(&lines)
    }

    fn take(
        &mut self,
        bytes: &[u8],
        heard: &mut Vec<Heard>,
        outgoing: &mut Vec<u8>,
    ) -> Result<(), String> {
        let mut socket = std::mem::take(&mut self.socket);
        let taken = socket.take(bytes, outgoing, |said, outgoing| {
            match said {
                Said::Open => say(outgoing, &connect_frame(self.version, "")),
                Said::Text(text) => {
                    for frame in self.frames.take(&text, false) {
                        if let Piece::Frame(frame) = frame {
                            self.hear(frame, heard, outgoing)?;
                        }
                    }
                }
                Said::Closed { code: 1013, .. } => {}
                Said::Closed { code, reason } => return Err(format!("closed: {code} {reason}")),
            }
            Ok(())
        });
        self.socket = socket;
        taken
    }

    fn is_inside(&self) -> bool {
        self.socket.is_inside()
    }
}

impl Stomp {
    fn hear(
        &mut self,
        frame: Frame,
        heard: &mut Vec<Heard>,
        outgoing: &mut Vec<u8>,
    ) -> Result<(), String> {
        match (&*frame.command, self.step) {
            ("CONNECTED", Step::Connecting) => {
                let since = self.since.map_or_else(String::new, |place| {
                    format!("since:{}-{}\n", place.epoch, place.offset)
                });
                let (destination, mode) = (&self.destination, self.mode);
                let subscribe = format!(
                    "SUBSCRIBE\nid:0\ndestination:{destination}\nack:{mode}\n{since}receipt:r\n\n"
                );
                say(outgoing, &subscribe);
                self.step = Step::Subscribing;
            }
            ("RECEIPT", Step::Subscribing) => {
                self.step = match (self.since, frame.header("recovered")) {
                    (None, None) | (Some(_), Some("true")) => Step::Subscribed,
                    (Some(_), Some("false")) => Step::Gap,
                    _ => return Err(format!("{frame:?} for {:?}", self.since)),
                };
            }
            ("MESSAGE", Step::Gap | Step::Subscribed) => {
                let place = place_of(frame.must("message-id"))?;
                let is_gap = frame.header("gap") == Some("true");
                if is_gap != (self.step == Step::Gap) {
                    return Err(format!("{frame:?} where all is {:?}", self.step));
                }
                self.step = Step::Subscribed;
                self.acknowledge(&frame, outgoing);
                heard.push(match is_gap {
                    true => Heard::Gap(Some(place)),
                    false => Heard::Publication {
                        offset: Some(place.offset),
                        payload: frame.text().to_owned(),
                    },
                });
            }
            ("ERROR", _) if frame.must("message").contains("too slow") => {
                heard.push(Heard::TooSlow);
            }
            _ => return Err(format!("{frame:?} while {:?}", self.step)),
        }
        Ok(())
    }

    fn acknowledge(&self, message: &Frame, outgoing: &mut Vec<u8>) {
        if self.mode == "auto" {
            return;
        }
        let named = match self.version {
            "1.2" => format!("id:{}", message.must("ack")),
            _ => format!("subscription:0\nmessage-id:{}", message.must("message-id")),
        };
        say(outgoing, &format!("ACK\n{named}\n\n"));
    }
}

fn say(outgoing: &mut Vec<u8>, text: &str) {
    outgoing.extend(frame(FIN | TEXT, format!("{text}\0").as_bytes()));
}

fn place_of(id: &str) -> Result<Place, String> {
    let parts = id.split_once('-').and_then(|(epoch, offset)| {
        let (epoch, offset) = (epoch.parse().ok()?, offset.parse().ok()?);
        Some(Place { epoch, offset })
    });
    parts.ok_or_else(|| format!("the message-id {id:?}"))
}
