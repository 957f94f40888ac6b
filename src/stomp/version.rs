//! Versions, and how client and server agree on one (STOMP 1.2, "Protocol Negotiation").

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::error::excerpt;

/// A version of the protocol that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_in_common_is_agreed_on() {
        for (accept_version, version) in [
            (None, Version::V1_0),
            (Some("1.0"), Version::V1_0),
            (Some("1.0,1.1,2.0"), Version::V1_1),
            (Some("1.2,1.1,1.0"), Version::V1_2),
            (Some("1.0, 1.2 ,\t1.1"), Version::V1_2),
            (Some("1.1,"), Version::V1_1),
        ] {
            assert_eq!(Version::negotiate(accept_version), Ok(version));
        }
    }

    #[test]
    fn without_a_common_version_the_error_names_both_sides() {
        for accept_version in ["", "2.0", "1", "1.10,1.3", "1.0.1", "V1.2"] {
            let error = Version::negotiate(Some(accept_version)).unwrap_err();
            let expected = format!(
                "no common version: the client accepts \"{accept_version}\", this server speaks 1.0,1.1,1.2"
            );
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn subprotocols_name_versions_the_highest_first() {
        let versions = Version::SUBPROTOCOLS.map(Version::of_subprotocol);
        let expected = [Version::V1_2, Version::V1_1, Version::V1_0];
        assert_eq!(versions, expected.map(Some));
        assert_eq!(expected.map(Version::subprotocol), Version::SUBPROTOCOLS);
        for other in ["stomp", "V12.STOMP", "v13.stomp", ""] {
            assert_eq!(Version::of_subprotocol(other), None);
        }
    }

    #[test]
    fn the_list_has_every_version_in_order() {
        let all = [Version::V1_0, Version::V1_1, Version::V1_2];
        assert!(all.is_sorted());
        assert_eq!(all.map(Version::as_str).join(","), Version::LIST);
    }
}
