//! A reader that has the whole stream at hand, goes through it byte by byte and knows no shortcuts. It shares no code with
//! the real one; the fuzz target uses it too.

use super::{Fault, FrameError, Limits, Version};

/// What a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    HeartBeat,
    Frame(Frame),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub command: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Why a stream is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The fault's name, and the line it names.
    pub fault: (&'static str, Option<usize>),
    pub command: Option<String>,
    pub receipt: Option<String>,
}

/// What the stream says, and what is wrong with which of its bytes.
pub(crate) fn read(
    stream: &[u8],
    limits: &Limits,
    version: Option<Version>,
) -> (Vec<Said>, Option<(Wrong, usize)>) {
    let mut said = Vec::new();
    let mut at = 0;
    let between = |name, at| {
        let wrong = Wrong {
            fault: (name, None),
            command: None,
            receipt: None,
        };
        Some((wrong, at))
    };
    while at < stream.len() {
        match (stream[at], stream.get(at + 1)) {
            (b'\n', _) => {
                said.push(Said::HeartBeat);
                at += 1;
            }
            (b'\r', None) => break,
            (b'\r', Some(b'\n')) => {
                said.push(Said::HeartBeat);
                at += 2;
            }
            (b'\r', Some(_)) => return (said, between("CarriageReturnBetween", at + 1)),
            (0, _) => return (said, between("NulBetween", at)),
            _ => match frame(&stream[at..], limits, version) {
                Ok(None) => break,
                Ok(Some((frame, len))) => {
                    said.push(Said::Frame(frame));
                    at += len;
                }
                Err((wrong, more)) => return (said, Some((wrong, at + more))),
            },
        }
    }
    (said, None)
}

/// The names of what the real reader finds.
pub(crate) fn wrong(error: &FrameError) -> Wrong {
    let fault = match &error.fault {
        Fault::UnknownCommand(_) => ("UnknownCommand", None),
        Fault::ServerCommand(_) => ("ServerCommand", None),
        Fault::NotIn10(_) => ("NotIn10", None),
        Fault::Nul { line } => ("Nul", Some(*line)),
        Fault::CarriageReturn { line, .. } => ("CarriageReturn", Some(*line)),
        Fault::NoColon { line, .. } => ("NoColon", Some(*line)),
        Fault::NoName { line, .. } => ("NoName", Some(*line)),
        Fault::Escape { line, .. } => ("Escape", Some(*line)),
        Fault::NotUtf8 { line, .. } => ("NotUtf8", Some(*line)),
        Fault::TooManyHeaders(_) => ("TooManyHeaders", None),
        Fault::HeadTooLong(_) => ("HeadTooLong", None),
        Fault::ContentLength { line, .. } => ("ContentLength", Some(*line)),
        Fault::BodyTooLong(_) => ("BodyTooLong", None),
        Fault::NoNul(_) => ("NoNul", None),
        Fault::NulBetween => ("NulBetween", None),
        Fault::CarriageReturnBetween => ("CarriageReturnBetween", None),
    };
    Wrong {
        fault,
        command: error.command.map(|command| command.as_str().to_owned()),
        receipt: error.receipt.as_deref().map(str::to_owned),
    }
}

/// A frame that is being read.
struct Open<'a> {
    limits: &'a Limits,
    version: Option<Version>,
    command: Option<String>,
    /// Names and values as they were sent, with the lines they stand on.
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    content_length: Option<usize>,
}

type Result<T> = std::result::Result<T, (Wrong, usize)>;

/// The frame in front and its length, when it is whole; or what is wrong and with which byte.
fn frame(
    stream: &[u8],
    limits: &Limits,
    version: Option<Version>,
) -> Result<Option<(Frame, usize)>> {
    let mut open = Open {
        limits,
        version,
        command: None,
        headers: Vec::new(),
        content_length: None,
    };
    let Some(head_len) = open.head(stream)? else {
        return Ok(None);
    };
    let mut body = Vec::new();
    loop {
        let at = head_len + body.len();
        let Some(&byte) = stream.get(at) else {
            return Ok(None);
        };
        match open.content_length {
            Some(len) if body.len() < len => body.push(byte),
            Some(_) if byte != 0 => return Err(open.wrong("NoNul", None, at)),
            None if byte != 0 => {
                body.push(byte);
                if body.len() > limits.body_bytes_max {
                    return Err(open.wrong("BodyTooLong", None, at));
                }
            }
            _ => break,
        }
    }
    let len = head_len + body.len() + 1;
    let headers = open.decoded();
    let command = open.command.unwrap();
    let frame = Frame {
        command,
        headers,
        body,
    };
    Ok(Some((frame, len)))
}

impl Open<'_> {
    fn head(&mut self, stream: &[u8]) -> Result<Option<usize>> {
        let mut line = Vec::new();
        let mut number = 1;
        for (at, &byte) in stream.iter().enumerate() {
            match byte {
                0 => return Err(self.wrong("Nul", Some(number), at)),
                b'\n' => {
                    if line.last() == Some(&b'\r') {
                        line.pop();
                    }
                    if number == 1 {
                        self.take_command(&line, at)?;
                    } else if line.is_empty() {
                        self.check_utf8(&stream[..at], at)?;
                        return Ok(Some(at + 1));
                    } else {
                        self.take_header(&line, number, at)?;
                    }
                    line.clear();
                    number += 1;
                }
                _ => line.push(byte),
            }
            if at + 1 == self.limits.head_bytes_max {
                return Err(self.wrong("HeadTooLong", None, at));
            }
            if at + 1 == 32 && number == 1 {
                return Err(self.wrong("UnknownCommand", None, at));
            }
        }
        Ok(None)
    }

    fn take_command(&mut self, line: &[u8], at: usize) -> Result<()> {
        let command = String::from_utf8_lossy(line).into_owned();
        match (&*command, self.version) {
            ("NACK" | "STOMP", Some(Version::V1_0)) => Err(self.wrong("NotIn10", None, at)),
            ("CONNECT" | "STOMP" | "SEND" | "SUBSCRIBE" | "UNSUBSCRIBE" | "ACK", _)
            | ("NACK" | "BEGIN" | "COMMIT" | "ABORT" | "DISCONNECT", _) => {
                self.command = Some(command);
                Ok(())
            }
            ("CONNECTED" | "MESSAGE" | "RECEIPT" | "ERROR", _) => {
                Err(self.wrong("ServerCommand", None, at))
            }
            _ => Err(self.wrong("UnknownCommand", None, at)),
        }
    }

    fn take_header(&mut self, line: &[u8], number: usize, at: usize) -> Result<()> {
        if self.headers.len() == self.limits.headers_max {
            return Err(self.wrong("TooManyHeaders", None, at));
        }
        if self.version.is_none_or(|v| v == Version::V1_2) && line.contains(&b'\r') {
            return Err(self.wrong("CarriageReturn", Some(number), at));
        }
        if unescape(line, self.escapes()).is_none() {
            return Err(self.wrong("Escape", Some(number), at));
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return Err(self.wrong("NoColon", Some(number), at));
        };
        let (mut name, mut value) = (line[..colon].to_vec(), line[colon + 1..].to_vec());
        if self.version == Some(Version::V1_0) {
            (name, value) = (trim(name), trim(value));
        }
        if name.is_empty() {
            return Err(self.wrong("NoName", Some(number), at));
        }
        if name == b"content-length" && self.content_length.is_none() {
            let digits = trim(value.clone());
            if digits.is_empty() || digits.iter().any(|byte| !byte.is_ascii_digit()) {
                return Err(self.wrong("ContentLength", Some(number), at));
            }
            let mut len = 0_u128;
            for digit in digits {
                len = (len * 10 + u128::from(digit - b'0')).min(u128::from(u64::MAX));
            }
            if len > self.limits.body_bytes_max as u128 {
                return Err(self.wrong("BodyTooLong", None, at));
            }
            self.content_length = Some(len as usize);
        }
        self.headers.push((name, value));
        Ok(())
    }

    fn check_utf8(&self, head: &[u8], at: usize) -> Result<()> {
        for (number, line) in head.split(|&byte| byte == b'\n').enumerate() {
            if std::str::from_utf8(line).is_err() {
                return Err(self.wrong("NotUtf8", Some(number + 1), at));
            }
        }
        Ok(())
    }

    fn decoded(&self) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        if self.connects() && self.version.is_none() {
            let named = |(name, _): &&(Vec<u8>, Vec<u8>)| name == b"accept-version";
            let versions = self.headers.iter().find(named).map(|(_, list)| text(list));
            let offers = |wanted: &str| {
                let list = versions.as_deref().unwrap_or("1.0");
                list.split(',').any(|v| trim(v.into()) == wanted.as_bytes())
            };
            let is_10 = offers("1.0") && !offers("1.1") && !offers("1.2");
            let trimmed = |bytes: &Vec<u8>| match is_10 {
                true => text(&trim(bytes.clone())),
                false => text(bytes),
            };
            let headers = self.headers.iter();
            return headers.map(|(n, v)| (trimmed(n), trimmed(v))).collect();
        }
        let decode = |bytes: &[u8]| text(&unescape(bytes, self.escapes()).unwrap());
        let headers = self.headers.iter();
        headers.map(|(n, v)| (decode(n), decode(v))).collect()
    }

    fn connects(&self) -> bool {
        matches!(self.command.as_deref(), Some("CONNECT" | "STOMP"))
    }

    /// What may stand behind a backslash, if that means anything.
    fn escapes(&self) -> Option<&'static [u8]> {
        match self.version {
            _ if self.connects() => None,
            Some(Version::V1_0) => None,
            Some(Version::V1_1) => Some(br"nc\"),
            Some(Version::V1_2) | None => Some(br"rnc\"),
        }
    }

    fn wrong(&self, name: &'static str, line: Option<usize>, at: usize) -> (Wrong, usize) {
        let receipt = self.headers.iter().find(|(name, _)| name == b"receipt");
        let receipt = receipt.and_then(|(_, value)| unescape(value, self.escapes()));
        let wrong = Wrong {
            fault: (name, line),
            command: self.command.clone(),
            receipt: receipt.and_then(|value| String::from_utf8(value).ok()),
        };
        (wrong, at)
    }
}

/// The bytes without escapes; nothing if one is not defined.
fn unescape(bytes: &[u8], codes: Option<&[u8]>) -> Option<Vec<u8>> {
    let Some(codes) = codes else {
        return Some(bytes.to_vec());
    };
    let mut out = Vec::new();
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let code = rest.next()?;
        if !codes.contains(code) {
            return None;
        }
        out.push(match code {
            b'n' => 10,
            b'r' => 13,
            b'c' => 58,
            _ => 92,
        });
    }
    Some(out)
}

fn trim(mut bytes: Vec<u8>) -> Vec<u8> {
    while matches!(bytes.last(), Some(b' ' | b'\t')) {
        bytes.pop();
    }
    while matches!(bytes.first(), Some(b' ' | b'\t')) {
        bytes.remove(0);
    }
    bytes
}
