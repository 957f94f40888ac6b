//! What holds for every value of every setting, each against a naive oracle.

use proptest::prelude::*;
use pushring::config::{Expected, Overrides, Setting, load, reference, sections, settings};

use crate::support::{TempFile, from_text, from_variables, is_one_line, line_of_file, no_flags};

/// The naive oracle: a number between the bounds, both included. Around both bounds, at the ends of the integer types and far
/// outside, in the file and in the variable.
#[test]
fn a_number_is_taken_exactly_if_it_is_within_its_bounds() {
    for setting in settings()
        .iter()
        .filter(|setting| setting.expected() == Expected::Number)
    {
        let bounds = setting.bounds.unwrap();
        let (min, max) = (i128::from(bounds.min), i128::from(bounds.max));
        let ends = [
            i128::MIN,
            i64::MIN.into(),
            -1,
            0,
            i64::MAX.into(),
            u64::MAX.into(),
            i128::MAX,
        ];
        let around = [min - 1, min, min + 1, max - 1, max, max + 1];
        for number in ends.into_iter().chain(around) {
            let text = number.to_string();
            let within = min <= number && number <= max;
            for loaded in [
                from_text(line_of_file(setting, &text)),
                from_variables(&[(&setting.variable(), &text)]),
            ] {
                match loaded {
                    Ok(config) => {
                        assert!(within, "{} = {number}", setting.key());
                        assert_eq!(setting.value_toml(&config).replace('_', ""), text);
                    }
                    Err(error) => {
                        assert!(!within, "{error}");
                        let bound = if number < min {
                            ("below", bounds.min)
                        } else {
                            ("above", bounds.max)
                        };
                        let line = error.to_string().replace('_', "");
                        let unit = bounds.unit.replace('_', "");
                        assert!(line.contains(&format!("is {} the ", bound.0)), "{line}");
                        assert!(line.contains(&format!("{} {unit};", bound.1)), "{line}");
                    }
                }
            }
        }
    }
}

/// Some value for a setting, as it is written in the file; never one that is refused in company with the others.
fn some_value(setting: &Setting, pick: u64) -> String {
    match (setting.expected(), setting.bounds) {
        (Expected::Number, Some(bounds)) => {
            (bounds.min + pick % (bounds.max - bounds.min + 1)).to_string()
        }
        (Expected::YesOrNo, _) => (pick.is_multiple_of(2)).to_string(),
        // Each listener has ports of its own.
        (Expected::Address, _) if setting.name == "listen" => {
            format!("\"127.0.0.1:{}\"", 10_000 + pick % 1_000)
        }
        (Expected::Address, _) => format!("\"127.0.0.1:{}\"", 20_000 + pick % 1_000),
        (Expected::List, _) => format!("[\"https://{pick}.example\"]"),
        (Expected::Secrets, _) => format!("[\"{pick:016}\"]"),
        (Expected::Text | Expected::File | Expected::Secret, _) => format!("\"{pick:032}\""),
        (Expected::Word(words), _) => format!("\"{}\"", words[pick as usize % words.len()]),
        (Expected::Number, None) => unreachable!("every number has bounds"),
        (Expected::Duration | Expected::Pattern, _) => unreachable!("only namespaces have these"),
    }
}

fn unquoted(value: &str) -> String {
    value.trim_matches(['"', '[', ']']).to_owned()
}

fn flag_of<'a>(flags: &'a mut Overrides, key: &str) -> Option<&'a mut Option<String>> {
    match key {
        "listen" => Some(&mut flags.listen),
        "internal" => Some(&mut flags.internal),
        "shards" => Some(&mut flags.shards),
        "echo" => Some(&mut flags.echo),
        "insecure" => Some(&mut flags.insecure),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The oracle: for each setting, the flag if there is one, else the variable, else the file, else the default.
    #[test]
    fn flags_win_over_variables_over_the_file_over_defaults(
        picks in prop::collection::vec(any::<[Option<u64>; 3]>(), settings().len())
    ) {
        let (mut top, mut below) = (String::new(), vec![String::new(); sections().len()]);
        let (mut env, mut flags, mut expected) = (Vec::new(), no_flags(), Vec::new());
        for (setting, [in_file, in_variable, in_flag]) in settings().iter().zip(&picks) {
            let mut value = setting.default_toml();
            // With a key, for without one it is refused to say what tokens must have.
            let always = (setting.key() == "auth.jwks_file").then_some(&0);
            if let Some(pick) = in_file.as_ref().or(always) {
                value = some_value(setting, *pick);
                let section = sections().iter().position(|section| section.name == setting.section);
                let text = section.map_or(&mut top, |index| &mut below[index]);
                *text += &format!("{} = {value}\n", setting.name);
            }
            if let Some(pick) = in_variable {
                value = some_value(setting, *pick);
                // Without the quotes of the file, those within a list too.
                env.push((setting.variable(), unquoted(&value)));
            }
            if let (Some(pick), Some(flag)) = (in_flag, flag_of(&mut flags, &setting.key())) {
                value = some_value(setting, *pick);
                *flag = Some(unquoted(&value));
            }
            // Of a secret is told only that there is one.
            let hidden = match setting.expected() {
                Expected::Secret if !value.is_empty() => "\"(hidden)\"",
                Expected::Secrets if value != "[]" => "[\"(hidden)\"]",
                _ => &value,
            };
            expected.push(hidden.replace('_', ""));
        }
        for (section, text) in sections().iter().zip(below) {
            top += &format!("[{}]\n{text}", section.name);
        }
        let file = TempFile::new(top);
        let config = load(Some(&file.0), env.into_iter(), flags).unwrap();
        let loaded: Vec<String> = settings().iter().map(|s| s.value_toml(&config).replace('_', "")).collect();
        prop_assert_eq!(loaded, expected);
    }

    #[test]
    fn whatever_bytes_a_file_has_it_is_a_configuration_or_lines(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Err(error) = from_text(bytes) {
            prop_assert!(is_one_line(&error.to_string()));
            prop_assert!(error.problems().iter().all(|problem| is_one_line(&problem.to_string())));
        }
    }

    /// The reference file with pieces cut out, doubled and strewn with TOML's own signs: near to a configuration.
    #[test]
    fn whatever_is_done_to_a_good_file_it_is_a_configuration_or_lines(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, "[\\[\\]{}\"'=.,#\\n a0-9_-]{0,6}"), 1..6)
    ) {
        let mut text: Vec<char> = reference().chars().collect();
        for (at, cut, put) in edits {
            let at = at.index(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, put.chars());
        }
        if let Err(error) = from_text(text.into_iter().collect::<String>()) {
            prop_assert!(is_one_line(&error.to_string()));
            prop_assert!(error.problems().iter().all(|problem| is_one_line(&problem.to_string())));
        }
    }

    #[test]
    fn whatever_a_variable_or_a_flag_holds_it_is_a_configuration_or_lines(
        index in 0..settings().len(),
        name in "[A-Z_]{0,12}",
        value in any::<String>(),
    ) {
        let env = [(settings()[index].variable(), value.clone()), (format!("PUSHRING_{name}"), value.clone())];
        let flags = Overrides { listen: Some(value.clone()), shards: Some(value), ..no_flags() };
        let error = load(None, env.into_iter(), flags).unwrap_err();
        prop_assert!(error.problems().iter().all(|problem| is_one_line(&problem.to_string())));
    }
}
