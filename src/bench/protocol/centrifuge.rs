//! Centrifugo's bidirectional JSON protocol: version 2, and version 1 as the engine spoke it in 2021.

use memchr::memmem;

use super::{Dialect, Link, Said, Step, words};

/// The command ids: 1 connects, 2 and on subscribe. Publications have one of their own, whose answers are passed over.
const CONNECT_ID: u32 = 1;
const PUBLISH_ID: u32 = 4_000_000_000;

pub(super) fn connect() -> Vec<u8> {
    format!("{{\"id\":{CONNECT_ID},\"connect\":{{}}}}").into_bytes()
}

pub(super) fn connect_v1() -> Vec<u8> {
    format!("{{\"id\":{CONNECT_ID},\"params\":{{}}}}").into_bytes()
}

pub(super) fn put_publish(channel: &str, data: &[u8], out: &mut Vec<u8>) {
    let head = format!("{{\"id\":{PUBLISH_ID},\"publish\":{{\"channel\":\"{channel}\",\"data\":");
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"}}");
}

pub(super) fn put_publish_v1(channel: &str, data: &[u8], out: &mut Vec<u8>) {
    let head = format!(
        "{{\"id\":{PUBLISH_ID},\"method\":3,\"params\":{{\"channel\":\"{channel}\",\"data\":"
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"}}");
}

pub(super) fn read(
    dialect: &Dialect,
    link: &mut Link,
    subscriptions: &[u32],
    message: &[u8],
    each: &mut impl FnMut(Said<'_>),
) {
    for line in lines(message) {
        if line.starts_with(b"{\"push\":{\"channel\":") {
            match dialect.payload_in_json(line) {
                Some(payload) => each(Said::Delivery(payload)),
                None => each(Said::Foreign),
            }
        } else if line == b"{}" {
            each(Said::Answer(b"{}".to_vec()));
        } else {
            read_reply(link, subscriptions, line, each, || {
                subscribe(dialect, subscriptions)
            });
        }
    }
}

pub(super) fn read_v1(
    dialect: &Dialect,
    link: &mut Link,
    subscriptions: &[u32],
    message: &[u8],
    each: &mut impl FnMut(Said<'_>),
) {
    for line in lines(message) {
        if line.starts_with(b"{\"result\":{") {
            match dialect.payload_in_json(line) {
                Some(payload) => each(Said::Delivery(payload)),
                None => each(Said::Foreign),
            }
        } else {
            read_reply(link, subscriptions, line, each, || {
                subscribe_v1(dialect, subscriptions)
            });
        }
    }
}

fn lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    message
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
}

/// The answer to a command: greets, then counts the subscriptions.
fn read_reply(
    link: &mut Link,
    subscriptions: &[u32],
    line: &[u8],
    each: &mut impl FnMut(Said<'_>),
    subscribe: impl Fn() -> Vec<u8>,
) {
    let Some(id) = reply_id(line) else {
        return each(Said::Foreign);
    };
    if memmem::find(line, b"\"error\":").is_some() {
        return each(Said::Refused(words(line)));
    }
    match link.step {
        Step::Greeting if id == CONNECT_ID && subscriptions.is_empty() => {
            link.step = Step::Open;
            each(Said::Open);
        }
        Step::Greeting if id == CONNECT_ID => {
            link.step = Step::Subscribing;
            link.unanswered = subscriptions.len() as u32;
            each(Said::Answer(subscribe()));
        }
        Step::Subscribing => {
            link.unanswered -= 1;
            if link.unanswered == 0 {
                link.step = Step::Open;
                each(Said::Open);
            }
        }
        Step::Open if id == PUBLISH_ID => {}
        Step::Open | Step::Greeting => each(Said::Foreign),
    }
}

fn reply_id(line: &[u8]) -> Option<u32> {
    let digits = line.strip_prefix(b"{\"id\":")?;
    let digits = &digits[..digits.iter().position(|byte| !byte.is_ascii_digit())?];
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn subscribe(dialect: &Dialect, subscriptions: &[u32]) -> Vec<u8> {
    let commands = dialect.channels_of(subscriptions).zip(CONNECT_ID + 1..);
    let lines: Vec<String> = commands
        .map(|(channel, id)| format!("{{\"id\":{id},\"subscribe\":{{\"channel\":\"{channel}\"}}}}"))
        .collect();
    lines.join("\n").into_bytes()
}

fn subscribe_v1(dialect: &Dialect, subscriptions: &[u32]) -> Vec<u8> {
    let commands = dialect.channels_of(subscriptions).zip(CONNECT_ID + 1..);
    let lines: Vec<String> = commands
        .map(|(channel, id)| {
            format!("{{\"id\":{id},\"method\":1,\"params\":{{\"channel\":\"{channel}\"}}}}")
        })
        .collect();
    lines.join("\n").into_bytes()
}
