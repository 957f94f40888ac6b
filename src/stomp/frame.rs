//! A client's frame, whole and free of faults.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::command::Command;
use super::head::Rules;
use super::header::{self, UserHeaders};
use super::sink::Into;
use super::version::Version;

/// Separates names and values whose escapes are gone: the one byte that no head has.
const NUL: u8 = 0;

/// One frame of a client's.
///
/// What lay in one piece in the input is lent, what had to be put together is owned.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// What it asks for.
    pub command: Command,
    head: Cow<'a, str>,
    /// Where in the head the header lines are.
    lines: Range<usize>,
    /// Whether spaces around names and values do not count.
    trims: bool,
    /// Names and values in turn with a NUL behind each, if the header lines have escapes.
    unescaped: Option<String>,
    body: Cow<'a, [u8]>,
}

impl<'a> Frame<'a> {
    pub(super) fn new(
        command: Command,
        version: Option<Version>,
        head: Cow<'a, str>,
        lines: Range<usize>,
        has_escapes: bool,
        body: Cow<'a, [u8]>,
    ) -> Self {
        let mut frame = Self {
            command,
            head,
            lines,
            trims: Rules::of(command, version).trims,
            unescaped: None,
            body,
        };
        if has_escapes {
            frame.unescaped = Some(frame.unescape());
        }
        if command.connects() && version.is_none() {
            // Only when its headers are there is it known which version's they are.
            let agreed = Version::negotiate(frame.header("accept-version"));
            frame.trims = agreed == Ok(Version::V1_0);
        }
        frame
    }

    /// The value of that header, escapes resolved; of repeated ones, the first counts.
    pub fn header(&self, name: &str) -> Option<&str> {
        if self.trims || self.unescaped.is_some() || name.contains(':') {
            let mut headers = self.headers();
            return headers.find_map(|(other, value)| (other == name).then_some(value));
        }
        let lines = &self.head[self.lines.clone()];
        let value = &lines[header::find_value(lines.as_bytes(), name.as_bytes())?..];
        let value = &value[..memchr(b'\n', value.as_bytes())?];
        Some(value.strip_suffix('\r').unwrap_or(value))
    }

    /// All headers, in order: names and values, escapes resolved.
    pub fn headers(&self) -> Headers<'_> {
        match &self.unescaped {
            None => Headers {
                rest: &self.head[self.lines.clone()],
                name_end: b':',
                value_end: b'\n',
                trims: self.trims,
            },
            Some(unescaped) => Headers {
                rest: unescaped,
                name_end: NUL,
                value_end: NUL,
                trims: false,
            },
        }
    }

    /// The body, which may hold any bytes; it is empty where there is none.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, for keeping.
    pub fn into_body(self) -> Cow<'a, [u8]> {
        self.body
    }

    /// The headers of a SEND that its MESSAGEs carry too: all in order, without those that say what to do with the SEND
    /// (`destination`, `receipt`, `transaction`, `content-length`) or that the server sets on a MESSAGE itself
    /// (`subscription`, `message-id`, `ack`, `redelivered`, `gap`).
    pub fn user_headers(&self) -> UserHeaders {
        let mut lines = Vec::new();
        for (name, value) in self.headers() {
            if !is_carried(name) {
                continue;
            }
            if lines.is_empty() {
                lines.reserve_exact(self.lines.len());
            }
            let out = &mut Into(&mut lines);
            header::put_escaped(out, name.as_bytes(), Version::V1_2);
            lines.push(b':');
            header::put_escaped(&mut Into(&mut lines), value.as_bytes(), Version::V1_2);
            lines.push(b'\n');
        }
        UserHeaders::from_lines(lines.into())
    }

    fn unescape(&self) -> String {
        let mut unescaped = String::with_capacity(self.lines.len());
        for (name, value) in self.headers() {
            header::unescape_into(&mut unescaped, name);
            unescaped.push(char::from(NUL));
            header::unescape_into(&mut unescaped, value);
            unescaped.push(char::from(NUL));
        }
        unescaped
    }
}

/// Names and values of a frame's headers.
#[derive(Clone, Debug)]
pub struct Headers<'f> {
    rest: &'f str,
    name_end: u8,
    value_end: u8,
    trims: bool,
}

impl<'f> Iterator for Headers<'f> {
    type Item = (&'f str, &'f str);

    fn next(&mut self) -> Option<Self::Item> {
        // Each line has a colon, but for the empty one that is the last.
        let name_len = memchr(self.name_end, self.rest.as_bytes())?;
        let (name, rest) = (&self.rest[..name_len], &self.rest[name_len + 1..]);
        let value_len = memchr(self.value_end, rest.as_bytes())?;
        let mut value = &rest[..value_len];
        self.rest = &rest[value_len + 1..];
        if self.value_end == b'\n' {
            value = value.strip_suffix('\r').unwrap_or(value);
        }
        if self.trims {
            let spaces = [' ', '\t'];
            return Some((name.trim_matches(spaces), value.trim_matches(spaces)));
        }
        Some((name, value))
    }
}

/// Whether a SEND's MESSAGEs have that header too: not what says what to do with the SEND, and not what the server sets on a
/// MESSAGE itself.
fn is_carried(name: &str) -> bool {
    let is_for_the_send = matches!(
        name,
        "destination" | "receipt" | "transaction" | "content-length"
    );
    let is_set = matches!(
        name,
        "subscription" | "message-id" | "ack" | "redelivered" | "gap"
    );
    !is_for_the_send && !is_set
}
