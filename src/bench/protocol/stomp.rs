//! STOMP 1.2 over WebSocket. Frames are taken whole, one or several a message; heart-beats are declined.

use memchr::{memchr, memmem};

use super::{Credentials, Dialect, Link, Said, Step, words};

pub(super) fn connect(credentials: &Credentials) -> Vec<u8> {
    let host = credentials.host.as_deref().unwrap_or("localhost");
    let mut frame = format!("CONNECT\naccept-version:1.2\nheart-beat:0,0\nhost:{host}\n");
    for (name, value) in [
        ("login", &credentials.login),
        ("passcode", &credentials.passcode),
    ] {
        if let Some(value) = value {
            frame += &format!("{name}:{value}\n");
        }
    }
    frame += "\n\0";
    frame.into_bytes()
}

pub(super) fn put_send(channel: &str, payload: &[u8], out: &mut Vec<u8>) {
    let head = format!(
        "SEND\ndestination:{channel}\ncontent-type:text/plain\ncontent-length:{}\n\n",
        payload.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(payload);
    out.push(0);
}

pub(super) fn read(
    dialect: &Dialect,
    link: &mut Link,
    subscriptions: &[u32],
    message: &[u8],
    each: &mut impl FnMut(Said<'_>),
) {
    let mut rest = message;
    loop {
        // Ends of line between frames are heart-beats.
        while let [b'\n' | b'\r', after @ ..] = rest {
            rest = after;
        }
        if rest.is_empty() {
            return;
        }
        let Some(frame) = Frame::split(rest) else {
            return each(Said::Foreign);
        };
        rest = frame.rest;
        match frame.command {
            b"MESSAGE" => each(Said::Delivery(frame.body)),
            b"CONNECTED" if link.step == Step::Greeting && subscriptions.is_empty() => {
                link.step = Step::Open;
                each(Said::Open);
            }
            b"CONNECTED" if link.step == Step::Greeting => {
                link.step = Step::Subscribing;
                each(Said::Answer(subscribe(dialect, subscriptions)));
            }
            b"RECEIPT" if link.step == Step::Subscribing => {
                link.step = Step::Open;
                each(Said::Open);
            }
            b"RECEIPT" => {}
            b"ERROR" => each(Said::Refused(words(message))),
            _ => each(Said::Foreign),
        }
    }
}

/// All subscriptions in one message; the last one's receipt stands for all.
fn subscribe(dialect: &Dialect, subscriptions: &[u32]) -> Vec<u8> {
    let mut frames = String::new();
    for (index, channel) in dialect.channels_of(subscriptions).enumerate() {
        let receipt = match index + 1 == subscriptions.len() {
            true => "receipt:subscribed\n",
            false => "",
        };
        frames +=
            &format!("SUBSCRIBE\nid:sub-{index}\ndestination:{channel}\nack:auto\n{receipt}\n\0");
    }
    frames.into_bytes()
}

struct Frame<'a> {
    command: &'a [u8],
    body: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first frame of `bytes`, or `None` if it is not whole.
    fn split(bytes: &'a [u8]) -> Option<Self> {
        let command_end = memchr(b'\n', bytes)?;
        let lf = memmem::find(bytes, b"\n\n").map(|at| (at, 2));
        let crlf = match bytes[..command_end].ends_with(b"\r") {
            true => memmem::find(bytes, b"\r\n\r\n").map(|at| (at, 4)),
            false => None,
        };
        let (head_end, blank) = crlf.or(lf)?;
        let body = &bytes[head_end + blank..];
        let length = match content_length(&bytes[..head_end]) {
            Some(length) if body.get(length) == Some(&0) => length,
            Some(_) => return None,
            None => memchr(0, body)?,
        };
        Some(Self {
            command: bytes[..command_end].trim_ascii_end(),
            body: &body[..length],
            rest: &body[length + 1..],
        })
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\ncontent-length:";
    let value = &head[memmem::find(head, NAME)? + NAME.len()..];
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    digits.into_iter().try_fold(0_usize, |length, digit| {
        length
            .checked_mul(10)?
            .checked_add(usize::from(digit - b'0'))
    })
}
