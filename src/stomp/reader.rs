//! From a client's bytes, however they are cut, to heart-beats and frames.

#![forbid(unsafe_code)]

mod saved;

use std::borrow::Cow;

use super::Limits;
use super::error::{Fault, FrameError};
use super::frame::Frame;
use super::head::Head;
use super::version::Version;

/// Something whole that has been received.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// An end of line between two frames: a sign of life.
    HeartBeat,
    /// A frame.
    Frame(Frame<'a>),
}

/// The receiving side of one session. Between two frames it holds no memory but itself, a pointer.
#[derive(Debug, Default)]
pub struct Reader(Option<Box<Partial>>);

/// What has come of an end of line or of a frame.
#[derive(Debug)]
enum Partial {
    /// A carriage return between two frames.
    Return,
    /// Some of a head.
    Head(Head, Vec<u8>),
    /// A head and some of the body.
    Body(Head, String, Vec<u8>),
}

impl Reader {
    /// One that has received nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes input in up to the end of the next item at most: how many bytes that were, and the item if it is whole. Call it
    /// until all input is taken; where the input is cut makes no difference. `version` is what has been agreed on: `None`
    /// before CONNECTED, when frames that do not connect are read as those of 1.2.
    ///
    /// # Errors
    /// [`FrameError`], at the byte that shows it; the reader is of no use any more.
    pub fn read<'a>(
        &mut self,
        input: &'a [u8],
        limits: &Limits,
        version: Option<Version>,
    ) -> Result<(usize, Option<Item<'a>>), FrameError> {
        match self.0.take() {
            None => self.read_first(input, limits, version),
            Some(partial) => self.read_more(partial, input, limits, version),
        }
    }

    /// With nothing in progress: the usual case is that a whole frame lies in the input.
    fn read_first<'a>(
        &mut self,
        input: &'a [u8],
        limits: &Limits,
        version: Option<Version>,
    ) -> Result<(usize, Option<Item<'a>>), FrameError> {
        match input {
            [] => return Ok((0, None)),
            [b'\n', ..] => return Ok((1, Some(Item::HeartBeat))),
            [b'\r', b'\n', ..] => return Ok((2, Some(Item::HeartBeat))),
            [b'\r'] => {
                self.0 = Some(Box::new(Partial::Return));
                return Ok((1, None));
            }
            [b'\r', ..] => return Err(Fault::CarriageReturnBetween.into()),
            _ => {}
        }
        let mut head = Head::default();
        let Some(head_len) = head.scan(input, limits, version)? else {
            self.0 = Some(Box::new(Partial::Head(head, input.to_vec())));
            return Ok((input.len(), None));
        };
        let (text, input) = input.split_at(head_len);
        let Ok(text) = simdutf8::basic::from_utf8(text) else {
            return Err(head.not_utf8(text, version));
        };
        let (taken, item) = self.read_body(head, Cow::Borrowed(text), input, limits, version)?;
        Ok((head_len + taken, item))
    }

    fn read_more<'a>(
        &mut self,
        mut partial: Box<Partial>,
        input: &'a [u8],
        limits: &Limits,
        version: Option<Version>,
    ) -> Result<(usize, Option<Item<'a>>), FrameError> {
        match (&mut *partial, input) {
            (_, []) => {
                self.0 = Some(partial);
                Ok((0, None))
            }
            (Partial::Return, [b'\n', ..]) => Ok((1, Some(Item::HeartBeat))),
            (Partial::Return, _) => Err(Fault::CarriageReturnBetween.into()),
            (Partial::Head(head, text), _) => {
                let before = text.len();
                let room = limits.head_bytes_max.saturating_sub(before);
                let more = &input[..input.len().min(room)];
                extend(text, more, limits.head_bytes_max);
                let Some(head_len) = head.scan(text, limits, version)? else {
                    self.0 = Some(partial);
                    return Ok((more.len(), None));
                };
                text.truncate(head_len);
                let taken = head_len - before;
                let (head, text) = (std::mem::take(head), std::mem::take(text));
                let text = match String::from_utf8(text) {
                    Ok(text) => Cow::Owned(text),
                    Err(error) => return Err(head.not_utf8(error.as_bytes(), version)),
                };
                let rest = &input[taken..];
                let (more, item) = self.read_body(head, text, rest, limits, version)?;
                Ok((taken + more, item))
            }
            (Partial::Body(head, text, body), _) => {
                let end = head
                    .find_body_end(body.len(), input, limits)
                    .map_err(|fault| head.error(fault, text.as_bytes(), version))?;
                let more = &input[..end.unwrap_or(input.len())];
                extend(body, more, limits.body_bytes_max);
                if end.is_none() {
                    self.0 = Some(partial);
                    return Ok((more.len(), None));
                }
                let (text, body) = (std::mem::take(text), std::mem::take(body));
                let frame = frame(head, Cow::Owned(text), Cow::Owned(body), version);
                Ok((more.len() + 1, Some(Item::Frame(frame))))
            }
        }
    }

    /// With a head that is whole and nothing of the body.
    fn read_body<'a>(
        &mut self,
        head: Head,
        text: Cow<'a, str>,
        input: &'a [u8],
        limits: &Limits,
        version: Option<Version>,
    ) -> Result<(usize, Option<Item<'a>>), FrameError> {
        let end = head
            .find_body_end(0, input, limits)
            .map_err(|fault| head.error(fault, text.as_bytes(), version))?;
        let Some(end) = end else {
            let partial = Partial::Body(head, text.into_owned(), input.to_vec());
            self.0 = Some(Box::new(partial));
            return Ok((input.len(), None));
        };
        let frame = frame(&head, text, Cow::Borrowed(&input[..end]), version);
        Ok((end + 1, Some(Item::Frame(frame))))
    }
}

fn frame<'a>(
    head: &Head,
    text: Cow<'a, str>,
    body: Cow<'a, [u8]>,
    version: Option<Version>,
) -> Frame<'a> {
    let lines = head.header_lines(text.len());
    Frame::new(
        head.command(),
        version,
        text,
        lines,
        head.has_escapes(),
        body,
    )
}

/// Appends bytes to what will have `len_max` at most, and takes no more memory than for that many.
fn extend(buffer: &mut Vec<u8>, bytes: &[u8], len_max: usize) {
    let len = buffer.len() + bytes.len();
    if len > buffer.capacity() {
        let capacity = (2 * buffer.capacity()).min(len_max).max(len);
        buffer.reserve_exact(capacity - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
