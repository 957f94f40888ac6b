//! Frame headers, in both directions (RFC 6455, section 5.2).

#![forbid(unsafe_code)]

use bytes::BufMut;
use serde::{Deserialize, Serialize};

use super::close::CloseCode;

/// Longest header of a frame: two bytes, a 64-bit length, a masking key.
pub const HEADER_LEN_MAX: usize = 14;

/// Longest payload of a control frame (section 5.5).
pub const CONTROL_PAYLOAD_MAX: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_RSV3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const LENGTH_IN_16_BITS: u8 = 126;
const LENGTH_IN_64_BITS: u8 = 127;

/// What a frame is (section 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opcode {
    /// Goes on with the message that an earlier frame began.
    Continuation,
    /// Begins a message of UTF-8 text.
    Text,
    /// Begins a message of any bytes.
    Binary,
    /// Begins or answers the closing handshake.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping, or is a sign of life unasked.
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// Whether the frame is a control frame (section 5.5).
    pub fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

/// A decoded header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Whether the frame is its message's last.
    pub fin: bool,
    /// The first reserved bit, to which permessage-deflate gives a meaning.
    pub rsv1: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The key that its payload is masked with.
    pub mask: [u8; 4],
    /// Bytes of payload.
    pub payload_len: u64,
    /// Bytes of the header itself.
    pub header_len: usize,
}

/// A header that no client may send; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Section 5.1.
    #[error("a frame of a client must be masked")]
    Unmasked,
    /// Section 5.2: no extension that uses it has been negotiated.
    #[error("a reserved bit is set and no negotiated extension uses it")]
    ReservedBit,
    /// Section 5.2.
    #[error("the opcode {0:#x} is reserved")]
    ReservedOpcode(u8),
    /// Section 5.2: the minimal number of bytes must be used.
    #[error("the length is not in its shortest form")]
    LongLength,
    /// Section 5.2: the most significant bit of a 64-bit length must be 0.
    #[error("the length has its most significant bit set")]
    NegativeLength,
    /// Section 5.5.
    #[error("a control frame has more than {CONTROL_PAYLOAD_MAX} bytes")]
    LongControl,
    /// Section 5.5.
    #[error("a control frame is fragmented")]
    FragmentedControl,
}

impl FrameError {
    /// The code to close the connection with.
    pub fn close_code(self) -> CloseCode {
        CloseCode::PROTOCOL
    }
}

/// Decodes the header of a client's frame; `None` while it is incomplete.
///
/// `allow_rsv1` says that an extension which uses the first reserved bit has been negotiated.
///
/// # Errors
/// [`FrameError`], as early as the bytes show it.
pub fn decode_client_header(input: &[u8], allow_rsv1: bool) -> Result<Option<Header>, FrameError> {
    let &[first, ref rest @ ..] = input else {
        return Ok(None);
    };
    let rsv1 = first & RSV1 != 0;
    if first & RSV2_RSV3 != 0 || (rsv1 && !allow_rsv1) {
        return Err(FrameError::ReservedBit);
    }
    let bits = first & OPCODE;
    let opcode = Opcode::from_bits(bits).ok_or(FrameError::ReservedOpcode(bits))?;
    let fin = first & FIN != 0;
    if opcode.is_control() && !fin {
        return Err(FrameError::FragmentedControl);
    }
    // Only the first frame of a message says that it is compressed (RFC 7692, section 6).
    if rsv1 && !matches!(opcode, Opcode::Text | Opcode::Binary) {
        return Err(FrameError::ReservedBit);
    }
    let &[second, ref rest @ ..] = rest else {
        return Ok(None);
    };
    if second & MASKED == 0 {
        return Err(FrameError::Unmasked);
    }
    let short = second & LENGTH;
    if opcode.is_control() && usize::from(short) > CONTROL_PAYLOAD_MAX {
        return Err(FrameError::LongControl);
    }
    let Some((payload_len, rest)) = decode_length(short, rest)? else {
        return Ok(None);
    };
    let Some(&mask) = rest.first_chunk() else {
        return Ok(None);
    };
    Ok(Some(Header {
        fin,
        rsv1,
        opcode,
        mask,
        payload_len,
        header_len: input.len() - rest.len() + mask.len(),
    }))
}

/// The length that a frame's second byte announces, and what follows it.
fn decode_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, FrameError> {
    match short {
        LENGTH_IN_16_BITS => {
            let Some((bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            let len = u16::from_be_bytes(*bytes);
            if len < u16::from(LENGTH_IN_16_BITS) {
                return Err(FrameError::LongLength);
            }
            Ok(Some((u64::from(len), rest)))
        }
        LENGTH_IN_64_BITS => {
            if rest.first().is_some_and(|first| first & 0x80 != 0) {
                return Err(FrameError::NegativeLength);
            }
            let Some((bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            let len = u64::from_be_bytes(*bytes);
            if len <= u64::from(u16::MAX) {
                return Err(FrameError::LongLength);
            }
            Ok(Some((len, rest)))
        }
        short => Ok(Some((u64::from(short), rest))),
    }
}

/// Appends the header of a server's frame: final, never masked, its length in the shortest form.
pub fn put_header(out: &mut impl BufMut, opcode: Opcode, payload_len: usize) {
    put_bits_and_length(out, FIN | opcode.bits(), payload_len);
}

fn put_bits_and_length(out: &mut impl BufMut, first: u8, payload_len: usize) {
    if payload_len < usize::from(LENGTH_IN_16_BITS) {
        out.put_slice(&[first, payload_len as u8]);
    } else if let Ok(len) = u16::try_from(payload_len) {
        let [a, b] = len.to_be_bytes();
        out.put_slice(&[first, LENGTH_IN_16_BITS, a, b]);
    } else {
        out.put_slice(&[first, LENGTH_IN_64_BITS]);
        out.put_u64(payload_len as u64);
    }
}

/// Appends a whole frame of a server.
pub fn put_frame(out: &mut impl BufMut, opcode: Opcode, payload: &[u8]) {
    put_header(out, opcode, payload.len());
    out.put_slice(payload);
}

/// Appends a whole frame of a server that holds a message compressed as RFC 7692 has it: the first reserved bit says so.
pub fn put_compressed_frame(out: &mut impl BufMut, opcode: Opcode, compressed: &[u8]) {
    put_bits_and_length(out, FIN | RSV1 | opcode.bits(), compressed.len());
    out.put_slice(compressed);
}

/// Bytes of a server's frame with so long a payload.
pub const fn frame_len(payload_len: usize) -> usize {
    payload_len
        + if payload_len < LENGTH_IN_16_BITS as usize {
            2
        } else if payload_len <= u16::MAX as usize {
            4
        } else {
            10
        }
}

/// Bytes of the server's frame that begins here; `None` where its header is cut short. For finding
/// one's way in a buffer of one's own frames.
pub fn server_frame_len(bytes: &[u8]) -> Option<usize> {
    let &[_, short, ref rest @ ..] = bytes else {
        return None;
    };
    let payload_len = match short & LENGTH {
        LENGTH_IN_16_BITS => usize::from(u16::from_be_bytes(*rest.first_chunk()?)),
        LENGTH_IN_64_BITS => usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?,
        short => usize::from(short),
    };
    Some(frame_len(payload_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [1, 2, 3, 4];

    fn client_header(first: u8, length: &[u8]) -> Vec<u8> {
        let mut header = vec![first];
        header.extend_from_slice(length);
        header[1] |= MASKED;
        header.extend_from_slice(&KEY);
        header
    }

    #[test]
    fn f12_server_frames_are_final_unmasked_and_in_the_shortest_form() {
        for (len, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 255, 255]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            put_frame(&mut out, Opcode::Text, &vec![b'x'; len]);
            assert_eq!(out[..header.len()], header);
            assert_eq!(out.len(), frame_len(len));
            assert_eq!(server_frame_len(&out), Some(out.len()));
            assert_eq!(server_frame_len(&out[..1]), None);
        }
    }

    #[test]
    fn every_kind_of_header_is_decoded_once_it_is_complete() {
        for (length, payload_len) in [
            (vec![5], 5),
            (vec![126, 0, 126], 126),
            (vec![126, 255, 255], 65_535),
            (vec![127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
        ] {
            let header = client_header(0x02, &length);
            for cut in 0..header.len() {
                assert_eq!(decode_client_header(&header[..cut], false), Ok(None));
            }
            let expected = Header {
                fin: false,
                rsv1: false,
                opcode: Opcode::Binary,
                mask: KEY,
                payload_len,
                header_len: header.len(),
            };
            assert_eq!(decode_client_header(&header, false), Ok(Some(expected)));
        }
    }

    #[test]
    fn f1_an_unmasked_frame_is_refused_after_two_bytes() {
        assert_eq!(
            decode_client_header(&[0x81, 0], false),
            Err(FrameError::Unmasked)
        );
    }

    #[test]
    fn f2_reserved_bits_are_refused_unless_an_extension_uses_the_first() {
        for first in [0xc1, 0xa1, 0x91] {
            assert_eq!(
                decode_client_header(&[first], false),
                Err(FrameError::ReservedBit)
            );
        }
        assert_eq!(decode_client_header(&[0xc1], true), Ok(None));
        assert_eq!(
            decode_client_header(&[0xc9], true),
            Err(FrameError::ReservedBit),
            "control frames are never compressed"
        );
        assert_eq!(
            decode_client_header(&[0x40], true),
            Err(FrameError::ReservedBit),
            "only the first frame of a message says that it is compressed"
        );
    }

    #[test]
    fn f3_reserved_opcodes_are_refused_after_one_byte() {
        for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
            assert_eq!(
                decode_client_header(&[0x80 | opcode], false),
                Err(FrameError::ReservedOpcode(opcode))
            );
        }
    }

    #[test]
    fn f4_lengths_that_are_not_in_the_shortest_form_or_negative_are_refused() {
        for (length, error) in [
            (vec![126, 0, 125], FrameError::LongLength),
            (
                vec![127, 0, 0, 0, 0, 0, 0, 255, 255],
                FrameError::LongLength,
            ),
            (vec![127, 0x80], FrameError::NegativeLength),
        ] {
            let mut header = vec![0x82];
            header.extend_from_slice(&length);
            header[1] |= MASKED;
            assert_eq!(decode_client_header(&header, false), Err(error));
        }
    }

    #[test]
    fn f5_long_or_fragmented_control_frames_are_refused_as_soon_as_they_show() {
        for opcode in [0x8, 0x9, 0xa] {
            assert_eq!(
                decode_client_header(&[opcode], false),
                Err(FrameError::FragmentedControl)
            );
            assert_eq!(
                decode_client_header(&[0x80 | opcode, MASKED | 126], false),
                Err(FrameError::LongControl)
            );
        }
    }
}
