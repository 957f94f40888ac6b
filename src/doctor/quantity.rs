//! Numbers as people read them.

/// With a comma between each three digits: 65,536.
pub(super) fn count(number: u64) -> String {
    by_threes(number, ',')
}

/// As the configuration file has them: 65_536.
pub(super) fn setting(number: u64) -> String {
    by_threes(number, '_')
}

fn by_threes(number: u64, separator: char) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(separator);
        }
        grouped.push(digit);
    }
    grouped
}

/// Bytes in the largest unit of which there is one: 240 KiB, 1.5 GiB.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1_024 {
        return format!("{number} bytes");
    }
    let mut value = number as f64 / 1_024.0;
    let mut unit = 0;
    while value >= 1_023.95 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    let text = format!("{value:.1}");
    format!("{} {}", text.trim_end_matches(".0"), UNITS[unit])
}

/// A number and what is counted, with an s where there are several.
pub(super) fn several(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{} {what}s", count(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(setting(20_000), "20_000");
        assert_eq!(several(1, "shard"), "1 shard");
        assert_eq!(several(2_000, "shard"), "2,000 shards");
    }

    #[test]
    fn bytes_are_told_in_the_largest_unit_that_fits() {
        for (number, text) in [
            (0, "0 bytes"),
            (1_023, "1023 bytes"),
            (1_024, "1 KiB"),
            (245_760, "240 KiB"),
            (1_048_575, "1 MiB"),
            (1_610_612_736, "1.5 GiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
