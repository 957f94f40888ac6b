//! A frame's head: the command line, the header lines, an empty line. Looked at line by line as it comes, so that what is
//! wrong shows at the same byte however it was cut.

#![forbid(unsafe_code)]

use std::ops::Range;

use memchr::{memchr, memchr2};

use super::Limits;
use super::command::Command;
use super::error::{Fault, FrameError, excerpt};
use super::header;
use super::version::Version;

/// So many bytes without a line feed begin no command.
const COMMAND_LINE_BYTES_MAX: usize = 32;

/// What holds for a frame's header lines.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// Whose escapes, if there are any.
    pub escapes: Option<Version>,
    /// Whether spaces around names and values do not count.
    pub trims: bool,
    /// Whether a carriage return may stand inside of a line.
    pub allows_returns: bool,
}

impl Rules {
    /// Before the version is agreed on, those of 1.2 hold.
    pub(super) fn of(command: Command, version: Option<Version>) -> Self {
        let version = version.unwrap_or(Version::V1_2);
        let has_escapes = version > Version::V1_0 && !command.connects();
        Self {
            escapes: has_escapes.then_some(version),
            trims: version == Version::V1_0,
            allows_returns: version < Version::V1_2,
        }
    }
}

/// What is known of a head so far.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Where the line that is being received begins.
    line_at: usize,
    /// Up to here there is no end of that line.
    searched: usize,
    /// Lines that have been whole.
    lines: usize,
    command: Option<Command>,
    /// Where the header lines begin.
    headers_at: usize,
    headers: usize,
    has_escapes: bool,
    content_length: Option<usize>,
    /// Where the first `receipt` header's value is.
    receipt: Option<Range<usize>>,
}

impl Head {
    /// Looks at what has come since it was last asked; `bytes` is all there is of the frame. The head's length when it is
    /// whole.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        version: Option<Version>,
    ) -> Result<Option<usize>, FrameError> {
        self.find_end(bytes, limits, version)
            .map_err(|fault| self.error(fault, bytes, version))
    }

    /// Where the header lines are in a head of that length.
    pub(super) fn header_lines(&self, head_len: usize) -> Range<usize> {
        self.headers_at..head_len
    }

    /// The frame's command; the head must be whole.
    pub(super) fn command(&self) -> Command {
        // A head without a command is never whole.
        self.command.unwrap_or(Command::Connect)
    }

    /// Whether a header line has an escape that counts.
    pub(super) fn has_escapes(&self) -> bool {
        self.has_escapes
    }

    /// Where in the input that follows `before` bytes of body the body ends; the NUL stands there.
    pub(super) fn find_body_end(
        &self,
        before: usize,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, Fault> {
        if let Some(content_length) = self.content_length {
            let missing = content_length.saturating_sub(before);
            return match input.get(missing) {
                None => Ok(None),
                Some(0) => Ok(Some(missing)),
                Some(_) => Err(Fault::NoNul(content_length)),
            };
        }
        let room = limits.body_bytes_max.saturating_sub(before);
        let window = &input[..input.len().min(room.saturating_add(1))];
        match memchr(0, window) {
            Some(at) => Ok(Some(at)),
            None if window.len() > room => Err(Fault::BodyTooLong(limits.body_bytes_max)),
            None => Ok(None),
        }
    }

    /// The error for a fault in this frame, `head` being what there is of the head.
    pub(super) fn error(&self, fault: Fault, head: &[u8], version: Option<Version>) -> FrameError {
        FrameError {
            fault,
            command: self.command,
            receipt: self.receipt(head, version),
        }
    }

    /// The error for a head that is not UTF-8.
    pub(super) fn not_utf8(&self, head: &[u8], version: Option<Version>) -> FrameError {
        let lines = head.split(|&byte| byte == b'\n').zip(1..);
        let broken = lines.into_iter().find(|(line, _)| !is_utf8(line));
        let (line, number) = broken.unwrap_or((head, 1));
        let fault = Fault::NotUtf8 {
            line: number,
            text: excerpt(line),
        };
        self.error(fault, head, version)
    }

    fn find_end(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        version: Option<Version>,
    ) -> Result<Option<usize>, Fault> {
        while let Some(line) = self.next_line(bytes, limits)? {
            match self.command {
                None => {
                    self.command = Some(Command::parse(&bytes[line], version)?);
                    self.headers_at = self.line_at;
                }
                Some(_) if line.is_empty() => return Ok(Some(self.line_at)),
                Some(command) => {
                    self.take_header(bytes, line, limits, Rules::of(command, version))?;
                }
            }
        }
        Ok(None)
    }

    /// Where the next line is, its end left out, when it is whole.
    fn next_line(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<Range<usize>>, Fault> {
        let end_max = match self.command {
            None => limits.head_bytes_max.min(COMMAND_LINE_BYTES_MAX),
            Some(_) => limits.head_bytes_max,
        };
        let window = &bytes[..bytes.len().min(end_max)];
        // The limit may be a smaller one than when this frame began.
        let searched = self.searched.min(window.len());
        let Some(more) = memchr2(b'\n', 0, &window[searched..]) else {
            self.searched = window.len();
            return match window.len() {
                len if len < end_max => Ok(None),
                len if len < limits.head_bytes_max => Err(Fault::UnknownCommand(excerpt(window))),
                _ => Err(Fault::HeadTooLong(limits.head_bytes_max)),
            };
        };
        let end = searched + more;
        let line_at = self.line_at;
        if bytes[end] == 0 {
            return Err(match end {
                0 => Fault::NulBetween,
                _ => Fault::Nul {
                    line: self.lines + 1,
                },
            });
        }
        self.searched = end + 1;
        self.line_at = end + 1;
        self.lines += 1;
        let has_return = bytes[line_at..end].last() == Some(&b'\r');
        Ok(Some(line_at..end - usize::from(has_return)))
    }

    fn take_header(
        &mut self,
        bytes: &[u8],
        range: Range<usize>,
        limits: &Limits,
        rules: Rules,
    ) -> Result<(), Fault> {
        self.headers += 1;
        if self.headers > limits.headers_max {
            return Err(Fault::TooManyHeaders(limits.headers_max));
        }
        let (line, text) = (self.lines, &bytes[range.clone()]);
        if memchr2(b'\r', b'\\', text).is_some() {
            self.check_special(text, rules)?;
        }
        let Some(name_len) = memchr(b':', text) else {
            let text = excerpt(text);
            return Err(Fault::NoColon { line, text });
        };
        let (mut name, mut value) = (&text[..name_len], &text[name_len + 1..]);
        if rules.trims {
            (name, value) = (trim(name), trim(value));
        }
        match name {
            b"" => {
                let text = excerpt(text);
                return Err(Fault::NoName { line, text });
            }
            b"content-length" if self.content_length.is_none() => {
                self.content_length = Some(self.parse_content_length(value, limits)?);
            }
            b"receipt" if self.receipt.is_none() => {
                self.receipt = Some(range.start + name_len + 1..range.end);
            }
            _ => {}
        }
        Ok(())
    }

    fn check_special(&mut self, line: &[u8], rules: Rules) -> Result<(), Fault> {
        if !rules.allows_returns && memchr(b'\r', line).is_some() {
            return Err(Fault::CarriageReturn {
                line: self.lines,
                text: excerpt(line),
            });
        }
        let Some(version) = rules.escapes else {
            return Ok(());
        };
        if !header::escapes_are_defined(line, version) {
            return Err(Fault::Escape {
                line: self.lines,
                text: excerpt(line),
                version,
            });
        }
        self.has_escapes = true;
        Ok(())
    }

    fn parse_content_length(&self, value: &[u8], limits: &Limits) -> Result<usize, Fault> {
        let digits = trim(value);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Fault::ContentLength {
                line: self.lines,
                text: excerpt(value),
            });
        }
        let length = digits.iter().try_fold(0_usize, |length, digit| {
            let length = length.checked_mul(10)?;
            length.checked_add(usize::from(digit - b'0'))
        });
        length
            .filter(|&length| length <= limits.body_bytes_max)
            .ok_or(Fault::BodyTooLong(limits.body_bytes_max))
    }

    fn receipt(&self, head: &[u8], version: Option<Version>) -> Option<Box<str>> {
        let rules = Rules::of(self.command?, version);
        let value = head.get(self.receipt.clone()?)?;
        let value = if rules.trims { trim(value) } else { value };
        let value = simdutf8::basic::from_utf8(value).ok()?;
        if rules.escapes.is_none() {
            return Some(value.into());
        }
        let mut receipt = String::with_capacity(value.len());
        header::unescape_into(&mut receipt, value);
        Some(receipt.into())
    }
}

/// The first `receipt` header in what there is of a frame that was refused before it came to it.
///
/// A guess: the lines are those of a broken frame. It ends at an empty line or at NUL.
pub fn find_receipt(bytes: &[u8], version: Option<Version>) -> Option<Box<str>> {
    let end = memchr(0, bytes).unwrap_or(bytes.len());
    let mut lines = bytes[..end].split(|&byte| byte == b'\n');
    // The command line, or the rest of the line that was being received.
    lines.next()?;
    let rules = Rules::of(Command::Send, version);
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return None;
        }
        let Some(name_len) = memchr(b':', line) else {
            continue;
        };
        let (mut name, mut value) = (&line[..name_len], &line[name_len + 1..]);
        if rules.trims {
            (name, value) = (trim(name), trim(value));
        }
        if name != b"receipt" {
            continue;
        }
        let value = simdutf8::basic::from_utf8(value).ok()?;
        let Some(version) = rules.escapes else {
            return Some(value.into());
        };
        if !header::escapes_are_defined(value.as_bytes(), version) {
            return None;
        }
        let mut receipt = String::with_capacity(value.len());
        header::unescape_into(&mut receipt, value);
        return Some(receipt.into());
    }
    None
}

fn is_utf8(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok()
}

fn trim(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = text.iter().position(|byte| !is_space(byte));
    let end = text.iter().rposition(|byte| !is_space(byte));
    match (begin, end) {
        (Some(begin), Some(end)) => &text[begin..=end],
        _ => b"",
    }
}
