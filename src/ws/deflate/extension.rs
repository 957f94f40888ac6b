//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455, section 9.1).

use std::borrow::Cow;

use crate::ws::handshake::is_token_byte;

/// The header is not what the grammar allows, so that the handshake fails (RFC 6455, section 9.1); the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Sec-WebSocket-Extensions must be a list of names with parameters")]
pub struct Malformed;

/// One extension as it is offered.
#[derive(Debug, PartialEq, Eq)]
pub struct Offer<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its parameters in their order; a name may stand there twice.
    pub parameters: Vec<Parameter<'a>>,
}

/// A parameter of an extension.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value without quotes, if it has one.
    pub value: Option<Cow<'a, [u8]>>,
}

/// The offers of all headers of that name, in their order.
///
/// # Errors
/// [`Malformed`] if any of the values is.
pub fn parse<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Offer<'a>>, Malformed> {
    let mut offers = Vec::new();
    for value in values {
        let mut cursor = Cursor(value);
        loop {
            // A list may have empty elements (RFC 9110, section 5.6.1.2).
            while cursor.takes(b',') {}
            if cursor.is_at_end() {
                break;
            }
            offers.push(cursor.offer()?);
            if !cursor.is_at_end() && !cursor.takes(b',') {
                return Err(Malformed);
            }
        }
    }
    Ok(offers)
}

/// What is left of a header's value.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn offer(&mut self) -> Result<Offer<'a>, Malformed> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.takes(b';') {
            parameters.push(self.parameter()?);
        }
        Ok(Offer { name, parameters })
    }

    fn parameter(&mut self) -> Result<Parameter<'a>, Malformed> {
        let name = self.token()?;
        let value = if !self.takes(b'=') {
            None
        } else if self.takes(b'"') {
            Some(self.rest_of_quoted()?)
        } else {
            Some(Cow::Borrowed(self.token()?))
        };
        Ok(Parameter { name, value })
    }

    fn token(&mut self) -> Result<&'a [u8], Malformed> {
        self.skip_space();
        let len = self.0.iter().take_while(|b| is_token_byte(**b)).count();
        if len == 0 {
            return Err(Malformed);
        }
        let (token, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(token)
    }

    /// Behind the first quotation mark. What is quoted must be a token all the same, once its backslashes are gone.
    fn rest_of_quoted(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        let mut value = Vec::new();
        loop {
            let (byte, rest) = match *self.0 {
                [b'"', ref rest @ ..] => {
                    self.0 = rest;
                    break;
                }
                [b'\\', byte, ref rest @ ..] => (byte, rest),
                [byte, ref rest @ ..] => (byte, rest),
                [] => return Err(Malformed),
            };
            if !is_token_byte(byte) {
                return Err(Malformed);
            }
            value.push(byte);
            self.0 = rest;
        }
        if value.is_empty() {
            return Err(Malformed);
        }
        Ok(Cow::Owned(value))
    }

    /// Takes that byte, if it is the next behind any space.
    fn takes(&mut self, byte: u8) -> bool {
        self.skip_space();
        let Some((_, rest)) = self.0.split_first().filter(|(first, _)| **first == byte) else {
            return false;
        };
        self.0 = rest;
        true
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.0.is_empty()
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }
}
