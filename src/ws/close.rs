//! Close codes and close frames (RFC 6455, sections 5.5.1 and 7.4).

#![forbid(unsafe_code)]

use bytes::BufMut;

use super::frame::{self, CONTROL_PAYLOAD_MAX, Opcode};

/// Why a connection is closed, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server goes down, or the page is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// The peer sent a kind of data that is not taken here.
    pub const UNSUPPORTED: Self = Self(1003);
    /// A text message is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// The peer broke a rule of the server's.
    pub const POLICY: Self = Self(1008);
    /// A message is larger than is taken here.
    pub const TOO_BIG: Self = Self(1009);
    /// The server met something that it did not expect.
    pub const INTERNAL: Self = Self(1011);
    /// The server begins anew; the client may come again at once.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The server cannot serve the client at present.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// The token that the client came with has expired: one of the codes that section 7.4.2 leaves to applications.
    pub const TOKEN_EXPIRED: Self = Self(4401);
    /// What the client has missed cannot be had any more, by the raw protocol: another of those codes.
    pub const GAP: Self = Self(4410);

    /// A code that applications and libraries give a meaning: 3000 to 4999 (section 7.4.2). `None` for every other.
    pub const fn of_application(code: u16) -> Option<Self> {
        match code {
            3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

/// A close frame that no client may send; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// Section 5.5.1: a body has two bytes at least.
    #[error("a close frame has a body of one byte")]
    OneByte,
    /// Section 7.4: reserved, or never to be sent.
    #[error("the close code {0} must not be sent")]
    Code(u16),
    /// Section 5.5.1.
    #[error("the reason of a close frame is not UTF-8")]
    Reason,
}

impl CloseError {
    /// The code to close the connection with.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::OneByte | Self::Code(_) => CloseCode::PROTOCOL,
            Self::Reason => CloseCode::INVALID_PAYLOAD,
        }
    }
}

/// Reads the payload of a client's close frame: code and reason, or nothing.
///
/// # Errors
/// [`CloseError`].
pub fn parse_close(payload: &[u8]) -> Result<Option<(u16, &str)>, CloseError> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(None),
            _ => Err(CloseError::OneByte),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !may_be_sent(code) {
        return Err(CloseError::Code(code));
    }
    let reason = simdutf8::basic::from_utf8(reason).map_err(|_| CloseError::Reason)?;
    Ok(Some((code, reason)))
}

/// Whether an endpoint may send that code: one that RFC 6455 or the registry of its section 11.7
/// defines for the wire, or one of those for libraries and for private use.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Appends a close frame. A reason that does not fit is cut at the last character that does.
pub fn put_close(out: &mut impl BufMut, code: CloseCode, reason: &str) {
    put(out, code.0, reason);
}

/// Appends the answer to a client's close frame: the same code and reason.
pub fn put_echo(out: &mut impl BufMut, said: Option<(u16, &str)>) {
    match said {
        Some((code, reason)) => put(out, code, reason),
        None => frame::put_frame(out, Opcode::Close, b""),
    }
}

fn put(out: &mut impl BufMut, code: u16, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_PAYLOAD_MAX - 2)];
    frame::put_header(out, Opcode::Close, 2 + reason.len());
    out.put_u16(code);
    out.put_slice(reason.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_has_the_codes_from_3000_to_4999() {
        for (code, is_one) in [
            (1000, false),
            (2999, false),
            (3000, true),
            (3503, true),
            (4999, true),
            (5000, false),
        ] {
            let expected = is_one.then_some(code);
            assert_eq!(
                CloseCode::of_application(code).map(CloseCode::as_u16),
                expected,
                "{code}"
            );
        }
    }

    #[test]
    fn f10_codes_that_must_not_be_sent_are_refused_with_1002() {
        for code in (0..=999)
            .chain(1004..=1006)
            .chain(1015..=2999)
            .chain(5000..=65_535)
        {
            let error = parse_close(&u16::to_be_bytes(code)).unwrap_err();
            assert_eq!(error, CloseError::Code(code));
            assert_eq!(error.close_code(), CloseCode::PROTOCOL);
        }
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999] {
            assert_eq!(parse_close(&u16::to_be_bytes(code)), Ok(Some((code, ""))));
        }
    }

    #[test]
    fn f10_a_body_of_one_byte_is_refused_with_1002_and_a_reason_not_utf8_with_1007() {
        assert_eq!(parse_close(b"").unwrap(), None);
        assert_eq!(
            parse_close(&[3]).unwrap_err().close_code(),
            CloseCode::PROTOCOL
        );
        assert_eq!(
            parse_close(&[3, 232, 0xff]).unwrap_err().close_code(),
            CloseCode::INVALID_PAYLOAD
        );
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        put_close(&mut out, CloseCode::POLICY, &"é".repeat(100));
        assert_eq!(out.len(), 2 + 2 + 122);
        let (code, reason) = parse_close(&out[2..]).unwrap().unwrap();
        assert_eq!((code, reason), (1008, "é".repeat(61).as_str()));
    }
}
