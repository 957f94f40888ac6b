//! Which known name somebody meant who wrote an unknown one.

use strsim::osa_distance;

use super::table::{Setting, namespace_section, namespace_settings, sections, settings};

/// The setting whose name is nearest to this key of the file: one of the same section, unless the name is nearly that of a
/// setting elsewhere.
pub(super) fn setting(key: &str) -> &'static Setting {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let nearest_of = |here: bool| {
        let candidates = settings()
            .iter()
            .chain(namespace_settings())
            .filter(|setting| (setting.section == section) == here);
        candidates
            .map(|setting| (distance(name, setting.name), setting))
            .min_by_key(|(distance, _)| *distance)
    };
    match (nearest_of(true), nearest_of(false)) {
        (Some((here, _)), Some((elsewhere, setting)))
            if elsewhere < here && elsewhere <= name.len() / 3 =>
        {
            setting
        }
        (Some((_, setting)), _) | (None, Some((_, setting))) => setting,
        // The table is a constant that is not empty.
        (None, None) => &settings()[0],
    }
}

/// The `PUSHRING_*` variable nearest to this one.
pub(super) fn variable(name: &str, others: &[&str]) -> String {
    let bare = |name: &str| {
        name.strip_prefix(super::variables::PREFIX)
            .unwrap_or(name)
            .to_owned()
    };
    let known = settings()
        .iter()
        .map(Setting::variable)
        .chain(others.iter().map(|&other| other.to_owned()));
    let distance = |known: &String| distance(&bare(name), &bare(known));
    known.min_by_key(distance).unwrap_or_default()
}

/// The section of the file nearest to this one.
pub(super) fn section(name: &str) -> &'static str {
    let names: Vec<&'static str> = sections()
        .iter()
        .chain([namespace_section()])
        .map(|section| section.name)
        .collect();
    word(name, &names)
}

/// The word nearest to this one; empty if there is none.
pub(super) fn word(unknown: &str, words: &[&'static str]) -> &'static str {
    words
        .iter()
        .min_by_key(|word| distance(unknown, word))
        .copied()
        .unwrap_or_default()
}

/// How many letters lie between two names, whatever their case, their hyphens and the order of their words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (plain(a), plain(b));
    osa_distance(&a, &b).min(osa_distance(&in_order(&a), &in_order(&b)) + 1)
}

fn plain(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c == '-' {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .take(LENGTH_MAX)
        .collect()
}

fn in_order(name: &str) -> String {
    let mut words: Vec<&str> = name.split(['_', '.']).collect();
    words.sort_unstable();
    words.join("_")
}

/// Beyond this many characters names are not compared: the cost grows with the product of the lengths.
const LENGTH_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_name_is_nearest_to_itself() {
        for known in settings().iter().chain(namespace_settings()) {
            assert_eq!(setting(&known.key()).key(), known.key());
        }
        for known in settings() {
            assert_eq!(variable(&known.variable(), &[]), known.variable());
        }
    }

    #[test]
    fn one_letter_wrong_or_missing_or_doubled_still_finds_the_name() {
        for known in settings()
            .iter()
            .chain(namespace_settings())
            .filter(|setting| !setting.section.is_empty())
        {
            let name = known.name;
            for at in 0..name.len() {
                let wrong = format!("{}.{}x{}", known.section, &name[..at], &name[at + 1..]);
                let missing = format!("{}.{}{}", known.section, &name[..at], &name[at + 1..]);
                let doubled = format!("{}.{}{}", known.section, &name[..=at], &name[at..]);
                for misspelt in [wrong, missing, doubled] {
                    assert_eq!(setting(&misspelt).key(), known.key(), "for {misspelt}");
                }
            }
        }
    }

    #[test]
    fn the_section_may_be_missing_or_another_and_the_words_in_another_order() {
        for (written, meant) in [
            ("message_bytes_max", "limits.message_bytes_max"),
            ("limits.head_ms", "timeouts.head_ms"),
            ("limits.max_message_bytes", "limits.message_bytes_max"),
            ("limits.max-connections", "limits.connections_max"),
            ("Limits.Message_Bytes_Max", "limits.message_bytes_max"),
            ("insecur", "insecure"),
            (
                "slow_consumer.backlog_bytes",
                "slow_consumer.backlog_bytes_max",
            ),
        ] {
            assert_eq!(setting(written).key(), meant, "for {written}");
        }
    }

    #[test]
    fn a_very_long_unknown_name_is_compared_only_at_its_beginning() {
        assert!(!setting(&"x".repeat(1 << 20)).name.is_empty());
    }
}
