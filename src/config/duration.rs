//! Durations as the file writes them: a whole number and a unit.

/// Units with their milliseconds, the largest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The milliseconds of a text such as `10m`; the most there are for one that is longer. `None` if it is no duration.
pub(crate) fn parse_ms(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    if number.is_empty() {
        return None;
    }
    // Digits alone do not parse only when there are too many.
    Some(number.parse().unwrap_or(u64::MAX).saturating_mul(*unit_ms))
}

/// The shortest way to write so many milliseconds.
pub(super) fn text_of_ms(ms: u64) -> String {
    let fits = UNITS
        .iter()
        .find(|(_, unit_ms)| ms >= *unit_ms && ms.is_multiple_of(*unit_ms));
    match fits {
        Some((unit, unit_ms)) => format!("{}{unit}", ms / unit_ms),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, ms) in [
            ("10ms", 10),
            ("30s", 30_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("0s", 0),
            ("99999999999999999999d", u64::MAX),
        ] {
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
        for text in [
            "", "10", "m", "1.5h", "-1s", "+1s", "10 m", "10M", "10min", "1h30m", "1_000s", "٣s",
        ] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_in_the_largest_unit_that_divides_it_and_reads_back() {
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_500, "1500ms"),
            (90_000, "90s"),
            (600_000, "10m"),
            (86_400_000, "1d"),
        ] {
            assert_eq!(text_of_ms(ms), text);
            assert_eq!(parse_ms(text), Some(ms));
        }
    }
}
