//! MQTT 3.1.1 over WebSocket (section 6): one stream of packets, cut into binary messages anywhere.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{Credentials, Dialect, Link, Said, Step};

const PUBLISH: u8 = 3;
const CONNACK: u8 = 2;
const SUBACK: u8 = 9;
const PINGRESP: u8 = 13;

/// What a SUBACK says of a subscription that was refused (section 3.9.3).
const REFUSED: u8 = 0x80;

/// No keep-alive: nobody but the server's own limits ends a silent connection.
const KEEP_ALIVE_S: u16 = 0;

/// CONNECT with a clean session (section 3.1). A server ends the older of two clients of the same name.
pub(super) fn connect(credentials: &Credentials, subscriptions: &[u32]) -> Vec<u8> {
    static CLIENTS: AtomicU32 = AtomicU32::new(0);
    let number = CLIENTS.fetch_add(1, Ordering::Relaxed);
    let role = if subscriptions.is_empty() { "p" } else { "s" };
    let mut body = Vec::new();
    put_text(&mut body, "MQTT");
    let mut flags = 0x02;
    flags |= if credentials.login.is_some() { 0x80 } else { 0 };
    flags |= if credentials.passcode.is_some() {
        0x40
    } else {
        0
    };
    body.extend([4, flags]);
    body.extend(KEEP_ALIVE_S.to_be_bytes());
    put_text(
        &mut body,
        &format!("{role}{:x}-{number:x}", std::process::id()),
    );
    for text in [&credentials.login, &credentials.passcode]
        .into_iter()
        .flatten()
    {
        put_text(&mut body, text);
    }
    packet(0x10, &body)
}

/// PUBLISH with quality of service 0 (section 3.3).
pub(super) fn put_publish(topic: &str, payload: &[u8], out: &mut Vec<u8>) {
    out.push(PUBLISH << 4);
    put_length(out, 2 + topic.len() + payload.len());
    put_text(out, topic);
    out.extend_from_slice(payload);
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

/// Takes all whole packets and returns their bytes.
fn take(
    dialect: &Dialect,
    step: &mut Step,
    subscriptions: &[u32],
    stream: &[u8],
    each: &mut impl FnMut(Said<'_>),
) -> usize {
    let mut at = 0;
    loop {
        let (first, body, length) = match split(&stream[at..]) {
            Split::Whole {
                first,
                body,
                length,
            } => (first, body, length),
            Split::Partial => return at,
            Split::Damaged => {
                each(Said::Foreign);
                return stream.len();
            }
        };
        at += length;
        match (first >> 4, body) {
            // Quality of service 0: no packet identifier.
            (PUBLISH, &[high, low, ref rest @ ..]) if first & 0x06 == 0 => {
                match rest.get(usize::from(u16::from_be_bytes([high, low]))..) {
                    Some(payload) => each(Said::Delivery(payload)),
                    None => each(Said::Foreign),
                }
            }
            (CONNACK, [_, 0]) if *step == Step::Greeting && subscriptions.is_empty() => {
                *step = Step::Open;
                each(Said::Open);
            }
            (CONNACK, [_, 0]) if *step == Step::Greeting => {
                *step = Step::Subscribing;
                each(Said::Answer(subscribe(dialect, subscriptions)));
            }
            (CONNACK, [_, code]) => {
                each(Said::Refused(format!("CONNACK with return code {code}")));
            }
            (SUBACK, [_, _, codes @ ..]) if *step == Step::Subscribing => {
                if codes.contains(&REFUSED) {
                    each(Said::Refused("SUBACK with a failure".to_owned()));
                } else {
                    *step = Step::Open;
                    each(Said::Open);
                }
            }
            (PINGRESP, []) => {}
            _ => each(Said::Foreign),
        }
    }
}

enum Split<'a> {
    Whole {
        first: u8,
        body: &'a [u8],
        length: usize,
    },
    Partial,
    Damaged,
}

/// The first packet (section 2.2).
fn split(stream: &[u8]) -> Split<'_> {
    let Some((&first, rest)) = stream.split_first() else {
        return Split::Partial;
    };
    let mut remaining = 0_usize;
    for (place, &byte) in rest.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let header = 2 + place;
            return match stream.get(header..header + remaining) {
                Some(body) => Split::Whole {
                    first,
                    body,
                    length: header + remaining,
                },
                None => Split::Partial,
            };
        }
    }
    if rest.len() < 4 {
        Split::Partial
    } else {
        Split::Damaged
    }
}

fn subscribe(dialect: &Dialect, subscriptions: &[u32]) -> Vec<u8> {
    let mut body = vec![0, 1];
    for channel in dialect.channels_of(subscriptions) {
        put_text(&mut body, channel);
        body.push(0);
    }
    packet(0x82, &body)
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    put_length(&mut packet, body.len());
    packet.extend_from_slice(body);
    packet
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let byte = (length & 0x7f) as u8;
        length >>= 7;
        out.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            return;
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
