//! Errors that replies tell.

use std::borrow::Cow;

/// Why a command was not obeyed, as its reply says it.
///
/// The codes are the protocol's; the message begins with what the protocol calls the error, and goes on with
/// what can be done about it where there is more to say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ErrorReply {
    /// Names the error.
    pub code: u32,
    /// For people; one line.
    pub message: Cow<'static, str>,
    /// Whether the same command may be obeyed a little later.
    pub temporary: bool,
}

impl ErrorReply {
    /// Something went wrong here.
    pub const INTERNAL: Self = Self::new(100, "internal server error", true);
    /// It must be said who the client is.
    pub const UNAUTHORIZED: Self = Self::new(101, "unauthorized", false);
    /// There is no such channel.
    pub const UNKNOWN_CHANNEL: Self = Self::new(102, "unknown channel", false);
    /// The client may not do that.
    pub const PERMISSION_DENIED: Self = Self::new(103, "permission denied", false);
    /// There is no such method.
    pub const METHOD_NOT_FOUND: Self = Self::new(104, "method not found", false);
    /// The client has that subscription already.
    pub const ALREADY_SUBSCRIBED: Self = Self::new(105, "already subscribed", false);
    /// A bound has been reached.
    pub const LIMIT_EXCEEDED: Self = Self::new(106, "limit exceeded", false);
    /// The command makes no sense.
    pub const BAD_REQUEST: Self = Self::new(107, "bad request", false);
    /// The server, or the channel's namespace, does not do that.
    pub const NOT_AVAILABLE: Self = Self::new(108, "not available", false);
    /// The token was valid once: get another one.
    pub const TOKEN_EXPIRED: Self = Self::new(109, "token expired", false);
    /// The connection or the subscription has expired.
    pub const EXPIRED: Self = Self::new(110, "expired", false);
    /// Too much in too short a time.
    pub const TOO_MANY_REQUESTS: Self = Self::new(111, "too many requests", true);
    /// The stream is another one, or what was missed is not kept any more.
    pub const UNRECOVERABLE_POSITION: Self = Self::new(112, "unrecoverable position", false);

    const fn new(code: u32, message: &'static str, temporary: bool) -> Self {
        Self {
            code,
            message: Cow::Borrowed(message),
            temporary,
        }
    }

    /// The same with more words.
    #[must_use]
    pub fn because(self, detail: impl std::fmt::Display) -> Self {
        Self {
            message: Cow::Owned(format!("{}: {detail}", self.message)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_stands_behind_the_protocols_words() {
        let error = ErrorReply::BAD_REQUEST.because("there is no data");
        assert_eq!(error.to_string(), "bad request: there is no data");
        assert_eq!((error.code, error.temporary), (107, false));
        let passing = ErrorReply::TOO_MANY_REQUESTS.because("wait");
        assert_eq!((passing.code, passing.temporary), (111, true));
    }
}
