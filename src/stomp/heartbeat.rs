//! Who sends heart-beats how often (STOMP 1.2, "Heart-beating").

#![forbid(unsafe_code)]

use std::str::FromStr;

use super::error::excerpt;

/// What is sent when nothing else was in time.
pub const BEAT: &[u8] = b"\n";

/// One side's `heart-beat` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeartBeat {
    /// The shortest interval in milliseconds that it can promise to send at; 0: it cannot.
    pub can_send_every_ms: u32,
    /// The interval in milliseconds at which it would like to hear from the other; 0: not at all.
    pub wants_every_ms: u32,
}

/// What both sides have said comes to; milliseconds, 0 for no heart-beats in that direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// The server sends something at least so often.
    pub server_sends_every_ms: u32,
    /// The client sends something at least so often.
    pub client_sends_every_ms: u32,
}

/// The header is not two numbers; the client's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("heart-beat \"{0}\" is not two numbers: write milliseconds, a comma, milliseconds")]
pub struct BadHeartBeat(pub Box<str>);

impl HeartBeat {
    /// Reads the header. Without it there are no heart-beats.
    ///
    /// # Errors
    /// [`BadHeartBeat`], as for a header that is there.
    pub fn parse(header: Option<&str>) -> Result<Self, BadHeartBeat> {
        header.map_or(Ok(Self::default()), str::parse)
    }
}

impl FromStr for HeartBeat {
    type Err = BadHeartBeat;

    /// Two numbers of digits and a comma; spaces around them do not count, and an interval longer than 49 days is one of 49
    /// days.
    fn from_str(header: &str) -> Result<Self, BadHeartBeat> {
        let numbers = header.split_once(',').and_then(|(sends, wants)| {
            Some(Self {
                can_send_every_ms: milliseconds(sends)?,
                wants_every_ms: milliseconds(wants)?,
            })
        });
        numbers.ok_or_else(|| BadHeartBeat(excerpt(header.as_bytes())))
    }
}

fn milliseconds(text: &str) -> Option<u32> {
    let digits = text.trim_matches([' ', '\t']);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u32::MAX))
}

/// What client and server do when they have said so.
pub fn agree(client: HeartBeat, server: HeartBeat) -> Agreed {
    Agreed {
        server_sends_every_ms: interval(server.can_send_every_ms, client.wants_every_ms),
        client_sends_every_ms: interval(client.can_send_every_ms, server.wants_every_ms),
    }
}

fn interval(can_send_every_ms: u32, wants_every_ms: u32) -> u32 {
    if can_send_every_ms == 0 || wants_every_ms == 0 {
        return 0;
    }
    can_send_every_ms.max(wants_every_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heart_beat(can_send_every_ms: u32, wants_every_ms: u32) -> HeartBeat {
        HeartBeat {
            can_send_every_ms,
            wants_every_ms,
        }
    }

    #[test]
    fn the_header_is_two_numbers_of_milliseconds() {
        assert_eq!(HeartBeat::parse(None), Ok(heart_beat(0, 0)));
        for (header, sends, wants) in [
            ("0,0", 0, 0),
            ("10000,5000", 10_000, 5_000),
            (" 1 ,\t2", 1, 2),
            ("007,4294967295", 7, u32::MAX),
            ("4294967296,99999999999999999999999", u32::MAX, u32::MAX),
        ] {
            let parsed = HeartBeat::parse(Some(header));
            assert_eq!(parsed, Ok(heart_beat(sends, wants)), "{header}");
        }
    }

    #[test]
    fn what_is_not_two_numbers_is_refused() {
        for header in [
            "", ",", "1", "1,", ",1", "1,2,3", "-1,0", "+1,0", "1.5,0", "a,b", "1;2", "١,1",
        ] {
            let error = HeartBeat::parse(Some(header)).unwrap_err();
            let expected = format!(
                "heart-beat \"{header}\" is not two numbers: write milliseconds, a comma, milliseconds"
            );
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn each_direction_has_the_longer_interval_and_none_if_one_side_says_so() {
        let agreed = agree(heart_beat(1_000, 20_000), heart_beat(10_000, 5_000));
        assert_eq!(agreed.client_sends_every_ms, 5_000);
        assert_eq!(agreed.server_sends_every_ms, 20_000);
        let agreed = agree(heart_beat(0, 20_000), heart_beat(10_000, 5_000));
        assert_eq!(agreed.client_sends_every_ms, 0);
        assert_eq!(agreed.server_sends_every_ms, 20_000);
        let agreed = agree(heart_beat(1_000, 1_000), heart_beat(1_000, 0));
        assert_eq!(agreed.client_sends_every_ms, 0);
        assert_eq!(agreed.server_sends_every_ms, 1_000);
        assert_eq!(
            agree(heart_beat(5, 0), heart_beat(5, 5)).server_sends_every_ms,
            0
        );
        assert_eq!(
            agree(heart_beat(5, 5), heart_beat(0, 5)).server_sends_every_ms,
            0
        );
    }
}
