//! WebSocket frames as a client sees them: those of a server, cut out of the bytes of one read where they lie, and its own.
//!
//! Nothing is allocated for a message that one read brought whole; only a frame that a read has cut in two, and messages in
//! fragments, are copied.

use crate::ws::mask::unmask;

/// One message or control frame from the server (RFC 6455, section 5).
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole text or binary message.
    Message(&'a [u8]),
    /// The same compressed (RFC 7692, section 7.2.1).
    Compressed(&'a [u8]),
    /// A ping, to be answered with the same payload (section 5.5.2).
    Ping(&'a [u8]),
    /// A pong, which needs no answer.
    Pong,
    /// A close frame; the payload is the code and the reason (section 5.5.1).
    Close(&'a [u8]),
}

/// What a server must not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Section 5.1.
    #[error("the server masked a frame")]
    Masked,
    /// Section 5.2.
    #[error("the server set a reserved bit that nothing was agreed about")]
    Reserved,
    /// Section 5.2.
    #[error("the server sent an opcode that RFC 6455 does not define")]
    Opcode,
    /// Section 5.4.
    #[error("the server's fragments do not make messages")]
    Fragments,
    /// Longer than anything that was published.
    #[error("the server sent a frame of more than {FRAME_BYTES_MAX} bytes")]
    TooLong,
}

/// No server has a reason to send more in one frame.
const FRAME_BYTES_MAX: u64 = 64 * 1024 * 1024;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// Cuts one connection's stream into frames.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// The frame that the last read has cut in two.
    tail: Vec<u8>,
    /// A message in fragments, begun.
    fragments: Option<Fragments>,
    takes_compressed: bool,
}

#[derive(Debug)]
struct Fragments {
    compressed: bool,
    message: Vec<u8>,
}

impl FrameReader {
    /// From now on compressed messages may come.
    pub fn take_compressed(&mut self) {
        self.takes_compressed = true;
    }

    /// Takes the next `bytes` of the stream and hands all that is complete now to `each`, in order.
    ///
    /// After an error the stream's boundaries are unknown: nothing more may be read from it.
    pub fn read(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Frame<'_>),
    ) -> Result<(), Violation> {
        if !self.tail.is_empty() {
            match self.complete_tail(bytes, &mut each)? {
                Some(rest) => bytes = rest,
                None => return Ok(()),
            }
        }
        while let Some((frame, rest)) = split_frame(bytes)? {
            self.take(frame, &mut each)?;
            bytes = rest;
        }
        self.tail.extend_from_slice(bytes);
        Ok(())
    }

    /// Feeds the frame that an earlier read began. Returns what is left of `bytes` once it is whole.
    fn complete_tail<'b>(
        &mut self,
        bytes: &'b [u8],
        each: &mut impl FnMut(Frame<'_>),
    ) -> Result<Option<&'b [u8]>, Violation> {
        let had = self.tail.len();
        // The header, to know how much is wanted; then that much.
        let header = bytes.len().min(10_usize.saturating_sub(had));
        self.tail.extend_from_slice(&bytes[..header]);
        let Some(length) = frame_len(&self.tail)? else {
            return Ok(None);
        };
        let wanted = length.saturating_sub(had);
        if bytes.len() < wanted {
            self.tail.extend_from_slice(&bytes[header..]);
            return Ok(None);
        }
        self.tail.truncate(had);
        self.tail.extend_from_slice(&bytes[..wanted]);
        let frame = std::mem::take(&mut self.tail);
        self.take(&frame, each)?;
        Ok(Some(&bytes[wanted..]))
    }

    #[inline]
    fn take(&mut self, frame: &[u8], each: &mut impl FnMut(Frame<'_>)) -> Result<(), Violation> {
        let (first, payload) = (frame[0], &frame[header_len(frame)..]);
        match first {
            0x81 | 0x82 if self.fragments.is_none() => each(Frame::Message(payload)),
            0xc1 | 0xc2 if self.takes_compressed && self.fragments.is_none() => {
                each(Frame::Compressed(payload));
            }
            0x89 => each(Frame::Ping(payload)),
            0x8a => each(Frame::Pong),
            0x88 => each(Frame::Close(payload)),
            _ => return self.take_fragment(first, payload, each),
        }
        Ok(())
    }

    #[cold]
    fn take_fragment(
        &mut self,
        first: u8,
        payload: &[u8],
        each: &mut impl FnMut(Frame<'_>),
    ) -> Result<(), Violation> {
        let (is_last, compressed, opcode) = (first & FIN != 0, first & RSV1 != 0, first & 0xf);
        if first & 0x30 != 0 || (compressed && !(self.takes_compressed && opcode != 0)) {
            return Err(Violation::Reserved);
        }
        match (opcode, &mut self.fragments) {
            (TEXT | BINARY, None) if !is_last => {
                self.fragments = Some(Fragments {
                    compressed,
                    message: payload.to_vec(),
                });
            }
            (0, Some(fragments)) => {
                fragments.message.extend_from_slice(payload);
                if let (true, Some(whole)) = (is_last, self.fragments.take_if(|_| is_last)) {
                    each(match whole.compressed {
                        true => Frame::Compressed(&whole.message),
                        false => Frame::Message(&whole.message),
                    });
                }
            }
            (0..=BINARY, _) => return Err(Violation::Fragments),
            _ => return Err(Violation::Opcode),
        }
        Ok(())
    }
}

/// A frame and the bytes behind it.
type FrameAndRest<'a> = (&'a [u8], &'a [u8]);

/// The first frame of `bytes` and what follows it, or `None` while it is not complete.
#[inline]
fn split_frame(bytes: &[u8]) -> Result<Option<FrameAndRest<'_>>, Violation> {
    Ok(frame_len(bytes)?.and_then(|length| bytes.split_at_checked(length)))
}

/// The length, header included, of the frame that `bytes` begins with, or `None` while its header is not complete.
#[inline]
fn frame_len(bytes: &[u8]) -> Result<Option<usize>, Violation> {
    let &[_, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    let payload = match second {
        0..126 => Some(u64::from(second)),
        126 => rest
            .first_chunk()
            .map(|&length| u16::from_be_bytes(length).into()),
        127 => rest.first_chunk().map(|&length| u64::from_be_bytes(length)),
        128.. => return Err(Violation::Masked),
    };
    match payload {
        Some(payload) if payload > FRAME_BYTES_MAX => Err(Violation::TooLong),
        payload => Ok(payload.map(|payload| header_len(bytes) + payload as usize)),
    }
}

#[inline]
fn header_len(frame: &[u8]) -> usize {
    match frame[1] {
        127 => 10,
        126 => 4,
        _ => 2,
    }
}

/// Not zero, so that a server has to unmask.
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];

/// A client's opcode (section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A text message.
    Text = 1,
    /// A binary message.
    Binary = 2,
    /// A close frame.
    Close = 8,
    /// A pong.
    Pong = 10,
}

/// Appends `payload` to `out` as one masked frame of a client.
pub fn put_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.push(FIN | opcode as u8);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let begin = out.len();
    out.extend_from_slice(payload);
    unmask(&mut out[begin..], MASK, 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(length as u8),
            length @ 126..=0xffff => {
                bytes.push(126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    proptest! {
        #[test]
        fn frames_survive_every_split(
            lengths in prop::collection::vec(
                prop_oneof![0_usize..130, 65_530..65_540_usize],
                1..6,
            ),
            fragmented in any::<bool>(),
            cuts in prop::collection::vec(any::<usize>(), 0..40),
        ) {
            let payloads: Vec<Vec<u8>> = lengths.iter().map(|&length| vec![b'x'; length]).collect();
            let mut stream = Vec::new();
            for payload in &payloads {
                if fragmented {
                    let (a, b) = payload.split_at(payload.len() / 3);
                    stream.extend(server_frame(0x01, a));
                    stream.extend(server_frame(0x89, b"in between"));
                    stream.extend(server_frame(0x80, b));
                } else {
                    stream.extend(server_frame(0x82, payload));
                }
            }
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
            ends.push(stream.len());
            ends.sort_unstable();
            let (mut reader, mut seen, mut begin) = (FrameReader::default(), Vec::new(), 0);
            for end in ends {
                let read = reader.read(&stream[begin..end], |frame| match frame {
                    Frame::Message(message) => seen.push(message.to_vec()),
                    Frame::Ping(payload) => assert_eq!(payload, b"in between"),
                    other => panic!("no such frame was in the stream: {other:?}"),
                });
                prop_assert_eq!(read, Ok(()));
                begin = end;
            }
            prop_assert_eq!(seen, payloads);
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        for (bytes, violation) in [
            (&[0x81, 0x81, 0, 0, 0, 0, 0][..], Violation::Masked),
            (&[0xc1, 1, 0], Violation::Reserved),
            (&[0xa1, 1, 0], Violation::Reserved),
            (&[0x83, 1, 0], Violation::Opcode),
            (&[0x80, 1, 0], Violation::Fragments),
            (&[0x01, 1, 0, 0x81, 1, 0], Violation::Fragments),
            (&[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0], Violation::TooLong),
        ] {
            let read = FrameReader::default().read(bytes, |_| {});
            assert_eq!(read, Err(violation), "{bytes:?}");
        }
    }

    #[test]
    fn a_clients_frame_is_masked_and_unmasks_to_its_payload() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let payload = vec![b'y'; length];
            let mut out = Vec::new();
            put_frame(&mut out, Opcode::Text, &payload);
            let header = crate::ws::frame::decode_client_header(&out, false);
            assert!(matches!(header, Ok(Some(_))), "{length}: {header:?}");
            let begin = out.len() - length;
            unmask(&mut out[begin..], MASK, 0);
            assert_eq!(&out[begin..], payload);
        }
    }
}
