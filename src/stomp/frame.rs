//! A client's frame, whole and free of faults.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ops::Range;

use super::command::Command;
use super::head::Rules;
use super::header::{self, UserHeaders};
use super::sink::Into;
use super::version::Version;

/// Separates names and values whose escapes are gone: the one byte that no head has.
const NUL: char = '\0';

/// Headers of a SEND that say what to do with it, or that the server sets on a MESSAGE itself.
const NOT_CARRIED: [&str; 8] = [
    "destination",
    "receipt",
    "transaction",
    "content-length",
    "subscription",
    "message-id",
    "ack",
    "redelivered",
];

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
        let mut headers = self.headers();
        headers.find_map(|(other, value)| (other == name).then_some(value))
    }

    /// All headers, in order: names and values, escapes resolved.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let (lines, trims) = match &self.unescaped {
            None => (&self.head[self.lines.clone()], self.trims),
            Some(_) => ("", false),
        };
        let lines = lines
            .split_terminator('\n')
            .filter_map(move |line| split_line(line, trims));
        let mut unescaped = self.unescaped.as_deref().unwrap_or("").split(NUL);
        let pairs = std::iter::from_fn(move || Some((unescaped.next()?, unescaped.next()?)));
        lines.chain(pairs)
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
    /// (`subscription`, `message-id`, `ack`, `redelivered`).
    pub fn user_headers(&self) -> UserHeaders {
        let mut lines = Vec::new();
        for (name, value) in self.headers() {
            if NOT_CARRIED.contains(&name) {
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
            unescaped.push(NUL);
            header::unescape_into(&mut unescaped, value);
            unescaped.push(NUL);
        }
        unescaped
    }
}

/// The name and the value of a header line; the empty line has none.
fn split_line(line: &str, trims: bool) -> Option<(&str, &str)> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    let (name, value) = line.split_once(':')?;
    if !trims {
        return Some((name, value));
    }
    let spaces = [' ', '\t'];
    Some((name.trim_matches(spaces), value.trim_matches(spaces)))
}
