//! Why the server closes a connection, as the close frame says it.

use crate::ws::close::CloseCode;

/// A close code with its reason. Clients connect again after codes below 3500 and stop at the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Names the reason.
    pub code: CloseCode,
    /// For people.
    pub reason: &'static str,
}

impl Disconnect {
    /// The server ends; another one may be there.
    pub const SHUTDOWN: Self = Self::new(3001, "shutdown");
    /// Something went wrong here.
    pub const SERVER_ERROR: Self = Self::new(3004, "internal server error");
    /// The connection's token has expired and was not renewed.
    pub const EXPIRED: Self = Self::new(3005, "connection expired");
    /// More waited for the client than is kept.
    pub const SLOW: Self = Self::new(3008, "slow");
    /// The client is not where it was told it would be; it recovers when it comes back.
    pub const INSUFFICIENT_STATE: Self = Self::new(3010, "insufficient state");
    /// A ping was not answered.
    pub const NO_PONG: Self = Self::new(3012, "no pong");
    /// Too much in too short a time.
    pub const TOO_MANY_REQUESTS: Self = Self::new(3013, "too many requests");
    /// The token is none, or not one of this server's.
    pub const INVALID_TOKEN: Self = Self::new(3500, "invalid token");
    /// A command is malformed, or comes where it must not.
    pub const BAD_REQUEST: Self = Self::new(3501, "bad request");
    /// The client did not connect in time.
    pub const STALE: Self = Self::new(3502, "stale");
    /// The server has it so, and the client shall not come back.
    pub const FORCE_NO_RECONNECT: Self = Self::new(3503, "force disconnect");
    /// The server subscribes the client to more channels than a connection may have.
    pub const CHANNEL_LIMIT: Self = Self::new(3505, "channel limit");
    /// The server does not do what the client has asked for without wanting a reply.
    pub const NOT_AVAILABLE: Self = Self::new(3508, "not available");

    /// For the constants above: they are made when this is compiled.
    const fn new(code: u16, reason: &'static str) -> Self {
        match CloseCode::of_application(code) {
            Some(code) => Self { code, reason },
            None => panic!("a code between 3000 and 4999"),
        }
    }
}

/// Why the server ends a subscription, as the push says it. Clients subscribe again after codes from 2500 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribed {
    /// Names the reason.
    pub code: u32,
    /// For people.
    pub reason: &'static str,
}

impl Unsubscribed {
    /// The server has it so.
    pub const SERVER: Self = Self {
        code: 2000,
        reason: "server unsubscribe",
    };
    /// The subscription has a gap; it recovers when it begins anew.
    pub const INSUFFICIENT: Self = Self {
        code: 2500,
        reason: "insufficient state",
    };
    /// The subscription's token has expired and was not renewed.
    pub const EXPIRED: Self = Self {
        code: 2501,
        reason: "subscription expired",
    };
}
