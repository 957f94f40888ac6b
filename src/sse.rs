//! Server-Sent Events (HTML Standard, section 9.2 "Server-sent events") on byte slices.
//!
//! A publication is one event. Its `id` is its position in the channel's stream, `epoch:offset` with the epoch in
//! hexadecimal as the HTTP API writes it, so that the `Last-Event-ID` of a client that connects again says what it has. Text
//! stands in `data` lines; bytes that are no text come as an event of the type `binary`, in base64.
//!
//! Whatever is written here ends in an empty line and has none in front of it: [`block_end`] finds the ends again.

#![forbid(unsafe_code)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::BufMut;

use crate::publication::{Kind, Position, Publication};

/// The media type of an event stream (section 9.2.5).
pub const MEDIA_TYPE: &str = "text/event-stream";

/// The type of an event that tells of publications that were missed and cannot be had any more.
pub const GAP: &str = "gap";

/// The type of the event that is the last of a stream whose client's token has expired.
pub const EXPIRED: &str = "expired";

/// The type of an event whose data are base64.
pub const BINARY: &str = "binary";

/// The place of a client that is no place of one channel's: it has several, or all that fit a pattern. Epochs are counted
/// from 1.
pub const NOWHERE: Position = Position {
    epoch: 0,
    offset: 0,
};

/// Bytes that an id takes at the most: 16 hexadecimal digits, a colon, 20 digits.
const ID_BYTES_MAX: usize = 37;

/// Appends a publication. Without an id the client goes on naming the event before it when it connects again. One that a
/// pattern has found has none: it would be taken for the place in another channel.
pub fn put_publication(out: &mut impl BufMut, publication: &Publication, with_id: bool) {
    if with_id && publication.channel.is_none() {
        put_id(out, publication.position);
    }
    put_message(out, publication.kind, &publication.payload);
}

/// Appends an event that is no publication and has no id.
///
/// Of text, every line end (CRLF, LF or CR) arrives as LF: the format has no way to say which it was.
pub fn put_message(out: &mut impl BufMut, kind: Kind, payload: &[u8]) {
    match kind {
        Kind::Text => put_data(out, payload),
        Kind::Binary => {
            put_type(out, BINARY);
            put_data(out, BASE64.encode(payload).as_bytes());
        }
    }
    end_block(out);
}

/// Appends a position without an event: the client names it when it connects again, and its page hears nothing.
pub fn put_position(out: &mut impl BufMut, position: Position) {
    put_id(out, position);
    end_block(out);
}

/// Appends the event that tells of a gap: everything up to that position may be missing, nothing behind it is.
pub fn put_gap(out: &mut impl BufMut, position: Position) {
    put_type(out, GAP);
    put_id(out, position);
    let mut buffer = [0; ID_BYTES_MAX];
    put_data(out, id_of(position, &mut buffer));
    end_block(out);
}

/// Appends the event that tells that the client's token has expired, for which the stream ends. It has no id.
pub fn put_expired(out: &mut impl BufMut, help: &str) {
    put_type(out, EXPIRED);
    put_data(out, help.as_bytes());
    end_block(out);
}

/// Appends how long the client is to wait before it connects again, in ms.
pub fn put_retry(out: &mut impl BufMut, retry_ms: u64) {
    out.put_slice(b"retry: ");
    let mut buffer = [0; ID_BYTES_MAX];
    let from = put_digits(&mut buffer, ID_BYTES_MAX, retry_ms, 10);
    out.put_slice(&buffer[from..]);
    out.put_slice(b"\n");
    end_block(out);
}

/// Appends a line that clients pass over, for people who watch a stream.
pub fn put_comment(out: &mut impl BufMut, text: &str) {
    if text.is_empty() {
        return put_keep_alive(out);
    }
    for line in text.lines() {
        out.put_slice(b": ");
        // `lines` leaves a CR that no LF follows, which would end the line here.
        for part in line.split('\r') {
            out.put_slice(part.as_bytes());
        }
        out.put_slice(b"\n");
    }
    end_block(out);
}

/// Appends the shortest thing that can be said: it keeps proxies from ending an idle connection.
pub fn put_keep_alive(out: &mut impl BufMut) {
    out.put_slice(b":\n");
    end_block(out);
}

/// The position that an id names, as `Last-Event-ID` brings it back; `None` for what is no id of this server's.
pub fn parse_id(id: &str) -> Option<Position> {
    let (epoch, offset) = id.split_once(':')?;
    Some(Position {
        epoch: parse_epoch(epoch)?,
        offset: parse_offset(offset)?,
    })
}

/// An epoch in hexadecimal, as ids and the HTTP API write it.
pub fn parse_epoch(digits: &str) -> Option<u64> {
    // `from_str_radix` would take a sign as well.
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_plain && !digits.is_empty()).then_some(())?;
    u64::from_str_radix(digits, 16).ok()
}

/// An offset in decimal.
pub fn parse_offset(digits: &str) -> Option<u64> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then_some(())?;
    digits.parse().ok()
}

/// Where the block ends that byte `sent` of a stream lies in; `sent` itself where it lies between two. The stream's
/// beginning, or that of any block, is where the bytes begin.
pub fn block_end(stream: &[u8], sent: usize) -> usize {
    if sent == 0 {
        return 0;
    }
    // The line feeds of the end may be on both sides of `sent`.
    let from = sent.saturating_sub(2);
    match memchr::memmem::find(&stream[from..], b"\n\n") {
        Some(at) => from + at + 2,
        None => stream.len(),
    }
}

fn put_type(out: &mut impl BufMut, name: &str) {
    out.put_slice(b"event: ");
    out.put_slice(name.as_bytes());
    out.put_slice(b"\n");
}

fn put_id(out: &mut impl BufMut, position: Position) {
    let mut buffer = [0; ID_BYTES_MAX];
    out.put_slice(b"id: ");
    out.put_slice(id_of(position, &mut buffer));
    out.put_slice(b"\n");
}

/// One `data` line for each line of the payload. The space is the one that clients take away; a payload may begin with
/// another.
fn put_data(out: &mut impl BufMut, payload: &[u8]) {
    let mut rest = payload;
    loop {
        out.put_slice(b"data: ");
        let Some(at) = memchr::memchr2(b'\n', b'\r', rest) else {
            break;
        };
        out.put_slice(&rest[..at]);
        out.put_slice(b"\n");
        rest = match &rest[at..] {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => rest,
        };
    }
    out.put_slice(rest);
    out.put_slice(b"\n");
}

fn end_block(out: &mut impl BufMut) {
    out.put_slice(b"\n");
}

fn id_of(position: Position, buffer: &mut [u8; ID_BYTES_MAX]) -> &[u8] {
    let colon = put_digits(buffer, ID_BYTES_MAX, position.offset, 10) - 1;
    buffer[colon] = b':';
    let from = put_digits(buffer, colon, position.epoch, 16);
    &buffer[from..]
}

/// Writes a number in front of `end` and returns where it begins.
fn put_digits(buffer: &mut [u8], end: usize, mut number: u64, base: u64) -> usize {
    let mut at = end;
    loop {
        at -= 1;
        buffer[at] = b"0123456789abcdef"[(number % base) as usize];
        number /= base;
        if number == 0 {
            return at;
        }
    }
}

#[cfg(test)]
mod tests;
