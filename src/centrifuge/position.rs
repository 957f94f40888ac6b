//! Epochs as replies name them: in hexadecimal digits.

/// The epoch that a client has named; `None` if it is none that a reply can have had.
pub fn parse_epoch(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_read_as_it_is_written_and_nothing_else_is_one() {
        for epoch in [0, 1, 0xabc, u64::MAX] {
            assert_eq!(parse_epoch(&format!("{epoch:x}")), Some(epoch));
        }
        for text in ["", "_", "+1", "-1", " 1", "x", "10000000000000000"] {
            assert_eq!(parse_epoch(text), None, "{text:?}");
        }
    }
}
