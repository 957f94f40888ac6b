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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_three_modes_and_auto_is_the_one_without_a_header() {
        assert_eq!(AckMode::parse(None), Ok(AckMode::Auto));
        assert_eq!(AckMode::parse(Some("auto")), Ok(AckMode::Auto));
        assert_eq!(AckMode::parse(Some("client")), Ok(AckMode::Client));
        let individual = AckMode::parse(Some("client-individual"));
        assert_eq!(individual, Ok(AckMode::ClientIndividual));
    }

    #[test]
    fn an_unknown_mode_is_told_the_three() {
        for mode in ["", "Auto", "client ", "individual"] {
            let error = AckMode::parse(Some(mode)).unwrap_err();
            let expected =
                format!("unknown ack mode \"{mode}\": write auto, client or client-individual");
            assert_eq!(error.to_string(), expected);
        }
    }
}
