//! The NATS client protocol: one stream of lines and payloads, cut into WebSocket messages anywhere.

use memchr::memmem;

use super::{Credentials, Dialect, Link, Said, Step, words};

/// The longest line there is: INFO.
const LINE_BYTES_MAX: usize = 64 * 1024;

pub(super) fn put_pub(subject: &str, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("PUB {subject} {}\r\n", payload.len()).as_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn read(
    dialect: &Dialect,
    link: &mut Link,
    subscriptions: &[u32],
    message: &[u8],
    each: &mut impl FnMut(Said<'_>),
) {
    if link.rest.is_empty() {
        let taken = take(dialect, &mut link.step, subscriptions, message, each);
        link.rest.extend_from_slice(&message[taken..]);
    } else {
        let mut stream = std::mem::take(&mut link.rest);
        stream.extend_from_slice(message);
        let taken = take(dialect, &mut link.step, subscriptions, &stream, each);
        stream.drain(..taken);
        link.rest = stream;
    }
}

/// Takes all whole operations and returns their bytes.
fn take(
    dialect: &Dialect,
    step: &mut Step,
    subscriptions: &[u32],
    stream: &[u8],
    each: &mut impl FnMut(Said<'_>),
) -> usize {
    let mut at = 0;
    while let Some(line_len) = memmem::find(&stream[at..], b"\r\n") {
        let line = &stream[at..at + line_len];
        let after = at + line_len + 2;
        if line.starts_with(b"MSG ") {
            let Some(length) = payload_len(line) else {
                each(Said::Foreign);
                at = after;
                continue;
            };
            let Some(payload) = stream.get(after..after + length + 2) else {
                return at;
            };
            each(Said::Delivery(&payload[..length]));
            at = after + length + 2;
            continue;
        }
        at = after;
        match line {
            b"PING" => each(Said::Answer(b"PONG\r\n".to_vec())),
            b"PONG" if *step == Step::Subscribing => {
                *step = Step::Open;
                each(Said::Open);
            }
            b"PONG" | b"+OK" => {}
            line if line.starts_with(b"INFO ") && *step == Step::Greeting => {
                *step = Step::Subscribing;
                each(Said::Answer(subscribe(dialect, subscriptions)));
            }
            line if line.starts_with(b"INFO ") => {}
            line if line.starts_with(b"-ERR") => each(Said::Refused(words(line))),
            _ => each(Said::Foreign),
        }
    }
    if stream.len() - at > LINE_BYTES_MAX {
        each(Said::Foreign);
        return stream.len();
    }
    at
}

/// `MSG subject sid [reply-to] length`.
fn payload_len(line: &[u8]) -> Option<usize> {
    let digits = line.rsplit(|&byte| byte == b' ').next()?;
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (length <= 64 * 1024 * 1024).then_some(length)
}

/// The PING's answer comes when all before it has been taken.
fn subscribe(dialect: &Dialect, subscriptions: &[u32]) -> Vec<u8> {
    let mut lines = connect(&dialect.credentials);
    for (channel, id) in dialect.channels_of(subscriptions).zip(1..) {
        lines += &format!("SUB {channel} {id}\r\n");
    }
    lines += "PING\r\n";
    lines.into_bytes()
}

fn connect(credentials: &Credentials) -> String {
    let mut options = serde_json::Map::new();
    for name in ["verbose", "pedantic", "tls_required"] {
        options.insert(name.to_owned(), false.into());
    }
    for (name, value) in [
        ("user", &credentials.login),
        ("pass", &credentials.passcode),
    ] {
        if let Some(value) = value {
            options.insert(name.to_owned(), value.as_str().into());
        }
    }
    format!("CONNECT {}\r\n", serde_json::Value::Object(options))
}
