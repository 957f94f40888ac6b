use std::borrow::Cow;

use super::Refusal;

/// Bounds of a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Longest head in bytes, the empty line at its end included.
    pub head_bytes_max: usize,
    /// Most header fields.
    pub headers_max: usize,
}

/// A parsed request head.
pub struct Head<'a> {
    method: &'a str,
    target: &'a str,
    minor_version: u8,
    headers: &'a [httparse::Header<'a>],
}

/// The length of the head that the input begins with, when its end is there. `scanned` bytes have
/// been looked at before: a head that comes byte by byte is read only once.
pub fn head_end(input: &[u8], scanned: usize) -> Option<usize> {
    let from = scanned.saturating_sub(3);
    let mut at = from;
    while let Some(found) = input[at..].iter().position(|&b| b == b'\n') {
        at += found + 1;
        match &input[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Whether a head that is not complete may still become one.
///
/// # Errors
/// 431 for one that is too long, 400 for what is no HTTP at all.
pub fn check_incomplete(input: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
    check_first_byte(input)?;
    check_len(input.len(), limits)
}

/// Parses a complete head and looks at it.
///
/// # Errors
/// 431 for one that is too long or has too many headers, 400 for a malformed one, and whatever
/// `look` finds.
pub fn with_head<T>(
    input: &[u8],
    limits: &HeadLimits,
    look: impl FnOnce(&Head<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    check_first_byte(input)?;
    check_len(input.len(), limits)?;
    let mut headers = vec![httparse::EMPTY_HEADER; limits.headers_max];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(input) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => {
            return Err(Refusal::new(400, "the request head is malformed"));
        }
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(
                431,
                format!(
                    "the request has more than {} header fields (limits.headers_max)",
                    limits.headers_max
                ),
            ));
        }
        Err(error) => {
            return Err(Refusal::new(
                400,
                format!("the request head is malformed: {error}"),
            ));
        }
    }
    let (Some(method), Some(target), Some(minor_version)) =
        (request.method, request.path, request.version)
    else {
        return Err(Refusal::new(400, "the request line is malformed"));
    };
    look(&Head {
        method,
        target,
        minor_version,
        headers: request.headers,
    })
}

impl<'a> Head<'a> {
    /// GET, POST …
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The second number of HTTP/1.x.
    pub fn minor_version(&self) -> u8 {
        self.minor_version
    }

    /// The path as it was sent, percent-encoded. Of a target in absolute form the path in it.
    pub fn path(&self) -> &'a str {
        let target = self.origin_form();
        match target.split_once('?').map_or(target, |(path, _)| path) {
            "" => "/",
            path => path,
        }
    }

    /// What follows the question mark.
    pub fn query(&self) -> Option<&'a str> {
        self.origin_form().split_once('?').map(|(_, query)| query)
    }

    /// The first header of that name, without spaces around it.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// How many headers have that name.
    pub fn count(&self, name: &str) -> usize {
        self.all(name).count()
    }

    /// All headers in their order, without spaces around the values.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.headers
            .iter()
            .map(|header| (header.name, header.value.trim_ascii()))
    }

    /// The elements of a header that is a list, over all headers of that name.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.all(name)
            .flat_map(|value| value.split(|&b| b == b','))
            .map(<[u8]>::trim_ascii)
    }

    /// Whether a header that is a list has that element, in any case.
    pub fn lists(&self, name: &str, element: &str) -> bool {
        self.list(name)
            .any(|e| e.eq_ignore_ascii_case(element.as_bytes()))
    }

    /// The values of all headers of that name, without spaces around them.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value.trim_ascii())
    }

    fn origin_form(&self) -> &'a str {
        let Some((_, rest)) = self.target.split_once("://") else {
            return self.target;
        };
        if self.target.starts_with('/') {
            return self.target;
        }
        rest.find(['/', '?']).map_or("/", |at| &rest[at..])
    }
}

/// Decodes percent-encoded UTF-8.
///
/// # Errors
/// 400 for a percent sign without two hexadecimal digits, and for what is not UTF-8.
pub fn percent_decode(encoded: &str) -> Result<Cow<'_, str>, Refusal> {
    let bytes = encoded.as_bytes();
    let well_formed = bytes.iter().enumerate().all(|(at, &byte)| {
        byte != b'%'
            || bytes
                .get(at + 1..at + 3)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if !well_formed {
        return Err(Refusal::new(
            400,
            "a percent sign in the path must be followed by two hexadecimal digits",
        ));
    }
    percent_encoding::percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|_| Refusal::new(400, "the path is not UTF-8 when decoded"))
}

/// The first byte of a TLS record is 22, and no method begins so.
fn check_first_byte(input: &[u8]) -> Result<(), Refusal> {
    match input.first() {
        Some(byte) if !byte.is_ascii_graphic() && !b"\r\n".contains(byte) => Err(Refusal::new(
            400,
            "this is no HTTP request; for wss:// put a proxy that speaks TLS in front",
        )),
        _ => Ok(()),
    }
}

fn check_len(len: usize, limits: &HeadLimits) -> Result<(), Refusal> {
    if len > limits.head_bytes_max {
        return Err(Refusal::new(
            431,
            format!(
                "the request head has more than {} bytes (limits.head_bytes_max)",
                limits.head_bytes_max
            ),
        ));
    }
    Ok(())
}
