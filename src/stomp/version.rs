//! Versions, and how client and server agree on one (STOMP 1.2, "Protocol Negotiation").

#![forbid(unsafe_code)]

use super::error::excerpt;

/// A version of the protocol that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// No escapes, no heart-beats, no NACK; spaces around header names and values do not count.
    V1_0,
    /// Escapes `\n`, `\c` and `\\`.
    V1_1,
    /// Escapes `\r` too; lines may end with CR LF; ACK names the `ack` header of its MESSAGE.
    V1_2,
}

/// The client takes none of the versions that are spoken here; its fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no common version: the client accepts \"{accepted}\", this server speaks {}",
    Version::LIST
)]
pub struct NoCommonVersion {
    /// The beginning of what the client's `accept-version` says.
    pub accepted: Box<str>,
}

impl Version {
    /// The WebSocket subprotocols (RFC 6455, section 11.5) of the versions, the highest first.
    pub const SUBPROTOCOLS: [&'static str; 3] = ["v12.stomp", "v11.stomp", "v10.stomp"];

    /// All versions as a header lists them, the lowest first.
    pub const LIST: &'static str = "1.0,1.1,1.2";

    /// The number, as headers have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The WebSocket subprotocol of this version.
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::V1_0 => "v10.stomp",
            Self::V1_1 => "v11.stomp",
            Self::V1_2 => "v12.stomp",
        }
    }

    /// The version that a WebSocket subprotocol names.
    pub fn of_subprotocol(subprotocol: &str) -> Option<Self> {
        match subprotocol {
            "v10.stomp" => Some(Self::V1_0),
            "v11.stomp" => Some(Self::V1_1),
            "v12.stomp" => Some(Self::V1_2),
            _ => None,
        }
    }

    /// The highest version of a comma separated `accept-version` header that is spoken here. A client without the header
    /// speaks 1.0. Spaces around the commas do not count.
    ///
    /// # Errors
    /// [`NoCommonVersion`] when there is none.
    pub fn negotiate(accept_version: Option<&str>) -> Result<Self, NoCommonVersion> {
        let Some(list) = accept_version else {
            return Ok(Self::V1_0);
        };
        let versions = list
            .split(',')
            .filter_map(|text| Self::parse(text.trim_matches([' ', '\t'])));
        versions.max().ok_or_else(|| NoCommonVersion {
            accepted: excerpt(list.as_bytes()),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "1.0" => Some(Self::V1_0),
            "1.1" => Some(Self::V1_1),
            "1.2" => Some(Self::V1_2),
            _ => None,
        }
    }
}
