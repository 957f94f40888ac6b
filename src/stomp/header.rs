//! Header lines: their escapes (STOMP 1.2, "Value Encoding") and those that a message carries from its publisher to its
//! subscribers.

#![forbid(unsafe_code)]

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr;

use super::sink::{Into, Sink};
use super::version::Version;

/// The headers that a SEND's own go into its MESSAGE with, as lines of STOMP 1.2: `name:value` with escapes and a line
/// feed each. Cloning shares them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserHeaders(Bytes);

impl UserHeaders {
    /// Takes lines that are known to be in that form.
    pub fn from_lines(lines: Bytes) -> Self {
        Self(lines)
    }

    /// The lines of names and values, in their order.
    pub fn from_pairs<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        let mut lines = BytesMut::new();
        let out = &mut Into(&mut lines);
        for (name, value) in pairs {
            put_escaped(out, name.as_bytes(), Version::V1_2);
            out.put(b":");
            put_escaped(out, value.as_bytes(), Version::V1_2);
            out.put(b"\n");
        }
        Self(lines.freeze())
    }

    /// Names and values without escapes, in their order. What is not in the form of lines is left out.
    pub fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        self.0.split(|&byte| byte == b'\n').filter_map(|line| {
            let (name, value) = str::from_utf8(line).ok()?.split_once(':')?;
            let unescaped = |text| {
                let mut out = String::with_capacity(str::len(text));
                unescape_into(&mut out, text);
                out
            };
            Some((unescaped(name), unescaped(value)))
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their length in bytes, as lines.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The lines.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Appends the lines as that version has them: in 1.1, which has no `\r`, with carriage returns as they are; in 1.0,
    /// which has no escapes, without any, and without the headers that need one (a line feed, a colon in the name).
    pub fn put(&self, out: &mut impl BufMut, version: Version) {
        put_lines(&mut Into(out), &self.0, version);
    }
}

/// Appends lines of STOMP 1.2 in another version's form.
pub(super) fn put_lines(out: &mut impl Sink, lines: &[u8], version: Version) {
    match version {
        _ if memchr(b'\\', lines).is_none() => out.put(lines),
        Version::V1_2 => out.put(lines),
        Version::V1_1 => put_with_raw_returns(out, lines),
        Version::V1_0 => {
            for line in lines.split_inclusive(|&byte| byte == b'\n') {
                if can_be_said_in_10(line) {
                    put_unescaped(out, line);
                }
            }
        }
    }
}

fn put_with_raw_returns(out: &mut impl Sink, lines: &[u8]) {
    for (text, escape) in escapes(lines) {
        out.put(text);
        match escape {
            b"\\r" => out.put(b"\r"),
            other => out.put(other),
        }
    }
}

fn can_be_said_in_10(line: &[u8]) -> bool {
    let name_len = memchr(b':', line).unwrap_or(line.len());
    let (name, value) = line.split_at(name_len);
    escapes(name).all(|(_, escape)| !matches!(escape, b"\\c" | b"\\n"))
        && escapes(value).all(|(_, escape)| escape != b"\\n")
}

fn put_unescaped(out: &mut impl Sink, line: &[u8]) {
    for (text, escape) in escapes(line) {
        out.put(text);
        if let [_, code] = escape {
            out.put(&[unescaped(char::from(*code)) as u8]);
        }
    }
}

/// The text up to each escape and the escape's two bytes; with the last text there is none.
fn escapes(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = memchr(b'\\', text) else {
            rest = None;
            return Some((text, &[][..]));
        };
        let (before, escape) = text.split_at(at);
        let (escape, after) = escape.split_at(escape.len().min(2));
        rest = Some(after);
        Some((before, escape))
    })
}

/// Whether all escapes are ones that the version knows.
pub(super) fn escapes_are_defined(text: &[u8], version: Version) -> bool {
    escapes(text).all(|(_, escape)| match escape {
        [] | b"\\n" | b"\\c" | b"\\\\" => true,
        b"\\r" => version == Version::V1_2,
        _ => false,
    })
}

/// What the second byte of a defined escape stands for.
fn unescaped(code: char) -> char {
    match code {
        'n' => '\n',
        'r' => '\r',
        'c' => ':',
        other => other,
    }
}

/// Appends text whose escapes are defined without them.
pub(super) fn unescape_into(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut after = after.chars();
        out.extend(after.next().map(unescaped));
        rest = after.as_str();
    }
    out.push_str(rest);
}

/// Appends a name or a value with that version's escapes. In 1.0, which has none, a line feed becomes a space: it would end
/// the line.
pub(super) fn put_escaped(out: &mut impl Sink, text: &[u8], version: Version) {
    let mut rest = text;
    while let Some((at, escape)) = first_to_escape(rest, version) {
        out.put(&rest[..at]);
        out.put(escape);
        rest = &rest[at + 1..];
    }
    out.put(rest);
}

fn first_to_escape(text: &[u8], version: Version) -> Option<(usize, &'static [u8])> {
    text.iter().enumerate().find_map(|(at, &byte)| {
        let escape: &[u8] = match (byte, version) {
            (b'\n', Version::V1_0) => b" ",
            (_, Version::V1_0) => return None,
            (b'\\', _) => b"\\\\",
            (b'\n', _) => b"\\n",
            (b':', _) => b"\\c",
            (b'\r', Version::V1_2) => b"\\r",
            _ => return None,
        };
        Some((at, escape))
    })
}

/// Where the value of the first header of that name begins in lines that are neither trimmed nor have that name escaped.
pub(super) fn find_value(lines: &[u8], name: &[u8]) -> Option<usize> {
    let mut line_at = 0;
    loop {
        let rest = &lines[line_at..];
        if rest.strip_prefix(name).and_then(<[u8]>::first) == Some(&b':') {
            return Some(line_at + name.len() + 1);
        }
        line_at += memchr(b'\n', rest)? + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(lines: &'static str, version: Version) -> String {
        let mut out = Vec::new();
        UserHeaders::from_lines(Bytes::from_static(lines.as_bytes())).put(&mut out, version);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_without_escapes_are_the_same_in_every_version() {
        let lines = "content-type:text/plain\nx: a b \n";
        for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
            assert_eq!(put(lines, version), lines);
            assert_eq!(put("", version), "");
        }
    }

    #[test]
    fn lines_of_1_1_have_carriage_returns_as_they_are_and_the_other_escapes() {
        assert_eq!(
            put("x:a\\rb\\nc\\cd\\\\e\\\\r\n", Version::V1_1),
            "x:a\rb\\nc\\cd\\\\e\\\\r\n"
        );
    }

    #[test]
    fn lines_of_1_0_have_no_escapes() {
        assert_eq!(
            put("x:a\\rb\\cd\\\\e\\\\n\ny\\\\:2\n", Version::V1_0),
            "x:a\rb:d\\e\\n\ny\\:2\n"
        );
    }

    #[test]
    fn what_1_0_cannot_say_is_left_out() {
        assert_eq!(
            put("a:1\nb:\\n2\nc\\c:3\nd\\n:4\ne:\\c5\n", Version::V1_0),
            "a:1\ne::5\n"
        );
    }

    #[test]
    fn lines_that_are_not_in_that_form_do_no_harm() {
        for lines in ["a:\\", "\\", "a\\", "\n\n", ":", "a:\\x\n"] {
            for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
                put(lines, version);
            }
        }
    }

    #[test]
    fn a_header_is_found_by_its_whole_name() {
        let lines = b"x-content-type:1\ny:content-type:2\ncontent-type-of:3\nz:\nz:4\n";
        assert_eq!(find_value(lines, b"content-type"), None);
        assert_eq!(find_value(b"", b"z"), None);
        assert_eq!(find_value(b"z", b"z"), None);
        for (name, value) in [
            (&b"x-content-type"[..], "1\n"),
            (b"y", "con"),
            (b"z", "\nz:"),
        ] {
            let at = find_value(lines, name).unwrap();
            assert!(lines[at..].starts_with(value.as_bytes()));
        }
    }

    #[test]
    fn pairs_come_back_from_the_lines_that_they_became() {
        let pairs = [("a", "1"), ("b:c\\", "x: y\r\n"), ("é", ""), ("a", "2")];
        let headers = UserHeaders::from_pairs(pairs);
        assert_eq!(
            &**headers.as_bytes(),
            "a:1\nb\\cc\\\\:x\\c y\\r\\n\né:\na:2\n".as_bytes()
        );
        let back: Vec<_> = headers.pairs().collect();
        assert!(
            back.iter()
                .map(|(name, value)| (&**name, &**value))
                .eq(pairs)
        );
        assert_eq!(UserHeaders::from_pairs([]).pairs().count(), 0);
    }

    #[test]
    fn clones_share_their_lines() {
        let headers = UserHeaders::from_lines(Bytes::from(vec![b'a', b':', b'\n']));
        let clone = headers.clone();
        assert_eq!(clone.as_bytes().as_ptr(), headers.as_bytes().as_ptr());
        assert_eq!((clone.len(), clone.is_empty()), (3, false));
        assert!(UserHeaders::default().is_empty());
    }
}
