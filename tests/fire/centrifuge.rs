//! Centrifugo's protocol: a subscribe command with `recover`, and `recovered:false`.

use serde_json::{Value, json};

use crate::Place;
use crate::conversation::{Conversation, Heard};
use crate::support::centrifuge::PATH;
use crate::support::wire::{FIN, TEXT, frame, handshake_lines, head};
use crate::web_socket::{Said, WebSocket};

pub struct Centrifuge {
    channel: String,
    since: Option<Place>,
    socket: WebSocket,
    is_subscribed: bool,
}

const CONNECT: u64 = 1;
const SUBSCRIBE: u64 = 2;

impl Centrifuge {
    pub fn new(channel: &str, since: Option<Place>) -> Self {
        Self {
            channel: channel.to_owned(),
            since,
            socket: WebSocket::default(),
            is_subscribed: false,
        }
    }

    fn say_first(&self, outgoing: &mut Vec<u8>) {
        let mut subscribe = json!({ "channel": self.channel });
        if let Some(Place { epoch, offset }) = self.since {
            subscribe["recover"] = true.into();
            subscribe["epoch"] = format!("{epoch:x}").into();
            subscribe["offset"] = offset.into();
        }
        let commands = [
            json!({ "id": CONNECT, "connect": {} }),
            json!({ "id": SUBSCRIBE, "subscribe": subscribe }),
        ];
        let lines = commands.map(|command| command.to_string()).join("\n");
        outgoing.extend(frame(FIN | TEXT, lines.as_bytes()));
    }

    fn hear(&mut self, said: &Value, heard: &mut Vec<Heard>) -> Result<(), String> {
        let publication = &said["push"]["pub"];
        if said["id"] == CONNECT && said.get("connect").is_some() {
            return Ok(());
        }
        if said["id"] == SUBSCRIBE && said.get("subscribe").is_some() && !self.is_subscribed {
            self.is_subscribed = true;
            let reply = &said["subscribe"];
            return match (self.since, reply["recovered"].as_bool()) {
                (None, None) | (Some(_), Some(true)) => Ok(()),
                (Some(_), Some(false) | None) => {
                    heard.push(Heard::Gap(Some(place_of(reply)?)));
                    Ok(())
                }
                (None, Some(_)) => Err(format!("{said} for {:?}", self.since)),
            };
        }
        if self.is_subscribed && said["push"]["channel"] == *self.channel && publication.is_object()
        {
            heard.push(Heard::Publication {
                offset: publication["offset"].as_u64(),
                payload: publication["data"].to_string(),
            });
            return Ok(());
        }
        Err(said.to_string())
    }
}

impl Conversation for Centrifuge {
    fn begin(&mut self) -> Vec<u8> {
        head(&handshake_lines(PATH))
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
                Said::Open => self.say_first(outgoing),
                Said::Text(text) => {
                    for line in text.split(|&byte| byte == b'\n') {
                        match serde_json::from_slice(line) {
                            Ok(Value::Object(ping)) if ping.is_empty() => {
                                outgoing.extend(frame(FIN | TEXT, b"{}"));
                            }
                            Ok(said) => self.hear(&said, heard)?,
                            Err(error) => return Err(format!("{error}: {text:?}")),
                        }
                    }
                }
                Said::Closed { code: 3008, .. } => heard.push(Heard::TooSlow),
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

fn place_of(reply: &Value) -> Result<Place, String> {
    let epoch = reply["epoch"].as_str();
    let epoch = epoch.and_then(|epoch| u64::from_str_radix(epoch, 16).ok());
    match epoch.zip(reply["offset"].as_u64()) {
        Some((epoch, offset)) => Ok(Place { epoch, offset }),
        None => Err(format!("no place in {reply}")),
    }
}
