//! Messages: borrowed as they arrive and are sent to one connection, owned as they are published.

use std::borrow::Cow;

use bytes::Bytes;

use crate::publication::Kind;

/// A whole message: what a client has sent, or what it is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Text or binary.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// The bytes, of a text its UTF-8.
    pub fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// A message to be published or sent later, from whatever it is made of.
///
/// Text comes from strings and [`Message::Text`], binary from bytes and [`Message::Binary`].
/// Cloning shares the bytes; `String`, `Vec<u8>`, `Bytes` and what is `'static` are not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    kind: Kind,
    bytes: Bytes,
}

impl Payload {
    /// Bytes of which is known what they are: a text must be UTF-8.
    pub(crate) fn new(kind: Kind, bytes: Bytes) -> Self {
        Self { kind, bytes }
    }

    /// Text or binary.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The bytes, of a text its UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Kind and bytes.
    pub fn into_parts(self) -> (Kind, Bytes) {
        (self.kind, self.bytes)
    }

    fn text(bytes: impl Into<Bytes>) -> Self {
        Self {
            kind: Kind::Text,
            bytes: bytes.into(),
        }
    }

    fn binary(bytes: impl Into<Bytes>) -> Self {
        Self {
            kind: Kind::Binary,
            bytes: bytes.into(),
        }
    }
}

impl From<Message<'_>> for Payload {
    fn from(message: Message<'_>) -> Self {
        Self {
            kind: message.kind(),
            bytes: Bytes::copy_from_slice(message.as_bytes()),
        }
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self::text(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Cow<'_, str>> for Payload {
    fn from(text: Cow<'_, str>) -> Self {
        Self::text(text.into_owned())
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self::binary(Bytes::copy_from_slice(bytes))
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::binary(bytes)
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::binary(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_become_text_and_bytes_become_binary() {
        for payload in ["é".into(), "é".to_owned().into(), Message::Text("é").into()] {
            let payload: Payload = payload;
            assert_eq!(payload.kind(), Kind::Text);
            assert_eq!(payload.as_bytes(), "é".as_bytes());
        }
        let bytes: &[u8] = &[0xff];
        for payload in [
            bytes.into(),
            bytes.to_vec().into(),
            Bytes::from_static(&[0xff]).into(),
            Message::Binary(bytes).into(),
        ] {
            let payload: Payload = payload;
            assert_eq!(
                payload.into_parts(),
                (Kind::Binary, Bytes::from_static(&[0xff]))
            );
        }
    }
}
