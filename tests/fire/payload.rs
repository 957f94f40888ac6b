//! Payloads that say which publication of which channel they are, and are known to the last byte.

use std::sync::LazyLock;

/// Bytes of the longest filler.
const FILLER_BYTES_MAX: usize = 3_000;

/// The payload of a channel's publication: a JSON string, which every protocol carries as it is. Most are short, some longer
/// than a segment.
pub fn of(channel: usize, number: u64) -> String {
    format!("\"{channel}:{number}:{}\"", filler(number))
}

fn filler(number: u64) -> &'static str {
    static LETTERS: LazyLock<String> =
        LazyLock::new(|| "abcdefghijklmnopqrstuvwxyz".repeat(FILLER_BYTES_MAX / 26 + 2));
    let mixed = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
    let length = match mixed % 40 {
        0 => FILLER_BYTES_MAX,
        1 => 0,
        _ => mixed % 200,
    };
    &LETTERS[number as usize % 26..][..length]
}

/// The number of a payload of that channel; an error if it is none.
pub fn number(channel: usize, payload: &str) -> Result<u64, String> {
    let mut parts = payload.split(':');
    let number = parts.nth(1).and_then(|number| number.parse().ok());
    match number {
        Some(number) if of(channel, number) == payload => Ok(number),
        _ => Err(format!(
            "{payload:.40} was never published to channel {channel}"
        )),
    }
}
