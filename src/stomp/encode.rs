//! The server's frames.
//!
//! Headers that the server sets stand in front of those of the publisher: of repeated ones the first counts, so that no
//! publisher can put one over on a subscriber.

#![forbid(unsafe_code)]

use bytes::BufMut;

use super::header::{find_value, put_escaped, put_lines};
use super::sink::{Count, Into, Sink};
use super::version::Version;

/// What a MESSAGE says besides its body (STOMP 1.2, "MESSAGE").
#[derive(Clone, Copy, Debug)]
pub struct MessageHead<'a> {
    /// Whose form it has.
    pub version: Version,
    /// The subscription's id; left out in 1.0 if it is empty, because a subscription needs none there.
    pub subscription: &'a str,
    /// Names the message.
    pub message_id: &'a str,
    /// Where it was sent to.
    pub destination: &'a str,
    /// What to acknowledge it with; written in 1.2 only.
    pub ack: Option<&'a str>,
    /// Whether it was delivered before.
    pub redelivered: bool,
    /// The publisher's headers: lines of [`UserHeaders`](super::UserHeaders).
    pub headers: &'a [u8],
    /// What is written when the publisher's headers have no `content-type`.
    pub default_content_type: Option<&'static str>,
}

/// What an ERROR says (STOMP 1.2, "ERROR").
#[derive(Clone, Copy, Debug)]
pub struct ErrorFrame<'a> {
    /// What is wrong, in one line.
    pub message: &'a str,
    /// The `receipt` of the frame that was wrong.
    pub receipt_id: Option<&'a str>,
    /// More of it, and what to do.
    pub body: &'a str,
    /// Whether to list the versions that are spoken here.
    pub versions: bool,
}

/// Appends a MESSAGE. `content-length` is always there, so that the body may hold any bytes.
pub fn put_message(out: &mut impl BufMut, head: &MessageHead<'_>, body: &[u8]) {
    let out = &mut Into(out);
    put_message_head(out, head, body.len());
    out.put(body);
    out.put(b"\0");
}

/// The length of that frame, in bytes.
pub fn message_len(head: &MessageHead<'_>, body_len: usize) -> usize {
    let mut count = Count(0);
    put_message_head(&mut count, head, body_len);
    count.0 + body_len + 1
}

fn put_message_head(out: &mut impl Sink, head: &MessageHead<'_>, body_len: usize) {
    let version = head.version;
    out.put(b"MESSAGE");
    if version > Version::V1_0 || !head.subscription.is_empty() {
        put_header(out, b"\nsubscription:", head.subscription, version);
    }
    put_header(out, b"\nmessage-id:", head.message_id, version);
    put_header(out, b"\ndestination:", head.destination, version);
    if let (Some(ack), Version::V1_2) = (head.ack, version) {
        put_header(out, b"\nack:", ack, version);
    }
    if head.redelivered {
        out.put(b"\nredelivered:true");
    }
    put_content_length(out, body_len);
    if let Some(content_type) = head.default_content_type
        && find_value(head.headers, b"content-type").is_none()
    {
        put_header(out, b"\ncontent-type:", content_type, version);
    }
    if !head.headers.is_empty() {
        out.put(b"\n");
        put_lines(out, head.headers, version);
        out.put(b"\n");
    } else {
        out.put(b"\n\n");
    }
}

/// Appends a CONNECTED (STOMP 1.2, "CONNECTED Frame"). Such a frame has no escapes: line feeds and carriage returns become
/// spaces. `heart_beat` is what the server can send and what it wants, in milliseconds.
pub fn put_connected(
    out: &mut impl BufMut,
    version: Version,
    session: &str,
    server: &str,
    heart_beat: (u32, u32),
    user_name: Option<&str>,
) {
    let out = &mut Into(out);
    out.put(b"CONNECTED\nversion:");
    out.put(version.as_str().as_bytes());
    out.put(b"\nheart-beat:");
    put_number(out, u64::from(heart_beat.0));
    out.put(b",");
    put_number(out, u64::from(heart_beat.1));
    out.put(b"\nsession:");
    put_plain(out, session);
    out.put(b"\nserver:");
    put_plain(out, server);
    if let Some(user_name) = user_name {
        out.put(b"\nuser-name:");
        put_plain(out, user_name);
    }
    out.put(b"\n\n\0");
}

/// Appends a RECEIPT (STOMP 1.2, "RECEIPT"). `recovered` is of a SUBSCRIBE whose header `since` says what its client has:
/// whether the client gets all that it has missed.
pub fn put_receipt(
    out: &mut impl BufMut,
    version: Version,
    receipt_id: &str,
    recovered: Option<bool>,
) {
    let out = &mut Into(out);
    put_header(out, b"RECEIPT\nreceipt-id:", receipt_id, version);
    match recovered {
        Some(true) => out.put(b"\nrecovered:true"),
        Some(false) => out.put(b"\nrecovered:false"),
        None => {}
    }
    out.put(b"\n\n\0");
}

/// Appends an ERROR.
///
/// Before CONNECTED (`version` is `None`) nobody knows whether the client resolves escapes, so none are written: in the
/// message, line feeds and carriage returns become spaces, a backslash becomes a slash, and a receipt that has one of those is
/// left out. The body says everything as it is.
pub fn put_error(out: &mut impl BufMut, version: Option<Version>, error: &ErrorFrame<'_>) {
    let out = &mut Into(out);
    out.put(b"ERROR");
    match version {
        Some(version) => {
            put_header(out, b"\nmessage:", error.message, version);
            if let Some(receipt_id) = error.receipt_id {
                put_header(out, b"\nreceipt-id:", receipt_id, version);
            }
        }
        None => {
            out.put(b"\nmessage:");
            put_plain_without_backslashes(out, error.message);
            let is_plain = |id: &&str| !id.contains(['\n', '\r', '\\']);
            if let Some(receipt_id) = error.receipt_id.filter(is_plain) {
                out.put(b"\nreceipt-id:");
                out.put(receipt_id.as_bytes());
            }
        }
    }
    if error.versions {
        out.put(b"\nversion:");
        out.put(Version::LIST.as_bytes());
    }
    out.put(b"\ncontent-type:text/plain");
    put_content_length(out, error.body.len());
    out.put(b"\n\n");
    out.put(error.body.as_bytes());
    out.put(b"\0");
}

/// A header; `name` has the end of the line before and its colon with it.
fn put_header(out: &mut impl Sink, name: &[u8], value: &str, version: Version) {
    out.put(name);
    put_escaped(out, value.as_bytes(), version);
}

fn put_content_length(out: &mut impl Sink, len: usize) {
    out.put(b"\ncontent-length:");
    put_number(out, len as u64);
}

fn put_plain(out: &mut impl Sink, value: &str) {
    put_replaced(out, value, |byte| {
        matches!(byte, b'\n' | b'\r').then_some(b' ')
    });
}

fn put_plain_without_backslashes(out: &mut impl Sink, value: &str) {
    put_replaced(out, value, |byte| match byte {
        b'\n' | b'\r' => Some(b' '),
        b'\\' => Some(b'/'),
        _ => None,
    });
}

fn put_replaced(out: &mut impl Sink, value: &str, replacement: impl Fn(u8) -> Option<u8>) {
    let mut rest = value.as_bytes();
    let first = |text: &[u8]| {
        let mut bytes = text.iter().enumerate();
        bytes.find_map(|(at, &byte)| Some((at, replacement(byte)?)))
    };
    while let Some((at, replacement)) = first(rest) {
        out.put(&rest[..at]);
        out.put(&[replacement]);
        rest = &rest[at + 1..];
    }
    out.put(rest);
}

fn put_number(out: &mut impl Sink, number: u64) {
    // As many digits as the largest has.
    let mut digits = [0; 20];
    let mut begin = digits.len();
    let mut rest = number;
    loop {
        begin -= 1;
        digits[begin] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put(&digits[begin..]);
}

#[cfg(test)]
mod tests;
