//! Numbers as people read them in a table.

/// What stands where a number is not known.
pub const NONE: &str = "–";

/// A count, with thousands apart; from ten million on in millions.
pub fn count(number: u64) -> String {
    match number {
        10_000_000_000.. => format!("{:.1} G", number as f64 / 1e9),
        10_000_000.. => format!("{:.1} M", number as f64 / 1e6),
        _ => grouped(number),
    }
}

/// So many a second: with a tenth where they are few.
pub fn rate(rate: Option<f64>) -> String {
    match rate {
        None => NONE.to_owned(),
        Some(rate) if rate > 0.0 && rate < 9.95 && rate.fract().abs() > 0.05 => {
            format!("{rate:.1}")
        }
        Some(rate) => count(rate.round() as u64),
    }
}

/// Bytes in powers of 1,024.
pub fn bytes(number: f64) -> String {
    let mut number = number;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if number < 1_024.0 {
            break;
        }
        number /= 1_024.0;
        unit = next;
    }
    match unit == "B" || number >= 100.0 {
        true => format!("{number:.0} {unit}"),
        false => format!("{number:.1} {unit}"),
    }
}

/// A time in microseconds.
pub fn micros(us: Option<u64>) -> String {
    match us {
        None => NONE.to_owned(),
        Some(us @ ..1_000) => format!("{us} µs"),
        Some(us @ ..1_000_000) => format!("{} ms", us as f64 / 1e3),
        Some(us) => format!("{} s", us as f64 / 1e6),
    }
}

/// A share of 1.
pub fn percent(share: f64) -> String {
    match share > 0.0 && share < 0.0995 {
        true => format!("{:.1} %", share * 100.0),
        false => format!("{:.0} %", share * 100.0),
    }
}

/// For how long something has been.
pub fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600, seconds / 60);
    match (days, hours, minutes) {
        (1.., ..) => format!("{days} d {} h", hours % 24),
        (0, 1.., _) => format!("{hours} h {} min", minutes % 60),
        (0, 0, 1..) => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{seconds} s"),
    }
}

/// A number's last values in as many characters, the newest last.
pub fn sparkline(values: &[f64], width: usize) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = &values[values.len().saturating_sub(width)..];
    let top = shown.iter().copied().fold(0.0, f64::max);
    let step = |value: &f64| {
        let share = if top > 0.0 { value / top } else { 0.0 };
        STEPS[((share * 7.0).round() as usize).min(7)]
    };
    let blanks = std::iter::repeat_n(' ', width - shown.len());
    blanks.chain(shown.iter().map(step)).collect()
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_say_their_unit() {
        assert_eq!(
            [0, 999, 1_000, 9_999_999].map(count),
            ["0", "999", "1,000", "9,999,999"]
        );
        assert_eq!(
            [10_000_000, 12_345_678_901].map(count),
            ["10.0 M", "12.3 G"]
        );
        assert_eq!(
            [
                None,
                Some(0.0),
                Some(2.0),
                Some(2.4),
                Some(9.96),
                Some(1234.4)
            ]
            .map(rate),
            ["–", "0", "2", "2.4", "10", "1,234"]
        );
        assert_eq!(
            [0.0, 1_023.0, 1_536.0, 204_800.0].map(bytes),
            ["0 B", "1023 B", "1.5 KiB", "200 KiB"]
        );
        assert_eq!(
            [None, Some(80), Some(1_200), Some(1_000_000)].map(micros),
            ["–", "80 µs", "1.2 ms", "1 s"]
        );
        assert_eq!(
            [0.0, 0.034, 0.5, 1.0].map(percent),
            ["0 %", "3.4 %", "50 %", "100 %"]
        );
        assert_eq!(
            [5, 65, 3_700, 90_000].map(duration),
            ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]
        );
    }

    #[test]
    fn a_sparkline_is_as_wide_as_it_is_told_and_ends_with_the_newest() {
        assert_eq!(sparkline(&[0.0, 5.0, 10.0], 5), "  ▁▅█");
        assert_eq!(sparkline(&[9.0, 0.0, 10.0], 2), "▁█");
        assert_eq!(sparkline(&[0.0; 3], 3), "▁▁▁");
        assert_eq!(sparkline(&[], 2), "  ");
    }
}
