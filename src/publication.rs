//! What is published: the payload and its place in its channel's stream.

use bytes::Bytes;

/// How the publisher sent the payload, and so how a WebSocket subscriber receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text; leaves as text frames.
    Text,
    /// Any bytes; leaves as binary frames.
    Binary,
}

impl Kind {
    /// Text where the bytes are UTF-8, binary otherwise: for publishers that do not say.
    pub fn of(payload: &[u8]) -> Self {
        match simdutf8::basic::from_utf8(payload) {
            Ok(_) => Self::Text,
            Err(_) => Self::Binary,
        }
    }
}

/// Where a channel's stream stands: the number of its newest publication, and which stream it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Names the stream. A channel that was forgotten and begun again has another epoch, so
    /// that offsets of the old stream are never mistaken for offsets of the new one.
    pub epoch: u64,
    /// Publications so far; the first publication of a stream has offset 1.
    pub offset: u64,
}

/// Bytes that [`Position::as_id`] takes at the most: two numbers and a hyphen.
pub const ID_BYTES_MAX: usize = 41;

impl Position {
    /// The position as a text, `epoch-offset`, written into a buffer.
    pub fn as_id(self, buffer: &mut [u8; ID_BYTES_MAX]) -> &str {
        let mut at = put_number(buffer, ID_BYTES_MAX, self.offset) - 1;
        buffer[at] = b'-';
        at = put_number(buffer, at, self.epoch);
        // Digits and a hyphen.
        str::from_utf8(&buffer[at..]).unwrap_or_default()
    }

    /// The position that [`Position::as_id`] has written so.
    pub fn of_id(id: &str) -> Option<Self> {
        let (epoch, offset) = id.split_once('-')?;
        let is_plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        (is_plain(epoch) && is_plain(offset)).then_some(())?;
        Some(Self {
            epoch: epoch.parse().ok()?,
            offset: offset.parse().ok()?,
        })
    }
}

/// Writes a number in front of `end` and returns where it begins.
fn put_number(buffer: &mut [u8; ID_BYTES_MAX], end: usize, mut number: u64) -> usize {
    let mut at = end;
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return at;
        }
    }
}

/// One published message. The payload reaches subscribers byte for byte as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its place in the stream.
    pub position: Position,
    /// Text or binary.
    pub kind: Kind,
    /// Header lines that the publisher's protocol carries along, in the form of STOMP 1.2
    /// (`name:value\n`, escaped as its section "Value Encoding" says); empty for most.
    pub headers: Bytes,
    /// The published bytes, shared by all who hold them.
    pub payload: Bytes,
}

impl Publication {
    /// What it is counted with where it is kept, in bytes: itself, its headers and its payload. An empty
    /// one counts, too, so that no bound in bytes lets any number of them in.
    pub fn kept_bytes(&self) -> usize {
        size_of::<Self>() + self.headers.len() + self.payload.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_from_the_id_that_it_was_written_as() {
        for (epoch, offset) in [
            (0, 0),
            (1, 10),
            (99, 100),
            (u64::MAX, u64::MAX),
            (7 << 57, 1),
        ] {
            let position = Position { epoch, offset };
            let mut buffer = [0; ID_BYTES_MAX];
            let id = position.as_id(&mut buffer);
            assert_eq!(id, format!("{epoch}-{offset}"));
            assert_eq!(Position::of_id(id), Some(position));
        }
    }

    #[test]
    fn what_is_no_position_is_not_read_as_one() {
        for id in [
            "", "-", "1", "1-", "-1", "+1-2", "1-2-3", "1--2", "a-b", "1- 2",
        ] {
            assert_eq!(Position::of_id(id), None, "{id:?}");
        }
        assert_eq!(Position::of_id("18446744073709551616-1"), None);
    }
}
