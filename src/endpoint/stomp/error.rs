//! ERROR frames: what a client did wrong, or what could not be done for it.

use std::fmt::Display;

use bytes::BytesMut;

use super::destination::{Destination, excerpt};
use crate::access::TokenError;
use crate::channel::Refused;
use crate::endpoint::ClosedFor;
use crate::endpoint::credentials::Unauthorized;
use crate::stomp::encode::{ErrorFrame, put_error};
use crate::stomp::version::NoCommonVersion;
use crate::stomp::{Command, FrameError, Version};
use crate::ws::close::CloseCode;

/// An ERROR frame and the close code behind it.
#[derive(Debug)]
pub struct ErrorReply {
    /// One line: what and where. Also the close frame's reason.
    pub message: String,
    /// What to do instead.
    help: String,
    /// The receipt that the frame asked for.
    receipt: Option<Box<str>>,
    /// What the connection is closed with.
    pub code: CloseCode,
    /// Whether to list the versions.
    versions: bool,
    /// What the close is counted as, if it is.
    pub counted: Option<ClosedFor>,
}

impl ErrorReply {
    /// The client's fault.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
            receipt: None,
            code: CloseCode::PROTOCOL,
            versions: false,
            counted: None,
        }
    }

    /// A frame that could not be read.
    pub fn frame(error: FrameError) -> Self {
        Self {
            receipt: error.receipt.clone(),
            ..Self::new(
                format!("malformed frame: {error}"),
                "The connection is closed, for nothing behind a malformed frame can be trusted.",
            )
        }
    }

    /// No version that both speak.
    pub fn versions(error: &NoCommonVersion) -> Self {
        Self {
            versions: true,
            ..Self::new(
                error.to_string(),
                "Supported protocol versions are 1.0, 1.1 and 1.2: name one in accept-version.",
            )
        }
    }

    /// A header that the command must have.
    pub fn missing(command: impl Display, header: &str) -> Self {
        Self::new(
            format!("{command} has no header \"{header}\""),
            format!("Add a line \"{header}:…\" to the {command} frame."),
        )
    }

    /// A body where there may be none (STOMP 1.2, "Body").
    pub fn body(command: impl Display) -> Self {
        Self::new(
            format!("{command} has a body"),
            "Only SEND may have one: end the frame with NUL behind the empty line.",
        )
    }

    /// A limit of the server's, not the client's fault.
    pub fn refused(refused: &Refused) -> Self {
        Self {
            code: CloseCode::TRY_AGAIN_LATER,
            ..Self::new(refused.to_string(), "Connect again later.")
        }
    }

    /// A SUBSCRIBE too many.
    pub fn subscriptions(max: usize) -> Self {
        Self {
            code: CloseCode::POLICY,
            ..Self::new(
                format!("over {max} subscriptions at one time (limits.subscriptions_max)"),
                "Unsubscribe from something first.",
            )
        }
    }

    /// More waits for acknowledgements than is kept.
    pub fn window_full(subscription: &str, bytes_max: usize) -> Self {
        Self {
            code: CloseCode::TRY_AGAIN_LATER,
            counted: Some(ClosedFor::Window),
            ..Self::new(
                format!(
                    "subscription \"{subscription}\" is too slow: over {bytes_max} bytes wait for its ACKs"
                ),
                "Acknowledge sooner, or subscribe with a larger prefetch-count or with ack:auto.",
            )
        }
    }

    /// The server's operator has ended a subscription.
    pub fn unsubscribed(subscription: &str) -> Self {
        Self {
            code: CloseCode::POLICY,
            ..Self::new(
                format!("subscription \"{subscription}\" was ended by the server"),
                "Connect again, and subscribe to something else.",
            )
        }
    }

    /// No client may be subscribed to that any more.
    pub fn forbidden(destination: &str) -> Self {
        let message = format!(
            "no client may be subscribed to \"{}\" any more",
            excerpt(destination)
        );
        let help = "Namespaces say who may do what: ask whoever runs the server.";
        Self {
            code: CloseCode::POLICY,
            ..Self::unauthorized(message, help)
        }
    }

    /// A SUBSCRIBE to a destination that only users have, by a client that is none.
    pub fn nobody(destination: &str, with_proof: bool) -> Self {
        let message = format!("destination \"{}\" is for users", excerpt(destination));
        if with_proof {
            let help = "Connect with a token whose claim sub says who you are.";
            return Self::unauthorized(message, help);
        }
        Self::new(message, "Say who you are in the header login of CONNECT.")
    }

    /// A CONNECT with a token that lets nobody in.
    pub fn token(command: impl Display, error: TokenError) -> Self {
        let help = "Write a token that holds into one of the headers Authorization (behind \"Bearer \"), token and passcode, \
                    or into the URL as ?token=….";
        Self {
            code: code_of(error),
            ..Self::unauthorized(format!("{command}: {error}"), help)
        }
    }

    /// A CONNECT with another login than its token's.
    pub fn other_login() -> Self {
        let message = "login is not the user of the token";
        Self::unauthorized(message, "Leave login out: the token says who you are.")
    }

    /// A SEND or a SUBSCRIBE that the client may not do.
    pub fn denied(command: Command, destination: &Destination, error: Unauthorized) -> Self {
        let destination = destination.to_string();
        let message = format!("{command} to \"{}\": {error}", excerpt(&destination));
        let (code, help) = match error {
            Unauthorized::Token(error) => (
                code_of(error),
                "Write a subscription token for this destination into the header token.",
            ),
            Unauthorized::Denied(_) => (
                CloseCode::POLICY,
                "Namespaces and tokens say who may do what: ask whoever runs the server.",
            ),
        };
        Self {
            code,
            ..Self::unauthorized(message, help)
        }
    }

    /// The token of the connection, or of that subscription, has expired.
    pub fn expired(subscription: Option<&str>) -> Self {
        let message = match subscription {
            None => "the token has expired".to_owned(),
            Some(name) => {
                format!(
                    "the token of the subscription \"{}\" has expired",
                    excerpt(name)
                )
            }
        };
        Self {
            code: CloseCode::TOKEN_EXPIRED,
            counted: Some(ClosedFor::TokenExpired),
            ..Self::new(message, "Connect again with a new one.")
        }
    }

    fn unauthorized(message: impl Into<String>, help: &str) -> Self {
        Self {
            code: CloseCode::POLICY,
            counted: Some(ClosedFor::Unauthorized),
            ..Self::new(message, help)
        }
    }

    /// No CONNECT in time.
    pub fn late(connect_ms: u32) -> Self {
        Self::new(
            format!("no CONNECT within {connect_ms} ms"),
            "Send CONNECT as soon as the WebSocket is open.",
        )
    }

    /// Neither a frame nor a heart-beat in time.
    pub fn silent(silence_ms: u32) -> Self {
        Self::new(
            format!("no heart-beat: nothing has come for {silence_ms} ms"),
            "Send a line feed at least as often as was agreed on in the heart-beat headers.",
        )
    }

    /// The server ends the connection.
    pub fn ended(code: CloseCode, reason: &str) -> Self {
        let help = match code {
            CloseCode::GOING_AWAY => "Connect again after a random pause.",
            CloseCode::TOO_BIG | CloseCode::POLICY => "Connect again and send less.",
            CloseCode::TRY_AGAIN_LATER => "Connect again, and read sooner what is sent.",
            _ => "The connection is closed.",
        };
        Self {
            code,
            ..Self::new(reason, help)
        }
    }

    /// With the receipt that the frame asked for.
    pub fn with_receipt(mut self, receipt: Option<&str>) -> Self {
        if self.receipt.is_none() {
            self.receipt = receipt.map(Into::into);
        }
        self
    }

    /// Writes the ERROR frame.
    pub fn put(&self, out: &mut BytesMut, version: Option<Version>) {
        let error = ErrorFrame {
            message: &self.message,
            receipt_id: self.receipt.as_deref(),
            body: &self.help,
            versions: self.versions,
        };
        put_error(out, version, &error);
    }
}

/// What a connection is closed with for its token: one that has expired gets a new one and comes again.
fn code_of(error: TokenError) -> CloseCode {
    match error {
        TokenError::Expired => CloseCode::TOKEN_EXPIRED,
        _ => CloseCode::POLICY,
    }
}
