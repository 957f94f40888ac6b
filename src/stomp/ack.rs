//! How a subscription's messages are acknowledged (STOMP 1.2, "SUBSCRIBE ack Header").

#![forbid(unsafe_code)]

use super::error::excerpt;

/// The `ack` header of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AckMode {
    /// Not at all.
    #[default]
    Auto,
    /// By ACKs that speak for all earlier messages too.
    Client,
    /// By an ACK for each message.
    ClientIndividual,
}

/// The `ack` header says something else; the client's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown ack mode \"{0}\": write auto, client or client-individual")]
pub struct UnknownAckMode(pub Box<str>);

impl AckMode {
    /// Reads the header. Without it the mode is `auto`.
    ///
    /// # Errors
    /// [`UnknownAckMode`], which names the three.
    pub fn parse(header: Option<&str>) -> Result<Self, UnknownAckMode> {
        match header {
            None | Some("auto") => Ok(Self::Auto),
            Some("client") => Ok(Self::Client),
            Some("client-individual") => Ok(Self::ClientIndividual),
            Some(other) => Err(UnknownAckMode(excerpt(other.as_bytes()))),
        }
    }
}
